"""Running covariance of positions, and the inverse mass matrix made of it.

Source: Welford, *Note on a method for calculating corrected sums of squares and products* (Technometrics 1962); the
shrinkage is that of Stan (reference manual, *HMC algorithm parameters*).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from genjax.core.pytree import Pytree
from genjax.signatures import PyTree


@Pytree.dataclass
class Moments(Pytree):
    """Of n vectors (d,): their number, mean (d,), and sum of squares (d,) or products (d, d) about the mean."""

    n: Array
    mean: PyTree
    squares: PyTree

    @staticmethod
    def start(like: PyTree) -> Moments:
        """Of no vectors, for an inverse mass matrix like this one: (d,) or (d, d)."""
        return Moments(jnp.zeros((), like.dtype), jnp.zeros(like.shape[:1], like.dtype), jnp.zeros_like(like))

    def add(self, position: PyTree) -> Moments:
        """With one more vector."""
        n = self.n + 1
        before = position - self.mean
        mean = self.mean + before / n
        after = position - mean
        product = before * after if self.squares.ndim == 1 else jnp.outer(before, after)
        return Moments(n, mean, self.squares + product)

    def inverse_mass(self) -> Array:
        """The covariance, shrunk towards 0.001 times the identity as if by five more vectors."""
        covariance = self.squares / jnp.maximum(self.n - 1, 1)
        identity = jnp.ones_like(self.mean) if self.squares.ndim == 1 else jnp.eye(self.mean.size)
        return (self.n * covariance + 5e-3 * identity) / (self.n + 5)
