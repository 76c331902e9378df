"""The No-U-Turn Sampler."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, TypeVar

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core import sel
from genjax.core.const import count, unwrap
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.inference.carry import plain
from genjax.inference.kernels.density import (
    GradientState,
    SelectedDensity,
    init_gradient,
    selected_density,
    what_is_known,
)
from genjax.inference.kernels.kernel import Info, Kernel, apply, no_move
from genjax.inference.kernels.metric import check_inverse_mass, draw_momentum, factor_of
from genjax.inference.kernels.trajectory import build_trajectory
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class NUTS(Kernel):
    """The No-U-Turn Sampler; see `nuts`.

    Attributes:
        selection: the choices to move.
        step_size: eps, a float or a scalar array. `warmup` finds it.
        inverse_mass: None for the identity, or an estimate of the posterior covariance of the n unconstrained
            coordinates: (n,), its diagonal, or (n, n). `warmup` finds it.
        max_depth: most doublings of a trajectory, so that it has at most `2^max_depth - 1` leapfrog steps.
        transform: whether constrained choices are moved in unconstrained coordinates.
    """

    selection: Selectable
    step_size: ArrayLike = 0.1
    inverse_mass: Array | None = Pytree.field(default=None)
    max_depth: int = Pytree.static(default=10)
    transform: bool = Pytree.static(default=True)

    target_acceptance: ClassVar[float] = 0.8  # of a warm-up

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))
        depth = count(unwrap(self.max_depth), "The max_depth of NUTS")
        if not depth:
            raise ValueError(f"NUTS got max_depth={depth}. A trajectory doubles at least once.")
        object.__setattr__(self, "max_depth", depth)

    def density(self, trace: AnyTrace, state: GradientState | None = None) -> SelectedDensity | None:
        """The density that the kernel moves on; None if nothing is selected."""
        return selected_density(trace, self.selection, "nuts", self.transform, state, as_vector=True)

    def init(self, trace: AnyTrace) -> GradientState:
        density = self.density(trace)
        check_inverse_mass(self.inverse_mass, sum(x.size for x in density.position) if density else 0, "nuts")
        return init_gradient(trace, density, self.transform, factor_of(self.inverse_mass))

    def step(self, state: GradientState) -> tuple[GradientState, Info]:
        density = self.density(state.trace, state)
        if density is None:
            return no_move(state)
        (gradient,), (momentum,) = state.gradient, draw_momentum(state.factor, density.position)
        end = build_trajectory(density, gradient, momentum, self.step_size, self.inverse_mass, self.max_depth)
        draw = end.whole.draw
        # Of this evaluation only the trace is used, so its gradient is never computed.
        trace = density.trace_at([draw.position], density.evaluate([draw.position]).computed)
        is_identity = density.space.is_identity
        new = GradientState(
            plain(trace),
            [draw.gradient],
            None if is_identity else [draw.position],
            None if is_identity else draw.log_density,
            state.factor,
        )
        info = Info.of(
            jnp.any(draw.position != density.position[0]),
            end.acceptance / end.n_leaves,
            draw.energy,
            end.is_divergent,
            end.depth,
            end.n_leaves,
        )
        return new, info

    def memory(self, state: GradientState) -> tuple[Hashable, PyTree] | None:
        return what_is_known(state, self.selection, self.transform, as_vector=True)


def nuts(
    trace: T,
    selection: Selectable,
    step_size: ArrayLike,
    inverse_mass: Array | None = None,
    *,
    max_depth: int = 10,
    transform: bool = True,
) -> T:
    """`new_trace = nuts(trace, selection, step_size)`: a draw from a trajectory that ends where it turns back.

    With s the selected choices in unconstrained coordinates, A the inverse mass matrix and momenta r ~ N(0, A^-1), a
    trajectory doubles in a random direction until one of its parts turns: with S the sum of its momenta and r_-, r_+
    those at its ends, until `(S - (r_- + r_+)/2)' A r_+ <= 0`, or the same for r_-. A state is drawn from its leaves
    with weights `exp(-energy)`, where the energy is `r' A r/2 - log P(s)`, later halves preferred. A leaf whose energy
    exceeds that of the start by 1000 is a divergence, and ends the trajectory.

    Args:
        trace: the current state. Its model and arguments do not change.
        selection: the choices to move, `sel(...)`: continuous, of any shapes. None selected: `trace` is returned.
        step_size: eps, a float or a scalar array, which may be traced.
        inverse_mass: A, the identity by default; (n,) for a diagonal matrix, (n, n) for a dense one, over the n
            unconstrained coordinates.
        max_depth: most doublings.
        transform: False moves constrained choices in their own coordinates.

    Returns:
        The new state. Saves `accept`, () bool, for `state`: whether it differs from `trace`.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: max_depth < 1, a selection of addresses that the trace does not have or that were observed, a
            support that depends on other selected choices, or an inverse mass matrix of another shape.

    Source: see `genjax.inference.kernels.trajectory`.
    """
    return apply(NUTS(selection, step_size, inverse_mass, max_depth, transform), trace)
