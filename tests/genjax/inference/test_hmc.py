"""HMC against exact targets, and its work against a chain written by hand.

Seeds are fixed; means are within 5 standard errors (see `exact`).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

from genjax import Cond, Const, Scan, flip, gen, get_choices, hmc, normal, seed, sel, state
from genjax import chain as make_chain
from genjax.inference.kernels.density import selected_density
from genjax.inference.kernels.leapfrog import leapfrog
from tests.genjax.inference import exact

KEY = jax.random.key(0)
N_STEPS = 8000


def test_conjugate_normal():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.0, "y": 1.0})
    result = exact.run_chain(lambda t: hmc(t, sel("mu"), step_size=0.2, n_steps=4), trace, N_STEPS)
    assert result.acceptance_rate > 0.6
    exact.assert_mean(result.traces["mu"], 0.8)
    exact.assert_mean((result.traces["mu"] - 0.8) ** 2, 0.2)


def test_correlated_vector():
    trace = seed(exact.correlated.simulate)(KEY)
    result = exact.run_chain(lambda t: hmc(t, sel("v"), 0.4, 5), trace, N_STEPS)
    assert result.acceptance_rate > 0.6
    centred = result.traces["v"] - jnp.array([1.0, -1.0])
    for i in range(2):
        exact.assert_mean(centred[:, i], 0.0)
        for j in range(i + 1):
            exact.assert_mean(centred[:, i] * centred[:, j], exact.COVARIANCE[i, j])


def test_skewed_target():
    trace = seed(exact.skewed.simulate)(KEY)
    traces = exact.run_chain(lambda t: hmc(t, sel(()), 0.3, 5), trace, N_STEPS).traces
    exact.assert_mean(traces["x"], 0.0)
    exact.assert_mean(traces["y"], 0.5)
    exact.assert_mean((traces["y"] - 0.5) ** 2, 1.5)
    exact.assert_mean(traces["x"] ** 2 * traces["y"], 1.5)


@pytest.mark.parametrize(("transform", "step_size"), [(True, 0.3), (False, 0.05)])
def test_beta_bernoulli_stays_in_the_support(transform, step_size):
    trace, _ = exact.beta_bernoulli.generate({"p": 0.5, "flips": jnp.ones(4, bool)}, Const(4))
    result = exact.run_chain(lambda t: hmc(t, sel("p"), step_size, 5, transform=transform), trace, N_STEPS)
    assert result.acceptance_rate > 0.5
    assert result.traces["p"].min() >= 0
    assert result.traces["p"].max() <= 1
    assert jnp.all(jnp.isfinite(result.traces.scores()))
    exact.assert_mean(result.traces["p"], 6 / 9)


@gen
def walk_step(position, _):
    position = normal(position, 1.0) @ "position"
    normal(position, 1.0) @ "obs"
    return position, position


@gen
def left():
    return normal(-1.0, 1.0) @ "v"


@gen
def right():
    return normal(2.0, 0.5) @ "v"


@gen
def nested():
    group = left.repeat(2)() @ "group"
    Scan(walk_step, length=2)(group[0], None) @ "walk"
    which = flip(0.5) @ "which"
    return Cond(left, right)(which) @ "part"


def test_choices_under_vmap_scan_and_cond():
    """Positions given group[0] = g: linear Gaussian, solved by NumPy; the branch of `part` is held fixed."""
    obs = np.array([1.0, 2.0], np.float32)
    constraints = {"walk": {"obs": obs}, "which": False}
    trace, _ = seed(nested.generate)(KEY, constraints)
    selection = sel("group", "part", ("walk", "position"))
    result = exact.run_chain(lambda t: hmc(t, selection, 0.35, 5), trace, N_STEPS)
    # Precision of (group[0], position_1, position_2).
    precision = np.array([[2.0, -1.0, 0.0], [-1.0, 3.0, -1.0], [0.0, -1.0, 2.0]])
    mean = np.linalg.solve(precision, np.array([-1.0, obs[0], obs[1]]))
    group, walk = result.traces["group"]["v"], result.traces["walk"]["position"]
    for samples, expected in zip((group[:, 0], walk[:, 0], walk[:, 1]), mean, strict=True):
        exact.assert_mean(samples, expected)
    exact.assert_mean(group[:, 1], -1.0)
    exact.assert_mean(result.traces["part"]["v"], 2.0)
    exact.assert_mean((result.traces["part"]["v"] - 2.0) ** 2, 0.25)
    np.testing.assert_array_equal(result.traces["walk"]["obs"], np.broadcast_to(obs, (N_STEPS, 2)))


# The integrator


def follow(density, momentum, step_size, n_steps):
    gradient = density.evaluate(density.position).gradient
    return leapfrog(density, gradient, momentum, step_size, n_steps)


def skewed_density():
    trace, _ = exact.skewed.generate({"x": 0.7, "y": 1.1})
    return selected_density(trace, sel(()), "hmc")


def energy(log_density, momentum):
    return 0.5 * sum(jnp.sum(r**2) for r in momentum) - log_density


def test_leapfrog_is_reversible():
    with jax.enable_x64(True):
        density = skewed_density()
        momentum = [jnp.array(0.4), jnp.array(-1.3)]
        end = follow(density, momentum, 0.1, 12)
        back = follow(
            density._replace(position=end.position, log_density=end.point.log_density, computed=end.point.computed),
            [-r for r in end.momentum],
            0.1,
            12,
        )
        np.testing.assert_allclose(back.position, density.position, rtol=1e-5)
        np.testing.assert_allclose(back.momentum, [-r for r in momentum], rtol=1e-5)


def test_energy_error_is_of_second_order():
    """Halving the step at fixed time divides the error by 4; float64 keeps rounding out of it."""
    with jax.enable_x64(True):
        trace, _ = exact.skewed.generate({"x": jnp.float64(0.7), "y": jnp.float64(1.1)})
        density = selected_density(trace, sel(()), "hmc")
        momentum = [jnp.float64(0.4), jnp.float64(-1.3)]
        start = energy(density.log_density, momentum)
        errors = []
        for n_steps in (8, 16, 32, 64):
            end = follow(density, momentum, 0.8 / n_steps, n_steps)
            errors.append(abs(energy(end.point.log_density, end.momentum) - start))
        ratios = np.array(errors[:-1]) / np.array(errors[1:])
        np.testing.assert_allclose(ratios, 4.0, rtol=0.2)


def test_the_end_of_a_trajectory_is_an_update():
    density = skewed_density()
    end = follow(density, [jnp.float32(0.4), jnp.float32(-1.3)], 0.1, 3)
    trace = density.trace_at(end.position, end.point.computed)
    old, _ = exact.skewed.generate({"x": 0.7, "y": 1.1})
    expected, _, _ = old.update(dict(zip("xy", end.position, strict=True)))
    assert jax.tree.structure(trace) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), trace, expected)


# Calls


def test_larger_steps_are_accepted_less():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.0, "y": 1.0})
    run = jax.jit(lambda eps: exact.run_chain(lambda t: hmc(t, sel("mu"), eps, 3), trace, 400).acceptance_rate)
    rates = [float(run(eps)) for eps in (0.01, 0.8, 5.0)]
    assert rates[0] > 0.99
    assert rates[0] >= rates[1] > rates[2]
    assert rates[2] < 0.2


def test_numbers_of_steps():
    trace, _ = exact.conjugate_normal.generate({"mu": 0.3, "y": 1.0})
    move = seed(lambda t, n: hmc(t, sel("mu"), 0.1, n))
    static = [seed(lambda t, n=n: hmc(t, sel("mu"), 0.1, n))(KEY, trace)["mu"] for n in (0, 3, Const(3))]
    traced = [move(KEY, trace, n)["mu"] for n in (0, 3)]
    np.testing.assert_allclose(static, [*traced, traced[1]], rtol=1e-6)
    np.testing.assert_allclose(static[0], 0.3, rtol=1e-6)
    with pytest.raises(ValueError, match="n_steps=-1"):
        hmc(trace, sel("mu"), 0.1, -1)


def test_one_step_unseeded_and_what_it_saves():
    trace = exact.skewed.simulate()
    moved, saved = state(lambda t: hmc(t, sel("x"), 0.1, 3))(trace)
    assert saved.keys() == {"accept"}
    assert jax.tree.structure(moved) == jax.tree.structure(trace)
    assert moved["y"] == trace["y"]
    moved, saved = state(lambda t: hmc(t, sel(), 0.1, 3))(trace)
    assert saved == {"accept": True}
    assert moved["x"] == trace["x"]


def test_discrete_choices_are_an_error_that_names_them():
    trace = seed(nested.simulate)(KEY)
    with pytest.raises(TypeError, match="hmc was asked to move the choice 'which' of dtype bool"):
        hmc(trace, sel("which", "part"), 0.1, 3)


# Cost

XS = jnp.linspace(0.0, 1.0, 50)
YS = jax.random.normal(jax.random.key(3), (50,))
NAMES = ("a", "b", "c")


@gen
def point(x, a, b, c):
    return normal(a + b * x + c * x**2, 0.1) @ "y"


@gen
def polynomial(xs):
    a, b, c = (normal(0.0, 1.0) @ name for name in NAMES)
    return point.vmap(in_axes=(0, None, None, None))(xs, a, b, c) @ "ys"


def handwritten_chain(key, start, xs, ys, step_size, n_leapfrog, n_steps):
    """The same algorithm: a carried gradient, one density per trajectory, all noise drawn before the loop."""

    def log_density(s):
        mean = s["a"] + s["b"] * xs + s["c"] * xs**2
        return sum(norm.logpdf(s[n]) for n in NAMES) + jnp.sum(norm.logpdf(ys, mean, 0.1))

    value_and_grad = jax.value_and_grad(log_density)
    add = lambda values, scale, by: jax.tree.map(lambda v, b: v + scale * b, values, by)

    def step(at, noise):
        s, value, gradient = at
        momentum, log_uniform = noise

        def leap(at, _):
            q = add(at[0], step_size, at[1])
            return (q, add(at[1], step_size, value_and_grad(q)[1])), None

        first = s, add(momentum, 0.5 * step_size, gradient)
        (q, p), _ = jax.lax.scan(leap, first, None, length=n_leapfrog - 1)
        q = add(q, step_size, p)
        v, g = value_and_grad(q)
        p = add(p, 0.5 * step_size, g)
        kinetic = lambda p: 0.5 * sum(r**2 for r in p.values())
        accept = log_uniform < v - kinetic(p) - value + kinetic(momentum)
        at = jax.tree.map(lambda new, old: jnp.where(accept, new, old), (q, v, g), at)
        return at, (at[0], accept)

    momentum_key, accept_key = jax.random.split(key)
    momenta = dict(zip(NAMES, jax.random.normal(momentum_key, (len(NAMES), n_steps)), strict=True))
    log_uniforms = jnp.log(jax.random.uniform(accept_key, (n_steps,)))
    _, (states, accepts) = jax.lax.scan(step, (start, *value_and_grad(start)), (momenta, log_uniforms))
    return states, accepts, jnp.mean(accepts)


@pytest.mark.usefixtures("optimised")
def test_work_is_that_of_a_handwritten_chain():
    """By XLA's own count, which looks at the body of a loop once: gradients, densities, keys, selects of one step."""
    start = dict.fromkeys(NAMES, jnp.float32(0.1))
    trace, _ = polynomial.generate({**start, "ys": {"y": YS}}, XS)
    coefficients = lambda t: {n: t[n] for n in NAMES}
    run = seed(make_chain(lambda t: hmc(t, sel(*NAMES), 0.01, 20), collect=coefficients))
    ours = jax.jit(lambda key, trace: run(key, trace, 10)).lower(KEY, trace).compile()
    theirs = jax.jit(lambda key, start, xs, ys: handwritten_chain(key, start, xs, ys, 0.01, 20, 10))
    theirs = theirs.lower(KEY, start, XS, YS).compile()
    assert ours.cost_analysis()["flops"] <= 1.02 * theirs.cost_analysis()["flops"]


def test_collecting_choices_gives_what_the_traces_hold():
    trace = seed(exact.skewed.simulate)(KEY)
    kernel = lambda t: hmc(t, sel(()), 0.3, 2)
    choices = seed(make_chain(kernel, collect=get_choices))(KEY, trace, 20).traces
    traces = seed(make_chain(kernel))(KEY, trace, 20).traces
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), choices, traces.get_choices())
