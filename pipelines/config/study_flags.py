"""A study's `flags.py`, loaded and checked. It may be somebody else's file: whatever is wrong with it is one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.errors import ConfigurationFaults
from pipelines.plan.tree import load_module
from studies.base import Flag


def declared(path: Path, study: str) -> dict[str, dict[str, Any]]:
    """`FLAGS` and `WORDS` of the file, each empty if it is not there.

    Raises:
        ConfigurationFaults: the file cannot be imported, or one of the two is not what `studies.base.Flag` says.
    """
    try:
        module = load_module(path, f"studies.{study}.flags")
    except Exception as error:  # noqa: BLE001 another's file, whatever it does: its fault is a line
        first = next(iter(str(error).strip().splitlines()), "")
        raise ConfigurationFaults([f"{path} cannot be imported: {type(error).__name__}: {first}"]) from None
    found = {name: getattr(module, name, {}) for name in ("FLAGS", "WORDS")}
    faults = [f"{path}: {text}" for text in _faults(found)]
    if faults:
        raise ConfigurationFaults(faults)
    return found


def _faults(found: dict[str, Any]) -> Iterator[str]:
    for name, kind, is_right in (("FLAGS", "a Flag", _is_flag), ("WORDS", "a tuple of overrides", _are_words)):
        if not isinstance(found[name], dict):
            yield f"{name} must be a dict by name, got {type(found[name]).__name__}."
            continue
        for key, value in found[name].items():
            if not isinstance(key, str) or not is_right(value):
                yield f"{name}[{key!r}] must be {kind} (see studies/base.py), got {value!r:.80}."


def _is_flag(value: object) -> bool:
    """Whether it is a flag whose overrides are texts with no other placeholder than `{value}`."""
    if not isinstance(value, Flag):
        return False
    lists = [value.overrides, *(value.choices or {}).values(), *(value.absent or {}).values()]
    return all(map(_are_words, lists)) and all(map(_can_expand, value.overrides))


def _are_words(value: object) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(word, str) for word in value)


def _can_expand(word: str) -> bool:
    try:
        word.format(value="")
    except (KeyError, IndexError, ValueError):
        return False
    return True
