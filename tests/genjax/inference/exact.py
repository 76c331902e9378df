"""Models whose posteriors are known exactly, and comparisons that allow for the Monte Carlo error of a chain."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from genjax import Scan, beta, flip, gen, multivariate_normal, normal, seed
from genjax import chain as make_chain

#: Standard errors that a mean may be off. With some 50 batches the tail is that of a t distribution: 1e-5 each.
SIGMAS = 5.0


def assert_mean(samples, expected, least_size=200):
    """The mean of a chain's samples (steps,) or (chains, steps) is `expected`, within its standard error.

    The standard error is that of batch means, with about sqrt(steps) / 2 batches of neighbouring steps. The effective
    sample size that follows from it must be at least `least_size`.
    """
    samples = np.atleast_2d(np.asarray(samples, np.float64))
    n_chains, n_steps = samples.shape
    size = 2 * int(np.sqrt(n_steps))
    n_batches = n_steps // size
    batches = samples[:, : n_batches * size].reshape(n_chains * n_batches, size).mean(1)
    error = batches.std(ddof=1) / np.sqrt(len(batches))
    effective = samples.var() / error**2
    assert effective > least_size, f"effective sample size {effective:.0f}"
    message = f"mean {samples.mean():.4f}, not {expected:.4f} +- {SIGMAS * error:.4f}"
    assert abs(samples.mean() - expected) < SIGMAS * error, message


@gen
def conjugate_normal():
    """mu ~ N(0, 1), y ~ N(mu, 1/2): mu | y ~ N(0.8 y, 0.2)."""
    mu = normal(0.0, 1.0) @ "mu"
    normal(mu, 0.5) @ "y"
    return mu


@gen
def beta_bernoulli(n):
    """p ~ Beta(2, 3); n flips. Given all heads: p ~ Beta(2 + n, 3)."""
    p = beta(2.0, 3.0) @ "p"
    flip(jnp.full(n.value, p)) @ "flips"
    return p


@gen
def skewed():
    """x ~ N(0, 1), y ~ N(x^2/2, 1): E y = 1/2, Var y = 3/2, E x^2 y = 3/2."""
    x = normal(0.0, 1.0) @ "x"
    y = normal(x**2 / 2, 1.0) @ "y"
    return y


COVARIANCE = np.array([[1.0, 0.6], [0.6, 2.0]])


@gen
def correlated():
    return multivariate_normal(jnp.array([1.0, -1.0]), jnp.array(COVARIANCE)) @ "v"


@gen
def hidden_step(state, _):
    stays = flip(jnp.where(state, 0.8, 0.3)) @ "state"
    normal(jnp.where(stays, 1.0, -1.0), 1.0) @ "obs"
    return stays, stays


OBSERVED = np.array([0.5, -0.3, 1.2], np.float32)


@gen
def hidden_chain():
    """Three hidden bits and a noisy observation of each, as a Scan."""
    return Scan(hidden_step, length=3)(jnp.array(True), None) @ "steps"


def hidden_posterior():
    """p(bits | OBSERVED) for all eight, indexed by the bits as a binary number, by enumeration in NumPy."""
    weights = []
    for code in range(8):
        bits = [(code >> 2) & 1, (code >> 1) & 1, code & 1]
        weight, previous = 1.0, 1
        for bit, obs in zip(bits, OBSERVED, strict=True):
            p = 0.8 if previous else 0.3
            weight *= (p if bit else 1 - p) * stats.norm.pdf(obs, 1.0 if bit else -1.0, 1.0)
            previous = bit
        weights.append(weight)
    return np.array(weights) / sum(weights)


def run_chain(kernel, trace, n_steps, key=0, **options):
    """A seeded chain's result."""
    return seed(make_chain(kernel))(jax.random.key(key), trace, n_steps, **options)
