"""Sweeps through Hydra's launchers: jobs run in other processes, and their records come home to one store.

Each launcher's test is skipped where its plugin is not installed (`RUN_WITH=sweep ./run test tests/pipelines`). Ray's
needs an environment of its own, because its launcher wants an old cloudpickle; `.ci/run` makes one.
"""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import textwrap
import threading

import pytest

from pipelines import sweep
from pipelines.install.requirements import EXTENSIONS
from pipelines.plan.tree import REPOSITORY
from pipelines.results.store import Store
from pipelines.testing import toy as parts
from pipelines.workers import cores
from pipelines.workers.cores import Cores

FAST = (*parts.FAST[:-1], "stages=[run]")
DEADLY = 13
"""The number of points at which the problem kills the process that launched the job, as a node that goes down would."""

LAUNCHERS = {
    "joblib": ("hydra-joblib-launcher", ["hydra.launcher.n_jobs=2"]),
    "submitit_local": ("hydra-submitit-launcher", ["hydra.launcher.timeout_min=5"]),
    "ray": ("hydra-ray-launcher", ["+hydra.launcher.ray.init.num_cpus=2"]),
}


def launcher(name):
    """The words that choose a launcher; skips where its plugin is missing."""
    plugin, words = LAUNCHERS[name]
    try:
        importlib.metadata.version(plugin)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{plugin} is not installed: RUN_WITH=sweep installs joblib's and submitit's, .ci/run Ray's")
    return [f"hydra/launcher={name}", *words]


@pytest.fixture
def extension(tmp_path):
    """A study of NumPy sums in a folder outside the tree."""
    problem = parts.PROBLEM.replace(
        "def make_problem(parameters):",
        f"def make_problem(parameters):\n    if parameters['n_points'] == {DEADLY}:\n"
        "        import os\n        os.kill(os.getppid(), 9)",
    )
    files = {
        "configs/study/toy.yaml": parts.CONFIG.replace("[first, second, third]", "[first]"),
        "studies/toy/problem.py": problem,
        "studies/toy/figures.py": parts.FIGURES,
        "studies/toy/models/first.py": parts.MODEL.format(before="pass", wrong=0.0),
        "frameworks/first.py": parts.FRAMEWORK.format(name="first", title="First"),
    }
    for name, text in files.items():
        path = tmp_path / "extension" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path / "extension"


def run(extension, tmp_path, *words):
    """A sweep in a process of its own, with locks of its own; its status and what it printed."""
    environment = {**os.environ, EXTENSIONS: str(extension)}
    # Python's own way of finding what the suite imports also leads to plugins that lie elsewhere.
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), environment.get("PYTHONPATH", "")])
    own = [f"hydra.sweep.dir={tmp_path / 'sweep'}", f"hydra.searchpath=[file://{extension / 'configs'}]"]
    command = [sys.executable, "-m", "pipelines.sweep", "study=toy", *FAST, *own, *words]
    with tempfile.TemporaryDirectory(prefix="sweep-") as short:  # a path of Ray's sockets has at most 107 characters
        environment["TMPDIR"] = short
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def points(store):
    records = list(Store(store).records("toy", "total"))
    assert all(record["status"] == "ok" for record in records)
    return sorted(record["identity"]["parameters"]["n_points"] for record in records)


@pytest.mark.parametrize("name", ["joblib", pytest.param("ray", marks=pytest.mark.ray)])
def test_records_come_home_to_one_store(extension, tmp_path, name):
    home = tmp_path / "home"
    words = [*launcher(name), "study.parameters.n_points=3,5", f"into={home}"]
    status, output = run(extension, tmp_path, *words)
    assert status == 0, output[-2000:]
    assert "2 jobs in" in output and "all right" in output and f"2 records added to {home}" in output
    assert points(home) == [3, 5]
    assert points(tmp_path / "sweep/0/results") == [3] and points(tmp_path / "sweep/1/results") == [5]


def test_a_node_that_dies_in_mid_sweep_loses_nothing_of_the_others(extension, tmp_path):
    words = [*launcher("submitit_local"), f"study.parameters.n_points=3,{DEADLY},5"]
    status, output = run(extension, tmp_path, *words)
    assert status == 1
    assert "3 jobs in" in output and "not all right: 1 died" in output, output[-2000:]
    assert "runs again what is missing" in output
    assert points(tmp_path / "sweep/results") == [3, 5]


# What needs no launcher


def test_what_jobs_left(tmp_path):
    for name, text in (("0", "0\n"), ("1", None), ("10", "1\n"), ("2", "0\n")):
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / sweep.EXIT_STATUS).write_text(text)
    (tmp_path / "results").mkdir()
    assert sweep.jobs(tmp_path) == {"0": 0, "1": None, "2": 0, "10": 1}
    assert sweep.bring_home(tmp_path, tmp_path / "home") is None and not (tmp_path / "home").exists()


def test_jobs_of_one_host_take_turns_at_measuring(tmp_path, monkeypatch):
    said, order = [], []
    first, second = Cores(locks=tmp_path / "locks"), Cores(said.append, locks=tmp_path / "locks")
    assert first.announce()
    assert not second.announce(), "other runs are told, and go on"
    monkeypatch.setenv(cores.TAKES_TURNS, "1")
    monkeypatch.setattr(cores, "POLL_SECONDS", 0.01)

    def wait():
        order.append(second.announce())

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and order == []
    first.release()
    thread.join(30)
    assert order == [True] and "waiting until it has ended" in said[-1]
    second.release()


def test_jobs_of_a_sweep_are_told_to_take_turns(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd, env: told.append(env[cores.TAKES_TURNS]) or 0)
    monkeypatch.setattr(sys, "argv", ["test"])
    quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none"]
    assert sweep.main(["seed=1,2", f"hydra.sweep.dir={tmp_path}", *quiet]) == 0
    assert told == ["1", "1"]
