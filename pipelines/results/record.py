"""A record as text and back: strict JSON with a checksum, a schema version, and the fields that readers rely on."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from pipelines.canonical import canonical

SCHEMA = 2
CHECKSUM = "record_sha256"
"""The field that holds the SHA-256 of the record's compact JSON without this field."""
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: lambda record: {**record, "schema": 2}}
"""From schema version n to a function that turns such a record into one of version n + 1. Version 1 had no checksum."""
ARRAYS = re.compile(r"arrays(-[0-9a-f]+)?\.npz")


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Identity(_Fields):
    study: str
    task: str
    framework: str
    parameters: dict[str, Any]
    seed: int
    device: str


class _Provenance(_Fields):
    started: str | None = None


class _Timing(_Fields):
    rounds: int | None = None
    load_average: float | None = None
    idle_fraction: float | None = None


class _Record(_Fields):
    """What every reader of a record may rely on."""

    key: Annotated[str, Field(min_length=1)]
    identity: _Identity
    inputs: dict[str, str]
    status: Literal["ok", "invalid", "skipped", "failed", "timeout", "oom"]
    reason: str | None = None
    provenance: _Provenance
    timing: _Timing | None = None
    diagnostics: dict[str, Any] = {}
    arrays: str = "arrays.npz"
    arrays_sha256: str
    order: Annotated[int, Field(ge=0)] = 0


class NewerSchema(ValueError):
    """The record was written by a later version of this program."""


def encode_record(record: Mapping[str, Any]) -> str:
    """The text of a record: canonical JSON, a line for each of its fields.

    A float that JSON lacks becomes null, and `nonfinite` says what stood where.
    """
    nonfinite: dict[str, str] = {}
    strict = _strict(dict(record), (), nonfinite)
    strict["nonfinite"] = nonfinite
    strict[CHECKSUM] = _checksum(strict)
    lines = (f"{canonical(name)}:{canonical(strict[name])}" for name in sorted(strict))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def decode_record(text: bytes, is_checked: bool = False) -> dict[str, Any]:
    """The record of a text, checked, in the newest schema, with its nonfinite floats back in place.

    Args:
        text: the content of its file.
        is_checked: whether this very text was decoded before, so that its checksum and its fields are right.

    Raises:
        NewerSchema: a later version of this program wrote it.
        ValueError: it is not the text of a record, or was changed since it was written.
    """
    try:
        record = _parsed(text)
        if not isinstance(record, dict):
            raise ValueError("record.json holds no object")
        version = record.get("schema")
        if type(version) is not int:
            raise ValueError("record.json has no schema version")
        if version > SCHEMA:
            raise NewerSchema(f"written by a later version (schema {version}, this one knows {SCHEMA})")
        _verify(record, version, text, is_checked)
        for path, value in record.pop("nonfinite", {}).items():
            _put(record, json.loads(path), float(value))
    except RecursionError:
        raise ValueError("record.json is nested too deeply") from None
    except (AttributeError, KeyError, IndexError, TypeError):
        raise ValueError("its list of nonfinite numbers does not fit the rest") from None
    while version != SCHEMA:
        if version not in MIGRATIONS:
            raise ValueError(f"schema {version} is too old")
        record = MIGRATIONS[version](record)
        version = record["schema"]
    if is_checked:
        return record
    try:
        _Record.model_validate(record)
    except ValidationError as error:
        wrong = dict.fromkeys(".".join(map(str, one["loc"])) + f" ({one['msg'].lower()})" for one in error.errors())
        raise ValueError(f"record.json lacks or misstates {', '.join(list(wrong)[:4])}") from None
    if not ARRAYS.fullmatch(record.get("arrays", "arrays.npz")):
        raise ValueError(f"record.json names {record['arrays']!r} as the file of its arrays")
    return record


def _parsed(text: bytes) -> Any:
    try:
        return from_json(text, allow_inf_nan=False, cache_strings="keys")  # in half the time
    except ValueError:
        return json.loads(text.decode("utf-8"))  # it also takes halves of surrogate pairs, which file names may have


def _verify(record: dict[str, Any], version: int, text: bytes, is_checked: bool) -> None:
    told = record.pop(CHECKSUM, None)
    if is_checked:
        return
    if told is None and version in (0, 1):
        return
    if told is None:
        raise ValueError("record.json has no checksum")
    if told != _checksum_of_text(text) and told != _checksum(record):
        raise ValueError("the checksum of record.json is wrong")


def _checksum(strict: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(strict).encode("utf-8", "surrogatepass")).hexdigest()


def _checksum_of_text(text: bytes) -> str | None:
    """The same from the text that `encode_record` makes, in a tenth of the time of encoding the record again.

    Of a text that is laid out otherwise it is another one, so that this one proves a record right, never wrong.
    """
    begin = text.find(b'\n"' + CHECKSUM.encode() + b'":"')
    end = text.find(b"\n", begin + 1)
    if begin < 0 or end < 0:
        return None
    return hashlib.sha256((text[:begin] + text[end:]).replace(b"\n", b"")).hexdigest()


def _put(record: Any, path: list[Any], value: float) -> None:
    *parents, leaf = path
    for name in parents:
        record = record[name]
    record[leaf] = value


def _strict(value: Any, path: tuple, nonfinite: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _strict(item, (*path, str(name)), nonfinite) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item, (*path, index), nonfinite) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite[json.dumps(list(path))] = repr(value)
        return None
    return value
