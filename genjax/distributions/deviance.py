"""Log densities of large counts and shapes without cancellation: deviances and Stirling's remainder.

The logarithm of a Poisson probability of a million, `k log m - m - log k!`, is a small difference of numbers in the ten
millions, of which float32 has seven digits. Written as

    -D(k, m) - r(k) - log(2 pi k) / 2,    D(k, m) = k log(k / m) + m - k,

no term is larger than the sum: D is a square for k near m, computed from the difference `k - m`, and r is the remainder
of Stirling's series. The binomial, gamma, beta, Dirichlet and negative binomial families are made of the same two.

Source: Loader, *Fast and accurate computation of binomial probabilities* (2000).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.distributions import special
from genjax.distributions.own_derivative import own_derivative

#: From this number on, Stirling's series and the deviance are used; below, nothing cancels.
LARGE = 10.0

#: Shares of the number itself below which a mean is so small that nothing cancels, and kernels are not used.
SMALLEST_SHARE = 1e-10

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


# Differences that are exact before they are rounded


def _halves(x: Array) -> tuple[Array, Array]:
    """A number as a sum of two of half as many digits, by masking bits, which no compiler rearranges."""
    if jnp.dtype(x.dtype).itemsize == 8:
        mask: np.unsignedinteger = np.uint64(0xFFFFFFFFF8000000)
    else:
        mask = np.uint32(0xFFFFF000)
    high = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(x, mask.dtype) & mask, x.dtype)
    return high, x - high


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """`a b` as a rounded product and its error. Source: Dekker, *A floating-point technique* (1971)."""
    if jnp.dtype(a.dtype).itemsize < 4:
        return a * b, jnp.zeros_like(a * b)
    rounded = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    error = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low
    return rounded, jnp.where(jnp.abs(rounded) < jnp.inf, error, 0)


@own_derivative
def product_difference(a: Array, b: Array, c: Array, d: Array) -> Array:
    """`a b - c d`, of which all digits are right also where the products nearly cancel."""
    (first, first_error), (second, second_error) = _product(a, b), _product(c, d)
    return (first - second) + (first_error - second_error)


@product_difference.defjvp
def _product_difference_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    (a, b, c, d), (a_dot, b_dot, c_dot, d_dot) = primals, tangents
    return product_difference(a, b, c, d), (a_dot * b + a * b_dot) - (c_dot * d + c * d_dot)


@own_derivative
def logit_difference(successes: Array, failures: Array, failures_error: Array, logits: Array) -> Array:
    """`a - (a + b) p` for p = 1 / (1 + exp(-logits)), all digits of it also where p itself is rounded.

    b is the sum of `failures` and `failures_error`, whose derivative is taken as 0.
    """
    # (a - b t) (1 - p) for t = exp(logits); and with a and b exchanged, so that t <= 1.
    is_positive = logits > 0
    odds, error = exp_with_error(-jnp.abs(logits))
    one = jnp.ones_like(odds)
    counted = jnp.where(
        is_positive,
        product_difference(successes, odds, failures, one) + successes * odds * error,
        product_difference(successes, one, failures, odds) - failures * odds * error,
    )
    counted -= failures_error * jnp.where(is_positive, 1, odds)
    return counted / (1 + odds)


@logit_difference.defjvp
def _logit_difference_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    (successes, failures, _, logits), (successes_dot, failures_dot, _, logits_dot) = primals, tangents
    share, complement = special.sigmoid(logits), special.sigmoid(-logits)
    slope = -(successes + failures) * share * complement
    return (
        logit_difference(*primals),
        complement * successes_dot - share * failures_dot + slope * logits_dot,
    )


def sum_and_error(terms: Array) -> tuple[Array, Array]:
    """The sum over the last axis, rounded, and its error, for at most 2^11 numbers >= 0 of any sizes.

    Source: Rump, Ogita and Oishi, *Accurate floating-point summation part I* (2008): leading digits are multiples of
    one power of 2, so that their sum is exact.
    """
    total = terms.sum(-1)
    if jnp.dtype(terms.dtype).itemsize < 4:
        return total, jnp.zeros_like(total)
    fixed, fixed_terms = jax.lax.stop_gradient((total, terms))
    is_wide = jnp.dtype(terms.dtype).itemsize == 8
    exponent: np.unsignedinteger = np.uint64(0x7FF0000000000000) if is_wide else np.uint32(0x7F800000)
    power = jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(fixed, exponent.dtype) & exponent, terms.dtype)
    unit = jnp.where(power > 1e-30, power, 1)[..., None] * (2.0**-40 if is_wide else 2.0**-11)
    high = jnp.round(fixed_terms / unit) * unit
    return total, (high.sum(-1) - fixed) + (fixed_terms - high).sum(-1)


# 355 / 512, whose multiples are exact, and what is left of log 2: twelve bits of it, and the rest.
_LOG_2 = (0.693359375, -0.00021219253540039062, -1.904654299957768e-09)


@own_derivative
def exp_with_error(x: Array) -> tuple[Array, Array]:
    """`exp(x)` rounded, and the relative error of that: exp(x) = e (1 + error), to 1e-9 in float32.

    A large count times the rounding error of an exponential is not small. The error is 0 in other precisions, and where
    |x| > 80; its derivative is 0.
    """
    if jnp.dtype(x.dtype).itemsize != 4:
        return jnp.exp(x), jnp.zeros_like(x)
    is_used = jnp.abs(x) <= 80
    used = jnp.where(is_used, x, 0)
    turns = jnp.round(used / math.log(2))
    first, second = used - turns * _LOG_2[0], -turns * _LOG_2[1]
    rest = first + second
    moved = rest - first
    rest_low = (first - (rest - moved)) + (second - moved) - turns * _LOG_2[2]
    # The root, 1 + r + r^2 / 2 + r^3 (1/6 + ...), in the order of sizes, with the errors of the first three.
    rest, rest_low = 0.5 * rest, 0.5 * rest_low
    square, square_error = _product(rest, rest)
    series = jnp.zeros_like(rest)
    for k in range(7, 2, -1):
        series = (series * rest + 1) / k
    one = jnp.where(is_used, jnp.ones_like(x), 2)  # no constant, which XLA would subtract from itself
    linear = one + rest
    quadratic = linear + 0.5 * square
    low = (rest - (linear - one)) + (0.5 * square - (quadratic - linear)) + 0.5 * square_error
    low += 0.5 * square * rest * series + rest_low * quadratic
    root = quadratic + low
    root_error = low - (root - quadratic)
    rounded, error = _product(root, root)
    error = (error + 2 * root * root_error) / rounded
    power = jax.lax.bitcast_convert_type((turns.astype(jnp.int32) + 127) << 23, x.dtype)
    return jnp.where(is_used, rounded * power, jnp.exp(x)), jnp.where(is_used, error, 0)


@exp_with_error.defjvp
def _exp_with_error_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    exponential, error = exp_with_error(*primals)
    return (exponential, error), (exponential * tangents[0], jnp.zeros_like(error))


# Deviance and kernels


@own_derivative
def deviance(x: Array, difference: Array, mean: Array) -> Array:
    """`D(x, m) = x log(x / m) + m - x`, x > 0, of `difference = x - m` and m = mean > 0: nonnegative, 0 at m = x.

    Near m = x it takes the digits of the difference, elsewhere of the mean. Derivatives are by x and mean.
    """
    ratio = difference / (x + mean)
    # At the border D is 7% of x, so that rounding x / m costs fifteen times its own size, and no more.
    is_near = jnp.abs(ratio) < 0.2
    near_ratio = jnp.where(is_near, ratio, 0)
    square = near_ratio * near_ratio
    series = jnp.zeros_like(square)
    n_terms = 4 if jnp.dtype(x.dtype).itemsize <= 4 else 11
    for k in range(n_terms, 0, -1):
        series = series * square + 1 / (2 * k + 1)
    near = near_ratio * (jnp.where(is_near, difference, 0) + 2 * x * square * series)
    far_x, far_mean = jnp.where(is_near, 1, x), jnp.where(is_near, 1, mean)
    far = far_x * _log_ratio(far_x, far_mean) - jnp.where(is_near, 0, difference)
    return jnp.where(is_near, near, far)


def _log_ratio(x: Array, mean: Array) -> Array:
    """`log(x / m)`, with one rounding before the logarithm: two logarithms of large numbers would lose digits."""
    if jnp.dtype(x.dtype).itemsize < 4:  # where the ratio may be beyond the floats
        return jnp.log(x) - jnp.log(mean)
    return jnp.log(x / mean)


@deviance.defjvp
def _deviance_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    # By the mean rather than by the difference: far out, `log(x / m) - (x - m) / m` would lose the logarithm's digits.
    (x, difference, mean), (x_dot, _, mean_dot) = primals, tangents
    relative = difference / mean
    is_near = jnp.abs(relative) < 0.5
    far = _log_ratio(jnp.where(is_near, 1, x), jnp.where(is_near, 1, mean))
    log_ratio = jnp.where(is_near, jnp.log1p(jnp.where(is_near, relative, 0)), far)
    return deviance(x, difference, mean), log_ratio * x_dot - relative * mean_dot


def log_peak(shape: Array) -> Array:
    """`a log a - a - log Gamma(a)` for a = shape >= `LARGE`."""
    return 0.5 * jnp.log(shape) - _HALF_LOG_TWO_PI - special.stirling_remainder(shape)


def log_gamma_kernel(is_used: Array, shape: Array, difference: Array, mean: Array) -> Array:
    """`a log m - m - log Gamma(a)`, for a = shape >= `LARGE`, `difference = a - m`, m = mean > 0; else anything.

    Of a gamma variable X with shape a and rate r, and m = r x, it is log p(x) + log x. Minus log a, it is the log
    probability of a under a Poisson distribution with mean m.
    """
    shape = jnp.where(is_used, shape, LARGE)
    return log_peak(shape) - deviance(shape, jnp.where(is_used, difference, 0), jnp.where(is_used, mean, LARGE))


def log_shares(
    is_used: Array, first: Array, second: Array, difference: Array, share: Array, complement: Array
) -> Array:
    """`a log p + b log(1 - p) - log B(a, b)`, for a = first, b = second >= `LARGE` and `difference = a - (a + b) p`.

    p is `share`, and 1 - p `complement`.

    It is log p + log(1 - p) more than the log density of Beta(a, b) at p. Minus `log(a b / (a + b))`, it is the log
    probability of a successes among a + b trials, of probability p, 0 < p < 1. Anything where not used.
    """
    first, second = jnp.where(is_used, first, LARGE), jnp.where(is_used, second, LARGE)
    difference = jnp.where(is_used, difference, 0)
    share, complement = jnp.where(is_used, share, 0.5), jnp.where(is_used, complement, 0.5)
    total = first + second
    entropy = deviance(first, difference, total * share) + deviance(second, -difference, total * complement)
    return log_peak(first) + log_peak(second) - log_peak(first + second) - entropy


def share_difference(first: Array, second: Array, share: Array) -> Array:
    """`a - (a + b) p`, all digits of it, where a + b is not a number that can be written without rounding."""
    complement = 1 - share
    # The complement is rounded; its error counts where the first number is large.
    return product_difference(first, complement, second, share) + first * complement_error(share, complement)


@own_derivative
def complement_error(share: Array, complement: Array) -> Array:
    """`(1 - share) - complement`, which is exact; its derivatives are those of a constant."""
    return (1 - complement) - share


@complement_error.defjvp
def _complement_error_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    error = complement_error(*primals)
    return error, jnp.zeros_like(error)
