"""README: its Python runs and prints what it says, its tasks exist, its links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.examples import printed, printed_by_comment, python_blocks

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TASKS = tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))["tasks"]
PYTHON_BLOCKS = python_blocks(README)


def test_there_is_an_example():
    assert len(PYTHON_BLOCKS) >= 1


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
def test_python_runs_and_prints_what_it_says(block):
    assert printed_by_comment(block)
    assert printed(block, "README.md", {"__name__": "readme"}) == printed_by_comment(block)


def test_named_tasks_exist():
    named = set(re.findall(r"\./run ([a-z][a-z0-9-]*)", README))
    assert {"paper-figures", "test", "smoke"} <= named
    assert named <= set(TASKS)


def test_table_of_tasks_names_the_main_ones():
    rows = set(re.findall(r"^\| `\./run ([a-z0-9-]+)` \|", README, re.MULTILINE))
    assert {"paper-figures", "smoke", "test", "lint", "bench", "clean"} <= rows


def test_linked_files_and_folders_exist():
    linked = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    folders = re.findall(r"^\| `([a-z]+)/` \|", README, re.MULTILINE)
    assert len(folders) >= 5
    assert [target for target in [*linked, *folders] if not (ROOT / target).exists()] == []


def test_links_inside_the_page_lead_to_a_heading():
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings
