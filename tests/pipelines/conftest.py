"""A small checkout for each test: a fresh one, or a copy of one that was measured once for all."""

import copy
import shutil

import pytest

from pipelines.plan.tree import Tree
from pipelines.testing.toy import Toy
from pipelines.workers import cores


@pytest.fixture(autouse=True)
def locks_of_its_own(tmp_path, monkeypatch):
    """Tests that run at the same time do not see each other as runs that measure on this machine."""
    monkeypatch.setattr(cores, "LOCKS", tmp_path / "locks of the machine")


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which everything was measured and drawn once."""
    toy = Toy(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cores, "LOCKS", tmp_path_factory.mktemp("locks of the machine"))
        assert toy.run() == 0
    return toy


@pytest.fixture
def measured(finished, tmp_path):
    """A copy of it, for tests of what happens afterwards."""
    toy = copy.copy(finished)
    toy.root = shutil.copytree(finished.root, tmp_path / "checkout")
    toy.tree = Tree(toy.root)
    return toy
