"""Draws with large and small parameters: moments, finite densities, counts beyond any integer, gradients.

Moments are within 5 standard errors of 40,000 draws (false alarm 6e-7 each).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from genjax import distributions
from genjax.distributions import gammas
from genjax.pjax import seed

N = 40_000
LARGEST = float(np.finfo(np.float32).max)


@functools.cache
def program(name, is_given, n):
    """Of all parameters in these places, which compile once."""

    def draw(given):
        numbers = iter(given)
        parameters = [next(numbers) if one else None for one in is_given]
        return getattr(distributions, name).sample(*parameters, sample_shape=(n,))

    return jax.jit(seed(draw))


def draws_of(name, *parameters, n=N, key=0):
    run = program(name, tuple(one is not None for one in parameters), n)
    given = [one for one in parameters if one is not None]
    return np.asarray(run(key if isinstance(key, jax.Array) else jax.random.key(key), given), np.float64)


def assert_moments(draws, mean, variance, excess_kurtosis=0.0):
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / len(draws)), (draws.mean(), mean)
    # Rounding to a float adds a little.
    error = np.sqrt((excess_kurtosis + 2) / len(draws))
    assert abs(np.square(draws - mean).mean() / variance - 1) < 5 * error + 0.01, (draws.var(), variance)


@pytest.mark.parametrize("rate", [0.01, 9.9, 10.1, 1e4, 1e8, 3e9, 1e12])
def test_poisson_of_any_rate(rate):
    rate = float(np.float32(rate))
    assert_moments(draws_of("poisson", rate), rate, rate, 1 / rate)


@pytest.mark.parametrize("parameters", [(1e3, 1e-3), (1e3, 0.3), (1e7, 0.5), (1e9, 0.9), (2.0**40, 0.5)])
def test_binomial_of_any_size(parameters):
    n, p = (float(np.float32(parameter)) for parameter in parameters)
    variance = n * p * (1 - p)
    draws = draws_of("binomial", n, None, p)
    assert_moments(draws, n * p, variance, (1 - 6 * p * (1 - p)) / variance)
    assert draws.min() >= 0 and draws.max() <= n


@pytest.mark.parametrize("concentration", [1.0, 1e4, 1e8, 1e10, 1e12])
def test_gamma_and_beta_of_any_concentration(concentration):
    a = float(np.float32(concentration))
    assert_moments(draws_of("gamma", a, 1.0), a, a, 6 / a)
    assert_moments(draws_of("beta", a, a), 0.5, 0.25 / (2 * a + 1))


@pytest.mark.parametrize(("total_count", "logits"), [(10.0, 25.0), (1e6, 1.0), (1e9, 1.6), (0.1, 2.0)])
def test_negative_binomial_beyond_integers(total_count, logits):
    odds = np.exp(float(np.float32(logits)))
    mean, n = float(np.float32(total_count)) * odds, float(np.float32(total_count))
    draws = draws_of("negative_binomial", total_count, logits)
    assert_moments(draws, mean, mean * (1 + odds), 6 / n + 1 / (mean * (1 + odds)))
    assert n < 1 or len(np.unique(draws)) > 20  # no plateau


def test_counts_of_parameters_that_are_not_valid():
    rates = jnp.array([-1.0, jnp.nan, jnp.inf, 3e9])
    draws = np.asarray(seed(lambda: distributions.poisson.sample(rates))(jax.random.key(0)))
    assert np.isnan(draws[:3]).all() and abs(draws[3] - 3e9) < 6 * np.sqrt(3e9)
    n, p = jnp.array([-1.0, 5.0, 5.0, jnp.nan, jnp.inf]), jnp.array([0.5, 1.5, -0.1, 0.5, 0.5])
    assert np.isnan(seed(lambda: distributions.binomial.sample(n, None, p))(jax.random.key(0))).all()
    n, p = jnp.array([0.0, 5.0, 5.0]), jnp.array([0.5, 0.0, 1.0])
    np.testing.assert_array_equal(
        seed(lambda: distributions.binomial.sample(n, None, p))(jax.random.key(0)), [0.0, 0.0, 5.0]
    )
    assert np.isnan(draws_of("negative_binomial", -1.0, 0.0, n=3)).all()


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_counts_from_keys_of_other_generators(kind):
    key = jax.random.key(3, impl=kind)
    assert_moments(draws_of("poisson", 30.0, key=key), 30.0, 30.0, 1 / 30)
    assert_moments(draws_of("negative_binomial", 4.0, 1.0, key=key), 4 * np.e, 4 * np.e * (1 + np.e), 6 / 4 + 1)


TINY = [
    ("gamma", (0.001, 10.0)),
    ("gamma", (0.001, None, 60.0)),
    ("gamma", (1e-6, 1e-20)),
    ("chi2", (0.002,)),
    ("inverse_gamma", (0.001, 10.0)),
    ("weibull", (0.01, 10.0)),
    ("beta", (0.001, 0.001)),
    ("student_t", (0.01, 0.0, 1.0)),
    ("student_t", (1e-4, 0.0, 1e3)),
    ("log_normal", (0.0, 100.0)),
    ("cauchy", (0.0, 1e30)),
    ("exponential", (1e-37,)),
    ("exponential", (1e38,)),
    ("half_normal", (1e-37,)),
]


@pytest.mark.parametrize(("name", "parameters"), TINY, ids=[f"{n}{p}" for n, p in TINY])
def test_a_draw_has_a_finite_density(name, parameters):
    draws = draws_of(name, *parameters, n=4_000).astype(np.float32)
    assert np.isfinite(draws).all()
    assert np.isfinite(getattr(distributions, name).logpdf(draws, *parameters)).all()


def test_the_logarithm_of_a_gamma_draw_has_the_right_derivative():
    """E[d log G / da] = d E[log G] / da, the trigamma function: also where G underflows."""
    for concentration in (0.01, 0.5, 5.0, 1e3):
        slope = jax.vmap(jax.grad(lambda a, key: gammas.log_gamma(key, a, ())), (None, 0))
        slopes = np.asarray(slope(concentration, jax.random.split(jax.random.key(1), 20_000)), np.float64)
        exact = special.polygamma(1, concentration)
        assert abs(slopes.mean() - exact) < 5 * slopes.std() / np.sqrt(len(slopes)) + 1e-4 * exact
