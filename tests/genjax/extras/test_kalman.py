"""Linear Gaussian models against the dense joint normal in float64, and the bit-level pins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import const, seed
from genjax.extras.state_space import (
    kalman_filter,
    kalman_smoother,
    linear_gaussian,
    linear_gaussian_exact_log_marginal,
    linear_gaussian_inference_problem,
    linear_gaussian_test_dataset,
    sample_linear_gaussian_dataset,
)

MODEL = (
    jnp.array([0.5, -0.5]),
    jnp.array([[1.0, 0.3], [0.3, 0.5]]),
    jnp.array([[0.9, 0.2], [-0.1, 0.8]]),
    jnp.array([[0.3, 0.1], [0.1, 0.2]]),
    jnp.array([[1.0, 0.5]]),
    jnp.array([[0.4]]),
)
OBSERVATIONS = jnp.array([[0.3], [1.0], [-0.4], [0.8], [0.1], [2.0]])


TWO_SENSORS = (*MODEL[:4], jnp.array([[1.0, 0.0], [0.5, 1.0]]), jnp.array([[0.3, 0.1], [0.1, 0.4]]))


def joint(n_steps, model=MODEL):
    """Mean and covariance of all states, and the map and noise of all observations."""
    mean, covariance, A, Q, C, R = (np.asarray(a, np.float64) for a in model)
    d = len(mean)
    means, blocks = [mean], [[covariance]]
    for _ in range(1, n_steps):
        means.append(A @ means[-1])
        row = [A @ block for block in blocks[-1]]
        marginal = A @ blocks[-1][-1] @ A.T + Q
        blocks.append([*row, marginal])
    full = np.zeros((n_steps * d, n_steps * d))
    for i in range(n_steps):
        for j in range(i + 1):
            full[i * d : (i + 1) * d, j * d : (j + 1) * d] = blocks[i][j]
            full[j * d : (j + 1) * d, i * d : (i + 1) * d] = blocks[i][j].T
    return np.concatenate(means), full, np.kron(np.eye(n_steps), C), np.kron(np.eye(n_steps), R)


def posterior(observations, n_seen, model=MODEL):
    """Exact means (T, d) and covariances (T, d, d) given the first n_seen observations, and their log density."""
    y = np.asarray(observations, np.float64)
    n_steps, d = len(y), np.asarray(model[0]).shape[0]
    mean, covariance, H, noise = joint(n_steps, model)
    rows = slice(0, n_seen * y.shape[1])
    H, noise, y = H[rows], noise[rows, rows], y.reshape(-1)[rows]
    S = H @ covariance @ H.T + noise
    gain = covariance @ H.T @ np.linalg.pinv(S)
    means = (mean + gain @ (y - H @ mean)).reshape(n_steps, d)
    full = covariance - gain @ S @ gain.T
    covariances = np.stack([full[i * d : (i + 1) * d, i * d : (i + 1) * d] for i in range(n_steps)])
    return means, covariances, stats.multivariate_normal(H @ mean, S, allow_singular=True).logpdf(y)


@pytest.mark.parametrize("n_steps", [1, 2, 6])
@pytest.mark.parametrize("compiled", [False, True])
def test_filter_against_the_joint_normal(n_steps, compiled):
    run = jax.jit(kalman_filter) if compiled else kalman_filter
    means, covariances, log_marginal = run(OBSERVATIONS[:n_steps], *MODEL)
    for t in range(n_steps):
        exact_means, exact_covariances, log_density = posterior(OBSERVATIONS[:n_steps], t + 1)
        np.testing.assert_allclose(means[t], exact_means[t], atol=2e-6)
        np.testing.assert_allclose(covariances[t], exact_covariances[t], atol=2e-6)
    assert log_marginal == pytest.approx(log_density, rel=1e-6)
    assert linear_gaussian_exact_log_marginal(OBSERVATIONS[:n_steps], *MODEL) == pytest.approx(log_density, rel=1e-6)


@pytest.mark.parametrize("n_steps", [1, 2, 6])
def test_smoother_against_the_joint_normal(n_steps):
    means, covariances = kalman_smoother(OBSERVATIONS[:n_steps], *MODEL)
    exact_means, exact_covariances, _ = posterior(OBSERVATIONS[:n_steps], n_steps)
    np.testing.assert_allclose(means, exact_means, atol=3e-6)
    np.testing.assert_allclose(covariances, exact_covariances, atol=3e-6)
    assert np.all(np.linalg.eigvalsh(np.asarray(covariances)) >= 0)
    filtered_means, filtered_covariances, _ = kalman_filter(OBSERVATIONS[:n_steps], *MODEL)
    assert np.array_equal(means[-1], filtered_means[-1])
    assert np.array_equal(covariances[-1], filtered_covariances[-1])


def test_one_step_is_bit_identical():
    mean, covariance, _, _, C, R = MODEL
    innovation = OBSERVATIONS[0] - C @ mean
    exact = jax.scipy.stats.multivariate_normal.logpdf(innovation, jnp.zeros(1), C @ covariance @ C.T + R)
    assert abs(float(kalman_filter(OBSERVATIONS[:1], *MODEL)[2]) - float(exact)) <= 1e-15


def test_two_steps_by_hand():
    one = jnp.eye(1)
    means, covariances, _ = kalman_filter(jnp.array([[1.0], [2.0]]), jnp.zeros(1), one, one, one, one, one)
    np.testing.assert_allclose(means[:, 0], [0.5, 1.4], atol=1e-6)
    np.testing.assert_allclose(covariances[:, 0, 0], [0.5, 0.6], atol=1e-6)


def test_tiny_noise():
    model = (*MODEL[:3], 1e-6 * jnp.eye(2), jnp.eye(2), 1e-6 * jnp.eye(2))
    observations = jnp.array([[0.2, 0.1], [0.2, 0.07], [0.19, 0.04]])
    means, covariances, log_marginal = kalman_filter(observations, *model)
    exact_means, exact_covariances, log_density = posterior(observations, 3, model)
    np.testing.assert_allclose(means[-1], exact_means[-1], rtol=1e-4)
    np.testing.assert_allclose(covariances[-1], exact_covariances[-1], rtol=1e-3, atol=1e-9)
    assert log_marginal == pytest.approx(log_density, rel=1e-4)


def test_states_without_noise_are_exact_too():
    # A known start, a second coordinate that never moves: predictions are singular.
    model = (
        jnp.array([1.0, 2.0]), jnp.zeros((2, 2)), jnp.eye(2), jnp.diag(jnp.array([0.5, 0.0])), jnp.eye(2), jnp.eye(2)
    )  # fmt: skip
    observations = jnp.array([[0.5, 2.5], [1.5, 1.0], [2.0, 2.0]])
    means, covariances = kalman_smoother(observations, *model)
    exact_means, exact_covariances, log_density = posterior(observations, 3, model)
    np.testing.assert_allclose(means, exact_means, atol=1e-5)
    np.testing.assert_allclose(covariances, exact_covariances, atol=1e-5)
    assert kalman_filter(observations, *model)[2] == pytest.approx(log_density, rel=1e-5)
    states, seen, _ = seed(sample_linear_gaussian_dataset)(jax.random.key(0), *model, 5)
    assert (
        np.all(np.isfinite(seen)) and np.all(np.asarray(states[:, 1]) == 2) and np.all(np.asarray(states[0]) == (1, 2))
    )


def test_a_singular_innovation_covariance_is_refused_or_flagged():
    twice = (*MODEL[:4], jnp.ones((2, 2)), jnp.zeros((2, 2)))
    observations = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="not positive definite"):
        kalman_filter(observations, *twice)
    assert jnp.isnan(jax.jit(kalman_filter)(observations, *twice)[2])


@pytest.mark.parametrize("compiled", [False, True])
def test_missing_observations_are_left_out(compiled):
    mean, covariance, H, noise = joint(3, TWO_SENSORS)
    observations = np.array([[0.4, np.nan], [np.nan, np.nan], [0.9, -0.3]], np.float32)
    seen = np.flatnonzero(~np.isnan(observations.reshape(-1)))
    S = (H @ covariance @ H.T + noise)[np.ix_(seen, seen)]
    y = observations.reshape(-1)[seen]
    gain = covariance @ H[seen].T @ np.linalg.inv(S)
    exact = mean + gain @ (y - H[seen] @ mean)
    exact_covariance = covariance - gain @ H[seen] @ covariance
    run_filter, run_smoother = (jax.jit(f) if compiled else f for f in (kalman_filter, kalman_smoother))
    means, covariances = run_smoother(jnp.asarray(observations), *TWO_SENSORS)
    np.testing.assert_allclose(np.ravel(means), exact, atol=1e-5)
    for t in range(3):
        block = exact_covariance[2 * t : 2 * t + 2, 2 * t : 2 * t + 2]
        np.testing.assert_allclose(covariances[t], block, atol=1e-5)
    log_marginal = run_filter(jnp.asarray(observations), *TWO_SENSORS)[2]
    want = stats.multivariate_normal(H[seen] @ mean, S).logpdf(y)
    assert float(log_marginal) == pytest.approx(want, abs=1e-5)
    gradients = jax.grad(lambda *model: kalman_filter(jnp.asarray(observations), *model)[2], tuple(range(6)))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients(*TWO_SENSORS)))


def test_gradients_without_any_noise():
    """A position seen exactly, of constant speed: two steps tell the state, and the gradients are finite."""
    steady, none = jnp.array([[1.0, 1.0], [0.0, 1.0]]), jnp.zeros((2, 2))
    model = (jnp.zeros(2), jnp.eye(2), steady, none, jnp.array([[1.0, 0.0]]), none[:1, :1])
    observations = jnp.array([[1.0], [1.5]])

    def joint_log_density(mean, covariance, A, Q, C, R):
        H = jnp.concatenate([C, C @ A])
        S = H @ covariance @ H.T + jnp.diag(jnp.array([0.0, 1.0])) * (C @ Q @ C.T) + R * jnp.eye(2)
        return jax.scipy.stats.multivariate_normal.logpdf(observations[:, 0], H @ mean, S)

    value = lambda *model: kalman_filter(observations, *model)[2]
    places = tuple(range(6))
    assert float(value(*model)) == pytest.approx(float(joint_log_density(*model)), rel=1e-5)
    want = jax.grad(joint_log_density, places)(*model)
    lanes = tuple(array[None] for array in model)
    for got in (jax.grad(value, places)(*model), jax.vmap(jax.grad(value, places))(*lanes)):
        # Covariances are symmetric: only the symmetric part of their gradients is defined.
        for place, (g, w) in enumerate(zip(got, want, strict=True)):
            g = g.reshape(w.shape)
            symmetric = (lambda m: m + m.T) if place in (1, 3, 5) else (lambda m: m)
            np.testing.assert_allclose(symmetric(g), symmetric(w), rtol=1e-4, atol=1e-4)
    smoothed = jax.grad(lambda *model: sum(jnp.sum(part) for part in kalman_smoother(observations, *model)), places)
    assert all(np.isfinite(g).all() for g in (*smoothed(*model), *jax.vmap(smoothed)(*lanes)))


def test_data_sets_have_the_moments_of_the_model():
    # 4000 sequences; means and covariances at 5 standard errors: 100 comparisons, 6e-5 false alarms.
    run = jax.jit(lambda key: seed(sample_linear_gaussian_dataset)(key, *MODEL, const(3), const(4000)))
    states, observations, constraints = run(jax.random.key(0))
    assert states.shape == (4000, 3, 2) and observations.shape == (4000, 3, 1)
    assert np.array_equal(constraints["obs"], observations)
    mean, covariance, H, noise = joint(3)
    exact_mean = np.concatenate([mean, H @ mean])
    exact = np.block([[covariance, covariance @ H.T], [H @ covariance, H @ covariance @ H.T + noise]])
    flat = np.concatenate([np.asarray(a, np.float64).reshape(4000, -1) for a in (states, observations)], 1)
    scale = np.sqrt(np.diag(exact))
    assert np.all(np.abs(flat.mean(0) - exact_mean) < 5 * scale / np.sqrt(4000))
    error = np.abs(np.cov(flat.T) - exact)
    assert np.all(error < 5 * np.sqrt((np.outer(scale, scale) ** 2 + exact**2) / 4000))


def test_data_set_shapes_and_the_inference_problem():
    key = jax.random.key(0)
    for T, K, shape in [(1, 1, (1,)), (4, 2, (2, 4))]:
        states, observations, _ = seed(sample_linear_gaussian_dataset)(key, *MODEL, T, K)
        assert states.shape == (*shape, 2) and observations.shape == (*shape, 1)
    assert seed(linear_gaussian_test_dataset)(key, *MODEL, 4)["z"].shape == (4, 2)
    dataset, log_marginal = seed(linear_gaussian_inference_problem)(key, *MODEL, const(5))
    assert dataset["obs"].shape == (5, 1)
    again = jax.jit(linear_gaussian_exact_log_marginal)(dataset["obs"], *MODEL)
    assert again == pytest.approx(float(log_marginal), abs=1e-6)


def test_model_density_of_a_step_with_a_scalar_observation():
    mean, covariance, A, Q, C, R = (np.asarray(a, np.float64) for a in MODEL)
    state, previous = jnp.array([0.1, 0.4]), jnp.array([1.0, -1.0])
    choices = {"state": state, "obs": 0.7}
    log_obs = stats.multivariate_normal(C @ np.asarray(state), R).logpdf(0.7)
    first, retval = linear_gaussian.assess(choices, previous, jnp.array(0), *MODEL)
    assert first == pytest.approx(stats.multivariate_normal(mean, covariance).logpdf(state) + log_obs, rel=1e-5)
    assert np.array_equal(retval[0], state) and retval[1] == 1
    later, _ = linear_gaussian.assess(choices, previous, jnp.array(2), *MODEL)
    exact = stats.multivariate_normal(A @ np.asarray(previous), Q).logpdf(state) + log_obs
    assert later == pytest.approx(exact, rel=1e-5)


def test_bad_input():
    with pytest.raises(ValueError, match="at least one step"):
        kalman_filter(jnp.zeros((0, 1)), *MODEL)
    with pytest.raises(ValueError, match=r"shape \(T, 1\), got shape \(6, 2\)"):
        kalman_smoother(jnp.zeros((6, 2)), *MODEL)
    with pytest.raises(ValueError, match="Shapes must be"):
        kalman_filter(OBSERVATIONS, *MODEL[:2], jnp.eye(3), *MODEL[3:])
    with pytest.raises(ValueError, match="T must be at least 1"):
        sample_linear_gaussian_dataset(*MODEL, 0)
