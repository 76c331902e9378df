"""Selections: which addresses of a choice map an operation is about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from genjax.core.const import Const
from genjax.core.pytree import Pytree

Match = tuple[bool, "Selection"]

Selectable: TypeAlias = "SelectionBase | str | tuple[str, ...] | dict[str, Any] | None"
"""What `sel` makes a selection of: a selection, or its written form."""


class SelectionBase(Pytree):
    """What every selection offers.

    `match(address)` returns `(selected, rest)`: whether the address is selected at this level (a Python bool), and
    the selection that applies beneath it.
    """

    def match(self, addr: object) -> Match:
        raise TypeError(f"{type(self).__name__} does not define `match(address) -> (bool, Selection)`.")

    def __call__(self, addr: object) -> Match:
        return self.match(addr)

    def __contains__(self, addr: object) -> bool:
        return self.match(addr)[0]

    def __or__(self, other: Selectable) -> Selection:
        return Selection(OrSel(_wrapped(self), sel(other)))

    def __and__(self, other: Selectable) -> Selection:
        return Selection(InSel(_wrapped(self), sel(other)))

    __xor__ = __and__  # the published spelling of intersection

    def __invert__(self) -> Selection:
        return Selection(ComplSel(_wrapped(self)))


@Pytree.dataclass
class AllSel(SelectionBase):
    """Everything."""

    def match(self, addr: object) -> Match:
        return True, Selection(AllSel())


@Pytree.dataclass
class NoneSel(SelectionBase):
    """Nothing."""

    def match(self, addr: object) -> Match:
        return False, Selection(NoneSel())


@Pytree.dataclass
class StrSel(SelectionBase):
    """One address and all beneath it."""

    s: Const[str]

    def match(self, addr: object) -> Match:
        matched = _same(addr, self.s.value)
        return matched, Selection(AllSel() if matched else NoneSel())


@Pytree.dataclass
class TupleSel(SelectionBase):
    """A path of addresses and all beneath its end. The empty path matches nothing."""

    t: Const[tuple[str, ...]]

    def match(self, addr: object) -> Match:
        path = self.t.value
        if not path or not _same(addr, path[0]):
            return False, Selection(NoneSel())
        return True, Selection(TupleSel(Const(path[1:])) if len(path) > 1 else AllSel())


@Pytree.dataclass
class DictSel(SelectionBase):
    """A selection for each of some addresses."""

    d: dict[str, SelectionBase]

    def match(self, addr: Any) -> Match:
        try:
            matched = addr in self.d
        except TypeError:  # an address without a hash is in no dict
            matched = False
        return matched, _wrapped(self.d[addr]) if matched else Selection(NoneSel())


@Pytree.dataclass
class ComplSel(SelectionBase):
    """Everything but another selection."""

    s: SelectionBase

    def match(self, addr: object) -> Match:
        matched, rest = self.s.match(addr)
        return not matched, Selection(ComplSel(rest))


@Pytree.dataclass
class InSel(SelectionBase):
    """Intersection."""

    s1: SelectionBase
    s2: SelectionBase

    def match(self, addr: object) -> Match:
        (m1, r1), (m2, r2) = self.s1.match(addr), self.s2.match(addr)
        return m1 and m2, Selection(InSel(r1, r2))


@Pytree.dataclass
class OrSel(SelectionBase):
    """Union."""

    s1: SelectionBase
    s2: SelectionBase

    def match(self, addr: object) -> Match:
        (m1, r1), (m2, r2) = self.s1.match(addr), self.s2.match(addr)
        return m1 or m2, Selection(OrSel(r1, r2))


@Pytree.dataclass
class Selection(SelectionBase):
    """The wrapper that `sel` returns, around one of the concrete selections.

    Attributes:
        s: the concrete selection.
        strict: whether an address that the trace does not have is an error.
        force: whether kernels also move those selected choices that were observed.
    """

    s: SelectionBase
    strict: bool = Pytree.static(default=True)
    force: bool = Pytree.static(default=False)

    def match(self, addr: object) -> Match:
        matched, rest = self.s.match(addr)
        return matched, rest if self.strict else lenient(rest)

    def __repr__(self) -> str:
        flags = ("" if self.strict else ", strict=False") + (", force=True" if self.force else "")
        return f"Selection({self.s!r}{flags})"


def _wrapped(selection: SelectionBase) -> Selection:
    return selection if isinstance(selection, Selection) else Selection(selection)


def _same(addr: object, own: str) -> bool:
    return type(addr) is type(own) and bool(addr == own)


def sel(*addresses: Selectable, strict: bool = True, force: bool = False) -> Selection:
    """A selection from its written form.

    Args:
        addresses: none or `None` for nothing; `()` for everything; `"a"` for an address and all beneath; `("a", "b")`
            for a path; `{"a": ...}` for a selection per address, whose values may be written forms themselves. Several
            forms mean their union.
        strict: using the selection on a trace that lacks one of these addresses is an error. False ignores them.
        force: kernels move selected choices even if they were observed (see `Trace.observe`).

    Raises:
        TypeError: for anything else.
    """
    selection = _written(addresses)
    return selection if strict and not force else Selection(selection, strict, force)


def _written(addresses: tuple[Selectable, ...]) -> Selection:
    if not addresses:
        return Selection(NoneSel())
    if len(addresses) > 1:
        union = sel(addresses[0])
        for address in addresses[1:]:
            union = union | sel(address)
        return union
    (address,) = addresses
    if isinstance(address, SelectionBase):
        return _wrapped(address)
    if address is None:
        return Selection(NoneSel())
    if isinstance(address, str):
        return Selection(StrSel(Const(address)))
    if isinstance(address, tuple):
        return Selection(TupleSel(Const(address)) if address else AllSel())
    if isinstance(address, dict):
        return Selection(DictSel({key: sel(value) for key, value in address.items()}))
    raise TypeError(
        f"sel() got {type(address).__name__} {address!r}. Write sel() or sel(None) for nothing, sel(()) for "
        'everything, sel("a"), sel(("a", "b")) for a path, or sel({"a": sel("b")}).'
    )


def match(addr: object, sel: SelectionBase) -> Match:
    """`sel.match(addr)`."""
    return sel.match(addr)


def is_selected(selection: SelectionBase) -> bool:
    """Whether a leaf that this selection has come down to is selected."""
    return selection.match(())[0]


def lenient(selection: SelectionBase) -> Selection:
    """The same selection, which ignores addresses that a trace does not have."""
    return (
        selection if isinstance(selection, Selection) and not selection.strict else Selection(selection, strict=False)
    )


def named(selection: SelectionBase) -> Iterator[str]:
    """The addresses of the first level that a selection names and that must exist."""
    if isinstance(selection, Selection) and not selection.strict:
        return
    if isinstance(selection, StrSel):
        yield selection.s.value
    elif isinstance(selection, TupleSel):
        yield from selection.t.value[:1]
    elif isinstance(selection, DictSel):
        yield from selection.d
    for part in _parts(selection):
        yield from named(part)


def is_forced(selection: SelectionBase) -> bool:
    """Whether a selection, or a part of it, was written with `force=True`."""
    return getattr(selection, "force", False) is True or any(map(is_forced, _parts(selection)))


def _parts(selection: SelectionBase) -> list[SelectionBase]:
    """The selections that one of this level is made of."""
    if isinstance(selection, (Selection, ComplSel)):
        return [selection.s]
    return [selection.s1, selection.s2] if isinstance(selection, (InSel, OrSel)) else []
