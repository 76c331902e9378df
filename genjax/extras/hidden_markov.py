"""Hidden Markov models with finitely many states and symbols, and their exact inference.

K states, M symbols, T steps: `initial_probs` (K,), `transition_matrix` (K, K) with rows p(next | state),
`emission_matrix` (K, M) with rows p(symbol | state).
Source: Rabiner, *A tutorial on hidden Markov models* (Proc. IEEE 1989), in log space; backward sampling as in
Frühwirth-Schnatter, *Data augmentation and dynamic linear models* (1994).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from genjax.core.const import Size, const, count
from genjax.core.fn import gen
from genjax.core.pytree import Pytree
from genjax.distributions import categorical, special
from genjax.signatures import PyTree


@Pytree.dataclass
class DiscreteHMMTrace(Pytree):
    """States (T,) int32, observations (T,) int, and `log p(states, observations)`."""

    states: Array
    observations: Array
    log_prob: Array


@gen
def discrete_hmm(
    prev_state: ArrayLike, time_index: ArrayLike, initial_probs: Array, transition_matrix: Array, emission_matrix: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """One step of the model: `state ~ initial_probs` at time 0, else `transition_matrix[prev_state]`; `obs` of it.

    Returns the arguments of the next step, for `rejuvenation_smc` or `lax.scan`.
    """
    logits = jnp.where(time_index == 0, jnp.log(initial_probs), jnp.log(transition_matrix)[prev_state])
    state = categorical(logits) @ "state"
    categorical(jnp.log(emission_matrix)[state]) @ "obs"
    return state, time_index + 1, initial_probs, transition_matrix, emission_matrix


def forward_filter(
    observations: Array, initial_probs: Array, transition_matrix: Array, emission_matrix: Array
) -> tuple[Array, Array]:
    """`(alpha, log_marginal)`: filtering distributions and the exact likelihood.

    Args:
        observations: (T,) int, T >= 1.
        initial_probs: (K,).
        transition_matrix: (K, K).
        emission_matrix: (K, M).

    Returns:
        alpha (T, K): `log p(state_t | observations up to t)`; log_marginal (): `log p(observations)`, -inf where they
        are impossible, or not symbols. Derivatives in the matrices are right where entries are 0, too; but 0 there
        where an observation has a probability below 1e-30 of that in its likeliest state.

    Raises:
        ValueError: T = 0.
    """
    observations = _sequence(observations, "forward_filter")
    initial_probs, transition_matrix = jnp.asarray(initial_probs), jnp.asarray(transition_matrix)
    likelihoods = _of_symbols(jnp.asarray(emission_matrix), observations)
    alpha, log_marginal, is_lost = _filter_probabilities(likelihoods, initial_probs, transition_matrix)
    if observations.shape[0] == 1:
        # The last bit as by the logarithms, the derivative by the probabilities.
        by_logarithms = jax.nn.logsumexp(jnp.log(initial_probs) + jnp.log(likelihoods[0]))
        rounding = jnp.where(by_logarithms > -jnp.inf, by_logarithms - jnp.where(is_lost, 0, log_marginal), 0)
        log_marginal = log_marginal + jax.lax.stop_gradient(rounding)
    return jax.lax.cond(
        is_lost,
        lambda: _filter_logarithms(likelihoods, initial_probs, transition_matrix),
        lambda: (alpha, log_marginal),
    )


def _update(predicted: Array, likelihood: Array) -> tuple[Array, Array]:
    joint = predicted * likelihood
    evidence = jnp.sum(joint)
    # After an impossible observation every state has probability 0; 0 / 0 would be NaN. So after one that is lost.
    is_found = evidence >= _least_evidence(evidence.dtype)
    return jnp.where(is_found, special.over(joint, jnp.where(is_found, evidence, 1)), 0), evidence


def _least_evidence(dtype: DTypeLike) -> float:
    """Below it, what has underflowed may be a part of a sum; 8e-31 in float32."""
    return 2.0**26 * float(jnp.finfo(dtype).tiny)


def _filter_probabilities(
    likelihoods: Array, initial_probs: Array, transition_matrix: Array
) -> tuple[Array, Array, Array]:
    """`(alpha, log_marginal, is_lost)`, whose derivatives are right where entries are 0: those of logarithms are not.

    `is_lost`: some evidence, over the largest likelihood of its step, is so small that numbers may have underflowed.
    """
    largest = jax.lax.stop_gradient(likelihoods.max(-1))
    largest = jnp.where(largest > 0, largest, 1)

    def step(filtered: Array, likelihood: Array) -> tuple[Array, tuple[Array, Array]]:
        predicted = jnp.matmul(filtered, transition_matrix, precision=jax.lax.Precision.HIGHEST)
        filtered, evidence = _update(predicted, likelihood)
        return filtered, (filtered, evidence)

    scaled = likelihoods / largest[:, None]
    first, evidence = _update(initial_probs, scaled[0])
    _, (rest, evidences) = jax.lax.scan(step, first, scaled[1:])
    evidences = jnp.concatenate([evidence[None], evidences])
    is_lost = jnp.any(evidences < _least_evidence(evidences.dtype))
    log_marginal = jnp.sum(special.log(evidences) + jnp.log(largest))
    return special.log(jnp.concatenate([first[None], rest])), log_marginal, is_lost


def _filter_logarithms(likelihoods: Array, initial_probs: Array, transition_matrix: Array) -> tuple[Array, Array]:
    """`(alpha, log_marginal)` where probabilities underflow; derivatives in entries that are 0 are 0."""
    log_transition, log_likelihoods = special.log(transition_matrix), special.log(likelihoods)

    def update(log_predicted: Array, log_likelihood: Array) -> tuple[Array, Array]:
        log_joint = log_predicted + log_likelihood
        log_evidence = special.log_sum(log_joint)
        return log_joint - jnp.where(log_evidence > -jnp.inf, log_evidence, 0), log_evidence

    def step(alpha: Array, log_likelihood: Array) -> tuple[Array, tuple[Array, Array]]:
        alpha, log_evidence = update(special.log_sum((alpha[:, None] + log_transition).T), log_likelihood)
        return alpha, (alpha, log_evidence)

    first, log_evidence = update(special.log(initial_probs), log_likelihoods[0])
    _, (rest, log_evidences) = jax.lax.scan(step, first, log_likelihoods[1:])
    return jnp.concatenate([first[None], rest]), log_evidence + jnp.sum(log_evidences)


def _of_symbols(emission_matrix: Array, observations: Array) -> Array:
    """(T, K): the probability of each observation in each state; 0 for what is not one of the symbols."""
    is_symbol = (observations >= 0) & (observations < emission_matrix.shape[1])
    index = jnp.where(is_symbol, observations, 0).astype(jnp.int32)
    return jnp.where(is_symbol[:, None], emission_matrix.T[index], 0)


def backward_sample(alpha: Array, transition_matrix: Array) -> Array:
    """A draw of all states given all observations: (T,) int32. Needs `seed` when T > 1.

    The last is drawn from `alpha[T-1]`, then `p(state_t | state_{t+1}, observations up to t)`, which is proportional to
    `alpha_t(state_t) transition_matrix[state_t, state_{t+1}]`.

    Args:
        alpha: (T, K) from `forward_filter`, T >= 1.
        transition_matrix: (K, K).

    Raises:
        ValueError: T = 0, or a matrix of another number of states.
    """
    alpha, transition_matrix = jnp.asarray(alpha), jnp.asarray(transition_matrix)
    n_states = transition_matrix.shape[0] if transition_matrix.ndim else 0
    if transition_matrix.shape != (n_states, n_states) or alpha.shape[1:] != (n_states,) or alpha.shape[0] == 0:
        raise ValueError(
            f"backward_sample() got alpha of shape {alpha.shape} and transition_matrix of shape "
            f"{transition_matrix.shape}. Shapes must be (T, K), as from forward_filter, and (K, K), with T >= 1."
        )
    log_transition = jnp.log(transition_matrix)

    def step(following: Array, alpha: Array) -> tuple[Array, Array]:
        state = categorical.sample(alpha + log_transition[:, following])
        return state, state

    last = categorical.sample(alpha[-1])
    if alpha.shape[0] == 1:
        return last[None]
    _, states = jax.lax.scan(step, last, alpha[:-1], reverse=True)
    return jnp.concatenate([states, last[None]])


def forward_filtering_backward_sampling(
    observations: Array, initial_probs: Array, transition_matrix: Array, emission_matrix: Array
) -> DiscreteHMMTrace:
    """An exact draw from `p(states | observations)`. Needs `seed` when T > 1.

    Args:
        observations: (T,) int, T >= 1.
        initial_probs: (K,) float.
        transition_matrix: (K, K) float, rows p(next | state).
        emission_matrix: (K, M) float, rows p(symbol | state).

    Returns:
        The drawn states (T,) int32, the observations, and `log_prob = log p(states, observations)`.

    Raises:
        ValueError: T = 0.
    """
    alpha, _ = forward_filter(observations, initial_probs, transition_matrix, emission_matrix)
    states = backward_sample(alpha, transition_matrix)
    log_prob = compute_sequence_log_prob(states, observations, initial_probs, transition_matrix, emission_matrix)
    return DiscreteHMMTrace(states, observations, log_prob)


def compute_sequence_log_prob(
    states: Array, observations: Array, initial_probs: Array, transition_matrix: Array, emission_matrix: Array
) -> Array:
    """`log p(states, observations)`, (): added up in the order of time, transition before emission.

    Args:
        states: (T,) int, T >= 1.
        observations: (T,) int.
        initial_probs: (K,) float.
        transition_matrix: (K, K) float, rows p(next | state).
        emission_matrix: (K, M) float, rows p(symbol | state).

    Raises:
        ValueError: T = 0, or states and observations of different length.
    """
    states, observations = _sequence(states, "compute_sequence_log_prob"), jnp.asarray(observations)
    if observations.shape != states.shape:
        raise ValueError(f"States of shape {states.shape} and observations of shape {observations.shape} do not agree.")
    log_transition, log_emission = jnp.log(transition_matrix), jnp.log(emission_matrix)

    def step(log_prob: Array, pair: tuple[Array, Array, Array]) -> tuple[Array, None]:
        previous, state, observation = pair
        return (log_prob + log_transition[previous, state]) + log_emission[state, observation], None

    first = jnp.log(initial_probs)[states[0]] + log_emission[states[0], observations[0]]
    if states.shape[0] == 1:
        return first
    return jax.lax.scan(step, first, (states[:-1], states[1:], observations[1:]))[0]


# Data sets


def sample_hmm_dataset(
    initial_probs: Array,
    transition_matrix: Array,
    emission_matrix: Array,
    T: Size,
    K: Size = const(1),  # noqa: B008
) -> tuple[Array, Array, dict[str, Array]]:
    """`(states, observations, {"obs": observations})`, drawn from the model: (T,) int32, or (K, T) for K > 1 sequences.

    Needs `seed` when T > 1.

    Args:
        initial_probs: (K,) float.
        transition_matrix: (K, K) float, rows p(next | state).
        emission_matrix: (K, M) float, rows p(symbol | state).
        T: length of a sequence, int or `Const`, at least 1.
        K: number of independent sequences, int or `Const`.

    Raises:
        ValueError: T or K is less than 1.
    """
    n_steps, n_sequences = count(T, "T", least=1), count(K, "K", least=1)
    log_transition, log_emission = jnp.log(transition_matrix), jnp.log(emission_matrix)
    shape = () if n_sequences == 1 else (n_sequences,)

    def step(state: Array, _: None) -> tuple[Array, Array]:
        state = categorical.sample(log_transition[state])
        return state, state

    states = categorical.sample(jnp.log(initial_probs), sample_shape=shape)[None]
    if n_steps > 1:
        states = jnp.concatenate([states, jax.lax.scan(step, states[0], None, length=n_steps - 1)[1]])
    states = jnp.moveaxis(states, 0, -1)
    observations = categorical.sample(log_emission[states])
    return states, observations, {"obs": observations}


def discrete_hmm_test_dataset(
    initial_probs: Array, transition_matrix: Array, emission_matrix: Array, T: Size
) -> dict[str, Array]:
    """`{"z": states, "obs": observations}`, each (T,) int32, drawn from the model. Needs `seed` when T > 1.

    Args:
        initial_probs: (K,) float.
        transition_matrix: (K, K) float, rows p(next | state).
        emission_matrix: (K, M) float, rows p(symbol | state).
        T: number of steps, int or `Const`, at least 1.
    """
    states, observations, _ = sample_hmm_dataset(initial_probs, transition_matrix, emission_matrix, T)
    return {"z": states, "obs": observations}


def discrete_hmm_exact_log_marginal(
    observations: Array, initial_probs: Array, transition_matrix: Array, emission_matrix: Array
) -> Array:
    """`log p(observations)`, () float: the second result of `forward_filter`.

    Args:
        observations: (T,) int, T >= 1.
        initial_probs: (K,) float.
        transition_matrix: (K, K) float, rows p(next | state).
        emission_matrix: (K, M) float, rows p(symbol | state).
    """
    return forward_filter(observations, initial_probs, transition_matrix, emission_matrix)[1]


def discrete_hmm_inference_problem(
    initial_probs: Array, transition_matrix: Array, emission_matrix: Array, T: Size
) -> tuple[dict[str, Array], Array]:
    """`(data set, log p(its observations))`: a problem with its exact answer. Needs `seed` when T > 1.

    Args:
        initial_probs: (K,) float.
        transition_matrix: (K, K) float, rows p(next | state).
        emission_matrix: (K, M) float, rows p(symbol | state).
        T: number of steps, int or `Const`, at least 1.

    Returns:
        What `discrete_hmm_test_dataset` returns, and `log p(observations)`, () float.
    """
    dataset = discrete_hmm_test_dataset(initial_probs, transition_matrix, emission_matrix, T)
    model = (initial_probs, transition_matrix, emission_matrix)
    return dataset, discrete_hmm_exact_log_marginal(dataset["obs"], *model)


sample_hmm_dataset.__static_parameters__ = ("T", "K")  # type: ignore[attr-defined]
discrete_hmm_test_dataset.__static_parameters__ = ("T",)  # type: ignore[attr-defined]
discrete_hmm_inference_problem.__static_parameters__ = ("T",)  # type: ignore[attr-defined]


def _sequence(values: PyTree, what: str) -> Array:
    values = jnp.asarray(values)
    if values.ndim != 1 or values.shape[0] == 0:
        raise ValueError(f"{what}() takes one sequence of at least one step, shape (T,), got shape {values.shape}.")
    return values
