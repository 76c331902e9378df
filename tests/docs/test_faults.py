"""The page of faults: every row names a test that exists, every column is filled, and the injectors are there."""

import ast
import re
from pathlib import Path

import pytest

from pipelines.testing.misbehaving_worker import FAULTS

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| fault |")
]
FLOWING = " ".join(PAGE.split())
EACH_FAULT = "test_fault_is_the_failure_of_its_cell_with_a_reason"


def marks_of_tests(path: Path) -> dict[str, str]:
    """The marks of each test."""
    text = path.read_text(encoding="utf-8")
    assert "pytestmark" not in text, f"{path.name}: its faults are to be injected in every run"
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return {node.name: " ".join(map(ast.unparse, node.decorator_list)) for node in found}


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_row_names_a_test_that_every_run_has(row):
    assert len(row) == 5 and all(row), "fault, what you see, what is left, what continues, test"
    (named,) = re.findall(r"`((?:run/)?test_\w+\.py)::(test_\w+)`", row[-1])
    file, test = named
    marks = marks_of_tests(ROOT / "tests" / ("" if "/" in file else "pipelines") / file)[test]
    assert "mark.slow" not in marks


def test_the_default_tier_injects_as_many_faults_as_the_page_says():
    """Each way of breaking the protocol once, and each row that rests on something else than such a worker."""
    breaking = marks_of_tests(ROOT / "tests/pipelines/test_misbehaving_workers.py")[EACH_FAULT]
    assert "FAULTS" in breaking and "slow" not in breaking
    others = [row for row in ROWS if "test_misbehaving_workers" not in row[-1]]
    (told,) = re.findall(r"The default tier injects (\d+) different faults: (\d+) .*? and those of (\d+)", FLOWING)
    assert tuple(map(int, told)) == (len(FAULTS) + len(others), len(FAULTS), len(others))
    assert len(FAULTS) + len(others) >= 120, "as many as every run is to inject"


def test_no_two_rows_rest_on_one_test():
    named = [row[-1] for row in ROWS]
    assert len(set(named)) == len(named) >= 40


@pytest.mark.parametrize("name", ["misbehaving_worker", "scripted_worker", "runaways", "disks", "helpers"])
def test_injector_is_named_and_there(name):
    assert f"`{name}`" in PAGE and (ROOT / "pipelines" / "testing" / f"{name}.py").is_file()
