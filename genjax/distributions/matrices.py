"""Distributions over matrices: Wishart, and Cholesky factors of correlations (LKJ)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln
from jax.typing import ArrayLike

from genjax.core.const import Const, Size, unwrap
from genjax.core.distribution import distribution
from genjax.distributions import gammas, noise, supports
from genjax.distributions.family import REQUIRED, Family, Form, define
from genjax.distributions.multivariate import dirichlet, refuse_indefinite
from genjax.distributions.normals import normal

Shape = tuple[int, ...]


def _times(a: Array, b: Array) -> Array:
    # Full precision: accelerators would otherwise multiply with ten-bit mantissas.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _log_diagonal(factor: Array) -> Array:
    return jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1))


# Wishart


def _square_event(_df: Shape, scale_shape: Shape) -> Shape:
    if scale_shape[-1] != scale_shape[-2]:
        raise ValueError(f"Wishart got a scale_matrix of shape {scale_shape}. It must be square.")
    return scale_shape[-2:]


def _half_degrees(df: Array, size: int) -> Array:
    """`(df - i) / 2` for i = 0, ..., size - 1 along a new last axis."""
    return 0.5 * (df[..., None] - jax.lax.broadcasted_iota(df.dtype, (*df.shape, size), df.ndim))


def _draw_wishart(key: Array, df: Array, scale_matrix: Array, *, shape: Shape) -> Array:
    """Source: Bartlett's decomposition (Smith and Hocking, *Algorithm AS 53: Wishart variate generator*, 1972)."""
    normal_key, gamma_key = jax.random.split(key)
    size = scale_matrix.shape[-1]
    factor = jnp.linalg.cholesky(scale_matrix)
    halves = _half_degrees(df, size)
    roots = jnp.sqrt(2 * gammas.gamma(gamma_key, halves, (*shape, size))[0])
    below = jnp.tril(noise.normal(normal_key, (*shape, size, size), df.dtype), -1)
    identity = jnp.broadcast_to(jnp.eye(size, dtype=df.dtype), below.shape)
    lower = _times(factor, below + roots[..., None] * identity)
    return _times(lower, jnp.swapaxes(lower, -1, -2))


def _log_wishart_density(value: Array, df: Array, scale_matrix: Array) -> Array:
    size = scale_matrix.shape[-1]
    symmetric = 0.5 * (value + jnp.swapaxes(value, -1, -2))
    fixed = jax.lax.stop_gradient(symmetric)
    is_finite = jnp.all(jnp.isfinite(fixed), axis=(-2, -1))
    identity = jnp.eye(size, dtype=value.dtype)
    least = jnp.linalg.eigvalsh(jnp.where(is_finite[..., None, None], fixed, identity))[..., 0]
    is_inside = is_finite & (least > 0)
    inside = jnp.where(is_inside[..., None, None], symmetric, identity)
    factor = jnp.linalg.cholesky(scale_matrix)
    shape = jnp.broadcast_shapes(inside.shape, factor.shape)
    # tr(V^-1 X) is the square of L_V^-1 L_X.
    ratio = jax.lax.linalg.triangular_solve(
        jnp.broadcast_to(factor, shape),
        jnp.broadcast_to(jnp.linalg.cholesky(inside), shape),
        left_side=True,
        lower=True,
    )
    log_gammas = gammaln(_half_degrees(df, size)).sum(-1)
    log_normaliser = (
        0.5 * df * size * math.log(2)
        + df * _log_diagonal(factor).sum(-1)
        + 0.25 * size * (size - 1) * math.log(math.pi)
        + log_gammas
    )
    # log det X = 2 log det(L_X), of the ratio and the factor; and not of X, whose small eigenvalues cancel.
    log_determinant = 2 * (_log_diagonal(ratio) + _log_diagonal(factor)).sum(-1)
    log_density = 0.5 * (df - size - 1) * log_determinant - 0.5 * jnp.square(ratio).sum((-2, -1)) - log_normaliser
    return jnp.where(is_inside, log_density, -jnp.inf)


def _refuse_wishart(df: Array, scale_matrix: Array) -> None:
    refuse_indefinite(scale_matrix, "The scale_matrix of Wishart")


wishart = define(
    Family(
        "Wishart",
        {"df": REQUIRED, "scale_matrix": REQUIRED},
        [
            Form(
                ("df", "scale_matrix"),
                _draw_wishart,
                _log_wishart_density,
                event_ranks=(0, 2),
                event_shape=_square_event,
                value_rank=2,
                refuse=_refuse_wishart,
            )
        ],
        supports.positive_definite,
    )
)
"""`wishart(df, scale_matrix)`: matrices X = sum of df squares of normals of covariance V = scale_matrix, df > n - 1.

log p(X) = (df - n - 1) / 2 log det X - tr(V^-1 X) / 2 - df n / 2 log 2 - df / 2 log det V - log Gamma_n(df / 2). The
mean is df V. Only the symmetric part of a value counts. Draws resolve probabilities down to 1e-30, as do the normals
and gammas that they are made of.
"""


# Correlations


@dataclass(frozen=True)
class _LKJCholesky:
    """The sampler and the density of `lkj_cholesky`, built from Dirichlet and normal choices."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _the_lkj_cholesky, ()  # there is one: copies and pickles are itself

    def sample(self, dimension: Size, concentration: ArrayLike, *, sample_shape: tuple[int, ...] = ()) -> Array:
        n = _dimension(dimension)
        concentration = jnp.asarray(concentration, jnp.result_type(float, concentration))
        rows = jnp.arange(1, n, dtype=concentration.dtype)
        first, second = rows / 2, _second(concentration, n)
        # The squared length of a row below the diagonal, and what is left for the diagonal, each with all its digits.
        parts = dirichlet.sample(jnp.stack(jnp.broadcast_arrays(first, second), axis=-1), sample_shape=sample_shape)
        squares, left = parts[..., 0], parts[..., 1]
        shape = (*squares.shape, n)
        mask = jnp.arange(n) < jnp.arange(1, n)[:, None]
        directions = jnp.where(mask, normal.sample(jnp.zeros(shape, squares.dtype), 1.0), 0)
        lengths = jnp.sqrt(jnp.square(directions).sum(-1))
        below = directions * (jnp.sqrt(squares) / lengths)[..., None]
        diagonal = jnp.eye(n, dtype=squares.dtype)[1:] * jnp.sqrt(left)[..., None]
        top = jnp.broadcast_to(jnp.eye(n, dtype=squares.dtype)[:1], (*squares.shape[:-1], 1, n))
        return jnp.concatenate([top, below + diagonal], axis=-2)

    def logpdf(self, value: ArrayLike, dimension: Size, concentration: ArrayLike) -> Array:
        n = _dimension(dimension)
        value = jnp.asarray(value)
        if value.shape[-2:] != (n, n):
            raise ValueError(f"lkj_cholesky({n}, ...) got a value of shape {value.shape}. Its last axes are {n, n}.")
        is_inside = supports.correlation_cholesky.contains(jax.lax.stop_gradient(value))
        concentration = jnp.asarray(concentration, value.dtype)
        diagonal = jnp.diagonal(value, axis1=-2, axis2=-1)[..., 1:]
        log_diagonal = jnp.log(jnp.where(is_inside[..., None], diagonal, 1))
        first, second = jnp.arange(1, n, dtype=value.dtype) / 2, _second(concentration, n)
        terms = 2 * (second - 1) * log_diagonal + gammaln(first + second) - gammaln(second) - first * math.log(math.pi)
        return jnp.where(is_inside, terms.sum(-1), -jnp.inf)


def _dimension(dimension: Size) -> int:
    n = unwrap(dimension) if isinstance(dimension, Const) else dimension
    if isinstance(n, jax.core.Tracer) or int(n) != float(n) or int(n) < 1:
        raise TypeError(
            f"lkj_cholesky() got the dimension {n!r}. It is the side of the matrix, a Python int of at least 1; pass "
            "it through `seed` and `jit` as const(n)."
        )
    return int(n)


def _second(concentration: Array, n: int) -> Array:
    """The second parameter of the beta law of each row's squared length below the diagonal, `(*batch, n - 1)`."""
    return concentration[..., None] + 0.5 * (n - 1 - jnp.arange(1, n, dtype=concentration.dtype))


_LKJ_CHOLESKY = _LKJCholesky()


def _the_lkj_cholesky() -> _LKJCholesky:
    return _LKJ_CHOLESKY


lkj_cholesky = distribution(_LKJ_CHOLESKY.sample, _LKJ_CHOLESKY.logpdf, "LKJCholesky", supports.correlation_cholesky)
"""`lkj_cholesky(dimension, concentration)`: Cholesky factors L of correlation matrices, p(L L^T) prop. det^(eta - 1).

log p(L) = sum over rows i = 1..n-1 of 2 (b_i - 1) log L_ii + log Gamma(i / 2 + b_i) - log Gamma(b_i) - i / 2 log pi,
with b_i = eta + (n - 1 - i) / 2, counted from row 0: a density of the entries below the diagonal.
`dimension` is static.

Source: Lewandowski, Kurowicka and Joe, *Generating random correlation matrices based on vines and extended onion
method* (2009), section 3.2. Draws resolve probabilities down to 1e-30.
"""
