"""The results: one folder per cell, `<results>/<study>/<task>/<key>/{record.json, arrays.npz}`.

`record.json` is the pointer: it names the file of its arrays with a checksum, carries a checksum of its own, and is
replaced by one rename. Arrays that replace others get a new name and are there before the record that names them, so
that a reader sees an old record or the new one, whole, and never has to change anything. What cannot be trusted counts
as missing and stays where it is, until a run that holds the lock measures the cell again and sets it aside.
"""

import errno
import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.atomic import flush_folder, write_atomically
from pipelines.canonical import canonical
from pipelines.errors import StoreError
from pipelines.results import files
from pipelines.results.lock import locked
from pipelines.results.packed import pack, unpack
from pipelines.results.record import ARRAYS, SCHEMA, NewerSchema, decode_record, encode_record

RECORD = "record.json"
HALF_WRITTEN = re.compile(r"\.(record\.\d+\.json|arrays.*\.\d+\.npz|new-.*)")
"""What a killed run leaves in the folder of a record; those of earlier versions began with `.new-`."""
CHANGES_WHILE_READ = 100
"""How often a record may be replaced between the reading of its two files before the reader gives up."""


class Store:
    """The results folder.

    Args:
        root: the folder; made when first written.
        say: gets one line about anything unusual that was found.
    """

    def __init__(self, root: Path, say: Callable[[str], None] = print):
        self.root = root
        self._say = say
        self._said: set[str] = set()
        self._checked = files.Checked()
        self._kept: dict[str, dict[str, Any]] = {}
        """The records of files that were checked: rows after a plan parse nothing again. Not to be changed."""

    def load(self, study: str, task: str, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The record and arrays of a key, or None if there is none that can be trusted.

        Raises:
            StoreError: it is there but cannot be read now (too many open files, a disk or network that fails).
        """
        found = self._read(study, task, key)
        if found is None:
            return None
        record, content = found
        try:
            arrays = unpack(content)
            if "samples_s" in arrays and not isinstance(record.get("timing"), dict):
                raise ValueError("it has block times but nothing about their race")
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            self._tell_corrupt(self.root / study / task / key, error)
            return None
        return record, arrays

    def intact(self, study: str, task: str, key: str) -> dict[str, Any] | None:
        """The record of a key whose two files have the right checksums, without unpacking its arrays; None otherwise.

        Raises:
            StoreError: as `load`.
        """
        found = self._read(study, task, key)
        return None if found is None else found[0]

    def has_arrays(self, record: Mapping[str, Any]) -> bool:
        """Whether the arrays of a record that `records` gave are there with the right checksum."""
        identity = record["identity"]
        names = (identity["study"], identity["task"], record["key"], record.get("arrays", "arrays.npz"))
        path = os.path.join(self.root, *names)
        if self._checked.still_has(path, record["arrays_sha256"]):
            return True
        try:
            content, state = files.read_file(path)
        except OSError:
            return False  # `intact` and `load` say what is wrong
        return self._is_right(path, content, state, record["arrays_sha256"])

    def records(self, study: str, task: str) -> Iterator[dict[str, Any]]:
        """Every readable record of a task, by key, without its arrays."""
        try:
            keys = sorted(os.listdir(self.root / study / task))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise _unreadable(self.root / study / task, error) from error
        for key in keys:
            if "." in key:
                continue  # set aside, or not of this store
            path = os.path.join(self.root, study, task, key, RECORD)  # joining Paths takes longer than the reading
            try:
                record = self._record(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except NewerSchema as error:
                self._tell(f"{os.path.dirname(path)}: {error}; it counts as missing.")
                continue
            except ValueError as error:
                self._tell_corrupt(os.path.dirname(path), error)
                continue
            except OSError as error:
                self._tell(f"{_unreadable(path, error)} It is left out.")
                continue
            if record["key"] == key:
                yield record

    def history(self, study: str, task: str) -> dict[str, list[dict[str, Any]]]:
        """The records of a task by the canonical identity of their cells, each from old to new."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in sorted(self.records(study, task), key=by_age):
            found.setdefault(canonical(record["identity"]), []).append(record)
        return found

    def newest(self, study: str, task: str, machine: str | None = None) -> dict[str, dict[str, Any]]:
        """The newest record of every cell of a task by its canonical identity, whatever its status.

        A row that is right and older than one that is wrong proves nothing about the program of today. One that was
        skipped, though, says nothing of the program and counts only where there is no other.

        Args:
            study: of the cells.
            task: of the cells.
            machine: whose records come before all others, so that a figure does not mix machines.
        """
        found = {}
        for identity, records in self.history(study, task).items():
            tried = [one for one in records if one["status"] != "skipped"] or records
            here = [one for one in tried if machine is not None and one["inputs"].get("machine") == machine]
            found[identity] = (here or tried)[-1]
        return found

    def save(self, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a record in one step. The newest counts, whatever its status.

        "skipped" alone, which says nothing of the program, leaves an "ok" row in place, and nothing but "ok" replaces a
        record of a later schema.

        Args:
            record: strict JSON values except for NaN and infinities, which are stored as null with their path.
            arrays: stored in float64 or as they are; no objects.

        Raises:
            StoreError: if the disk is full or the folder cannot be written; what was there stays.
        """
        identity, key = record["identity"], record["key"]
        folder = self.root / identity["study"] / identity["task"] / key
        try:
            old = self._give_way(folder, record["status"])
            if old is _KEEP:
                return
            folder.mkdir(parents=True, exist_ok=True)
            content = pack(arrays)
            checksum = hashlib.sha256(content).hexdigest()
            name = "arrays.npz" if old is None else f"arrays-{checksum[:12]}.npz"
            write_atomically(folder / name, content, durable=True)
            complete = {**record, "schema": SCHEMA, "arrays": name, "arrays_sha256": checksum}
            write_atomically(folder / RECORD, encode_record(complete), durable=True)
            for left in folder.iterdir():
                if left.name != name and (ARRAYS.fullmatch(left.name) or HALF_WRITTEN.fullmatch(left.name)):
                    with suppress(FileNotFoundError):
                        left.unlink()
        except OSError as error:
            raise store_error(error, self.root) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the lock of the folder: two runs that measure at once would disturb each other's times anyway."""
        with ExitStack() as stack:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                text = f"Another run is measuring into {self.root}; waiting for it to end."
                stack.enter_context(locked(self.root, lambda: self._say(text)))
            except OSError as error:
                raise store_error(error, self.root) from error
            yield

    def _read(self, study: str, task: str, key: str) -> tuple[dict[str, Any], bytes] | None:
        """The checked record and the checked bytes of its arrays."""
        folder = os.path.join(self.root, study, task, key)
        path, before = os.path.join(folder, RECORD), None
        for _ in range(CHANGES_WHILE_READ):
            try:
                record = self._record(path)
                if record["key"] != key:
                    raise ValueError(f"it is the record of {record['key']}")
            except (FileNotFoundError, NotADirectoryError):
                return None
            except NewerSchema as error:
                self._tell(f"{folder}: {error}; it counts as missing.")
                return None
            except ValueError as error:
                self._tell_corrupt(folder, error)
                return None
            except OSError as error:
                raise _unreadable(path, error) from error
            try:
                arrays = os.path.join(folder, record.get("arrays", "arrays.npz"))
                content, state = files.read_file(arrays)
                if not self._is_right(arrays, content, state, record["arrays_sha256"]):
                    raise ValueError("the checksum of its arrays is wrong")
                return record, content
            except FileNotFoundError:
                if record != before:
                    before = record
                    continue  # replaced in between: the new record names other arrays
                self._tell_corrupt(folder, ValueError("its arrays are missing"))
                return None
            except ValueError as error:
                self._tell_corrupt(folder, error)
                return None
            except OSError as error:
                raise _unreadable(folder, error) from error
        raise StoreError(f"Cannot read {folder}: it is being replaced all the time. Run again.")

    def _record(self, path: str) -> dict[str, Any]:
        """The record of a file, as `decode_record` gives it; read and checked once for each state of the file.

        Raises:
            OSError, ValueError, NewerSchema: it cannot be read, or is none.
        """
        if path in self._kept and self._checked.still_has(path, RECORD):
            return self._kept[path]
        text, state = files.read_file(path)
        record = decode_record(text, self._checked.has(path, state, RECORD))
        self._checked.add(path, state, RECORD)
        self._kept[path] = record
        return record

    def _is_right(self, path: str, content: bytes, state: files.State, checksum: str) -> bool:
        """Whether a file has a checksum, which is computed once for each state of the file."""
        if self._checked.has(path, state, checksum):
            return True
        if hashlib.sha256(content).hexdigest() != checksum:
            return False
        self._checked.add(path, state, checksum)
        return True

    def _give_way(self, folder: Path, status: str) -> object:
        """Makes room for a record: None where there is none, `_KEEP` if what is there must stay."""
        try:
            text, _ = files.read_file(str(folder / RECORD))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(folder, error) from error
        try:
            old = decode_record(text)
        except NewerSchema:
            if status != "ok":
                return _KEEP
            self._set_aside(folder, "newer")
            return None
        except ValueError:
            self._set_aside(folder, "corrupt")
            return None
        trusted = self._read(folder.parent.parent.name, folder.parent.name, folder.name)
        if trusted is None:
            self._set_aside(folder, "corrupt")
            return None
        return _KEEP if status == "skipped" and old["status"] == "ok" else old

    def _set_aside(self, folder: Path, why: str) -> None:
        names = (f"{folder.name}.{why}{number or ''}" for number in range(10_000))
        target = next(folder.with_name(name) for name in names if not folder.with_name(name).exists())
        os.rename(folder, target)
        flush_folder(folder.parent)
        self._say(f"{folder} makes room for a new record; what was there is kept as {target.name}.")

    def _tell_corrupt(self, folder: str | Path, error: Exception) -> None:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        self._tell(f"Corrupt record {folder}: {reason}. The cell counts as missing.")

    def _tell(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


_KEEP = object()


def by_age(record: Mapping[str, Any]) -> tuple[int, str]:
    """Sorts the records of one cell from old to new: by the count that each carries, and only then by the clock.

    A clock that was set back, or a record dated 2099, must not decide what is newest.
    """
    return (record.get("order") or 0, record["provenance"].get("started") or "")


def store_error(error: OSError, root: Path, setting: str = "results") -> StoreError:
    """The one line about a folder that cannot be written; `setting` is the one that chooses another."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"The disk of {root} is full. Free some space and run again: finished cells are kept.")
    return StoreError(f"Cannot write {root}: {error.strerror or error}. Choose another folder with {setting}=FOLDER.")


def _unreadable(path: str | Path, error: OSError) -> StoreError:
    """The one line about a record that is there but cannot be read now, which says nothing about the record."""
    return StoreError(f"Cannot read {path}: {error.strerror or error}. Nothing was changed.")
