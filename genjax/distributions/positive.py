"""Continuous distributions of positive numbers: exponential, Weibull, gamma and its relatives."""

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from genjax.distributions import gammas, noise, special, supports
from genjax.distributions.deviance import (
    LARGE,
    SMALLEST_SHARE,
    exp_with_error,
    log_gamma_kernel,
    product_difference,
)
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


# Exponential and Weibull


def _draw_exponential(key: Array, rate: Array, *, shape: Shape) -> Array:
    return special.within_floats(noise.exponential(key, shape, rate.dtype) / rate)


def _log_exponential_density(value: Array, rate: Array) -> Array:
    is_inside = (value >= 0) & (value < jnp.inf)
    return jnp.where(is_inside, jnp.log(rate) - rate * jnp.where(is_inside, value, 0), -jnp.inf)


exponential = define(
    Family(
        "Exponential",
        {"rate": REQUIRED},
        [Form(("rate",), _draw_exponential, _log_exponential_density)],
        supports.nonnegative,
    )
)
"""`exponential(rate)`: log p(x) = log rate - rate x for x >= 0; the mean is 1 / rate.

Draws resolve probabilities down to 1e-30, far out and near 0.
"""


def _draw_weibull(key: Array, concentration: Array, scale: Array, *, shape: Shape) -> Array:
    log_exponential = jnp.log(noise.exponential(key, shape, scale.dtype))
    return special.within_floats(scale * jnp.exp(log_exponential / concentration))


def _log_weibull_density(value: Array, concentration: Array, scale: Array) -> Array:
    is_inside = (value >= 0) & (value < jnp.inf)
    value = jnp.where(is_inside, value, scale)
    is_near = jnp.abs(value - scale) < 0.5 * scale  # powers of the ratio need digits of its logarithm
    ratio = jnp.where(is_near, 1, value) / scale
    is_float = (ratio >= jnp.finfo(ratio.dtype).tiny) & (ratio < jnp.inf)
    log_ratio = jnp.where(
        is_near,
        jnp.log1p(jnp.where(is_near, value - scale, 0) / scale),
        jnp.where(
            is_float,
            jnp.log(jnp.where(is_float, ratio, 1)),
            special.log(jnp.where(is_float, 1, value)) - jnp.log(jnp.where(is_float, 1, scale)),
        ),
    )
    log_density = (
        special.times(concentration - 1, log_ratio)
        - jnp.exp(special.times(concentration, log_ratio))
        + (jnp.log(concentration) - jnp.log(scale))
    )
    return jnp.where(is_inside, log_density, -jnp.inf)


weibull = define(
    Family(
        "Weibull",
        {"concentration": REQUIRED, "scale": REQUIRED},
        [Form(("concentration", "scale"), _draw_weibull, _log_weibull_density)],
        supports.nonnegative,
    )
)
"""`weibull(concentration, scale)`: log p(x) = log(k / s) + (k - 1) log(x / s) - (x / s)^k for x >= 0.

Draws resolve probabilities down to 1e-30.
"""


# Gamma and its relatives


def _draw_scaled_gamma(key: Array, concentration: Array, rate: Array, log_rate: Array, shape: Shape) -> Array:
    draw, log_draw = gammas.gamma(key, concentration, shape)
    return special.within_floats(jnp.where(concentration >= 1, draw / rate, jnp.exp(log_draw - log_rate)))


def _log_gamma_kernel(
    value: Array, concentration: Array, rate: Array, log_rate: Array, error: Array | None = None
) -> Array:
    """Of a rate whose relative rounding error is `error`, if it is known."""
    is_inside = (value >= 0) & (value < jnp.inf)
    value = jnp.where(is_inside, value, 1)
    log_value = special.log(value)
    mean = rate * value
    is_large = (concentration >= LARGE) & (mean > SMALLEST_SHARE * concentration) & (mean < jnp.inf)
    log_normaliser = concentration * log_rate - gammaln(jnp.where(is_large, 1, concentration))
    plain = special.times(concentration - 1, log_value) - mean + log_normaliser
    difference = product_difference(concentration, jnp.ones_like(concentration), rate, value)
    if error is not None:
        difference -= mean * error
    large = log_gamma_kernel(is_large, concentration, difference, mean) - log_value
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


def _draw_gamma(key: Array, concentration: Array, rate: Array, *, shape: Shape) -> Array:
    return _draw_scaled_gamma(key, concentration, rate, jnp.log(rate), shape)


def _log_gamma_density(value: Array, concentration: Array, rate: Array) -> Array:
    return _log_gamma_kernel(value, concentration, rate, jnp.log(rate))


def _draw_gamma_log_rate(key: Array, concentration: Array, log_rate: Array, *, shape: Shape) -> Array:
    return _draw_scaled_gamma(key, concentration, jnp.exp(log_rate), log_rate, shape)


def _log_gamma_density_log_rate(value: Array, concentration: Array, log_rate: Array) -> Array:
    rate, error = exp_with_error(log_rate)
    return _log_gamma_kernel(value, concentration, rate, log_rate, error)


gamma = define(
    Family(
        "Gamma",
        {"concentration": REQUIRED, "rate": None, "log_rate": None},
        [
            Form(("concentration", "rate"), _draw_gamma, _log_gamma_density),
            Form(("concentration", "log_rate"), _draw_gamma_log_rate, _log_gamma_density_log_rate),
        ],
        supports.positive,
    )
)
"""`gamma(concentration, rate=None, log_rate=None)`: log p(x) = a log r + (a - 1) log x - r x - log Gamma(a), x > 0.

Draws resolve probabilities down to 1e-30.
"""


def _draw_chi2(key: Array, df: Array, *, shape: Shape) -> Array:
    half = jnp.asarray(0.5, df.dtype)
    return _draw_scaled_gamma(key, df / 2, half, jnp.log(half), shape)


def _log_chi2_density(value: Array, df: Array) -> Array:
    half = jnp.asarray(0.5, value.dtype)
    return _log_gamma_kernel(value, df / 2, half, jnp.log(half))


chi2 = define(Family("Chi2", {"df": REQUIRED}, [Form(("df",), _draw_chi2, _log_chi2_density)], supports.positive))
"""`chi2(df)`: gamma with concentration df / 2 and rate 1 / 2; x > 0.

Draws resolve probabilities down to 1e-30.
"""


def _draw_inverse_gamma(key: Array, concentration: Array, scale: Array, *, shape: Shape) -> Array:
    draw, log_draw = gammas.gamma(key, concentration, shape)
    return special.within_floats(jnp.where(concentration >= 1, scale / draw, jnp.exp(jnp.log(scale) - log_draw)))


def _log_inverse_gamma_density(value: Array, concentration: Array, scale: Array) -> Array:
    is_inside = (value > 0) & (value < jnp.inf)
    value = jnp.where(is_inside, value, 1)
    log_value, ratio = jnp.log(value), special.over(scale, value)
    is_large = (concentration >= LARGE) & (ratio > SMALLEST_SHARE * concentration) & (ratio < jnp.inf)
    log_normaliser = concentration * jnp.log(scale) - gammaln(jnp.where(is_large, 1, concentration))
    plain = log_normaliser - (concentration + 1) * log_value - ratio
    used = jnp.where(is_large, value, 1)
    difference = special.over(product_difference(concentration, used, scale, jnp.ones_like(scale)), used)
    large = log_gamma_kernel(is_large, concentration, difference, ratio) - log_value
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


inverse_gamma = define(
    Family(
        "InverseGamma",
        {"concentration": REQUIRED, "scale": REQUIRED},
        [Form(("concentration", "scale"), _draw_inverse_gamma, _log_inverse_gamma_density)],
        supports.positive,
    )
)
"""`inverse_gamma(concentration, scale)`: log p(x) = a log s - log Gamma(a) - (a + 1) log x - s / x for x > 0.

Draws resolve probabilities down to 1e-30.
"""
