"""Vectors made of normals: multivariate Student's t, and the Gaussian random walk."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from genjax.distributions import gammas, noise, special, supports
from genjax.distributions.family import FAMILIES, REQUIRED, Family, Form, define
from genjax.distributions.multivariate import refuse_indefinite, squares_and_log_determinant, vector_event

Shape = tuple[int, ...]


# Multivariate Student's t


def _draw_multivariate_t(key: Array, df: Array, loc: Array, scale_matrix: Array, *, shape: Shape) -> Array:
    normal_key, gamma_key = jax.random.split(key)
    factor = jnp.linalg.cholesky(scale_matrix)
    standard = noise.normal(normal_key, (*shape, factor.shape[-1]), loc.dtype)
    vector = jnp.matmul(factor, standard[..., None], precision=jax.lax.Precision.HIGHEST)[..., 0]
    log_mean_one = gammas.log_gamma(gamma_key, df / 2, shape) - jnp.log(df / 2)
    largest = jnp.finfo(loc.dtype).max
    return jnp.clip(loc + vector * jnp.exp(-0.5 * log_mean_one)[..., None], -largest, largest)


def _log_multivariate_t_density(value: Array, df: Array, loc: Array, scale_matrix: Array) -> Array:
    value, is_outside = special.without_infinity(value)
    squares, log_root_determinant = squares_and_log_determinant(value, loc, scale_matrix)
    half = 0.5 * scale_matrix.shape[-1]
    # Gamma((df + n) / 2) / Gamma(df / 2) = Gamma(n / 2) / B(n / 2, df / 2), which does not cancel for large df.
    log_gammas = math.lgamma(half) - special.log_beta(jnp.asarray(half, df.dtype), df / 2)
    log_normaliser = half * (jnp.log(df) + math.log(math.pi)) + log_root_determinant
    log_density = log_gammas - log_normaliser - (0.5 * df + half) * jnp.log1p(squares / df)
    return jnp.where(is_outside, -jnp.inf, log_density)


def _refuse_multivariate_t(df: Array, loc: Array, scale_matrix: Array) -> None:
    refuse_indefinite(scale_matrix, "The scale_matrix of MultivariateStudentT")


multivariate_student_t = define(
    Family(
        "MultivariateStudentT",
        {"df": REQUIRED, "loc": REQUIRED, "scale_matrix": REQUIRED},
        [
            Form(
                ("df", "loc", "scale_matrix"),
                _draw_multivariate_t,
                _log_multivariate_t_density,
                event_ranks=(0, 1, 2),
                event_shape=lambda _df, loc, scale: vector_event(loc, scale),
                value_rank=1,
                refuse=_refuse_multivariate_t,
            )
        ],
        supports.real_vector,
    )
)
"""`multivariate_student_t(df, loc, scale_matrix)`: with S = L L^T, n the length of x, q = |L^-1 (x - loc)|^2,
log p(x) = log(Gamma((df + n) / 2) / Gamma(df / 2)) - n log(df pi) / 2 - log det L - (df + n) / 2 log(1 + q / df).

The covariance is S df / (df - 2). Draws resolve probabilities down to 1e-30, as do the normals and the gamma
that they are made of.
"""


# Gaussian random walk


def _draw_walk(key: Array, scale: Array, *, shape: Shape) -> Array:
    return jnp.cumsum(scale * noise.normal(key, (*shape, scale.shape[-1]), scale.dtype), axis=-1)


def _log_walk_density(value: Array, scale: Array) -> Array:
    value, is_outside = special.without_infinity(value)
    steps = value - jnp.concatenate([jnp.zeros_like(value[..., :1]), value[..., :-1]], axis=-1)
    log_density = FAMILIES["Normal"].logpdf(steps, jnp.zeros((), value.dtype), scale).sum(-1)
    return jnp.where(is_outside, -jnp.inf, log_density)


gaussian_random_walk = define(
    Family(
        "GaussianRandomWalk",
        {"scale": REQUIRED},
        [
            Form(
                ("scale",),
                _draw_walk,
                _log_walk_density,
                event_ranks=(1,),
                event_shape=lambda scale: scale[-1:],
                value_rank=1,
            )
        ],
        supports.real_vector,
    )
)
"""`gaussian_random_walk(scale)`: x_t ~ normal(x_(t-1), scale_t) for t = 1, ..., n, the length of scale, and x_0 = 0.

For n steps of one size write `gaussian_random_walk(jnp.full(n, size))`. Steps resolve probabilities down to 1e-30 on
either side.
"""
