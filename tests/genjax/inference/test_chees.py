"""Trajectory lengths adapted by many chains, and starting points; means within 5 standard errors (see `exact`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, gen, get_choices, half_normal, normal, seed, sel, uniform
from genjax.inference import HMC, NUTS, chees, starting_points
from genjax.inference.kernels.jittered_hmc import halton
from tests.genjax.inference.exact import assert_mean

KEY = jax.random.key(0)
SCALES = jnp.array([0.1, 0.5, 2.0])
N_CHAINS = 32


@gen
def model():
    """Three normals of different scales, and a positive number that is not observed either."""
    normal.vmap()(jnp.zeros(3), SCALES) @ "v"
    half_normal(1.0) @ "tau"
    normal(0.0, 1.0) @ "y"


@pytest.fixture(scope="module")
def found():
    traces = seed(starting_points)(KEY, model, (), {"y": 0.5}, N_CHAINS)
    return seed(chees(HMC(sel("v", "tau"), 0.02, 1)))(KEY, traces, 400, n_chains=N_CHAINS)


def test_trajectories_become_long_enough_for_the_widest_direction(found):
    """A quarter of the period of the widest direction is pi: lengths near it carry a chain from side to side."""
    length, step_size = float(found.kernel.trajectory_length), float(found.kernel.step_size)
    assert 1.5 < length < 12, length
    assert 0.05 < step_size < 0.4, step_size  # leapfrog is stable up to twice the smallest scale, 0.1
    assert 0.5 < np.mean(found.acceptance[200:]) < 0.85


def test_chains_go_on_from_where_they_are(found):
    run = seed(chain(found.kernel, collect=get_choices))
    result = run(KEY, found.traces, 200, n_chains=N_CHAINS)
    v, tau = np.asarray(result.traces["v"]), np.asarray(result.traces["tau"])
    for i, scale in enumerate(SCALES):
        assert_mean(v[..., i], 0.0)
        assert_mean(np.square(v[..., i]), scale**2)
    assert_mean(tau, np.sqrt(2 / np.pi))
    assert result.rhat["v"].max() < 1.05


def test_the_sequence_of_lengths():
    np.testing.assert_array_equal([halton(i) for i in range(7)], [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8])


@gen
def interval():
    x = normal(0.0, 1.0) @ "x"
    return uniform(x, x + 0.2) @ "y"  # most draws of x make the data impossible


def test_starting_points_are_possible_and_spread():
    def starts(key, n_tries):
        return seed(lambda: starting_points(interval, (), {"y": 0.3}, 200, n_tries=n_tries))(key)

    one, many = starts(KEY, 1), starts(KEY, 60)
    assert np.mean(np.isfinite(one.scores())) < 0.3
    # Of 60 tries all fail with probability 0.925^60 = 0.009, for each of 200 chains.
    possible = np.isfinite(many.scores())
    assert np.mean(possible) > 0.95
    x = np.asarray(many["x"])[possible]
    assert np.all((x > 0.1 - 1e-6) & (x < 0.3 + 1e-6)) and len(np.unique(x)) > 150
    assert many.observed() == {"y": True}


def test_bad_input():
    trace, _ = seed(model.generate)(KEY, {"y": 0.5})
    with pytest.raises(TypeError, match="HMC kernel, such as .* got NUTS"):
        chees(NUTS("v"))
    with pytest.raises(ValueError, match="run some tens of them"):
        seed(chees(HMC("v", 0.1, 1)))(KEY, trace, 10, n_chains=1)
    with pytest.raises(ValueError, match="n_chains=4 and a batch of 3"):
        traces = seed(starting_points)(KEY, model, (), {"y": 0.5}, 3)
        seed(chees(HMC("v", 0.1, 1)))(KEY, traces, 10, n_chains=4)
    with pytest.raises(ValueError, match="power=2"):
        starting_points(model, (), {"y": 0.5}, 3, power=2)
    with pytest.raises(ValueError, match="n_chains must be at least 1"):
        starting_points(model, (), {"y": 0.5}, 0)
