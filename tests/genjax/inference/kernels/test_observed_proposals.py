"""Proposals and involutions never move what was observed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, gen, normal, seed
from genjax.core.partial import Masked
from genjax.inference.kernels import Involutive, involutive, propose
from tests.genjax.inference.exact import assert_mean

KEY = jax.random.key(0)


@gen
def model():
    mu = normal(0.0, 1.0) @ "mu"
    return normal.repeat(3)(mu, 1.0) @ "y"


@gen
def of_data(choices):
    mu = normal(choices["mu"], 0.5) @ "mu"
    return normal.repeat(3)(mu, 1.5) @ "y"


@gen
def noise(choices):
    return normal(0.0, 1.0) @ "u"


@pytest.fixture
def trace():
    return seed(model.generate)(KEY, {"y": jnp.array([1.0, 2.0, 3.0])})[0]


def test_a_proposal_of_observed_choices_is_an_error(trace):
    with pytest.raises(ValueError, match="propose was asked to move 'y'"):
        seed(lambda trace: propose(trace, of_data))(KEY, trace)


def test_an_involution_of_observed_choices_is_an_error(trace):
    negate = lambda choices, u: ({"mu": -choices["mu"], "y": -choices["y"]}, u)
    with pytest.raises(ValueError, match="involutive was asked to move 'y'"):
        seed(lambda trace: involutive(trace, noise, negate))(KEY, trace)


def test_observed_elements_stay_and_the_others_follow_their_posterior():
    """Given y_0 = 1.5 alone: mu ~ N(0.75, 1/2), and y_1 has the same mean. False alarms: 1e-5 per mean."""
    is_observed = jnp.array([True, False, False])
    start, _ = seed(model.generate)(KEY, {"y": Masked(is_observed, jnp.array([1.5, 0.0, 0.0]))})
    result = seed(chain(Involutive(of_data)))(jax.random.key(1), start, 12_000, burn_in=100)
    np.testing.assert_array_equal(result.traces["y"][:, 0], 1.5)
    assert_mean(result.traces["mu"], 0.75)
    assert_mean(result.traces["y"][:, 1], 0.75)
    assert_mean(jnp.square(result.traces["mu"] - 0.75), 0.5)


def test_an_involution_of_partly_observed_choices_is_an_error():
    mask = jnp.array([True, False, False])
    start, _ = seed(model.generate)(KEY, {"y": Masked(mask, jnp.zeros(3))})
    with pytest.raises(ValueError, match="elements as data"):
        seed(lambda trace: involutive(trace, noise, lambda choices, u: ({"y": -choices["y"]}, u)))(KEY, start)
