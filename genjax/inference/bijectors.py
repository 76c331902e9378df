"""Smooth one-to-one maps from R^n onto the supports of distributions, with the log determinants of their Jacobians.

Each maps the trailing axes of one value; axes in front are a batch. `forward` gives the sum of the log determinants
over the batch. For simplices, correlations and symmetric matrices the Jacobian is that of the coordinates in which
densities are written: the first K - 1 entries, the entries below the diagonal, the entries up to the diagonal.

Source: the Stan reference manual, chapter *Constraint transforms*; for correlations Lewandowski, Kurowicka and Joe,
*Generating random correlation matrices based on vines and extended onion method* (2009).
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from genjax.distributions import supports
from genjax.shapes import Float


@dataclasses.dataclass(frozen=True)
class Bijector:
    """A map from R^n onto a set. `words` says it for readers."""

    words = "x = z"

    def forward(self, z: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, ""]]:
        """`(x, log_determinant)`: the constrained values and `log |det dx/dz|`, ()."""
        return z, jnp.zeros((), z.dtype)

    def inverse(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """The coordinates of `x`. Values at the very edge of the set are taken a rounding error inside."""
        return x


class Identity(Bijector):
    """x = z."""


@dataclasses.dataclass(frozen=True)
class HalfLine(Bijector):
    """x = bound + sign exp(z)."""

    bound: ArrayLike = 0.0
    sign: float = 1.0

    @property
    def words(self) -> str:  # type: ignore[override]
        return "x = exp(z)" if self.bound is _ZERO else f"x = bound {'+' if self.sign > 0 else '-'} exp(z)"

    def forward(self, z: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, ""]]:
        distance = jnp.exp(z)
        return distance if self.bound is _ZERO else self.bound + self.sign * distance, jnp.sum(z)

    def inverse(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        distance = x if self.bound is _ZERO else self.sign * (x - self.bound)
        return jnp.log(jnp.where(distance == 0, jnp.finfo(x.dtype).tiny, distance))


@dataclasses.dataclass(frozen=True)
class Segment(Bijector):
    """x = low + (high - low) / (1 + exp(-z))."""

    low: ArrayLike = 0.0
    high: ArrayLike = 1.0

    words = "x = low + (high - low) sigmoid(z)"

    def forward(self, z: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, ""]]:
        width = jnp.asarray(self.high, z.dtype) - jnp.asarray(self.low, z.dtype)
        steepness = -jax.nn.softplus(z) - jax.nn.softplus(-z)
        return self.low + width * jax.nn.sigmoid(z), jnp.sum(steepness + jnp.log(width))

    def inverse(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        below, above = x - self.low, self.high - x
        least = jnp.finfo(x.dtype).eps * jnp.asarray(self.high - self.low, x.dtype)
        return jnp.log(jnp.where(below == 0, least, below)) - jnp.log(jnp.where(above == 0, least, above))


class Wrap(Bijector):
    """x = z modulo 2 pi, in [-pi, pi): densities on the circle have that period."""

    words = "x = z modulo 2 pi"

    def forward(self, z: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, ""]]:
        turns = jax.lax.stop_gradient(jnp.floor((z + math.pi) / (2 * math.pi)))
        return z - 2 * math.pi * turns, jnp.zeros((), z.dtype)


class StickBreaking(Bijector):
    """K - 1 numbers to K positive ones of sum 1: z_k - log(K - k) are the log odds of taking x_k from what is left."""

    words = "x = stick breaking of z"

    def forward(self, z: Float[Array, "*batch d"]) -> tuple[Float[Array, "*batch d+1"], Float[Array, ""]]:
        log_odds = z - _log_pieces_left(z.shape[-1], z.dtype)
        log_taken, log_kept = -jax.nn.softplus(-log_odds), -jax.nn.softplus(log_odds)
        log_left = jnp.cumsum(log_kept, axis=-1)
        log_before = log_left - log_kept
        x = jnp.exp(jnp.concatenate([log_taken + log_before, log_left[..., -1:]], axis=-1))
        return x, jnp.sum(log_taken + log_left)

    def inverse(self, x: Float[Array, "*batch k"]) -> Float[Array, "*batch k-1"]:
        x = jnp.maximum(x, jnp.finfo(x.dtype).tiny)
        left = jnp.flip(jnp.cumsum(jnp.flip(x, -1), axis=-1), -1)[..., 1:]
        return jnp.log(x[..., :-1]) - jnp.log(left) + _log_pieces_left(x.shape[-1] - 1, x.dtype)


def _log_pieces_left(n: int, dtype: DTypeLike) -> Array:
    return jnp.log(jnp.arange(n, 0, -1, dtype=dtype))


class Increasing(Bijector):
    """x_1 = z_1, x_k = x_{k-1} + exp(z_k)."""

    words = "x = cumulative sum of (z_1, exp(z_2), ...)"

    def forward(self, z: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, ""]]:
        steps = jnp.concatenate([z[..., :1], jnp.exp(z[..., 1:])], axis=-1)
        return jnp.cumsum(steps, axis=-1), jnp.sum(z[..., 1:])

    def inverse(self, x: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return jnp.concatenate([x[..., :1], jnp.log(jnp.diff(x, axis=-1))], axis=-1)


class CorrelationFactor(Bijector):
    """tanh(z) are the partial correlations below the diagonal, row by row; x the Cholesky factor that they make."""

    words = "x = Cholesky factor with partial correlations tanh(z)"

    def forward(self, z: Float[Array, "*batch d"]) -> tuple[Float[Array, "*batch k k"], Float[Array, ""]]:
        size = (1 + math.isqrt(1 + 8 * z.shape[-1])) // 2
        rows, columns = jnp.tril_indices(size, -1)
        z = jnp.zeros((*z.shape[:-1], size, size), z.dtype).at[..., rows, columns].set(z)
        log_rest = 2 * (math.log(2.0) - z - jax.nn.softplus(-2 * z))  # log(1 - tanh(z)^2): 0 where z is 0
        log_left = jnp.cumsum(log_rest, axis=-1) - log_rest  # of the squared length of a row, before each entry
        is_below = jnp.tril(jnp.ones((size, size), bool), -1)
        x = jnp.where(is_below, jnp.tanh(z), jnp.eye(size, dtype=z.dtype)) * jnp.exp(0.5 * log_left)
        return x, jnp.sum(jnp.where(is_below, log_rest + 0.5 * log_left, 0.0))

    def inverse(self, x: Float[Array, "*batch k k"]) -> Float[Array, "*batch d"]:
        left = jnp.flip(jnp.cumsum(jnp.flip(jnp.square(x), -1), axis=-1), -1)
        rows, columns = jnp.tril_indices(x.shape[-1], -1)
        return jnp.arctanh(x[..., rows, columns] / jnp.sqrt(left[..., rows, columns]))


class CholeskyProduct(Bijector):
    """x = L L', L lower triangular, row by row in z, with exp(z) on the diagonal."""

    words = "x = L L', log diagonal"

    def forward(self, z: Float[Array, "*batch d"]) -> tuple[Float[Array, "*batch k k"], Float[Array, ""]]:
        size = (math.isqrt(1 + 8 * z.shape[-1]) - 1) // 2
        rows, columns = jnp.tril_indices(size)
        lower = jnp.zeros((*z.shape[:-1], size, size), z.dtype).at[..., rows, columns].set(z)
        diagonal = jnp.diagonal(lower, axis1=-2, axis2=-1)
        lower = jnp.where(jnp.eye(size, dtype=bool), jnp.exp(lower), lower)
        powers = jnp.arange(size + 1, 1, -1, dtype=z.dtype)
        n_values = math.prod(z.shape[:-1])
        log_determinant = jnp.sum(powers * diagonal) + n_values * size * math.log(2.0)
        return lower @ jnp.swapaxes(lower, -1, -2), log_determinant

    def inverse(self, x: Float[Array, "*batch k k"]) -> Float[Array, "*batch d"]:
        lower = jnp.linalg.cholesky(x)
        size = x.shape[-1]
        lower = jnp.where(jnp.eye(size, dtype=bool), jnp.log(jnp.where(lower > 0, lower, 1.0)), lower)
        return lower[(..., *jnp.tril_indices(size))]


_ZERO = 0.0


def bijector_of(support: supports.Support | None) -> Bijector | None:
    """The bijector onto a support whose bounds are known; None for supports that have none (discrete ones).

    An unknown support (None) is taken for R^n.
    """
    if isinstance(support, supports.Interval):
        return _onto_interval(support.low, support.high)
    return _BIJECTORS.get(type(support))


def _onto_interval(low: ArrayLike, high: ArrayLike) -> Bijector:
    lows, highs = _is_bounded(low), _is_bounded(high)
    if lows and highs:
        return Segment(low, high)
    if lows:
        return HalfLine(low, 1.0)
    return HalfLine(high, -1.0) if highs else Identity()


def _is_bounded(bound: ArrayLike) -> bool:
    """Whether there is a bound; one that is computed while tracing is taken for finite."""
    if bound is None:
        return False
    return isinstance(bound, jax.core.Tracer) or bool(jnp.all(jnp.isfinite(jnp.asarray(bound))))


_BIJECTORS: dict[type, Bijector] = {
    type(None): Identity(),
    supports.Real: Identity(),
    supports.RealVector: Identity(),
    supports.Positive: HalfLine(_ZERO),
    supports.NonNegative: HalfLine(_ZERO),
    supports.UnitInterval: Segment(0.0, 1.0),
    supports.Circle: Wrap(),
    supports.Simplex: StickBreaking(),
    supports.Ordered: Increasing(),
    supports.CorrelationCholesky: CorrelationFactor(),
    supports.PositiveDefinite: CholeskyProduct(),
}
