"""What programs written for GenJAX rely on exactly."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    Cond,
    Const,
    Pytree,
    Scan,
    bernoulli,
    const,
    flip,
    gen,
    get_choices,
    modular_vmap,
    multivariate_normal,
    normal,
    seed,
    sel,
    tfp_distribution,
    trace,
)
from genjax.core import AllSel, ComplSel, DictSel, InSel, NoneSel, OrSel, Selection, StrSel, Thunk, TupleSel

KEY = jax.random.key(0)


# Pytree and Const


@Pytree.dataclass
class Record(Pytree):
    dynamic: Any
    static: str = Pytree.static()
    default: int = Pytree.static(default=3)


def test_pytree_leaves_are_unchanged():
    record = Record(dynamic=3.14, static="s")
    leaves, structure = jax.tree.flatten(record)
    assert leaves == [3.14] and type(leaves[0]) is float
    assert jax.tree.unflatten(structure, leaves) == record and hash(record) == hash(Record(3.14, "s"))
    assert jax.tree_util.keystr(jax.tree_util.tree_leaves_with_path(record)[0][0]) == ".dynamic"
    assert dataclasses.replace(record, default=4).default == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.dynamic = 1.0
    assert record != Record(3.14, "t") and record != Record(2.0, "s")


def test_pytree_under_transforms():
    made = jax.vmap(lambda x: Record(x, "s"))(jnp.arange(3.0))
    assert made.dynamic.shape == (3,) and made.static == "s" and made.default == 3
    scaled = jax.vmap(lambda record, x: record.dynamic * x, in_axes=(None, 0))(Record(2.0, "s"), jnp.arange(3.0))
    np.testing.assert_array_equal(scaled, [0, 2, 4])
    arrays = Record(jnp.arange(3), "s"), Record(jnp.arange(3), "s")
    assert arrays[0] == arrays[1]


def test_const():
    n = const(150)
    assert n == 150 and n == Const(150) and n != 3 and n > 100 and n <= 150 and hash(n) == hash(Const(150))
    for value, expected in (
        (n + 1, 151),
        (1 + n, 151),
        (n * const(2), 300),
        (n // 7, 21),
        (-n, -150),
        (2 ** const(3), 8),
    ):
        assert isinstance(value, Const) and value.value == expected
    assert jax.tree.leaves(n) == [] and list(range(const(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="Cannot add int and str"):
        n + "a"
    out = seed(lambda n: n)(KEY, n)
    assert type(out.value) is int
    assert modular_vmap(lambda x: (x, n))(jnp.zeros(2))[1].value == 150


# Traces


def test_distribution_traces():
    made = normal.simulate(0.0, 1.0)
    assert made.get_args() == ((0.0, 1.0), {}) and made.get_gen_fn() == normal
    assert made.get_choices() == made.get_retval()
    batch = modular_vmap(lambda m: normal.simulate(m, 1.0))(jnp.arange(3.0))
    assert batch.get_score().shape == () and jnp.isfinite(batch.get_score())
    assert normal.assess(jnp.zeros(4), 0.0, 1.0)[0].shape == (4,)
    for constraints, value in ((None, made.get_choices()), (1.5, 1.5)):
        new, weight, discard = normal.update(made, constraints, 1.0, 2.0)
        assert discard == made.get_choices() and new.get_choices() == value
        np.testing.assert_allclose(weight, made.get_score() - new.get_score(), rtol=1e-6)
    with pytest.raises(Exception, match="Can't merge"):
        normal.merge(1.0, 2.0)
    assert normal.merge(1.0, 2.0, jnp.array(True)) == (1.0, None)
    assert normal.filter(1.0, sel(())) == (1.0, None) and normal.filter(1.0, sel("x")) == (None, 1.0)


def test_update_with_extreme_densities():
    model = gen(lambda mean, scale: normal(mean, scale) @ "x")
    made, _ = model.generate({"x": 0.5}, 0.5, 1e-6)
    new, weight, _ = model.update(made, {"x": 0.5 + 1e-5}, 0.5, 1e-6)
    np.testing.assert_allclose(weight, made.get_score() - new.get_score(), rtol=1e-6)


def test_deterministic_functions():
    model = gen(lambda x, p=0.1, *rest: x + p + sum(rest))
    made = model.simulate(1.0, 2.0, 3.0)
    assert made.get_choices() == {} and made.get_score() == 0.0 and made.get_retval() == 6.0
    assert model.assess({}, 1.0) == (0.0, 1.1)
    assert model.simulate(1.0, p=1.0).get_retval() == 2.0


def test_functional_form_and_thunks():
    model = gen(lambda: trace("x", normal, (0.0,), {"scale": 1.0}))
    assert set(model.simulate().get_choices()) == {"x"}
    assert isinstance(normal.T(0.0, 1.0), Thunk)
    assert isinstance(normal(0.0, 1.0), jax.Array)


def test_merge_and_filter_of_functions():
    model = gen(lambda: None)
    merged, discarded = model.merge({"a": 1.0, "b": {"c": 2.0}}, {"a": 3.0, "b": {"d": 4.0}})
    assert merged == {"a": 3.0, "b": {"c": 2.0, "d": 4.0}} and discarded == {"a": 1.0}
    merged, discarded = model.merge({"a": 1.0}, {"a": 3.0, "e": 5.0}, jnp.array(True))
    assert merged == {"a": 1.0, "e": 5.0} and discarded is None
    checks = jnp.array([True, False])
    merged, _ = model.merge({"a": jnp.zeros((2, 3))}, {"a": jnp.ones((2, 3))}, checks)
    np.testing.assert_array_equal(merged["a"][:, 0], [0, 1])
    assert model.filter({}, sel("a")) == (None, None) == model.filter(None, sel("a"))


def test_inline_combinators_have_equal_structures():
    """Kernels map over (new trace, old trace), so combinators built in the body at each run must be equal."""

    @gen
    def model(x):
        a = normal.repeat(2)(x, 1.0) @ "a"
        b = normal.vmap(in_axes=(0, None))(a, 1.0) @ "b"
        c = Cond(normal, normal)(b[0] > 0, x, 1.0) @ "c"
        return Scan(inline_step, const(2))(c, jnp.zeros(2)) @ "d"

    inline_step = gen(lambda carry, x: (normal(carry, 1.0) @ "n", x))

    def structures(x):
        old = model.simulate(x)
        new = model.regenerate(old, sel("a"), x)[0]
        mixed = jax.tree.map(lambda a, b: jnp.where(True, a, b), new, old)
        return mixed.get_score()

    assert jnp.isfinite(seed(structures)(KEY, 0.0))


def test_python_scalars_as_constraints_stay_valid_as_carry():
    model = gen(lambda: (flip(0.3) @ "obs", normal(0.0, 1.0) @ "y"))
    made, weight = model.generate({"obs": True, "y": 1.5})
    np.testing.assert_allclose(weight, -made.get_score(), rtol=1e-6)

    def body(carry, _):
        return model.regenerate(carry, sel("obs"))[0], None

    assert seed(lambda t: jax.lax.scan(body, t, None, length=2)[0])(KEY, made).get_choices()["y"] == 1.5


def test_repeat_with_a_plain_argument_unseeded():
    model = gen(lambda n: normal.repeat(n)(0.0, 1.0) @ "samples")
    made = model.simulate(100)
    assert made.get_choices()["samples"].shape == (100,) == made.get_retval().shape


def test_empty_scan_needs_no_key():
    step = gen(lambda carry, x: (normal(carry + x, 1.0) @ "n", carry))
    made = Scan(step, const(0)).simulate(2.0, jnp.zeros(0))
    carry, outs = made.get_retval()
    assert made.get_score() == 0.0 and carry == 2.0 and outs.shape[0] == 0
    assert made.get_choices()["n"].shape == (0,)


@pytest.mark.parametrize("length", [1, 3, 5, 10])
def test_constrained_scan_needs_no_key(length):
    step = gen(lambda carry, x: (normal(carry, 1.0) @ "n", x))
    values = {"n": jnp.arange(float(length))}
    scan, xs = Scan(step, const(length)), jnp.zeros(length)
    made, weight = scan.generate(values, 0.0, xs)
    density, (carry, outs) = scan.assess(values, 0.0, xs)
    np.testing.assert_allclose(weight, density, rtol=1e-6)
    assert carry == length - 1 and outs.shape == (length,)
    np.testing.assert_allclose(scan.update(made, {"n": values["n"] + 1}, 0.0, xs)[1], -0.5, rtol=1e-5)


def test_vectorised_function_with_a_condition_inside():
    @gen
    def conditional_point(x, is_outlier):
        return (
            Cond(gen(lambda x: normal(x, 5.0) @ "obs"), gen(lambda x: normal(x, 1.0) @ "obs"))(is_outlier, x) @ "result"
        )

    model = gen(lambda xs, flags: conditional_point.vmap(in_axes=(0, 0))(xs, flags) @ "points")
    xs, flags = jnp.arange(4.0), jnp.array([True, False, True, False])
    made = model.simulate(xs, flags)
    observed = jnp.array([1.0, 2.0, 3.0, 4.0])
    new, weight, _ = model.update(made, {"points": {"result": {"obs": observed}}}, xs, flags)
    assert weight.shape == ()
    np.testing.assert_array_equal(new.get_choices()["points"]["result"]["obs"], observed)


def test_branches_with_different_addresses():
    cond = Cond(gen(lambda: normal(0.0, 1.0) @ "a"), gen(lambda: normal(5.0, 2.0) @ "b"))
    made = cond.simulate(jnp.array(True))
    assert set(made.get_choices()) == {"a", "b"}
    np.testing.assert_allclose(cond.assess(made.get_choices(), True)[0], -made.get_score(), rtol=1e-6)


def test_observations_of_one_dimension_may_be_scalars():
    density = multivariate_normal.assess(0.3, jnp.zeros(1), jnp.eye(1))[0]
    np.testing.assert_allclose(density, -0.96393853, rtol=1e-6)
    model = gen(lambda: multivariate_normal(jnp.zeros(1), jnp.eye(1)) @ "obs")
    np.testing.assert_allclose(model.generate({"obs": 0.3})[1], density, rtol=1e-6)


def test_densities_need_no_key_under_transforms():
    model = gen(lambda m: (normal(m, 1.0) @ "x", bernoulli(m) @ "b"))
    choices = {"x": 0.5, "b": 1}
    value = model.assess(choices, 0.3)[0]
    np.testing.assert_allclose(jax.jit(lambda m: model.assess(choices, m)[0])(0.3), value, rtol=1e-6)
    lanes = jax.jit(jax.vmap(lambda m: model.assess(choices, m)[0]))(jnp.array([0.3, 0.3]))
    np.testing.assert_allclose(lanes, [value, value], rtol=1e-6)
    slope = jax.grad(lambda m: model.assess(choices, m)[0])(0.3)
    np.testing.assert_allclose(slope, 0.2 + 1 - jax.nn.sigmoid(0.3), rtol=1e-5)
    assert jnp.isfinite(jax.hessian(lambda m: model.assess(choices, m)[0])(0.3))


def test_get_choices_of_anything():
    assert get_choices(42.0) == 42.0 and get_choices({"a": [1, 2]}) == {"a": [1, 2]}


def test_tfp_like_constructors():
    class Constant:
        def __init__(self, location):
            self.location = location

        def sample(self, seed, sample_shape=()):
            return self.location + 0 * jax.random.normal(seed, sample_shape)

        def log_prob(self, value):
            return -jnp.square(value - self.location)

    with_lambda = tfp_distribution(lambda location: Constant(location), name="Constant")
    made = seed(tfp_distribution(Constant).simulate)(KEY, 2.0)
    assert made.get_choices() == 2.0 and made.get_score() == 0.0
    assert with_lambda.sample(1.0, sample_shape=(3,)).shape == (3,) and repr(with_lambda) == "Constant"


# Selections


def test_match_gives_python_booleans():
    for selection in (sel(), sel(()), sel("a"), sel(("a", "b")), sel({"a": sel("b")}), ~sel("a"), sel("a") | sel("b")):
        assert selection.match("a")[0] in (True, False) and type(selection.match("a")[0]) is bool
    assert Selection(AllSel()).match(42)[0] is True
    assert sel().match(("x", "y"))[0] is False and sel("x").match(("x", "y"))[0] is False
    assert "a" in sel("a") and "b" not in sel("a") and sel("a")("a") == sel("a").match("a")


def test_selection_rules():
    assert sel(("a", "b")).match("a")[1].match("b")[0] is True
    assert sel(("a", "b")).match("a")[1].match("c")[0] is False
    assert TupleSel(Const(())).match("a")[0] is False
    assert ComplSel(StrSel(Const("a"))).match("a")[0] is False
    assert InSel(AllSel(), StrSel(Const("a"))).match("a")[0] is True
    assert OrSel(NoneSel(), StrSel(Const("a"))).match("b")[0] is False
    assert DictSel({"a": sel("b")}).match("a")[1].match("b")[0] is True
    assert DictSel({"a": sel("b")}).match([])[0] is False
    assert jax.tree.leaves(sel("a") | sel({"b": sel(())})) == []
    assert hash(sel("a")) == hash(sel("a")) and sel("a") == sel("a") != sel("b")
