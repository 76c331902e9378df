"""Resampling: unbiased, exact for a million particles, linear in memory, defined for degenerate weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import const, seed
from genjax.inference import ancestral_lineage, effective_sample_size, resample_ancestors, systematic_resample
from genjax.inference.resampling import _by_strata, log_mean_weight, log_normalized_weights, normalized_weights

METHODS = ("categorical", "systematic", "stratified", "residual")
PROBABILITIES = np.array([0.08, 0.27, 0.0, 0.3, 0.35])


def log_weights_of(probabilities):
    with np.errstate(divide="ignore"):
        return jnp.asarray(3.0 + np.log(probabilities), jnp.float32)


def offspring(method, n, n_runs, probabilities=PROBABILITIES):
    """Counts (n_runs, m) of every particle among n draws."""
    log_weights = log_weights_of(probabilities)

    def run(key):
        ancestors = seed(resample_ancestors)(key, log_weights, const(n), const(method))
        return jnp.bincount(ancestors, length=len(probabilities))

    return np.asarray(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), n_runs)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [5, 64])
def test_expected_offspring_are_n_times_weight(method, n):
    # 32 comparisons at 4.7 standard errors: false-alarm rate 32 * 2.6e-6 = 8e-5.
    counts = offspring(method, n, 4000)
    assert np.all(counts.sum(1) == n)
    assert np.all(counts[:, PROBABILITIES == 0] == 0)
    alive = PROBABILITIES > 0
    error = counts.mean(0) - n * PROBABILITIES
    standard_error = np.maximum(counts.std(0) / np.sqrt(len(counts)), 1e-4)  # 1e-4 where counts are all but constant
    assert np.all(np.abs(error[alive]) < 4.7 * standard_error[alive])


def test_systematic_expectation_by_integration_over_its_one_random_number():
    n, grid = 7, 8192
    u = (jnp.arange(grid) + 0.5) / grid
    counts = jax.vmap(lambda u: jnp.bincount(_by_strata(log_weights_of(PROBABILITIES), u, n), length=5))(u)
    np.testing.assert_allclose(np.asarray(counts).mean(0), n * PROBABILITIES, atol=2 / grid)


def test_systematic_and_residual_counts_are_bounded():
    expected = 64 * PROBABILITIES
    systematic = offspring("systematic", 64, 500)
    assert np.all((systematic >= np.floor(expected - 1e-4)) & (systematic <= np.ceil(expected + 1e-4)))
    assert np.all(offspring("residual", 64, 500) >= np.floor(expected - 1e-4))
    assert np.all(np.abs(offspring("stratified", 64, 500) - expected) < 2)


def test_categorical_counts_are_binomial():
    # Chi-square with 3 degrees of freedom beyond 30: false-alarm rate 1.4e-6.
    counts = offspring("categorical", 3, 40_000, np.array([0.3, 0.7]))[:, 0]
    observed = np.bincount(counts, minlength=4)
    expected = stats.binom(3, 0.3).pmf(np.arange(4)) * len(counts)
    assert np.sum((observed - expected) ** 2 / expected) < 30


def test_variances_are_ordered():
    # The variance of 8000 counts has a relative standard error of 1.6%: 6% is 3.7 of them, 2e-4 false alarms.
    variance = {method: offspring(method, 7, 8000).var(0)[1] for method in ("categorical", "residual", "stratified")}
    assert variance["residual"] < 0.9 * variance["categorical"]
    assert variance["stratified"] < 0.9 * variance["categorical"]
    assert variance["categorical"] == pytest.approx(7 * 0.27 * 0.73, rel=0.06)


@pytest.mark.parametrize("method", ["systematic", "stratified", "residual"])
def test_a_million_equal_weights_give_every_particle_one_copy(method):
    # A cumulative sum in float32 loses and doubles particles here.
    ancestors = resample_ancestors(jnp.full(1_000_000, -2.5), None, method)
    assert np.array_equal(ancestors, np.arange(1_000_000))


def test_mass_is_right_among_a_million_particles():
    # Half of the mass in the last tenth. Binomial(1e6, 1/2) has standard deviation 500; 5 of these: 6e-7 false alarms.
    log_weights = jnp.where(jnp.arange(1_000_000) < 900_000, 0.0, jnp.log(9.0))
    for method in METHODS:
        ancestors = np.asarray(seed(resample_ancestors)(jax.random.key(0), log_weights, None, method))
        assert abs(np.sum(ancestors >= 900_000) - 500_000) < 2500
        assert np.all(np.diff(ancestors) >= 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("optimised")
def test_memory_is_linear(method):
    def temporary_bytes(n):
        compiled = jax.jit(lambda key, w: seed(resample_ancestors)(key, w, const(n), const(method)))
        weights = jax.ShapeDtypeStruct((n,), jnp.float32)
        return compiled.lower(jax.random.key(0), weights).compile().memory_analysis().temp_size_in_bytes

    assert temporary_bytes(2**17) < 80 * 2**17  # bytes per particle; an N x N matrix would take 4 * 2^17


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [-jnp.inf, jnp.nan])
def test_all_dead_weights_are_flagged_and_keep_every_particle(method, value):
    log_weights = jnp.full(6, value)
    assert resample_ancestors(log_weights, None, method).tolist() == [0, 1, 2, 3, 4, 5]
    assert log_mean_weight(log_weights) == -jnp.inf
    assert effective_sample_size(log_weights) == 0
    assert np.all(log_normalized_weights(log_weights) == -jnp.inf)
    assert np.all(normalized_weights(log_weights) == 0)


@pytest.mark.parametrize("method", METHODS)
def test_dead_particles_are_never_ancestors(method):
    log_weights = jnp.array([jnp.nan, 0.0, -jnp.inf, -1.0, jnp.nan])
    for _ in range(20):
        assert set(resample_ancestors(log_weights, 9, method).tolist()) <= {1, 3}
    infinite = jnp.array([jnp.inf, 3.0, jnp.inf, jnp.nan])
    assert set(resample_ancestors(infinite, None, method).tolist()) <= {0, 2}
    np.testing.assert_allclose(normalized_weights(infinite), [0.5, 0, 0.5, 0])


def test_effective_sample_size_is_stable():
    assert effective_sample_size(jnp.full(100, -1e30)) == pytest.approx(100)
    assert effective_sample_size(jnp.array([1e4, 0.0, -jnp.inf])) == pytest.approx(1)
    log_weights = np.random.default_rng(0).normal(500, 3, (4, 50))
    weights = np.exp(log_weights - log_weights.max(1, keepdims=True))
    exact = weights.sum(1) ** 2 / (weights**2).sum(1)
    np.testing.assert_allclose(effective_sample_size(jnp.asarray(log_weights, jnp.float32)), exact, rtol=1e-4)


def test_more_or_fewer_draws_than_particles_and_one_particle():
    log_weights = log_weights_of(PROBABILITIES)
    for method in METHODS:
        for n in (1, 100):
            ancestors = resample_ancestors(log_weights, n, method)
            assert ancestors.shape == (n,) and ancestors.dtype == jnp.int32
            assert not np.any(np.asarray(ancestors) == 2)
        assert resample_ancestors(jnp.zeros(1), 3, method).tolist() == [0, 0, 0]
    assert systematic_resample(log_weights, const(3)).shape == (3,)


def test_vmapped_collections_are_resampled_independently():
    log_weights = jnp.broadcast_to(log_weights_of(PROBABILITIES), (50, 5))
    ancestors = np.asarray(jax.vmap(resample_ancestors)(log_weights))
    assert ancestors.shape == (50, 5)
    assert len(np.unique(ancestors, axis=0)) > 10


def test_bad_input():
    with pytest.raises(ValueError, match="Unknown resampling method: 'bootstrap'"):
        resample_ancestors(jnp.zeros(3), None, "bootstrap")
    with pytest.raises(ValueError, match="at least one draw"):
        resample_ancestors(jnp.zeros(3), 0)
    for shape in [(0,), (2, 3), ()]:
        with pytest.raises(ValueError, match="shape"):
            resample_ancestors(jnp.zeros(shape))


def test_ancestral_lineage_against_a_loop():
    rng = np.random.default_rng(3)
    ancestors = rng.integers(0, 6, (5, 6))
    for last in range(6):
        index, expected = last, []
        for row in ancestors[::-1]:
            expected.append(index)
            index = row[index]
        assert ancestral_lineage(jnp.asarray(ancestors), last).tolist() == expected[::-1]
    assert ancestral_lineage(jnp.asarray(ancestors), jnp.arange(6)).shape == (5, 6)
