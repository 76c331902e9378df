"""Moves of particles with forward and backward kernels: proper weights, exactly by enumeration, and with Jacobians."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import categorical, gamma, gen, normal, seed, uniform
from genjax.inference import change, extend, init

KEY = jax.random.key(0)
# Tables of probabilities, indexed by what is given first.
OLD, NEW = np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.6, 0.3])
OLD_DATA, NEW_DATA = np.array([0.9, 0.3, 0.5]), np.array([0.2, 0.7, 0.4])  # of the observation 1 given x
FORWARD = np.array([[0.6, 0.4], [0.3, 0.7], [0.8, 0.2]])  # u given x
BACKWARD = np.array([[0.5, 0.5], [0.9, 0.1], [0.25, 0.75]])  # v given x'


def one_of(table, *index):
    return categorical(jnp.log(jnp.asarray(table))[index])


def model_of(prior, likelihood):
    @gen
    def model():
        x = one_of(prior, ...) @ "x"
        one_of(np.stack([1 - likelihood, likelihood], 1), x) @ "y"

    return model


old_model, new_model = model_of(OLD, OLD_DATA), model_of(NEW, NEW_DATA)


@gen
def forward(choices):
    one_of(FORWARD, choices["x"]) @ "u"


@gen
def backward(choices):
    one_of(BACKWARD, choices["x"]) @ "v"


def shift(choices, auxiliary):
    """x' = x + u mod 3 and v = u: one to one."""
    u = auxiliary["u"]
    return {"x": (choices["x"] + u) % 3, "y": choices["y"]}, {"v": u}


def test_change_is_proper_by_enumeration():
    """The weight of every (x, u) occurs and is exact, and the sum over all of them is that over the new model."""

    def run():
        particles = init(old_model, (), 2000, {"y": 1})
        moved = change(particles, new_model, (), shift, forward=forward, backward=backward)
        old = particles.traces["x"]
        return old, (moved.traces["x"] - old) % 3, moved.traces["x"], moved.log_weights

    x, u, new, log_weights = (np.asarray(value) for value in seed(run)(KEY))
    expected = np.zeros(3)
    for a, b in itertools.product(range(3), range(2)):
        c = (a + b) % 3
        lane = np.flatnonzero((x == a) & (u == b))
        assert len(lane) and np.all(new[lane] == c)
        weight = NEW[c] * NEW_DATA[c] * BACKWARD[c, b] / (OLD[a] * FORWARD[a, b])
        np.testing.assert_allclose(np.exp(log_weights[lane]), weight, rtol=1e-4)
        expected[c] += OLD[a] * FORWARD[a, b] * np.exp(log_weights[lane[0]])
    np.testing.assert_allclose(expected, NEW * NEW_DATA, rtol=1e-4)


STEP = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.3, 0.3, 0.4]])  # x' given x


@gen
def step(x):
    new = one_of(STEP, x) @ "x"
    one_of(np.stack([1 - NEW_DATA, NEW_DATA], 1), new) @ "y"


PROPOSED = np.array([0.2, 0.5, 0.3])  # a guess from the data alone


@gen
def guess(constraints, old_choices, x):
    first = one_of(PROPOSED, ...) @ "first"
    one_of(FORWARD, first) @ "u"


@gen
def guess_back(constraints, old_choices, new, x):
    one_of(BACKWARD, new["x"]) @ "v"


def test_extend_is_proper_by_enumeration():
    """A proposal whose own density of x' would be a sum: x' = first + u mod 3, with v = u."""

    def run():
        particles = init(old_model, (), 3000, {"y": 1})
        mapping = lambda old, u: ({"x": (u["first"] + u["u"]) % 3}, {"v": u["u"]})
        moved = extend(
            particles, step, (particles.traces["x"],), {"y": 1}, guess, transform=mapping, backward=guess_back
        )
        return particles.traces["x"], particles.log_weights, moved.traces["x"], moved.log_weights

    x, before, new, after = (np.asarray(value) for value in seed(run)(KEY))
    added = np.exp(after - before)
    found = {a: {c: set() for c in range(3)} for a in range(3)}
    for a, c, weight in zip(x, new, added, strict=True):
        found[a][c].add(round(float(weight), 4))
    for a, c in itertools.product(range(3), range(3)):
        joint = STEP[a, c] * NEW_DATA[c]
        ways = [((c - u) % 3, u) for u in range(2)]
        weights = [joint * BACKWARD[c, u] / (PROPOSED[first] * FORWARD[first, u]) for first, u in ways]
        np.testing.assert_allclose(sorted(found[a][c]), sorted(weights), atol=2e-4)
        total = sum(PROPOSED[first] * FORWARD[first, u] * w for (first, u), w in zip(ways, weights, strict=True))
        np.testing.assert_allclose(total, joint)  # proper: what the lanes show is what the sum needs


@gen
def polar():
    radius = gamma(2.0, 1.0) @ "radius"
    angle = uniform(-jnp.pi, jnp.pi) @ "angle"
    normal(radius, 0.5) @ "y"
    return angle


@gen
def cartesian():
    x = normal(0.0, 1.0) @ "x"
    y = normal(0.0, 1.0) @ "y"
    normal(jnp.hypot(x, y), 0.5) @ "seen"


def to_cartesian(choices, _):
    r, t = choices["radius"], choices["angle"]
    return {"x": r * jnp.cos(t), "y": r * jnp.sin(t), "seen": choices["y"]}, {}


def test_the_jacobian_counts_and_data_do_not():
    nothing = gen(lambda *args: None)

    def run():
        particles = init(polar, (), 50, {"y": 1.5})
        return particles, change(particles, cartesian, (), to_cartesian, forward=nothing)

    particles, moved = seed(run)(KEY)
    r = particles.traces["radius"]
    expected = particles.log_weights + particles.traces.scores() - moved.traces.scores() + jnp.log(r)
    np.testing.assert_allclose(moved.log_weights, expected, rtol=1e-4, atol=1e-4)


def test_maps_that_cannot_be_undone_are_errors():
    particles = seed(init)(KEY, polar, (), 5, {"y": 1.5})
    lossy = lambda choices, u: ({"x": choices["radius"], "seen": choices["y"]}, {})
    move = lambda choice_fn, **kernels: seed(lambda: change(particles, cartesian, (), choice_fn, **kernels))(KEY)
    nothing = gen(lambda *args: None)
    with pytest.raises(ValueError, match="takes 2 floating-point numbers to 1"):
        move(lossy, forward=nothing)
    with pytest.raises(ValueError, match="a backward kernel, but there is none"):
        move(lambda choices, u: (to_cartesian(choices, u)[0], {"v": 1.0}), forward=nothing)
    with pytest.raises(TypeError, match="returned dict. With kernels it returns a pair"):
        move(lambda choices, u: {}, forward=nothing)
    with pytest.raises(ValueError, match="a backward kernel and no map"):
        extend(particles, cartesian, (), {}, backward=nothing)
