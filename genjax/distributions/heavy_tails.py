"""Distributions whose tails are heavier than the normal's: Student's t, Cauchy and its half, Laplace, Pareto."""

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
    log_normaliser = 0.5 * jnp.log(df) + jnp.log(scale) + special.log_beta(jnp.asarray(0.5, df.dtype), df / 2)
    return -special.student_kernel(df, special.over(value - loc, scale)) - log_normaliser


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

A draw is a normal over the root of a gamma, each of which resolves probabilities down to 1e-30.
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
"""`cauchy(loc, scale)`: log p(x) = -log(1 + ((x - loc) / scale)^2) - log(pi scale).

Draws resolve probabilities down to 1e-30.
"""


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
"""`laplace(loc, scale)`: log p(x) = -|x - loc| / scale - log(2 scale).

Draws resolve probabilities down to 1e-30.
"""


def _draw_half_cauchy(key: Array, scale: Array, *, shape: Shape) -> Array:
    return scale * noise.half_cauchy(key, shape, scale.dtype)


def _log_half_cauchy_density(value: Array, scale: Array) -> Array:
    is_inside = (value >= 0) & (value < jnp.inf)
    log_density = (
        math.log(2 / math.pi)
        - jnp.log(scale)
        - special.log1p_square(special.over(jnp.where(is_inside, value, 0), scale))
    )
    return jnp.where(is_inside, log_density, -jnp.inf)


half_cauchy = define(
    Family(
        "HalfCauchy",
        {"scale": REQUIRED},
        [Form(("scale",), _draw_half_cauchy, _log_half_cauchy_density)],
        supports.nonnegative,
    )
)
"""`half_cauchy(scale)`: the absolute value of a Cauchy around 0: log p(x) = log(2 / (pi s)) - log(1 + (x / s)^2).

Draws resolve probabilities down to 1e-30, far out and near 0.
"""


def _draw_pareto(key: Array, concentration: Array, scale: Array, *, shape: Shape) -> Array:
    return special.within_floats(scale * jnp.exp(noise.exponential(key, shape, scale.dtype) / concentration))


def _log_pareto_density(value: Array, concentration: Array, scale: Array) -> Array:
    is_inside = (value >= scale) & (value < jnp.inf)
    value = jnp.where(is_inside, value, scale)
    # Near the scale, log(x / s) needs the digits of the difference.
    is_near = value < 2 * scale
    log_ratio = jnp.where(
        is_near,
        jnp.log1p(special.over(jnp.where(is_near, value, scale) - scale, scale)),
        jnp.log(value) - jnp.log(scale),
    )
    log_density = jnp.log(concentration) - concentration * log_ratio - jnp.log(value)
    return jnp.where(is_inside, log_density, -jnp.inf)


pareto = define(
    Family(
        "Pareto",
        {"concentration": REQUIRED, "scale": 1.0},
        [Form(("concentration", "scale"), _draw_pareto, _log_pareto_density)],
        supports.interval(supports.Argument("scale", 1, 1.0), None),
    )
)
"""`pareto(concentration, scale=1)`: log p(x) = log a + a log s - (a + 1) log x for x >= s = scale, a = concentration.

Draws resolve probabilities down to 1e-30 far out, and to 1e-7 near the scale in float32; those beyond the
floats are the largest float.
"""
