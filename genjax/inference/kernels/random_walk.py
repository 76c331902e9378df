"""Random-walk Metropolis: a normal step in unconstrained coordinates."""

from __future__ import annotations

from typing import ClassVar, TypeVar

import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core import sel
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.inference.carry import plain, select_trace
from genjax.inference.kernels.density import selected_density, standard_normal_like
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply, no_move
from genjax.inference.kernels.metropolis import acceptance_probability, accepts

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class RandomWalk(Kernel):
    """Random-walk Metropolis; see `random_walk`.

    Attributes:
        selection: the choices to move.
        step_size: standard deviation of a step, a float or a scalar array. `warmup` finds it.
        transform: whether constrained choices are moved in unconstrained coordinates.
    """

    selection: Selectable
    step_size: ArrayLike
    transform: bool = Pytree.static(default=True)

    target_acceptance: ClassVar[float] = 0.3  # of a warm-up; the best is 0.44 for one coordinate, 0.23 for many

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))

    def init(self, trace: AnyTrace) -> TraceState:
        selected_density(trace, self.selection, "random_walk", self.transform)
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        density = selected_density(state.trace, self.selection, "random_walk", self.transform)
        if density is None:
            return no_move(state)
        noise = standard_normal_like(density.position)
        proposed = [z + jnp.asarray(self.step_size, z.dtype) * e for z, e in zip(density.position, noise, strict=True)]
        end = density.evaluate(proposed)  # nothing uses its gradient, so it is not computed
        log_alpha = end.log_density - density.log_density
        accept = accepts(log_alpha)
        new = select_trace(accept, density.trace_at(proposed, end.computed), state.trace)
        return TraceState(new), Info.of(accept, acceptance_probability(log_alpha), new.get_score())


def random_walk(trace: T, selection: Selectable, step_size: ArrayLike, *, transform: bool = True) -> T:
    """`new_trace = random_walk(trace, selection, step_size)`: a normal step, accepted or rejected.

    With s the selected choices in unconstrained coordinates, `s' = s + step_size e`, e ~ N(0, I), and
    `log alpha = log P(s') - log P(s)`, where `log P` includes the log determinant.

    Args:
        trace: the current state.
        selection: the choices to move, `sel(...)`: continuous, of any shapes.
        step_size: a float or a scalar array, which may be traced.
        transform: False moves constrained choices in their own coordinates.

    Returns:
        The new state, or `trace` where the proposal is rejected. Saves `accept`, () bool, for `state`.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: a selection of addresses that the trace does not have or that were observed.

    Source: Metropolis et al., *Equation of state calculations by fast computing machines* (1953).
    """
    return apply(RandomWalk(selection, step_size, transform), trace)
