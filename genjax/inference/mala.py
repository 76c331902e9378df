"""The Metropolis-adjusted Langevin algorithm."""

from __future__ import annotations

from typing import Any, TypeVar

import jax.numpy as jnp

from genjax.core import Trace, sel
from genjax.inference.mh import keep
from genjax.inference.selected import accept_end, selected_density, standard_normal_like, total_squares

T = TypeVar("T", bound=Trace[Any, Any])


def mala(trace: T, selection: Any, step_size: Any) -> T:
    """`new_trace = mala(trace, selection, step_size)`: a step along the gradient plus noise, accepted or rejected.

    With s the selected choices, g the gradient of `log P` in them and tau the step size,

        s' = s + tau^2/2 g(s) + tau e,    e ~ N(0, I),
        log alpha = log P(s') - log P(s) + log N(s; s' + tau^2/2 g(s'), tau^2) - log N(s'; s + tau^2/2 g(s), tau^2)
                  = log P(s') - log P(s) + (|e|^2 - |e + tau/2 (g(s) + g(s'))|^2) / 2.

    Two gradients per call; one in a `chain`, where the gradient at the start is that at the end of the step before.
    The density comes with the second.

    Args:
        trace: the current state. Model and arguments stay what they are.
        selection: the choices to move, `sel(...)`: continuous, of any shapes. None selected: `trace` is returned.
        step_size: tau, a float or a scalar array, which may be traced.

    Returns:
        The new state, or `trace` where the proposal is rejected (also where log alpha is NaN, as outside of a
        support). Saves `accept`, () bool, for `state`.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.

    Source: Roberts and Tweedie, *Exponential convergence of Langevin distributions and their discrete approximations*
    (1996), section 1.4.2.
    """
    density = selected_density(trace, sel(selection), "mala")
    if density is None:
        return keep(trace)
    gradient = density.evaluate(density.position).gradient
    noise = standard_normal_like(density.position)
    tau = [jnp.asarray(step_size, s.dtype) for s in density.position]
    proposed = [s + t * (0.5 * t * g + e) for s, t, g, e in zip(density.position, tau, gradient, noise, strict=True)]
    end = density.evaluate(proposed)
    # The noise that would lead back from s', negated.
    back = [e + 0.5 * t * (g + h) for e, t, g, h in zip(noise, tau, gradient, end.gradient, strict=True)]
    log_alpha = end.log_density - density.log_density + 0.5 * (total_squares(noise) - total_squares(back))
    return accept_end(trace, density, log_alpha, proposed, gradient, end)
