"""`--coverage` counts the lines that run in every process, and prints a share for each package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.covered import shares

ROOT = Path(__file__).resolve().parent.parent
# Of four lines, three run in the process of the tests, and one in another process that starts in another folder.
MODULE = """
def in_this_process(n):
    return n + 1
def in_another(n):
    return n - 1
"""
NEVER_IMPORTED = "first = 1\nsecond = 2\n"
TEST = """
import subprocess, sys
from genjax.module import in_this_process
def test_here(): assert in_this_process(1) == 2
def test_there(tmp_path):
    code = "from genjax.module import in_another; assert in_another(2) == 1"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0
"""
SETTINGS = """
[tool.pytest.ini_options]
addopts = "-p tests.covered -p no:cacheprovider --import-mode=importlib"
testpaths = ["tests"]
filterwarnings = ["error"]
[tool.coverage.run]
patch = ["subprocess"]
"""


@pytest.fixture
def project(tmp_path):
    files = {
        "genjax/__init__.py": "",
        "genjax/module.py": MODULE,
        "studies/__init__.py": "",
        "studies/without_init/never.py": NEVER_IMPORTED,
        "tests/test_module.py": TEST,
        "pyproject.toml": SETTINGS,
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


@pytest.mark.parametrize("processes", [(), ("-n", "2", "--dist", "loadfile")], ids=["one process", "workers"])
def test_lines_of_every_process_count(project, processes):
    path = os.pathsep.join([str(project), str(ROOT)])  # the project first: it has a genjax too
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--coverage", *processes],
        cwd=project, env={**environment, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    printed = [line.split() for line in done.stdout.splitlines()]
    assert ["genjax", "100.0%", "of", "4", "lines"] in printed
    assert ["studies", "0.0%", "of", "2", "lines"] in printed
    assert ["total", "66.7%", "of", "6", "lines"] in printed
    assert "never.py" in (project / "build" / "coverage" / "index.html").read_text()


def test_packages_without_lines_are_not_told():
    files = {
        "genjax/a.py": {"summary": {"covered_lines": 3, "num_statements": 4}},
        "genjax/b.py": {"summary": {"covered_lines": 0, "num_statements": 2}},
        "/checkout/pipelines/c.py": {"summary": {"covered_lines": 2, "num_statements": 2}},
        "frameworks/__init__.py": {"summary": {"covered_lines": 0, "num_statements": 0}},
    }
    assert shares(files, Path("/checkout")) == [("genjax", 3, 6), ("pipelines", 2, 2), ("total", 5, 8)]
