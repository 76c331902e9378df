"""Tempered models, tempered sequential Monte Carlo and parallel tempering against exact answers.

Bounds are 5 standard errors, estimated from independent repetitions: a false alarm has probability 1e-5 per bound.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import Scan, chain, flip, gamma, gen, get_choices, masked, normal, seed, sel
from genjax.core import Masked
from genjax.core.observed import observed_marks
from genjax.inference.kernels import HMC, MH, Function, ParallelTempering, RandomWalk, mh
from genjax.inference.tempered import Tempered, data_log_density, temper, untemper
from genjax.inference.tempered_smc import tempered_smc
from tests.genjax.inference.exact import assert_mean

KEY = jax.random.key(0)
YS = np.array([3.1, 2.4, 2.9, 3.6])


@gen
def normal_mean():
    """mu ~ N(0, 1), four observations of sd 0.3: far from the prior, so that importance sampling fails."""
    mu = normal(0.0, 1.0) @ "mu"
    normal.repeat(4)(mu, 0.3) @ "y"
    return mu


def exact_posterior(b=1.0):
    precision = 1 + b * 4 / 0.09
    return b * YS.sum() / 0.09 / precision, precision**-0.5


LOG_EVIDENCE = stats.multivariate_normal(np.zeros(4), np.ones((4, 4)) + 0.09 * np.eye(4)).logpdf(YS)


def within(values, expected, label=""):
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - expected) < 5 * error, f"{label}: {values.mean()} +- {error}, not {expected}"
    return error


@gen
def mixed():
    scale = gamma(3.0, 2.0) @ "scale"
    coin = flip(0.3) @ "coin"
    return normal.repeat(3)(jnp.where(coin, 1.0, -1.0), scale) @ "y"


@gen
def step(carry, _):
    state = normal(carry, 1.0) @ "state"
    normal(state, 0.5) @ "obs"
    return state, state


@gen
def walk():
    return Scan(step, length=3)(0.0, None) @ "steps"


CASES = {
    "whole": (mixed, {"y": jnp.array([1.0, -0.5, 0.3])}),
    "in part": (mixed, {"y": Masked(jnp.array([True, False, True]), jnp.array([1.0, 9.0, 0.3]))}),
    "in some steps": (walk, {"steps": masked(jnp.array([True, False, True]), {"obs": jnp.arange(3.0)})}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_tempered_density_is_prior_times_a_power(name):
    model, data = CASES[name]
    trace, weight = seed(model.generate)(KEY, data)
    tempered = temper(trace, 0.25)
    joint = -trace.get_score()
    np.testing.assert_allclose(data_log_density(trace), weight, rtol=1e-5)
    np.testing.assert_allclose(-tempered.get_score(), joint - 0.75 * weight, rtol=1e-5)
    gen_fn, (args, _) = tempered.get_gen_fn(), tempered.get_args()
    np.testing.assert_allclose(gen_fn.assess(tempered.get_choices(), *args)[0], -tempered.get_score(), rtol=1e-5)
    sites = jax.tree.leaves(gen_fn.sites(tempered.get_choices(), *args)[0], is_leaf=lambda n: hasattr(n, "log_density"))
    np.testing.assert_allclose(sum(jnp.sum(s.log_density) for s in sites), -tempered.get_score(), rtol=1e-5)
    back = untemper(tempered)
    assert jax.tree.structure(back) == jax.tree.structure(trace)
    np.testing.assert_allclose(back.get_score(), trace.get_score(), rtol=1e-5)
    moved, log_ratio, _ = gen_fn.update(tempered, None, 1.0)
    np.testing.assert_allclose(log_ratio, 0.75 * weight, rtol=1e-4)
    assert jax.tree.structure(observed_marks(moved)) == jax.tree.structure(observed_marks(trace))


def narrowing_hmc(b):
    return HMC("mu", 0.5 / jnp.sqrt(1 + 44 * b), 3)


def test_evidence_and_posterior_are_exact():
    """Means over 60 runs, of 100 particles each."""

    def run():
        found = tempered_smc(normal_mean, (), 100, {"y": jnp.asarray(YS)}, narrowing_hmc, n_moves=2)
        mu = found.get_choices()["mu"]
        return found.log_evidence(), jnp.mean(mu), jnp.mean(jnp.square(mu)), found.temperatures, found.n_steps

    evidence, mean, square, temperatures, n_steps = jax.jit(jax.vmap(seed(run)))(jax.random.split(KEY, 60))
    exact_mean, sd = exact_posterior()
    # In the natural scale the estimate is nearly unbiased; its bias of order 1/N is far below the bound.
    assert within(np.exp(np.asarray(evidence, np.float64) - LOG_EVIDENCE), 1.0, "evidence") < 0.1
    assert within(mean, exact_mean, "mean") < 0.03
    within(square, exact_mean**2 + sd**2, "square")
    assert np.all(n_steps > 2) and np.all(np.diff(temperatures, axis=1) >= 0) and np.all(temperatures[:, -1] == 1)


def test_discrete_choices_and_partly_observed_data():
    """p(coin, y_0, y_2) with the scale known, by enumeration; y_1 is inferred."""

    @gen
    def known():
        coin = flip(0.3) @ "coin"
        return normal.repeat(3)(jnp.where(coin, 1.0, -1.0), 0.5) @ "y"

    data = {"y": Masked(jnp.array([True, False, True]), jnp.array([0.4, 9.0, 0.3]))}
    likely = [stats.norm.pdf([0.4, 0.3], mean, 0.5).prod() for mean in (-1.0, 1.0)]
    evidence = 0.7 * likely[0] + 0.3 * likely[1]
    kernel = Function(lambda trace: mh(trace, sel("coin")))
    run = lambda: tempered_smc(known, (), 200, data, kernel)
    found = jax.jit(jax.vmap(seed(run)))(jax.random.split(KEY, 50))
    within(jnp.exp(jax.vmap(lambda f: f.log_evidence())(found)) / evidence, 1.0)
    coins = found.particles.traces.get_choices()["coin"]
    within(jnp.mean(coins, axis=1), 0.3 * likely[1] / evidence)
    ys = found.particles.traces.get_choices()["y"]
    np.testing.assert_allclose(ys[..., 0], 0.4)
    within(jnp.mean(ys[..., 1], axis=1), 2 * 0.3 * likely[1] / evidence - 1)


def test_bad_input_of_tempering():
    data = {"y": jnp.asarray(YS)}
    with pytest.raises(ValueError, match="0 < share < 1"):
        tempered_smc(normal_mean, (), 10, data, MH("mu"), ess_threshold=1.0)
    with pytest.raises(TypeError, match="a function from the inverse temperature to one, got float"):
        seed(tempered_smc)(KEY, normal_mean, (), 10, data, lambda b: 0.1)
    with pytest.raises(ValueError, match="nothing of this trace is marked as observed"):
        seed(tempered_smc)(KEY, normal_mean, (), 10, {}, MH("mu"))
    trace, _ = seed(normal_mean.generate)(KEY, data)
    with pytest.raises(TypeError, match="has a density but no sampler"):
        Tempered(normal_mean, observed_marks(trace)).simulate(1.0)


TEMPERATURES = jnp.array([1.0, 0.4, 0.1, 0.0])


def test_parallel_tempering_leaves_all_copies_where_they_are():
    """Copies that start at exact draws of their tempered posteriors have the same moments after five steps."""
    kernel = ParallelTempering(narrowing_hmc, TEMPERATURES)
    means, sds = np.array([exact_posterior(float(b)) for b in TEMPERATURES]).T

    def run(noise):
        def start(mu, b):
            trace, _ = normal_mean.generate({"mu": mu, "y": jnp.asarray(YS)})
            return temper(trace.observe({"y": jnp.asarray(YS)}), b)

        state = kernel.init(normal_mean.generate({"mu": 0.0, "y": jnp.asarray(YS)})[0].observe({"y": 0}))
        state = dataclasses.replace(state, traces=jax.vmap(start)(means + sds * noise, TEMPERATURES))
        state, infos = jax.lax.scan(lambda state, _: kernel.step(state), state, None, length=5)
        return state.traces.get_choices()["mu"], state.trace["mu"], state.swap_acceptance, infos

    noise = jnp.asarray(np.random.default_rng(0).normal(size=(3000, 4)), jnp.float32)
    mu, first, rates, infos = jax.jit(jax.vmap(seed(run)))(jax.random.split(KEY, 3000), noise)
    np.testing.assert_array_equal(mu[:, 0], first)
    for i in range(4):
        within(mu[:, i], means[i], f"mean {i}")
        within(jnp.square((mu[:, i] - means[i]) / sds[i]), 1.0, f"variance {i}")
    assert np.all(rates.mean(0) > 0.01) and np.all(rates <= 1)
    assert np.all(infos.n_gradients == 4 * 3) and infos.accept.shape == (3000, 5)


@gen
def two_modes():
    x = normal(0.0, 2.0) @ "x"
    return normal(jnp.square(x) + 0.3 * x, 0.3) @ "y"


def test_parallel_tempering_finds_both_modes():
    """P(x > 0 | y = 4) by quadrature; the kernel alone never leaves the mode where it starts."""
    grid = np.linspace(-8, 8, 200_001)
    density = stats.norm.pdf(grid, 0, 2) * stats.norm.pdf(4.0, grid**2 + 0.3 * grid, 0.3)
    share = density[grid > 0].sum() / density.sum()
    trace, _ = two_modes.generate({"x": 1.9, "y": 4.0})
    kernel = RandomWalk("x", 0.2)
    tempered = ParallelTempering(lambda b: RandomWalk("x", 0.2 / jnp.sqrt(b + 0.01)), jnp.geomspace(1.0, 0.003, 6))
    start = trace.observe({"y": 4.0})
    alone, found = (
        seed(chain(k, collect=get_choices))(KEY, start, 4000, burn_in=100).traces["x"] for k in (kernel, tempered)
    )
    assert np.all(alone > 0)
    assert_mean(found > 0, share)


@pytest.mark.parametrize("ladder", [[1.0], [0.5, 0.1], [1.0, 1.0], [1.0, -0.1], 1.0])
def test_a_ladder_goes_down_from_one(ladder):
    with pytest.raises(ValueError, match="two or more, from 1 downwards"):
        ParallelTempering(MH("mu"), ladder)
