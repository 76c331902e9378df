"""No kernel moves the elements of a choice that were observed, whatever it is asked to move beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Scan, chain, flip, gen, normal, seed, sel
from genjax.core.partial import Masked
from genjax.inference.kernels import (
    HMC,
    MALA,
    MH,
    NUTS,
    Elliptical,
    Gibbs,
    Involutive,
    JitteredHMC,
    ManyTries,
    ParallelTempering,
    ParticleGibbs,
    RandomWalk,
    Slice,
    cycle,
)
from tests.genjax.inference.exact import assert_mean

KEY = jax.random.key(0)
IS_OBSERVED = jnp.array([True, False, True])
VALUES = jnp.array([1.5, 0.0, 2.5])


@gen
def step(carry, _):
    return normal(carry, 1.0) @ "at", None


@gen
def model():
    mu = normal(0.0, 1.0) @ "mu"
    coin = flip(0.5) @ "coin"
    normal.repeat(3)(mu + coin, 1.0) @ "y"
    Scan(step, length=2)(mu, None) @ "path"


@gen
def proposal(choices):
    return normal(choices["mu"], 0.5) @ "mu"


#: Every kernel that takes a selection or a proposal, moving something that was not observed.
KERNELS = {
    "mh": MH("mu"),
    "mala": MALA("mu", 0.3),
    "hmc": HMC("mu", 0.3, 3),
    "hmc of varying length": JitteredHMC("mu", 0.3, 1.0),
    "nuts": NUTS("mu", 0.3, max_depth=3),
    "many tries": ManyTries("mu", 4),
    "proposal": Involutive(proposal),
    "gibbs": Gibbs("coin"),
    "particle gibbs": ParticleGibbs("path", 4),
    "random walk": RandomWalk("mu", 0.5),
    "slice": Slice("mu", 1.5),
    "elliptical": Elliptical("mu"),
    "tempering": ParallelTempering(HMC("mu", 0.3, 3), [1.0, 0.5]),
}
#: Those that move whole choices alone.
OF_WHOLE_CHOICES = {"gibbs": Gibbs, "elliptical_slice": Elliptical}


def started():
    return seed(model.generate)(KEY, {"y": Masked(IS_OBSERVED, VALUES)})[0]


@pytest.mark.parametrize("name", KERNELS)
def test_observed_elements_stay(name):
    kept = seed(chain(KERNELS[name]))(jax.random.key(1), started(), 20).traces
    np.testing.assert_array_equal(kept["y"][:, IS_OBSERVED], np.broadcast_to(VALUES[IS_OBSERVED], (20, 2)))
    moved = [kept[address] for address in ("mu", "coin")] + [kept["path"]["at"], kept["y"][:, 1]]
    assert any(len(np.unique(np.asarray(values))) > 1 for values in moved), "the kernel moves nothing"


@pytest.mark.parametrize("name", OF_WHOLE_CHOICES)
def test_a_choice_that_was_observed_in_part_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} was asked to move 'y', some elements of which"):
        OF_WHOLE_CHOICES[name](sel("mu", "y")).init(started())


def test_kernels_of_whole_choices_and_mh_draw_from_the_posterior_together():
    """With coin 0 or 1, (y_0 + y_2) / 2 - coin ~ N(mu, 1/2). False alarms: 1e-5 per mean."""
    kernel = cycle(Elliptical("mu"), Gibbs("coin"), MH("path"))  # which moves the missing element too
    kept = seed(chain(kernel))(jax.random.key(2), started(), 30_000, burn_in=100).traces
    # mu | coin, y ~ N(2 m / 3, 1/3) and m | coin ~ N(0, 3/2), with m = 2 - coin the mean that is left.
    weights = np.exp(-np.square([2.0, 1.0]) / 3)
    p = weights[1] / weights.sum()
    mean = (1 - p) * 4 / 3 + p * 2 / 3
    assert_mean(kept["coin"], p)
    assert_mean(kept["mu"], mean)
    assert_mean(kept["y"][:, 1], mean + p)  # the missing one is mu + coin on average
