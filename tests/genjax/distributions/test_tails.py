"""How often rare draws occur, among some ten million. Counts are Poisson; bounds have a false-alarm rate below 1e-5.

`tests/genjax/distributions/test_noise.py` tests the rarest draws one by one.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import beta, categorical, exponential, flip, gamma, geometric, mh, normal, seed, sel, weibull
from genjax import gen as model_of
from genjax.inference.kernels.metropolis import accepts

# Some hundred million draws run for longer than their programs compile.
pytestmark = pytest.mark.usefixtures("optimised")
ALARM = 1e-5


def draws_of(distribution, *args, n, key=0):
    return jax.jit(lambda key: seed(lambda: distribution.sample(*args, sample_shape=(n,)))(key))(jax.random.key(key))


def assert_count(observed, expected):
    assert stats.poisson(expected).ppf(ALARM) <= observed <= stats.poisson(expected).isf(ALARM), (observed, expected)


def test_large_exponentials_are_as_rare_as_they_should_be():
    n = 50_000_000
    draws = draws_of(exponential, 1.0, n=n)
    assert float(draws.max()) < 23  # the largest of these is 17.7 +- 1.3; above 29 with probability 1e-5
    for threshold in (12.0, 14.0, 15.5, 17.0, 20.0):
        assert_count(int((draws > threshold).sum()), n * np.exp(-threshold))
    assert float(draws.min()) > 0


def test_gamma_and_beta_draws_are_as_rare_as_they_should_be():
    n = 30_000_000
    draws = draws_of(gamma, 1.0, 1.0, n=n)
    for threshold in (10.0, 13.0, 14.5, 16.0):
        assert_count(int((draws > threshold).sum()), n * np.exp(-threshold))
    for threshold in (1e-4, 1e-6, 1e-7):
        assert_count(int((draws < threshold).sum()), n * threshold)
    draws = draws_of(beta, 2.0, 1.0, n=n, key=1)
    for threshold in (1e-2, 1e-3):
        assert_count(int((draws < threshold).sum()), n * threshold**2)


def test_the_mean_of_a_heavy_tail():
    """E[W] of weibull(0.1, 1) is 10!; its standard deviation is 1.56e9, of which five standard errors are allowed."""
    draws = np.asarray(draws_of(weibull, 0.1, 1.0, n=1_000_000), np.float64)
    assert abs(draws.mean() - 3_628_800) < 5 * 1.56e9 / np.sqrt(1_000_000) and draws.min() >= np.finfo(np.float32).tiny


def test_small_probabilities():
    n = 67_000_000
    assert int(draws_of(flip, 1e-10, n=n).sum()) == 0  # 0.0067 expected
    assert_count(int(draws_of(flip, 2e-7, n=n, key=1).sum()), 2e-7 * n)
    # Failures before a success of probability 1/2: 24 or more of them have probability 2^-24.
    assert_count(int((draws_of(geometric, None, 0.5, n=n, key=2) >= 24).sum()), n / 2**24)


def test_a_gap_of_seventeen_between_logits_is_crossed():
    n = 122_880
    logits = jnp.where(jnp.arange(2_001) == 0, 0.0, -17.0)
    rare = sum(int((draws_of(categorical, logits, n=n, key=k) != 0).sum()) for k in range(4))
    assert_count(rare, 4 * n * 2_000 * np.exp(-17.0) / (1 + 2_000 * np.exp(-17.0)))
    # By Gumbel noise, in a program per lane: two logits of gap 14.
    lanes = jnp.tile(jnp.array([0.0, -14.0]), (8_000_000, 1))
    rare = jax.jit(seed(lambda: (categorical.sample(lanes) == 1).sum()))(jax.random.key(5))
    assert_count(int(rare), 8_000_000 * np.exp(-14.0))


def test_an_acceptance_that_is_practically_impossible_does_not_happen():
    n = 21_000_000

    accepted = jax.jit(seed(lambda log_alpha: jax.vmap(lambda x: accepts(log_alpha + 0 * x))(jnp.zeros(n)).sum()))
    for log_alpha in (-500_000.0, -60.0, -jnp.inf, jnp.nan):
        assert int(accepted(jax.random.key(1), log_alpha)) == 0
    assert_count(int(accepted(jax.random.key(1), -15.0)), n * np.exp(-15.0))
    assert int(accepted(jax.random.key(1), 0.0)) == n

    @model_of
    def model():
        x = normal(0.0, 1000.0) @ "x"
        normal(x, 0.001) @ "y"

    trace, _ = model.generate({"x": 0.0, "y": 0.0})
    moved = jax.jit(jax.vmap(lambda key: seed(lambda: mh(trace, sel("x")).get_choices()["x"])(key)))
    assert float(jnp.abs(moved(jax.random.split(jax.random.key(2), 1_000_000))).max()) < 1.0
