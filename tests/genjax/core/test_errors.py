"""Bad input: each is a clear error that names the place, and leaves the library as it was."""

import jax
import jax.numpy as jnp
import pytest

from genjax import Cond, Scan, gen, normal, seed, sel
from genjax.core.handlers import current_handler

KEY = jax.random.key(0)


@gen
def pair():
    x = normal(0.0, 1.0) @ "x"
    return normal(x, 1.0) @ "y"


@gen
def colliding():
    normal(0.0, 1.0) @ "x"
    normal(0.0, 1.0) @ "x"


METHODS = {
    "simulate": lambda model: model.simulate(),
    "assess": lambda model: model.assess({"x": 0.0, "y": 0.0}),
    "generate": lambda model: model.generate({"x": 0.0}),
    "update": lambda model: model.update(pair.simulate(), {"x": 1.0}),
    "regenerate": lambda model: model.regenerate(pair.simulate(), sel("x")),
}


@pytest.fixture(autouse=True)
def library_works_afterwards():
    yield
    assert current_handler() is None
    assert isinstance(normal(0.0, 1.0), jax.Array)
    assert set(pair.simulate().get_choices()) == {"x", "y"}


@pytest.mark.parametrize("method", METHODS)
def test_pin_collisions_in_every_method(method):
    message = (
        r"Address collision detected: 'x' is used multiple times[\s\S]*must be unique[\s\S]*"
        r"Function: function 'colliding' at .*test_errors.py:\d+[\s\S]*Location: .*test_errors.py:\d+"
    )
    with pytest.raises(ValueError, match=message):
        METHODS[method](colliding)


def test_pin_same_names_under_different_parents():
    outer = gen(lambda: (pair() @ "x", pair() @ "y"))
    assert outer.simulate().get_choices()["y"].keys() == {"x", "y"}


@pytest.mark.parametrize("address", [1, ("a", "b"), None, jnp.zeros(())])
def test_addresses_are_strings(address):
    with pytest.raises(TypeError, match=r"address must be a string, got .*test_errors.py:\d+"):
        gen(lambda: normal(0.0, 1.0) @ address).simulate()


@pytest.mark.parametrize("constraints", [{1: 2.0}, {"x": 1.0, ("y",): 2.0}])
def test_addresses_of_constraints_are_strings(constraints):
    trace = pair.simulate()
    for method in (pair.assess, pair.generate, lambda x: pair.update(trace, x)):
        with pytest.raises(TypeError, match=r"as an address, at .*test_errors.py:\d+.*`indexed\(i, choices\)`"):
            method(constraints)


@pytest.mark.parametrize(
    "body",
    [
        lambda: normal(0.0, 1.0) + 1.0,
        lambda: jnp.exp(normal(0.0, 1.0)),
        lambda: normal(normal(0.0, 1.0), 1.0) @ "x",
    ],
)
def test_a_call_without_address_is_no_value(body):
    with pytest.raises(TypeError, match=r"The call of Normal written at .*test_errors.py:\d+.*has no address yet"):
        gen(body).simulate()


def test_what_is_no_trace_cannot_be_changed():
    with pytest.raises(TypeError, match=r"update\(\) of function 'pair'.*takes a trace first, got dict.*test_errors"):
        pair.update({"x": 0.0}, {"y": 1.0})
    with pytest.raises(TypeError, match=r"regenerate\(\) of function 'pair'.*takes a trace first, got dict"):
        pair.regenerate({"x": 0.0}, sel("x"))


def test_any_string_is_an_address():
    model = gen(lambda: [normal(0.0, 1.0) @ f"group_{i}/obs {i}" for i in range(2)])
    assert list(model.simulate().get_choices()) == ["group_0/obs 0", "group_1/obs 1"]


def test_missing_addresses():
    with pytest.raises(KeyError, match=r"'y' is missing.*function 'pair' at .*test_errors.py:\d+.*Given: 'x'"):
        pair.assess({"x": 0.0})
    with pytest.raises(KeyError, match=r"'x' is missing.*generate\(\) draws those that are not given"):
        pair.assess(None)
    with pytest.raises(KeyError, match="Normal.assess needs a value"):
        normal.assess(None, 0.0, 1.0)


@pytest.mark.parametrize("method", ["update", "regenerate"])
def test_the_set_of_addresses_may_not_change(method):
    model = gen(lambda more: [normal(0.0, 1.0) @ f"x{i}" for i in range(2 if more else 1)])
    change = {
        "update": lambda tr, m: model.update(tr, None, m),
        "regenerate": lambda tr, m: model.regenerate(tr, sel(), m),
    }
    with pytest.raises(KeyError, match=r"'x1' is not in the trace given to .*whose addresses are 'x0'"):
        change[method](model.simulate(False), True)
    with pytest.raises(KeyError, match=r"did not visit 'x1'.*use generate\(\)"):
        change[method](model.simulate(True), False)


def test_errors_of_callees_say_at_which_address():
    inner = gen(lambda: normal(0.0, "wide") @ "deep")
    outer = gen(lambda: inner() @ "middle")
    with pytest.raises(TypeError) as raised:
        outer.simulate()
    notes = raised.value.__notes__
    assert notes[0].startswith("At address 'deep' of function '<lambda>'") and "test_errors.py" in notes[0]
    assert notes[1].startswith("At address 'middle'")
    with pytest.raises(TypeError, match="At address 'x' of function 'pair'"):
        pair.generate({"x": {"nested": 1.0}})
    with pytest.raises(TypeError, match=r"must be a dict from address to value, got list"):
        pair.generate([1.0, 2.0])


def test_arguments_that_do_not_fit_a_vmap():
    with pytest.raises(ValueError, match=r"one entry per positional argument.*called with 2.*in_axes is \(0,\)"):
        normal.vmap(in_axes=(0,)).simulate(jnp.zeros(3), 1.0)
    with pytest.raises(ValueError, match="inconsistent sizes"):
        normal.vmap(in_axes=(0, 0)).simulate(jnp.zeros(3), jnp.ones(4))
    with pytest.raises(ValueError, match="inconsistent sizes"):
        normal.vmap(in_axes=(0, None)).generate(jnp.zeros(4), jnp.zeros(3), 1.0)
    model = gen(lambda: normal.vmap(in_axes=(0, None))(jnp.zeros(3), 1.0) @ "lanes")
    with pytest.raises(ValueError, match="inconsistent sizes[\\s\\S]*At address 'lanes'"):
        model.generate({"lanes": jnp.zeros(4)})


def test_scan_faults():
    step = gen(lambda carry, x: (normal(carry, 1.0) @ "n", x))
    with pytest.raises(ValueError, match=r"without xs, so its length must be given"):
        Scan(step).simulate(0.0)
    with pytest.raises(ValueError, match=r"do not agree: \[3, 4\].*time axis first"):
        Scan(step, 3).simulate(0.0, jnp.zeros(4))
    single = gen(lambda carry, x: normal(carry, 1.0) @ "n")
    with pytest.raises(TypeError, match=r"callee of Scan.* must return \(carry, out\)"):
        seed(Scan(single, 3).simulate)(KEY, 0.0)
    structure = gen(lambda carry, x: ((normal(0.0, 1.0) @ "n", carry), x))
    with pytest.raises(TypeError, match=r"The carry of Scan.*test_errors.py:\d+"):
        seed(Scan(structure, 3).simulate)(KEY, 0.0)


def test_cond_faults():
    with pytest.raises(TypeError, match=r"must be a bool.*got float32.*`x > 0`"):
        Cond(pair, pair).simulate(jnp.zeros(()))
    with pytest.raises(ValueError, match=r"must be one bool, got shape \(2,\).*vmap"):
        Cond(pair, pair).simulate(jnp.array([True, False]))
    scalar, vector = (gen(lambda shape=shape: normal(jnp.zeros(shape), 1.0) @ "x") for shape in ((), (3,)))
    with pytest.raises(ValueError, match=r"both have the address x, with choices of different shapes: \(\) and \(3,\)"):
        Cond(scalar, vector).simulate(True)
    with pytest.raises(ValueError, match=r"return values that cannot stand for each other.*same structure"):
        Cond(gen(lambda: 1.0), gen(lambda: (1.0, 2.0))).simulate(True)


TRANSFORMED = {
    "vmap": lambda: jax.vmap(lambda x: normal(x, 1.0) @ "x")(jnp.zeros(3)),
    "scan": lambda: jax.lax.scan(lambda c, _: (normal(c, 1.0) @ "x", None), 0.0, None, length=2),
    "cond": lambda: jax.lax.cond(jnp.array(True), lambda: normal(0.0, 1.0) @ "x", lambda: 0.0),
    "jit": lambda: jax.jit(lambda: normal(0.0, 1.0) @ "x")(),
    "grad": lambda: jax.grad(lambda m: normal(m, 1.0) @ "x")(0.0),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_address_under_a_transform_in_a_body(name):
    message = r"Address 'x' is used inside a JAX transform.*test_errors.py:\d+.*`gen_fn.vmap\(...\)`.*`Scan\(gen_fn, le"
    with pytest.raises(ValueError, match=message):
        gen(TRANSFORMED[name]).simulate()


def test_methods_that_a_users_function_lacks():
    from genjax import GFI, Pytree

    @Pytree.dataclass
    class Half(GFI):
        pass

    with pytest.raises(TypeError, match="Half does not define `simulate`"):
        Half().simulate()
    with pytest.raises(ValueError, match="Can't merge"):
        normal.merge(1.0, 2.0)
    with pytest.raises(TypeError, match=r"sel\(\) got int 3. Write sel\(\)"):
        sel(3)


def test_nan_densities_and_empty_selections_pass_through():
    trace, weight = pair.generate({"x": jnp.nan})
    assert jnp.isnan(weight) and jnp.isnan(trace.get_score())
    _, weight, _ = pair.regenerate(pair.simulate(), sel())
    assert weight == 0.0


def test_display():
    trace = seed(pair.simulate)(KEY)
    lines = repr(trace).splitlines()
    assert lines[0].startswith("Trace of pair, score ") and [line.split()[0] for line in lines[1:]] == ["x", "y"]
    assert "<table>" in trace._repr_html_() and "<code>x</code>" in trace._repr_html_()
    assert "gen(pair)" in pair._repr_html_() and "test_errors.py" in pair._repr_html_()
    assert "&lt;lambda&gt;" in gen(lambda: 0)._repr_html_()
    batch = jax.vmap(lambda _: pair.simulate())(jnp.arange(50))
    assert "batch [50]" in repr(batch) and "float32[50] in [" in repr(batch)
    wide = gen(lambda: [normal(0.0, 1.0) @ f"x{i}" for i in range(60)]).simulate()
    assert "20 more" in repr(wide) and len(repr(wide).splitlines()) == 42
