"""Gamma draws made in blocks: their distribution, their derivative, and where blocks begin and end.

Kolmogorov-Smirnov tests have a false-alarm rate of 1e-6 each, for a fixed seed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax.distributions import gammas
from genjax.distributions.noise import BLOCK
from tests.tiers import slow_except

ALARM = 1e-6


def assert_standard_gamma(log_draws, concentration):
    p_value = stats.kstest(np.exp(np.asarray(log_draws, np.float64)), stats.gamma(concentration).cdf).pvalue
    assert p_value > ALARM, f"concentration {concentration}: p = {p_value:.2g}"


@functools.cache
def log_gammas(size):
    return jax.jit(lambda key, concentration: gammas.log_gamma(key, concentration, (size,)))


@pytest.mark.parametrize("concentration", [0.2, 0.999, 1.0, 1.7, 30.0, 1e4])
@pytest.mark.parametrize("size", slow_except([BLOCK, 20_011], [BLOCK, 20_000, 20_011]))
def test_distribution(concentration, size):
    draws = log_gammas(size)(jax.random.key(1), np.float32(concentration))
    assert draws.shape == (size,) and draws.dtype == jnp.float32
    assert_standard_gamma(draws, concentration)


def test_small_concentrations_do_not_underflow():
    draws = gammas.log_gamma(jax.random.key(2), jnp.float32(0.01), (20_000,))
    assert np.isfinite(draws).all() and (np.asarray(draws) < np.log(np.finfo(np.float32).tiny)).any()
    # Of a draw of a tiny concentration a, a log(draw) + log(Gamma(a + 1)) is nearly -Exponential(1).
    scaled = -0.01 * np.asarray(draws, np.float64)
    assert abs(scaled.mean() - 1) < 6 / np.sqrt(len(scaled)) + 0.01


def test_each_element_has_its_own_concentration():
    concentrations = jnp.array([0.3, 1.0, 8.0, 120.0], jnp.float32)
    draws = gammas.log_gamma(jax.random.key(3), concentrations, (5_003, 4))
    for i, concentration in enumerate(concentrations):
        assert_standard_gamma(draws[:, i], float(concentration))
    correlations = np.corrcoef(np.asarray(draws, np.float64), rowvar=False)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(draws))  # false alarm below 4e-6


@pytest.mark.parametrize("key_kind", ["threefry2x32", "rbg"])
def test_over_keys_and_in_double_precision(key_kind):
    keys = jax.random.split(jax.random.key(4, impl=key_kind), 3_000)
    assert_standard_gamma(jax.vmap(lambda key: gammas.log_gamma(key, jnp.float32(2.5), ()))(keys), 2.5)
    with jax.enable_x64(True):
        draws = gammas.log_gamma(keys[0], jnp.float64(0.7), (3_000,))
    assert draws.dtype == np.float64
    assert_standard_gamma(draws, 0.7)


def test_blocks_are_the_same_numbers_one_by_one_and_side_by_side():
    keys = jax.random.split(jax.random.key(5), 3)
    concentrations = jnp.linspace(0.1, 5.0, 3 * 600).reshape(3, 600)
    one_by_one = jnp.stack([gammas._draw_block(*block) for block in zip(keys, concentrations, strict=True)])
    np.testing.assert_allclose(jax.vmap(gammas._draw_block)(keys, concentrations), one_by_one, rtol=1e-5, atol=1e-6)


def test_what_is_no_concentration_gives_nan_and_ends():
    concentrations = jnp.array([jnp.nan, -1.0, jnp.inf, 0.0, 2.0], jnp.float32)
    draws = np.asarray(gammas.log_gamma(jax.random.key(6), concentrations, (5,)))
    assert np.isnan(draws[:2]).all() and draws[2] == np.inf and np.isfinite(draws[4])
    many = gammas.log_gamma(jax.random.key(6), jnp.float32(jnp.nan), (5_000,))
    assert np.isnan(many).all()


@pytest.mark.parametrize("concentration", [0.4, 1.0, 6.0])
def test_derivative_is_that_of_the_quantile(concentration):
    def draws(a):
        return jnp.exp(gammas.log_gamma(jax.random.key(7), a, (50,)))

    values, derivatives = jax.jvp(draws, (jnp.float32(concentration),), (jnp.float32(1.0),))
    levels, step = stats.gamma(concentration).cdf(np.asarray(values, np.float64)), 1e-4
    above, below = (special.gammaincinv(concentration + sign * step, levels) for sign in (1, -1))
    exact = (above - below) / (2 * step)
    is_inside = (levels > 1e-3) & (levels < 1 - 1e-3)  # beyond, float32 values have lost their level
    np.testing.assert_allclose(np.asarray(derivatives)[is_inside], exact[is_inside], rtol=5e-3, atol=1e-4)
    reverse = jax.grad(lambda a: draws(a).sum())(jnp.float32(concentration))
    np.testing.assert_allclose(reverse, derivatives.sum(), rtol=1e-4)


def test_shares_and_ratios():
    key, size = jax.random.key(8), 20_000
    draws = gammas.beta(key, jnp.float32(2.0), jnp.float32(0.6), (size,))
    assert stats.kstest(np.asarray(draws, np.float64), stats.beta(2.0, 0.6).cdf).pvalue > ALARM
    draws = gammas.dirichlet(key, jnp.array([0.5, 2.0, 4.0], jnp.float32), (size,))
    np.testing.assert_allclose(draws.sum(-1), 1, rtol=1e-5)
    assert stats.kstest(np.asarray(draws[:, 1], np.float64), stats.beta(2.0, 4.5).cdf).pvalue > ALARM
    draws = gammas.student_t(key, jnp.float32(3.0), (size,))
    assert stats.kstest(np.asarray(draws, np.float64), stats.t(3.0).cdf).pvalue > ALARM
