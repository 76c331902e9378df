"""The density of a model as a function of the selected choices alone: what gradient-based kernels move on."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core.observed import movable
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.distributions import normal
from genjax.inference.carry import plain, require_same_structure, select_trace
from genjax.inference.kernels.memory import recall
from genjax.inference.unconstrained import Unconstrained, unconstrained
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import stage_flat
from genjax.pjax.jax_internals import Literal, Var
from genjax.signatures import Choices, PyTree

Arrays = list[jax.Array]


class Point(NamedTuple):
    """The density at one position.

    Attributes:
        log_density: `log P(choices; args)`, plus the log determinant of the transform, ().
        gradient: its derivatives with respect to the position, arrays of the position's shapes.
        computed: the leaves of the updated trace that depend on the position, each once.
    """

    log_density: jax.Array
    gradient: Arrays
    computed: Arrays


@Pytree.dataclass
class GradientState(Pytree):
    """The state of a kernel that follows gradients.

    Attributes:
        trace: the current trace.
        gradient: of the log density at its selected choices, in unconstrained coordinates; a list of arrays.
        position: the unconstrained coordinates; None where they are the choices themselves.
        log_density: in unconstrained coordinates, (); None where it is the trace's.
        factor: what draws of momenta need of a mass matrix, see `metric`; None for kernels without one.
    """

    trace: AnyTrace
    gradient: Arrays
    position: PyTree | None = Pytree.field(default=None)
    log_density: jax.Array | None = Pytree.field(default=None)
    factor: jax.Array | None = Pytree.field(default=None)


class SelectedDensity(NamedTuple):
    """`log P(choices; args)` with all but the selected choices held fixed, in unconstrained coordinates.

    Attributes:
        space: the coordinates.
        position: the selected choices in these coordinates: a list of float arrays.
        log_density: at `position`, ().
        computed: what `evaluate(position).computed` is, from the trace.
        evaluate: `position -> Point`: one evaluation of the density and one of its gradient.
        trace_at: `(position, computed) -> trace` with these choices; computes nothing.
        is_vector: whether the position is one vector (n,), in a list.
    """

    space: Unconstrained
    position: Arrays
    log_density: jax.Array
    computed: Arrays
    evaluate: Callable[[Arrays], Point]
    trace_at: Callable[[Arrays, Arrays], AnyTrace]
    is_vector: bool = False

    def as_vector(self) -> SelectedDensity:
        """The same density with one vector (n,) as position."""
        join, part = self.space.join, self.space.split

        def evaluate(position: Arrays) -> Point:
            point = self.evaluate(part(position[0]))
            return point._replace(gradient=[join(point.gradient)])

        return self._replace(
            is_vector=True,
            position=[join(self.position)],
            evaluate=evaluate,
            trace_at=lambda position, computed: self.trace_at(part(position[0]), computed),
        )


def selected_density(
    trace: AnyTrace,
    selection: Selectable,
    kernel: str,
    transform: bool = True,
    state: GradientState | None = None,
    *,
    as_vector: bool = False,
) -> SelectedDensity | None:
    """The density of `trace`'s model in the selected choices; None if nothing is selected.

    The model runs once, here: its `update` is staged, with the score of the updated trace as the density. So one
    evaluation gives density, gradient and new trace, and there is no separate pass for each.

    Args:
        trace: the current trace.
        selection: the choices to move.
        kernel: name of the caller, for messages.
        transform: whether constrained choices are moved in unconstrained coordinates.
        state: a `GradientState` at `trace`, which knows position and density.
        as_vector: whether positions and gradients are one vector (n,), in a list, instead of an array per choice.

    Raises:
        TypeError: a selected choice is not continuous.
        ValueError: the support of a selected choice depends on other selected choices.
    """
    old = plain(trace)
    space = unconstrained(old, selection, transform=transform, kernel=kernel)
    if not space.position:
        return None
    position, log_density = space.position, None
    if state is not None and state.position is not None:
        position, log_density = state.position, state.log_density
        position = space.split(position[0]) if as_vector else position
    gen_fn, (args, kwargs) = old.get_gen_fn(), old.get_args()

    def updated(position: Arrays) -> tuple[jax.Array, PyTree]:
        choices, log_determinant = space.constrain(position)
        new = plain(gen_fn.update(old, choices, *args, **kwargs)[0])
        require_same_structure(new, old)
        density = -new.get_score()
        return density if space.is_identity else density + log_determinant, jax.tree.leaves(new)

    closed, position, _ = stage_flat(updated, position)
    density_out, *outputs = closed.jaxpr.outvars
    old_leaves, structure = jax.tree.flatten(old)

    # A leaf of the new trace is part of the position, something that does not depend on it, or computed from it.
    given = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    places = {variable: i for i, variable in enumerate(closed.jaxpr.invars)}
    computed_at: dict[Var, int] = {}
    for i, variable in enumerate(outputs):
        if not (isinstance(variable, jax_internals.Literal) or variable in given or variable in places):
            computed_at.setdefault(variable, i)
    order = {variable: i for i, variable in enumerate(computed_at)}

    def density(position: Arrays) -> tuple[jax.Array, Arrays]:
        log_density, *leaves = jax_internals.jaxpr_as_fun(closed)(*position)
        return log_density, [leaves[i] for i in computed_at.values()]

    def evaluate(position: Arrays) -> Point:
        (log_density, computed), gradient = jax.value_and_grad(density, has_aux=True)(position)
        return Point(log_density, gradient, computed)

    def trace_at(position: Arrays, computed: Arrays) -> AnyTrace:
        def leaf(variable: Var | Literal) -> ArrayLike:
            if isinstance(variable, jax_internals.Literal):
                return variable.val
            if variable in given:
                return given[variable]
            return position[places[variable]] if variable in places else computed[order[variable]]

        return jax.tree.unflatten(structure, [leaf(variable) for variable in outputs])

    computed = [jnp.asarray(old_leaves[i], outputs[i].aval.dtype) for i in computed_at.values()]
    if log_density is None:
        log_density = -old.get_score() if space.is_identity else -old.get_score() + space.constrain(position)[1]
    log_density = jnp.asarray(log_density, density_out.aval.dtype)
    density_at = SelectedDensity(space, position, log_density, computed, evaluate, trace_at)
    return density_at.as_vector() if as_vector else density_at


# The part of a gradient-based kernel that does not depend on how it moves


def init_gradient(
    trace: AnyTrace, density: SelectedDensity | None, transform: bool = True, factor: jax.Array | None = None
) -> GradientState:
    """The state at a trace: its density and gradient, known from the move before or computed here."""
    if density is None:
        return GradientState(plain(trace), [], factor=factor)

    def compute() -> tuple[Arrays, Arrays | None, jax.Array | None]:
        gradient = density.evaluate(density.position).gradient
        return (
            (gradient, None, None) if density.space.is_identity else (gradient, density.position, density.log_density)
        )

    name = _name(density.space.choices, transform, density.is_vector)
    gradient, position, log_density = recall(trace, name, compute)
    return GradientState(plain(trace), gradient, position, log_density, factor)


def what_is_known(
    state: GradientState, selection: Selectable, transform: bool, as_vector: bool = False
) -> tuple[Hashable, PyTree] | None:
    """The name and value under which the next move recalls density and gradient."""
    moved, _ = movable(state.trace, selection, "kernel", continuous=True)
    chosen, _ = state.trace.get_gen_fn().filter(state.trace.get_choices(), moved)
    return _name(chosen, transform, as_vector), (state.gradient, state.position, state.log_density)


def _name(chosen: Choices, transform: bool, is_vector: bool) -> Hashable:
    """Moves along the same coordinates share what they know."""
    return jax.tree.structure(chosen), transform, is_vector


def select_end(
    accept: jax.Array, state: GradientState, density: SelectedDensity, position: Arrays, end: Point
) -> GradientState:
    """The state at `position` where `accept` is true, else `state`.

    Args:
        accept: () bool.
        state: where the move started.
        density: that of its trace.
        position: where the move ended, in the density's coordinates.
        end: the density there.
    """

    def select(new: PyTree, old: PyTree) -> PyTree:
        return jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, old)

    trace = select_trace(accept, density.trace_at(position, end.computed), state.trace)
    gradient = select(end.gradient, state.gradient)
    if density.space.is_identity:
        return GradientState(trace, gradient, factor=state.factor)
    position, log_density = select((position, end.log_density), (density.position, density.log_density))
    return GradientState(trace, gradient, position, log_density, state.factor)


def standard_normal_like(arrays: Arrays) -> Arrays:
    """Independent N(0, 1) draws of the arrays' shapes and dtypes."""
    return [normal.sample(0.0, 1.0, sample_shape=array.shape).astype(array.dtype) for array in arrays]


def total_squares(arrays: Arrays) -> jax.Array:
    """The sum of the squares of all elements, ()."""
    return sum((jnp.sum(array * array) for array in arrays), start=jnp.zeros(()))
