"""Metropolis-Hastings against exact posteriors. Fixed seeds; means within 5 standard errors (see `exact`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, Const, flip, gen, mh, modular_vmap, normal, save, seed, sel, state
from tests.genjax.inference import exact

KEY = jax.random.key(0)


def log_normal_density(y, loc, scale):
    return -0.5 * ((y - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


@gen
def two_sites():
    x = normal(0.0, 1.0) @ "x"
    y = normal(x, 0.5) @ "y"
    return y


def test_golden_trace_and_the_weight_that_decides():
    """Values of the published system for key 0; the weight is log N(y; x', 1/2) - log N(y; x, 1/2)."""
    trace = seed(two_sites.simulate)(KEY)
    np.testing.assert_allclose([trace["x"], trace["y"]], [-2.4424558, -3.0711946], rtol=1e-6)
    new, weight, _ = seed(two_sites.regenerate)(jax.random.key(1), trace, sel("x"))
    expected = log_normal_density(trace["y"], new["x"], 0.5) - log_normal_density(trace["y"], trace["x"], 0.5)
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


def test_acceptance_is_the_metropolis_ratio():
    """From one state, the accepted fraction of proposals is E min(1, exp(weight)), and states are old or proposed."""
    trace, _ = two_sites.generate({"x": 0.3, "y": 1.0})
    n = 4000
    keys = jax.random.split(KEY, n)
    moved, saved = jax.jit(jax.vmap(seed(state(mh)), in_axes=(0, None, None)))(keys, trace, sel("x"))
    assert np.all((np.asarray(moved["x"]) != np.float32(0.3)) == saved["accept"])
    np.testing.assert_array_equal(moved["y"], 1.0)
    np.testing.assert_allclose(
        -moved.scores(), log_normal_density(moved["x"], 0, 1) + log_normal_density(1.0, moved["x"], 0.5), rtol=1e-5
    )
    x = np.linspace(-8, 8, 20001)
    ratio = np.minimum(0, log_normal_density(1.0, x, 0.5) - log_normal_density(1.0, 0.3, 0.5))
    rate = np.trapezoid(np.exp(log_normal_density(x, 0, 1) + ratio), x)
    assert abs(saved["accept"].mean() - rate) < exact.SIGMAS * np.sqrt(rate * (1 - rate) / n)


def test_conjugate_normal():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.0, "y": 1.0})
    mu = exact.run_chain(lambda t: mh(t, sel("mu")), trace, 8000).traces["mu"]
    exact.assert_mean(mu, 0.8)
    exact.assert_mean((mu - 0.8) ** 2, 0.2)


def test_beta_bernoulli():
    trace, _ = exact.beta_bernoulli.generate({"p": 0.5, "flips": jnp.ones(4, bool)}, Const(4))
    p = exact.run_chain(lambda t: mh(t, sel("p")), trace, 8000).traces["p"]
    exact.assert_mean(p, 6 / 9)
    exact.assert_mean((p - 6 / 9) ** 2, 6 * 3 / (81 * 10))


def test_enumerated_posterior_over_a_scan():
    trace, _ = seed(exact.hidden_chain.generate)(KEY, {"steps": {"obs": exact.OBSERVED}})
    bits = exact.run_chain(lambda t: mh(t, sel(("steps", "state"))), trace, 8000).traces["steps"]["state"]
    codes = np.asarray(bits).astype(int) @ np.array([4, 2, 1])
    for code, probability in enumerate(exact.hidden_posterior()):
        exact.assert_mean(codes == code, probability)


@gen
def narrow():
    return normal(1.0, 0.5) @ "value"


@gen
def wide():
    centre = normal(-1.0, 1.0) @ "centre"
    return normal(centre, 1.0) @ "value"


@gen
def mixture():
    which = flip(0.3) @ "which"
    value = Cond(narrow, wide)(which) @ "part"
    normal(value, 1.0) @ "y"


def test_a_cond_whose_check_moves():
    """p(which | y): the branches' predictive densities of y are N(1, 1.25) and N(-1, 3)."""
    trace, _ = seed(mixture.generate)(KEY, {"y": 0.4})
    result = exact.run_chain(lambda t: mh(t, sel("which", "part")), trace, 8000)
    true = 0.3 * np.exp(log_normal_density(0.4, 1.0, np.sqrt(1.25)))
    false = 0.7 * np.exp(log_normal_density(0.4, -1.0, np.sqrt(3.0)))
    exact.assert_mean(result.traces["which"], true / (true + false))
    means = 1.0 + (0.4 - 1.0) * 0.25 / 1.25, -1.0 + (0.4 + 1.0) * 2.0 / 3.0
    exact.assert_mean(result.traces["part"]["value"], (true * means[0] + false * means[1]) / (true + false))


def test_a_model_made_of_combinators_in_its_body():
    """Statics made anew at each run compare equal, so old and new traces can be selected between."""

    @gen
    def inline():
        group = normal.repeat(3)(0.0, 1.0) @ "group"
        return Cond(narrow, wide)(group[0] > 0) @ "part"

    trace = seed(inline.simulate)(KEY)
    result = exact.run_chain(lambda t: mh(t, sel(())), trace, 8000)
    assert result.acceptance_rate == 1.0
    exact.assert_mean(result.traces["group"].sum(-1), 0.0)


def test_prior_only_accepts_everything_and_nothing_selected_changes_nothing():
    trace = seed(two_sites.simulate)(KEY)
    assert exact.run_chain(lambda t: mh(t, sel(())), trace, 200).acceptance_rate == 1.0
    result = exact.run_chain(lambda t: mh(t, sel()), trace, 20)
    assert result.acceptance_rate == 1.0
    np.testing.assert_array_equal(result.traces["x"], np.full(20, trace["x"]))


def test_saves_accept_once_and_works_unseeded_for_one_step():
    trace = two_sites.simulate()
    new, saved = state(lambda t: mh(t, "x"))(trace)
    assert saved.keys() == {"accept"}
    assert saved["accept"].dtype == bool
    assert saved["accept"].shape == ()
    assert new.get_gen_fn() == two_sites
    assert jax.tree.structure(new) == jax.tree.structure(trace)


def test_nan_weight_rejects():
    @gen
    def broken():
        x = normal(0.0, 1.0) @ "x"
        normal(jnp.sqrt(x), 1.0) @ "y"  # NaN for negative x

    trace, _ = broken.generate({"x": 1.0, "y": 1.0})
    result = exact.run_chain(lambda t: mh(t, sel("x")), trace, 200)
    assert result.traces["x"].min() > 0
    assert jnp.all(jnp.isfinite(result.traces.scores()))
    assert 0 < result.acceptance_rate < 0.6


def test_on_a_batch_of_traces():
    traces = modular_vmap(two_sites.simulate, axis_size=50)()
    moved = modular_vmap(lambda t: mh(t, sel("x")))(traces)
    assert 0 < (np.asarray(moved["x"]) != np.asarray(traces["x"])).sum() < 50


def test_a_fixed_choice_cannot_be_moved():
    from genjax import fixed

    trace, _ = two_sites.generate({"x": fixed(1.0)})
    with pytest.raises(ValueError, match="'x', which generate.* was given as data"):
        mh(trace, sel("x"))
    with pytest.raises(TypeError, match=r"fixed\(\) cannot be moved"):
        mh(trace, sel("x", force=True))
    assert mh(trace, sel("y"))["x"] == 1.0


def test_user_saves_in_the_kernel_stay_apart():
    def kernel(trace):
        save(before=trace["x"])
        return mh(trace, sel("x"))

    assert exact.run_chain(kernel, seed(two_sites.simulate)(KEY), 10).accepts.shape == (10,)
