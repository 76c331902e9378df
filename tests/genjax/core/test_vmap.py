"""Vmap: many runs of one generative function, with axes, callees and traces as JAX has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Const, Scan, Vmap, const, gen, modular_vmap, normal, seed, sel
from tests.genjax.core.small_models import log_normal_density, point, step

KEY = jax.random.key(0)


def test_unconstrained_vmapped_callee_in_generate():
    @gen
    def model(xs):
        a = normal(0.0, 1.0) @ "a"
        ys = point.vmap(in_axes=(0,))(xs) @ "ys"
        return a + ys

    xs = jnp.arange(3.0)
    trace, weight = model.generate({"a": 1.0}, xs)
    assert trace.get_choices()["ys"]["y"].shape == (3,)
    np.testing.assert_allclose(weight, log_normal_density(1.0, 0.0, 1.0), rtol=1e-6)
    for empty in ({}, None):
        assert model.generate(empty, xs)[1] == 0.0
    particles, weights = modular_vmap(lambda _: model.generate({"a": 1.0}, xs))(jnp.arange(5))
    assert weights.shape == (5,) and particles.get_choices()["ys"]["y"].shape == (5, 3)


@pytest.mark.parametrize("axes", [0, [0]])
def test_default_and_list_axes(axes):
    model = point.vmap() if axes == 0 else point.vmap(in_axes=axes)
    xs = jnp.arange(3.0)
    ys = {"y": jnp.array([0.5, 1.5, 2.5])}
    expected = 3 * log_normal_density(0.5, 0.0, 1.0)
    np.testing.assert_allclose(model.assess(ys, xs)[0], expected, rtol=1e-6)
    trace, weight = model.generate(ys, xs)
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
    _, weight, discard = model.update(trace, {"y": xs}, xs)
    np.testing.assert_allclose(weight, 3 * log_normal_density(0.0, 0.0, 1.0) - expected, rtol=1e-5)
    np.testing.assert_array_equal(discard["y"], ys["y"])
    assert model.regenerate(trace, sel("y"), xs)[1] == 0.0


def test_trace_of_a_vmap_updates_itself():
    model = point.vmap(in_axes=(0,))
    xs = jnp.arange(3.0)
    trace = model.simulate(xs)
    assert trace.get_gen_fn() == model
    np.testing.assert_array_equal(trace.get_args()[0][0], xs)
    new, weight, _ = trace.update({"y": xs})
    np.testing.assert_allclose(new.get_score(), -3 * log_normal_density(0.0, 0.0, 1.0), rtol=1e-6)
    np.testing.assert_allclose(weight, trace.get_score() - new.get_score(), rtol=1e-5)


def test_arguments_may_be_traced():
    trace = jax.jit(seed(lambda x, scale: normal.repeat(2)(x, scale)))(KEY, 0.0, 1.0)
    assert trace.shape == (2,)


def test_defaults_of_combinators():
    xs = jnp.zeros(3)
    full = Vmap(point, in_axes=Const((0,)), axis_size=Const(3), axis_name=Const(None), spmd_axis_name=Const(None))
    assert full == Vmap(point, (0,), 3)
    assert Vmap(point).simulate(xs).get_choices()["y"].shape == (3,)
    inferred = Scan(gen(lambda carry, x: (carry + x, normal(carry, 1.0) @ "n")))
    assert seed(inferred.simulate)(KEY, 0.0, xs).get_choices()["n"].shape == (3,)
    assert seed(Scan(step, const(2)).simulate)(KEY, 0.0).get_choices()["n"].shape == (2,)


@pytest.mark.parametrize("args", [(0.0, np.ones(3)), (np.zeros(3), 1.0), (np.zeros(3), [1.0, 1.0, 1.0])])
def test_arguments_without_the_mapped_axis_say_what_to_write(args):
    mapped, y = normal.vmap(), np.zeros(3)
    for call in (lambda: mapped.simulate(*args), lambda: mapped.generate(y, *args), lambda: mapped.assess(y, *args)):
        with pytest.raises(ValueError, match=r"axis 0 of an argument of shape \(\).*None.*in_axes.*jnp.array"):
            call()


@pytest.mark.parametrize(("mapped", "args"), [(normal.vmap(in_axes=(None, None)), (0.0, 1.0)), (normal.vmap(), ())])
def test_nothing_mapped_says_how_copies_are_made(mapped, args):
    for call in (lambda: mapped.simulate(*args), lambda: mapped.assess(np.zeros(3), *args)):
        with pytest.raises(ValueError, match=r"none of them mapped.*\.repeat\(n\).*axis_size"):
            call()
