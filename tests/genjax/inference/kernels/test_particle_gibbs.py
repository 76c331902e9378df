"""Particle Gibbs against exact posteriors; means within 5 standard errors (see `exact`): false alarms 1e-5 each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Scan, chain, flip, gen, get_choices, masked, normal, seed, sel
from genjax.inference.kernels import MH, ParticleGibbs, compose, particle_gibbs
from tests.genjax.inference import exact

KEY = jax.random.key(0)


def test_hidden_bits_have_their_exact_posterior():
    trace, _ = seed(exact.hidden_chain.generate)(KEY, {"steps": {"obs": jnp.asarray(exact.OBSERVED)}})
    run = seed(chain(ParticleGibbs("steps", 5), collect=get_choices))
    result = run(KEY, trace, 5000, burn_in=10)
    bits = np.asarray(result.traces["steps"]["state"]) @ [4, 2, 1]
    for code, expected in enumerate(exact.hidden_posterior()):
        exact.assert_mean(bits == code, expected)
    assert result.acceptance_rate > 0.3


@gen
def noisy_step(carry, drift):
    state = normal(carry + drift, 1.0) @ "state"
    normal(state, 0.5) @ "obs"
    return state, state


@gen
def with_a_tail():
    """A path of three steps, of which the second is not observed, and something seen of its end and of its sum."""
    rate = normal(0.0, 1.0) @ "rate"
    last, path = Scan(noisy_step, length=3)(0.5, jnp.array([0.1, 0.2, 0.3]) * rate) @ "path"
    normal(jnp.sum(path), 0.8) @ "seen"
    return last


def test_the_rest_of_the_model_counts():
    """All is normal: the exact posterior is that of a linear regression on rate and the three innovations."""
    drifts = np.array([0.1, 0.2, 0.3])
    states = np.array([[drifts[: t + 1].sum(), *(np.arange(3) <= t)] for t in range(3)])  # rows: state_t - 0.5
    rows = np.stack([states[0], states[2], states.sum(0)])
    seen = np.array([1.0, -0.5, 3.0]) - np.array([0.5, 0.5, 1.5])
    noise = np.diag([0.25, 0.25, 0.64])
    gain = rows.T @ np.linalg.inv(rows @ rows.T + noise)
    mean, covariance = gain @ seen, np.eye(4) - gain @ rows
    data = masked(jnp.array([True, False, True]), {"obs": jnp.array([1.0, 0.0, -0.5])})
    trace, _ = seed(with_a_tail.generate)(KEY, {"path": data, "seen": 3.0})
    kernel = compose(ParticleGibbs(sel("path"), 10), MH("rate"))
    choices = seed(chain(kernel, collect=get_choices))(KEY, trace, 8000, burn_in=50).traces
    exact.assert_mean(choices["rate"], mean[0])
    for t in range(3):
        exact.assert_mean(choices["path"]["state"][:, t], 0.5 + states[t] @ mean)
    variance = states[2] @ covariance @ states[2]
    exact.assert_mean(jnp.square(choices["path"]["state"][:, 2] - 0.5 - states[2] @ mean), variance)
    # Nobody observed the second step: its observation moves along, around the state.
    exact.assert_mean(choices["path"]["obs"][:, 1], 0.5 + states[1] @ mean)
    np.testing.assert_array_equal(choices["path"]["obs"][:, 0], 1.0)


def test_bad_input():
    trace, _ = seed(with_a_tail.generate)(KEY, {"path": {"obs": jnp.zeros(3)}, "seen": 3.0})

    def move(key, trace, *args):
        return seed(lambda trace: particle_gibbs(trace, *args))(key, trace)

    with pytest.raises(ValueError, match="asked to move 'rate'. It moves choices in the steps of one Scan"):
        move(KEY, trace, "rate")
    with pytest.raises(ValueError, match="at least 2"):
        move(KEY, trace, "path", 1)
    with pytest.raises(ValueError, match="does not have: 'pat' \\(nearest: "):
        move(KEY, trace, "pat")
    with pytest.raises(ValueError, match="data"):
        move(KEY, trace, ("path", "obs"))


def test_a_scan_by_itself_is_a_model_too():
    model = Scan(gen(lambda carry, x: (flip(0.5) @ "x", None)), length=4)
    trace = seed(model.simulate)(KEY, jnp.array(True))
    moved = seed(lambda trace: particle_gibbs(trace, "x"))(KEY, trace)
    assert moved["x"].shape == (4,)
