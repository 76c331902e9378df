"""The normal distribution, its exponential and its absolute value.

Draws are differentiable functions of the parameters (location-scale transforms). Densities are written
out rather than taken from `jax.scipy.stats`: the terms that depend only on parameters stay at the parameters' shape, so
that one normaliser serves a whole batch of values.
"""

import math

import jax.numpy as jnp
from jax import Array

from genjax.distributions import noise, special, supports
from genjax.distributions.family import REQUIRED, Family, Form, define
from genjax.distributions.own_derivative import own_derivative

Shape = tuple[int, ...]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_ROOT_HALF = math.sqrt(0.5)


# Normal


def _draw_normal(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return loc + scale * noise.normal(key, shape, loc.dtype)


def _log_normal_density(value: Array, loc: Array, scale: Array) -> Array:
    return (-_HALF_LOG_TWO_PI - jnp.log(scale)) - _half_square(value - loc, scale)


@own_derivative
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
        is_polynomial=True,
    )
)
"""`normal(loc, scale)`: log p(x) = -((x - loc) / scale)^2 / 2 - log scale - log(2 pi) / 2.

Draws resolve probabilities down to 1e-30 on either side.
"""


# Log-normal


def _draw_log_normal(key: Array, loc: Array, scale: Array, *, shape: Shape) -> Array:
    return special.within_floats(jnp.exp(_draw_normal(key, loc, scale, shape=shape)))


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
"""`log_normal(loc, scale)`: exp of a normal with that loc and scale; x > 0.

Draws resolve probabilities down to 1e-30 on either side.
"""


# Half-normal


def _draw_half_normal(key: Array, scale: Array, *, shape: Shape) -> Array:
    return scale * noise.half_normal(key, shape, scale.dtype)


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
"""`half_normal(scale)`: the absolute value of a normal around 0; x >= 0.

Draws resolve probabilities down to 1e-30, far out and near 0.
"""
