"""What a chain takes out of its loop: gradients that the step before has computed, and noise that no state decides.

Exact comparisons of programs and of results under one key; the moments of chains are tested with each kernel.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, gen, hmc, mala, mh, modular_vmap, normal, seed, sel, state
from genjax.inference.kernels import HMC, NUTS, memory
from genjax.pjax.jax_internals import sub_jaxprs

# The module: its name in the package is that of the combinator.
repeat = importlib.import_module("genjax.inference.repeat")
KEY = jax.random.key(0)
EPS, STEPS = 0.3, 3


@gen
def model(scale):
    x = normal(0.0, 1.0) @ "x"
    y = normal(jnp.tanh(x), scale) @ "y"
    normal(x * y, 0.5) @ "z"
    return x


def start():
    return model.generate({"x": 0.3, "y": 0.2, "z": 1.0}, 0.7)[0]


def move(trace, address="x"):
    return hmc(trace, sel(address), EPS, STEPS)


def with_other_arguments(trace):
    (scale,), _ = trace.get_args()
    return model.update(trace, {}, 1.5 - scale)[0]


def sometimes(trace):
    return jax.lax.cond(normal.sample(0.0, 1.0) > 0, move, lambda trace: trace, trace)


def collected(trace):
    (moved, saved) = state(move)(trace)
    assert saved.keys() == {"accept"}
    return moved


KERNELS = {
    # name: (kernel, places in the body of the loop that evaluate tanh: in leapfrog's loop, at its end, ...)
    "hmc": (move, 2),
    "hmc twice": (lambda t: move(move(t)), 4),
    "jitted hmc": (jax.jit(move), None),
    "mala": (lambda t: mala(t, sel("x"), EPS), 1),
    "hmc, then mala": (lambda t: mala(move(t), sel("x"), EPS), 3),
    "hmc, then mh": (lambda t: mh(move(t), sel("y")), None),
    "mh, then hmc": (lambda t: move(mh(t, sel("y"))), None),
    "hmc of x, then of y": (lambda t: move(move(t), "y"), None),
    "hmc of x and of both": (lambda t: hmc(move(t), sel("x", "y"), EPS, STEPS), None),
    "mh of the same choice between": (lambda t: move(mh(move(t), sel("x"))), None),
    "other arguments, then hmc": (lambda t: move(with_other_arguments(t)), None),
    "hmc, then other arguments": (lambda t: with_other_arguments(move(t)), None),
    "hmc sometimes": (sometimes, None),
    "hmc inside of state": (collected, None),
}


def forget(monkeypatch):
    """Every move computes the gradient that it starts from."""
    monkeypatch.setattr(memory.Memory, "about", lambda self, trace: {})


def in_body(primitive, closed):
    """How often a primitive stands in the body of the chain's loop, at any depth."""

    def count(jaxpr):
        inner = (sub for eqn in jaxpr.eqns for sub in sub_jaxprs(eqn))
        return sum(eqn.primitive.name == primitive for eqn in jaxpr.eqns) + sum(map(count, inner))

    blocks = next(eqn for eqn in closed.jaxpr.eqns if eqn.primitive.name == "scan")
    steps = next(eqn for eqn in blocks.params["jaxpr"].jaxpr.eqns if eqn.primitive.name == "scan")
    return count(steps.params["jaxpr"].jaxpr)


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        *((name, "one chain") for name in KERNELS),
        ("hmc", "chains from one start"),
        ("hmc", "chains from several starts"),
    ],
)
def test_carried_gradients_change_nothing(name, lanes, monkeypatch):
    """The same chain as without a memory."""
    kernel, _ = KERNELS[name]
    trace, n_chains = start(), 1 if lanes == "one chain" else 3
    if lanes == "chains from several starts":
        trace = seed(modular_vmap(model.simulate, in_axes=None, axis_size=n_chains))(KEY, 0.7)
    run = lambda: seed(chain(lambda t: kernel(t)))(KEY, trace, 12, n_chains=n_chains)
    carried = run()
    forget(monkeypatch)
    anew = run()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), carried.traces, anew.traces)
    np.testing.assert_array_equal(carried.accepts, anew.accepts)
    assert len(np.unique(carried.traces["x"])) > n_chains * 4  # it moves


@pytest.mark.parametrize("name", [name for name, (_, count) in KERNELS.items() if count is not None])
def test_no_gradient_is_computed_twice(name, monkeypatch):
    kernel, expected = KERNELS[name]
    closed = jax.make_jaxpr(lambda trace: chain(lambda t: kernel(t))(trace, 10))(start())
    assert in_body("tanh", closed) == expected
    forget(monkeypatch)
    closed = jax.make_jaxpr(lambda trace: chain(lambda t: kernel(t))(trace, 10))(start())
    assert in_body("tanh", closed) == expected + name.count("hmc") + name.count("mala") + name.count("twice")


# Noise


def test_noise_that_no_state_decides_is_drawn_before_the_loop(monkeypatch):
    """Momentum and uniforms are; y given x is not."""
    run = lambda: jax.make_jaxpr(lambda trace: chain(lambda t: mh(move(t), sel("y")))(trace, 10))(start())
    assert in_body("pjax.sample", run()) == 1
    monkeypatch.setattr(repeat, "DRAWN_AHEAD", 0)
    assert in_body("pjax.sample", run()) == 4


def test_long_chains_draw_in_blocks(monkeypatch):
    """No array grows with steps that are left out; each state is kept where it belongs, in and behind full blocks."""
    monkeypatch.setattr(repeat, "DRAWN_AHEAD", 40)  # each step draws a momentum and a uniform: blocks of 20 steps
    monkeypatch.setattr(repeat, "FEWEST_AHEAD", 5)
    run = seed(chain(lambda t: move(t)))
    whole = run(KEY, start(), 67)
    assert len(np.unique(whole.traces["x"])) == 1 + np.sum(whole.accepts[1:])
    some = run(KEY, start(), 67, burn_in=3, autocorrelation_resampling=7)
    np.testing.assert_allclose(some.traces["x"], whole.traces["x"][3::7], rtol=1e-6)
    np.testing.assert_array_equal(some.accepts, whole.accepts[3::7])


def trajectories(jaxpr):
    """How many loops of a program, at any depth, have leapfrog steps as their turns: open loops that hold no others."""
    inner = [trajectories(body) for eqn in jaxpr.eqns for body in sub_jaxprs(eqn)]
    holds = lambda eqn: any(trajectories(body) for body in sub_jaxprs(eqn))
    return sum(inner) + sum(eqn.primitive.name == "while" and not holds(eqn) for eqn in jaxpr.eqns)


def short_blocks(monkeypatch):
    """A step of NUTS draws a momentum, 20 numbers and a key: for three chains, blocks of 25 steps."""
    monkeypatch.setattr(repeat, "DRAWN_AHEAD", 25 * 3 * 23)
    monkeypatch.setattr(repeat, "FEWEST_AHEAD", 5)


def test_a_rest_behind_full_blocks_is_not_compiled_as_a_second_trajectory(monkeypatch):
    kernel = NUTS(sel("x", "y"), EPS)
    program = lambda: jax.make_jaxpr(lambda trace: chain(kernel)(trace, 67, n_chains=3))(start()).jaxpr
    assert trajectories(program()) == 1
    short_blocks(monkeypatch)
    assert trajectories(program()) == 1


def test_the_length_of_a_chain_of_trajectories_changes_no_draws(monkeypatch):
    short_blocks(monkeypatch)
    run = lambda n_steps: seed(chain(NUTS(sel("x", "y"), EPS)))(KEY, start(), n_steps, n_chains=3).traces["x"]
    longest = run(67)
    assert len(np.unique(longest)) > 180
    for n_steps in (31, 50, 66):
        np.testing.assert_allclose(run(n_steps), longest[:, :n_steps], rtol=1e-4)


def test_chains_with_a_rest_have_derivatives_in_reverse(monkeypatch):
    """Of a step that has them: HMC's number of leapfrog steps is known."""
    monkeypatch.setattr(repeat, "DRAWN_AHEAD", 40)
    monkeypatch.setattr(repeat, "FEWEST_AHEAD", 5)
    model_at = lambda scale: model.generate({"x": 0.3, "y": 0.2, "z": 1.0}, scale)[0]
    last = lambda scale: seed(chain(HMC(sel("x"), 0.01, STEPS)))(KEY, model_at(scale), 47).traces["x"][-1]
    slope = (last(0.701) - last(0.699)) / 0.002
    np.testing.assert_allclose(jax.grad(last)(0.7), slope, rtol=0.02)


def test_chains_that_draw_much_draw_inside_of_the_loop(monkeypatch):
    monkeypatch.setattr(repeat, "DRAWN_AHEAD", 20 * repeat.FEWEST_AHEAD)
    few, many = (
        jax.make_jaxpr(lambda trace, n=n: chain(move)(trace, 100, n_chains=n))(start()) for n in (10, 11)
    )  # each chain draws two numbers at a step
    assert in_body("pjax.sample", few) == 0
    assert in_body("pjax.sample", many) == 2


def test_lanes_and_steps_draw_independently():
    """Prior moves of mh: 4 x 2000 independent N(0, 1). Means within 5 standard errors: false alarm 6e-7 each."""

    @gen
    def prior():
        return normal(0.0, 1.0) @ "x"

    trace, _ = prior.generate({"x": 0.0})
    values = seed(chain(lambda t: mh(t, sel("x"))))(KEY, trace, 2000, n_chains=4).traces["x"]
    assert np.unique(values).size > 0.99 * values.size  # few pairs of float32 draws are equal by chance
    for products in (values, values[:, 1:] * values[:, :-1], values[1:] * values[:-1], values**2 - 1):
        assert abs(np.mean(products)) < 5 * np.std(products) / np.sqrt(products.size)


def test_side_effects_stay_in_the_loop():
    seen = []

    def kernel(trace):
        jax.debug.callback(lambda x: seen.append(float(x)), trace["x"], ordered=True)
        return move(trace)

    values = seed(chain(kernel))(KEY, start(), 5).traces["x"]
    jax.effects_barrier()
    np.testing.assert_allclose(seen, [0.3, *values[:-1]], rtol=1e-6)
