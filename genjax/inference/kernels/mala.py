"""The Metropolis-adjusted Langevin algorithm."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, TypeVar

import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core import sel
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.inference.kernels.density import (
    GradientState,
    init_gradient,
    select_end,
    selected_density,
    standard_normal_like,
    total_squares,
    what_is_known,
)
from genjax.inference.kernels.kernel import Info, Kernel, apply, no_move
from genjax.inference.kernels.metropolis import acceptance_probability, accepts
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class MALA(Kernel):
    """The Metropolis-adjusted Langevin algorithm; see `mala`.

    Attributes:
        selection: the choices to move.
        step_size: tau, a float or a scalar array.
        transform: whether constrained choices are moved in unconstrained coordinates.
    """

    selection: Selectable
    step_size: ArrayLike
    transform: bool = Pytree.static(default=True)

    target_acceptance: ClassVar[float] = 0.574  # of a warm-up

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))

    def init(self, trace: AnyTrace) -> GradientState:
        return init_gradient(trace, selected_density(trace, self.selection, "mala", self.transform), self.transform)

    def step(self, state: GradientState) -> tuple[GradientState, Info]:
        density = selected_density(state.trace, self.selection, "mala", self.transform, state)
        if density is None:
            return no_move(state)
        gradient, noise = state.gradient, standard_normal_like(density.position)
        tau = [jnp.asarray(self.step_size, s.dtype) for s in density.position]
        proposed = [
            s + t * (0.5 * t * g + e) for s, t, g, e in zip(density.position, tau, gradient, noise, strict=True)
        ]
        end = density.evaluate(proposed)
        # The noise that would lead back from s', negated.
        back = [e + 0.5 * t * (g + h) for e, t, g, h in zip(noise, tau, gradient, end.gradient, strict=True)]
        log_alpha = end.log_density - density.log_density + 0.5 * (total_squares(noise) - total_squares(back))
        accept = accepts(log_alpha)
        energy = -jnp.where(accept, end.log_density, density.log_density)
        info = Info.of(accept, acceptance_probability(log_alpha), energy, n_gradients=1)
        return select_end(accept, state, density, proposed, end), info

    def memory(self, state: GradientState) -> tuple[Hashable, PyTree] | None:
        return what_is_known(state, self.selection, self.transform)


def mala(trace: T, selection: Selectable, step_size: ArrayLike, *, transform: bool = True) -> T:
    """`new_trace = mala(trace, selection, step_size)`: a step along the gradient plus noise, accepted or rejected.

    With s the selected choices, g the gradient of `log P` in them and tau the step size,

        s' = s + tau^2/2 g(s) + tau e,    e ~ N(0, I),
        log alpha = log P(s') - log P(s) + log N(s; s' + tau^2/2 g(s'), tau^2) - log N(s'; s + tau^2/2 g(s), tau^2)
                  = log P(s') - log P(s) + (|e|^2 - |e + tau/2 (g(s) + g(s'))|^2) / 2.

    Two gradients per call; one in a `chain`, where the gradient at the start is that at the end of the step before.
    The density comes with the second. Choices whose support is not R^n are moved in unconstrained coordinates, where
    `log P` includes the log determinant; see `unconstrained`.

    Args:
        trace: the current state. Its model and arguments do not change.
        selection: the choices to move, `sel(...)`: continuous, of any shapes. None selected: `trace` is returned.
        step_size: tau, a float or a scalar array, which may be traced.
        transform: False moves constrained choices in their own coordinates, as the published GenJAX does. Proposals
            outside of the support are rejected.

    Returns:
        The new state, or `trace` where the proposal is rejected (also where log alpha is NaN). Saves `accept`, () bool,
        for `state`.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: the selection names an address that the trace does not have, or nothing but observed ones; a support
            depends on other selected choices.

    Source: Roberts and Tweedie, *Exponential convergence of Langevin distributions and their discrete approximations*
    (1996), section 1.4.2.
    """
    return apply(MALA(selection, step_size, transform), trace)
