"""What --fast, the default and --thorough run; what they leave out is counted in front of everybody."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import FAST, slow_except

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = """
[pytest]
addopts = -p tests.tiers -p no:cacheprovider --strict-markers --import-mode=importlib
markers = slow: as in pyproject.toml
testpaths = tests
"""
IN_THE_FAST_TIER = """
import pytest
def test_quick(): pass
@pytest.mark.slow
def test_slow(): pass
"""
ELSEWHERE = """
import pytest
@pytest.mark.parametrize("n", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_sweep(n): pass
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A suite of five tests, two of them slow; one file of two is in the fast tier."""
    folder = tmp_path_factory.mktemp("suite")
    first = folder / "tests" / next(name for name in FAST if not name.endswith(".py")) / "test_first.py"
    for path, text in ((first, IN_THE_FAST_TIER), (folder / "tests" / "elsewhere" / "test_other.py", ELSEWHERE)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (folder / "pytest.ini").write_text(SETTINGS)
    return folder


def outcome(suite, *words):
    # Other plugins of this environment import JAX, which takes longer than all of this suite.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "xdist", *words]
    return subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False)


def passed(finished):
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return int(re.search(r"(\d+) passed", finished.stdout).group(1))


@pytest.mark.parametrize("processes", [(), ("-n", "2", "--dist", "loadfile")], ids=["one process", "workers"])
@pytest.mark.parametrize(
    ("words", "count", "left_out"),
    [
        ((), 3, "left out by the default tier: 2 tests marked slow. --thorough"),
        (("--thorough",), 5, None),
        (("--fast",), 1, "left out by the fast tier: 1 test files that are not in the fast tier and 1 tests marked"),
    ],
    ids=["default", "thorough", "fast"],
)
def test_a_tier_runs_its_tests_and_counts_the_others(suite, processes, words, count, left_out):
    finished = outcome(suite, *processes, *words)
    assert passed(finished) == count
    assert f"tier: {(words or ('default',))[0].strip('-')}" in finished.stdout
    assert left_out in finished.stdout if left_out else "left out" not in finished.stdout


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("tests/elsewhere",), 2),
        (("tests/elsewhere/test_other.py",), 3),
        (("tests/elsewhere/test_other.py::test_sweep[3]",), 1),
        (("--fast", "tests/elsewhere/test_other.py::test_sweep"), 3),
        (("-m", "slow"), 2),
        (("-m", "not slow"), 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_test_named_with_its_file_runs_in_every_tier(suite, words, count):
    assert passed(outcome(suite, *words)) == count


def test_two_tiers_at_once_are_an_error(suite):
    finished = outcome(suite, "--fast", "--thorough")
    assert finished.returncode == 4 and "exclude each other" in finished.stderr


@pytest.mark.parametrize("name", FAST)
def test_what_the_fast_tier_names_exists(name):
    path = ROOT / "tests" / name
    assert path.is_file() or any(path.rglob("test_*.py"))


def test_the_rest_of_a_sweep_is_slow():
    found = slow_except([1, 3], [1, 2, 3])
    assert [one.values for one in found] == [(1,), (2,), (3,)]
    assert [[mark.name for mark in one.marks] for one in found] == [[], ["slow"], []]
    assert slow_except([(1, 2)], [(1, 2)], together=True)[0].values == (1, 2)
    with pytest.raises(AssertionError, match="are to be some of"):
        slow_except([4], [1, 2, 3])
