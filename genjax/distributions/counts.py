"""Distributions on the counts 0, 1, 2, ..., and zipf on 1, 2, ....

Counts are floating, as in TFP, except those of zipf. `logits` and `probs` differ as in `discrete`.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln
from jax.typing import ArrayLike, DTypeLike

from genjax.distributions import count_draws, gammas, noise, special, supports
from genjax.distributions.deviance import (
    LARGE,
    SMALLEST_SHARE,
    complement_error,
    exp_with_error,
    log_gamma_kernel,
    log_shares,
    logit_difference,
    product_difference,
)
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


# Geometric


def _draw_geometric_from_log_complement(key: Array, log_complement: Array, *, shape: Shape) -> Array:
    # Inversion as `jax.random.geometric` does it, but floating throughout: counts beyond int32 survive.
    draw = jnp.floor(noise.exponential(key, shape, log_complement.dtype) / -log_complement)
    return jnp.minimum(draw, jnp.finfo(draw.dtype).max)


def _draw_geometric(key: Array, probs: Array, *, shape: Shape) -> Array:
    return _draw_geometric_from_log_complement(key, jnp.log1p(-probs), shape=shape)


def _draw_geometric_logits(key: Array, logits: Array, *, shape: Shape) -> Array:
    return _draw_geometric_from_log_complement(key, special.log_sigmoids(logits)[1], shape=shape)


def _log_geometric_kernel(value: Array, log_probs: Array, log_complements: Array) -> Array:
    is_inside = special.is_count(value)
    value = jnp.where(is_inside, value, 0)
    return jnp.where(is_inside, special.times(value, log_complements) + log_probs, -jnp.inf)


def _log_geometric_density(value: Array, probs: Array) -> Array:
    return _log_geometric_kernel(value, special.log(probs), special.log_complement(probs))


def _log_geometric_density_logits(value: Array, logits: Array) -> Array:
    return _log_geometric_kernel(value, *special.log_sigmoids(logits))


geometric = define(
    Family(
        "Geometric",
        {"logits": None, "probs": None},
        [
            Form(("logits",), _draw_geometric_logits, _log_geometric_density_logits, is_continuous=False),
            Form(("probs",), _draw_geometric, _log_geometric_density, is_continuous=False),
        ],
        supports.counts,
    )
)
"""`geometric(logits=None, probs=None)`: failures before the first success; log p(k) = k log(1 - p) + log p.

Draws resolve probabilities down to 1e-30.
"""


# Binomial


def draw_binomial(key: Array, total_count: Array, probs: Array, *, shape: Shape) -> Array:
    """Binomial counts, floating; see `count_draws.binomial`."""
    return count_draws.binomial(key, total_count, probs, shape, _log_binomial_density)


def _draw_binomial_logits(key: Array, total_count: Array, logits: Array, *, shape: Shape) -> Array:
    return draw_binomial(key, total_count, jax.nn.sigmoid(logits), shape=shape)


def log_binomial_kernel(
    value: Array, total_count: Array, probs: tuple[Array, Array], log_probs: tuple[Array, Array], difference: Array
) -> Array:
    """Of `probs` (p, 1 - p), their logarithms, and `difference = k - n p`."""
    (probability, complement), (log_probability, log_complement) = probs, log_probs
    is_inside = special.is_count(value) & (value <= total_count)
    value = jnp.where(is_inside, value, 0)
    failures = total_count - value
    # n choose k = 1 / ((n + 1) B(n - k + 1, k + 1)).
    log_choose = -jnp.log1p(total_count) - special.log_beta(failures + 1, value + 1)
    plain = log_choose + special.times(value, log_probability) + special.times(failures, log_complement)
    is_large = (value >= LARGE) & (failures >= LARGE) & (probability > 0) & (complement > 0)
    large_value, large_failures = jnp.where(is_large, value, LARGE), jnp.where(is_large, failures, LARGE)
    large = log_shares(is_large, value, failures, difference, probability, complement)
    large -= jnp.log(large_value) + jnp.log(large_failures / (large_value + large_failures))
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


def _log_binomial_density(value: Array, total_count: Array, probs: Array) -> Array:
    difference = product_difference(value, jnp.ones_like(value), total_count, probs)
    log_probs = special.log(probs), special.log_complement(probs)
    return log_binomial_kernel(value, total_count, (probs, 1 - probs), log_probs, difference)


def _log_binomial_density_logits(value: Array, total_count: Array, logits: Array) -> Array:
    probs = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    failures = total_count - value
    failures_error = jax.lax.stop_gradient((total_count - failures) - value)
    difference = logit_difference(value, failures, failures_error, logits)
    return log_binomial_kernel(value, total_count, probs, special.log_sigmoids(logits), difference)


binomial = define(
    Family(
        "Binomial",
        {"total_count": REQUIRED, "logits": None, "probs": None},
        [
            Form(("total_count", "logits"), _draw_binomial_logits, _log_binomial_density_logits, is_continuous=False),
            Form(("total_count", "probs"), draw_binomial, _log_binomial_density, is_continuous=False),
        ],
        supports.integer_range(0, supports.Argument("total_count", 0)),
    )
)
"""`binomial(total_count, logits=None, probs=None)`: successes among total_count trials; logits come second.

Draws are floats, and resolve probabilities down to 1e-30.
"""


# Poisson and negative binomial


def _draw_poisson(key: Array, rate: Array, *, shape: Shape) -> Array:
    return count_draws.poisson(key, rate, shape, _log_poisson_density)


def _draw_poisson_log_rate(key: Array, log_rate: Array, *, shape: Shape) -> Array:
    return _draw_poisson(key, jnp.exp(log_rate), shape=shape)


def _log_poisson_kernel(value: Array, rate: Array, log_rate: Array, error: Array | None = None) -> Array:
    """Of a rate whose relative rounding error is `error`, if it is known."""
    is_inside = special.is_count(value)
    value = jnp.where(is_inside, value, 0)
    is_large = (value >= LARGE) & (rate > SMALLEST_SHARE * value) & (rate < jnp.inf)
    plain = special.times(value, log_rate) - rate - gammaln(jnp.where(is_large, 0, value) + 1)
    difference = value - rate if error is None else value - rate - rate * error
    large = log_gamma_kernel(is_large, value, difference, rate) - jnp.log(jnp.where(is_large, value, 1))
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


def _log_poisson_density(value: Array, rate: Array) -> Array:
    return _log_poisson_kernel(value, rate, special.log(rate))


def _log_poisson_density_log_rate(value: Array, log_rate: Array) -> Array:
    rate, error = exp_with_error(log_rate)
    return _log_poisson_kernel(value, rate, log_rate, error)


poisson = define(
    Family(
        "Poisson",
        {"rate": None, "log_rate": None},
        [
            Form(("rate",), _draw_poisson, _log_poisson_density, is_continuous=False),
            Form(("log_rate",), _draw_poisson_log_rate, _log_poisson_density_log_rate, is_continuous=False),
        ],
        supports.counts,
    )
)
"""`poisson(rate=None, log_rate=None)`: log p(k) = k log rate - rate - log k!.

Draws are floats, rounded above 2^24 in float32, and NaN for a rate that is negative, infinite or NaN. They
resolve probabilities down to 1e-30.
"""


def _draw_negative_binomial_from_odds(
    key: Array, total_count: Array, odds: Array, log_odds: Array, *, shape: Shape
) -> Array:
    # A Poisson count whose rate is gamma with concentration total_count and mean total_count * odds.
    gamma_key, poisson_key = jax.random.split(key)
    draw, log_draw = gammas.gamma(gamma_key, total_count, shape)
    rate = jnp.where(total_count >= 1, draw * odds, jnp.exp(log_draw + log_odds))
    return _draw_poisson(poisson_key, rate, shape=shape)


def _draw_negative_binomial(key: Array, total_count: Array, probs: Array, *, shape: Shape) -> Array:
    odds = probs / (1 - probs)
    return _draw_negative_binomial_from_odds(key, total_count, odds, jnp.log(odds), shape=shape)


def _draw_negative_binomial_logits(key: Array, total_count: Array, logits: Array, *, shape: Shape) -> Array:
    return _draw_negative_binomial_from_odds(key, total_count, jnp.exp(logits), logits, shape=shape)


def _log_negative_binomial_kernel(
    value: Array, total_count: Array, probs: tuple[Array, Array], log_probs: tuple[Array, Array], difference: Array
) -> Array:
    """Of `probs` (p, 1 - p), their logarithms, and `difference = k (1 - p) - n p`."""
    (probability, complement), (log_probability, log_complement) = probs, log_probs
    is_inside = special.is_count(value)
    value = jnp.where(is_inside, value, 0)
    # Gamma(n + k) / (Gamma(n) k!) = 1 / ((n + k) B(n, k + 1)).
    log_choose = -jnp.log(total_count + value) - special.log_beta(total_count, value + 1)
    plain = log_choose + special.times(total_count, log_complement) + special.times(value, log_probability)
    is_large = (value >= LARGE) & (total_count >= LARGE) & (probability > 0) & (complement > 0)
    large = log_shares(is_large, value, total_count, difference, probability, complement)
    large -= jnp.log(jnp.where(is_large, value, 1))
    return jnp.where(is_inside, jnp.where(is_large, large, plain), -jnp.inf)


def _log_negative_binomial_density(value: Array, total_count: Array, probs: Array) -> Array:
    complements = 1 - probs
    difference = product_difference(value, complements, total_count, probs)
    difference += value * complement_error(probs, complements)
    log_probs = special.log(probs), special.log_complement(probs)
    return _log_negative_binomial_kernel(value, total_count, (probs, complements), log_probs, difference)


def _log_negative_binomial_density_logits(value: Array, total_count: Array, logits: Array) -> Array:
    probs = jax.nn.sigmoid(logits), jax.nn.sigmoid(-logits)
    difference = logit_difference(value, total_count, jnp.zeros_like(total_count), logits)
    return _log_negative_binomial_kernel(value, total_count, probs, special.log_sigmoids(logits), difference)


negative_binomial = define(
    Family(
        "NegativeBinomial",
        {"total_count": REQUIRED, "logits": None, "probs": None},
        [
            Form(
                ("total_count", "logits"),
                _draw_negative_binomial_logits,
                _log_negative_binomial_density_logits,
                is_continuous=False,
            ),
            Form(
                ("total_count", "probs"), _draw_negative_binomial, _log_negative_binomial_density, is_continuous=False
            ),
        ],
        supports.counts,
    )
)
"""`negative_binomial(total_count, logits=None, probs=None)`: successes before total_count failures.

`probs` is the probability of a success: log p(k) = log Gamma(n + k) / (Gamma(n) k!) + n log(1 - p) + k log p.

Draws are Poisson counts of gamma rates, which resolve probabilities down to 1e-30.
"""


# Zipf


def _int32(*_dtypes: DTypeLike) -> DTypeLike:
    return jnp.int32


class ZipfFamily(Family):
    """The family of `zipf`, whose `dtype` is a setting of the draw rather than a parameter."""

    def sample(  # type: ignore[override]  # its parameters are named, so that `dtype` is one of them
        self, power: ArrayLike, dtype: DTypeLike = jnp.int32, *, sample_shape: tuple[int, ...] = ()
    ) -> Array:
        return super().sample(power, sample_shape=sample_shape).astype(dtype)

    def logpdf(self, value: ArrayLike, power: ArrayLike, dtype: DTypeLike = jnp.int32) -> Array:
        del dtype
        return super().logpdf(value, power)


def _draw_zipf(key: Array, power: Array, *, shape: Shape) -> Array:
    """Draw by rejection from a Pareto envelope.

    A candidate X = floor(U^(-1 / s)), s = power - 1, is accepted if V X (T - 1) / (b - 1) <= T / b, with
    T = (1 + 1 / X)^s and b = 2^s; here divided by T, so that nothing overflows for large powers. Draws beyond int32
    become its largest number: for powers close to 1 those have a considerable probability. Lanes with power <= 1 or
    NaN, where there is no distribution, give 0.

    Source: L. Devroye, Non-Uniform Random Variate Generation (1986), section X.6.1.
    """
    dtype = power.dtype
    excess = jnp.broadcast_to(power - 1, shape)
    is_valid = excess > 0
    excess = jnp.where(is_valid, excess, 1)
    bound = -jnp.expm1(-excess * jnp.log(jnp.asarray(2, dtype)))
    largest = jnp.asarray(2.0**62, dtype)

    def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        key, draw, is_done = state
        key, candidate_key, accept_key = jax.random.split(key, 3)
        candidate = jnp.floor(jnp.exp(noise.exponential(candidate_key, shape, dtype) / excess))
        candidate = jnp.minimum(candidate, largest)
        height = candidate * -jnp.expm1(-excess * jnp.log1p(1 / candidate))
        is_accepted = noise.uniform(accept_key, shape, dtype) * height <= bound
        return key, jnp.where(is_done, draw, candidate), is_done | is_accepted

    initial = (key, jnp.zeros(shape, dtype), ~is_valid)
    _, draw, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), propose, initial)
    # Every float below 2^31 fits into int32; the float nearest to the largest int32 does not.
    limit = jnp.iinfo(jnp.int32).max
    return jnp.where(draw < 2.0**31, draw, 0).astype(jnp.int32) + jnp.where(draw < 2.0**31, 0, limit)


def _log_zipf_density(value: Array, power: Array) -> Array:
    is_inside = special.is_count(value) & (value >= 1)
    value = jnp.where(is_inside, value, 1)
    return jnp.where(is_inside, -power * jnp.log(value) - special.log_zeta(power), -jnp.inf)


zipf = define(
    ZipfFamily(
        "Zipf",
        {"power": REQUIRED},
        [Form(("power",), _draw_zipf, _log_zipf_density, dtype=_int32, is_continuous=False)],
        supports.integer_range(1),
    )
)
"""`zipf(power, dtype=int32)`: k in 1, 2, ... with log p(k) = -power log k - log zeta(power), power > 1.

Draws resolve probabilities down to 1e-30.
"""
