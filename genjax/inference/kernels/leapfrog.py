"""The leapfrog integrator of Hamiltonian dynamics."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.inference.kernels.density import Arrays, Point, SelectedDensity
from genjax.inference.kernels.metric import velocity

#: A trajectory whose energy rises by more than this has left the region where steps of its size are stable.
DIVERGENCE_THRESHOLD = 1000.0


class PhasePoint(NamedTuple):
    """A point on a trajectory: position and momentum, and the density at the position."""

    position: Arrays
    momentum: Arrays
    point: Point


def leapfrog(
    density: SelectedDensity,
    gradient: Arrays,
    momentum: Arrays,
    step_size: ArrayLike,
    n_steps: int | Array,
    inverse_mass: jax.Array | None = None,
) -> PhasePoint:
    """The end of a trajectory from the density's own position.

        r <- r + eps/2 g(s);   s <- s + eps A r;   r <- r + eps/2 g(s),    n_steps times.

    Reversible (negate the final momentum and the same steps lead back) and volume-preserving; the energy
    `r' A r/2 - log P(s)` errs by O(eps^2). The half kicks of neighbouring steps are made as one.

    Args:
        density: the target.
        gradient: its gradient at its position.
        momentum: arrays of the position's shapes.
        step_size: eps, a scalar.
        n_steps: a non-negative int, or a traced integer.
        inverse_mass: A, see `metric`; with a vector as position.
    """
    eps = [jnp.asarray(step_size, s.dtype) for s in density.position]

    def add(values: Arrays, scale: float, by: Arrays) -> Arrays:
        return [v + scale * e * b for v, e, b in zip(values, eps, by, strict=True)]

    def step(_: jax.Array, at: tuple[Arrays, Arrays]) -> tuple[Arrays, Arrays]:
        position, momentum = at
        position = add(position, 1.0, velocity(inverse_mass, momentum))
        return position, add(momentum, 1.0, density.evaluate(position).gradient)

    def stay() -> PhasePoint:
        return PhasePoint(density.position, momentum, Point(density.log_density, gradient, density.computed))

    def move() -> PhasePoint:
        # In the loop nobody reads the density, so XLA leaves it out there.
        first = density.position, add(momentum, 0.5, gradient)
        position, half = jax.lax.fori_loop(0, n_steps - 1, step, first)
        position = add(position, 1.0, velocity(inverse_mass, half))
        point = density.evaluate(position)
        return PhasePoint(position, add(half, 0.5, point.gradient), point)

    if isinstance(n_steps, jax.Array):
        return jax.lax.cond(n_steps > 0, move, stay)
    return move() if n_steps > 0 else stay()
