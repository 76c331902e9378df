"""Continuous distributions on the real line, a half-line or an interval.

Draws are differentiable functions of the parameters (location-scale transforms, or the implicit derivative of a
gamma draw). Densities are written out rather than taken from `jax.scipy.stats`: the terms that depend only on
parameters stay at the parameters' shape, so that one normaliser serves a whole batch of values.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from genjax.distributions import gammas, noise, special, supports
from genjax.distributions.deviance import LARGE, log_gamma_kernel, log_shares, product_difference, share_difference
from genjax.distributions.family import REQUIRED, Family, Form, define

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_ROOT_HALF = math.sqrt(0.5)

Shape = tuple[int, ...]


def _within_floats(draw: Array) -> Array:
    """A draw of a positive number: the smallest normal float instead of 0, the largest float instead of infinity.

    Where a draw is rounded to 0 or to infinity, its density there is not that of the draw, and may be infinite.
    NaN, for parameters that are not valid, stays.
    """
    limits = jnp.finfo(draw.dtype)
    return jnp.clip(draw, limits.tiny, limits.max)


# Normal


def _draw_normal(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return loc + scale * noise.normal(key, shape, loc.dtype)


def _log_normal_density(value: Array, loc: Array, scale: Array) -> Array:
    return (-_HALF_LOG_TWO_PI - jnp.log(scale)) - _half_square(value - loc, scale)


@jax.custom_jvp
def _half_square(difference: Array, scale: Array) -> Array:
    """`(difference / scale)^2 / 2`.

    The half is under the root, in the factor that has the parameters' shape, and the square is taken last: the square
    of a small scale would be 0. So in the derivatives; they double that factor, and not every element.
    """
    return jnp.square(difference * (_ROOT_HALF / scale))


@_half_square.defjvp
def _half_square_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (difference, scale), (difference_dot, scale_dot) = primals, tangents
    product = difference * (_ROOT_HALF / scale)
    by_difference = product * (2 * _ROOT_HALF / scale)
    by_scale = product * (product * (-2 / scale))
    return jnp.square(product), by_difference * difference_dot + by_scale * scale_dot


normal = define(
    Family(
        "Normal",
        {"loc": REQUIRED, "scale": REQUIRED},
        [Form(("loc", "scale"), _draw_normal, _log_normal_density)],
        supports.real,
    )
)
"""`normal(loc, scale)`: log p(x) = -((x - loc) / scale)^2 / 2 - log scale - log(2 pi) / 2."""


# Log-normal


def _draw_log_normal(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return _within_floats(jnp.exp(_draw_normal(key, loc, scale, shape=shape)))


def _log_log_normal_density(value: Array, loc: Array, scale: Array) -> Array:
    is_inside = (value > 0) & (value < jnp.inf)
    log_value = jnp.log(jnp.where(is_inside, value, 1))
    return jnp.where(is_inside, _log_normal_density(log_value, loc, scale) - log_value, -jnp.inf)


log_normal = define(
    Family(
        "LogNormal",
        {"loc": REQUIRED, "scale": REQUIRED},
        [Form(("loc", "scale"), _draw_log_normal, _log_log_normal_density)],
        supports.positive,
    )
)
"""`log_normal(loc, scale)`: exp of a normal with that loc and scale; x > 0."""


# Half-normal


def _draw_half_normal(key: Array, scale: Array, *, shape: Shape) -> Array:
    return scale * jnp.abs(noise.normal(key, shape, scale.dtype))


def _log_half_normal_density(value: Array, scale: Array) -> Array:
    is_inside = (value >= 0) & (value < jnp.inf)
    inside = jnp.where(is_inside, value, 0)
    log_density = -_half_square(inside, scale) - (jnp.log(scale) + 0.5 * math.log(math.pi / 2))
    return jnp.where(is_inside, log_density, -jnp.inf)


half_normal = define(
    Family(
        "HalfNormal",
        {"scale": REQUIRED},
        [Form(("scale",), _draw_half_normal, _log_half_normal_density)],
        supports.nonnegative,
    )
)
"""`half_normal(scale)`: the absolute value of a normal around 0; x >= 0."""


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
"""`uniform(low=0, high=1)`: log p(x) = -log(high - low) for low <= x <= high."""


# Exponential and Weibull


def _draw_exponential(key: Array, rate: Array, *, shape: Shape) -> Array:
    return _within_floats(noise.exponential(key, shape, rate.dtype) / rate)


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
"""`exponential(rate)`: log p(x) = log rate - rate x for x >= 0; the mean is 1 / rate."""


def _draw_weibull(key: Array, concentration: Array, scale: Array, *, shape: Shape) -> Array:
    log_exponential = jnp.log(noise.fine_exponential(key, shape, scale.dtype))
    return _within_floats(scale * jnp.exp(log_exponential / concentration))


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
"""`weibull(concentration, scale)`: log p(x) = log(k / s) + (k - 1) log(x / s) - (x / s)^k for x >= 0."""


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
    large = log_shares(is_large, concentration1, concentration0, difference) - log_value - log_complement
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
"""


# Gamma and its relatives


def _draw_scaled_gamma(key: Array, concentration: Array, rate: Array, log_rate: Array, shape: Shape) -> Array:
    draw, log_draw = gammas.gamma(key, concentration, shape)
    return _within_floats(jnp.where(concentration >= 1, draw / rate, jnp.exp(log_draw - log_rate)))


def _log_gamma_kernel(value: Array, concentration: Array, rate: Array, log_rate: Array) -> Array:
    is_inside = (value >= 0) & (value < jnp.inf)
    value = jnp.where(is_inside, value, 1)
    log_value = special.log(value)
    log_normaliser = concentration * log_rate - gammaln(jnp.where(concentration < LARGE, concentration, 1))
    plain = special.times(concentration - 1, log_value) - rate * value + log_normaliser
    is_large = (concentration >= LARGE) & (value > 0) & (rate * value < jnp.inf)
    difference = product_difference(concentration, jnp.ones_like(concentration), rate, value)
    large = log_gamma_kernel(is_large, concentration, difference) - log_value
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


def _draw_gamma(key: Array, concentration: Array, rate: Array, *, shape: Shape) -> Array:
    return _draw_scaled_gamma(key, concentration, rate, jnp.log(rate), shape)


def _log_gamma_density(value: Array, concentration: Array, rate: Array) -> Array:
    return _log_gamma_kernel(value, concentration, rate, jnp.log(rate))


def _draw_gamma_log_rate(key: Array, concentration: Array, log_rate: Array, *, shape: Shape) -> Array:
    return _draw_scaled_gamma(key, concentration, jnp.exp(log_rate), log_rate, shape)


def _log_gamma_density_log_rate(value: Array, concentration: Array, log_rate: Array) -> Array:
    return _log_gamma_kernel(value, concentration, jnp.exp(log_rate), log_rate)


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
"""`gamma(concentration, rate=None, log_rate=None)`: log p(x) = a log r + (a - 1) log x - r x - log Gamma(a), x > 0."""


def _draw_chi2(key: Array, df: Array, *, shape: Shape) -> Array:
    half = jnp.asarray(0.5, df.dtype)
    return _draw_scaled_gamma(key, df / 2, half, jnp.log(half), shape)


def _log_chi2_density(value: Array, df: Array) -> Array:
    half = jnp.asarray(0.5, value.dtype)
    return _log_gamma_kernel(value, df / 2, half, jnp.log(half))


chi2 = define(Family("Chi2", {"df": REQUIRED}, [Form(("df",), _draw_chi2, _log_chi2_density)], supports.positive))
"""`chi2(df)`: gamma with concentration df / 2 and rate 1 / 2; x > 0."""


def _draw_inverse_gamma(key: Array, concentration: Array, scale: Array, *, shape: Shape) -> Array:
    draw, log_draw = gammas.gamma(key, concentration, shape)
    return _within_floats(jnp.where(concentration >= 1, scale / draw, jnp.exp(jnp.log(scale) - log_draw)))


def _log_inverse_gamma_density(value: Array, concentration: Array, scale: Array) -> Array:
    is_inside = (value > 0) & (value < jnp.inf)
    value = jnp.where(is_inside, value, 1)
    log_value, ratio = jnp.log(value), scale / value
    log_normaliser = concentration * jnp.log(scale) - gammaln(jnp.where(concentration < LARGE, concentration, 1))
    plain = log_normaliser - (concentration + 1) * log_value - ratio
    is_large = (concentration >= LARGE) & (ratio > 0) & (ratio < jnp.inf)
    difference = product_difference(concentration, value, scale, jnp.ones_like(scale)) / value
    large = log_gamma_kernel(is_large, concentration, difference) - log_value
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


inverse_gamma = define(
    Family(
        "InverseGamma",
        {"concentration": REQUIRED, "scale": REQUIRED},
        [Form(("concentration", "scale"), _draw_inverse_gamma, _log_inverse_gamma_density)],
        supports.positive,
    )
)
"""`inverse_gamma(concentration, scale)`: log p(x) = a log s - log Gamma(a) - (a + 1) log x - s / x for x > 0."""


# Heavy tails


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
