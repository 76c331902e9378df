"""Streaming importance sampling: the same sums as in memory, right draws, and memory that does not grow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from genjax import const, flip, gen, normal, seed
from genjax.inference import streaming_importance_sampling
from genjax.inference.importance import weighted_traces

BLOCK = 1 << 12


@gen
def conjugate():
    normal(normal(0.0, 1.0) @ "mu", 0.5) @ "y"


@gen
def coin():
    is_biased = flip(0.3) @ "is_biased"
    flip(jnp.where(is_biased, 0.9, 0.5)) @ "head"


def streamed(model, n, constraints, **options):
    return seed(lambda: streaming_importance_sampling(model, (), n, constraints, **options))


def test_sums_are_those_of_the_same_draws_in_memory():
    n, key = 1_000_000, jax.random.key(1)

    def in_memory():
        block = lambda _, __: (None, weighted_traces(conjugate, (), 10_000, {"y": 1.5})[1])
        return jax.lax.scan(block, None, None, length=n // 10_000)[1]

    log_weights = np.asarray(jax.jit(seed(in_memory))(key), np.float64).ravel()
    found = jax.jit(streamed(conjugate, n, {"y": 1.5}, block_size=10_000))(key)
    assert found.log_evidence() == pytest.approx(logsumexp(log_weights) - np.log(n), abs=2e-6)
    effective = np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights))
    assert found.effective_sample_size() == pytest.approx(effective, rel=1e-5)


@pytest.mark.usefixtures("optimised")
def test_memory_is_that_of_one_block():
    def temporary(n):
        program = jax.jit(streamed(conjugate, n, {"y": 1.5}, n_draws=100, block_size=BLOCK))
        memory = program.lower(jax.random.key(0)).compile().memory_analysis()
        return memory.temp_size_in_bytes + memory.output_size_in_bytes

    # A block takes 60 bytes a particle, as XLA happens to compile it; 10^8 particles would take 400 MB for one number.
    assert max(temporary(10 * BLOCK), temporary(100_000_000)) < 150 * BLOCK


def test_draws_follow_the_posterior():
    # Blocks of unequal size, so that a rule which ignores the weight of what came before would be seen.
    run = streamed(conjugate, 10 * BLOCK + 1000, {"y": 1.5}, n_draws=500, block_size=BLOCK)
    draws = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(2), 4)).draws["mu"]
    exact = stats.norm(1.2, np.sqrt(0.2))
    # Draws of one run share particles, 10,000 effective ones for 500 draws: nearly independent. False alarms: 1e-4.
    assert stats.kstest(np.asarray(draws).ravel(), exact.cdf).pvalue > 1e-4
    assert len(np.unique(draws)) > 1750


def test_every_block_is_drawn_from_by_its_weight():
    # Blocks of one particle: the slot holds particle i with probability w_i / sum w.
    run = streamed(coin, 6, {"head": True}, n_draws=1, block_size=1)
    found = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(3), 20_000))
    weight = jnp.exp(found.log_total)
    # E[sum(w) f(draw)] = n sum_x p(x, y) f(x); at 4.7 standard errors the false-alarm rate is 2.6e-6.
    values = np.asarray(weight * found.draws["is_biased"][:, 0], np.float64) / 6
    assert abs(values.mean() - 0.3 * 0.9) < 4.7 * values.std() / np.sqrt(len(values))


def test_counts_that_cannot_be_met():
    with pytest.raises(ValueError, match="n_draws=50 and blocks of 20 particles"):
        streaming_importance_sampling(conjugate, (), 1000, {"y": 1.5}, n_draws=50, block_size=20)
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        streaming_importance_sampling(conjugate, (), const(0), {"y": 1.5})


def test_no_particle_lives():
    impossible = streamed(conjugate, 100, {"y": jnp.inf}, block_size=30)(jax.random.key(0))
    assert impossible.log_evidence() == -jnp.inf
    assert impossible.effective_sample_size() == 0
