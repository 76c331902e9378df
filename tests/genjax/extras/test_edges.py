"""Hidden Markov filters and diagnostics where numbers are zero, not symbols, or far from zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import compute_ess, compute_rhat, flip
from genjax.extras import forward_filter

INITIAL = jnp.array([1.0, 0.0, 0.0])
LEFT_TO_RIGHT = jnp.array([[0.6, 0.4, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]])
EMISSION = jnp.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
OBSERVED = jnp.array([0, 1, 1, 2, 2])


def log_marginal_by_enumeration(transition, observed):
    total = 0.0
    for states in np.ndindex(*(3,) * len(observed)):
        p = INITIAL[states[0]] * EMISSION[states[0], observed[0]]
        for t in range(1, len(observed)):
            p = p * transition[states[t - 1], states[t]] * EMISSION[states[t], observed[t]]
        total = total + p
    return jnp.log(total)


def test_gradient_where_transitions_are_impossible():
    observed = np.array([0, 1, 2])
    value, gradient = jax.value_and_grad(lambda t: forward_filter(observed, INITIAL, t, EMISSION)[1])(LEFT_TO_RIGHT)
    exact, exact_gradient = jax.value_and_grad(lambda t: log_marginal_by_enumeration(t, observed))(LEFT_TO_RIGHT)
    np.testing.assert_allclose(value, exact, rtol=1e-5)
    np.testing.assert_allclose(gradient, exact_gradient, rtol=1e-4, atol=1e-6)
    lanes = jax.vmap(jax.grad(lambda t: forward_filter(observed, INITIAL, t, EMISSION)[1]))(LEFT_TO_RIGHT[None])
    np.testing.assert_allclose(lanes[0], gradient, rtol=1e-5)
    assert exact_gradient[0, 2] > 0  # of an entry that is 0
    assert np.isfinite(jax.grad(lambda e: forward_filter(OBSERVED, INITIAL, LEFT_TO_RIGHT, e)[1])(EMISSION)).all()


@pytest.mark.parametrize("symbol", [3, 7, -1])
def test_what_is_not_a_symbol_is_impossible(symbol):
    assert forward_filter(jnp.array([0, symbol, 1]), INITIAL, LEFT_TO_RIGHT, EMISSION)[1] == -jnp.inf


def test_rhat_and_ess_of_chains_with_an_offset():
    noise = np.random.default_rng(0).normal(size=(4, 1_000))
    for diagnose in (compute_rhat, compute_ess):
        with_offset, without = diagnose(noise + 1e8), diagnose(noise)
        np.testing.assert_allclose(with_offset, without, rtol=1e-3)
    assert abs(compute_rhat(noise + 1e8) - 1) < 0.01


def test_nan_is_not_a_truth_value():
    assert np.isnan(flip.logpdf(jnp.nan, 0.3)) and np.isnan(jax.jit(flip.logpdf)(jnp.nan, 0.3))
