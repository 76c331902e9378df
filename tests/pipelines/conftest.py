"""A fresh small checkout for each test."""

import pytest

from pipelines.testing.toy import Toy
from pipelines.workers import cores


@pytest.fixture(autouse=True)
def locks_of_its_own(tmp_path, monkeypatch):
    """Tests that run at the same time do not see each other as runs that measure on this machine."""
    monkeypatch.setattr(cores, "LOCKS", tmp_path / "locks of the machine")


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)
