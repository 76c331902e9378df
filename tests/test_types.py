"""The type checker sees all of the code but the tests."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
UNCHECKED = {"tests", "docs"}
"""Tests have no annotations, and `docs/` holds one file, for the site's generator."""


def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]


def test_every_folder_with_programs_is_checked():
    hidden = (".", "build", "results", "figs")
    folders = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/**/*.py")}
    assert set(settings()["files"]) == {name for name in folders if not name.startswith(hidden)} - UNCHECKED


def test_a_missing_import_is_excused_package_by_package():
    assert "ignore_missing_imports" not in settings()
    excused = [name for one in settings()["overrides"] if one.get("ignore_missing_imports") for name in one["module"]]
    assert excused and all(name.endswith(".*") and name != "*" for name in excused)
