"""pixi.toml: valid for pixi, and made of commands that ./run executes in the same way."""

import json
import shlex
import tomllib
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))
TASKS = MANIFEST["tasks"]
# Not part of this project: it is checked where it lies beside the checkout.
SCHEMA = ROOT.parent / "shared" / "data" / "pixi-manifest.schema.json"
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
    if not SCHEMA.exists():
        pytest.skip("pixi's schema is not beside this checkout")
    jsonschema.validate(MANIFEST, json.loads(SCHEMA.read_text(encoding="utf-8")))


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
