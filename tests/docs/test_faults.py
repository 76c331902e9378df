"""The page of faults: every row names a test that exists, every column is filled, and the injectors are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| fault |")
]


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_row_names_a_test_that_exists(row):
    assert len(row) == 5 and all(row), "fault, what you see, what is left, what continues, test"
    (named,) = re.findall(r"`((?:run/)?test_\w+\.py)::(test_\w+)`", row[-1])
    file, test = named
    assert test in names_in(ROOT / "tests" / ("" if "/" in file else "pipelines") / file)


def test_no_two_rows_rest_on_one_test():
    named = [row[-1] for row in ROWS]
    assert len(set(named)) == len(named) >= 40


@pytest.mark.parametrize("name", ["misbehaving_worker", "scripted_worker", "runaways", "disks", "helpers"])
def test_injector_is_named_and_there(name):
    assert f"`{name}`" in PAGE and (ROOT / "pipelines" / "testing" / f"{name}.py").is_file()
