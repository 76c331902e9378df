"""Weighted particles are proper on average over data: Geweke's test for sequential Monte Carlo.

Parameters and data are drawn together from a model, and particles are made for the data. With Z the estimate of the
evidence and w_i the normalised weights, `E[Z / p(y) sum_i w_i f(x_i, y)] = E[f(x, y)]` for any function f, and
`E[Z / p(y)] = 1`, whatever the number of particles. Each mean is within 5 standard errors of the paired difference: a
false alarm has probability 6e-7 per function, and seeds are fixed. Each wrong move is the right one with one thing
changed.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import multivariate_normal, norm

from genjax import gen, get_choices, normal, seed
from genjax.inference import change, extend, init
from genjax.inference.kernels import RandomWalk
from genjax.inference.tempered_smc import tempered_smc

N_REPLICATES = 2000


@gen
def four_seen():
    mu = normal(0.0, 1.0) @ "mu"
    normal.repeat(4)(mu, 0.4) @ "y"


def tempered():
    """Particles of `four_seen`, tempered; at 30 particles the bias of temperatures chosen by them is far below."""
    truth = four_seen.simulate().get_choices()
    y = truth["y"]
    kernel = lambda b: RandomWalk("mu", 1.2 / jnp.sqrt(1 + 25 * b))
    found = tempered_smc(four_seen, (), 30, {"y": y}, kernel, n_moves=3)
    exact = multivariate_normal.logpdf(y, jnp.zeros(4), jnp.ones((4, 4)) + 0.16 * jnp.eye(4))
    f = lambda choices: jnp.stack([choices["mu"], choices["mu"] ** 2, jnp.sum((choices["y"] - choices["mu"]) ** 2)])
    return found.particles, exact, f, truth


@gen
def old_model():
    x = normal(0.0, 1.0) @ "x"
    normal(x, 0.7) @ "y"


@gen
def new_model():
    z = normal(0.5, 2.0) @ "z"
    normal(z, 0.7) @ "y"


@gen
def nudge(choices):
    normal(0.3 * choices["x"], 0.8) @ "u"


@gen
def nudge_back(choices):
    normal(-0.2 * choices["z"], 0.6) @ "v"


def changed():
    """From one model to another by z = 2 (x + u), v = -u."""
    truth = new_model.simulate().get_choices()
    y = truth["y"]
    particles = init(old_model, (), 4, {"y": y})
    mapping = lambda choices, u: ({"z": 2 * (choices["x"] + u["u"]), "y": choices["y"]}, {"v": -u["u"]})
    moved = change(particles, new_model, (), mapping, forward=nudge, backward=nudge_back)
    exact = norm.logpdf(y, 0.5, jnp.sqrt(4.49))
    f = lambda choices: jnp.stack([choices["z"], choices["z"] ** 2, (choices["y"] - choices["z"]) ** 2])
    return moved, exact, f, truth


@gen
def next_step(x):
    new = normal(0.8 * x, 1.0) @ "x"
    normal(new, 0.7) @ "y"


@gen
def guess(constraints, old_choices, x):
    normal(0.5 * constraints["y"], 0.8) @ "first"
    normal(0.4 * x, 0.8) @ "u"


@gen
def guess_back(constraints, old_choices, new, x):
    normal(0.2 * new["x"], 1.0) @ "v"


def extended():
    """Another step of a walk, by x' = first + u / 2, v = 2 u."""
    first = old_model.simulate().get_choices()
    truth = next_step.simulate(first["x"]).get_choices()
    ys = jnp.stack([first["y"], truth["y"]])
    particles = init(old_model, (), 4, {"y": ys[0]})
    mapping = lambda old, u: ({"x": u["first"] + 0.5 * u["u"]}, {"v": 2 * u["u"]})
    xs, constraints = particles.traces["x"], {"y": ys[1]}
    moved = extend(particles, next_step, (xs,), constraints, guess, transform=mapping, backward=guess_back)
    exact = multivariate_normal.logpdf(ys, jnp.zeros(2), jnp.array([[1.49, 0.8], [0.8, 2.13]]))
    f = lambda choices: jnp.stack([choices["x"], choices["x"] ** 2, (choices["y"] - choices["x"]) ** 2])
    return moved, exact, f, truth


MOVES = {"tempered": tempered, "changed": changed, "extended": extended}


def distances(move):
    """Of 1 and three functions, the mean differences between particles and truth in standard errors."""

    def replicate():
        particles, log_evidence, f, truth = move()
        ratio = jnp.exp(particles.log_marginal_likelihood() - log_evidence)
        weights = jax.nn.softmax(particles.log_weights)
        found = weights @ jax.vmap(f)(get_choices(particles.traces))
        return jnp.concatenate([ratio[None] - 1, ratio * found - f(truth)])

    values = jax.jit(jax.vmap(seed(replicate)))(jax.random.split(jax.random.key(5), N_REPLICATES))
    values = np.asarray(values, np.float64)
    return values.mean(0) / (values.std(0) / np.sqrt(N_REPLICATES))


@pytest.mark.parametrize("name", MOVES)
def test_weights_are_proper_on_average_over_data(name):
    assert np.abs(distances(MOVES[name])).max() < 5


WRONG = {
    "tempered: moves at the last temperature": ("tempered_smc", "temper", lambda temper: lambda t, b: temper(t, 1.0)),
    "tempered: no resampling": ("tempered_smc", "resample_ancestors", lambda _: lambda w, n, method: jnp.arange(n)),
    "changed: the determinant is left out": ("smcp3", "_log_determinant", lambda _: lambda *args: jnp.zeros(())),
    "changed: the backward density is left out": ("smcp3", "scalar", lambda _: lambda value: jnp.zeros(())),
    "extended: the determinant is left out": ("smcp3", "_log_determinant", lambda _: lambda *args: jnp.zeros(())),
    "extended: the backward density is left out": ("smcp3", "scalar", lambda _: lambda value: jnp.zeros(())),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_move_is_noticed(name, monkeypatch):
    module, attribute, change = WRONG[name]
    module = importlib.import_module(f"genjax.inference.{module}")
    monkeypatch.setattr(module, attribute, change(getattr(module, attribute)))
    assert np.abs(distances(MOVES[name.split(":")[0]])).max() > 5
