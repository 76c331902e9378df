"""Plug-ins that are installed as packages: found by their entry points in this process, in another, and by `./run`."""

import json
import os
import subprocess
import sys
import sysconfig
import textwrap
import venv
from pathlib import Path

import pytest

from pipelines.install.environment import installed_packages, this_python, wanted_groups, write_state
from pipelines.install.requirements import EXTENSIONS, fingerprint
from pipelines.plan.extensions import tree_of
from pipelines.plan.tree import REPOSITORY, Tree
from pipelines.testing import toy

POINTS = "from studies.base import Flag\n\nFLAGS = {'points': Flag(('study.parameters.n_points={value}',))}\n"
ENTRY_POINTS = """
[genjax_artifact.frameworks]
guest = visitors.artifact

[genjax_artifact.studies]
visit = visitors.artifact
lost = no_such_package.artifact
"""


def install(site):
    """Writes what an installer leaves of a package with a framework and a study: its files and its dist-info."""
    folder = site / "visitors"
    files = {
        site / "visitors-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: visitors\nVersion: 1.0\n",
        site / "visitors-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
        site / "visitors-1.0.dist-info/RECORD": "",
        folder / "__init__.py": "",
        folder / "artifact.py": "",
        folder / "frameworks/guest.py": toy.FRAMEWORK.format(name="guest", title="Guest"),
        folder / "studies/visit/problem.py": toy.PROBLEM,
        folder / "studies/visit/figures.py": toy.FIGURES,
        folder / "studies/visit/flags.py": POINTS,
        folder / "studies/visit/models/guest.py": toy.MODEL.format(before="pass", wrong=0.0),
        folder / "configs/study/visit.yaml": toy.CONFIG.replace("name: toy", "name: visit")
        .replace("    frameworks: [first, second, third]\n", "")
        .replace("baseline: first", "baseline: guest"),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages that this process sees, too."""
    monkeypatch.setenv(EXTENSIONS, "")
    install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def words(tmp_path, *more):
    folders = (f"results={tmp_path / 'results'}", f"figs={tmp_path / 'figs'}")
    return ["--study", "visit", "--points", "5", *toy.FAST, "stages=[run]", *folders, *more]


def measured(tmp_path):
    (path,) = (tmp_path / "results").glob("visit/total/[!.]*/record.json")
    record = json.loads(path.read_text())
    return record["identity"]["framework"], record["identity"]["parameters"]["n_points"], record["status"]


def called(command, **variables):
    environment = {name: value for name, value in os.environ.items() if name != EXTENSIONS}
    return subprocess.run(
        command, cwd=REPOSITORY, env={**environment, **variables}, capture_output=True, text=True, check=False
    )


def refused_the_lost_one(error):
    lines = [line for line in error.splitlines() if line.startswith("refused: ")]
    return len(lines) == 1 and "lost = no_such_package.artifact" in lines[0]


def test_both_groups_are_read_from_installed_packages(site):
    tree, _ = tree_of([], Tree())
    assert tree.frameworks()["guest"] == site / "visitors/frameworks/guest.py"
    assert tree.studies()["visit"] == site / "visitors/studies/visit"
    assert "points" in tree.flags_path("visit").read_text()
    assert len(tree.refused) == 1 and "no_such_package" in tree.refused[0]


def test_python_runs_the_study_of_an_installed_package(site, tmp_path):
    path = os.pathsep.join([str(REPOSITORY), str(site)])
    done = called([sys.executable, "-m", "pipelines", *words(tmp_path)], PYTHONPATH=path)
    assert done.returncode == 1, "since one entry point is refused"
    assert refused_the_lost_one(done.stderr) and "Traceback" not in done.stderr
    assert measured(tmp_path) == ("guest", 5, "ok")


def test_run_runs_the_study_of_a_package_in_its_environment(tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)}))
    install(place)
    (place / "these.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what is installed for the tests
    groups = {name: fingerprint(lines) for name, lines in wanted_groups(str(environment)).items()}
    write_state(str(environment), this_python(), groups, installed_packages(str(environment)))
    run = [sys.executable, str(REPOSITORY / "run"), "paper-figures"]
    done = called([*run, *words(tmp_path)], RUN_VENV=str(environment))
    assert done.returncode == 1 and refused_the_lost_one(done.stderr), done.stderr
    assert "installing" not in done.stderr and measured(tmp_path) == ("guest", 5, "ok")
    shown = called([*run, "study=visit", "--help"], RUN_VENV=str(environment))
    assert shown.returncode == 0 and "--points" in shown.stdout
