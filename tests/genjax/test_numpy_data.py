"""NumPy arrays wherever data come from: closed over, passed, and mapped, in programs that `jax.jit` stages.

JAX 0.10 refuses NumPy arrays that `jax.vmap` maps to a derivative written by hand, in staged programs alone; so nothing
here may run outside of `jax.jit` only.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Scan, chain, const, gen, modular_vmap, normal, seed, sel
from genjax.inference import HMC, NUTS, importance_sampling, mh, predictive

KEY = jax.random.key(0)
ERRORS, EFFECTS = np.float32([15, 10, 16]), np.float32([28, 8, -3])


@gen
def schools():
    mu = normal(0.0, 5.0) @ "mu"
    return normal.vmap()(mu + jnp.zeros(3), ERRORS) @ "effects"


@gen
def rectified(x):
    """A user's own function with a derivative by hand."""
    return normal(jax.nn.relu(x), 1.0) @ "y"


def test_a_model_that_closes_over_numpy_data():
    given = {"effects": EFFECTS, "mu": 1.0}
    trace, weight = schools.generate(given)
    staged = jax.jit(lambda: schools.generate(given)[1])()
    np.testing.assert_allclose(staged, weight, rtol=1e-6)
    moved = jax.jit(lambda mu: schools.update(trace, {"mu": mu})[1])(2.0)
    np.testing.assert_allclose(moved, schools.update(trace, {"mu": 2.0})[1], rtol=1e-5)
    assert np.isfinite(jax.jit(jax.grad(lambda mu: schools.update(trace, {"mu": mu})[1]))(2.0))


@pytest.mark.parametrize("kernel", [HMC(sel("mu"), 0.1, 3), NUTS(sel("mu")), lambda trace: mh(trace, sel("mu"))])
def test_chains_of_such_a_model(kernel):
    trace = schools.generate({"effects": EFFECTS, "mu": 1.0})[0].observe({"effects": EFFECTS})
    draws = jax.jit(lambda key: seed(chain(kernel))(key, trace, 5, n_chains=const(2)).traces["mu"])(KEY)
    assert draws.shape == (2, 5) and np.all(np.isfinite(draws))


def test_particles_of_such_a_model():
    given = {"effects": EFFECTS}
    run = seed(lambda: importance_sampling(schools, (), 10, given).log_evidence())
    np.testing.assert_allclose(jax.jit(run)(KEY), run(KEY), rtol=1e-6)


def test_functions_of_users_with_derivatives_by_hand():
    x, y = np.float32([-1, 2]), np.float32([0.5, 1])
    expected = normal.logpdf(y, np.maximum(x, 0), 1.0)
    of_model = jax.jit(lambda: rectified.vmap().assess({"y": y}, x)[0])()
    np.testing.assert_allclose(of_model, expected.sum(), rtol=1e-6)
    mapped = jax.jit(lambda: modular_vmap(lambda x, y: normal.logpdf(y, jax.nn.relu(x), 1.0))(x, y))()
    np.testing.assert_allclose(mapped, expected, rtol=1e-6)
    steps = rectified.vmap()
    trace = steps.generate({"y": y}, x)[0]
    assert np.isfinite(jax.jit(lambda: steps.update(trace, None, np.float32([1, -2]))[1])())


def test_predictions_for_numpy_draws():
    draws = {"mu": np.float32([0, 1, 2])}
    drawn = jax.jit(seed(lambda: predictive(schools, draws, ())))(KEY)
    assert drawn["effects"].shape == (3, 3)


def test_a_chain_of_steps_with_numpy_arguments():
    scales, ys = np.float32([1, 2, 3]), np.float32([0.1, 0.2, 0.3])

    @gen
    def step(x, scale):
        x = normal(x, scale) @ "x"
        normal.vmap()(x + jnp.zeros(3), ERRORS) @ "y"
        return x, x

    model = Scan(step, 3)
    given = {"y": np.tile(ys, (3, 1))}
    expected = model.generate({"x": ys, **given}, 0.0, scales)[1]
    np.testing.assert_allclose(
        jax.jit(lambda: model.generate({"x": ys, **given}, 0.0, scales)[1])(), expected, rtol=1e-5
    )
