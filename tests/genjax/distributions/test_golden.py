"""Fixed values and equalities with `jax.random` that users' regression tests may rely on (default threefry keys)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import distributions
from genjax.pjax import modular_vmap, seed

KEY = jax.random.key(0)
COVARIANCE = jnp.array([[2.0, 0.5], [0.5, 1.0]])
LOGITS = jnp.array([0.1, 0.5, -0.3])


def draw(name, *args, **kwargs):
    """A draw with exactly the key under which `seed` draws the first site."""
    return seed(lambda: getattr(distributions, name).sample(*args, **kwargs))(KEY)


@pytest.mark.parametrize(
    ("name", "value", "args", "kwargs", "want"),
    [
        ("bernoulli", 1, (0.0,), {}, -0.6931472),
        ("bernoulli", 1, (), {"probs": 0.2}, -1.609438),
        ("flip", True, (0.2,), {}, -1.609438),
        ("poisson", 2, (3.0,), {}, -1.4959228),
        ("multivariate_normal", 0.3, (jnp.zeros(1), jnp.eye(1)), {}, -0.96393853),
        ("geometric", 2, (), {"probs": 0.3}, -1.9173226),
        ("normal", np.zeros(3), (0.0, 1.0), {}, [-0.9189385] * 3),
    ],
)
def test_densities(name, value, args, kwargs, want):
    np.testing.assert_allclose(getattr(distributions, name).logpdf(value, *args, **kwargs), want, rtol=2e-7)


@pytest.mark.parametrize(
    ("name", "args", "want"),
    [
        ("uniform", (0.0, 1.0), 0.0072938204),
        ("normal", (0.0, 1.0), -2.4424558),
        ("multivariate_normal", (0, [[2.0, 0.5], [0.5, 1.0]]), [-3.454154, -2.7677433]),
        ("exponential", (2.0,), 2.4603639),
    ],
)
def test_seeded_draws(name, args, want):
    np.testing.assert_allclose(draw(name, *args), want, rtol=2e-6)


def test_categorical_draws():
    np.testing.assert_array_equal(draw("categorical", LOGITS, sample_shape=(6,)), [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(draw("categorical", jnp.tile(LOGITS, (6, 1))), [2, 1, 1, 0, 1, 0])


def test_lanes_of_one_site():
    want = [-2.4424558, -2.0356805, 0.20554423]
    lanes = seed(modular_vmap(lambda loc: distributions.normal.sample(loc, 1.0)))(KEY, jnp.zeros(3))
    np.testing.assert_allclose(lanes, want, rtol=2e-6)
    lanes = seed(modular_vmap(lambda: distributions.normal.sample(0.0, 1.0), in_axes=(), axis_size=3))(KEY)
    np.testing.assert_allclose(lanes, want, rtol=2e-6)


SUB = jax.random.split(KEY)[1]
SHAPE = (7,)
EQUALITIES = [
    ("normal", (0.5, 2.0), lambda: 0.5 + 2.0 * jax.random.normal(SUB, SHAPE)),
    ("uniform", (0.0, 1.0), lambda: jax.random.uniform(SUB, SHAPE)),
    ("flip", (0.3,), lambda: jax.random.uniform(SUB, SHAPE) < 0.3),
    ("bernoulli", (None, 0.3), lambda: jax.random.uniform(SUB, SHAPE) < 0.3),
    ("exponential", (2.0,), lambda: -jnp.log(jax.random.uniform(SUB, SHAPE)) / 2.0),
    ("half_normal", (2.0,), lambda: 2.0 * jnp.abs(jax.random.normal(SUB, SHAPE))),
    ("log_normal", (0.5, 2.0), lambda: jnp.exp(0.5 + 2.0 * jax.random.normal(SUB, SHAPE))),
    ("laplace", (0.5, 2.0), lambda: 0.5 - 2.0 * jax.random.laplace(SUB, SHAPE)),
    ("cauchy", (0.5, 2.0), lambda: 0.5 + 2.0 * jax.random.cauchy(SUB, SHAPE)),
    ("geometric", (None, 0.3), lambda: jax.random.geometric(SUB, 0.3, SHAPE) - 1.0),
    ("categorical", (jnp.tile(LOGITS, (7, 1)),), lambda: jax.random.categorical(SUB, jnp.tile(LOGITS, (7, 1)))),
    (
        "multivariate_normal",
        (jnp.ones(2), COVARIANCE),
        lambda: 1.0 + jax.random.normal(SUB, (7, 2)) @ jnp.linalg.cholesky(COVARIANCE).T,
    ),
]


@pytest.mark.parametrize(("name", "args", "want"), EQUALITIES, ids=[case[0] for case in EQUALITIES])
def test_equalities_with_jax_random(name, args, want):
    draws = draw(name, *args, **({} if name == "categorical" else {"sample_shape": SHAPE}))
    np.testing.assert_allclose(draws.astype(float), want().astype(float), rtol=2e-6)
