"""Constraints that do not fit the choice: an error with the address, both shapes and what to write."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    Cond,
    Scan,
    categorical,
    filled,
    flip,
    gen,
    indexed,
    init,
    masked,
    multivariate_normal,
    normal,
    seed,
    strict,
)
from genjax.core import ConstraintError

KEY = jax.random.key(0)
scalar = gen(lambda: normal(0.0, 1.0) @ "y")
vector = gen(lambda: normal(jnp.zeros(3), 1.0) @ "v")
steps = Scan(gen(lambda carry, x: (carry, normal(carry, 1.0) @ "o")), 4)
series = gen(lambda: steps(0.0, None) @ "s")
lanes = gen(lambda: normal.repeat(3)(0.0, 1.0) @ "ys")
left, right = gen(lambda: normal(0.0, 1.0) @ "a"), gen(lambda: normal(1.0, 1.0) @ "a")
forked = gen(lambda: Cond(left, right)(flip(0.5) @ "f") @ "c")


@pytest.mark.parametrize(
    ("model", "constraints", "says"),
    [
        (scalar, {"y": jnp.zeros(3)}, ["'y'", "(3,)", "()", "filled"]),
        (vector, {"v": 0.0}, ["'v'", "()", "(3,)"]),
        (vector, {"v": jnp.zeros(1)}, ["'v'", "(1,)", "(3,)"]),
        (vector, {"v": jnp.zeros((2, 3))}, ["'v'", "(2, 3)", "(3,)"]),
        (gen(lambda: normal(jnp.zeros(5), 1.0) @ "y"), {"y": jnp.zeros((5, 1))}, ["'y'", "(5, 1)", "(5,)"]),
        (gen(lambda: scalar() @ "in"), {"in": {"y": jnp.zeros(2)}}, ["('in', 'y')", "(2,)"]),
        (lanes, {"ys": jnp.zeros(4)}, ["'ys'", "(4,)", "3"]),
        (lanes, {"ys": 0.0}, ["'ys'", "()", "3"]),
        (series, {"s": {"o": jnp.zeros(3)}}, ["('s', 'o')", "(3,)", "4"]),
        (vector, {"v": masked(jnp.ones(2, bool), jnp.zeros(3))}, ["'v'", "(2,)", "(3,)"]),
        (forked, {"f": 2.5}, ["'f'", "2.5", "True"]),
        (scalar, {"y": None}, ["'y'", "None", "Leave out"]),
        (scalar, {"y": indexed(0, 1.0)}, ["'y'", "indices of lanes"]),
    ],
)
def test_error_says_address_and_both_shapes(model, constraints, says):
    uses = {
        "generate": lambda: model.generate(constraints),
        "compiled": lambda: jax.eval_shape(lambda: model.generate(constraints)),
        "particles": lambda: init(model, (), 2, constraints),
    }
    if constraints != {"y": None}:  # which `update` takes, because discards have it
        trace = seed(model.simulate)(KEY)
        uses["update"] = lambda: model.update(trace, constraints)
    for name, use in uses.items():
        with pytest.raises(ConstraintError) as raised:
            use()
        assert all(part in str(raised.value) for part in says), (name, str(raised.value))


def test_assess_in_a_model_checks_and_a_distribution_alone_is_elementwise():
    with pytest.raises(ConstraintError, match=r"'y' has shape \(3,\)"):
        scalar.assess({"y": jnp.zeros(3)})
    assert normal.assess(jnp.zeros(3), 0.0, 1.0)[0].shape == (3,)


def test_what_fits_is_taken():
    one = -0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(vector.generate({"v": filled(0.0)})[1], 3 * one, rtol=1e-6)
    np.testing.assert_allclose(lanes.generate({"ys": filled(0.0)})[1], 3 * one, rtol=1e-6)
    some = lanes.generate({"ys": indexed(jnp.array([0, -1]), filled(0.0))})
    np.testing.assert_allclose(some[1], 2 * one, rtol=1e-6)
    one_dimensional = gen(lambda: multivariate_normal(jnp.zeros(1), jnp.eye(1)) @ "o")
    np.testing.assert_allclose(one_dimensional.generate({"o": 0.0})[1], one, rtol=1e-6)


@pytest.mark.parametrize("value", [1, np.int32(1), np.int64(1), True, 1.0, jnp.array(1)])
def test_ones_and_zeros_for_a_flip_that_feeds_a_cond(value):
    trace, weight = forked.generate({"f": value, "c": {"a": 1.0}})
    assert trace.get_choices()["f"] == 1
    np.testing.assert_allclose(weight, np.log(0.5) - 0.5 * np.log(2 * np.pi) - 0.5, rtol=1e-5)
    if jnp.issubdtype(jnp.result_type(value), jnp.integer):
        _, traced = seed(forked.generate)(KEY, {"f": value, "c": {"a": 1.0}})
        np.testing.assert_allclose(traced, weight, rtol=1e-6)


def test_indices_out_of_range_or_given_twice():
    for indices, match in ((7, "-4 to 3"), (-5, "-4 to 3"), ([1, 1], "twice"), ([3, -1], "twice")):
        run = seed(lambda i=indices: series.generate({"s": indexed(i, {"o": 1.0})}))
        for call in (run, jax.jit(run)):
            with pytest.raises(ValueError, match=match):
                call(KEY)
    # Traced indices: never a finite weight.
    weigh = jax.jit(lambda i: seed(series.generate)(KEY, {"s": indexed(i, {"o": 1.0})})[1])
    assert jnp.isfinite(weigh(3)) and jnp.isfinite(weigh(-1)) and jnp.isnan(weigh(4)) and jnp.isnan(weigh(-5))
    assert jnp.isnan(weigh(jnp.array([1, 1])))
    counted = gen(lambda: categorical.repeat(3)(jnp.zeros(2)) @ "k")
    assert not jnp.isfinite(jax.jit(lambda i: seed(counted.generate)(KEY, {"k": indexed(i, 1)})[1])(3))


def test_misspelled_addresses_below_indexed_are_noticed_by_strict():
    for constraints in (indexed(1, {"oo": 1.0}), indexed(jnp.array([0, 2]), {"oo": jnp.ones(2)})):
        with pytest.raises(ValueError, match="'oo'; nearest: 'o'"):
            seed(lambda c=constraints: series.generate(strict({"s": c})))(KEY)
        with pytest.raises(ValueError, match="'oo'; nearest: 'o'"):
            seed(lambda c=constraints: steps.generate(strict(c), 0.0))(KEY)


def test_partial_constraints_of_a_step_that_holds_lanes():
    """`indexed` and `masked` over a step that holds a `Vmap`, below it, and over lanes of lanes."""
    rows = Scan(gen(lambda carry, x: (carry, normal.repeat(3)(carry, 1.0) @ "o")), 4)
    values = jnp.arange(12.0).reshape(4, 3)
    wide = masked(jnp.arange(4) < 2, {"o": values})
    cases = {
        "step": (indexed(2, {"o": values[2]}), np.arange(4)[:, None] == 2),
        "steps": (indexed(jnp.array([0, 3]), {"o": values[jnp.array([0, 3])]}), np.isin(np.arange(4), [0, 3])[:, None]),
        "lane of every step": ({"o": indexed(1, values[:, 1])}, np.arange(3) == 1),
        "lane of a step": (indexed(2, {"o": indexed(1, values[2, 1])}), np.arange(12).reshape(4, 3) == 7),
        "masked steps": (wide, np.arange(4)[:, None] < 2),
        "masked lanes of masked steps": (masked(jnp.arange(4) < 2, {"o": masked(values > 1, values)}), None),
    }
    for name, (constraints, seen) in cases.items():
        seen = np.broadcast_to((values > 1) & (values < 6) if seen is None else seen, (4, 3))
        trace, weight = seed(lambda c=constraints: rows.generate(c, 0.0))(KEY)
        got = np.asarray(trace.get_choices()["o"])
        np.testing.assert_array_equal(got[seen], np.asarray(values)[seen], err_msg=name)
        np.testing.assert_allclose(weight, np.sum(normal.logpdf(values, 0.0, 1.0)[seen]), rtol=1e-5, err_msg=name)
        np.testing.assert_array_equal(np.broadcast_to(_with_axes(trace.observed()["o"]), (4, 3)), seen, err_msg=name)
    grid = normal.repeat(3).repeat(4)
    for constraints, rows_seen in ((indexed(2, values[2]), np.arange(4) == 2), (wide["o"], np.arange(4) < 2)):
        _, weight = grid.generate(constraints, 0.0, 1.0)
        seen = np.broadcast_to(rows_seen[:, None], (4, 3))
        np.testing.assert_allclose(weight, np.sum(normal.logpdf(values, 0.0, 1.0)[seen]), rtol=1e-5)


def _with_axes(mask):
    return mask[:, None] if mask.ndim == 1 else mask


def test_any_mapping_is_a_choice_map():
    frozen = types.MappingProxyType({"s": types.MappingProxyType({"o": jnp.ones(4)})})
    _, weight = series.generate(frozen)
    np.testing.assert_allclose(weight, 4 * normal.logpdf(1.0, 0.0, 1.0), rtol=1e-6)
    np.testing.assert_allclose(series.assess(frozen)[0], weight, rtol=1e-6)
    with pytest.raises(ValueError, match="'t'"):
        series.generate(strict(types.MappingProxyType({"t": 1.0, "s": {"o": jnp.ones(4)}})))
    particles = init(series, (), 3, frozen)
    np.testing.assert_allclose(particles.log_weights, weight, rtol=1e-6)


def test_moves_to_another_number_of_steps_or_lanes_say_so():
    walk = Scan(gen(lambda carry, x: (normal(carry + x, 1.0) @ "z", x)))
    trace = seed(walk.simulate)(KEY, 0.0, jnp.zeros(3))
    with pytest.raises(ValueError, match=r"3 steps.*5"):
        walk.update(trace, None, 0.0, jnp.zeros(5))
    mapped = normal.vmap(in_axes=(0, None))
    with pytest.raises(ValueError, match=r"3 lanes.*5"):
        mapped.update(seed(mapped.simulate)(KEY, jnp.zeros(3), 1.0), None, jnp.zeros(5), 1.0)


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], (1.0, 2.0, 3.0)])
def test_lists_of_data_say_that_they_are_lists(values):
    lanes = gen(lambda: normal.repeat(3)(0.0, 1.0) @ "y")
    walk = Scan(gen(lambda carry, x: (carry, normal(carry, 1.0) @ "y")), 3)
    mapped = gen(lambda: normal.vmap(in_axes=(0, None))(jnp.zeros(3), 1.0) @ "y")
    for data in (values, masked(np.array([True, False, True]), values)):
        for model, args in ((lanes, ()), (walk, (0.0,)), (mapped, ())):
            with pytest.raises(ConstraintError, match=r"'y' is a list or tuple.*jnp.array\(values\)"):
                model.generate({"y": data}, *args)
    trace, _ = lanes.generate({"y": np.array(values)})
    with pytest.raises(ConstraintError, match="list or tuple"):
        trace.update({"y": values})


def test_tuples_for_a_vector_say_so():
    for method in (vector.generate, vector.assess):
        with pytest.raises(ConstraintError, match=r"'v' is a tuple.*jnp.array\(values\)"):
            method({"v": (1.0, 2.0, 3.0)})


def test_a_carry_of_integers_says_how_to_start():
    @gen
    def lagged(carry, _):
        y = normal(0.5 * carry[0] + 0.2 * carry[1], 1.0) @ "y"
        return (y, carry[0]), y

    walk = Scan(lagged, 3)
    with pytest.raises(TypeError, match=r"carry of Scan.*0\.0 instead of 0"):
        walk.generate({"y": np.ones(3)}, (0, 0))
    assert np.isfinite(walk.generate({"y": np.ones(3)}, (0.0, 0.0))[1])
