"""The results: one folder per cell, `<results>/<study>/<task>/<key>/{record.json, arrays.npz}`.

A folder is written whole under a temporary name, flushed to disk, and renamed; one that it replaces is set aside first
and put back if a kill came in between. So a reader sees all of a record or none of it. A record whose JSON, shape or
array checksum is wrong is set aside as `<key>.corrupt` and counts as missing. Runs that measure hold an exclusive lock
on the folder; readers need none.
"""

import errno
import fcntl
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import StoreError

SCHEMA = 1
STATUSES = ("ok", "invalid", "skipped", "failed", "timeout", "oom")
REQUIRED = {"schema": int, "key": str, "identity": dict, "inputs": dict, "status": str, "provenance": dict}
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From schema version n to a function that turns such a record into one of version n + 1."""


class Store:
    """The results folder.

    Args:
        root: the folder; made when first written.
        say: gets one line about anything unusual that was found.
    """

    def __init__(self, root: Path, say: Callable[[str], None] = print):
        self.root = root
        self._say = say

    def load(self, study: str, task: str, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The record and arrays of a key, or None if there is none that can be trusted."""
        folder = self.root / study / task / key
        aside = folder.with_name(f".old-{key}")
        if not folder.exists():
            if not aside.exists():
                return None
            _rename(aside, folder)  # a run was killed between the two renames of `save`
        try:
            record = _read_record(folder)
            if record["key"] != key:
                raise ValueError(f"it is the record of {record['key']}")
            content = (folder / "arrays.npz").read_bytes()
            if hashlib.sha256(content).hexdigest() != record.get("arrays_sha256"):
                raise ValueError("the checksum of arrays.npz is wrong")
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return record, {name: file[name] for name in file.files}
        except PermissionError as error:
            raise StoreError(f"Cannot read {folder}: {error.strerror}.") from error
        except NewerSchema as error:
            self._say(f"{folder}: {error}; it counts as missing.")
            return None
        except (ValueError, KeyError, OSError) as error:
            self._set_aside(folder, str(error) or type(error).__name__)
            return None

    def records(self, study: str, task: str) -> Iterator[dict[str, Any]]:
        """Every readable record of a task, without its arrays and without changing anything."""
        for folder in sorted((self.root / study / task).glob("[!.]*/")):
            if ".corrupt" in folder.name:
                continue
            try:
                yield _read_record(folder)
            except (ValueError, KeyError, OSError):
                continue  # `load` reports it if it is asked for

    def save(self, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes a record in one step. A row that is not "ok" never replaces one that is.

        Args:
            record: strict JSON values but for NaN and infinities, which are stored as null with their path.
            arrays: stored in float64 or as they are; no objects.

        Raises:
            StoreError: if the disk is full or the folder cannot be written; what was there stays.
        """
        identity, key = record["identity"], record["key"]
        folder = self.root / identity["study"] / identity["task"] / key
        if record["status"] != "ok" and folder.exists():
            old = self.load(identity["study"], identity["task"], key)
            if old is not None and old[0]["status"] == "ok":
                return
        fresh = folder.with_name(f".new-{key}-{os.getpid()}")
        try:
            fresh.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # its stub takes a name for allow_pickle
            content = buffer.getvalue()
            _write(fresh / "arrays.npz", content)
            complete = {"schema": SCHEMA, **record, "arrays_sha256": hashlib.sha256(content).hexdigest()}
            _write(fresh / "record.json", encode_record(complete).encode())
            aside = folder.with_name(f".old-{key}")
            if folder.exists():
                shutil.rmtree(aside, ignore_errors=True)
                _rename(folder, aside)
            _rename(fresh, folder)
            shutil.rmtree(aside, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise store_error(error, self.root) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the lock of the folder: two runs that measure at once would disturb each other's times anyway."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / ".lock").open("a+")
        except OSError as error:
            raise store_error(error, self.root) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"Another run is measuring into {self.root}; waiting for it to end.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.root.glob("*/*/.new-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def _set_aside(self, folder: Path, reason: str) -> None:
        target = folder.with_name(f"{folder.name}.corrupt")
        try:
            shutil.rmtree(target, ignore_errors=True)
            _rename(folder, target)
        except OSError as error:
            raise store_error(error, self.root) from error
        reason = reason.strip().splitlines()[0]
        self._say(f"Corrupt record {folder}: {reason}. Kept as {target.name}; the cell counts as missing.")


class NewerSchema(ValueError):
    """The record was written by a later version of this program."""


def store_error(error: OSError, root: Path) -> StoreError:
    """The one line about a results folder that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"The disk of {root} is full. Free some space and run again: finished cells are kept.")
    return StoreError(f"Cannot write {root}: {error.strerror or error}. Choose another folder with results=FOLDER.")


def encode_record(record: Mapping[str, Any]) -> str:
    """Strict JSON of a record: a float that JSON lacks becomes null, and `nonfinite` says what stood where."""
    nonfinite: dict[str, str] = {}
    strict = _strict(dict(record), "", nonfinite)
    return json.dumps({**strict, "nonfinite": nonfinite}, allow_nan=False, indent=1, sort_keys=True) + "\n"


def decode_record(text: str) -> dict[str, Any]:
    """The record of a JSON text, with its nonfinite floats back in place.

    Raises:
        ValueError: if it is not the JSON of a record.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("record.json holds no object")
    for path, value in record.pop("nonfinite", {}).items():
        *parents, leaf = json.loads(path)
        place: Any = record
        for name in parents:
            place = place[name]
        place[leaf] = float(value)
    return record


def _strict(value: Any, path: Any, nonfinite: dict[str, str]) -> Any:
    here = path or ()
    if isinstance(value, Mapping):
        return {str(name): _strict(item, (*here, str(name)), nonfinite) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item, (*here, index), nonfinite) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite[json.dumps(list(here))] = repr(value)
        return None
    return value


def _read_record(folder: Path) -> dict[str, Any]:
    record = decode_record((folder / "record.json").read_text(encoding="utf-8"))
    version = record.get("schema")
    if isinstance(version, int) and version > SCHEMA:
        raise NewerSchema(f"written by a later version (schema {version}, this one knows {SCHEMA})")
    while isinstance(version, int) and version < SCHEMA:
        if version not in MIGRATIONS:
            raise ValueError(f"schema {version} is too old")
        record = MIGRATIONS[version](record)
        version = record["schema"]
    wrong = [name for name, kind in REQUIRED.items() if not isinstance(record.get(name), kind)]
    if wrong:
        raise ValueError(f"record.json lacks {', '.join(wrong)}")
    if record["status"] not in STATUSES:
        raise ValueError(f"record.json has the unknown status {record['status']!r}")
    return record


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _rename(source: Path, target: Path) -> None:
    os.rename(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
