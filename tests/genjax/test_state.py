"""`state` collects what is saved, out of every control flow. Nothing here is a statistical test."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax
from genjax import modular_vmap, namespace, normal, save, seed, state, tag_state
from genjax.state import State

KEY = jax.random.key(0)


def saved_by(function, *args, **kwargs):
    return state(function)(*args, **kwargs)[1]


def assert_tree_equal(got, wanted):
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


# Saving


def test_save_returns_what_it_is_given_and_does_nothing_outside_of_state():
    assert save(a=1, b=2.0) == {"a": 1, "b": 2.0}
    assert save() == {}
    assert save(1) == 1
    assert save(1, 2) == (1, 2)
    assert tag_state(3, name="n") == 3
    assert tag_state(3, 4, name="n") == (3, 4)
    assert not jax.make_jaxpr(lambda x: namespace(save, "ns")(x=x)["x"])(1.0).jaxpr.eqns


def test_named_values_tags_and_keywords():
    def f(x, *, y):
        save(x=x, twice=2 * x)
        tag_state(y, name="tag")
        tag_state(x, y, name="pair")
        return x + y

    result, saved = state(f)(jnp.float32(1.0), y=jnp.float32(2.0))
    assert result == 3.0
    assert_tree_equal(saved, {"x": 1.0, "twice": 2.0, "tag": 2.0, "pair": (1.0, 2.0)})


def test_last_value_of_a_name_wins():
    assert_tree_equal(saved_by(lambda x: (save(a=x), save(a=x + 1))[0]["a"], 1.0), {"a": 2.0})


def test_pytree_values_keep_their_structure():
    value = {"b": (jnp.arange(2), {"c": jnp.ones(3)}), "empty": {}}
    assert_tree_equal(saved_by(lambda v: save(tree=v), value), {"tree": value})


def test_decorator_keeps_the_name():
    @state
    def f(x):
        save(x=x)
        return x

    assert f.__name__ == "f"
    assert_tree_equal(f(1.0), (1.0, {"x": 1.0}))


# Namespaces


def test_namespaces_nest_and_leaf_mode_stores_at_the_namespace():
    def inner(x):
        save(x=x)
        namespace(save, "leaf")(x + 1)
        namespace(save, "leaves")(x, x + 2)
        return x

    def outer(x, y=0.0):
        save(top=y)
        return namespace(inner, "inner")(x)

    saved = saved_by(lambda x: namespace(outer, "outer")(x, y=5.0), 1.0)
    wanted = {"outer": {"top": 5.0, "inner": {"x": 1.0, "leaf": 2.0, "leaves": (1.0, 3.0)}}}
    assert_tree_equal(saved, wanted)


def test_namespace_is_left_when_the_function_raises():
    def failing():
        raise RuntimeError("inside")

    def f(x):
        with pytest.raises(RuntimeError, match="inside"):
            namespace(failing, "ns")()
        return save(x=x)["x"]

    assert_tree_equal(saved_by(f, 1.0), {"x": 1.0})


def test_namespace_around_scan():
    def step(carry, x):
        save(carry=carry)
        return carry + x, None

    saved = saved_by(namespace(lambda xs: jax.lax.scan(step, 0.0, xs), "loop"), jnp.arange(3.0))
    assert_tree_equal(saved, {"loop": {"carry": np.array([0.0, 0.0, 1.0], np.float32)}})


def test_a_jitted_function_saves_in_the_namespace_of_each_call():
    """Its jaxpr is cached by JAX: neither the call outside of `state` nor the first namespace may stick."""
    g = jax.jit(lambda x: save(x=x)["x"] * 2)

    def f(x):
        return namespace(g, "one")(x) + namespace(g, "two")(x + 1) + g(x + 2)

    g(1.0)
    assert_tree_equal(saved_by(f, 1.0), {"one": {"x": 1.0}, "two": {"x": 2.0}, "x": 3.0})
    assert g(1.0) == 2.0


# Errors


def test_errors():
    with pytest.raises(ValueError, match="Cannot use both positional args.*and keyword args"):
        save(1, a=2)
    with pytest.raises(ValueError, match=r"Leaf mode save\(\) requires being inside a namespace"):
        state(lambda x: save(x))(1.0)
    with pytest.raises(ValueError, match=r"tag_state requires at least one value"):
        tag_state(name="a")
    with pytest.raises(TypeError):
        tag_state(1)
    with pytest.raises(TypeError, match="'ns/label'"):
        state(lambda x: namespace(lambda: save(label="text"), "ns")())(1.0)


def test_an_error_inside_leaves_no_state_behind():
    def failing(x):
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        state(failing)(1.0)
    assert save(1) == 1  # leaf mode would raise if collecting went on


# Control flow


def loop_with_saves(x):
    def step(carry, i):
        save(carry=carry)
        return carry * 2, carry

    return jax.lax.scan(step, x, jnp.arange(3))[0]


def test_scan_stacks():
    assert_tree_equal(saved_by(loop_with_saves, 1.0), {"carry": np.array([1, 2, 4], np.float32)})


def test_scan_of_length_zero_and_reverse():
    def f(n, reverse):
        return lambda x: jax.lax.scan(
            lambda c, i: (c + i, save(i=i)["i"]), x, jnp.arange(n, dtype=float), reverse=reverse
        )

    assert saved_by(f(0, False), 1.0)["i"].shape == (0,)
    np.testing.assert_array_equal(saved_by(f(3, True), 1.0)["i"], [0.0, 1.0, 2.0])


def test_nested_scan_map_and_static_fori_loop():
    def f(x):
        jax.lax.scan(lambda c, i: (loop_with_saves(c), None), x, jnp.arange(2))
        jax.lax.map(lambda i: save(mapped=i)["mapped"], jnp.arange(4))
        return jax.lax.fori_loop(0, 3, lambda i, c: (save(index=i), c + i)[1], 0)

    saved = saved_by(f, 1.0)
    wanted = {"carry": np.array([[1, 2, 4], [8, 16, 32]], np.float32), "mapped": np.arange(4), "index": np.arange(3)}
    assert_tree_equal(saved, wanted)


@pytest.mark.parametrize(("x", "in_body", "in_condition"), [(1.0, 4.0, 8.0), (9.0, 0.0, 9.0)])
def test_while_gives_the_last_value_and_zeros_if_it_never_ran(x, in_body, in_condition):
    def f(x):
        return jax.lax.while_loop(
            lambda c: save(checked=c)["checked"] < 5, lambda c: save(body=c)["body"] * 2, jnp.float32(x)
        )

    assert_tree_equal(saved_by(f, x), {"checked": in_condition, "body": in_body})


def test_while_that_never_ran_keeps_the_value_saved_before():
    def f(x):
        save(a=x)
        return jax.lax.while_loop(lambda c: c < 0, lambda c: save(a=c)["a"] + 1, x)

    assert_tree_equal(saved_by(f, 3.0), {"a": 3.0})


def test_dynamic_fori_loop():
    saved = saved_by(lambda n: jax.lax.fori_loop(0, n, lambda i, c: c + save(i=i)["i"], 0), 4)
    assert saved["i"] == 3


@pytest.mark.parametrize(("index", "both", "only_second", "before"), [(0, 10, 0, 7), (1, 21, 31, 41), (2, 12, 0, 7)])
def test_switch_gives_the_branch_taken(index, both, only_second, before):
    def f(i):
        save(before=7)

        def second():
            save(only_second=31, before=41)
            return save(both=21)["both"]

        return jax.lax.switch(i, [lambda: save(both=10)["both"], second, lambda: save(both=12)["both"]])

    assert_tree_equal(saved_by(f, index), {"before": before, "both": both, "only_second": only_second})


def test_cond_in_scan():
    def step(c, i):
        return c, jax.lax.cond(i % 2 == 0, lambda: save(even=i)["even"], lambda: -1)

    saved = saved_by(lambda: jax.lax.scan(step, 0, jnp.arange(1, 5)))
    np.testing.assert_array_equal(saved["even"], [0, 2, 0, 4])


def test_branches_that_save_different_things_under_one_name():
    def f(p):
        return jax.lax.cond(p, lambda: save(a=1.0)["a"], lambda: save(a=jnp.ones(3))["a"][0])

    with pytest.raises(ValueError, match="save different things as 'a'"):
        state(f)(True)


def test_inner_jit_and_remat():
    f = jax.checkpoint(jax.jit(lambda x: jnp.sin(save(x=x)["x"])))
    assert_tree_equal(saved_by(f, 2.0), {"x": 2.0})


@jax.custom_jvp
def cube(x):
    return save(x=x)["x"] ** 3


@cube.defjvp
def cube_jvp(primals, tangents):
    return primals[0] ** 3, 7.0 * tangents[0]  # not the derivative, so that a lost rule shows


@jax.custom_vjp
def square(x):
    save(count=1)
    return save(x=x)["x"] ** 2


square.defvjp(lambda x: (x**2, x), lambda x, g: (5.0 * g,))


@pytest.mark.parametrize(("function", "slope"), [(cube, 7.0), (square, 5.0)])
def test_custom_derivatives(function, slope):
    assert saved_by(function, 2.0)["x"] == 2.0
    gradient, saved = jax.grad(lambda x: state(function)(x), has_aux=True)(2.0)
    assert gradient == slope
    assert saved["x"] == 2.0


def test_custom_jvp_inside_scan_under_grad():
    def f(x):
        (c, saved) = state(lambda x: jax.lax.scan(lambda c, _: (cube(c), None), x, None, length=2)[0])(x)
        return c, saved

    gradient, saved = jax.grad(f, has_aux=True)(1.1)
    np.testing.assert_allclose(gradient, 49.0)
    np.testing.assert_allclose(saved["x"], [1.1, 1.1**3], rtol=1e-6)


# Transforms


def everything(x):
    save(x=x)
    y = jax.checkpoint(lambda x: jnp.sin(save(r=x)["r"]))(loop_with_saves(x))
    return jax.lax.cond(x > 0, lambda: save(branch=y)["branch"], lambda: y * 2)


def test_jit_inside_and_outside_agree():
    eager = state(everything)(1.0)
    for other in (jax.jit(state(everything)), state(jax.jit(everything))):
        jax.tree.map(np.testing.assert_allclose, other(1.0), eager)


def test_vmap_outside():
    saved = jax.vmap(state(everything))(jnp.array([1.0, -2.0]))[1]
    np.testing.assert_array_equal(saved["carry"], [[1, 2, 4], [-2, -4, -8]])
    np.testing.assert_allclose(saved["branch"], [np.sin(8.0), 0.0], rtol=1e-6)


@pytest.mark.parametrize("vmap", [jax.vmap, modular_vmap])
def test_vmap_inside_gives_every_lane_also_of_what_is_not_mapped(vmap):
    def f(x):
        save(x=x, constant=jnp.float32(3.0))
        return x

    saved = saved_by(vmap(f), jnp.arange(2.0))
    assert_tree_equal(saved, {"x": np.arange(2, dtype=np.float32), "constant": np.full(2, 3, np.float32)})
    moved = saved_by(lambda m: vmap(f, in_axes=1)(m), jnp.ones((4, 2)))
    assert moved["x"].shape == (2, 4)


def test_vmap_inside_with_a_loop_that_ends_at_different_times():
    def f(x):
        return jax.lax.while_loop(lambda c: c < 5, lambda c: save(last=c)["last"] * 2, x)

    x = jnp.array([1.0, 3.0, 9.0])
    assert_tree_equal(state(jax.vmap(f))(x), jax.vmap(state(f))(x))


def test_grad_inside_and_outside():
    gradient, saved = state(jax.grad(everything))(1.0)
    expected, expected_saved = jax.grad(lambda x: state(everything)(x), has_aux=True)(1.0)
    np.testing.assert_allclose(gradient, expected)
    assert jax.tree.structure(saved) == jax.tree.structure(expected_saved)
    jax.tree.map(np.testing.assert_allclose, saved, expected_saved)


def noisy(x):
    y = normal.sample(x, 1.0)
    save(y=y)

    def step(c, _):
        z = normal.sample(c, 1.0)
        save(z=z)
        return z, z

    return jax.lax.scan(step, y, None, length=3)[1]


def test_seed_inside_and_outside_agree():
    zs, saved = seed(state(noisy))(KEY, 1.0)
    np.testing.assert_array_equal(saved["z"], zs)
    other = state(seed(noisy))(KEY, 1.0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), other, (zs, saved))


def test_unseeded_and_vmapped_sites():
    draws, saved = state(lambda: modular_vmap(lambda: save(y=normal.sample(0.0, 1.0))["y"], axis_size=5)())()
    np.testing.assert_array_equal(draws, saved["y"])
    assert len(np.unique(draws)) == 5


def test_saves_in_a_model():
    @genjax.gen
    def model():
        x = normal(0.0, 1.0) @ "x"
        save(doubled=2 * x)
        return x

    trace, saved = seed(state(model.simulate))(KEY)
    np.testing.assert_array_equal(saved["doubled"], 2 * trace["x"])


def test_an_inner_state_keeps_its_saves():
    def f(x):
        _, inner = state(lambda x: save(inner=x)["inner"])(x)
        return save(outer=inner["inner"] + 1)["outer"]

    assert_tree_equal(saved_by(f, 1.0), {"outer": 2.0})


def test_state_instance_accumulates():
    run = State(collected_state={"given": 0}, namespace_stack=["ns"])
    assert run.eval(lambda x: save(x=x)["x"], 1.0) == 1.0
    run.eval(lambda x: save(y=x)["y"], 2.0)
    assert_tree_equal(run.collected_state, {"given": 0, "ns": {"x": 1.0, "y": 2.0}})


def test_unsupported_transform_is_named():
    def f(b):
        return jax.lax.custom_linear_solve(lambda x: save(x=x)["x"] * 2, b, lambda matvec, b: b / 2)

    with pytest.raises(NotImplementedError, match="A save under `state` stands inside `custom_linear_solve`"):
        state(f)(1.0)
