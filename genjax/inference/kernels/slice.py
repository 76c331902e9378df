"""Slice sampling along random lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core import sel
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.distributions import uniform
from genjax.inference.carry import plain
from genjax.inference.kernels.density import selected_density, standard_normal_like
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply, no_move
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)
Line = Callable[[Array], Array]

#: Steps of stepping out, on both sides together, and of shrinking, after which the state stays.
_MOST_STEPS = 40


@Pytree.dataclass
class Slice(Kernel):
    """Slice sampling along a random line; see `slice_sample`.

    Attributes:
        selection: the choices to move.
        width: of the first interval, a float or a scalar array.
        transform: whether constrained choices are moved in unconstrained coordinates.
    """

    selection: Selectable
    width: ArrayLike = 2.0
    transform: bool = Pytree.static(default=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))

    def init(self, trace: AnyTrace) -> TraceState:
        selected_density(trace, self.selection, "slice_sample", self.transform)
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        density = selected_density(state.trace, self.selection, "slice_sample", self.transform, as_vector=True)
        if density is None:
            return no_move(state)
        (start,) = density.position
        (noise,) = standard_normal_like([start])
        direction = noise / jnp.linalg.norm(noise)
        # Nothing uses gradients here, so they are not computed.
        along = lambda t: density.evaluate([start + t * direction]).log_density
        level = density.log_density + jnp.log(uniform.sample(0.0, 1.0))
        width = jnp.asarray(self.width, start.dtype)
        low = -width * uniform.sample(0.0, 1.0)
        # The steps are divided between the sides at random, or stepping out would not be reversible.
        n_low = jnp.floor(_MOST_STEPS * uniform.sample(0.0, 1.0)).astype(jnp.int32)
        high = _step_out(along, level, low + width, width, _MOST_STEPS - 1 - n_low)
        low = _step_out(along, level, low, -width, n_low)
        at = _shrink(along, level, low, high)
        position = [start + at * direction]
        end = density.evaluate(position)
        return TraceState(plain(density.trace_at(position, end.computed))), Info.of(at != 0, at != 0, -end.log_density)


def _step_out(along: Line, level: Array, end: Array, step: Array, n_steps: Array) -> Array:
    """The end of the interval, moved by steps until the density there is below the level, n_steps at most."""

    def goes_on(loop: PyTree) -> Array:
        end, n_left = loop
        return (n_left > 0) & (along(end) > level)

    return jax.lax.while_loop(goes_on, lambda loop: (loop[0] + step, loop[1] - 1), (end, n_steps))[0]


def _shrink(along: Line, level: Array, low: Array, high: Array) -> Array:
    """A point of the interval whose density is above the level, drawn uniformly from what is left of it."""

    def draw(loop: PyTree) -> PyTree:
        low, high, _, _, n = loop
        at = low + (high - low) * uniform.sample(0.0, 1.0)
        is_inside = along(at) > level
        # What is outside becomes the end on its side of the start.
        return jnp.where(at < 0, at, low), jnp.where(at < 0, high, at), at, is_inside, n + 1

    first = draw((low, high, low, False, jnp.zeros((), jnp.int32)))
    _, _, at, is_inside, _ = jax.lax.while_loop(lambda loop: ~loop[3] & (loop[4] < _MOST_STEPS), draw, first)
    return jnp.where(is_inside, at, 0.0)


def slice_sample(trace: T, selection: Selectable, width: ArrayLike = 2.0, *, transform: bool = True) -> T:
    """`new_trace = slice_sample(trace, selection)`: a uniform draw from a slice through the density along a line.

    With s the selected choices in unconstrained coordinates and d a random direction: a level `log P(s) + log u`, an
    interval around s stepped out in steps of `width` until both ends are below the level, and points drawn from it,
    which shrink it, until one is above. Nothing to tune but the width, whose value matters little.

    Args:
        trace: the current state.
        selection: the choices to move, `sel(...)`: continuous, of any shapes.
        width: a float or a scalar array, which may be traced.
        transform: False moves constrained choices in their own coordinates.

    Returns:
        The new state. Saves `accept`, () bool, for `state`: whether it moved.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: a selection of addresses that the trace does not have or that were observed.

    Source: Neal, *Slice sampling* (Annals of Statistics 2003), sections 4.1 and 5.
    """
    return apply(Slice(selection, width, transform), trace)
