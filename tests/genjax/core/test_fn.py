"""Functions marked with `gen`: weights, densities, messages, and the work per site."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, Scan, gen, normal, seed, sel
from tests.genjax.core.small_models import log_normal_density, point

KEY = jax.random.key(0)


def test_vector_sites_give_scalar_weights():
    model = gen(lambda: normal(jnp.zeros(3), 1.0) @ "v")
    value = jnp.array([0.1, 0.2, 0.3])
    expected = log_normal_density(np.asarray(value), 0.0, 1.0).sum()
    density, _ = model.assess({"v": value})
    trace, weight = model.generate({"v": value})
    _, update_weight, _ = model.update(trace, {"v": value + 1})
    _, regenerate_weight, _ = model.regenerate(trace, sel())
    for number in (density, weight, update_weight, regenerate_weight, trace.get_score()):
        assert jnp.shape(number) == ()
    np.testing.assert_allclose(weight, expected, rtol=1e-6)
    assert normal.assess(value, 0.0, 1.0)[0].shape == (3,)  # of a distribution by itself: elementwise


def test_call_without_address():
    escaping = gen(lambda: normal(0.0, 1.0))  # defining it is no error
    with pytest.raises(ValueError, match=r'never given an address \(written at .*test_fn.py:\d+.*@ "name"'):
        escaping.simulate()


def test_metadata_and_repr():
    @gen
    def documented(x):
        """What it does."""
        return normal(x, 1.0) @ "x"

    assert (documented.__name__, documented.__doc__) == ("documented", "What it does.")
    texts = [repr(g) for g in (documented, documented.repeat(3), Scan(documented, 2), Cond(documented, normal))]
    assert texts == [
        "gen(documented)",
        "gen(documented).repeat(3)",
        "Scan(gen(documented), 2)",
        "Cond(gen(documented), Normal)",
    ]
    assert not any("0x" in text for text in texts)


@pytest.mark.parametrize("method", ["simulate", "assess", "generate", "update", "regenerate"])
def test_work_grows_linearly_with_sites(method):
    def n_operations(n_sites):
        model = gen(lambda: [normal(float(i), 1.0) @ f"x{i}" for i in range(n_sites)])
        trace = model.simulate()
        arguments = {
            "simulate": (),
            "assess": (trace.get_choices(),),
            "generate": ({"x0": 1.0},),
            "update": (trace, {"x0": 1.0}),
            "regenerate": (trace, sel("x0")),
        }[method]
        return len(jax.make_jaxpr(lambda: getattr(model, method)(*arguments))().eqns)

    few, some, many = map(n_operations, (4, 8, 12))
    assert many - some == some - few


def test_log_density_and_project():
    model = gen(lambda: (point(0.0) @ "p", normal(jnp.zeros(3), 2.0) @ "v"))
    trace = model.simulate()
    choices = trace.get_choices()
    log_density = model.log_density(choices)
    assert log_density.shape == ()
    np.testing.assert_allclose(log_density, -trace.get_score(), rtol=1e-6)
    at_v = log_normal_density(np.asarray(choices["v"]), 0.0, 2.0).sum()
    np.testing.assert_allclose(model.project(trace, sel("v")), at_v, rtol=1e-5)
    np.testing.assert_allclose(model.project(trace, ~sel("v")), log_density - at_v, rtol=1e-4)
    assert normal.log_density(jnp.zeros(3), 0.0, 1.0).shape == ()


def test_messages():
    with pytest.raises(ValueError, match=r"'x' is outside of a running model, at .*test_fn.py:\d+"):
        normal.T(0.0, 1.0) @ "x"
    with pytest.raises(KeyError, match=r"'y' is missing.*'point'.*Given: 'yy'; nearest: 'yy'"):
        point.assess({"yy": 1.0}, 0.0)
    with pytest.raises(KeyError, match=r"is not an address of this trace; it has: 'y'"):
        point.simulate(0.0)["x"]
    growing = Scan(gen(lambda c, x: (jnp.ones(2) * (normal(c, 1.0) @ "n"), None)), 3)
    with pytest.raises(TypeError, match=r"carry of Scan.*test_fn.py:\d+[\s\S]*float32\[\][\s\S]*float32\[2\]"):
        seed(growing.simulate)(KEY, 0.0, None)
