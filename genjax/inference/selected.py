"""The density of a model as a function of the selected choices alone: what gradient-based kernels move on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from genjax.core import Trace
from genjax.core.observed import hold, movable
from genjax.core.selection import SelectionBase
from genjax.distributions import normal
from genjax.inference.carry import plain, require_same_structure, select_trace
from genjax.inference.gradients import note_gradient
from genjax.inference.mh import accepts
from genjax.pjax import compat
from genjax.pjax.evaluate import stage_flat

Arrays = list[jax.Array]
T = TypeVar("T", bound=Trace[Any, Any])


class Point(NamedTuple):
    """The density at one position.

    Attributes:
        log_density: `log P(choices; args)`, ().
        gradient: its derivatives with respect to the position, arrays of the position's shapes.
        computed: the leaves of the updated trace that depend on the position, each once.
    """

    log_density: jax.Array
    gradient: Arrays
    computed: Arrays


class SelectedDensity(NamedTuple):
    """`log P(choices; args)` with all but the selected choices held fixed.

    Attributes:
        choices: the selected choices.
        position: the same, as a list of float arrays in the order of their pytree.
        log_density: at `position`, from the trace's score, ().
        computed: what `evaluate(position).computed` is, from the trace.
        evaluate: `position -> Point`: one evaluation of the density and one of its gradient.
        trace_at: `(position, computed) -> trace` with these choices; computes nothing.
    """

    choices: Any
    position: Arrays
    log_density: jax.Array
    computed: Arrays
    evaluate: Callable[[Arrays], Point]
    trace_at: Callable[[Arrays, Arrays], Trace[Any, Any]]


def selected_density(trace: Trace[Any, Any], selection: SelectionBase, kernel: str) -> SelectedDensity | None:
    """The density of `trace`'s model in the selected choices; None if nothing is selected.

    The model runs once, here: its `update` is staged, with the score of the updated trace as the density. So one
    evaluation gives density, gradient and new trace, and there is no separate pass for each.

    Args:
        trace: the current state.
        selection: the choices to move.
        kernel: name of the caller, for messages.

    Raises:
        TypeError: a selected choice is not continuous.
        ValueError: the selection names an address that the trace does not have, or nothing but observed ones.
    """
    old = plain(trace)
    gen_fn, (args, kwargs) = old.get_gen_fn(), old.get_args()
    selection, held = movable(old, selection, kernel, continuous=True)
    chosen, _ = gen_fn.filter(old.get_choices(), selection)
    if not jax.tree.leaves(chosen):
        return None
    chosen = _as_floats(chosen, kernel)

    def updated(choices: Any) -> tuple[jax.Array, Any]:
        new = plain(gen_fn.update(old, hold(held, choices, chosen), *args, **kwargs)[0])
        require_same_structure(new, old)
        return -new.get_score(), jax.tree.leaves(new)

    closed, position, _ = stage_flat(updated, chosen)
    density_out, *outputs = closed.jaxpr.outvars
    old_leaves, structure = jax.tree.flatten(old)

    # A leaf of the new trace is a selected choice, something that does not depend on them, or computed from them.
    given = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    places = {variable: i for i, variable in enumerate(closed.jaxpr.invars)}
    computed_at: dict[Any, int] = {}
    for i, variable in enumerate(outputs):
        if not (isinstance(variable, compat.Literal) or variable in given or variable in places):
            computed_at.setdefault(variable, i)
    order = {variable: i for i, variable in enumerate(computed_at)}

    def density(position: Arrays) -> tuple[jax.Array, Arrays]:
        log_density, *leaves = compat.jaxpr_as_fun(closed)(*position)
        return log_density, [leaves[i] for i in computed_at.values()]

    def evaluate(position: Arrays) -> Point:
        (log_density, computed), gradient = jax.value_and_grad(density, has_aux=True)(position)
        return Point(log_density, gradient, computed)

    def trace_at(position: Arrays, computed: Arrays) -> Trace[Any, Any]:
        def leaf(variable: Any) -> Any:
            if isinstance(variable, compat.Literal):
                return variable.val
            if variable in given:
                return given[variable]
            return position[places[variable]] if variable in places else computed[order[variable]]

        return jax.tree.unflatten(structure, [leaf(variable) for variable in outputs])

    computed = [jnp.asarray(old_leaves[i], outputs[i].aval.dtype) for i in computed_at.values()]
    log_density = jnp.asarray(-old.get_score(), density_out.aval.dtype)
    return SelectedDensity(chosen, position, log_density, computed, evaluate, trace_at)


def accept_end(
    trace: T, density: SelectedDensity, log_alpha: jax.Array, position: Arrays, gradient: Arrays, end: Point
) -> T:
    """The trace at the end of a move along gradients, with probability `min(1, exp(log_alpha))`, else `trace`.

    Saves `accept`. `chain` learns both gradients, at the start and at the state returned.

    Args:
        trace: where the move started.
        density: that of `trace`.
        log_alpha: of the end, ().
        position: of the end.
        gradient: at the start.
        end: the density at `position`.
    """
    accept = accepts(log_alpha)
    moved = select_trace(accept, density.trace_at(position, end.computed), trace)
    note_gradient(trace, density.choices, gradient, at_start=True)
    new_gradient = [jnp.where(accept, new, old) for new, old in zip(end.gradient, gradient, strict=True)]
    note_gradient(moved, density.choices, new_gradient, at_start=False)
    return moved  # type: ignore[return-value]


def _as_floats(choices: Any, kernel: str) -> Any:
    def check(path: Any, value: Any) -> jax.Array:
        dtype = jnp.result_type(value)
        if not jnp.issubdtype(dtype, jnp.floating):
            address = "/".join(str(getattr(key, "key", key)) for key in path) or "the choice itself"
            raise TypeError(
                f"{kernel} was asked to move the choice {address!r} of dtype {dtype}. It follows gradients, which only "
                "continuous (floating-point) choices have. Leave it out of the selection and move it with mh, or, if "
                "it is continuous, constrain it with floats."
            )
        return jnp.asarray(value, dtype)

    return jax.tree_util.tree_map_with_path(check, choices)


def standard_normal_like(arrays: Arrays) -> Arrays:
    """Independent N(0, 1) draws of the arrays' shapes and dtypes."""
    return [normal.sample(0.0, 1.0, sample_shape=array.shape).astype(array.dtype) for array in arrays]


def total_squares(arrays: Arrays) -> jax.Array:
    """The sum of the squares of all elements, ()."""
    return sum((jnp.sum(array * array) for array in arrays), start=jnp.zeros(()))
