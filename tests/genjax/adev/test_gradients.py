"""Every estimator's mean value and gradient against closed forms, in every place where a choice can stand.

Means are compared within 4.7 standard errors over 4096 independent keys: a false-alarm rate of 2.6e-6 per comparison,
2e-4 for the file. The seed is fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Dual, expectation, modular_vmap, seed
from genjax.adev import (
    categorical_enum_parallel,
    flip_enum,
    flip_enum_parallel,
    flip_mvd,
    flip_reinforce,
    geometric_reinforce,
    multivariate_normal_diag_reparam,
    multivariate_normal_reinforce,
    multivariate_normal_reparam,
    normal_reinforce,
    normal_reparam,
    uniform_reinforce,
    uniform_reparam,
)

N_KEYS = 4096
THETA = 0.4
LANES = jnp.array([1.0, 0.75, 0.5])


def flip_objective(estimator):
    return lambda t: 2.0 + 3.0 * estimator(t)


def categorical_objective(t):
    return jnp.array([1.0, 3.0, -2.0])[categorical_enum_parallel(t * jnp.array([0.0, 1.0, 2.0]))]


def normal_objective(estimator):
    return lambda t: estimator(t, 0.5 + t) ** 2


def vector_objective(estimator):
    def objective(t):
        covariance = jnp.array([[1.0, 0.0], [0.0, 1.0]]) + t * jnp.array([[0.0, 0.3], [0.3, 1.0]])
        x = estimator(t * jnp.array([1.0, -1.0]), covariance)
        return x[0] * x[1] + x[1] ** 2

    return objective


def diagonal_objective(t):
    x = multivariate_normal_diag_reparam(t * jnp.array([1.0, -1.0]), t * jnp.array([1.0, 0.0]) + jnp.array([0.0, 1.0]))
    return jnp.sum(x**2)


def vector_mean(t):
    return (0.3 * t - t**2) + (1 + t + t**2)


# Estimator: (one draw's contribution, its expectation as a function of theta).
OBJECTIVES = {
    "flip_enum": (flip_objective(flip_enum), lambda t: 2 + 3 * t),
    "flip_enum_parallel": (flip_objective(flip_enum_parallel), lambda t: 2 + 3 * t),
    "flip_mvd": (flip_objective(flip_mvd), lambda t: 2 + 3 * t),
    "flip_reinforce": (flip_objective(flip_reinforce), lambda t: 2 + 3 * t),
    "categorical_enum_parallel": (
        categorical_objective,
        lambda t: jax.nn.softmax(t * jnp.array([0.0, 1.0, 2.0])) @ jnp.array([1.0, 3.0, -2.0]),
    ),
    "geometric_reinforce": (lambda t: geometric_reinforce(t), lambda t: (1 - t) / t),
    "normal_reparam": (normal_objective(normal_reparam), lambda t: t**2 + (0.5 + t) ** 2),
    "normal_reinforce": (normal_objective(normal_reinforce), lambda t: t**2 + (0.5 + t) ** 2),
    "uniform_reparam": (
        lambda t: uniform_reparam(t, 1 + 2 * t) ** 2,
        lambda t: (t**2 + t * (1 + 2 * t) + (1 + 2 * t) ** 2) / 3,
    ),
    # Bounds that do not move: where they do, this estimator is biased (see below).
    "uniform_reinforce": (lambda t: (t * uniform_reinforce(1.0, 2.0)) ** 2, lambda t: t**2 * 7 / 3),
    "multivariate_normal_reparam": (vector_objective(multivariate_normal_reparam), vector_mean),
    "multivariate_normal_reinforce": (vector_objective(multivariate_normal_reinforce), vector_mean),
    "multivariate_normal_diag_reparam": (diagonal_objective, lambda t: 1 + 3 * t**2),
}


def in_scan(draw):
    def step(product, lane):
        value = draw(lane)
        return product * value, value

    def objective(t):
        product, values = jax.lax.scan(step, jnp.ones(()), t * LANES)
        return product + values[1]

    return objective


# Place: (program made of draws, its expectation from the expectation of one).
PLACES = {
    "alone": (lambda draw: draw, lambda mean: mean),
    "vmap": (
        lambda draw: lambda t: jnp.prod(modular_vmap(draw)(t * LANES)),
        lambda mean: lambda t: jnp.prod(jnp.stack([mean(t * lane) for lane in LANES])),
    ),
    "scan": (
        in_scan,
        lambda mean: lambda t: jnp.prod(jnp.stack([mean(t * x) for x in LANES])) + mean(t * LANES[1]),
    ),
    "jit": (lambda draw: lambda t: t * jax.jit(draw)(t), lambda mean: lambda t: t * mean(t)),
    "cond": (
        lambda draw: lambda t: jax.lax.cond(flip_enum(t), draw, lambda t: 2 * draw(t / 2), t) * 3,
        lambda mean: lambda t: 3 * (t * mean(t) + (1 - t) * 2 * mean(t / 2)),
    ),
}


# What stands in every place; the others share their rules.
EVERYWHERE = ("flip_enum", "flip_mvd", "normal_reinforce", "normal_reparam")


def assert_mean(samples, exact, what):
    samples = np.asarray(samples, np.float64)
    error = samples.std(ddof=1) / np.sqrt(len(samples))
    assert np.all(np.isfinite(samples)), what
    assert abs(samples.mean() - exact) < 4.7 * error + 2e-5 * (1 + abs(exact)), (what, samples.mean(), exact, error)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_value_and_gradient_are_unbiased(name):
    draw, mean = OBJECTIVES[name]
    places = (
        PLACES if name in EVERYWHERE else ("vmap", "scan") if "flip" in name or "categorical" in name else ("vmap",)
    )
    programs = {place: expectation(PLACES[place][0](draw)) for place in places}

    @jax.jit
    @jax.vmap
    def estimates(key):
        return {place: seed(e.value_and_grad_estimate)(key, THETA) for place, e in programs.items()}

    samples = estimates(jax.random.split(jax.random.key(3), N_KEYS))
    for place in places:
        value, gradient = jax.jit(jax.value_and_grad(PLACES[place][1](mean)))(THETA)
        assert_mean(samples[place][0], value, (name, place, "value"))
        assert_mean(samples[place][1], gradient, (name, place, "gradient"))


@pytest.mark.parametrize("name", ["flip_enum", "flip_enum_parallel", "categorical_enum_parallel"])
def test_enumeration_has_no_variance(name):
    draw, mean = OBJECTIVES[name]
    for place in ("scan", "cond"):
        program, exact = PLACES[place]
        value, gradient = expectation(program(draw)).value_and_grad_estimate(THETA)
        exact_value, exact_gradient = jax.value_and_grad(exact(mean))(THETA)
        np.testing.assert_allclose([value, gradient], [exact_value, exact_gradient], rtol=1e-5)


def test_forward_and_reverse_mode_agree():
    def f(t):
        x = normal_reinforce(t, 1.0)
        return x * flip_mvd(t) + normal_reparam(x * t, t) * modular_vmap(flip_enum)(t * LANES[:2]).sum()

    e = expectation(f)
    key = jax.random.key(2)
    forward = seed(lambda: e.jvp_estimate(Dual(0.3, 2.0)))(key)
    np.testing.assert_allclose(seed(lambda: e.grad_estimate(0.3))(key), forward.tangent / 2, rtol=1e-4)
    np.testing.assert_allclose(
        jax.grad(lambda t: seed(lambda: e.estimate(t))(key))(0.3), forward.tangent / 2, rtol=1e-4
    )


def test_uniform_reinforce_leaves_out_the_moving_bounds():
    # d/dhigh E[x^2] on (0, 1) is 2/3; the score function's share of it is -E[x^2] = -1/3.
    e = expectation(lambda high: uniform_reinforce(0.0, high) ** 2)
    gradients = jax.vmap(lambda key: seed(e.grad_estimate)(key, 1.0))(jax.random.split(jax.random.key(0), N_KEYS))
    assert_mean(gradients, -1 / 3, "uniform_reinforce")


def test_parallel_enumerations_in_a_model_of_several_choices():
    values = jnp.array([1.0, 2.0, 4.0])

    def f(p, logits):
        return flip_enum_parallel(p) * values[categorical_enum_parallel(logits)] + flip_enum_parallel(p**2)

    exact = lambda p, logits: p * (jax.nn.softmax(logits) @ values) + p**2
    logits = jnp.array([0.1, -0.4, 0.3])
    for got, want in zip(expectation(f).grad_estimate(0.3, logits), jax.grad(exact, (0, 1))(0.3, logits), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_geometric_reinforce_takes_probabilities():
    # E[k] = (1 - p) / p, whose derivative at .3 is -11.1.
    e = expectation(lambda p: geometric_reinforce(p))
    gradients = jax.vmap(lambda key: seed(e.grad_estimate)(key, 0.3))(jax.random.split(jax.random.key(0), 16384))
    assert_mean(gradients, -1 / 0.09, "geometric_reinforce")
    draws = seed(lambda: geometric_reinforce.sample(0.3, sample_shape=(16384,)))(jax.random.key(1))
    assert_mean(draws, 0.7 / 0.3, "draws")
    np.testing.assert_allclose(geometric_reinforce.logpdf(2.0, 0.3), -1.9173226, rtol=1e-6)


def test_enumeration_in_a_scan_has_its_gradient():
    def f(p):
        return jax.lax.scan(lambda total, _: (total + flip_enum(p), None), 0.0, length=3)[0]

    assert float(expectation(f).grad_estimate(0.3)) == pytest.approx(3.0, abs=1e-5)


def test_a_vector_of_parameters_in_mapped_lanes():
    def f(m):
        return jnp.sum(modular_vmap(lambda scale: normal_reparam(m, scale))(jnp.ones(3)))

    np.testing.assert_allclose(expectation(f).grad_estimate(jnp.zeros(3)), [3.0, 3.0, 3.0])

    def g(m):
        return jnp.sum(modular_vmap(lambda m: normal_reparam(m, jnp.ones(3)))(m))

    np.testing.assert_allclose(expectation(g).grad_estimate(jnp.zeros(4)), [3.0, 3.0, 3.0, 3.0])


@pytest.mark.parametrize("estimator", [flip_enum, flip_mvd])
def test_lanes_cost_linearly(estimator):
    # 300 independent lanes: 2^300 joint values, 301 runs. The gradient of a sum is exact, lane by lane.
    e = expectation(lambda p: jnp.sum(modular_vmap(estimator)(p).astype(float)))
    np.testing.assert_array_equal(e.grad_estimate(jnp.linspace(0.1, 0.9, 300)), np.ones(300))
    shared = expectation(lambda p: jnp.sum(modular_vmap(lambda: estimator(p), in_axes=(), axis_size=8)() * 1.0))
    assert float(shared.grad_estimate(0.3)) == 8.0


def test_lanes_of_categorical_choices():
    values = jnp.array([1.0, 2.0, 4.0])
    logits = jnp.array([[0.1, -0.4, 0.3], [1.0, 0.0, 0.5]])

    def f(logits):
        return jnp.prod(values[modular_vmap(categorical_enum_parallel)(logits)])

    e = expectation(f)
    gradients = jax.vmap(lambda key: seed(e.grad_estimate)(key, logits))(jax.random.split(jax.random.key(0), N_KEYS))
    exact = jax.grad(lambda logits: jnp.prod(jax.nn.softmax(logits) @ values))(logits)
    for index in np.ndindex(2, 3):
        assert_mean(gradients[(slice(None), *index)], exact[index], index)
