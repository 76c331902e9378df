"""Traces: verification, and the lanes of a batch."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax import fixed, gen, modular_vmap
from genjax.core import NotFixedException
from tests.genjax.core.small_models import log_normal_density, point


def test_verify_after_constraining():
    trace, weight = point.generate({"y": fixed(1.0)}, 0.0)
    assert trace.verify() is None
    assert trace.get_choices() == {"y": 1.0} and trace["y"] == 1.0
    np.testing.assert_allclose(weight, log_normal_density(1.0, 0.0, 1.0), rtol=1e-6)
    with pytest.raises(NotFixedException, match="NOT_FIXED") as raised:
        point.simulate(0.0).verify()
    assert raised.value.choice_map_status == {"y": False}
    assert gen(lambda: 1).simulate().verify() is None


def test_lanes_of_a_batch():
    batch = modular_vmap(lambda x: point.simulate(x))(jnp.arange(3.0))
    assert len(batch) == 3 and batch.scores().shape == (3,)
    for i, lane in enumerate(batch):
        np.testing.assert_allclose(lane.get_score(), -log_normal_density(batch["y"][i], i, 1.0), rtol=1e-5)
    assert batch[1]["y"] == batch["y"][1] and len(batch[:2]) == 2 and len(batch[jnp.array([0, 2])]) == 2
    assert batch[2].get_args()[0] == (2.0,)
    single = point.simulate(0.0)
    for wrong in (lambda: single[0], lambda: len(single)):
        with pytest.raises(TypeError, match="needs a batch of traces"):
            wrong()
