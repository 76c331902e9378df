"""A random choice that is compiled without a key: what is raised, where it points, and the switches."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax.pjax
from genjax import Scan, gen, normal, seed
from genjax.pjax import LoweringSamplePrimitiveToMLIRException

HERE = __file__


def line_of(text):
    """The number of the line of this file that contains the text, written in two pieces by the caller."""
    with open(HERE) as source:
        return next(i for i, line in enumerate(source, 1) if text in line)


@gen
def inner():
    return normal(0.0, 1.0) @ "deep"  # the line of the site


@gen
def outer():
    return inner() @ "middle"


def test_error_names_distribution_address_and_line():
    with pytest.raises(LoweringSamplePrimitiveToMLIRException) as raised:
        jax.jit(outer.simulate)()
    error, text = raised.value, str(raised.value)
    assert text.startswith("PJAX Sample Primitive Lowering Error")
    assert error.binding_context.sampler == "Normal"
    assert error.binding_context.path.endswith("middle/deep")
    frame = error.binding_context.frames[0]
    assert (frame.file, frame.line, frame.function) == (HERE, line_of("# the line of " + "the site"), "inner")
    assert f"{HERE}:{frame.line}" in text and "jax.jit(seed(model.simulate))" in text
    assert error.lowering_msg in text
    assert not any("/genjax/core/" in frame.file or "/jax/" in frame.file for frame in error.binding_context.frames)


CONTROL_FLOW = {
    "scan": lambda: jax.lax.scan(lambda c, _: (normal.sample(c, 1.0), c), 0.0, None, length=2),
    "cond": lambda: jax.lax.cond(jnp.array(True), lambda: normal.sample(0.0, 1.0), lambda: 0.0),
    "while": lambda: jax.lax.while_loop(lambda x: x < 1, lambda x: normal.sample(x, 1.0), 0.0),
    "map": lambda: jax.lax.map(lambda x: normal.sample(x, 1.0), jnp.arange(2.0)),
    "Scan": lambda: Scan(gen(lambda c, x: (normal(c, 1.0) @ "n", c)), 2).simulate(0.0, None),
}


@pytest.mark.parametrize("name", CONTROL_FLOW)
def test_eager_control_flow_is_compiled_too(name):
    with pytest.raises(
        LoweringSamplePrimitiveToMLIRException, match=r"`Normal` is being compiled.*\n[\s\S]*test_errors"
    ):
        CONTROL_FLOW[name]()
    jax.tree.map(np.testing.assert_array_equal, *(seed(CONTROL_FLOW[name])(jax.random.key(1)) for _ in range(2)))


def test_constructor_and_attributes():
    error = LoweringSamplePrimitiveToMLIRException("What happened.")
    assert error.lowering_msg == "What happened." and error.binding_context is None
    assert "What happened." in str(error)


def test_switches(monkeypatch):
    monkeypatch.setattr(genjax.pjax, "enforce_lowering_exception", False)
    baked = jax.jit(lambda: normal.sample(0.0, 1.0))
    assert baked() == baked()  # one key for good
    assert baked() != jax.jit(lambda: normal.sample(0.0, 1.0))()
    monkeypatch.setattr(genjax.pjax, "lowering_warning", True)
    with pytest.warns(UserWarning, match="`Normal` is being compiled"):
        jax.jit(lambda: normal.sample(1.0, 1.0))()


def test_no_warning_on_ordinary_paths():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outer.simulate()
        seed(outer.simulate)(jax.random.key(0))


def test_transforms_without_a_meaning_are_refused():
    @jax.custom_batching.custom_vmap
    def custom(x):
        return normal.sample(x, 1.0)

    @custom.def_vmap
    def custom_vmap(axis_size, in_batched, x):
        return normal.sample(x, 1.0), True

    with pytest.raises(
        NotImplementedError, match=r"test_errors.py:\d+.*custom_vmap_call.*not supported.*Move it outside"
    ):
        seed(custom)(jax.random.key(0), 0.0)


def test_nothing_is_broken_after_an_error():
    before = normal.sample(0.0, 1.0)
    with pytest.raises(LoweringSamplePrimitiveToMLIRException):
        jax.jit(outer.simulate)()
    assert normal(0.0, 1.0) != before  # outside of models a call draws
    assert seed(outer.simulate)(jax.random.key(0)).get_choices()["middle"]["deep"].shape == ()
