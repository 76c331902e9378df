"""Pages beside the guides: their examples run, their commands exist, their links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.examples import printed, printed_by_comment, python_blocks

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "AGENTS.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
TASKS = tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))["tasks"]


def test_examples_for_assistants_print_what_they_say():
    namespace = {"__name__": "agents"}
    blocks = python_blocks((ROOT / "AGENTS.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 3
    for block in blocks:
        lines = printed(block, "AGENTS.md", namespace)
        assert lines and lines == printed_by_comment(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_task_that_a_page_names_exists(page):
    named = set(re.findall(r"\./run ([a-z][a-z0-9_-]+)", page.read_text(encoding="utf-8")))
    assert named - set(TASKS) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_links_to_exists(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_page_for_assistants_is_one_page():
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 120
