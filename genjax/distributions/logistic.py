"""Logistic and Gumbel: location and scale, exponential tails."""

import jax.numpy as jnp
from jax import Array

from genjax.distributions import noise, special, supports
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


def _draw_logistic(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    # log(1 / u - 1) with u = exp(-e), e exponential: right in both tails.
    e = noise.exponential(key, shape, loc.dtype)
    return loc + scale * (e + jnp.log(-jnp.expm1(-e)))


def _log_logistic_density(value: Array, loc: Array, scale: Array) -> Array:
    log_below, log_above = special.log_sigmoids(special.over(value - loc, scale))
    return log_below + log_above - jnp.log(scale)


logistic = define(
    Family(
        "Logistic",
        {"loc": REQUIRED, "scale": REQUIRED},
        [Form(("loc", "scale"), _draw_logistic, _log_logistic_density)],
        supports.real,
    )
)
"""`logistic(loc, scale)`: with z = (x - loc) / scale, log p(x) = -z - 2 log(1 + exp(-z)) - log scale.

Draws resolve probabilities down to 1e-30.
"""


def _draw_gumbel(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return loc + scale * noise.gumbel(key, shape, loc.dtype)


def _log_gumbel_density(value: Array, loc: Array, scale: Array) -> Array:
    z = special.over(value - loc, scale)
    is_finite = jnp.abs(value) < jnp.inf
    z = jnp.where(is_finite, z, 0)
    return jnp.where(is_finite, -z - jnp.exp(-z) - jnp.log(scale), -jnp.inf)


gumbel = define(
    Family(
        "Gumbel",
        {"loc": REQUIRED, "scale": REQUIRED},
        [Form(("loc", "scale"), _draw_gumbel, _log_gumbel_density)],
        supports.real,
    )
)
"""`gumbel(loc, scale)`: with z = (x - loc) / scale, log p(x) = -z - exp(-z) - log scale; a law of largest values.

Draws resolve probabilities down to 1e-30.
"""
