"""Faults of the published GenJAX that ours must not have, one test each; names carry the numbers of the list."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    Cond,
    Const,
    Scan,
    Vmap,
    categorical,
    const,
    distribution,
    fixed,
    flip,
    gen,
    indexed,
    masked,
    modular_vmap,
    normal,
    seed,
    sel,
    strict,
)
from genjax.core import CondTr, NotFixedException, get_choices
from genjax.core.handlers import current_handler

KEY = jax.random.key(0)


def log_normal_density(x, mean, scale):
    return -0.5 * ((x - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


@gen
def point(x):
    y = normal(x, 1.0) @ "y"
    return y


@gen
def step(carry, x):
    n = normal(carry, 1.0) @ "n"
    m = normal(n, 2.0) @ "m"
    return n, m


def test_regression_15_1_2_unconstrained_vmapped_callee_in_generate():
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


def test_regression_15_1_3_vector_sites_give_scalar_weights():
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


def test_regression_15_1_4_scan_regenerate():
    scan = Scan(step, 3)
    trace = seed(scan.simulate)(KEY, 0.0, None)
    new, weight, discard = seed(scan.regenerate)(KEY, trace, sel("m"), 0.0, None)
    old_choices, choices = trace.get_choices(), new.get_choices()
    np.testing.assert_array_equal(choices["n"], old_choices["n"])
    assert np.all(choices["m"] != old_choices["m"])
    np.testing.assert_allclose(weight, 0.0, atol=1e-5)
    np.testing.assert_array_equal(discard["m"], old_choices["m"])


@pytest.mark.parametrize("axes", [0, [0]])
def test_regression_15_1_6_default_and_list_axes(axes):
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


def test_regression_15_1_8_update_of_cond_when_the_check_flips():
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


def test_regression_15_1_9_arguments_of_a_cond_trace():
    cond = Cond(point, point)
    trace = cond.simulate(True, 0.5)
    assert isinstance(trace, CondTr)
    args, kwargs = trace.get_args()
    assert bool(args[0]) is True and args[1:] == (0.5,) and kwargs == {}
    _, weight, _ = trace.update({"y": 0.5})
    np.testing.assert_allclose(weight, log_normal_density(0.5, 0.5, 1.0) + trace.get_score(), rtol=1e-5)


def test_regression_15_1_18_trace_of_a_vmap_updates_itself():
    model = point.vmap(in_axes=(0,))
    xs = jnp.arange(3.0)
    trace = model.simulate(xs)
    assert trace.get_gen_fn() == model
    np.testing.assert_array_equal(trace.get_args()[0][0], xs)
    new, weight, _ = trace.update({"y": xs})
    np.testing.assert_allclose(new.get_score(), -3 * log_normal_density(0.0, 0.0, 1.0), rtol=1e-6)
    np.testing.assert_allclose(weight, trace.get_score() - new.get_score(), rtol=1e-5)


def test_regression_15_1_19_handlers_do_not_outlive_exceptions():
    @gen
    def broken():
        normal(0.0, 1.0) @ "x"
        raise RuntimeError("from the body")

    for method in (broken.simulate, lambda: broken.assess({"x": 0.0}), lambda: broken.generate({"x": 0.0})):
        with pytest.raises(RuntimeError, match="from the body"):
            method()
        assert current_handler() is None
        assert isinstance(normal(0.0, 1.0), jax.Array)


def test_regression_15_1_19_models_run_in_threads():
    failures, barrier = [], threading.Barrier(2)

    @gen
    def slow(name):
        normal(0.0, 1.0) @ f"{name}1"
        barrier.wait(timeout=30)
        normal(0.0, 1.0) @ f"{name}2"

    def work(name):
        choices = slow.simulate(name).get_choices()
        if set(choices) != {f"{name}1", f"{name}2"}:
            failures.append(choices)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_regression_15_1_20_call_without_address():
    escaping = gen(lambda: normal(0.0, 1.0))  # defining it is no error
    with pytest.raises(ValueError, match=r'never given an address \(written at .*test_regressions.py:\d+.*@ "name"'):
        escaping.simulate()


def test_regression_15_1_21_strict_constraints():
    model = gen(lambda: (normal(0.0, 1.0) @ "mean", point(0.0) @ "point"))
    assert model.generate({"maen": 1.0})[1] == 0.0  # ignored, as ever
    with pytest.raises(ValueError, match=r"'maen'; nearest: 'mean'[\s\S]*Addresses used: 'mean', 'point'"):
        model.generate(strict({"maen": 1.0}))
    with pytest.raises(ValueError, match=r"'z'"):
        model.generate(strict({"point": {"z": 1.0}}))
    trace, weight = model.generate(strict({"mean": 1.0, "point": {"y": 0.0}}))
    np.testing.assert_allclose(weight, -trace.get_score(), rtol=1e-6)
    with pytest.raises(ValueError, match="'zzz'"):
        model.update(trace, strict({"zzz": 1.0}))
    with pytest.raises(ValueError, match="'zzz'"):
        model.assess(strict({"mean": 1.0, "point": {"y": 0.0}, "zzz": 1.0}))
    for combinator, args in ((point.vmap(), (jnp.zeros(2),)), (Cond(point, point), (True, 0.0))):
        with pytest.raises(ValueError, match="'wrong'"):
            combinator.generate(strict({"wrong": jnp.zeros(2)}), *args)


def test_regression_15_1_22_filter_agrees_with_regenerate_on_complements():
    pair = gen(lambda: (normal(0.0, 1.0) @ "a", normal(0.0, 1.0) @ "b"))
    model = gen(lambda: pair() @ "y")
    trace = model.simulate()
    selection = ~sel(("y", "a"))
    selected, unselected = model.filter(trace.get_choices(), selection)
    assert (list(selected["y"]), list(unselected["y"])) == (["b"], ["a"])
    new = model.regenerate(trace, selection)[0]
    assert new["y"]["a"] == trace["y"]["a"] and new["y"]["b"] != trace["y"]["b"]


def test_regression_15_1_23_verify_after_constraining():
    trace, weight = point.generate({"y": fixed(1.0)}, 0.0)
    assert trace.verify() is None
    assert trace.get_choices() == {"y": 1.0} and trace["y"] == 1.0
    np.testing.assert_allclose(weight, log_normal_density(1.0, 0.0, 1.0), rtol=1e-6)
    with pytest.raises(NotFixedException, match="NOT_FIXED") as raised:
        point.simulate(0.0).verify()
    assert raised.value.choice_map_status == {"y": False}
    assert gen(lambda: 1).simulate().verify() is None


def test_regression_15_1_24_metadata_and_repr():
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


def test_regression_15_1_27_cond_directly_under_vmap_and_scan():
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


def test_regression_15_1_29_calls_outside_of_models_and_checks():
    carry, outs = seed(Scan(step, 3))(KEY, 0.0, None)
    assert outs.shape == (3,) and carry.shape == ()
    cond = Cond(gen(lambda: {"r": (normal(0.0, 1.0) @ "x", 1)}), gen(lambda: {"r": (normal(9.0, 1.0) @ "x", 2)}))
    assert cond(True)["r"][1] == 1 and cond(np.bool_(False))["r"][1] == 2
    with pytest.raises(TypeError, match=r"bool.*got int.*`x > 0`"):
        cond(1)


@pytest.mark.parametrize("method", ["simulate", "assess", "generate", "update", "regenerate"])
def test_regression_15_3_46_work_grows_linearly_with_sites(method):
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


def test_regression_15_4_59_log_density_and_project():
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


def test_regression_15_4_52_plain_ints_where_const_was_required():
    assert seed(Scan(step, 2).simulate)(KEY, 0.0, None).get_choices()["n"].shape == (2,)
    assert Scan(step, 2) == Scan(step, const(2)) == Scan(step, length=Const(2))
    assert normal.repeat(const(3)).simulate(0.0, 1.0).get_choices().shape == (3,)
    assert normal.repeat(np.int64(3)) == normal.repeat(3)
    for build in (normal.repeat, lambda n: Scan(step, n)):
        with pytest.raises(TypeError, match=r"traced value.*`const\(n\)`"):
            jax.jit(lambda n, build=build: build(n).simulate(0.0, 1.0).get_score())(3)
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            build(-1)
        with pytest.raises(TypeError, match=r"must be an int or `const\(int\)`, got float 2.5"):
            build(2.5)


def test_regression_15_4_53_arguments_may_be_traced():
    trace = jax.jit(seed(lambda x, scale: normal.repeat(2)(x, scale)))(KEY, 0.0, 1.0)
    assert trace.shape == (2,)


def test_regression_15_4_54_defaults_of_combinators():
    xs = jnp.zeros(3)
    full = Vmap(point, in_axes=Const((0,)), axis_size=Const(3), axis_name=Const(None), spmd_axis_name=Const(None))
    assert full == Vmap(point, (0,), 3)
    assert Vmap(point).simulate(xs).get_choices()["y"].shape == (3,)
    inferred = Scan(gen(lambda carry, x: (carry + x, normal(carry, 1.0) @ "n")))
    assert seed(inferred.simulate)(KEY, 0.0, xs).get_choices()["n"].shape == (3,)
    assert seed(Scan(step, const(2)).simulate)(KEY, 0.0).get_choices()["n"].shape == (2,)


def test_regression_15_4_55_selections():
    choices = {"a": 1.0, "b": {"c": 2.0, "d": 3.0}, "e": 4.0}
    model = gen(lambda: None)

    def selected(selection):
        return model.filter(choices, selection)[0]

    assert selected(sel("a", "e")) == {"a": 1.0, "e": 4.0}
    assert selected(sel("a") | sel(("b", "c"))) == {"a": 1.0, "b": {"c": 2.0}}
    assert selected(sel("b") & ~sel(("b", "c"))) == {"b": {"d": 3.0}} == selected(sel("b") ^ ~sel(("b", "c")))
    assert (
        selected(sel({"b": {"c": ()}, "a": ()})) == {"a": 1.0, "b": {"c": 2.0}} == selected(sel({"b": "c"}) | sel("a"))
    )


def test_regression_15_4_56_lanes_of_a_batch():
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


@pytest.mark.parametrize("kind", ["vmap", "scan"])
def test_regression_15_4_57_constraints_on_some_lanes(kind):
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


def test_regression_15_4_61_messages():
    with pytest.raises(ValueError, match=r"'x' is outside of a running model, at .*test_regressions.py:\d+"):
        normal.T(0.0, 1.0) @ "x"
    with pytest.raises(KeyError, match=r"'y' is missing.*'point'.*Given: 'yy'; nearest: 'yy'"):
        point.assess({"yy": 1.0}, 0.0)
    with pytest.raises(KeyError, match=r"is no address of this trace; it has: 'y'"):
        point.simulate(0.0)["x"]
    growing = Scan(gen(lambda c, x: (jnp.ones(2) * (normal(c, 1.0) @ "n"), None)), 3)
    with pytest.raises(TypeError, match=r"carry of Scan.*test_regressions.py:\d+[\s\S]*float32\[\][\s\S]*float32\[2\]"):
        seed(growing.simulate)(KEY, 0.0, None)


def test_shared_and_nested_choices_are_plain():
    assert get_choices(42.0) == 42.0
    outer = gen(lambda: point(0.0) @ "inner")
    choices = get_choices({"t": outer.simulate(), "f": fixed(1.0)})
    assert choices["f"] == 1.0 and list(choices["t"]["inner"]) == ["y"]


def test_samplers_may_be_any_callable_with_concrete_values():
    seen = []

    def density(value, mean):
        seen.append((type(value), type(mean)))
        return 0.0 if jnp.allclose(value, mean) else -1.0  # branches in Python: needs concrete values

    model = distribution(lambda mean: mean + 1.0, density, name="shifted")
    trace = model.simulate(2.0)
    assert trace.get_choices() == 3.0 and trace.get_score() == 1.0
    constrained, weight = model.generate(2.0, 2.0)
    assert type(constrained.get_choices()) is float and weight == 0.0
    assert set(seen) == {(float, float)}
    assert distribution(lambda: 1.0, lambda value: -0.5).simulate().get_score() == 0.5
    assert flip.generate(True, 0.25)[0].get_choices() is True
