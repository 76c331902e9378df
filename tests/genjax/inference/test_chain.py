"""Chains: what is kept, shapes, options, caching. Only one test depends on luck: means within 5 standard errors."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    Const,
    Scan,
    compute_ess,
    compute_rhat,
    const,
    flip,
    gen,
    get_choices,
    hmc,
    mh,
    modular_vmap,
    normal,
    save,
    seed,
    sel,
)
from genjax import chain as make_chain
from genjax.inference import mcmc
from tests.genjax.inference import exact

KEY = jax.random.key(0)


@gen
def model(xs, scale=1.0):
    slope = normal(0.0, 1.0) @ "slope"
    positive = flip(0.5) @ "positive"
    mean = jnp.where(positive, slope, -slope) * xs
    normal(mean, scale) @ "ys"
    return mean


XS = jnp.arange(3.0)
TRACE, _ = seed(model.generate)(KEY, {"ys": jnp.array([0.0, 1.0, 1.5])}, XS, scale=0.5)


def kernel(trace):
    return mh(trace, sel("slope", "positive"))


run = seed(make_chain(kernel))


@pytest.fixture(scope="module")
def full():
    return run(KEY, TRACE, 100)


def test_result_of_one_chain(full):
    assert full.traces["slope"].shape == (100,)
    assert full.traces["ys"].shape == (100, 3)
    assert full.traces.get_retval().shape == (100, 3)
    assert full.traces.scores().shape == (100,)
    assert jnp.isfinite(full.traces.get_score())
    assert full.traces.get_gen_fn() == model
    assert full.accepts.shape == (100,)
    assert (~full.accepts).dtype == bool
    np.testing.assert_allclose(full.acceptance_rate, full.accepts.mean(), rtol=1e-6)
    assert type(full.n_steps.value) is int
    assert full.n_steps == 100
    assert full.n_chains == 1
    assert full.rhat is full.ess_bulk is full.ess_tail is None
    assert isinstance(full, mcmc.MCMCResult)


def test_states_move_exactly_where_they_are_accepted(full):
    slopes = np.concatenate([[TRACE["slope"]], full.traces["slope"]])
    np.testing.assert_array_equal(np.diff(slopes) != 0, full.accepts)
    assert 0 < full.acceptance_rate < 1


def test_every_kept_trace_is_a_trace_of_the_model(full):
    choices = full.traces.get_choices()
    scores = jax.vmap(lambda c: -model.assess(c, XS, scale=0.5)[0])(choices)
    np.testing.assert_allclose(full.traces.scores(), scores, rtol=1e-5)
    np.testing.assert_allclose(full.traces.get_retval()[7], full.traces[7].get_retval())


@pytest.mark.parametrize(("burn_in", "thinning", "n_kept"), [(1, 2, 50), (2, 1, 98), (7, 10, 10), (99, 5, 1)])
def test_burn_in_and_thinning_only_choose(full, burn_in, thinning, n_kept):
    """The kept states are those of the full chain, bit by bit."""
    result = run(KEY, TRACE, const(100), burn_in=const(burn_in), autocorrelation_resampling=thinning)
    assert result.n_steps == n_kept
    kept = slice(burn_in, None, thinning)
    np.testing.assert_array_equal(result.traces["slope"], full.traces["slope"][kept])
    np.testing.assert_array_equal(result.accepts, full.accepts[kept])
    np.testing.assert_allclose(result.acceptance_rate, full.accepts[kept].mean(), rtol=1e-6)


@pytest.mark.usefixtures("optimised")
def test_steps_left_out_are_not_stored():
    """No array of the compiled program grows with the steps that are left out."""

    def memory(n_steps, thinning):
        lowered = jax.jit(functools.partial(run, n_steps=n_steps, autocorrelation_resampling=thinning))
        return lowered.lower(KEY, TRACE).compile().memory_analysis().temp_size_in_bytes

    # 4 bytes per step: the scan's own counter.
    assert memory(100_000, 1000) - memory(1000, 10) < 10 * 100_000


def test_no_steps(full):
    for result in (run(KEY, TRACE, 0), run(KEY, TRACE, 10, burn_in=10)):
        assert result.n_steps == 0
        assert result.traces["slope"].shape == (0,)
        assert result.accepts.shape == (0,)
        assert jnp.isnan(result.acceptance_rate)


# Arguments


def test_arguments_are_not_stacked(full):
    np.testing.assert_array_equal(full.traces.get_args()[0][0], XS)
    assert full.traces.get_args()[1] == {"scale": 0.5}
    sizes = [leaf.size for leaf in jax.tree.leaves(full.traces._args)]
    assert max(sizes) == 3


@pytest.mark.parametrize("take", [lambda t: t[41], lambda t: jax.tree.map(lambda leaf: leaf[41], t)])
def test_a_single_state_goes_on(full, take):
    state = take(full.traces)
    assert jax.tree.structure(state.get_args()) == jax.tree.structure(TRACE.get_args())
    np.testing.assert_array_equal(state.get_args()[0][0], XS)
    assert state["slope"] == full.traces["slope"][41]
    again = run(KEY, state, 3)
    assert jnp.isfinite(again.traces.get_score())
    assert seed(kernel)(KEY, state)["ys"].shape == (3,)


# Chains


@pytest.fixture(scope="module")
def four():
    return run(KEY, TRACE, const(200), n_chains=const(4))


def test_result_of_four_chains(four):
    assert four.traces["slope"].shape == (4, 200)
    assert four.traces["ys"].shape == (4, 200, 3)
    assert four.accepts.shape == (4, 200)
    assert four.accepts.dtype == bool
    np.testing.assert_allclose(four.acceptance_rate, four.accepts.mean(), rtol=1e-6)
    assert four.n_chains == 4
    assert len(np.unique(four.traces["slope"][:, -1])) == 4
    assert four.traces[1][5].get_retval().shape == (3,)
    np.testing.assert_array_equal(four.traces[1][5].get_args()[0][0], XS)


def test_diagnostics_of_four_chains(four):
    assert set(four.rhat) == set(four.ess_bulk) == set(four.ess_tail) == {"slope", "positive", "ys"}
    for name in ("slope", "positive"):
        samples = four.traces[name]
        np.testing.assert_allclose(four.rhat[name], compute_rhat(samples), rtol=1e-4)
        np.testing.assert_allclose(four.ess_bulk[name], compute_ess(samples), rtol=1e-4)
        np.testing.assert_allclose(four.ess_tail[name], compute_ess(samples, kind="tail"), rtol=1e-4)
        assert four.rhat[name].shape == ()
        assert four.rhat[name] > 0.5
    assert four.rhat["ys"].shape == (3,)
    assert np.all(np.isnan(four.rhat["ys"]))  # observed: constant


def test_chains_from_different_starts():
    starts = seed(modular_vmap(lambda: model.generate({"ys": XS}, XS, scale=0.5)[0], axis_size=3))(KEY)
    nothing = seed(make_chain(lambda t: mh(t, sel())))
    result = nothing(KEY, starts, 5, n_chains=3)
    np.testing.assert_array_equal(result.traces["slope"], np.repeat(starts["slope"][:, None], 5, axis=1))
    np.testing.assert_array_equal(result.traces[2][4].get_args()[0][0], XS)
    with pytest.raises(ValueError, match="n_chains=4 and a batch of 3 initial traces"):
        nothing(KEY, starts, 5, n_chains=4)


def test_chains_are_independent_and_each_right():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.0, "y": 1.0})
    mu = exact.run_chain(lambda t: mh(t, sel("mu")), trace, 2000, n_chains=4).traces["mu"]
    exact.assert_mean(mu, 0.8)
    exact.assert_mean((mu[0] - 0.8) * (mu[1] - 0.8), 0.0)


# Collecting


def test_collecting_choices_only(full):
    result = seed(make_chain(kernel, collect=get_choices))(KEY, TRACE, 100)
    assert isinstance(result.traces, dict)
    jax.tree.map(np.testing.assert_array_equal, result.traces, full.traces.get_choices())
    slopes = seed(make_chain(kernel, collect=lambda t: t["slope"]))(KEY, TRACE, 100, n_chains=2)
    assert slopes.traces.shape == (2, 100)
    assert slopes.rhat.shape == ()


def test_export(full, four):
    for result, n_chains in ((full, 1), (four, 4)):
        exported = result.to_dict()
        n_steps = result.n_steps.value
        shapes = {name: value.shape for name, value in exported["posterior"].items()}
        assert shapes == {
            "slope": (n_chains, n_steps),
            "positive": (n_chains, n_steps),
            "ys": (n_chains, n_steps, 3),
        }
        assert exported["sample_stats"]["accepted"].shape == (n_chains, n_steps)
        np.testing.assert_allclose(exported["sample_stats"]["lp"].sum(), -result.traces.get_score(), rtol=1e-5)


def test_export_names_paths():
    @gen
    def step(carry, _):
        x = normal(carry, 1.0) @ "x"
        return x, x

    @gen
    def outer():
        return Scan(step, length=2)(0.0, None) @ "steps"

    result = seed(make_chain(lambda t: mh(t, sel("steps"))))(KEY, seed(outer.simulate)(KEY), 4)
    assert result.to_dict()["posterior"]["steps/x"].shape == (1, 4, 2)


# Kernels


def test_the_last_move_of_a_step_decides_what_is_recorded():
    def two_moves(trace):
        return mh(mh(trace, sel("slope", "positive")), sel())  # the second always accepts

    assert seed(make_chain(two_moves))(KEY, TRACE, 30).acceptance_rate == 1.0


def test_a_kernel_that_saves_nothing_has_no_accepts():
    result = make_chain(lambda t: t.update({"slope": t["slope"] + 1.0})[0])(TRACE, 5)  # needs no key either
    assert result.acceptance_rate == 0.0
    np.testing.assert_allclose(result.traces["slope"], TRACE["slope"] + np.arange(1, 6), rtol=1e-6)


def test_a_kernel_may_change_arguments():
    result = make_chain(lambda t: t.update(None, t.get_args()[0][0] + 1.0, scale=0.5)[0])(TRACE, 4)
    np.testing.assert_array_equal(result.traces.get_args()[0][0], XS + np.arange(1, 5)[:, None])


def test_kernels_in_control_flow():
    def mixed(trace):
        return jax.lax.cond(
            trace["positive"],
            lambda t: mh(t, sel("slope", "positive")),
            lambda t: mh(t, sel("slope", "positive")),
            trace,
        )

    def several(trace):
        return jax.lax.fori_loop(0, 3, lambda _, t: mh(t, sel("slope", "positive")), trace)

    for composed in (mixed, several, jax.jit(kernel)):
        result = seed(make_chain(composed))(KEY, TRACE, 50)
        assert 0 < len(np.unique(result.traces["slope"])) <= 51
        assert result.accepts.shape[0] == 50


def test_python_scalars_as_constraints_stay_a_carry():
    trace, _ = model.generate({"ys": 1.5, "slope": 1, "positive": True}, 2.0)
    result = run(KEY, trace, 20)
    assert result.traces["slope"].dtype == jnp.float32
    assert result.traces["positive"].dtype == bool
    np.testing.assert_array_equal(result.traces["ys"], np.full(20, 1.5, np.float32))


def test_a_kernel_that_changes_shapes_is_an_error_that_names_the_leaf():
    with pytest.raises(TypeError, match=r"changed the shape of .*_retval.* from \(\) to \(2,\)"):
        make_chain(lambda t: dataclasses.replace(t, _retval=jnp.zeros(2)))(
            model.generate({"slope": 0.0, "ys": 1.0}, 1.0)[0], 3
        )


def test_a_kernel_that_changes_the_structure_is_an_error():
    with pytest.raises(TypeError, match="changed the structure of its trace"):
        make_chain(lambda t: normal.generate(1.0, 0.0, 1.0)[0])(TRACE, 3)


# Counts


def test_counts_that_are_no_counts():
    chain = make_chain(kernel)
    with pytest.raises(TypeError, match=r"n_steps must be a Python int, got a traced value.*const\(n\)"):
        jax.jit(lambda n: chain(TRACE, n))(3)
    with pytest.raises(TypeError, match="burn_in must be a Python int"):
        chain(TRACE, 3, burn_in=1.5)
    with pytest.raises(ValueError, match="n_steps must not be negative, got -1"):
        chain(TRACE, -1)
    with pytest.raises(ValueError, match="autocorrelation_resampling must be at least 1, got 0"):
        chain(TRACE, 3, autocorrelation_resampling=0)
    with pytest.raises(ValueError, match="n_chains must be at least 1, got 0"):
        chain(TRACE, 3, n_chains=0)


def test_a_function_has_nothing_that_adapts():
    with pytest.raises(TypeError, match=r"chain\(function\) got n_warmup, progress\. .* only a Kernel, such as HMC"):
        make_chain(kernel)(TRACE, 3, n_warmup=5, progress=True)


def test_integers_const_and_keywords_are_the_same(full):
    for n_steps in (100, const(100), Const(100), np.int64(100)):
        np.testing.assert_array_equal(run(KEY, TRACE, n_steps).traces["slope"], full.traces["slope"])
    np.testing.assert_array_equal(run(KEY, TRACE, n_steps=Const(100)).traces["slope"], full.traces["slope"])


# Determinism and caching


def test_same_key_same_result_under_jit_too():
    for i in range(4):
        key = jax.random.key(i)
        first, second = run(key, TRACE, 50), run(key, TRACE, 50)
        jax.tree.map(np.testing.assert_array_equal, first, second)
    jitted = jax.jit(lambda key: run(key, TRACE, 50))(key)
    np.testing.assert_allclose(jitted.traces["slope"], first.traces["slope"], rtol=1e-6)
    assert not np.array_equal(run(jax.random.key(0), TRACE, 50).accepts, first.accepts)


def test_a_second_call_does_not_trace_again():
    traced = []

    def counting(trace):
        traced.append(1)
        return mh(trace, sel("slope"))

    seed(make_chain(counting))(KEY, TRACE, 10)
    n_first = len(traced)
    assert n_first == 2  # staged for what steps hand on, and for a step
    for _ in range(3):
        seed(make_chain(counting))(KEY, TRACE, 10)  # written anew
    assert len(traced) == n_first


def test_one_run_per_kernel():
    assert make_chain(kernel) is make_chain(kernel)
    assert make_chain(kernel, collect=get_choices) is not make_chain(kernel)

    @functools.wraps(kernel)
    def wrapper(trace):
        save(accept=jnp.array(True))
        return trace

    assert make_chain(wrapper) is not make_chain(kernel)
    assert seed(make_chain(wrapper))(KEY, TRACE, 3).acceptance_rate == 1.0


def test_a_kernel_without_attributes():
    class Moves:
        def move(self, trace):
            return kernel(trace)

    assert seed(make_chain(Moves().move))(KEY, TRACE, 3).accepts.shape == (3,)
    assert seed(make_chain(functools.partial(hmc, selection=sel("slope"), step_size=0.1, n_steps=2)))(
        KEY, TRACE, 3
    ).accepts.shape == (3,)


def test_composes_with_vmap_over_keys(full):
    results = jax.vmap(lambda key: run(key, TRACE, 20))(jax.random.split(KEY, 3))
    assert results.traces["slope"].shape == (3, 20)
    assert results.n_steps == 20
