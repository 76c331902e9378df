"""Bijectors against JAX's own Jacobians, and the coordinates of traces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, Scan, dirichlet, exponential, flip, gamma, gen, masked, normal, seed, sel, uniform
from genjax.distributions import supports
from genjax.inference.bijectors import bijector_of
from genjax.inference.unconstrained import unconstrained

KEY = jax.random.key(0)
LOWER = np.tril_indices(3)
STRICTLY_LOWER = np.tril_indices(3, -1)
# name: (support, number of coordinates, from a value to the coordinates in which its density is written)
CASES = {
    "real": (supports.real, 4, lambda x: x),
    "real vector": (supports.real_vector, 4, lambda x: x),
    "positive": (supports.positive, 4, lambda x: x),
    "nonnegative": (supports.nonnegative, 3, lambda x: x),
    "unit interval": (supports.unit_interval, 4, lambda x: x),
    "interval": (supports.interval(-1.0, np.array([0.5, 2.0, 9.0])), 3, lambda x: x),
    "from a bound on": (supports.interval(2.0, None), 3, lambda x: x),
    "up to a bound": (supports.interval(-np.inf, 2.0), 3, lambda x: x),
    "no bounds": (supports.interval(None, np.inf), 3, lambda x: x),
    "circle": (supports.circle, 3, lambda x: x),
    "simplex": (supports.simplex, 4, lambda x: x[..., :-1]),
    "ordered": (supports.ordered, 4, lambda x: x),
    "correlation Cholesky": (supports.correlation_cholesky, 3, lambda x: x[..., *STRICTLY_LOWER]),
    "positive definite": (supports.positive_definite, 6, lambda x: x[..., *LOWER]),
}


@pytest.mark.parametrize("name", CASES)
def test_forward_stays_in_the_support_and_inverse_returns(name):
    support, n, _ = CASES[name]
    with jax.enable_x64(True):
        z = jax.random.normal(KEY, (5, n), jnp.float64)
        bijector = bijector_of(support)

        @jax.jit
        def there_and_back(z):
            x, log_determinant = bijector.forward(z)
            return support.contains(x), log_determinant, bijector.inverse(x)

        is_inside, log_determinant, back = there_and_back(z)
        assert np.all(is_inside)
        assert log_determinant.shape == ()
        np.testing.assert_allclose(back, z, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_log_determinant_is_that_of_the_jacobian(name):
    support, n, coordinates = CASES[name]
    bijector = bijector_of(support)
    with jax.enable_x64(True):
        z = 0.7 * jax.random.normal(KEY, (n,), jnp.float64)
        jacobian = jax.jit(jax.jacfwd(lambda z: coordinates(bijector.forward(z)[0])))(z)
        _, expected = np.linalg.slogdet(jacobian)
        log_determinant = jax.jit(lambda z: bijector.forward(z)[1])
        np.testing.assert_allclose(log_determinant(z), expected, rtol=1e-8, atol=1e-10)
        total = log_determinant(z) + log_determinant(0.5 * z)
        np.testing.assert_allclose(log_determinant(jnp.stack([z, 0.5 * z])), total, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_far_coordinates_are_finite_with_finite_gradients(name):
    support, n, _ = CASES[name]
    bijector = bijector_of(support)
    both = jax.jit(lambda z: (bijector.forward(z)[0], jax.grad(lambda z: bijector.forward(z)[1])(z)))
    for scale in (-20.0, 20.0):
        x, gradient = both(scale * jnp.linspace(0.5, 1.0, n))
        assert np.all(np.isfinite(x))
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize(
    ("support", "edge"),
    [(supports.nonnegative, 0.0), (supports.unit_interval, 1.0), (supports.interval(0.0, 2.0), 0.0)],
)
def test_values_at_the_edge_have_finite_coordinates(support, edge):
    assert np.isfinite(bijector_of(support).inverse(jnp.float32(edge)))


def test_simplex_of_float32_with_an_entry_of_zero():
    assert np.all(np.isfinite(bijector_of(supports.simplex).inverse(jnp.array([1.0, 0.0, 0.0]))))


def test_discrete_supports_have_none():
    assert all(bijector_of(s) is None for s in (supports.boolean, supports.counts, supports.integer_range(0, 3)))


# Coordinates of traces


@gen
def step(position, _):
    increment = uniform(0.0, 2.0) @ "increment"
    return position + increment, position


@gen
def model(highs):
    rate = gamma(2.0, 3.0) @ "rate"
    shares = dirichlet(jnp.ones(3)) @ "shares"
    uniform.vmap(in_axes=(None, 0))(-1.0, highs) @ "lanes"
    Scan(step, length=4)(0.0, None) @ "walk"
    flip(0.5) @ "coin"
    normal(rate, shares[0]) @ "y"


HIGHS = jnp.array([1.0, 2.0, 3.0])
TRACE = seed(model.simulate)(KEY, HIGHS)
CONTINUOUS = sel("rate", "shares", "lanes", "walk", "y")


def test_coordinates_of_a_trace_and_back():
    space = unconstrained(TRACE, CONTINUOUS)
    assert space.vector.shape == (1 + 2 + 3 + 4 + 1,)
    assert space.addresses == ["lanes", "rate", "shares", "walk/increment", "y"]
    choices, _ = space.constrain(space.vector)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), choices, space.choices)
    for a, b in zip(space.unconstrain(choices), space.position, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    far, _ = space.constrain(jnp.full(11, 8.0))
    assert np.all((far["lanes"] > HIGHS - 0.1) & (far["lanes"] <= HIGHS))
    assert np.all(far["walk"]["increment"] > 1.9)
    assert "rate: x = exp(z)" in str(space)
    assert "y: x = z" in str(space)


def test_real_choices_are_their_own_coordinates():
    space = unconstrained(TRACE, sel("y"))
    assert space.is_identity
    assert space.position[0] is TRACE["y"]
    assert unconstrained(TRACE, CONTINUOUS, transform=False).is_identity


def test_a_discrete_choice_is_an_error_that_names_it():
    with pytest.raises(TypeError, match="'coin' of dtype bool"):
        unconstrained(TRACE, sel("coin", "y"))


@gen
def nested_bounds():
    x = uniform(0.0, 1.0) @ "x"
    return uniform(0.0, x) @ "y"


def test_supports_that_depend_on_other_selected_choices_are_an_error():
    trace = nested_bounds.simulate()
    with pytest.raises(ValueError, match="depends on 'x'"):
        unconstrained(trace, sel("x", "y"))
    space = unconstrained(trace, sel("y"))
    assert space.constrain(jnp.array([30.0]))[0]["y"] <= trace["x"]
    assert unconstrained(trace, sel("x", "y"), transform=False).is_identity


a = gen(lambda: exponential(1.0) @ "v")
b = gen(lambda: normal(0.0, 1.0) @ "v")
c = gen(lambda: exponential(3.0) @ "v")


def test_supports_of_branches():
    check = jnp.array(True)
    differing, alike = (Cond(*branches).simulate(check) for branches in ((a, b), (a, c)))
    with pytest.raises(ValueError, match="'v', whose support differs between the branches"):
        unconstrained(differing, sel("v"))
    assert str(unconstrained(alike, sel("v"))) == "v: x = exp(z)"


def test_a_simplex_cannot_be_observed_in_part():
    with pytest.raises(ValueError, match="observed as a whole"):
        dirichlet.generate(masked(jnp.array([True, False, False]), jnp.ones(3) / 3), jnp.ones(3))
    rows = dirichlet.vmap()
    trace, _ = rows.generate(masked(jnp.array([True, False]), jnp.ones((2, 3)) / 3), jnp.ones((2, 3)))
    np.testing.assert_allclose(trace.get_choices()[0], 1 / 3)


# Branches that are not taken

logarithm = gen(lambda x: normal(jnp.log(x), 1.0) @ "y")
itself = gen(lambda x: normal(x, 1.0) @ "y")


@gen
def branching():
    x = normal(0.0, 1.0) @ "x"
    return Cond(logarithm, itself)(x > 0, x) @ "branch"


@pytest.mark.parametrize("x", [-0.5, 0.0, 0.7])
def test_gradients_are_right_where_the_other_branch_is_not_finite(x):
    mean, slope = (np.log(x), 1 / x) if x > 0 else (x, 1.0)
    expected = -x + (1.0 - mean) * slope
    trace, _ = branching.generate({"x": x, "branch": {"y": 1.0}})
    choices = lambda x: {"x": x, "branch": {"y": 1.0}}
    densities = {
        "assess": lambda x: branching.assess(choices(x))[0],
        "generate": lambda x: branching.generate(choices(x))[1],
        "update": lambda x: branching.update(trace, {"x": x})[1],
    }
    for name, density in densities.items():
        np.testing.assert_allclose(jax.grad(density)(x), expected, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(jax.jacfwd(density)(x), expected, rtol=1e-5, err_msg=name)
