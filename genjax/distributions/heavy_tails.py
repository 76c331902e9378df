"""Distributions on the real line whose tails are heavier than the normal: Student's t, Cauchy and Laplace."""

import math

import jax.numpy as jnp
from jax import Array

from genjax.distributions import gammas, noise, special, supports
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


def _draw_student_t(key: Array, df: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    largest = jnp.finfo(df.dtype).max
    # So far out that a density of the draw is still finite.
    standard = jnp.clip(
        gammas.student_t(key, df, shape), *(sign * 0.5 * largest * jnp.minimum(1, df) for sign in (-1, 1))
    )
    return jnp.clip(loc + scale * standard, -largest, largest)


def _log_student_t_density(value: Array, df: Array, loc: Array, scale: Array) -> Array:
    # Gamma((df + 1) / 2) / (Gamma(df / 2) sqrt(pi)) = 1 / B(1 / 2, df / 2), which does not cancel for large df.
    root_df = jnp.sqrt(df)
    log_normaliser = jnp.log(root_df) + jnp.log(scale) + special.log_beta(jnp.asarray(0.5, df.dtype), df / 2)
    return -0.5 * (df + 1) * special.log1p_square(special.over(value - loc, root_df * scale)) - log_normaliser


student_t = define(
    Family(
        "StudentT",
        {"df": REQUIRED, "loc": 0.0, "scale": 1.0},
        [Form(("df", "loc", "scale"), _draw_student_t, _log_student_t_density)],
        supports.real,
    )
)
"""`student_t(df, loc=0, scale=1)`: with z = (x - loc) / scale,
log p(x) = -(df + 1) / 2 log(1 + z^2 / df) - log(sqrt(df) scale B(1 / 2, df / 2)).
"""


def _draw_cauchy(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return loc + scale * noise.cauchy(key, shape, loc.dtype)


def _log_cauchy_density(value: Array, loc: Array, scale: Array) -> Array:
    return -special.log1p_square(special.over(value - loc, scale)) - (jnp.log(scale) + math.log(math.pi))


cauchy = define(
    Family(
        "Cauchy",
        {"loc": REQUIRED, "scale": REQUIRED},
        [Form(("loc", "scale"), _draw_cauchy, _log_cauchy_density)],
        supports.real,
    )
)
"""`cauchy(loc, scale)`: log p(x) = -log(1 + ((x - loc) / scale)^2) - log(pi scale)."""


def _draw_laplace(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return loc - scale * noise.laplace(key, shape, loc.dtype)


def _log_laplace_density(value: Array, loc: Array, scale: Array) -> Array:
    return -jnp.abs(special.over(value - loc, scale)) - (jnp.log(scale) + math.log(2))


laplace = define(
    Family(
        "Laplace",
        {"loc": REQUIRED, "scale": REQUIRED},
        [Form(("loc", "scale"), _draw_laplace, _log_laplace_density)],
        supports.real,
    )
)
"""`laplace(loc, scale)`: log p(x) = -|x - loc| / scale - log(2 scale)."""
