"""Elliptical slice sampling of choices with a normal prior."""

from __future__ import annotations

import math
from typing import TypeVar

import jax
import jax.numpy as jnp

from genjax.core import Const, sel
from genjax.core.observed import movable
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable, Selection
from genjax.core.trace import AnyTrace
from genjax.distributions import uniform
from genjax.inference.carry import plain, select_trace
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply, no_move
from genjax.inference.unconstrained import distribution_at
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)

_MOST_STEPS = 60  # halvings of a circle: no float32 angle is left


@Pytree.dataclass
class Elliptical(Kernel):
    """Elliptical slice sampling; see `elliptical_slice`.

    Attributes:
        selection: the choices to move.
        mean: of their prior: a number, a tree like the selected choices, or a function from all choices to one of
            these.
    """

    selection: Selectable
    mean: PyTree = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))
        if callable(self.mean):
            object.__setattr__(self, "mean", Const(self.mean))

    def init(self, trace: AnyTrace) -> TraceState:
        trace = plain(trace)
        selection = self._selected(trace)
        chosen, _ = trace.get_gen_fn().filter(trace.get_choices(), selection)
        for path, _ in jax.tree_util.tree_leaves_with_path(chosen):
            name = getattr(distribution_at(trace, path), "__name__", "no distribution")
            if name not in ("Normal", "MultivariateNormal"):
                raise ValueError(
                    f"elliptical_slice was asked to move the choice {jax.tree_util.keystr(path)} of {name}. It moves "
                    "choices with a normal prior only; for others there are slice_sample and nuts."
                )
        return TraceState(trace)

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        trace = state.trace
        selection = self._selected(trace)
        gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
        old, _ = gen_fn.filter(trace.get_choices(), selection)
        if not jax.tree.leaves(old):
            return no_move(state)
        other, _ = gen_fn.filter(gen_fn.regenerate(trace, selection, *args, **kwargs)[0].get_choices(), selection)
        mean = self.mean.value(trace.get_choices()) if isinstance(self.mean, Const) else self.mean
        if jax.tree.structure(mean) == jax.tree.structure(0.0):
            mean = jax.tree.map(lambda x: jnp.broadcast_to(mean, x.shape), old)
        likelihood = lambda new: gen_fn.project(new, ~selection)
        level = likelihood(trace) + jnp.log(uniform.sample(0.0, 1.0))

        def at(angle: jax.Array) -> AnyTrace:
            turn = lambda x, y, m: m + (x - m) * jnp.cos(angle) + (y - m) * jnp.sin(angle)
            return plain(gen_fn.update(trace, jax.tree.map(turn, old, other, mean), *args, **kwargs)[0])

        def draw(loop: PyTree) -> PyTree:
            low, high, angle, _, n = loop
            is_inside = likelihood(at(angle)) > level
            low, high = jnp.where(angle < 0, angle, low), jnp.where(angle < 0, high, angle)
            following = low + (high - low) * uniform.sample(0.0, 1.0)
            return low, high, jnp.where(is_inside, angle, following), is_inside, n + 1

        angle = 2 * math.pi * uniform.sample(0.0, 1.0)
        first = draw((angle - 2 * math.pi, angle, angle, False, jnp.zeros((), jnp.int32)))
        goes_on = lambda loop: ~loop[3] & (loop[4] < _MOST_STEPS)
        _, _, angle, is_inside, _ = jax.lax.while_loop(goes_on, draw, first)
        new = select_trace(is_inside, at(angle), trace)
        return TraceState(new), Info.of(is_inside, is_inside, new.get_score())

    def _selected(self, trace: AnyTrace) -> Selection:
        return movable(trace, self.selection, "elliptical_slice", elements=False).selection


def elliptical_slice(trace: T, selection: Selectable, mean: PyTree = 0.0) -> T:
    """`new_trace = elliptical_slice(trace, selection)`: a slice sampler along ellipses of the normal prior.

    With x the selected choices, m their prior mean and v another draw from the prior, points
    `m + (x - m) cos t + (v - m) sin t` all have the same prior distribution, so that t need only be drawn from a slice
    of the likelihood: the density of the choices that are not selected. Nothing to tune, and no gradient.

    Args:
        trace: the current state.
        selection: the choices to move: `normal` or `multivariate_normal`, jointly normal given the others. Missing
            elements of data that were observed in part stay where they are; `mh` moves them.
        mean: their prior mean m: a number, a tree like the selected choices, or a function from all choices to one of
            these, for means that depend on choices which are not selected.

    Returns:
        The new state. Saves `accept`, () bool, for `state`: whether it moved.

    Raises:
        ValueError: a selected choice has another distribution, or was observed, in part or in full.

    Source: Murray, Adams and MacKay, *Elliptical slice sampling* (AISTATS 2010), figure 2.
    """
    return apply(Elliptical(selection, mean), trace)
