"""Sites as equations, eager draws, and the values that fixed keys give."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Scan, categorical, exponential, gen, modular_vmap, multivariate_normal, normal, seed, uniform
from genjax.pjax import PPPrimitive, Sampler, adev_sample_p, sample_p, sample_site, stage, wrap_logpdf, wrap_sampler

KEY = jax.random.key(0)


def primitives(closed):
    return [PPPrimitive.unwrap(equation.primitive)[0] for equation in closed.jaxpr.eqns]


def test_pin_staging_shows_sites_as_equations():
    closed, (flat, in_tree, out_tree) = stage(lambda x, y: normal.sample(x, 1.0) + normal.sample(y, 2.0))(0.0, 1.0)
    assert primitives(closed).count(sample_p) == 2
    assert len(flat) == 2 and in_tree.num_leaves == 2 and out_tree().num_leaves == 1
    assert [PPPrimitive.unwrap(jax.lax.add_p)] == [(jax.lax.add_p, {})]
    assert sample_p in (sample_p, adev_sample_p) and jax.lax.add_p not in (sample_p, adev_sample_p)


def test_pin_estimator_sites_are_their_own_primitive():
    sampler = Sampler("estimated", lambda key, p, shape: p + jax.random.normal(key, shape), (0,))
    closed, _ = stage(lambda theta: sample_site(sampler, [theta], primitive=adev_sample_p) ** 2)(0.5)
    assert adev_sample_p in primitives(closed) and sample_p not in primitives(closed)


def test_jaxprs_name_the_distribution_and_densities_are_plain():
    text = str(jax.make_jaxpr(lambda: normal.sample(0.0, 1.0))())
    assert "pjax.sample" in text and "Normal" in text
    closed, _ = stage(normal.logpdf)(0.0, 0.0, 1.0)
    assert sample_p not in primitives(closed)
    assert wrap_logpdf(normal.logpdf) == normal.logpdf


def test_a_site_is_one_equation_and_lanes_are_one_draw():
    closed, _ = stage(modular_vmap(lambda m: normal.sample(m, 1.0)))(jnp.zeros(5))
    assert primitives(closed) == [sample_p]
    assert closed.jaxpr.eqns[0].params["shape"] == (5,)


def test_eager_draws_are_fresh():
    draws = [float(normal.sample(0.0, 1.0)) for _ in range(20)]
    assert len(set(draws)) == 20


def test_eager_draws_are_fresh_across_threads():
    draws, lock = [], threading.Lock()

    def work():
        own = [float(normal.sample(0.0, 1.0)) for _ in range(50)]
        with lock:
            draws.extend(own)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(draws)) == 400


def test_eager_draws_compile_once():
    sampler_calls = 0

    def draw(key, sample_shape=()):
        nonlocal sampler_calls
        sampler_calls += 1
        return jax.random.normal(key, sample_shape)

    sample = wrap_sampler(draw, "counted")
    sample()
    traced = sampler_calls
    for _ in range(5):
        sample()
    assert sampler_calls == traced


def test_shapes_are_known_without_a_key():
    model = gen(lambda n: normal.repeat(3)(n, 1.0) @ "x")
    trace = jax.eval_shape(model.simulate, 0.0)
    assert trace.get_choices()["x"].shape == (3,)


# Values of the published implementation, float32, threefry keys.


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda: modular_vmap(lambda m: normal.sample(m, 1.0))(jnp.zeros(3)), [-2.4424558, -2.0356805, 0.20554423]),
        (
            lambda: modular_vmap(lambda: normal.sample(0.0, 1.0), in_axes=(), axis_size=3)(),
            [-2.4424558, -2.0356805, 0.20554423],
        ),
        (lambda: uniform.sample(0.0, 1.0), 0.0072938204),
        (
            lambda: multivariate_normal.sample(jnp.zeros(2), jnp.array([[2.0, 0.5], [0.5, 1.0]])),
            [-3.454154, -2.7677433],
        ),
        (lambda: exponential.sample(2.0), 2.4603639),
        (lambda: categorical.sample(jnp.array([0.1, 0.5, -0.3]), sample_shape=(6,)), [1, 1, 0, 1, 1, 1]),
        (lambda: categorical.sample(jnp.tile(jnp.array([0.1, 0.5, -0.3]), (6, 1))), [2, 1, 1, 0, 1, 0]),
    ],
    ids=["lanes", "size only", "uniform", "joint", "exponential", "categorical draws", "categorical batch"],
)
def test_golden_draws(program, expected):
    np.testing.assert_allclose(seed(program)(KEY), expected, rtol=2e-6)


def test_golden_model_and_scan():
    @gen
    def model():
        x = normal(0.0, 1.0) @ "x"
        return normal(x, 0.5) @ "y"

    choices = seed(model.simulate)(KEY).get_choices()
    np.testing.assert_allclose([choices["x"], choices["y"]], [-2.4424558, -3.0711946], rtol=1e-6)
    density, _ = model.assess({"x": 0.0, "y": 0.0})
    np.testing.assert_allclose(density, -1.1447299, rtol=1e-6)
    np.testing.assert_allclose(model.assess({"x": 1.0, "y": 1.0})[0], -1.6447299, rtol=1e-6)
    _, weight = normal.repeat(3).generate(jnp.zeros(3), 0.0, 1.0)
    np.testing.assert_allclose(weight, -2.7568154, rtol=1e-6)

    @gen
    def step(carry, x):
        n = normal(carry, 1.0) @ "n"
        return n, n

    trace = seed(Scan(step, length=3).simulate)(KEY, 0.0, jnp.zeros(3))
    np.testing.assert_allclose(trace.get_choices()["n"], [0.55731726, 2.7732148, 2.9657478], rtol=1e-5)
    np.testing.assert_allclose(trace.get_retval()[0], 2.9657478, rtol=1e-5)
