"""Discrete hidden Markov models against enumeration of all state sequences, and the bit-level pins."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from genjax import const, seed
from genjax.extras.state_space import (
    backward_sample,
    compute_sequence_log_prob,
    discrete_hmm,
    discrete_hmm_exact_log_marginal,
    discrete_hmm_inference_problem,
    discrete_hmm_test_dataset,
    forward_filter,
    forward_filtering_backward_sampling,
    sample_hmm_dataset,
)

TABLES = (
    jnp.array([0.6, 0.3, 0.1]),
    jnp.array([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.1, 0.1, 0.8]]),
    jnp.array([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]),
)
GOLDEN = (jnp.array([0.6, 0.4]), jnp.array([[0.7, 0.3], [0.4, 0.6]]), jnp.array([[0.9, 0.1], [0.2, 0.8]]))
OBSERVATIONS = jnp.array([0, 1, 1, 0])


def enumerate_paths(observations, tables=TABLES):
    initial, transition, emission = (np.asarray(t, np.float64) for t in tables)
    observations = np.asarray(observations)
    paths = np.array(list(itertools.product(range(len(initial)), repeat=len(observations))))
    log_joint = np.log(initial[paths[:, 0]]) + np.log(emission[paths, observations]).sum(1)
    return paths, log_joint + np.log(transition[paths[:, :-1], paths[:, 1:]]).sum(1)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_forward_filter_against_enumeration(n_steps):
    alpha, log_marginal = forward_filter(OBSERVATIONS[:n_steps], *TABLES)
    assert log_marginal == pytest.approx(logsumexp(enumerate_paths(OBSERVATIONS[:n_steps])[1]), rel=1e-6)
    for t in range(n_steps):
        paths, log_joint = enumerate_paths(OBSERVATIONS[: t + 1])
        exact = [logsumexp(log_joint[paths[:, -1] == k]) for k in range(3)] - logsumexp(log_joint)
        np.testing.assert_allclose(alpha[t], exact, atol=2e-6)
    jitted = jax.jit(forward_filter)(OBSERVATIONS[:n_steps], *TABLES)[1]
    assert jitted == pytest.approx(float(log_marginal), rel=1e-6)
    assert discrete_hmm_exact_log_marginal(OBSERVATIONS[:n_steps], *TABLES) == log_marginal


def test_golden_values():
    alpha, log_marginal = forward_filter(jnp.array([0, 1, 0]), *GOLDEN)
    assert log_marginal == pytest.approx(-2.21705, abs=1e-5)
    np.testing.assert_allclose(alpha, [[-0.13815, -2.04769], [-1.62876, -0.21837], [-0.23276, -1.57187]], atol=1e-5)
    zero = jnp.array([0])
    assert compute_sequence_log_prob(zero, zero, *GOLDEN) == pytest.approx(-0.61618614, abs=1e-7)


def test_one_step_is_bit_identical():
    initial, _, emission = TABLES
    for symbol in (0, 1):
        exact = jax.scipy.special.logsumexp(jnp.log(initial) + jnp.log(emission[:, symbol]))
        for run in (forward_filter, jax.jit(forward_filter)):
            assert abs(float(run(jnp.array([symbol]), *TABLES)[1]) - float(exact)) <= 1e-15


def test_sequence_log_prob_is_bit_identical_in_the_order_of_time():
    initial, transition, emission = TABLES
    run = jax.jit(compute_sequence_log_prob)
    for s0, s1, y0, y1 in itertools.product(range(3), range(3), range(2), range(2)):
        exact = jnp.log(initial[s0]) + jnp.log(emission[s0, y0])
        exact = exact + jnp.log(transition[s0, s1])
        exact = exact + jnp.log(emission[s1, y1])
        assert abs(float(run(jnp.array([s0, s1]), jnp.array([y0, y1]), *TABLES)) - float(exact)) <= 1e-15


def test_sequence_log_prob_against_enumeration():
    paths, log_joint = enumerate_paths(OBSERVATIONS)
    got = jax.vmap(lambda states: compute_sequence_log_prob(states, OBSERVATIONS, *TABLES))(jnp.asarray(paths))
    np.testing.assert_allclose(got, log_joint, rtol=1e-5)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_backward_sampling_draws_from_the_exact_posterior(n_steps):
    # Chi-square over the 3 or 27 paths, bound at the 1 - 1e-6 quantile of its distribution.
    observations = OBSERVATIONS[:n_steps]
    keys = jax.random.split(jax.random.key(4), 20_000)
    run = jax.jit(jax.vmap(lambda key: seed(forward_filtering_backward_sampling)(key, observations, *TABLES)))
    states = np.asarray(run(keys).states)
    assert states.shape == (20_000, n_steps) and states.dtype == np.int32
    paths, log_joint = enumerate_paths(observations)
    expected = 20_000 * np.exp(log_joint - logsumexp(log_joint))
    code = 3 ** np.arange(n_steps)[::-1]
    observed = np.bincount(states @ code, minlength=3**n_steps)
    bound = {2: 27.6, 26: 85.0}[3**n_steps - 1]
    assert np.sum((observed - expected) ** 2 / expected) < bound


def test_sampled_log_prob_is_that_of_the_sequence():
    run = jax.jit(lambda key: seed(forward_filtering_backward_sampling)(key, OBSERVATIONS, *TABLES))
    for i in range(5):
        trace = run(jax.random.key(i))
        log_prob = jax.jit(compute_sequence_log_prob)(trace.states, OBSERVATIONS, *TABLES)
        assert abs(float(trace.log_prob) - float(log_prob)) <= 1e-10
    alpha, _ = forward_filter(OBSERVATIONS, *TABLES)
    assert seed(backward_sample)(jax.random.key(0), alpha, TABLES[1]).shape == (4,)


def test_impossible_observations_have_probability_zero_and_no_nan():
    emission = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    alpha, log_marginal = forward_filter(OBSERVATIONS, *TABLES[:2], emission)
    assert log_marginal == -jnp.inf
    assert not np.any(np.isnan(alpha))


LEFT_TO_RIGHT = (
    jnp.array([1.0, 0.0, 0.0]),
    jnp.array([[0.7, 0.3, 0.0], [0.0, 0.6, 0.4], [0.0, 0.0, 1.0]]),
    jnp.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]]),
)


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_gradients_at_zero_probabilities_are_those_of_the_sum_over_paths(n_steps):
    """Entries that are 0 have derivatives, the sum over the paths that they forbid; also in lanes."""
    observations = jnp.array([0, 1, 1, 1])[:n_steps]
    paths = np.array(list(itertools.product(range(3), repeat=n_steps)))

    def by_paths(initial_probs, transition_matrix, emission_matrix):
        probability = initial_probs[paths[:, 0]] * emission_matrix[paths, observations].prod(1)
        return jnp.log((probability * transition_matrix[paths[:, :-1], paths[:, 1:]].prod(1)).sum())

    value = lambda *tables: forward_filter(observations, *tables)[1]
    np.testing.assert_allclose(value(*LEFT_TO_RIGHT), by_paths(*LEFT_TO_RIGHT), rtol=1e-5)
    want = jax.grad(by_paths, (0, 1, 2))(*LEFT_TO_RIGHT)
    gradient = jax.grad(value, (0, 1, 2))
    for got in (gradient(*LEFT_TO_RIGHT), jax.vmap(gradient)(*(table[None] for table in LEFT_TO_RIGHT))):
        jax.tree.map(lambda g, w: np.testing.assert_allclose(g.reshape(w.shape), w, rtol=1e-4, atol=1e-6), got, want)


def test_probabilities_that_underflow_keep_their_logarithms():
    transition = jnp.array([[1.0, 1e-25, 0.0], [0.0, 1.0, 1e-20], [0.0, 0.0, 1.0]])
    emission = jnp.array([[1.0, 0.0], [1.0, 0.0], [1e-15, 1.0]])
    observations = jnp.array([0, 0, 1, 0])  # through both rare moves, then a rare symbol: 1e-25 1e-20 1e-15
    value = lambda transition: forward_filter(observations, LEFT_TO_RIGHT[0], transition, emission)
    alpha, log_marginal = value(transition)
    assert float(log_marginal) == pytest.approx(-60 * np.log(10), rel=1e-5)
    np.testing.assert_allclose(alpha[1], [0.0, -25 * np.log(10), -np.inf], atol=1e-4)
    gradient = jax.grad(lambda t: value(t)[1])
    for got in (gradient(transition), jax.vmap(gradient)(transition[None])[0]):
        assert np.isfinite(got).all()
        np.testing.assert_allclose(got[0, 1] * 1e-25, 1.0, rtol=1e-4)
    first, log_first = forward_filter(
        jnp.array([1]), jnp.array([1.0, 0.0]), jnp.eye(2), jnp.array([[1, 1e-33], [0, 1]])
    )
    np.testing.assert_allclose([first[0, 0], log_first], [0.0, -33 * np.log(10)], rtol=1e-6)


def test_data_sets_have_the_frequencies_of_the_model():
    # Proportions of 1000 sequences at 5 standard errors: 30 comparisons, 2e-5 false alarms.
    run = jax.jit(lambda key: seed(sample_hmm_dataset)(key, *TABLES, const(10), const(1000)))
    states, observations, constraints = run(jax.random.key(0))
    assert states.shape == observations.shape == (1000, 10)
    assert np.array_equal(constraints["obs"], observations)
    marginal = np.asarray(TABLES[0], np.float64)
    for t in range(10):
        frequency = np.bincount(states[:, t], minlength=3) / 1000
        assert np.all(np.abs(frequency - marginal) < 5 * np.sqrt(marginal * (1 - marginal) / 1000))
        marginal = marginal @ np.asarray(TABLES[1], np.float64)
    ones = np.asarray(observations)[np.asarray(states) == 1]
    assert abs(ones.mean() - 0.7) < 5 * np.sqrt(0.21 / len(ones))


def test_data_set_shapes_and_the_inference_problem():
    key = jax.random.key(1)
    for T, K, shape in [(1, 1, (1,)), (4, 2, (2, 4))]:
        states, observations, _ = seed(sample_hmm_dataset)(key, *TABLES, T, K)
        assert states.shape == observations.shape == shape
    assert set(seed(discrete_hmm_test_dataset)(key, *TABLES, const(6))) == {"z", "obs"}
    dataset, log_marginal = seed(discrete_hmm_inference_problem)(key, *TABLES, const(6))
    assert discrete_hmm_exact_log_marginal(dataset["obs"], *TABLES) == pytest.approx(float(log_marginal), rel=1e-6)


def test_model_density_of_a_step():
    initial, transition, emission = (np.asarray(t) for t in TABLES)
    first, retval = discrete_hmm.assess({"state": 1, "obs": 0}, jnp.array(0), jnp.array(0), *TABLES)
    assert first == pytest.approx(np.log(initial[1]) + np.log(emission[1, 0]), rel=1e-5)
    assert retval[0] == 1 and retval[1] == 1
    later, _ = discrete_hmm.assess({"state": 2, "obs": 1}, jnp.array(1), jnp.array(3), *TABLES)
    assert later == pytest.approx(np.log(transition[1, 2]) + np.log(emission[2, 1]), rel=1e-5)


def test_bad_input():
    empty = jnp.zeros(0, int)
    with pytest.raises(ValueError, match="at least one step"):
        forward_filter(empty, *TABLES)
    with pytest.raises(ValueError, match="at least one step"):
        compute_sequence_log_prob(empty, empty, *TABLES)
    with pytest.raises(ValueError, match="do not agree"):
        compute_sequence_log_prob(jnp.array([0]), OBSERVATIONS, *TABLES)
    with pytest.raises(ValueError, match="T must be at least 1"):
        sample_hmm_dataset(*TABLES, const(0))
    with pytest.raises(ValueError, match=r"alpha of shape \(0, 2\).*T >= 1"):
        backward_sample(jnp.zeros((0, 2)), jnp.eye(2))
    with pytest.raises(ValueError, match=r"transition_matrix of shape \(3, 3\)"):
        backward_sample(jnp.zeros((1, 2)), jnp.eye(3))
