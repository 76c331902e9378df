"""Sweeps: jobs of their own folders, what becomes of their exit statuses, and launchers that are not installed."""

import importlib.metadata
import subprocess
import sys
import tomllib

import pytest
from omegaconf import OmegaConf

from pipelines import sweep
from pipelines.plan.tree import REPOSITORY
from pipelines.workers import processes


def jobs(monkeypatch, tmp_path, *words, statuses=(0, 0)):
    """The command lines of a sweep's jobs, and its exit status; the jobs themselves are scripted."""
    started, left = [], list(statuses)

    def call(command, cwd, env):
        assert command[:3] == [sys.executable, "-m", "pipelines"] and cwd == REPOSITORY
        assert processes.MARK in env, "the run ends with the sweep"
        started.append(command[3:])
        return left.pop(0)

    monkeypatch.setattr(subprocess, "call", call)
    monkeypatch.setattr(sys, "argv", ["test"])
    # Configuring loggers closes the handlers that there are, and with absl's the stream that pytest captures.
    quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none"]
    status = sweep.main([*words, f"hydra.sweep.dir={tmp_path}", *quiet])
    return started, status


def test_values_are_multiplied_out_and_jobs_keep_apart(monkeypatch, tmp_path, capsys):
    started, status = jobs(monkeypatch, tmp_path, "study=faircoin", "seed=1,2", "size=smoke")
    assert status == 0
    for number, words in enumerate(started):
        folder = tmp_path / str(number)
        seed = f"seed={number + 1}"
        assert words == ["study=faircoin", seed, "size=smoke", f"results='{folder}/results'", f"figs='{folder}/figs'"]
    assert "2 jobs in" in capsys.readouterr().out


def test_named_folders_are_kept(monkeypatch, tmp_path):
    started, _ = jobs(monkeypatch, tmp_path, "results=a,b", "figs=c", "study=faircoin")
    assert started == [["results=a", "figs=c", "study=faircoin"], ["results=b", "figs=c", "study=faircoin"]]


def test_one_bad_job_does_not_stop_the_others_and_decides_the_exit_status(monkeypatch, tmp_path, capsys):
    started, status = jobs(monkeypatch, tmp_path, "seed=1,2", statuses=(1, 0))
    assert len(started) == 2 and status == 1
    assert "not all right: 0" in capsys.readouterr().out


@pytest.mark.parametrize("launcher", [*sweep.PLUGINS, *sweep.OWN_NAMES])
def test_launcher_that_is_not_installed_is_one_clear_line(monkeypatch, capsys, launcher):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert sweep.main([f"hydra/launcher={launcher}", "seed=1,2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    plugin, _ = sweep.PLUGINS[sweep.OWN_NAMES.get(launcher, launcher)]
    assert line.startswith(f"error: hydra/launcher={launcher} needs {plugin}, which is not installed: ")
    is_ray = "ray" in launcher  # whose launcher needs an old cloudpickle, so no group of requirements holds it
    assert (f'-m pip install "{plugin}>=' if is_ray else ": RUN_WITH=sweep ./run sweep ...") in line


def test_faults_of_the_request(capsys):
    assert sweep.main(["hydra/launcher=slrm"]) == 2
    assert "Unknown launcher 'slrm'. Did you mean slurm?" in capsys.readouterr().err
    assert sweep.main(["--num-obs", "50"]) == 2
    assert "a sweep takes overrides only" in capsys.readouterr().err
    assert sweep.main([]) == 2
    assert "hydra/launcher=slurm" in capsys.readouterr().out


def test_presets_are_the_plugins_and_no_requirement():
    presets = sorted((REPOSITORY / "configs/hydra/launcher").glob("*.yaml"))
    assert {path.stem for path in presets} == set(sweep.PLUGINS)
    for path in presets:
        (base,) = OmegaConf.load(path).defaults
        assert sweep.OWN_NAMES[base] == path.stem
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert sorted(f"{name}{versions}" for name, versions in sweep.PLUGINS.values()) == sorted(extras["sweep"])
    pinned = (REPOSITORY / "requirements.txt").read_text()
    assert "launcher" not in pinned
