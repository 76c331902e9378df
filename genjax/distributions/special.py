"""Elementwise functions that densities share, exact at the edges of a support and with finite derivatives there.

Also `within_floats`, for draws.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import gammaln
from jax.typing import ArrayLike

from genjax.distributions.own_derivative import own_derivative


@own_derivative
def log(x: Array) -> Array:
    """log x, whose derivative at x = 0 is 0.

    Where a density multiplies log 0 by zero, or does not select it, the derivative 1/0 would still turn the whole
    gradient into NaN. A custom rule costs nothing in the forward pass; guarding `x` itself would cost two operations.
    """
    return jnp.log(x)


@log.defjvp
def _log_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    at_edge = x == 0
    return log(x), jnp.where(at_edge, 0, tangent / jnp.where(at_edge, 1, x))


@own_derivative
def log_complement(x: Array) -> Array:
    """log(1 - x), accurate for small x, whose derivative at x = 1 is 0 (see `log`)."""
    return jnp.log1p(-x)


@log_complement.defjvp
def _log_complement_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    at_edge = x == 1
    return log_complement(x), jnp.where(at_edge, 0, tangent / jnp.where(at_edge, 1, x - 1))


@own_derivative
def times(count: Array, log_value: Array) -> Array:
    """count * log_value, with 0 * (-inf) = 0. Where log_value is -inf, the derivative in count is taken as 0."""
    return jnp.where((count == 0) & (log_value == -jnp.inf), 0, count * log_value)


@times.defjvp
def _times_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (count, log_value), (count_tangent, log_tangent) = primals, tangents
    slope = jnp.where(log_value == -jnp.inf, 0, log_value)
    return times(count, log_value), count_tangent * slope + count * log_tangent


@own_derivative
def over(difference: Array, scale: Array) -> Array:
    """`difference / scale`, whose derivatives do not square the scale: the square of a small one is 0.

    By the scale it is 0 where the ratio is infinite: a guard in the derivatives costs nothing where none are asked for.
    """
    return difference / scale


@over.defjvp
def _over_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (difference, scale), (difference_dot, scale_dot) = primals, tangents
    ratio, inverse = over(difference, scale), 1 / scale
    bounded = jnp.where(jnp.abs(ratio) < jnp.inf, ratio, 0)
    return ratio, difference_dot * inverse - bounded * (inverse * scale_dot)


def without_infinity(vectors: Array) -> tuple[Array, Array]:
    """Vectors with 0 for infinite numbers, and whether a vector, along the last axis, had any; NaN stays."""
    is_infinite = jnp.abs(vectors) == jnp.inf
    return jnp.where(is_infinite, 0, vectors), is_infinite.any(-1)


def log_sigmoids(logits: Array) -> tuple[Array, Array]:
    """(log p, log(1 - p)) of p = 1 / (1 + exp(-logits)), with one exponential and one logarithm."""
    # Selections with one predicate: the derivatives of abs and max at 0 would not fit together.
    is_positive = logits > 0
    tail = jnp.log1p(jnp.exp(jnp.where(is_positive, -logits, logits)))
    return jnp.where(is_positive, 0, logits) - tail, -jnp.where(is_positive, logits, 0) - tail


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-logits)), with the exponential that `log_sigmoids` computes."""
    is_positive = logits > 0
    tail = jnp.exp(jnp.where(is_positive, -logits, logits))
    return jnp.where(is_positive, 1, tail) / (1 + tail)


@own_derivative
def log1p_square(x: Array) -> Array:
    """log(1 + x^2), also where x^2 overflows: from |x| > 1/eps on it is 2 log(1 + |x|) to working precision."""
    magnitude = jnp.abs(x)
    is_large = magnitude > 1 / jnp.finfo(x.dtype).eps
    return jnp.where(is_large, 2.0, 1.0) * jnp.log1p(jnp.where(is_large, magnitude, x * x))


@log1p_square.defjvp
def _log1p_square_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (tangent,) = primals, tangents
    return log1p_square(x), _log1p_square_slope(x) * tangent


@own_derivative
def _log1p_square_slope(x: Array) -> Array:
    """2 x / (1 + x^2), written so that nothing overflows but 1 / x, whose inverse is the right 0."""
    return 2 / (x + 1 / x)


@_log1p_square_slope.defjvp
def _log1p_square_slope_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # 2 (1 - x^2) / (1 + x^2)^2
    (x,), (tangent,) = primals, tangents
    share = 1 / (1 + x * x)
    return _log1p_square_slope(x), 2 * share * (2 * share - 1) * tangent


@own_derivative
def student_kernel(df: Array, z: Array) -> Array:
    """`(n + 1) / 2 log(1 + z^2 / n)` for n = df, whose derivative by n neither cancels for large n nor is infinite."""
    return 0.5 * (df + 1) * log1p_square(z / jnp.sqrt(df))


def _student_kernel_jvp(primals: tuple[Array, Array], tangents: tuple[ArrayLike, ArrayLike]) -> tuple[Array, Array]:
    (df, z), (df_dot, z_dot) = primals, tangents
    root = jnp.sqrt(df)
    ratio = z / root
    slope = _log1p_square_slope(ratio)
    tangent = jnp.zeros_like(ratio)
    if not isinstance(z_dot, SymbolicZero):
        tangent += 0.5 * (df + 1) * slope * (z_dot / root)
    if not isinstance(df_dot, SymbolicZero):  # most models fix the degrees of freedom
        bounded = jnp.where(jnp.abs(ratio) < jnp.inf, ratio, 0)
        share = 0.5 * bounded * slope
        tangent += 0.5 * (_log_less_share(bounded, share) - share / df) * df_dot
    return student_kernel(df, z), tangent


student_kernel.defjvp(_student_kernel_jvp, symbolic_zeros=True)


def _log_less_share(x: Array, share: Array) -> Array:
    """`log(1 + x^2) - share`, share = x^2 / (1 + x^2); by its series, sum_k (-1)^k (k - 1) / k x^2k, for small x."""
    border, n_terms = (0.17, 6) if jnp.dtype(x.dtype).itemsize <= 4 else (0.03, 8)
    is_small = jnp.abs(x) < border
    square = jnp.square(jnp.where(is_small, x, 0))
    series = jnp.zeros_like(square)
    for k in range(n_terms, 1, -1):
        series = (k - 1) / k - square * series
    return jnp.where(is_small, square * square * series, log1p_square(x) - share)


def log_sum(log_terms: Array) -> Array:
    """`logsumexp` over the last axis, whose derivative is 0 where every term is 0."""
    largest = jax.lax.stop_gradient(log_terms.max(-1, keepdims=True))
    largest = jnp.where(largest > -jnp.inf, largest, 0)
    return log(jnp.exp(log_terms - largest).sum(-1)) + largest[..., 0]


def within_floats(draw: Array) -> Array:
    """A draw of a positive number: the smallest normal float instead of 0, the largest float instead of infinity.

    Where a draw is rounded to 0 or to infinity, its density there is not that of the draw, and may be infinite.
    NaN, for parameters that are not valid, stays.
    """
    limits = jnp.finfo(draw.dtype)
    return jnp.clip(draw, limits.tiny, limits.max)


def is_count(value: Array) -> Array:
    """Whether the value is one of 0, 1, 2, ..."""
    return (value >= 0) & (value == jnp.floor(value)) & (value < jnp.inf)


def stirling_remainder(x: Array) -> Array:
    """log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), to double precision for x >= 10."""
    inverse = 1 / x
    square = inverse * inverse
    total = jnp.zeros_like(x)
    for coefficient in reversed(_STIRLING_COEFFICIENTS):
        total = total * square + coefficient
    return total * inverse


_STIRLING_COEFFICIENTS = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def log_beta(a: Array, b: Array) -> Array:
    """log B(a, b) = log Gamma(a) + log Gamma(b) - log Gamma(a + b), without their cancellation for large arguments.

    Written out, because `jax.scipy.special.betaln` has seven digits also in double precision.

    Source: Stirling's series, NIST Digital Library of Mathematical Functions, equation 5.11.1.
    """
    low, high = jnp.minimum(a, b), jnp.maximum(a, b)
    plain = gammaln(low) + gammaln(high) - gammaln(low + high)
    is_high_large, is_low_large = high >= 10, low >= 10
    # Each branch gets arguments at which it is finite, so that unselected branches add no NaN to derivatives.
    high = jnp.where(is_high_large, high, 10)
    large_low = jnp.where(is_low_large, low, 10)
    common = (0.5 - high) * jnp.log1p(low / high) + stirling_remainder(high) - stirling_remainder(low + high)
    with_small_low = gammaln(low) + low - low * jnp.log(low + high)
    with_large_low = (
        large_low * jnp.log(large_low / (large_low + high))
        + (0.5 * math.log(2 * math.pi) - 0.5 * jnp.log(large_low))
        + stirling_remainder(large_low)
    )
    return jnp.where(is_high_large, common + jnp.where(is_low_large, with_large_low, with_small_low), plain)


# Direct terms and B_2k / (2k)! of the Euler-Maclaurin sum below: its remainder is under 1e-15 relative for power > 1.
_DIRECT_TERMS = 10
_BERNOULLI_RATIOS = tuple(
    b / math.factorial(2 * (k + 1)) for k, b in enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6))
)


def log_zeta(power: Array) -> Array:
    """log of Riemann's zeta function for power > 1, NaN elsewhere.

    Written out, because `jax.scipy.special.zeta` has no derivative with respect to the power.

    Source: Euler-Maclaurin summation, NIST Digital Library of Mathematical Functions, equation 25.2.9.
    """
    power = jnp.where(power > 1, power, jnp.nan)
    n = _DIRECT_TERMS
    tail = sum(jnp.exp(-power * math.log(k)) for k in range(2, n))
    last = jnp.exp(-power * math.log(n))
    tail += last * (n / (power - 1) + 0.5)
    # Beyond 100 the corrections vanish next to 2^-power, but their factors would overflow.
    bounded = jnp.minimum(power, 100.0)
    factor = bounded / n
    for k, ratio in enumerate(_BERNOULLI_RATIOS):
        tail += last * ratio * factor
        factor = factor * (bounded + 2 * k + 1) * (bounded + 2 * k + 2) / n**2
    return jnp.log1p(tail)
