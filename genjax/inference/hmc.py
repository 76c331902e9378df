"""Hamiltonian Monte Carlo with unit mass and a fixed number of leapfrog steps."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from genjax.core import Trace, sel
from genjax.core.const import unwrap
from genjax.inference.mh import keep
from genjax.inference.selected import (
    Arrays,
    Point,
    SelectedDensity,
    accept_end,
    selected_density,
    standard_normal_like,
    total_squares,
)

T = TypeVar("T", bound=Trace[Any, Any])


class PhasePoint(NamedTuple):
    """A point on a trajectory: position and momentum, and the density at the position."""

    position: Arrays
    momentum: Arrays
    point: Point


def hmc(trace: T, selection: Any, step_size: Any, n_steps: Any) -> T:
    """`new_trace = hmc(trace, selection, step_size, n_steps)`: follow a trajectory, accept or reject its end.

    With s the selected choices and momenta r ~ N(0, I), L leapfrog steps of size eps lead to (s', r'), and

        log alpha = [log P(s') - |r'|^2/2] - [log P(s) - |r|^2/2].

    L + 1 gradients per call; L in a `chain`, where the gradient at the start is that at the end of the step before. The
    density is evaluated once, at the end, with the last gradient.

    Args:
        trace: the current state. Model and arguments stay what they are.
        selection: the choices to move, `sel(...)`: continuous, of any shapes. None selected: `trace` is returned.
        step_size: eps, a float or a scalar array, which may be traced.
        n_steps: L, an int, a `Const`, or a traced integer.

    Returns:
        The new state, or `trace` where the end is rejected (also where log alpha is NaN, as for a trajectory that
        left the support). Saves `accept`, () bool, for `state`.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: a negative number of steps.

    Source: Neal, *MCMC using Hamiltonian dynamics* (2011), section 5.3.2, without the momentum flip at the end, which
    the next call's fresh momenta make irrelevant.
    """
    n_steps = unwrap(n_steps)
    if not isinstance(n_steps, jax.Array) and n_steps < 0:
        raise ValueError(f"hmc got n_steps={n_steps}. The number of leapfrog steps is 0 or more.")
    density = selected_density(trace, sel(selection), "hmc")
    if density is None:
        return keep(trace)
    momentum = standard_normal_like(density.position)
    gradient = density.evaluate(density.position).gradient
    end = leapfrog(density, gradient, momentum, step_size, n_steps)
    kinetic = 0.5 * (total_squares(end.momentum) - total_squares(momentum))
    log_alpha = end.point.log_density - density.log_density - kinetic
    return accept_end(trace, density, log_alpha, end.position, gradient, end.point)


def leapfrog(density: SelectedDensity, gradient: Arrays, momentum: Arrays, step_size: Any, n_steps: Any) -> PhasePoint:
    """The end of a trajectory from the density's own position.

        r <- r + eps/2 g(s);   s <- s + eps r;   r <- r + eps/2 g(s),    n_steps times.

    Reversible (negate the final momentum and the same steps lead back) and volume-preserving; the energy
    `|r|^2/2 - log P(s)` errs by O(eps^2). The half kicks of neighbouring steps are made as one.

    Args:
        density: the target.
        gradient: its gradient at its position.
        momentum: arrays of the position's shapes.
        step_size: eps, a scalar.
        n_steps: a non-negative int, or a traced integer.
    """
    eps = [jnp.asarray(step_size, s.dtype) for s in density.position]

    def add(values: Arrays, scale: float, by: Arrays) -> Arrays:
        return [v + scale * e * b for v, e, b in zip(values, eps, by, strict=True)]

    def step(_: Any, at: tuple[Arrays, Arrays]) -> tuple[Arrays, Arrays]:
        position, momentum = at
        position = add(position, 1.0, momentum)
        return position, add(momentum, 1.0, density.evaluate(position).gradient)

    def stay() -> PhasePoint:
        return PhasePoint(density.position, momentum, Point(density.log_density, gradient, density.computed))

    def move() -> PhasePoint:
        # In the loop nobody reads the density, so XLA leaves it out there.
        first = density.position, add(momentum, 0.5, gradient)
        position, half = jax.lax.fori_loop(0, n_steps - 1, step, first)
        position = add(position, 1.0, half)
        point = density.evaluate(position)
        return PhasePoint(position, add(half, 0.5, point.gradient), point)

    if isinstance(n_steps, jax.Array):
        return jax.lax.cond(n_steps > 0, move, stay)
    return move() if n_steps > 0 else stay()
