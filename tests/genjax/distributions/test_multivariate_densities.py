"""Densities of vectors against SciPy, with the batch shapes that parameters and values can have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax import distributions


def random_covariances(rng, shape, size):
    factor = rng.normal(size=(*shape, size, size))
    return factor @ np.swapaxes(factor, -1, -2) + np.eye(size)


@pytest.mark.parametrize(
    ("value_shape", "loc_shape", "covariance_shape"),
    [
        ((), (), ()),
        ((5,), (), ()),
        ((), (4,), ()),
        ((5, 4), (4,), ()),
        ((), (), (4,)),
        ((4,), (), (4,)),
        ((5, 1), (4,), (4,)),
    ],
)
@pytest.mark.parametrize("size", [1, 3])
def test_multivariate_normal(value_shape, loc_shape, covariance_shape, size):
    rng = np.random.default_rng(1)
    value, loc = rng.normal(size=(*value_shape, size)), rng.normal(size=(*loc_shape, size))
    covariance = random_covariances(rng, covariance_shape, size)
    batch = np.broadcast_shapes(value_shape, loc_shape, covariance_shape)
    want = np.empty(batch)
    for index in np.ndindex(batch):
        one = [
            np.broadcast_to(x, (*batch, *x.shape[x.ndim - r :]))[index]
            for x, r in ((value, 1), (loc, 1), (covariance, 2))
        ]
        want[index] = stats.multivariate_normal(one[1], one[2]).logpdf(one[0])
    with jax.enable_x64(True):
        got = jax.jit(distributions.multivariate_normal.logpdf)(value, loc, covariance)
    assert got.shape == batch
    np.testing.assert_allclose(got, want, rtol=1e-11)
    single = distributions.multivariate_normal.logpdf(value.astype(np.float32), loc, covariance)
    np.testing.assert_allclose(single, want, rtol=2e-5)


def test_multivariate_normal_scalars():
    """A scalar observation of a one-dimensional state, and a scalar mean."""
    want = stats.norm(0.5, np.sqrt(2.0)).logpdf(0.3)
    for value, loc, covariance in (
        (0.3, [0.5], [[2.0]]),
        (0.3, jnp.array([0.5]), jnp.array([[2.0]])),
        ([0.3], 0.5, 2.0),
    ):
        got = distributions.multivariate_normal.logpdf(value, loc, covariance)
        assert got.shape == ()
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_multivariate_normal_under_vmap():
    """Lanes over the value, the mean or the covariance give what a loop gives."""
    rng = np.random.default_rng(2)
    arguments = [rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), random_covariances(rng, (4,), 3)]
    logpdf = distributions.multivariate_normal.logpdf
    with jax.enable_x64(True):
        for axes in ((0, None, None), (None, 0, None), (None, None, 0), (0, 0, 0)):
            used = [x if axis == 0 else x[0] for x, axis in zip(arguments, axes, strict=True)]
            got = jax.jit(jax.vmap(logpdf, axes))(*used)
            want = [logpdf(*(x[i] if a == 0 else x for x, a in zip(used, axes, strict=True))) for i in range(4)]
            np.testing.assert_allclose(got, np.array(want), rtol=1e-12)


def test_multivariate_normal_derivatives():
    """d log p / d x = -C^-1 (x - loc); d log p / d C = (C^-1 d d' C^-1 - C^-1) / 2."""
    rng = np.random.default_rng(3)
    value, loc, covariance = rng.normal(size=3), rng.normal(size=3), random_covariances(rng, (), 3)
    precision = np.linalg.inv(covariance)
    pull = precision @ (value - loc)
    with jax.enable_x64(True):
        by_value, by_loc, by_covariance = jax.jit(jax.grad(distributions.multivariate_normal.logpdf, (0, 1, 2)))(
            value, loc, covariance
        )
    np.testing.assert_allclose(by_value, -pull, rtol=1e-10)
    np.testing.assert_allclose(by_loc, pull, rtol=1e-10)
    np.testing.assert_allclose(by_covariance, 0.5 * (np.outer(pull, pull) - precision), rtol=1e-9, atol=1e-12)


def test_one_factorisation_serves_all_lanes_of_a_shared_covariance():
    closed = jax.make_jaxpr(jax.vmap(distributions.multivariate_normal.logpdf, (0, None, None)))(
        jnp.zeros((100, 3)), jnp.zeros(3), jnp.eye(3)
    )
    shapes = [eqn.outvars[0].aval.shape for eqn in _equations(closed.jaxpr) if eqn.primitive.name == "cholesky"]
    assert shapes and set(shapes) == {(3, 3)}


def _equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in eqn.params.values():
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def test_dirichlet():
    rng = np.random.default_rng(4)
    concentration = np.array([0.5, 2.0, 3.5, 1.0])
    values = rng.dirichlet(concentration, size=6)
    want = [stats.dirichlet(concentration).logpdf(v) for v in values]
    with jax.enable_x64(True):
        np.testing.assert_allclose(distributions.dirichlet.logpdf(values, concentration), want, rtol=1e-11)
        gradient = jax.jit(jax.grad(distributions.dirichlet.logpdf, argnums=1))(values[0], concentration)
    expected = np.log(values[0]) + special.digamma(concentration.sum()) - special.digamma(concentration)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10)
    np.testing.assert_allclose(distributions.dirichlet.logpdf(values, concentration), want, rtol=1e-5)


@pytest.mark.parametrize("value", [[0.5, 0.6], [1.2, -0.2], [np.nan, 0.5], [0.2, 0.2]])
def test_dirichlet_off_the_simplex(value):
    assert np.isneginf(distributions.dirichlet.logpdf(jnp.array(value), jnp.array([2.0, 3.0])))


def test_dirichlet_corner():
    """With unit concentrations the density is flat up to the corners, with finite derivatives."""
    value, ones = jnp.array([1.0, 0.0, 0.0]), jnp.ones(3)
    np.testing.assert_allclose(distributions.dirichlet.logpdf(value, ones), np.log(2), rtol=1e-5)
    for gradient in jax.jit(jax.grad(distributions.dirichlet.logpdf, (0, 1)))(value, ones):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("form", ["probs", "logits"])
def test_multinomial(form):
    probs = np.array([0.2, 0.3, 0.5])
    values = np.array(
        [[1.0, 2.0, 3.0], [6.0, 0.0, 0.0], [0.0, 0.0, 6.0], [1.0, 1.0, 1.0], [-1.0, 3.0, 4.0], [0.5, 1.5, 4.0]]
    )
    want = np.append(stats.multinomial(6, probs).logpmf(values[:3]), [-np.inf] * 3)
    parameter = {form: probs if form == "probs" else np.log(probs) - 5}
    with jax.enable_x64(True):
        np.testing.assert_allclose(distributions.multinomial.logpdf(values, 6, **parameter), want, rtol=1e-11)
    np.testing.assert_allclose(distributions.multinomial.logpdf(values, 6.0, **parameter), want, rtol=1e-5)


def test_multinomial_with_an_impossible_category():
    probs = jnp.array([0.4, 0.6, 0.0])
    np.testing.assert_allclose(
        distributions.multinomial.logpdf(jnp.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]), 2, probs=probs),
        [np.log(0.48), -np.inf],
        rtol=1e-6,
    )
    gradient = jax.grad(lambda p: distributions.multinomial.logpdf(jnp.array([1.0, 1.0, 0.0]), 2, probs=p))(probs)
    np.testing.assert_allclose(gradient, [2.5, 1 / 0.6, 0.0], rtol=1e-6)
