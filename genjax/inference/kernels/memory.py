"""What a move knew about the trace it returned, kept for the move that starts there.

The published form of a move, `trace -> trace`, has no place for the gradient at its end, with which the next move
begins. So while `Function` (a kernel made of such moves) is staged, moves put what they know into a memory: "at the
trace made of these arrays, the gradient is this". A move that starts at a trace of the very same arrays takes it from
there. Arrays are compared as objects, never by value: a trace that anything else has touched is made of other arrays,
and its gradient is computed. `Function` hands on from step to step what is known about the trace at the end and was
asked for at the start.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

import jax
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike

from genjax.core.trace import AnyTrace
from genjax.inference.carry import lean, plain
from genjax.pjax.jax_internals import trace_state
from genjax.signatures import PyTree

_current: contextvars.ContextVar[Memory | None] = contextvars.ContextVar("genjax_memory", default=None)


class Memory:
    """What is known about traces, by the arrays that they are made of and the name of the fact."""

    def __init__(self) -> None:
        self._facts: list[tuple[_Place, Hashable, PyTree]] = []

    def about(self, trace: AnyTrace) -> dict[Hashable, PyTree]:
        """All facts about a trace, by name."""
        place = _Place.of(trace)
        return {name: value for where, name, value in self._facts if where.same(place)}

    def put(self, trace: AnyTrace, name: Hashable, value: PyTree) -> None:
        """Note a fact."""
        self._facts.append((_Place.of(trace), name, value))


class _Place(NamedTuple):
    """A trace, by its arrays, which it keeps alive: the identity of an array that is gone may be given to another."""

    leaves: list[ArrayLike]
    structure: PyTreeDef
    transforms: Hashable  # what was computed inside of a branch or loop means nothing outside of it

    @staticmethod
    def of(trace: AnyTrace) -> _Place:
        leaves, structure = jax.tree.flatten(lean(plain(trace)))
        return _Place(leaves, structure, trace_state())

    def same(self, other: _Place) -> bool:
        return (
            self.structure == other.structure
            and all(a is b for a, b in zip(self.leaves, other.leaves, strict=True))
            and self.transforms == other.transforms
        )


@contextlib.contextmanager
def remembering() -> Iterator[Memory]:
    """A new memory, in use until the block ends."""
    memory = Memory()
    token = _current.set(memory)
    try:
        yield memory
    finally:
        _current.reset(token)


def recall(trace: AnyTrace, name: Hashable, compute: Callable[[], PyTree]) -> PyTree:
    """The fact of this name about a trace, computed if nobody knows it."""
    memory = _current.get()
    if memory is None:
        return compute()
    known = memory.about(trace)
    if name not in known:
        known[name] = compute()
        memory.put(trace, name, known[name])
    return known[name]


def note(trace: AnyTrace, name: Hashable, value: PyTree) -> None:
    """Put a fact into the memory in use, if there is one."""
    memory = _current.get()
    if memory is not None:
        memory.put(trace, name, value)
