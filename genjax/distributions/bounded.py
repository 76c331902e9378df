"""Continuous distributions on an interval: uniform and beta."""

import jax.numpy as jnp
from jax import Array

from genjax.distributions import gammas, noise, special, supports
from genjax.distributions.deviance import LARGE, log_shares, share_difference
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


# Uniform


def _draw_uniform(key: Array, low: Array, high: Array, *, shape: Shape) -> Array:
    return low + (high - low) * noise.uniform(key, shape, low.dtype)


def _log_uniform_density(value: Array, low: Array, high: Array) -> Array:
    # Both bounds belong to the support: low + (high - low) u can round to `high`.
    is_inside = (value >= low) & (value <= high)
    # An interval of width 0 has no density; infinite, with a derivative of 0.
    return jnp.where(is_inside, -special.log(high - low), -jnp.inf)


uniform = define(
    Family(
        "Uniform",
        {"low": 0.0, "high": 1.0},
        [Form(("low", "high"), _draw_uniform, _log_uniform_density)],
        supports.interval(supports.Argument("low", 0, 0.0), supports.Argument("high", 1, 1.0)),
    )
)
"""`uniform(low=0, high=1)`: log p(x) = -log(high - low) for low <= x <= high.

Draws resolve probabilities down to 1e-30 near `low`, and to 1e-7 near `high` in float32.
"""


# Beta


def _draw_beta(key: Array, concentration1: Array, concentration0: Array, *, shape: Shape) -> Array:
    # With small concentrations the nearest float is often exactly 0 or 1, where the density of the draw is infinite.
    draw = gammas.beta(key, concentration1, concentration0, shape)
    limits = jnp.finfo(draw.dtype)
    return jnp.minimum(jnp.maximum(draw, limits.tiny), 1 - limits.epsneg)


def _log_beta_density(value: Array, concentration1: Array, concentration0: Array) -> Array:
    is_inside = (value >= 0) & (value <= 1)
    value = jnp.where(is_inside, value, 0.5)
    log_value, log_complement = special.log(value), special.log_complement(value)
    plain = (
        special.times(concentration1 - 1, log_value)
        + special.times(concentration0 - 1, log_complement)
        - special.log_beta(concentration1, concentration0)
    )
    is_large = (concentration1 >= LARGE) & (concentration0 >= LARGE) & (value > 0) & (value < 1)
    difference = share_difference(concentration1, concentration0, value)
    large = (
        log_shares(is_large, concentration1, concentration0, difference, value, 1 - value) - log_value - log_complement
    )
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


beta = define(
    Family(
        "Beta",
        {"concentration1": REQUIRED, "concentration0": REQUIRED},
        [Form(("concentration1", "concentration0"), _draw_beta, _log_beta_density)],
        supports.unit_interval,
    )
)
"""`beta(concentration1, concentration0)`: log p(x) = (a - 1) log x + (b - 1) log(1 - x) - log B(a, b), 0 < x < 1.

At 0 and at 1 the density is its limit (0, finite or infinite); draws lie strictly inside.

Draws resolve probabilities down to 1e-30. Those nearer to 1 than any float below it are that float.
"""
