"""What models say about their choices: densities that sum to that of `assess`, and supports with their bounds."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax import Cond, Scan, flip, gen, normal, seed, uniform
from genjax.core.sites import DIFFERS

KEY = jax.random.key(0)


@gen
def step(position, scale):
    position = normal(position, scale) @ "position"
    normal(jnp.zeros(2), 1.0) @ "pair"
    return position, position


@gen
def wide():
    return uniform(-10.0, 10.0) @ "obs"


@gen
def narrow():
    extra = normal(0.0, 1.0) @ "extra"
    return normal(extra, 0.1) @ "obs"


@gen
def model(highs):
    low = normal(0.0, 1.0) @ "low"
    uniform.vmap(in_axes=(None, 0))(low, highs) @ "lanes"
    Scan(step)(low, jnp.arange(1.0, 4.0)) @ "walk"
    is_wide = flip(0.5) @ "is_wide"
    Cond(wide, narrow)(is_wide) @ "branch"
    return low


HIGHS = jnp.array([5.0, 6.0])


def sites_of(key):
    trace = seed(model.simulate)(key, HIGHS)
    return trace, model.sites(trace.get_choices(), HIGHS)


def test_densities_sum_to_that_of_assess_and_keep_the_axes_of_choices():
    for seed_number in range(4):
        trace, (sites, retval) = sites_of(jax.random.key(seed_number))
        is_site = lambda node: hasattr(node, "log_density")
        total = sum(jnp.sum(site.log_density) for site in jax.tree.leaves(sites, is_leaf=is_site))
        np.testing.assert_allclose(total, -trace.get_score(), rtol=1e-5)
        assert retval == trace["low"]
        assert sites["lanes"].log_density.shape == (2,)
        assert sites["walk"]["position"].log_density.shape == (3,)
        assert sites["walk"]["pair"].log_density.shape == (3, 2)
        values = jax.tree.map(lambda site: site.value, sites, is_leaf=is_site)
        assert jax.tree.structure(values) == jax.tree.structure(trace.get_choices())
        for value, choice in zip(jax.tree.leaves(values), jax.tree.leaves(trace.get_choices()), strict=True):
            np.testing.assert_array_equal(value, choice)


def test_supports_have_the_bounds_of_their_arguments():
    trace, (sites, _) = sites_of(KEY)
    support = sites["lanes"].known_support()
    np.testing.assert_array_equal(support.low, [trace["low"]] * 2)
    np.testing.assert_array_equal(support.high, HIGHS)
    assert sites["low"].known_support() == normal.support
    assert sites["branch"]["obs"].known_support() is DIFFERS
