"""Files of a store as one process reads them: each with the facts that tell whether it is still what was checked."""

import os
import time
from typing import NamedTuple

SETTLED_SECONDS = 3.0
"""A file that changes within the resolution of its clock keeps its time: two seconds on some file systems."""


class State(NamedTuple):
    """What a file's content cannot change without, once the file is older than `SETTLED_SECONDS`."""

    size: int
    modified_ns: int
    inode: int
    device: int


def read_file(path: str) -> tuple[bytes, State]:
    """The content of a file, and the state that it was read in.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        state = _state(os.fstat(file.fileno()))
        return file.read(), state


class Checked:
    """Which files were found to be right, and for what: so one process checks each once, and again when it changes.

    As in git's index, a young file is not remembered.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[State, str]] = {}

    def add(self, path: str, state: State, what: str) -> None:
        """Remembers that the file in that state was right, for instance that it has the checksum `what`."""
        age = time.time() - 1e-9 * state.modified_ns
        if age > SETTLED_SECONDS:
            self._found[path] = (state, what)

    def has(self, path: str, state: State, what: str) -> bool:
        """Whether the file was found right before, and is in the same state."""
        return self._found.get(path) == (state, what)

    def still_has(self, path: str, what: str) -> bool:
        """The same of the file as it is now, without reading it."""
        found = self._found.get(path)
        if found is None or found[1] != what:
            return False
        try:
            return found[0] == _state(os.stat(path))
        except OSError:
            return False


def _state(status: os.stat_result) -> State:
    return State(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)
