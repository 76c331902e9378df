"""Cond: weights when the branch changes, dtypes, batches, and calls outside models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, Scan, categorical, gen, normal, seed, sel
from genjax.core import CondTr
from tests.genjax.core.small_models import log_normal_density, point, step

KEY = jax.random.key(0)


def test_update_of_cond_when_the_check_flips():
    cond = Cond(gen(lambda: normal(0.0, 1.0) @ "x"), gen(lambda: normal(3.0, 0.5) @ "x"))
    trace, _ = cond.generate({"x": 1.0}, True)
    new, weight, discard = cond.update(trace, None, False)
    expected = log_normal_density(1.0, 3.0, 0.5) - log_normal_density(1.0, 0.0, 1.0)
    np.testing.assert_allclose(weight, expected, rtol=1e-5)
    np.testing.assert_allclose(weight, trace.get_score() - new.get_score(), rtol=1e-6)
    assert discard["x"] == 1.0 and new.get_choices()["x"] == 1.0
    _, weight, discard = cond.update(new, {"x": 2.0}, True)
    np.testing.assert_allclose(weight, log_normal_density(2.0, 0.0, 1.0) - log_normal_density(1.0, 3.0, 0.5), rtol=1e-5)
    assert discard["x"] == 1.0
    # Over plain distributions.
    plain = Cond(normal, normal)
    trace, _ = plain.generate(1.0, True, 0.0, 1.0)
    _, weight, discard = plain.update(trace, 2.0, False, 0.0, 1.0)
    np.testing.assert_allclose(weight, log_normal_density(2.0, 0, 1) - log_normal_density(1.0, 0, 1), rtol=1e-5)
    assert discard == 1.0
    new, weight, discard = cond.regenerate(cond.generate({"x": 1.0}, True)[0], sel("x"), False)
    assert weight == 0.0 and discard["x"] == 1.0 and new.get_choices()["x"] != 1.0


def test_cond_keeps_dtypes_of_its_branches():
    """A loop carry cannot change dtype: an int and a float at one address stay what they are."""
    cond = Cond(gen(lambda: categorical(jnp.zeros(3)) @ "x"), gen(lambda: normal(0.0, 1.0) @ "x"))
    trace = cond.simulate(True)
    for new in (cond.update(trace, None, False)[0], cond.regenerate(trace, sel("x"), False)[0]):
        assert jax.tree.structure(new) == jax.tree.structure(trace)
        assert [leaf.dtype for leaf in jax.tree.leaves(new)] == [leaf.dtype for leaf in jax.tree.leaves(trace)]


def test_arguments_of_a_cond_trace():
    cond = Cond(point, point)
    trace = cond.simulate(True, 0.5)
    assert isinstance(trace, CondTr)
    args, kwargs = trace.get_args()
    assert bool(args[0]) is True and args[1:] == (0.5,) and kwargs == {}
    _, weight, _ = trace.update({"y": 0.5})
    np.testing.assert_allclose(weight, log_normal_density(0.5, 0.5, 1.0) + trace.get_score(), rtol=1e-5)


def test_cond_directly_under_vmap_and_scan():
    cond = Cond(normal, gen(lambda m, s: normal(m, 10 * s) @ "x"))
    plain = Cond(normal, normal)
    checks = jnp.array([True, False, True])
    mapped = plain.vmap(in_axes=(0, None, None))
    values = jnp.array([0.1, 0.2, 0.3])
    trace, weight = mapped.generate(values, checks, 0.0, 1.0)
    assert trace.get_score().shape == ()
    np.testing.assert_allclose(weight, log_normal_density(np.asarray(values), 0, 1).sum(), rtol=1e-6)
    model = gen(lambda: mapped(checks, 0.0, 1.0) @ "lanes")
    np.testing.assert_allclose(model.generate({"lanes": values})[0].get_score(), -weight, rtol=1e-6)
    # Choices with event axes.
    vectors = plain.vmap(in_axes=(0, None, None)).simulate(checks, jnp.zeros(2), 1.0)
    assert vectors.get_choices().shape == (3, 2)
    del cond
    # A batch of traces made outside.
    batch = jax.vmap(lambda c, v: plain.generate(v, c, 0.0, 1.0)[0])(checks, values)
    np.testing.assert_allclose(batch.get_score(), -weight, rtol=1e-6)
    np.testing.assert_allclose(batch.scores(), -log_normal_density(np.asarray(values), 0, 1), rtol=1e-6)


def test_calls_outside_of_models_and_checks():
    carry, outs = seed(Scan(step, 3))(KEY, 0.0, None)
    assert outs.shape == (3,) and carry.shape == ()
    cond = Cond(gen(lambda: {"r": (normal(0.0, 1.0) @ "x", 1)}), gen(lambda: {"r": (normal(9.0, 1.0) @ "x", 2)}))
    assert cond(True)["r"][1] == 1 and cond(np.bool_(False))["r"][1] == 2
    with pytest.raises(TypeError, match=r"bool.*got int.*`x > 0`"):
        cond(1)
