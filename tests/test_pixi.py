"""pixi.toml: valid for pixi, and made of commands that ./run executes in the same way."""

import json
import os
import shlex
import tomllib
from pathlib import Path

import jsonschema
import pytest

from pipelines.cli import main

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))
TASKS = MANIFEST["tasks"]
SCHEMA = os.environ.get("PIXI_MANIFEST_SCHEMA", "")
# Names of the published artifact, which scripts and papers refer to.
ARTIFACT_TASKS = {
    "paper-setup", "paper-figures", "paper-figures-gpu", "paper-faircoin-gen", "paper-faircoin-gpu-gen",
    "paper-curvefit-gen", "paper-curvefit-gpu-gen", "paper-gol-gen", "paper-gol-gpu-gen", "paper-localization-gen",
    "paper-localization-gpu-gen", "paper-perfbench", "paper-perfbench-cuda", "paper-curvefit-custom",
    "paper-curvefit-gpu-custom", "paper-perfbench-clean", "clean-figs", "faircoin", "faircoin-timing",
    "faircoin-combined", "faircoin-paper", "curvefit", "curvefit-custom", "gol", "gol-paper", "gol-paper-gpu",
    "localization", "localization-paper", "cuda-info", "cuda-test", "paper-cone-gen", "paper-cone-table", "air-compare",
    "air-compare-gpu", "air-train", "air-train-gpu", "air-fetch-data",
}  # fmt: skip
ARTIFACT_ENVIRONMENTS = {
    "format", "test", "cuda", "faircoin", "faircoin-cuda", "curvefit", "curvefit-cuda", "gol", "gol-cuda",
    "localization", "localization-cuda", "perfbench", "perfbench-cuda", "perfbench-pyro", "perfbench-torch",
}  # fmt: skip
ARTIFACT_PLATFORMS = {"osx-arm64", "linux-64"}
# What a shell would act on. `./run` has no shell, and pixi's is a small one: commands are plain, quoted words.
SHELL = set("|&;<>$`*?[]{}~#\\\n")


def unquoted(command: str) -> str:
    """The part of a command that stands outside quotes."""
    kept, quote = [], ""
    for character in command:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            kept.append(character)
    return "".join(kept)


def modules_of(command: str) -> list[str]:
    """The modules that a command runs with `python -m`."""
    words = shlex.split(command)
    return [words[place + 1] for place, word in enumerate(words) if word == "-m" and words[0] == "python"]


def test_manifest_fits_pixis_schema():
    if not SCHEMA:
        pytest.skip("PIXI_MANIFEST_SCHEMA does not name a copy of pixi's JSON schema")
    jsonschema.validate(MANIFEST, json.loads(Path(SCHEMA).read_text(encoding="utf-8")))


def test_every_name_of_the_artifact_is_there():
    assert ARTIFACT_TASKS - set(TASKS) == set()
    assert ARTIFACT_ENVIRONMENTS - set(MANIFEST["environments"]) == set()
    assert ARTIFACT_PLATFORMS - set(MANIFEST["workspace"]["platforms"]) == set()


@pytest.mark.parametrize("name", MANIFEST["environments"])
def test_environment_is_made_of_features_that_exist(name):
    environment = MANIFEST["environments"][name]
    assert set(environment) <= {"features", "solve-group"}
    assert set(environment.get("features", [])) <= set(MANIFEST["feature"])
    assert ("cuda" in environment.get("features", [])) == name.endswith("cuda")
    assert environment["solve-group"] == ("cuda" if name.endswith("cuda") else "default")


@pytest.mark.parametrize(
    "name", [task for task in TASKS if task.endswith(("-gpu", "-cuda", "-gpu-gen", "-gpu-custom"))]
)
def test_tasks_for_the_gpu_ask_for_it(name):
    assert "device=cuda" in shlex.split(TASKS[name]["cmd"])


@pytest.mark.parametrize("name", [task for task in TASKS if task.startswith(("paper-cone", "air-"))])
def test_tasks_of_studies_that_are_not_here_say_so(name, capsys):
    command = shlex.split(TASKS[name]["cmd"])
    assert "(not in this version)" in TASKS[name]["description"]
    assert main(command[3:]) == 2
    assert "Unknown study" in capsys.readouterr().err


@pytest.mark.parametrize("name", TASKS)
def test_task_is_described_and_plain(name):
    task = TASKS[name]
    assert name.startswith("_") or task["description"]
    assert len(task.get("description", "")) <= 90
    assert set(unquoted(task.get("cmd", ""))) & SHELL == set()
    assert task.get("cmd") or task["depends-on"]
    assert set(task.get("depends-on", [])) <= set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_modules_exist(name):
    for module in modules_of(TASKS[name].get("cmd", "")):
        path = ROOT.joinpath(*module.split("."))
        is_ours = (ROOT / module.partition(".")[0]).is_dir()
        assert not is_ours or path.with_suffix(".py").exists() or (path / "__main__.py").exists()


def test_tasks_without_environment_exist():
    assert set(MANIFEST["tool"]["run"]["without-environment"]) <= set(TASKS)


def test_expected_tasks_are_there():
    assert {"paper-figures", "smoke", "test", "lint", "bench", "clean"} <= set(TASKS)


def test_helpers_see_shell_syntax():
    assert set(unquoted("python -m pipelines stages=[plan] | tee x")) & SHELL == {"[", "]", "|"}
    assert set(unquoted("python -m pipelines 'stages=[plan]'")) & SHELL == set()
    assert modules_of("python -m pipelines.bench size=smoke") == ["pipelines.bench"]
