"""The addresses of a trace, and checks of what is written against them.

A path is a tuple of addresses, also where it is one address long, so that `"a/b"` and `("a", "b")` are different.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from genjax.core.selection import Selection, SelectionBase, lenient, named
from genjax.signatures import Choices

if TYPE_CHECKING:
    from genjax.core.trace import AnyTrace

Path = tuple[str, ...]

Addresses: TypeAlias = "dict[str, Addresses] | None"
"""The addresses of a trace: None where a choice is."""


def addresses(node: AnyTrace | Choices) -> Addresses:
    """The addresses of a trace or of choices, without values: a nested dict, with None for a choice.

    Both branches of a `Cond` count. Nothing is computed.
    """
    inner = node.inner() if hasattr(node, "inner") else node
    if isinstance(inner, dict):
        return {addr: addresses(beneath) for addr, beneath in inner.items()}
    if isinstance(inner, tuple) and inner and all(hasattr(branch, "inner") for branch in inner):
        return _union(*map(addresses, inner))
    return addresses(inner) if hasattr(inner, "inner") else None


def _union(mine: Addresses, other: Addresses) -> Addresses:
    if not (isinstance(mine, dict) and isinstance(other, dict)):
        return mine if isinstance(mine, dict) else other
    return {**mine, **{addr: _union(mine[addr], k) if addr in mine else k for addr, k in other.items()}}


def paths(known: Addresses, prefix: Path = ()) -> list[Path]:
    """The paths of the choices in `addresses(...)`."""
    if not isinstance(known, dict):
        return [prefix]
    return [path for addr, beneath in known.items() for path in paths(beneath, (*prefix, addr))]


def path_text(path: Path) -> str:
    """A path as one would write it in a selection: `'a'`, or `('a', 'b')`."""
    return repr(path[0]) if len(path) == 1 else repr(path)


def selected_paths(selection: SelectionBase, known: Addresses, prefix: Path = ()) -> list[Path]:
    """The paths of the selected choices."""
    if not isinstance(known, dict):
        return [prefix] if selection.match(())[0] else []
    return [
        path
        for addr, beneath in known.items()
        for path in selected_paths(selection.match(addr)[1], beneath, (*prefix, addr))
    ]


def check_selection(selection: SelectionBase, trace: AnyTrace, what: str) -> Selection:
    """The selection, checked: what it names exists in the trace, or it was written with `strict=False`.

    Returns:
        The selection without further checks, to be passed on.

    Raises:
        ValueError: it names an address that the trace does not have; the message names the nearest.
    """
    if isinstance(selection, Selection) and not selection.strict:
        return selection
    known = addresses(trace)
    unknown = list(dict.fromkeys(_unknown(selection, known)))
    if unknown:
        every = paths(known)
        listing = "; ".join(f"{path_text(path)}{nearest_path(path, every)}" for path in unknown)
        raise ValueError(
            f"{what} got a selection of addresses that the trace does not have: {listing}. The trace has "
            f"{_listing(every) if isinstance(known, dict) else 'no addresses: it is one choice'}. "
            "Correct the selection; sel() selects nothing, and sel(..., strict=False) ignores what is not there."
        )
    return lenient(selection)


def _listing(every: list[Path], most: int = 20) -> str:
    more = f", and {len(every) - most} more" if len(every) > most else ""
    return (", ".join(map(path_text, every[:most])) or "no addresses") + more


def _unknown(selection: SelectionBase, known: Addresses, prefix: Path = ()) -> Iterator[Path]:
    level = known if isinstance(known, dict) else {}
    for addr in named(selection):
        if addr not in level:
            yield (*prefix, addr)
    for addr, beneath in level.items():
        yield from _unknown(selection.match(addr)[1], beneath, (*prefix, addr))


def nearest_path(path: Path, known: Iterable[Path]) -> str:
    """` (nearest: ...)` for a message: the paths whose last address resembles that of `path`, or nothing."""
    ranked = sorted(known, key=lambda other: -_likeness(path, other))
    close = [other for other in ranked[:3] if _likeness(path, other) >= 0.5]
    return f" (nearest: {', '.join(map(path_text, close))})" if close else ""


def _likeness(path: Path, other: Path) -> float:
    """How much two paths are alike: their last addresses, or any two of their addresses, by `difflib`."""

    def ratio(a: str, b: str) -> float:
        return difflib.SequenceMatcher(None, str(a), str(b)).ratio()

    if not (path and other):
        return 0.0
    last = ratio(path[-1], other[-1])
    return max(last, *(0.99 * ratio(path[-1], addr) for addr in other[:-1]), 0.0)
