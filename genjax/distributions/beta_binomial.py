"""Beta-binomial: binomial counts whose probability is a beta draw."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln

from genjax.distributions import gammas, special, supports
from genjax.distributions.counts import draw_binomial
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


def _draw_beta_binomial(
    key: Array, total_count: Array, concentration1: Array, concentration0: Array, *, shape: Shape
) -> Array:
    beta_key, count_key = jax.random.split(key)
    probs = gammas.beta(beta_key, concentration1, concentration0, shape)
    return draw_binomial(count_key, total_count, probs, shape=shape)


def _log_rising(base: Array, count: Array) -> Array:
    """`log Gamma(a + k) - log Gamma(a)`, without their cancellation for a large a."""
    is_large = base >= 10
    large = jnp.where(is_large, base, 10)
    by_series = (large - 0.5) * jnp.log1p(count / large) + count * jnp.log(large + count) - count
    by_series += special.stirling_remainder(large + count) - special.stirling_remainder(large)
    small = jnp.where(is_large, 1, base)
    return jnp.where(is_large, by_series, gammaln(small + count) - gammaln(small))


def _log_beta_binomial_density(value: Array, total_count: Array, concentration1: Array, concentration0: Array) -> Array:
    is_inside = special.is_count(value) & (value <= total_count)
    value = jnp.where(is_inside, value, 0)
    failures = total_count - value
    log_choose = -jnp.log1p(total_count) - special.log_beta(failures + 1, value + 1)
    rising = _log_rising(concentration1, value) + _log_rising(concentration0, failures)
    log_density = log_choose + rising - _log_rising(concentration1 + concentration0, total_count)
    return jnp.where(is_inside, log_density, -jnp.inf)


beta_binomial = define(
    Family(
        "BetaBinomial",
        {"total_count": REQUIRED, "concentration1": REQUIRED, "concentration0": REQUIRED},
        [
            Form(
                ("total_count", "concentration1", "concentration0"),
                _draw_beta_binomial,
                _log_beta_binomial_density,
                is_continuous=False,
            )
        ],
        supports.integer_range(0, supports.Argument("total_count", 0)),
    )
)
"""`beta_binomial(total_count, concentration1, concentration0)`: successes in n trials of a probability ~ beta(a, b).

log p(k) = log(n choose k) + log B(a + k, b + n - k) - log B(a, b), to about 1e-7 n log n. Draws are floats, and resolve
probabilities down to 1e-19 (2^-64).
"""
