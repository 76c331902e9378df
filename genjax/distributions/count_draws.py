"""Poisson and binomial draws, as floats: any generator's keys, any mean that a float can hold.

Means below ten are counted: a Poisson process of rate 1 until time `rate`, or the waiting times of n trials until
time -log(1 - p). Larger ones are drawn by transformed rejection, whose acceptance compares exact log probabilities, so
that the variance stays right where log k! has no digits left.

Sources: Devroye, Non-Uniform Random Variate Generation (1986), X.4.3, the second waiting time method; Hörmann, *The
generation of binomial random variates* (1993), algorithm BTRS, of which a Poisson distribution is the limit.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.distributions import turns
from genjax.distributions.blocks import draw_in_blocks

__all__ = ["binomial", "poisson"]

#: Mean below which occurrences are counted one by one.
_SMALL_MEAN = 10.0

Shape = tuple[int, ...]
LogProbability = Callable[..., Array]


def poisson(key: Array, rate: Array, shape: Shape, log_probability: LogProbability) -> Array:
    """Poisson counts; NaN where the rate is negative, infinite or NaN.

    Args:
        key: a typed key.
        rate: floats that broadcast against `shape`.
        shape: of the draws.
        log_probability: `log_probability(counts, rate)`.

    Returns:
        Counts of the rate's dtype. Above 2^24 in float32 they are rounded; the variance is right up to a rate of 2^40.
    """

    def draw_block(key: Array, rate: Array) -> Array:
        is_valid = (rate >= 0) & (rate < jnp.inf)
        rate = jnp.where(is_valid, rate, 0)
        waited = _waited(key, rate, jnp.full_like(rate, jnp.inf), is_valid & (rate < _SMALL_MEAN))
        is_large = is_valid & (rate >= _SMALL_MEAN)
        mean = jnp.where(is_large, rate, _SMALL_MEAN)
        rejected = _rejected(key, mean, jnp.zeros_like(mean), lambda count: log_probability(count, mean), is_large)
        return jnp.where(is_valid, jnp.where(is_large, rejected, waited), jnp.nan)

    return draw_in_blocks(draw_block, key, [rate], shape)


def binomial(key: Array, total_count: Array, probs: Array, shape: Shape, log_probability: LogProbability) -> Array:
    """Binomial counts; NaN where total_count is negative, infinite or NaN, or the probability is not one.

    Args:
        key: a typed key.
        total_count, probs: floats that broadcast against `shape`. A total count is rounded down.
        shape: of the draws.
        log_probability: `log_probability(counts, total_count, probs)`.
    """

    def draw_block(key: Array, total_count: Array, probs: Array) -> Array:
        is_valid = (total_count >= 0) & (total_count < jnp.inf) & (probs >= 0) & (probs <= 1)
        total, probs = jnp.floor(jnp.where(is_valid, total_count, 0)), jnp.where(is_valid, probs, 0)
        # The rarer outcome is counted.
        is_common = probs > 0.5
        rarer = jnp.where(is_common, 1 - probs, probs)
        is_large = is_valid & (total * rarer >= _SMALL_MEAN)
        waited = _waited(key, -jnp.log1p(-rarer), total, is_valid & ~is_large)
        n, p = jnp.where(is_large, total, 20.0), jnp.where(is_large, rarer, 0.5)
        rejected = _rejected(key, n * p, p, lambda count: log_probability(count, n, p), is_large)
        count = jnp.where(is_large, rejected, waited)
        return jnp.where(is_valid, jnp.where(is_common, total - count, count), jnp.nan)

    return draw_in_blocks(draw_block, key, [total_count, probs], shape)


def _waited(key: Array, time: Array, total: Array, is_drawn: Array) -> Array:
    """How many of `total` independent exponential waiting times of rate 1 are below `time`; total may be infinite."""

    def wait(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        turn, now, count, is_done = state
        gap = turns.fine_exponential_of_turn(key, turn, time.shape, time.dtype)
        left = jnp.where(total == jnp.inf, 1, total - count)
        now = now + gap / jnp.maximum(left, 1)
        is_done |= (now > time) | (left < 1)
        return turn + 1, now, jnp.where(is_done, count, count + 1), is_done

    initial = jnp.uint32(0), jnp.zeros_like(time), jnp.zeros_like(time), ~is_drawn
    return jax.lax.while_loop(lambda state: ~jnp.all(state[3]), wait, initial)[2]


def _rejected(key: Array, mean: Array, probs: Array, log_probability: LogProbability, is_drawn: Array) -> Array:
    """Counts by transformed rejection: mean >= 10, probs <= 1/2 the probability of one trial, 0 for Poisson."""
    deviation = jnp.sqrt(mean * (1 - probs))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * probs
    log_alpha = jnp.log((2.83 + 5.1 / b) * deviation)
    mode = jnp.floor(mean + probs)
    log_highest = log_probability(mode)

    def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, count, is_done = state
        uniform, exponential = turns.uniform_and_exponential(key, turn, mean.shape, mean.dtype)
        end = jnp.minimum(uniform, 1 - uniform)
        is_inside = end > 2.0**-22  # beyond, proposals are thousands of deviations away
        end = jnp.where(is_inside, end, 0.5)
        proposed = jnp.floor((2 * a / end + b) * (uniform - 0.5) + mean + 0.5)
        is_inside &= proposed >= 0
        proposed = jnp.maximum(proposed, 0)
        log_ratio = log_probability(proposed) - log_highest
        is_accepted = is_inside & (log_alpha - jnp.log(a / (end * end) + b) - exponential <= log_ratio)
        return turn + 1, jnp.where(is_done, count, proposed), is_done | is_accepted

    # The numbers of each turn are those of `_waited`, but each element is drawn in one way only.
    initial = jnp.uint32(0), mode, ~is_drawn
    return jax.lax.while_loop(lambda state: ~jnp.all(state[2]), propose, initial)[1]
