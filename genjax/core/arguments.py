"""Arguments in batches of traces: shared ones are stored once, those of inner traces not at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core.pytree import Pytree
from genjax.signatures import Args, PyTree

if TYPE_CHECKING:
    from genjax.core.observed import Marks
    from genjax.core.trace import AnyTrace

T = TypeVar("T", bound="AnyTrace")


@Pytree.dataclass
class Shared(Pytree):
    """An argument that all runs of a batch have in common, stored once.

    The batch axis has length 1, so that a `vmap` over the batch that overlooks the wrapper is an error about axis sizes
    instead of a wrong answer. Batches of such batches put their axes in front, as for any other leaf.
    """

    value: jax.Array


def is_shared(node: object) -> bool:
    """Whether a node of an argument tree is `Shared`."""
    return isinstance(node, Shared)


def share(args: PyTree) -> PyTree:
    """Every leaf as `Shared`."""
    return jax.tree.map(lambda leaf: Shared(jnp.asarray(leaf)[None]), args)


def unshare(args: PyTree, score: ArrayLike | jax.ShapeDtypeStruct) -> PyTree:
    """The plain arguments: shared ones without the innermost of the batch's axes, of which the score has the number.

    A score without batch axes belongs to one run, taken out of its batch by indexing every leaf: it took the axis away.
    """
    n_axes = jnp.ndim(score)
    return jax.tree.map(
        lambda node: (jnp.squeeze(node.value, n_axes - 1) if n_axes else node.value) if is_shared(node) else node,
        args,
        is_leaf=is_shared,
    )


def argument_axes(args: PyTree) -> PyTree:
    """`in_axes` that map plain arguments over the batch: None for shared leaves, 0 for the others."""
    return jax.tree.map(lambda node: None if is_shared(node) else 0, args, is_leaf=is_shared)


def map_batch(function: Callable[[jax.Array], Any], batch: PyTree) -> PyTree:
    """Apply a function to every leaf that has the batch axis, and to no shared argument."""
    return jax.tree.map(lambda node: node if is_shared(node) else function(node), batch, is_leaf=is_shared)


def raw_args(trace: AnyTrace) -> Any:
    """`(args, kwargs)` as stored, with `Shared` marks; None for a trace type that has no such field.

    A third element, where there is one, says what was observed; see `genjax.core.observed`.
    """
    name = _field_name(trace)
    return getattr(trace, name) if name else None


def stored_marks(trace: AnyTrace) -> tuple[Marks, ...]:
    """`(marks,)` as stored, `()` where nothing is marked as observed."""
    stored = raw_args(trace)
    return stored[2:] if isinstance(stored, tuple) else ()


def with_marks(trace: T, marks: tuple[Marks, ...]) -> T:
    """The trace with other `stored_marks`."""
    stored = raw_args(trace)
    return trace if stored is None else with_args(trace, (*stored[:2], *marks))


def unshared(trace: T) -> T:
    """The trace with plain arguments and marks."""
    stored = raw_args(trace)
    return trace if stored is None else with_args(trace, unshare(stored, trace.raw_score()))


def with_args(trace: T, args: tuple[Any, ...] | None) -> T:
    """The trace with other stored arguments; a trace type without such a field is returned as it is."""
    name = _field_name(trace)
    return dataclasses.replace(trace, **{name: args}) if name else trace


def without_args(trace: PyTree) -> PyTree:
    """A trace, and those in it, without their arguments: a batch would hold a copy of them per lane or step."""
    if isinstance(trace, (tuple, list)):
        return type(trace)(without_args(inner) for inner in trace)
    if isinstance(trace, dict):
        return {addr: without_args(value) for addr, value in trace.items()}
    if not (_field_name(trace) and type(trace.get_gen_fn()).__module__.startswith(__package__)):
        return trace  # a user's generative function may look at the old arguments
    inner = {name: without_args(getattr(trace, name)) for name in _INNER if hasattr(trace, name)}
    return dataclasses.replace(with_args(trace, ((), {})), **inner)


# Names of the fields of the library's trace types. A user's trace type is left alone.
_ARGUMENTS = ("_args", "args")
_INNER = ("_choices", "traces", "trs")


def _field_name(trace: AnyTrace) -> str | None:
    if not (dataclasses.is_dataclass(trace) and hasattr(trace, "raw_choices")):
        return None
    names = {field.name for field in dataclasses.fields(trace)}
    return next((name for name in _ARGUMENTS if name in names and names & set(_INNER)), None)


def as_args(args: object) -> Args:
    """Model arguments as a tuple."""
    if not isinstance(args, (tuple, list)):
        raise TypeError(
            f"Arguments of the model must be a tuple, got {type(args).__name__}. For one argument write (x,)."
        )
    return tuple(args)
