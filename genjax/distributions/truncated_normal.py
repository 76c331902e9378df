"""The normal distribution between two bounds, right also where they lie far out in a tail."""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import log_ndtr, ndtri

from genjax.distributions import noise, supports
from genjax.distributions.family import FAMILIES, REQUIRED, Family, Form, define
from genjax.distributions.own_derivative import own_derivative

Shape = tuple[int, ...]

_FARTHEST = 1e15  # standard deviations: its square is a float
_TAIL = -8.0


@own_derivative
def _log_below(x: Array) -> Array:
    """log of the normal's cumulative distribution, whose derivative does not cancel far out."""
    return log_ndtr(x)


@_log_below.defjvp
def _log_below_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return _log_below(x), _hazard(x) * tangent


def _hazard(x: Array) -> Array:
    """Density over cumulative distribution; for x < -8 by its asymptotic series (DLMF 7.12.1)."""
    far = jnp.minimum(x, _TAIL)
    square = 1 / (far * far)
    series = 1 - square * (1 - square * (3 - square * (15 - square * 105)))
    near = jnp.maximum(x, _TAIL)
    of_near = jnp.exp(-0.5 * near * near - 0.5 * math.log(2 * math.pi) - log_ndtr(near))
    return jnp.where(x < _TAIL, -far / series, of_near)


def _quantile_of_log(log_p: Array) -> Array:
    """x with `_log_below(x) = log_p`: by the inverse near the middle, by Newton's method in the tail."""
    log_p = jnp.minimum(log_p, 0)
    is_tail = log_p < -5
    middle = ndtri(jnp.exp(jnp.where(is_tail, -1, log_p)))
    target = jnp.where(is_tail, log_p, -5)
    x = -jnp.sqrt(jnp.maximum(-2 * target - jnp.log(-4 * math.pi * target), 1))
    fixed = jax.lax.stop_gradient(target)
    for _ in range(5):
        x = jax.lax.stop_gradient(x - (_log_below(x) - fixed) / _hazard(x))
    x = x + (target - fixed) / jax.lax.stop_gradient(_hazard(x))
    return jnp.where(is_tail, x, middle)


def _standard_bounds(loc: Array, scale: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Bounds in standard deviations, mirrored so that they are nearer to the lower tail; and whether they were."""

    def standard(bound: Array) -> Array:  # without a derivative where it is infinite, or very far out
        is_finite = jnp.abs(bound) < jnp.inf
        inside = jnp.clip((jnp.where(is_finite, bound, loc) - loc) / scale, -_FARTHEST, _FARTHEST)
        return jnp.where(is_finite, inside, jnp.sign(bound) * _FARTHEST)

    a, b = standard(low), standard(high)
    is_mirrored = a + b > 0
    return jnp.where(is_mirrored, -b, a), jnp.where(is_mirrored, -a, b), is_mirrored


def _draw_truncated_normal(key: Array, loc: Array, scale: Array, low: Array, high: Array, *, shape: Shape) -> Array:
    a, b, is_mirrored = _standard_bounds(loc, scale, low, high)
    uniform = noise.uniform(key, shape, loc.dtype)
    log_a, log_b = _log_below(a), _log_below(b)
    # log((1 - u) P(a) + u P(b))
    log_p = log_b + jnp.log(uniform + (1 - uniform) * jnp.exp(log_a - log_b))
    standard = _quantile_of_log(log_p)
    return jnp.clip(loc + scale * jnp.where(is_mirrored, -standard, standard), low, high)


def _log_mass(a: Array, b: Array) -> Array:
    """`log(P(b) - P(a))` for a < b, a + b <= 0."""
    width, middle = b - a, 0.5 * (a + b)
    is_narrow = width * (1 + jnp.abs(middle)) < 0.05
    narrow = jnp.where(is_narrow, width, 0.01)
    centre = jnp.where(is_narrow, middle, 0)
    of_narrow = (
        jnp.log(narrow)
        - 0.5 * centre * centre
        - 0.5 * math.log(2 * math.pi)
        + jnp.log1p(narrow * narrow * (centre * centre - 1) / 24)
    )
    wide_a, wide_b = jnp.where(is_narrow, -2, a), jnp.where(is_narrow, 0, b)
    log_b = _log_below(wide_b)
    return jnp.where(is_narrow, of_narrow, log_b + jnp.log(-jnp.expm1(_log_below(wide_a) - log_b)))


def _log_truncated_normal_density(value: Array, loc: Array, scale: Array, low: Array, high: Array) -> Array:
    is_inside = (value >= low) & (value <= high) & (jnp.abs(value) < jnp.inf)
    a, b, _ = _standard_bounds(loc, scale, low, high)
    # Of an interval of width 0, and of bounds in the wrong order, there is no density.
    is_proper = b > a
    log_mass = _log_mass(jnp.where(is_proper, a, -1), jnp.where(is_proper, b, 0))
    inside = jnp.where(is_inside, value, loc)
    log_density = FAMILIES["Normal"].logpdf(inside, loc, scale) - jnp.where(is_proper, log_mass, -jnp.inf)
    return jnp.where(is_inside, log_density, -jnp.inf)


truncated_normal = define(
    Family(
        "TruncatedNormal",
        {"loc": REQUIRED, "scale": REQUIRED, "low": REQUIRED, "high": REQUIRED},
        [Form(("loc", "scale", "low", "high"), _draw_truncated_normal, _log_truncated_normal_density)],
        supports.interval(supports.Argument("low", 2), supports.Argument("high", 3)),
    )
)
"""`truncated_normal(loc, scale, low, high)`: a normal given that low <= x <= high; a bound may be infinite.

With P the normal's cumulative distribution, log p(x) = log normal(x) - log(P(high) - P(low)); loc and scale are of the
normal that is cut. Draws resolve probabilities down to 1e-30 at the end of the thinner tail.
"""
