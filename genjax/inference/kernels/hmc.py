"""Hamiltonian Monte Carlo with a fixed number of leapfrog steps."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core import Const, sel
from genjax.core.const import Size, unwrap
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.inference.kernels.density import (
    GradientState,
    SelectedDensity,
    init_gradient,
    select_end,
    selected_density,
    what_is_known,
)
from genjax.inference.kernels.kernel import Info, Kernel, apply, no_move
from genjax.inference.kernels.leapfrog import DIVERGENCE_THRESHOLD, PhasePoint, leapfrog
from genjax.inference.kernels.metric import check_inverse_mass, draw_momentum, factor_of, kinetic_energy
from genjax.inference.kernels.metropolis import acceptance_probability, accepts
from genjax.shapes import Float
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)


class Trajectory(NamedTuple):
    """The end of a trajectory, the log acceptance ratio of moving there, and the energies at start and end."""

    end: PhasePoint
    log_alpha: Float[jax.Array, ""]
    energy_before: Float[jax.Array, ""]
    energy_after: Float[jax.Array, ""]


@Pytree.dataclass
class HMC(Kernel):
    """Hamiltonian Monte Carlo; see `hmc`.

    Attributes:
        selection: the choices to move.
        step_size: eps, a float or a scalar array.
        n_steps: L, an int, a `Const`, or a traced integer.
        inverse_mass: None for the identity, or an estimate of the posterior covariance of the n unconstrained
            coordinates: (n,), its diagonal, or (n, n). `warmup` finds it.
        transform: whether constrained choices are moved in unconstrained coordinates.
    """

    selection: Selectable
    step_size: ArrayLike
    n_steps: Any
    inverse_mass: jax.Array | None = Pytree.field(default=None)
    transform: bool = Pytree.static(default=True)

    target_acceptance: ClassVar[float] = 0.8  # of a warm-up

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))
        n_steps = unwrap(self.n_steps)
        if not isinstance(n_steps, jax.Array):
            if n_steps < 0:
                raise ValueError(f"hmc got n_steps={n_steps}. The number of leapfrog steps is 0 or more.")
            object.__setattr__(self, "n_steps", Const(n_steps))

    def density(self, trace: AnyTrace, state: GradientState | None = None) -> SelectedDensity | None:
        """The density that the kernel moves on; None if nothing is selected."""
        is_vector = self.inverse_mass is not None
        return selected_density(trace, self.selection, "hmc", self.transform, state, as_vector=is_vector)

    def init(self, trace: AnyTrace) -> GradientState:
        density = self.density(trace)
        check_inverse_mass(self.inverse_mass, sum(x.size for x in density.position) if density else 0, "hmc")
        return init_gradient(trace, density, self.transform, factor_of(self.inverse_mass))

    def trajectory(self, state: GradientState, density: SelectedDensity) -> Trajectory:
        """A trajectory from the state, with momenta drawn for it."""
        momentum = draw_momentum(state.factor, density.position)
        n_steps = unwrap(self.n_steps)
        end = leapfrog(density, state.gradient, momentum, self.step_size, n_steps, self.inverse_mass)
        before, after = (kinetic_energy(self.inverse_mass, r) for r in (momentum, end.momentum))
        log_alpha = end.point.log_density - density.log_density - (after - before)
        return Trajectory(end, log_alpha, before - density.log_density, after - end.point.log_density)

    def step(self, state: GradientState) -> tuple[GradientState, Info]:
        density = self.density(state.trace, state)
        if density is None:
            return no_move(state)
        moved = self.trajectory(state, density)
        return self.decide(state, density, moved)

    def decide(self, state: GradientState, density: SelectedDensity, moved: Trajectory) -> tuple[GradientState, Info]:
        """Accept the end of a trajectory, or stay."""
        end, log_alpha, before, after = moved
        accept = accepts(log_alpha)
        info = Info.of(
            accept,
            acceptance_probability(log_alpha),
            jnp.where(accept, after, before),
            ~(log_alpha > -DIVERGENCE_THRESHOLD),
            n_gradients=unwrap(self.n_steps),
        )
        return select_end(accept, state, density, end.position, end.point), info

    def memory(self, state: GradientState) -> tuple[Hashable, PyTree] | None:
        return what_is_known(state, self.selection, self.transform, self.inverse_mass is not None)


def hmc(
    trace: T,
    selection: Selectable,
    step_size: ArrayLike,
    n_steps: Size | jax.Array,
    inverse_mass: jax.Array | None = None,
    *,
    transform: bool = True,
) -> T:
    """`new_trace = hmc(trace, selection, step_size, n_steps)`: follow a trajectory, then accept or reject its end.

    With s the selected choices, A the inverse mass matrix and momenta r ~ N(0, A^-1), L leapfrog steps of size eps lead
    to (s', r'), and

        log alpha = [log P(s') - r'^T A r'/2] - [log P(s) - r^T A r/2].

    L + 1 gradients per call; L in a `chain`, where the gradient at the start is that at the end of the step before. The
    density is evaluated once, at the end, with the last gradient. Choices whose support is not R^n are moved in
    unconstrained coordinates, where `log P` includes the log determinant; see `unconstrained`.

    Args:
        trace: the current state. Its model and arguments do not change.
        selection: the choices to move, `sel(...)`: continuous, of any shapes. None selected: `trace` is returned.
        step_size: eps, a float or a scalar array, which may be traced.
        n_steps: L, an int, a `Const`, or a traced integer.
        inverse_mass: A, the identity by default; (n,) for a diagonal matrix, (n, n) for a dense one, over the n
            unconstrained coordinates.
        transform: False moves constrained choices in their own coordinates, as the published GenJAX does. Trajectories
            that leave the support are rejected.

    Returns:
        The new state, or `trace` where the end is rejected (also where log alpha is NaN). Saves `accept`, () bool, for
        `state`.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: a negative number of steps, a selection of addresses that the trace does not have or that were
            observed, a support that depends on other selected choices, or an inverse mass matrix of another shape.

    Source: Neal, *MCMC using Hamiltonian dynamics* (2011), section 5.3.2, without the momentum flip at the end, which
    the next call's fresh momenta make irrelevant.
    """
    return apply(HMC(selection, step_size, n_steps, inverse_mass, transform), trace)
