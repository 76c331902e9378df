"""Folders for arrays on their way between processes: one for each run, and none of a run that was killed."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

PREFIX = "genjax-artifact-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that is named after this process; those of this user's dead processes are removed first."""
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{PREFIX}*"):
        if _is_left_over(folder):
            shutil.rmtree(folder, ignore_errors=True)  # another run may remove it at the same moment
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as own:
        yield Path(own)


def remove_left_over_files(folder: Path, name: str) -> None:
    """Removes the temporary files of one figure that a killed process left: `.NAME.PROCESS.SUFFIX`."""
    for path in folder.glob(".*"):
        found = re.fullmatch(rf"\.{re.escape(name)}\.(\d+)\.(pdf|png|svg|gif|json)", path.name)
        if found and path.is_file() and not psutil.pid_exists(int(found.group(1))):
            path.unlink(missing_ok=True)


def _is_left_over(folder: Path) -> bool:
    found = re.fullmatch(rf"{re.escape(PREFIX)}(\d+)-[a-z0-9_]+", folder.name)
    if found is None or folder.is_symlink():
        return False
    try:
        is_own = folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False
    return is_own and not psutil.pid_exists(int(found.group(1)))
