"""docs/architecture.md: every file and function that it walks through exists, and the flow shows the rooms."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FLOW = (ROOT / "docs" / "pictures" / "flow.svg").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:genjax|pipelines|frameworks|studies|configs|tests)/[\w/.]*)`", PAGE)))
CALLED = re.findall(r"`([\w/]+\.py)`\s+\(`([\w.]+)`", PAGE)


@pytest.mark.parametrize("path", PATHS)
def test_named_files_exist(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), CALLED)
def test_named_functions_are_in_their_files(path, name):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert all(re.search(rf"^\s*(def|class) {part}\b", text, re.MULTILINE) for part in name.split("."))


def test_the_flow_shows_the_rooms_of_the_pipelines():
    drawn = set(re.findall(r">(\w+)/</text>", FLOW)) - {"studies", "frameworks"}
    assert "](pictures/flow.svg)" in PAGE and drawn == {"config", "plan", "workers", "race", "results", "output"}
    assert all((ROOT / "pipelines" / name).is_dir() for name in drawn)


def test_the_clock_is_at_most_eight_steps_away():
    walk = PAGE.partition("**Where is a cell timed?**")[2].partition("**Where is the weight")[0]
    assert walk.count("→") <= 8 and "timing.py" in walk


def test_listed_folders_exist():
    folders = re.findall(r"^\| `([a-z]+)/` \|", PAGE, re.MULTILINE)
    assert len(folders) >= 8
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
