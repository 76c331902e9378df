"""Partly observed addresses: traces know what was observed, and kernels move the rest, at the grain of lanes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, Scan, chain, const, flip, gen, indexed, init, masked, mh, normal, poisson, seed, sel
from genjax.core.observed import movable
from genjax.inference import hmc, mala, rejuvenate
from tests.tiers import slow_except

XS = jnp.linspace(-1.0, 2.0, 9)
YS = 1.5 * XS + 0.5 * jnp.asarray(np.random.default_rng(0).normal(size=9))
SEEN = jnp.arange(9) % 3 != 0


@gen
def point(x, slope):
    return normal(slope * x, 0.5) @ "y"


@gen
def line(xs):
    slope = normal(0.0, 10.0) @ "slope"
    return point.vmap(in_axes=(0, None))(xs, slope) @ "points"


@gen
def line_of_one_vector(xs):
    slope = normal(0.0, 10.0) @ "slope"
    return normal(slope * xs, 0.5) @ "ys"


def exact_slope(xs, ys, sd=0.5):
    """Mean and standard deviation of the slope given these points alone."""
    precision = 1 / 100 + jnp.sum(xs**2) / sd**2
    return float(jnp.sum(xs * ys) / sd**2 / precision), float(precision**-0.5)


KERNELS = {
    "hmc on the slope": lambda t, ys: hmc(t, sel("slope"), 0.12, 6),
    "hmc on slope and ys": lambda t, ys: hmc(t, sel("slope", ys), 0.12, 6),
    "mala on everything": lambda t, ys: mala(t, sel(()), 0.25),
    "mh on ys, then hmc on the slope": lambda t, ys: hmc(mh(t, sel(ys)), sel("slope"), 0.12, 6),
}


FORMS = ["masked lanes", "indexed lanes", "masked vector"]
# Each kernel with one form, each form with one kernel.
PAIRS = [(name, form) for name in KERNELS for form in FORMS]
ONCE = [(name, FORMS[i % 3]) for i, name in enumerate(KERNELS)]


@pytest.mark.parametrize(("name", "form"), slow_except(ONCE, PAIRS, together=True))
def test_missing_values_are_integrated_out(name, form):
    """The slope has the posterior given the observed points alone, and observed values stay, whatever is selected.

    Five standard errors by the effective sample size: false alarms below 1e-6.
    """
    model, ys = (line_of_one_vector, "ys") if form == "masked vector" else (line, "points")
    given = {
        "masked lanes": masked(SEEN, {"y": YS}),
        "indexed lanes": indexed(jnp.flatnonzero(SEEN), {"y": YS[SEEN]}),
        "masked vector": masked(SEEN, YS),
    }[form]
    trace, _ = seed(model.generate)(jax.random.key(3), {ys: given}, XS)
    run = seed(chain(lambda t: KERNELS[name](t, ys)))
    result = run(jax.random.key(4), trace, const(1500), burn_in=const(100), n_chains=const(4))
    mean, sd = exact_slope(XS[SEEN], YS[SEEN])
    slopes, n = np.asarray(result.traces["slope"]), float(result.ess_bulk["slope"])
    assert n > 300
    assert abs(slopes.mean() - mean) < 5 * sd / np.sqrt(n)
    assert abs(slopes.std() / sd - 1) < 5 * np.sqrt(0.5 / n)
    values = result.traces.get_choices()[ys]
    values = np.asarray(values["y"] if form != "masked vector" else values)
    np.testing.assert_array_equal(values[..., SEEN], np.broadcast_to(YS[SEEN], values[..., SEEN].shape))
    assert np.unique(values[..., 0, 0]).size > 1 or values.shape[-1] > 1 and np.unique(values[..., 0]).size > 1


def test_mh_with_missing_values_of_a_scan_and_a_cond_agrees_with_enumeration():
    """A hidden chain whose steps are observed in part, through a `Cond`: exact by summing over all states."""

    noisy, exact = gen(lambda s: flip(0.5) @ "o"), gen(lambda s: flip(jnp.where(s, 0.9, 0.2)) @ "o")

    @gen
    def step(state, _):
        state = flip(jnp.where(state, 0.8, 0.3)) @ "state"
        Cond(noisy, exact)(state & False, state) @ "obs"
        return state, state

    model = Scan(step, 3)
    seen, os = jnp.array([True, False, True]), jnp.array([True, False, False])
    trace, _ = seed(model.generate)(jax.random.key(0), {"obs": masked(seen, {"o": os})}, False)
    np.testing.assert_array_equal(trace.observed()["obs"]["o"], seen)
    run = seed(chain(lambda t: mh(mh(t, sel("state")), sel("obs")), collect=lambda t: t.get_choices()))
    kept = run(jax.random.key(1), trace, const(20000)).traces
    np.testing.assert_array_equal(kept["obs"]["o"][:, seen], np.broadcast_to(os[seen], (20000, 2)))
    states = (np.arange(8)[:, None] >> np.arange(3)) & 1
    before = np.concatenate([np.zeros((8, 1), int), states[:, :-1]], 1)
    p_state = np.where(before, 0.8, 0.3)
    p_obs = np.where(states, 0.9, 0.2)
    weight = np.prod(np.where(states, p_state, 1 - p_state), 1)
    weight *= np.prod(np.where(seen, np.where(os, p_obs, 1 - p_obs), 1.0), 1)
    exact = (weight[:, None] * states).sum(0) / weight.sum()
    # Autocorrelation times of about 10: four times the bound of independent draws.
    np.testing.assert_allclose(np.asarray(kept["state"]).mean(0), exact, atol=5 * 0.5 * 4 / np.sqrt(20000))


def test_marks_say_what_was_observed_and_moves_keep_them():
    trace, _ = line.generate({"points": {"y": YS}}, XS)
    assert trace.observed() == {"points": {"y": True}}
    assert trace.update({"slope": 1.0})[0].observed() == {"points": {"y": True}}
    assert mh(trace, sel("slope")).observed() == {"points": {"y": True}}
    assert line.simulate(XS).observed() == {}
    assert line.generate({"slope": 0.0, "points": {"y": YS}}, XS)[0].observed() == {}  # a starting point
    assert trace.observe(None).observed() == {}
    some, _ = line.generate({"points": indexed(2, {"y": 1.0})}, XS)
    np.testing.assert_array_equal(some.observed()["points"]["y"], jnp.arange(9) == 2)
    grid = normal.vmap(in_axes=(0, None)).vmap(in_axes=(0, None))
    inner, _ = grid.generate(indexed(1, indexed(2, 5.0)), jnp.zeros((3, 4)), 1.0)
    expected = np.zeros((3, 4), bool)
    expected[1, 2] = True
    np.testing.assert_array_equal(inner.observed(), expected)
    assert inner.get_choices()[1, 2] == 5.0


def test_moving_data_is_an_error_unless_forced():
    trace, _ = line.generate({"points": {"y": YS}}, XS)
    for kernel in (lambda s: mh(trace, s), lambda s: hmc(trace, s, 0.1, 2), lambda s: mala(trace, s, 0.1)):
        for selection in (sel("points"), sel(("points", "y")), sel("slope", ("points", "y"))):
            with pytest.raises(ValueError, match=r"\('points', 'y'\), which generate\(\) was given as data"):
                kernel(selection)
        np.testing.assert_array_equal(kernel(sel(()))["points"]["y"], YS)
        np.testing.assert_array_equal(kernel(sel("slope", "points"))["points"]["y"], YS)
    forced = [mh(trace, sel("points", force=True))["points"]["y"] for _ in range(3)]
    assert any(np.any(values != YS) for values in forced)
    started, _ = line_of_one_vector.generate({"slope": 2.0}, XS)
    with pytest.raises(ValueError, match="observe"):
        mh(started, sel("slope"))
    assert mh(started.observe({"ys": YS}), sel("slope")).observed() == {"ys": True}


def test_discrete_missing_values_are_left_to_mh():
    counts = gen(lambda: poisson.repeat(3)(jnp.exp(normal(0.0, 1.0) @ "log_rate")) @ "n")
    seen = jnp.array([True, False, True])
    trace, _ = counts.generate({"n": masked(seen, jnp.array([1.0, 0.0, 2.0]))})
    np.testing.assert_array_equal(hmc(trace, sel("log_rate"), 0.1, 3)["n"][seen], jnp.array([1.0, 2.0]))
    flips = gen(lambda: flip.repeat(3)(jax.nn.sigmoid(normal(0.0, 1.0) @ "x")) @ "y")
    trace, _ = flips.generate({"y": masked(seen, jnp.array([True, False, True]))})
    np.testing.assert_array_equal(hmc(trace, sel("x"), 0.1, 3)["y"], trace["y"])
    assert list(movable(trace, sel("x"), "mh").held) == ["y"]


def test_particles_know_what_was_observed():
    cloud = seed(init)(jax.random.key(0), line, (XS,), const(6), {"points": masked(SEEN, {"y": YS})})
    moved = seed(lambda p: rejuvenate(p, lambda t: mh(t, sel("slope", "points"))))(jax.random.key(1), cloud)
    ys, before = moved.traces["points"]["y"], cloud.traces["points"]["y"]
    np.testing.assert_array_equal(ys[:, SEEN], np.broadcast_to(YS[SEEN], ys[:, SEEN].shape))
    assert np.any(ys[:, ~SEEN] != before[:, ~SEEN])
    near = gen(lambda observed, xs: normal(1.5, 0.3) @ "slope")
    proposed = seed(init)(jax.random.key(0), line, (XS,), const(6), {"points": {"y": YS}}, near)
    assert jax.eval_shape(lambda t: t[0], proposed.traces).observed() == {"points": {"y": True}}
