"""Long files of few tests come first, so that no worker waits for the other at the end."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.order import LONG, place, pytest_collection_modifyitems

ROOT = Path(__file__).resolve().parent.parent


def ordered(names, **config):
    items = [SimpleNamespace(path=ROOT / "tests" / name, number=number) for number, name in enumerate(names)]
    pytest_collection_modifyitems(SimpleNamespace(rootpath=ROOT, **config), items)
    return [(item.path.name, item.number) for item in items]


def test_long_files_come_first_and_the_others_by_their_number_of_tests():
    names = ["a/test_one.py", "a/test_two.py", "a/test_two.py", LONG[1], LONG[0], "b/test_three.py"]
    found = ordered(names, workerinput={})
    assert [number for _, number in found] == [4, 3, 1, 2, 0, 5]


def test_one_process_keeps_the_usual_order():
    names = ["a/test_one.py", "a/test_two.py", LONG[0]]
    assert [number for _, number in ordered(names)] == [0, 1, 2]


def test_long_files_keep_their_own_order():
    backwards = LONG[::-1]
    assert sorted(backwards, key=lambda name: place(name, 1)) == list(LONG)


@pytest.mark.parametrize("name", LONG)
def test_what_is_named_exists(name):
    assert (ROOT / "tests" / name).is_file()


def test_xdist_keeps_the_order():
    task = tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))["tasks"]["test"]
    assert "--dist loadfile --no-loadscope-reorder" in task["cmd"]
