"""NUTS against BlackJAX's on eight schools, whose density BlackJAX gets by hand in unconstrained coordinates.

Both run many independent chains of one step size and one mass matrix. Moments agree within 5 standard errors of the
difference, estimated from the means of the chains: a false alarm has probability 2e-6 per moment, and there are six.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, gen, get_choices, half_normal, normal, seed, sel
from genjax.inference import NUTS

blackjax = pytest.importorskip("blackjax", reason="BlackJAX, whose NUTS is the comparison, is not installed")
EFFECTS = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
N_CHAINS, N_STEPS, BURN_IN = 100, 250, 50
STEP_SIZE, INVERSE_MASS = 0.5, jnp.array([10.0, *[1.0] * 9])
MAX_DEPTH = 6


@gen
def schools():
    mu = normal(0.0, 5.0) @ "mu"
    tau = half_normal(5.0) @ "tau"
    z = normal.repeat(8)(0.0, 1.0) @ "z"
    return normal.vmap()(mu + tau * z, ERRORS) @ "y"


def log_density(position):
    mu, log_tau, z = position[0], position[1], position[2:]
    tau = jnp.exp(log_tau)
    prior = -0.5 * (mu / 5) ** 2 - 0.5 * (tau / 5) ** 2 + log_tau - 0.5 * jnp.sum(z**2)
    return prior - 0.5 * jnp.sum(((EFFECTS - mu - tau * z) / ERRORS) ** 2)


def draws_of_blackjax(key):
    algorithm = blackjax.nuts(log_density, STEP_SIZE, INVERSE_MASS, max_num_doublings=MAX_DEPTH)

    def one(key):
        def step(state, key):
            state, _ = algorithm.step(key, state)
            return state, state.position

        return jax.lax.scan(step, algorithm.init(jnp.zeros(10)), jax.random.split(key, N_STEPS))[1]

    positions = jax.jit(jax.vmap(one))(jax.random.split(key, N_CHAINS))[:, BURN_IN:]
    return positions[..., 0], jnp.exp(positions[..., 1]), positions[..., 2:]


def draws_of_genjax(key):
    start = {"mu": jnp.array(0.0), "tau": jnp.array(1.0), "z": jnp.zeros(8)}
    trace, _ = schools.generate({**start, "y": EFFECTS})
    trace = trace.observe({"y": EFFECTS})
    kernel = NUTS(sel("mu", "tau", "z"), STEP_SIZE, INVERSE_MASS, MAX_DEPTH)
    run = seed(chain(kernel, collect=get_choices))
    choices = run(key, trace, N_STEPS, burn_in=BURN_IN, n_chains=N_CHAINS).traces
    return choices["mu"], choices["tau"], choices["z"]


def means_of_chains(mu, tau, z):
    moments = [mu, mu**2, tau, jnp.log(tau), mu * tau, z[..., 0] * tau]
    return np.stack([np.asarray(moment, np.float64).mean(axis=1) for moment in moments])


def test_moments_are_blackjaxs():
    ours = means_of_chains(*draws_of_genjax(jax.random.key(0)))
    theirs = means_of_chains(*draws_of_blackjax(jax.random.key(1)))
    error = np.sqrt((ours.var(axis=1, ddof=1) + theirs.var(axis=1, ddof=1)) / N_CHAINS)
    distance = np.abs(ours.mean(axis=1) - theirs.mean(axis=1)) / error
    assert np.all(distance < 5), distance
    assert np.all(error < 0.05 * np.abs(theirs.mean(axis=1)) + 0.05)  # so precise that a wrong kernel shows
