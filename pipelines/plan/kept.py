"""Hashes that earlier runs found and kept in the results folder: of what sources mean, and of the data of problems.

Each is found by a hash of all that it depends on, content and not time stamps, so it cannot be out of date. A file of
them that is damaged, or written by other hands, has a wrong checksum and counts as absent.
"""

import hashlib
import json
import platform
from collections.abc import Callable
from pathlib import Path

from pipelines.atomic import write_atomically
from pipelines.canonical import canonical

NAME = ".hashes"
MOST = 5000
"""Entries in a file; of more, those that were used last are kept."""


class KeptHashes:
    """Hashes by what they depend on.

    Args:
        folder: of results, for those of earlier runs; None keeps them for this object alone.
    """

    def __init__(self, folder: Path | None = None):
        self._path = None if folder is None else folder / NAME
        self._old = {} if self._path is None else _read(self._path)
        self._used: dict[str, str] = {}

    def get(self, depends_on: str, find: Callable[[], str]) -> str:
        """The hash of something, from `find` if it is not known yet.

        Args:
            depends_on: a text that differs wherever the hash may.
            find: computes it.
        """
        known = self.known(depends_on)
        return self.add(depends_on, find()) if known is None else known

    def known(self, depends_on: str) -> str | None:
        """The hash, if it was found before."""
        name = _name(depends_on)
        if name in self._old:
            self._used.setdefault(name, self._old[name])
        return self._used.get(name)

    def add(self, depends_on: str, found: str) -> str:
        """Keeps a hash, and returns it."""
        self._used[_name(depends_on)] = found
        return found

    def save(self) -> None:
        """Writes what was used and what is left of the old, if anything is new.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._path is None or self._used.items() <= self._old.items():
            return
        unused = {name: found for name, found in self._old.items() if name not in self._used}
        entries = dict(list({**unused, **self._used}.items())[-MOST:])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps({"hashes": entries, "sha256": _checksum(entries)}) + "\n")
        self._old = entries


def _name(depends_on: str) -> str:
    return hashlib.sha256(f"{platform.python_version()} {depends_on}".encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_bytes())
        entries = content["hashes"]
        return entries if isinstance(entries, dict) and content["sha256"] == _checksum(entries) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # everything is found again


def _checksum(entries: dict[str, str]) -> str:
    return hashlib.sha256(canonical(entries).encode()).hexdigest()
