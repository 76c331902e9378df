"""The kinetic energy of Hamiltonian kernels: `K(r) = r' A r / 2`, with A the inverse of the mass matrix.

A is None for the identity, a vector (n,) for a diagonal matrix, or a matrix (n, n). It estimates the posterior's
covariance, so that steps are alike in all directions.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.inference.kernels.density import Arrays, standard_normal_like, total_squares
from genjax.shapes import Float


def check_inverse_mass(inverse_mass: ArrayLike | None, n: int, kernel: str) -> None:
    """Raise unless an inverse mass matrix fits n coordinates.

    Raises:
        ValueError: it has another shape than (n,) or (n, n).
    """
    if inverse_mass is not None and jnp.shape(inverse_mass) not in ((n,), (n, n)):
        raise ValueError(
            f"{kernel} got inverse_mass of shape {jnp.shape(inverse_mass)} for {n} unconstrained coordinates. It is "
            f"({n},) for a diagonal matrix, ({n}, {n}) for a dense one, or None for the identity."
        )


def factor_of(inverse_mass: ArrayLike | None) -> Array | None:
    """What draws of momenta need of A, computed once: its square root if diagonal, its Cholesky factor if dense."""
    if inverse_mass is None:
        return None
    inverse_mass = jnp.asarray(inverse_mass, float)
    return jnp.sqrt(inverse_mass) if inverse_mass.ndim == 1 else jnp.linalg.cholesky(inverse_mass)


def draw_momentum(factor: Array | None, position: Arrays) -> Arrays:
    """r ~ N(0, A^-1), arrays of the position's shapes."""
    noise = standard_normal_like(position)
    if factor is None:
        return noise
    (z,) = noise
    if factor.ndim == 1:
        return [z / factor]
    return [jax.scipy.linalg.solve_triangular(factor, z, trans="T", lower=True)]


def velocity(inverse_mass: ArrayLike | None, momentum: Arrays) -> Arrays:
    """A r."""
    if inverse_mass is None:
        return momentum
    (r,) = momentum
    inverse_mass = jnp.asarray(inverse_mass, r.dtype)
    return [inverse_mass * r if inverse_mass.ndim == 1 else inverse_mass @ r]


def kinetic_energy(inverse_mass: ArrayLike | None, momentum: Arrays) -> Float[Array, ""]:
    """`r' A r / 2`, ()."""
    if inverse_mass is None:
        return 0.5 * total_squares(momentum)
    return 0.5 * sum(jnp.sum(r * v) for r, v in zip(momentum, velocity(inverse_mass, momentum), strict=True))
