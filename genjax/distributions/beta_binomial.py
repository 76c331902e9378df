"""Beta-binomial: binomial counts whose probability is a beta draw."""

import jax
import jax.numpy as jnp
from jax import Array

from genjax.distributions import gammas, special, supports
from genjax.distributions.counts import draw_binomial, log_binomial_kernel
from genjax.distributions.deviance import LARGE, deviance, product_difference
from genjax.distributions.family import FAMILIES, REQUIRED, Family, Form, define
from genjax.distributions.own_derivative import own_derivative

Shape = tuple[int, ...]


def _draw_beta_binomial(
    key: Array, total_count: Array, concentration1: Array, concentration0: Array, *, shape: Shape
) -> Array:
    beta_key, count_key = jax.random.split(key)
    probs = gammas.beta(beta_key, concentration1, concentration0, shape)
    return draw_binomial(count_key, total_count, probs, shape=shape)


def _log_beta_binomial_density(value: Array, total_count: Array, concentration1: Array, concentration0: Array) -> Array:
    is_inside = special.is_count(value) & (value <= total_count)
    value = jnp.where(is_inside, value, 0)
    failures = total_count - value
    # For fewer trials than these, what the spread of the probability adds is a small number.
    is_near = (8 * total_count <= jnp.minimum(concentration1, concentration0)) & (concentration1 >= LARGE)
    is_near &= concentration0 >= LARGE
    near = _near_binomial(value, failures, *(jnp.where(is_near, c, LARGE) for c in (concentration1, concentration0)))
    far = _by_bayes(value, failures, *(jnp.where(is_near, 1, c) for c in (concentration1, concentration0)))
    return jnp.where(is_inside, jnp.where(is_near, near, far), -jnp.inf)


def _near_binomial(value: Array, failures: Array, a: Array, b: Array) -> Array:
    """Binomial of probability a / (a + b), and what the spread of the probability adds, for a + k that would lose k."""
    total = a + b
    difference = _difference(value, failures, a, b)
    log_probs = -jnp.log1p(b / a), -jnp.log1p(a / b)
    binomial = log_binomial_kernel(value, value + failures, (a / total, b / total), log_probs, difference)
    return binomial + _log_spread(a, value) + _log_spread(b, failures) - _log_spread(total, value + failures)


@own_derivative
def _difference(value: Array, failures: Array, a: Array, b: Array) -> Array:
    """`k - n a / (a + b)`, whose derivatives do not cancel where a or b is far larger than the other."""
    return product_difference(value, b, failures, a) / (a + b)


@_difference.defjvp
def _difference_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    (value, failures, a, b), (value_dot, failures_dot, a_dot, b_dot) = primals, tangents
    share, complement, each = a / (a + b), b / (a + b), (value + failures) / (a + b)
    by_parameters = each * (share * b_dot - complement * a_dot)
    return _difference(*primals), complement * value_dot - share * failures_dot + by_parameters


def _log_spread(a: Array, count: Array) -> Array:
    """`log(Gamma(a + k) / Gamma(a)) - k log a` for a >= `LARGE`."""
    stirling = special.stirling_remainder(a + count) - special.stirling_remainder(a)
    return deviance(a + count, count, a) - 0.5 * jnp.log1p(count / a) + stirling


def _by_bayes(value: Array, failures: Array, a: Array, b: Array) -> Array:
    """Bayes' rule at a probability near the posterior mean, of whose three densities none cancels."""
    after1, after0 = a + value, b + failures
    limits = jnp.finfo(value.dtype)
    # Any probability gives the same sum, so that it has no derivative, and its rounding does not count.
    probs = jax.lax.stop_gradient(jnp.clip(after1 / (after1 + after0), limits.tiny, 1 - limits.epsneg))
    log_prior, log_posterior = (FAMILIES["Beta"].logpdf(probs, *p) for p in ((a, b), (after1, after0)))
    return FAMILIES["Binomial"].logpdf(value, value + failures, None, probs) + log_prior - log_posterior


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

log p(k) = log(n choose k) + log B(a + k, b + n - k) - log B(a, b). Draws are floats. Their
probabilities are draws of `beta`, which resolve probabilities down to 1e-30.
"""
