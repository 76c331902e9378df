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


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_table_of_tasks_names_the_main_ones():
    running = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `\./run ([a-z0-9-]+)[^`]*` \|", running, re.MULTILINE))
    assert {"paper-figures", "smoke", "test", "lint", "bench", "clean", "docs", "release"} <= rows <= set(TASKS)


def test_every_page_of_the_documentation_can_be_reached():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text(encoding="utf-8"))
        waiting += {(page.parent / target).resolve() for target in targets if "://" not in target} - reached
    assert set((ROOT / "docs").rglob("*.md")) - reached == set()


def test_linked_files_exist():
    linked = [target for target in re.findall(r"\]\(([^)#]+)", README) if "://" not in target]
    assert len(linked) > 15
    assert [target for target in linked if not (ROOT / target).exists()] == []


def test_messages_of_troubleshooting_are_those_of_the_code():
    sources = "".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "genjax").rglob("*.py"), ROOT / "run"])
    table = README.partition("## Troubleshooting")[2]
    for message in ("LoweringSamplePrimitiveToMLIRException", "was never given an address"):
        assert message in table and message in sources
    assert "this needs Python {needed} or later" in sources and "`this needs Python 3.11 or later`" in table


def test_links_inside_the_page_lead_to_a_heading():
    headings = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", README, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings
