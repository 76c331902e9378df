"""Constraints on some lanes of a vectorised address."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Scan, gen, indexed, masked, normal, seed
from tests.genjax.core.small_models import log_normal_density, point

KEY = jax.random.key(0)


@pytest.mark.parametrize("kind", ["vmap", "scan"])
def test_constraints_on_some_lanes(kind):
    if kind == "vmap":
        model, args = point.vmap(in_axes=(0,)), (jnp.zeros(4),)
    else:
        model, args = Scan(gen(lambda c, x: (normal(0.0, 1.0) @ "y", None)), 4), (0.0, None)
    generate, update = seed(model.generate), seed(model.update)
    by_index = indexed(jnp.array([1, 3]), {"y": jnp.array([5.0, 6.0])})
    by_mask = masked(jnp.array([False, True, False, True]), {"y": jnp.array([0.0, 5.0, 0.0, 6.0])})
    for constraints in (by_index, by_mask):
        trace, weight = generate(KEY, constraints, *args)
        y = trace.get_choices()["y"]
        assert (y[1], y[3]) == (5.0, 6.0) and y[0] != 0.0 and y[2] != 0.0
        np.testing.assert_allclose(weight, log_normal_density(np.array([5.0, 6.0]), 0, 1).sum(), rtol=1e-6)
        np.testing.assert_allclose(trace.get_score(), -log_normal_density(np.asarray(y), 0, 1).sum(), rtol=1e-6)
        before = seed(model.simulate)(KEY, *args)
        after, weight, discard = update(KEY, before, constraints, *args)
        np.testing.assert_allclose(weight, before.get_score() - after.get_score(), rtol=1e-5)
        np.testing.assert_array_equal(after["y"][::2], before["y"][::2])
        np.testing.assert_array_equal(discard["y"], before["y"])
    shared, _ = generate(KEY, indexed(2, {"y": 7.0}), *args)
    assert shared["y"][2] == 7.0
    with pytest.raises(ValueError, match=r"indices \[4\] for an address with 4 lanes"):
        model.generate(indexed(4, {"y": 7.0}), *args)
