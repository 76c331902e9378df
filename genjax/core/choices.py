"""Choice maps: plain nested dicts of values, and the wrappers that say more about a constraint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import jax
from jax.typing import ArrayLike

from genjax.core.partial import Indexed, select_where
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase, is_selected
from genjax.signatures import Choices, Constraints, PyTree

# Wrappers


@Pytree.dataclass
class Fixed(Pytree):
    """A choice that was supplied from outside. A trace keeps the mark; `get_choices` removes it."""

    value: PyTree

    def __repr__(self) -> str:
        return f"Fixed({self.value!r})"


def fixed(value: PyTree) -> Fixed:
    """`Fixed(value)`."""
    return Fixed(value)


Status: TypeAlias = "dict[str, Status] | bool"
"""The tree of some choices, with True where a choice is `Fixed`."""


class NotFixedException(Exception):
    """Some choices of a trace are not marked `Fixed`.

    Attributes:
        choice_map_status: the tree of the choices, with True where a choice is `Fixed`.
    """

    def __init__(self, choice_map_status: Status):
        self.choice_map_status = choice_map_status
        listing = "\n".join(_status_lines(choice_map_status, 1))
        super().__init__(
            "verify() found choices that were not supplied from outside:\n"
            f"{listing}\n"
            "Pass each as `fixed(value)` in the constraints of generate() if it should be."
        )


def _status_lines(status: Status, depth: int) -> list[str]:
    indent = "  " * depth
    if not isinstance(status, dict):
        return [f"{indent}{'Fixed' if status else 'NOT_FIXED'}"]
    lines = []
    for address, beneath in status.items():
        if isinstance(beneath, dict):
            lines += [f"{indent}{address!r}:", *_status_lines(beneath, depth + 1)]
        else:
            lines.append(f"{indent}{address!r}: {'Fixed' if beneath else 'NOT_FIXED'}")
    return lines


@Pytree.dataclass
class Strict(Pytree):
    """Constraints every address of which must be used; see `strict`."""

    choices: Choices


def strict(choices: Choices) -> Strict:
    """Constraints that must all be used: a misspelled or unused address is an error instead of being ignored.

    Accepted wherever constraints are: `model.generate(strict({"y": 1.0}), x)`.

    Raises:
        ValueError: by the method that takes the constraints, listing the unused addresses and the nearest known ones.
    """
    return Strict(choices)


# Reading constraints


def choice_path(path: tuple[Any, ...]) -> str:
    """A key path of JAX in a choice map as an address path, written `a/b`; '' for a single value."""
    return "/".join(str(getattr(key, "key", key)) for key in path)


def is_empty(constraints: Constraints) -> bool:
    """Whether constraints constrain nothing: `None`, `{}`, or a wrapper of these."""
    if isinstance(constraints, (Strict, Indexed)):
        return is_empty(constraints.choices)
    return constraints is None or (isinstance(constraints, dict) and not constraints)


def as_choices(x: Constraints) -> Constraints:
    """Constraints as nested dicts: of a trace its choices, of any other mapping a dict; `Strict` stays."""
    if isinstance(x, Strict):
        return Strict(as_choices(x.choices))
    if isinstance(x, Indexed):
        return Indexed(x.indices, as_choices(x.choices), x.where)
    if hasattr(x, "get_choices"):
        return x.get_choices()
    return {addr: as_choices(beneath) for addr, beneath in x.items()} if isinstance(x, Mapping) else x


def lookup(constraints: Constraints, addr: str) -> Constraints:
    """The constraints beneath an address, or None."""
    if isinstance(constraints, Strict):
        beneath = lookup(constraints.choices, addr)
        return Strict(beneath) if isinstance(beneath, (dict, Indexed)) else beneath
    if constraints is None:
        return None
    if not isinstance(constraints, dict):
        raise TypeError(
            f"Constraints for a generative function with addresses must be a dict from address to value, got "
            f"{type(constraints).__name__} where address {addr!r} was looked up."
        )
    return constraints.get(addr)


def without_strict(constraints: Constraints) -> Constraints:
    """Constraints without the `Strict` wrapper."""
    return constraints.choices if isinstance(constraints, Strict) else constraints


def nearest(addr: str, known: Iterable[str]) -> str:
    """`; nearest: 'a', 'b'` for a message, or nothing when no known address resembles `addr`."""
    close = difflib.get_close_matches(str(addr), [str(k) for k in known], n=3, cutoff=0.5)
    return f"; nearest: {', '.join(map(repr, close))}" if close else ""


def check_used(constraints: Constraints, visited: Iterable[str], what: str) -> None:
    """For `Strict` constraints: raise ValueError if an address of theirs was not visited."""
    if not isinstance(constraints, Strict) or not isinstance(constraints.choices, dict):
        return
    known = list(visited)
    unused = [addr for addr in constraints.choices if addr not in known]
    if unused:
        listing = "\n".join(f"  {addr!r}{nearest(addr, known)}" for addr in unused)
        raise ValueError(
            f"{what} got constraints at addresses that it does not use:\n{listing}\nAddresses used: "
            f"{', '.join(map(repr, known)) or 'none'}. Correct them, or pass the constraints without strict()."
        )


# Merging and filtering


def merge_choices(x: Choices, other: Choices, check: ArrayLike | None = None) -> tuple[Choices, Choices]:
    """Merge two choice maps.

    Args:
        x: nested dict of choices.
        other: nested dict of choices; wins where both have an address.
        check: if given, an address in both takes `where(check, x, other)`, and nothing is discarded.

    Returns:
        `(merged, discarded)`; `discarded` holds the losing values of `x`, or is None.
    """
    if is_empty(x) or is_empty(other):
        return (other if is_empty(x) else x) or {}, None
    if not (isinstance(x, dict) and isinstance(other, dict)):
        if check is not None:
            return jax.tree.map(lambda a, b: select_where(check, a, b), x, other), None
        return other, x
    merged, discarded = dict(x), {}
    for addr, value in other.items():
        if addr not in x:
            merged[addr] = value
            continue
        merged[addr], lost = merge_choices(x[addr], value, check)
        if lost is not None:
            discarded[addr] = lost
    return merged, discarded or None


def filter_choices(x: Choices, selection: SelectionBase) -> tuple[Choices, Choices]:
    """Split a choice map: `(selected, unselected)`, each None if empty. Agrees with what `regenerate` redraws."""
    if is_empty(x):
        return None, None
    if not isinstance(x, dict):
        return (x, None) if is_selected(selection) else (None, x)
    selected, unselected = {}, {}
    for addr, value in x.items():
        _, rest = selection.match(addr)
        inside, outside = filter_choices(value, rest)
        if inside is not None:
            selected[addr] = inside
        if outside is not None:
            unselected[addr] = outside
    return selected or None, unselected or None
