"""Attributes of frameworks as the text has them: what Python would find, without running the file."""

import importlib

import pytest

from pipelines.attributes import Attributes, Unreadable
from pipelines.plan.tree import REPOSITORY, FrameworkDescription, Tree

BASE = """
from frameworks.base import Framework

LIBRARY = ("library==1.0",)
COMMAND = ("serve", "--fast")

class Shared(Framework):
    distributions = ("library",)
    requirements = LIBRARY
    devices: tuple = ("cpu",)
    environment = {"THREADS": "1"}
"""
CHILD = """
from frameworks.shared_base import COMMAND, Shared
from frameworks import shared_base

PINS = ("extra==2.0",)

class Child(Shared):
    name = "child"
    label = "The " + "child"
    requirements = (*Shared.requirements, *PINS)
    environment = {**Shared.environment, "MORE": "2"}
    distributions = Shared.distributions + ("extra",)
    command = shared_base.COMMAND + COMMAND[:0] if False else ()
"""
NAMES = ("name", "label", "requirements", "environment", "distributions", "devices", "repeatable")


@pytest.fixture
def attributes(tmp_path):
    (tmp_path / "shared_base.py").write_text(BASE)
    (tmp_path / "child.py").write_text(CHILD)
    return Attributes((tmp_path, REPOSITORY / "frameworks"))


def test_bases_constants_and_sums_are_followed_into_other_files(attributes, tmp_path):
    found, line = attributes.of(tmp_path / "child.py", "child", NAMES)
    assert found == {
        "name": "child",
        "label": "The child",
        "requirements": ("library==1.0", "extra==2.0"),
        "environment": {"THREADS": "1", "MORE": "2"},
        "distributions": ("library", "extra"),
        "devices": ("cpu",),
        "repeatable": True,
    }
    assert CHILD.splitlines()[line - 1] == "class Child(Shared):"


def test_what_the_text_cannot_tell_is_named_with_its_line(attributes, tmp_path):
    with pytest.raises(Unreadable, match=r"child.py, line 13: .* cannot tell what 'shared_base.COMMAND"):
        attributes.of(tmp_path / "child.py", "child", ("command",))


def test_imported_files_count_through_one_another(attributes, tmp_path):
    (tmp_path / "grandchild.py").write_text("from frameworks.child import Child\n")
    found = {path.name for path in attributes.files(tmp_path / "grandchild.py")}
    assert found == {"grandchild.py", "child.py", "shared_base.py", "base.py"}


def test_no_class_of_that_name(attributes, tmp_path):
    assert attributes.of(tmp_path / "shared_base.py", "shared_base", NAMES) is None


@pytest.mark.parametrize("name", ["genjl", "genjl_static", "handcoded_jax", "genjax"])
def test_text_and_python_agree(name):
    """The systems whose import is cheap: every attribute as the class itself has it."""
    described = Tree().describe(name)
    module = vars(importlib.import_module(f"frameworks.{name}"))
    (loaded,) = (one for one in module.values() if isinstance(one, type) and one.__dict__.get("name") == name)
    for field in FrameworkDescription.__dataclass_fields__:
        if field in ("color", "marker", "start_seconds", "environment", "not_reported"):
            continue
        assert getattr(described, field) == getattr(loaded, field), field
    assert dict(described.environment) == loaded.environment
    assert dict(described.not_reported) == loaded.not_reported
