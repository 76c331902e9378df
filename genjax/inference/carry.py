"""What a loop over traces must carry, and how a kernel chooses between two traces.

The return value of a distribution is its choice, and that of a `Vmap` follows from its copies'. Carried through a loop
as if they were something else, they would be selected, copied and stored once more at every step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core import CondTr, Distribution, ScanTr, Tr, Trace, Vmap
from genjax.core.arguments import stored_marks, unshared, with_marks
from genjax.core.trace import AnyTrace
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)


def lean(trace: AnyTrace) -> AnyTrace:
    """`trace` without return values that repeat a choice."""
    if isinstance(trace, Tr):
        if type(trace._gen_fn) is Distribution:
            return dataclasses.replace(trace, _retval=None)
        if isinstance(trace._gen_fn, Vmap):
            return dataclasses.replace(trace, _choices=lean(trace._choices), _retval=None)
    return _map_inner(lean, trace)


def restore(trace: AnyTrace) -> AnyTrace:
    """The inverse of `lean`. On a full trace: a return value that repeats a choice becomes the same array."""
    if isinstance(trace, Tr):
        if type(trace._gen_fn) is Distribution:
            return dataclasses.replace(trace, _retval=trace.get_choices())
        if isinstance(trace._gen_fn, Vmap):
            inner = restore(trace._choices)
            return dataclasses.replace(trace, _choices=inner, _retval=inner.get_retval())
    return _map_inner(restore, trace)


def _map_inner(function: Callable[[AnyTrace], AnyTrace], trace: AnyTrace) -> AnyTrace:
    if isinstance(trace, Tr) and isinstance(trace._choices, dict):
        return dataclasses.replace(trace, _choices={addr: function(sub) for addr, sub in trace._choices.items()})
    if isinstance(trace, ScanTr):
        return dataclasses.replace(trace, traces=function(trace.traces))
    if isinstance(trace, CondTr):
        return dataclasses.replace(trace, trs=tuple(map(function, trace.trs)))
    return trace


def map_traces(function: Callable[[AnyTrace], AnyTrace], tree: PyTree) -> PyTree:
    """Apply a function to every trace in a tree, such as a kernel's state."""
    is_trace = lambda node: isinstance(node, Trace)
    return jax.tree.map(lambda node: function(node) if is_trace(node) else node, tree, is_leaf=is_trace)


def plain(trace: AnyTrace) -> AnyTrace:
    """`trace` with arguments of its own and repeated values as one array: the form that moves return."""
    return restore(unshared(trace))


def as_observed(new: T, old: AnyTrace) -> T:
    """`new` with the marks of `old`: a move does not change what was observed, however it made its trace."""
    return with_marks(new, stored_marks(old))


def require_same_structure(new: PyTree, old: PyTree) -> None:
    """Check that a move kept the structure of its trace.

    Raises:
        TypeError: it did not.
    """
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise TypeError(
            "A move changed the structure of its trace, from\n"
            f"  {jax.tree.structure(old)}\nto\n  {jax.tree.structure(new)}\n"
            "so it could not be undone or repeated. Moves keep model, addresses and the structure of arguments and "
            "return value. A choice marked fixed() cannot be moved."
        )


def select_trace(check: jax.Array, new: AnyTrace, old: AnyTrace) -> AnyTrace:
    """`where(check, new, old)` leaf by leaf; a leaf that is the same array in both is left alone.

    Args:
        check: () bool.
        new: a trace.
        old: a trace of the same structure.
    """
    old = plain(old)
    new = as_observed(plain(new), old)
    require_same_structure(new, old)
    made: dict[tuple[int, int], jax.Array] = {}

    def select(a: ArrayLike, b: ArrayLike) -> ArrayLike:
        if a is b:
            return b
        if (id(a), id(b)) not in made:
            made[id(a), id(b)] = jnp.where(check, a, b)
        return made[id(a), id(b)]

    return jax.tree.map(select, new, old)
