"""Files and folders are replaced as a whole or not at all, in one home."""

import os
import re

import pytest

from pipelines.atomic import replacing, replacing_folder, write_atomically
from pipelines.plan.tree import REPOSITORY


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "table.csv"
    write_atomically(path, "ö")
    assert path.read_text(encoding="utf-8") == "ö"
    write_atomically(path, b"\x00", durable=True)
    assert path.read_bytes() == b"\x00" and names(tmp_path) == ["table.csv"]


def test_after_an_exception_the_old_file_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "figure.pdf"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as fresh:
        assert fresh.suffix == ".pdf", "libraries tell formats by the suffix"
        fresh.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and names(tmp_path) == ["figure.pdf"]


def test_the_flush_comes_before_the_renaming(tmp_path, monkeypatch):
    steps = []
    real = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("flush"), real[0](descriptor)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("rename"), real[1](*paths)))
    write_atomically(tmp_path / "x", "1", durable=True)
    assert steps == ["flush", "rename", "flush"]


def test_a_folder_is_replaced(tmp_path):
    folder = tmp_path / "page"
    for word in ("one", "two"):
        with replacing_folder(folder) as fresh:
            (fresh / word).touch()
        assert names(folder) == [word] and names(tmp_path) == ["page"]


@pytest.mark.parametrize("fails", ["while it is filled", "when it is renamed"])
def test_after_an_exception_the_old_folder_is_there(tmp_path, monkeypatch, fails):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "old").touch()
    if fails == "when it is renamed":
        real, calls = os.rename, []

        def rename(*paths):
            calls.append(paths)
            if len(calls) == 2:
                raise OSError(5, "Input/output error")
            real(*paths)

        monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="Input/output error"), replacing_folder(folder):
        if fails == "while it is filled":
            raise OSError(5, "Input/output error")
    assert names(folder) == ["old"] and names(tmp_path) == ["page"]


def test_nothing_else_renames_what_it_wrote():
    """`genjax` imports nothing of this package, and `disks` makes a renaming slow."""
    found = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "pipelines").rglob("*.py")
        if re.search(r"\bos\.replace\(|\.replace\(path\)|os\.rename\(fresh", path.read_text(encoding="utf-8"))
    }
    assert found == {"pipelines/atomic.py"}
