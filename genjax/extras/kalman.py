"""Linear Gaussian state space models, and their exact inference.

    state_0 ~ N(initial_mean, initial_cov),  state_t ~ N(A state_{t-1}, Q),  obs_t ~ N(C state_t, R)

States have d dimensions, observations d_obs: A, Q (d, d), C (d_obs, d), R (d_obs, d_obs).
Source: Kalman, *A new approach to linear filtering and prediction problems* (1960), with Joseph's form of the
covariance update, which keeps it positive; Rauch, Tung and Striebel, *Maximum likelihood estimates of linear dynamic
systems* (1965).
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.const import Size, const, count
from genjax.core.fn import gen
from genjax.core.pytree import Pytree
from genjax.distributions import multivariate_normal, normal
from genjax.signatures import PyTree


@Pytree.dataclass
class LinearGaussianTrace(Pytree):
    """States (T, d), observations (T, d_obs), and `log p(states, observations)`."""

    states: Array
    observations: Array
    log_prob: Array


@gen
def linear_gaussian(
    prev_state: Array,
    time_index: ArrayLike,
    initial_mean: Array,
    initial_cov: Array,
    A: Array,
    Q: Array,
    C: Array,
    R: Array,
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    """One step of the model, choices `state` (d,) and `obs` (d_obs,). Returns the arguments of the next step."""
    is_first = time_index == 0
    mean = jnp.where(is_first, initial_mean, _times(A, prev_state))
    state = multivariate_normal(mean, jnp.where(is_first, initial_cov, Q)) @ "state"
    multivariate_normal(_times(C, state), R) @ "obs"
    return state, time_index + 1, initial_mean, initial_cov, A, Q, C, R


def kalman_filter(
    observations: Array, initial_mean: Array, initial_cov: Array, A: Array, Q: Array, C: Array, R: Array
) -> tuple[Array, Array, Array]:
    """`(means, covariances, log_marginal)`: moments of `p(state_t | observations up to t)` and the exact likelihood.

    The first observation updates the initial distribution directly. Covariances of states may be singular; that of an
    innovation, `C P C^T + R`, may not. Numbers of an observation that are NaN are missing: the likelihood is that of
    the others.

    Args:
        observations: (T, d_obs) float, T >= 1; NaN where missing.
        initial_mean, initial_cov, A, Q, C, R: the model.

    Returns:
        means (T, d), covariances (T, d, d), log_marginal () `= sum_t log N(obs_t; C m_t, C P_t C^T + R)` with the
        predicted m_t, P_t.

    Raises:
        ValueError: T = 0, arrays that do not fit, or a singular innovation covariance. Under `jit` values cannot be
            looked at: there a singular innovation covariance gives a log_marginal of NaN.
    """
    observations = jnp.asarray(observations)
    model = _model("kalman_filter", observations, initial_mean, initial_cov, A, Q, C, R)
    initial_mean, initial_cov, A, Q, C, R = model
    identity = jnp.eye(A.shape[0], dtype=A.dtype)

    def update(mean: Array, covariance: Array, observation: Array) -> tuple[Array, Array, Array]:
        is_seen = ~jnp.isnan(observation)
        innovation, seen_C, seen_R = _seen(is_seen, observation - _times(C, mean), C, R)
        S = _times(_times(seen_C, covariance), seen_C.T) + seen_R
        is_regular = _is_regular(S)
        log_density = jax.scipy.stats.multivariate_normal.logpdf(
            innovation, jnp.zeros_like(innovation), jnp.where(is_regular, S, jnp.eye(S.shape[0], dtype=S.dtype))
        )
        # Missing numbers count as standard normals of value 0.
        log_density = log_density + (~is_seen).sum().astype(S.dtype) * (0.5 * math.log(2 * math.pi))
        gain = _solve_positive(S, _times(seen_C, covariance)).T
        kept = identity - _times(gain, seen_C)
        updated = _times(_times(kept, covariance), kept.T) + _times(_times(gain, seen_R), gain.T)
        log_density = jnp.where(is_regular, log_density, jnp.nan)
        return mean + _times(gain, innovation), 0.5 * (updated + updated.T), log_density

    def step(state: tuple[Array, Array], observation: Array) -> PyTree:
        mean, covariance, log_density = update(*_predict(*state, A, Q), observation)
        return (mean, covariance), (mean, covariance, log_density)

    mean, covariance, log_marginal = update(initial_mean, initial_cov, observations[0])
    means, covariances = mean[None], covariance[None]
    if observations.shape[0] > 1:
        _, (rest, rest_covariances, log_densities) = jax.lax.scan(step, (mean, covariance), observations[1:])
        means = jnp.concatenate([means, rest])
        covariances = jnp.concatenate([covariances, rest_covariances])
        log_marginal = log_marginal + jnp.sum(log_densities)
    _refuse_singular(log_marginal, (observations, *model))
    return means, covariances, log_marginal


def kalman_smoother(
    observations: Array, initial_mean: Array, initial_cov: Array, A: Array, Q: Array, C: Array, R: Array
) -> tuple[Array, Array]:
    """`(means (T, d), covariances (T, d, d))` of `p(state_t | all observations)`, by the RTS recursion.

    With gain `G_t = P_t A^T P_{t+1|t}^+`: `mean_t = m_t + G_t (mean_{t+1} - A m_t)`, and covariances
    `P_t - G_t P_{t+1|t} G_t^T + G_t V_{t+1} G_t^T`. A singular prediction takes the pseudo-inverse, exact then too.

    Args:
        observations: (T, d_obs) float, T >= 1; NaN where missing.
        initial_mean: (d,) float.
        initial_cov: (d, d), positive semidefinite.
        A: (d, d), the transition.
        Q: (d, d), the covariance of its noise.
        C: (d_obs, d), the observation.
        R: (d_obs, d_obs), the covariance of its noise.

    Returns:
        means (T, d) and covariances (T, d, d); those of the last step are the filter's.

    Raises:
        ValueError: as `kalman_filter`.
    """
    means, covariances, _ = kalman_filter(observations, initial_mean, initial_cov, A, Q, C, R)
    if means.shape[0] == 1:
        return means, covariances
    A, Q = jnp.asarray(A), jnp.asarray(Q)

    def step(later: tuple[Array, Array], filtered: tuple[Array, Array]) -> PyTree:
        later_mean, later_covariance = later
        mean, covariance = filtered
        predicted_mean, predicted = _predict(mean, covariance, A, Q)
        gain = _solve_positive(predicted, _times(A, covariance)).T
        # What the future cannot tell, in Joseph's form: a sum of positive terms.
        kept = jnp.eye(A.shape[0], dtype=covariance.dtype) - _times(gain, A)
        left = _times(_times(kept, covariance), kept.T) + _times(_times(gain, Q), gain.T)
        smoothed = left + _times(_times(gain, later_covariance), gain.T)
        result = mean + _times(gain, later_mean - predicted_mean), 0.5 * (smoothed + smoothed.T)
        return result, result

    filtered = (means[:-1], covariances[:-1])
    _, (smoothed_means, smoothed) = jax.lax.scan(step, (means[-1], covariances[-1]), filtered, reverse=True)
    return jnp.concatenate([smoothed_means, means[-1:]]), jnp.concatenate([smoothed, covariances[-1:]])


# Data sets


def sample_linear_gaussian_dataset(
    initial_mean: Array,
    initial_cov: Array,
    A: Array,
    Q: Array,
    C: Array,
    R: Array,
    T: Size,
    K: Size = const(1),  # noqa: B008
) -> tuple[Array, Array, dict[str, Array]]:
    """`(states, observations, {"obs": observations})`: (T, d) and (T, d_obs), or (K, T, ...) for K > 1 sequences.

    Args:
        initial_mean, initial_cov, A, Q, C, R: the model; covariances may be singular.
        T: length of a sequence, int or `Const`, at least 1.
        K: number of independent sequences, int or `Const`.
    """
    n_steps, n_sequences = count(T, "T", least=1), count(K, "K", least=1)
    shape = () if n_sequences == 1 else (n_sequences,)
    initial_mean, initial_cov, A, Q, C, R = map(jnp.asarray, (initial_mean, initial_cov, A, Q, C, R))
    d, d_obs = A.shape[0], C.shape[0]
    noise = normal.sample(jnp.zeros(d), 1.0, sample_shape=(n_steps, *shape))
    observation_noise = normal.sample(jnp.zeros(d_obs), 1.0, sample_shape=(n_steps, *shape))
    first = initial_mean + _times(noise[0], _square_root(initial_cov).T)
    steps = _times(noise[1:], _square_root(Q).T)

    def step(state: Array, noise: Array) -> tuple[Array, Array]:
        state = _times(state, A.T) + noise
        return state, state

    states = jnp.concatenate([first[None], jax.lax.scan(step, first, steps)[1]])
    observations = _times(states, C.T) + _times(observation_noise, _square_root(R).T)
    states, observations = jnp.moveaxis(states, 0, -2), jnp.moveaxis(observations, 0, -2)
    return states, observations, {"obs": observations}


def linear_gaussian_test_dataset(
    initial_mean: Array, initial_cov: Array, A: Array, Q: Array, C: Array, R: Array, T: Size
) -> dict[str, Array]:
    """`{"z": states (T, d), "obs": observations (T, d_obs)}`, drawn from the model. Needs `seed` when T > 1.

    Args:
        initial_mean: (d,) float.
        initial_cov: (d, d), positive semidefinite.
        A: (d, d), the transition.
        Q: (d, d), the covariance of its noise.
        C: (d_obs, d), the observation.
        R: (d_obs, d_obs), the covariance of its noise.
        T: number of steps, int or `Const`, at least 1.
    """
    states, observations, _ = sample_linear_gaussian_dataset(initial_mean, initial_cov, A, Q, C, R, T)
    return {"z": states, "obs": observations}


def linear_gaussian_exact_log_marginal(
    observations: Array, initial_mean: Array, initial_cov: Array, A: Array, Q: Array, C: Array, R: Array
) -> Array:
    """`log p(observations)`, () float: the third result of `kalman_filter`.

    Args:
        observations: (T, d_obs) float, T >= 1.
        initial_mean: (d,) float.
        initial_cov: (d, d), positive semidefinite.
        A: (d, d), the transition.
        Q: (d, d), the covariance of its noise.
        C: (d_obs, d), the observation.
        R: (d_obs, d_obs), the covariance of its noise.
    """
    return kalman_filter(observations, initial_mean, initial_cov, A, Q, C, R)[2]


def linear_gaussian_inference_problem(
    initial_mean: Array, initial_cov: Array, A: Array, Q: Array, C: Array, R: Array, T: Size
) -> tuple[dict[str, Array], Array]:
    """`(data set, log p(its observations))`: a problem with its exact answer. Needs `seed` when T > 1.

    Args:
        initial_mean: (d,) float.
        initial_cov: (d, d), positive semidefinite.
        A: (d, d), the transition.
        Q: (d, d), the covariance of its noise.
        C: (d_obs, d), the observation.
        R: (d_obs, d_obs), the covariance of its noise.
        T: number of steps, int or `Const`, at least 1.

    Returns:
        What `linear_gaussian_test_dataset` returns, and `log p(observations)`, () float.
    """
    model = (initial_mean, initial_cov, A, Q, C, R)
    dataset = linear_gaussian_test_dataset(*model, T)
    return dataset, linear_gaussian_exact_log_marginal(dataset["obs"], *model)


sample_linear_gaussian_dataset.__static_parameters__ = ("T", "K")  # type: ignore[attr-defined]
linear_gaussian_test_dataset.__static_parameters__ = ("T",)  # type: ignore[attr-defined]
linear_gaussian_inference_problem.__static_parameters__ = ("T",)  # type: ignore[attr-defined]


# Matrices


def _times(a: Array, b: Array) -> Array:
    # Full precision: accelerators would otherwise multiply with ten-bit mantissas.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _seen(is_seen: Array, innovation: Array, C: Array, R: Array) -> tuple[Array, Array, Array]:
    """The innovation and the observation's model, where what is not seen is noise of variance 1 and value 0."""
    kept = is_seen[:, None] & is_seen[None, :]
    return (
        jnp.where(is_seen, innovation, 0),
        jnp.where(is_seen[:, None], C, 0),
        jnp.where(kept, R, jnp.eye(R.shape[0], dtype=R.dtype)),
    )


def _predict(mean: Array, covariance: Array, A: Array, Q: Array) -> tuple[Array, Array]:
    return _times(A, mean), _times(_times(A, covariance), A.T) + Q


def _solve_positive(S: Array, b: Array) -> Array:
    """`S^-1 b` for a covariance S; the pseudo-inverse where it is singular."""
    if S.shape[0] == 1:
        return jnp.where(S > 0, b / jnp.where(S > 0, S, 1), 0)
    # Under `vmap` both branches run: each gets a matrix at which it, and its derivative, is finite.
    is_regular, identity = _is_regular(S), jnp.eye(S.shape[0], dtype=S.dtype)
    by_factor = lambda: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(jnp.where(is_regular, S, identity)), True), b)
    by_pseudo_inverse = lambda: _times(jnp.linalg.pinv(jnp.where(is_regular, identity, S), hermitian=True), b)
    return jax.lax.cond(is_regular, by_factor, by_pseudo_inverse)


def _is_regular(S: Array) -> Array:
    """Whether a covariance is positive definite beyond rounding, by what the others leave of each variance."""
    S = jax.lax.stop_gradient(S)
    left = jnp.square(jnp.diagonal(jnp.linalg.cholesky(S)))
    return jnp.all(left > 4 * S.shape[0] * jnp.finfo(S.dtype).eps * jnp.diagonal(S))  # False for NaN


def _square_root(covariance: Array) -> Array:
    """L with `L L^T = covariance`, also where that is singular."""
    factor = jnp.linalg.cholesky(covariance)
    values, vectors = jnp.linalg.eigh(covariance)
    return jnp.where(jnp.all(jnp.isfinite(factor)), factor, vectors * jnp.sqrt(jnp.maximum(values, 0)))


# What is asked of arguments


def _model(what: str, observations: Array, *arrays: ArrayLike) -> tuple[Array, ...]:
    initial_mean, initial_cov, A, Q, C, R = map(jnp.asarray, arrays)
    d, d_obs = initial_mean.shape[-1] if initial_mean.ndim else None, C.shape[0] if C.ndim else None
    given = [array.shape for array in (initial_mean, initial_cov, A, Q, C, R)]
    if given != [(d,), (d, d), (d, d), (d, d), (d_obs, d), (d_obs, d_obs)]:
        names = ("initial_mean", "initial_cov", "A", "Q", "C", "R")
        raise ValueError(
            f"{what}() got {', '.join(f'{n} {s}' for n, s in zip(names, given, strict=True))}. Shapes must be (d,), "
            "(d, d), (d, d), (d, d), (d_obs, d), (d_obs, d_obs)."
        )
    if observations.ndim != 2 or observations.shape[0] == 0 or observations.shape[1] != d_obs:
        raise ValueError(
            f"{what}() takes one sequence of at least one step, shape (T, {d_obs}), got shape {observations.shape}."
        )
    return initial_mean, initial_cov, A, Q, C, R


def _refuse_singular(log_marginal: Array, inputs: tuple[Array, ...]) -> None:
    if any(isinstance(array, jax.core.Tracer) for array in (log_marginal, *inputs)):
        return
    observations, *model = inputs
    is_valid = not bool(jnp.isinf(observations).any()) and all(bool(jnp.all(jnp.isfinite(array))) for array in model)
    if jnp.isnan(log_marginal) and is_valid:
        raise ValueError(
            "kalman_filter() met an innovation covariance C P C^T + R that is not positive definite, so the "
            "observations have no density. Make R positive definite, or leave out redundant observations."
        )
