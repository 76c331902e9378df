"""Models made inside models, as methods, copied and pickled; branches that are not taken; addresses with a slash."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    Cond,
    Pytree,
    Scan,
    categorical,
    chain,
    const,
    distribution,
    gen,
    init,
    mh,
    normal,
    rejuvenate,
    resample,
    seed,
    sel,
)
from genjax.inference import hmc, mala

KEY = jax.random.key(0)


# The branch that is not taken

root, line = gen(lambda x: normal(jnp.sqrt(x), 1.0) @ "y"), gen(lambda x: normal(x, 1.0) @ "y")


@gen
def by_argument():
    x = normal(0.0, 2.0) @ "x"
    Cond(root, line)(x > 0, x) @ "c"


@gen
def by_closure():
    x = normal(0.0, 2.0) @ "x"
    Cond(gen(lambda: normal(jnp.sqrt(x), 1.0) @ "y"), gen(lambda: normal(x, 1.0) @ "y"))(x > 0) @ "c"


def by_lax_cond(x):
    branches = (lambda: normal.logpdf(-0.5, jnp.sqrt(x), 1.0), lambda: normal.logpdf(-0.5, x, 1.0))
    return normal.logpdf(x, 0.0, 2.0) + jax.lax.cond(x > 0, *branches)


@pytest.mark.parametrize("model", [by_argument, by_closure])
def test_gradient_of_the_branch_that_is_not_taken_is_zero(model):
    def assessed(x):
        return model.assess({"x": x, "c": {"y": -0.5}})[0]

    trace, _ = model.generate({"x": 1.0, "c": {"y": -0.5}})
    uses = {
        "assess": assessed,
        "generate": lambda x: model.generate({"x": x, "c": {"y": -0.5}})[1],
        "update": lambda x: trace.update({"x": x})[1],
    }
    for name, use in uses.items():
        np.testing.assert_allclose(jax.grad(use)(-1.0), 0.75, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(jax.jvp(use, (-1.0,), (1.0,))[1], 0.75, rtol=1e-5, err_msg=name)
    xs = jnp.array([-1.0, 1.0, -3.0, 2.0])
    exact = jnp.stack([jax.grad(by_lax_cond)(x) for x in xs])
    np.testing.assert_allclose(jax.vmap(jax.grad(assessed))(xs), exact, rtol=1e-6)
    # A choice of the branch that is not taken, beyond where its density has a derivative.
    outside = gen(lambda: distribution(lambda: 1.0, lambda v: jnp.log(v))() @ "y")
    both = Cond(outside, gen(lambda: normal(0.0, 1.0) @ "y"))
    np.testing.assert_allclose(jax.grad(lambda y: both.assess({"y": y}, False)[0])(-1.0), 1.0, rtol=1e-5)


def test_hmc_over_a_cond_has_the_exact_mean():
    """-0.28985 by quadrature; five standard errors by the effective sample size."""
    trace, _ = by_argument.generate({"x": -1.0, "c": {"y": -0.5}})
    result = seed(chain(lambda t: hmc(t, sel("x"), 0.5, 5)))(KEY, trace, const(2500), n_chains=const(4))
    assert result.acceptance_rate > 0.8
    error = float(result.traces["x"].std() / np.sqrt(result.ess_bulk["x"]))
    assert abs(float(result.traces["x"].mean()) + 0.28985) < 5 * error < 0.2


# Models that are new at each run


@gen
def outer():
    x = normal(0.0, 1.0) @ "x"

    @gen
    def inner():
        return normal(x, 1.0) @ "z"

    z = inner() @ "in"
    Scan(gen(lambda carry, _: (normal(carry + x, 1.0) @ "w", carry)), 3)(z, None) @ "steps"
    gen(lambda: normal(z, 1.0) @ "v").repeat(2)() @ "lanes"
    return distribution(lambda: normal.sample(x, 1.0), lambda v: normal.logpdf(v, x, 1.0), name="shifted")() @ "d"


def test_kernels_move_models_that_are_made_inside():
    trace = seed(outer.simulate)(jax.random.key(7))
    moves = lambda t: mala(hmc(mh(t, sel("x")), sel("in", "steps"), 0.1, 2), sel("lanes"), 0.1)
    result = seed(chain(moves, collect=lambda t: (t.get_choices(), t.get_score())))(KEY, trace, const(20))
    choices, scores = jax.tree.map(lambda leaf: leaf[-1], result.traces)
    np.testing.assert_allclose(scores, -outer.assess(choices)[0], rtol=1e-4)
    assert result.acceptance_rate > 0


def test_particles_of_models_that_are_made_inside_are_rejuvenated():
    cloud = seed(lambda: rejuvenate(init(by_closure, (), 4, {"c": {"y": 1.0}}), lambda t: mh(t, sel("x"))))(KEY)
    assert cloud.traces.scores().shape == (4,)


def test_traces_of_two_runs_stack_and_different_models_do_not():
    first, second = (seed(outer.simulate)(jax.random.key(i)) for i in range(2))
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, second)
    np.testing.assert_allclose(stacked.scores(), jnp.stack([first.get_score(), second.get_score()]))
    left = gen(lambda: gen(lambda: normal(0.0, 1.0) @ "a")() @ "in")
    right = gen(lambda: gen(lambda: normal(0.0, 1.0) @ "a")() @ "in")
    assert jax.tree.structure(left.simulate()) != jax.tree.structure(right.simulate())


class Plain:
    shift = 3.0

    @gen
    def model(self, x):
        return normal(x + self.shift, 1.0) @ "y"

    borrowed = root  # defined elsewhere: an attribute, not a method


@Pytree.dataclass
class Sensor(Pytree):
    offset: jax.Array

    @gen
    def model(self, x):
        return normal(x + self.offset, 1.0) @ "y"


@pytest.mark.parametrize("owner", [Plain(), Sensor(jnp.array(3.0))], ids=["plain", "pytree"])
def test_a_model_may_be_a_method(owner):
    density, value = owner.model.assess({"y": 1.0}, 2.0)
    np.testing.assert_allclose(density, normal.logpdf(1.0, 5.0, 1.0), rtol=1e-6)
    trace, _ = owner.model.generate({"y": 1.0}, 2.0)
    assert value == 1.0 and mh(trace, sel("y")).get_score().shape == ()
    np.testing.assert_allclose(trace.update({"y": 5.0})[1], 8.0, rtol=1e-6)
    caller = gen(lambda: owner.model.vmap()(jnp.zeros(2)) @ "both")
    assert caller.simulate().get_choices()["both"]["y"].shape == (2,)
    np.testing.assert_allclose(seed(owner.model.generate)(KEY, {"y": 1.0}, 2.0)[1], density, rtol=1e-6)


def test_a_model_of_another_place_is_not_bound():
    assert Plain().borrowed is root
    gradient = jax.grad(lambda offset: Sensor(offset).model.assess({"y": 1.0}, 0.0)[0])(0.5)
    np.testing.assert_allclose(gradient, 0.5)


@gen
def at_module_level(scale=1.0):
    return normal(0.0, scale) @ "x"


def test_copies_and_pickles_equal_the_original():
    particles = seed(init)(KEY, at_module_level, (), const(3), {"x": 1.0})
    things = [
        normal,
        categorical,
        normal.repeat(3),
        at_module_level,
        at_module_level.vmap(in_axes=(0,)),
        Scan(at_module_level, 2),
        Cond(at_module_level, at_module_level),
        at_module_level.simulate(2.0),
        particles,
        sel("a", ("b", "c")),
        const(3),
    ]
    for thing in things:
        for made in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing), copy.copy(thing)):
            assert made == thing and jax.tree.structure(made) == jax.tree.structure(thing), thing
    assert copy.deepcopy(outer) == outer and copy.deepcopy(seed(outer.simulate)(KEY)) is not None
    moved = pickle.loads(pickle.dumps(at_module_level.simulate(2.0))).update({"x": 0.5})[0]
    np.testing.assert_allclose(moved.get_score(), -normal.logpdf(0.5, 0.0, 2.0))


def test_an_address_with_a_slash_is_one_address():
    beneath = gen(lambda: normal(5.0, 1.0) @ "b")
    model = gen(lambda: normal(beneath() @ "a", 1.0) @ "o")
    wrong = gen(lambda observed: normal(0.0, 3.0) @ "a/b")
    with pytest.raises(ValueError, match=r"does not have: 'a/b'\. The target's addresses: \('a', 'b'\), 'o'"):
        init(model, (), 10, {"o": 4.0}, wrong)
    right = gen(lambda observed: gen(lambda: normal(4.0, 3.0) @ "b")() @ "a")
    cloud = seed(init)(KEY, model, (), const(20000), {"o": 4.0}, right)
    exact = float(normal.logpdf(4.0, 5.0, np.sqrt(2.0)))
    # The weights' relative standard deviation is about 1.
    assert abs(float(cloud.log_marginal_likelihood()) - exact) < 5 * 1.5 / np.sqrt(20000)
    both = gen(lambda: (normal(0.0, 1.0) @ "a/b", beneath() @ "a"))
    result = seed(chain(lambda t: mh(t, sel("a"))))(KEY, both.simulate(), const(3))
    assert set(result.to_dict()["posterior"]) == {'"a/b"', "a/b"}
    assert mh(both.simulate(), sel("a/b")) is not None


# Seeds and buffers


def test_arguments_may_have_any_name_under_seed():
    draw = seed(lambda key, x: normal.sample(x, key))
    assert draw(KEY, key=1.0, x=2.0) == draw(KEY, 1.0, 2.0)
    model = gen(lambda key: normal(key, 1.0) @ "x")
    assert seed(model.simulate)(KEY, key=1.0)["x"] == seed(model.simulate)(KEY, 1.0)["x"]


def test_integers_that_seed_traced_and_derivatives_of_draws_say_what_to_write():
    for call in (lambda n: normal.sample(jnp.zeros(n), 1.0), lambda n: sum(normal.sample() for _ in range(n))):
        with pytest.raises(TypeError) as raised:
            seed(call)(KEY, 3)
        assert any("args[0] = 3" in note and "const(n)" in note for note in raised.value.__notes__)
    for derivative in (jax.jacfwd, jax.hessian):
        with pytest.raises(ValueError) as raised:
            seed(lambda x, d=derivative: d(lambda y: jnp.sum(normal.sample(y, 1.0)) ** 2)(x))(KEY, jnp.ones(2))
        assert any("seed(f)(key, x)" in note for note in raised.value.__notes__)
    fixed = jax.jacfwd(lambda x: seed(lambda y: normal.sample(y, 1.0) ** 2)(KEY, x))(1.0)
    np.testing.assert_allclose(fixed, 2 * seed(lambda y: normal.sample(y, 1.0))(KEY, 1.0), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Some donated buffers")
def test_a_particle_collection_can_be_donated():
    def move(particles):
        return rejuvenate(particles, lambda t: mh(t, sel("x")))

    eager = init(by_argument, (), 4, {"c": {"y": 1.0}})
    for particles in (eager, jax.jit(seed(lambda: resample(move(init(outer, (), 4, {"d": 1.0})))))(KEY)):
        kept = np.asarray(particles.log_weights)
        moved = jax.jit(lambda p: seed(move)(KEY, p), donate_argnums=0)(particles)
        np.testing.assert_array_equal(moved.log_weights, kept)


def test_draws_without_an_address_are_an_error_where_the_old_value_is_needed():
    model = gen(lambda: normal(normal.sample(0.0, 5.0), 1.0) @ "y")
    trace = model.simulate()
    for use in (lambda: model.update(trace, {}), lambda: mh(trace, sel("y")), lambda: trace.update({"y": 1.0})):
        with pytest.raises(ValueError, match="draws from Normal without an address"):
            use()
