"""Hamiltonian Monte Carlo with trajectories of varying length."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core import sel
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.inference.kernels.density import GradientState
from genjax.inference.kernels.hmc import HMC
from genjax.inference.kernels.kernel import Info, Kernel

#: Most leapfrog steps of a trajectory.
MOST_STEPS = 1000


@Pytree.dataclass
class JitteredState(Pytree):
    """The state of HMC, and how many steps the chain has made, () int32."""

    inner: GradientState
    index: jax.Array

    @property
    def trace(self) -> AnyTrace:
        """The current trace."""
        return self.inner.trace


@Pytree.dataclass
class JitteredHMC(Kernel):
    """HMC whose step t has `ceil(h_t T / eps)` leapfrog steps, with h_1, h_2, ... = 1/2, 1/4, 3/4, 1/8, ...

    A trajectory of one length may return to where it began, in every step; of many lengths, it does not. The lengths
    are a Halton sequence, the same for all chains, so that chains side by side wait for no longer one.

    Attributes:
        selection: the choices to move.
        step_size: eps, a float or a scalar array.
        trajectory_length: T, of the longest trajectory, in units of the unconstrained coordinates. `chees` finds it.
        inverse_mass: as for `HMC`.
        transform: whether constrained choices are moved in unconstrained coordinates.

    Source: Hoffman, Radul and Sountsov, *An adaptive MCMC scheme for setting trajectory lengths in Hamiltonian Monte
    Carlo* (AISTATS 2021), section 3.
    """

    selection: Selectable
    step_size: ArrayLike
    trajectory_length: ArrayLike
    inverse_mass: jax.Array | None = Pytree.field(default=None)
    transform: bool = Pytree.static(default=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))

    def hmc(self, index: jax.Array) -> HMC:
        """The kernel of step `index`."""
        n_steps = jnp.ceil(halton(index) * self.trajectory_length / self.step_size)
        n_steps = jnp.clip(n_steps, 1, MOST_STEPS).astype(jnp.int32)
        return HMC(self.selection, self.step_size, n_steps, self.inverse_mass, self.transform)

    def init(self, trace: AnyTrace) -> JitteredState:
        zero = jnp.zeros((), jnp.int32)
        return JitteredState(self.hmc(zero).init(trace), zero)

    def step(self, state: JitteredState) -> tuple[JitteredState, Info]:
        inner, info = self.hmc(state.index).step(state.inner)
        return JitteredState(inner, state.index + 1), info


def halton(index: jax.Array) -> jax.Array:
    """Element `index`, counted from 0, of the Halton sequence of base 2: its binary digits behind the point, reversed.

    Source: Halton, *On the efficiency of certain quasi-random sequences of points* (1960).
    """
    places = jnp.arange(31, dtype=jnp.int32)
    digits = ((jnp.asarray(index, jnp.int32) + 1) >> places) & 1
    return jnp.sum(digits * jnp.exp2(-(places + 1.0)))
