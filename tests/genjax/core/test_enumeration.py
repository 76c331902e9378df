"""Weights on discrete models, against sums over all of their choices.

The checks that use random runs take the mean of n weights, with five standard errors: false alarms below 1e-6 each.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, Scan, categorical, flip, gen, modular_vmap, seed, sel

KEY = jax.random.key(7)
N = 20_000


@gen
def noisy(bit, p):
    seen = flip(jnp.where(bit, p, 0.2)) @ "seen"
    return seen


@gen
def chain_step(state, p):
    state = flip(jnp.where(state, p, 0.3)) @ "state"
    flip(jnp.where(state, 0.9, 0.2)) @ "seen"
    return state, state


@gen
def common(p):
    z = flip(p) @ "z"
    return flip(jnp.where(z, 0.9, 0.4)) @ "r"


@gen
def rare(p):
    z = flip(p / 2) @ "z"
    flip(0.3) @ "only_rare"
    return z


@gen
def plates():
    bit = flip(0.4) @ "bit"
    noisy.repeat(2)(bit, 0.7) @ "pair"
    noisy.vmap(in_axes=(None, 0))(bit, jnp.array([0.6, 0.9])) @ "mapped"


@gen
def hidden_markov():
    kind = categorical(jnp.log(jnp.array([0.5, 0.3, 0.2]))) @ "kind"
    Scan(chain_step, 2)(kind > 0, jnp.array([0.8, 0.6])) @ "steps"


@gen
def mixture():
    which = flip(0.35) @ "which"
    value = Cond(common, rare)(which, 0.6) @ "branch"
    flip(jnp.where(value, 0.8, 0.1)) @ "seen"


@gen
def mixture_of_lanes():
    which = flip.repeat(2)(0.4) @ "which"
    Cond(common, rare).vmap(in_axes=(0, None))(which, 0.6) @ "branch"


MODELS = {
    "plates": (plates, {"pair": {"seen": jnp.array([True, False])}}, sel("bit", ("mapped", "seen"))),
    "hidden_markov": (hidden_markov, {"steps": {"seen": jnp.array([True, False])}}, sel(("steps", "state"))),
}
# The branch that is not taken has no density, so these are summed over the taken one by hand.
MIXTURES = {
    "mixture": (
        mixture,
        {"seen": True, "branch": {"z": True}},
        0.35 * 0.6 * (0.9 * 0.8 + 0.1 * 0.1) + 0.65 * 0.3 * 0.8,
    ),
    "mixture_of_lanes": (
        mixture_of_lanes,
        {"branch": {"z": jnp.array([True, False])}},
        (0.4 * 0.6 + 0.6 * 0.3) * (0.4 * 0.4 + 0.6 * 0.7),
    ),
}


def support(model):
    """Every value of every choice, stacked: a choice map with a leading axis."""
    shapes = jax.eval_shape(lambda: model.simulate().get_choices())
    leaves, tree = jax.tree.flatten(shapes)
    ranges = [range(3) if leaf.dtype == jnp.int32 else (False, True) for leaf in leaves for _ in range(leaf.size)]
    table = np.array(list(itertools.product(*ranges)))
    columns = np.split(table, np.cumsum([leaf.size for leaf in leaves])[:-1], axis=1)
    stacked = [c.reshape(len(table), *leaf.shape).astype(leaf.dtype) for c, leaf in zip(columns, leaves, strict=True)]
    return jax.tree.unflatten(tree, stacked)


def agrees(choices, constraints):
    """Which of the stacked choices have the constrained values."""
    if not isinstance(constraints, dict):
        same = np.asarray(choices) == np.asarray(constraints)
        return same.reshape(len(same), -1).all(1)
    return np.all([agrees(choices[addr], value) for addr, value in constraints.items()], axis=0)


def assert_mean(values, expected):
    values = np.asarray(values, float)
    assert abs(values.mean() - expected) <= 5 * values.std() / np.sqrt(len(values)) + 1e-9


def enumerated(model, constraints):
    """`(choices that agree with the constraints, their probabilities)`."""
    space = support(model)
    log_p = np.asarray(jax.jit(jax.vmap(lambda x: model.assess(x)[0]))(space), float)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)
    keep = agrees(space, constraints)
    return jax.tree.map(lambda leaf: leaf[keep], space), np.exp(log_p[keep])


@pytest.mark.parametrize("name", [*MODELS, *MIXTURES])
def test_generate_estimates_the_marginal(name):
    """E[exp(weight)] is the probability of the constraints."""
    if name in MODELS:
        model, constraints, _ = MODELS[name]
        marginal = enumerated(model, constraints)[1].sum()
    else:
        model, constraints, marginal = MIXTURES[name]
    weights = np.exp(jax.jit(seed(modular_vmap(lambda _: model.generate(constraints)[1])))(KEY, jnp.arange(N)))
    assert abs(weights.mean() - marginal) <= 5 * weights.std() / np.sqrt(N) + 1e-6
    assert weights.std() > 0


@pytest.mark.parametrize("name", MODELS)
def test_metropolis_hastings_by_regenerate_keeps_the_posterior(name):
    """Start from the exact posterior and make one move: the law of every choice is the same."""
    model, constraints, selection = MODELS[name]
    space, probability = enumerated(model, constraints)
    posterior = probability / probability.sum()

    def move(index, log_uniform):
        trace, _ = model.generate(jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], space))
        new, log_ratio, _ = model.regenerate(trace, selection)
        accept = log_uniform < log_ratio
        chosen = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, trace)
        return chosen.get_choices(), accept

    rng = np.random.default_rng(0)
    starts, uniforms = rng.choice(len(posterior), size=N, p=posterior), rng.uniform(size=N)
    moved, accepted = jax.jit(seed(modular_vmap(move)))(KEY, starts, np.log(uniforms, dtype=np.float32))
    assert 0.05 < accepted.mean() < 0.999
    for values, draws in zip(jax.tree.leaves(space), jax.tree.leaves(moved), strict=True):
        draws = np.asarray(draws, float).reshape(N, -1)
        exact = posterior @ values.reshape(len(values), -1)
        assert np.all(np.abs(draws.mean(0) - exact) <= 5 * draws.std(0) / np.sqrt(N) + 1e-6)
