"""Importance sampling against closed forms and enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import const, flip, gen, normal, seed, strict
from genjax.inference import importance_sampling, log_evidence
from genjax.inference.importance import weighted_trace

N_SEEDS = 64


@gen
def conjugate(prior_mean):
    mu = normal(prior_mean, 1.0) @ "mu"
    normal(mu, 0.5) @ "y"
    return mu


EVIDENCE = stats.norm(0.0, np.sqrt(1.25)).logpdf(1.5)


def assert_unbiased(log_estimates, log_exact, sigmas=4.7):
    """`E[exp(log_estimate)] = exp(log_exact)`; at 4.7 standard errors the false-alarm rate is 2.6e-6 per call."""
    ratios = np.exp(np.asarray(log_estimates, np.float64) - log_exact)
    assert np.all(np.isfinite(ratios))
    assert abs(ratios.mean() - 1) < sigmas * ratios.std(ddof=1) / np.sqrt(len(ratios))


def over_seeds(function, n_seeds=N_SEEDS):
    return jax.jit(jax.vmap(lambda key: seed(function)(key)))(jax.random.split(jax.random.key(7), n_seeds))


def test_evidence_of_a_conjugate_normal():
    assert_unbiased(over_seeds(lambda: log_evidence(conjugate, (0.0,), 500, {"y": 1.5})), EVIDENCE)


@gen
def near_posterior(constraints, prior_mean):
    normal(0.8 * constraints["y"], 0.6) @ "mu"


@gen
def also_proposes_the_observation(constraints, prior_mean):
    y = normal(prior_mean + 1.0, 2.0) @ "y"
    normal(0.5 * y + 0.5, 0.8) @ "mu"


@pytest.mark.parametrize("proposal", [near_posterior, also_proposes_the_observation])
def test_evidence_with_a_proposal(proposal):
    # The second draws an address that is constrained: its draw is thrown away and may not count in the weight.
    estimates = over_seeds(lambda: log_evidence(conjugate, (0.0,), 500, {"y": 1.5}, proposal))
    assert_unbiased(estimates, EVIDENCE)


def test_weight_is_the_ratio_of_densities():
    trace, log_weight = weighted_trace(conjugate, (0.0,), {"y": 1.5}, near_posterior)
    mu = float(trace.get_choices()["mu"])
    exact = stats.norm(0, 1).logpdf(mu) + stats.norm(mu, 0.5).logpdf(1.5) - stats.norm(1.2, 0.6).logpdf(mu)
    assert log_weight == pytest.approx(exact, abs=1e-5)


def test_strict_constraints_reach_a_proposal_as_they_are_written():
    result = importance_sampling(conjugate, (0.0,), 5, strict({"y": 1.5}), near_posterior)
    assert np.all(np.asarray(result.traces["y"]) == 1.5)
    with pytest.raises(ValueError, match="'z'"):
        importance_sampling(conjugate, (0.0,), 5, strict({"y": 1.5, "z": 0.0}), near_posterior)


def test_partial_proposal_leaves_the_rest_to_the_model():
    @gen
    def two(scale):
        a = normal(0.0, scale) @ "a"
        b = normal(a, 1.0) @ "b"
        normal(b, 1.0) @ "y"

    @gen
    def proposes_a(constraints, scale):
        normal(0.5, 1.5) @ "a"

    exact = stats.norm(0, np.sqrt(6.0)).logpdf(1.0)
    assert_unbiased(over_seeds(lambda: log_evidence(two, (2.0,), 400, {"y": 1.0}, proposes_a)), exact)


def test_evidence_of_a_discrete_model_by_enumeration():
    @gen
    def network(p):
        rain = flip(p) @ "rain"
        sprinkler = flip(jnp.where(rain, 0.1, 0.5)) @ "sprinkler"
        flip(jnp.where(rain | sprinkler, 0.9, 0.05)) @ "wet"

    exact = sum(
        (0.2 if r else 0.8) * ((0.1 if r else 0.5) if s else (0.9 if r else 0.5)) * (0.9 if r or s else 0.05)
        for r, s in itertools.product([False, True], repeat=2)
    )
    assert_unbiased(over_seeds(lambda: log_evidence(network, (0.2,), 300, {"wet": True})), np.log(exact))


def test_evidence_of_a_plate_whose_latent_feeds_a_repeat():
    @gen
    def plate(n):
        mu = normal(0.0, 1.0) @ "mu"
        x = normal.repeat(3)(mu, 0.5) @ "x"
        normal.vmap(in_axes=(0, None))(x, 0.5) @ "y"

    ys = np.array([0.3, 0.9, 0.1])
    exact = stats.multivariate_normal(np.zeros(3), np.ones((3, 3)) + 0.5 * np.eye(3)).logpdf(ys)
    result = importance_sampling(plate, (3,), 40, {"y": jnp.asarray(ys)})
    assert result.traces.get_choices()["x"].shape == (40, 3)
    assert_unbiased(over_seeds(lambda: log_evidence(plate, (3,), 2000, {"y": jnp.asarray(ys, jnp.float32)})), exact)


def test_result_and_posterior_draws():
    result = seed(importance_sampling)(
        jax.random.key(0), conjugate, (0.0,), 20_000, {"y": 1.5}, n_draws=5000, method="systematic"
    )
    assert result.log_evidence() == pytest.approx(EVIDENCE, abs=0.03)
    weights = np.exp(np.asarray(result.log_weights, np.float64))
    assert result.effective_sample_size() == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=1e-3)
    draws = np.asarray(result.draws.get_choices()["mu"])
    assert draws.shape == (5000,)
    # The effective sample size is about 7000: 5 standard errors of the mean and of the standard deviation, 1e-6.
    assert abs(draws.mean() - 1.2) < 5 * np.sqrt(0.2 / 5000)
    assert abs(draws.std() - np.sqrt(0.2)) < 5 * np.sqrt(0.2 / 2 / 5000)


@pytest.mark.usefixtures("optimised")
def test_evidence_keeps_no_matrix_of_particles_by_points():
    @gen
    def polynomial(xs):
        a, b, c = (normal(0.0, 1.0) @ name for name in "abc")
        normal.vmap(in_axes=(0, None))(a + b * xs + c * xs**2, 0.3) @ "ys"

    def temporary_bytes(n_points):
        n, xs = 1_000_000, jnp.linspace(-1, 1, n_points)
        evidence = jax.jit(lambda key, ys: seed(log_evidence)(key, polynomial, (xs,), const(n), {"ys": ys}))
        compiled = evidence.lower(jax.random.key(0), jnp.zeros(n_points)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # Per particle three draws, a weight and two words of random bits: 24 bytes. A matrix would take 80 or 800.
    assert temporary_bytes(20) <= 25e6
    assert temporary_bytes(200) <= 25e6


def test_bad_input():
    @gen
    def misspelled(constraints, prior_mean):
        normal(0.0, 1.0) @ "nu"

    with pytest.raises(ValueError, match="'nu'.*The target's addresses: 'mu', 'y'"):
        importance_sampling(conjugate, (0.0,), 10, {"y": 1.5}, misspelled)
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        importance_sampling(conjugate, (0.0,), 0, {"y": 1.5})
    with pytest.raises(TypeError, match="n_samples must be a Python int"):
        importance_sampling(conjugate, (0.0,), 2.5, {"y": 1.5})
    with pytest.raises(TypeError, match=r"n_samples must be a Python int, got a traced value.*const\(n\)"):
        seed(lambda n: log_evidence(conjugate, (0.0,), n, {"y": 1.5}))(jax.random.key(0), 10)
    with pytest.raises(TypeError, match=r"write \(x,\)"):
        importance_sampling(conjugate, 0.0, 10, {"y": 1.5})
