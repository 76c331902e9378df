"""Student's t and Cauchy: what their gradients cost, and their second derivatives, also far out."""

import functools

import jax
import jax.numpy as jnp
import jax.scipy.stats
import mpmath as mp
import numpy as np
import pytest

from genjax import cauchy, student_t
from genjax.distributions import special

EFFECTS = jnp.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = jnp.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools(log_cauchy):
    def log_density(position):
        mean, log_deviation, effects = position[0], position[1], position[2:]
        log_normal, deviation = jax.scipy.stats.norm.logpdf, jnp.exp(log_deviation)
        prior = log_normal(mean, 0.0, 5.0) + log_cauchy(deviation, 0.0, 5.0) + log_deviation
        return prior + log_normal(effects, mean, deviation).sum() + log_normal(EFFECTS, effects, ERRORS).sum()

    return log_density


@pytest.mark.parametrize("n_chains", [None, 100])
@pytest.mark.usefixtures("optimised")
def test_a_gradient_of_cauchy_costs_what_that_of_scipy_does(n_chains):
    """XLA's counts of the gradient that Hamiltonian Monte Carlo takes at each step."""

    def cost(log_cauchy):
        gradient, position = jax.grad(eight_schools(log_cauchy)), jnp.ones(10)
        if n_chains is not None:
            gradient, position = jax.vmap(gradient), jnp.ones((n_chains, 10))
        return jax.jit(gradient).lower(position).compile().cost_analysis()

    ours, theirs = cost(cauchy.logpdf), cost(jax.scipy.stats.cauchy.logpdf)
    for count in ("flops", "bytes accessed", "transcendentals"):
        assert ours[count] <= 1.02 * theirs[count], count


X = np.array([0.0, -0.0, 1e-30, 1e-5, 0.5, 1.0, -3.0, 1e6, -1e12, 1e25, np.inf, -np.inf])


def test_derivatives_of_log1p_square():
    x = jnp.asarray(X, jnp.float32)
    finite = np.abs(X) < np.inf
    with np.errstate(invalid="ignore", over="ignore"):
        slope = np.where(finite, 2 * X / (1 + X * X), 0)
        curvature = np.where(finite, 2 * (1 - X * X) / (1 + X * X) ** 2, 0)
    first = jax.grad(special.log1p_square)
    np.testing.assert_allclose(jax.vmap(first)(x), slope, rtol=2e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(first))(x), curvature, rtol=2e-6, atol=1e-37)
    np.testing.assert_allclose(
        jax.vmap(jax.jacfwd(jax.jacfwd(special.log1p_square)))(x), curvature, rtol=2e-6, atol=1e-37
    )
    third = jax.vmap(jax.grad(jax.grad(first)))(x[finite])
    assert np.isfinite(third).all() and float(third[4]) == pytest.approx(4 * 0.5 * (0.25 - 3) / 1.25**3, rel=1e-5)


@functools.cache
def hessian(chosen, df):
    first = () if df is None else (df,)
    return jax.jit(jax.hessian(lambda v: chosen.logpdf(v[0], *first, v[1], v[2])))


@pytest.mark.parametrize("z", [0.0, 1e-4, 0.7, -2.0, 1e3, 1e9])
@pytest.mark.parametrize("scale", [1e-6, 2.0, 1e6])
@pytest.mark.parametrize(
    ("chosen", "df"), [(cauchy, None), (student_t, 0.5), (student_t, 3.0), (student_t, 1e5)], ids=str
)
def test_second_derivatives(chosen, df, z, scale):
    """The Hessian by value, location and scale, in units of the scale."""
    value, loc, scale = (float(np.float32(v)) for v in (0.3 + z * scale, 0.3, scale))
    value, loc, scale = value / scale, loc / scale, 1.0  # so that float32 can hold the differences
    got = hessian(chosen, df)(np.array([value, loc, scale], np.float32))
    n = 1 if df is None else df
    with mp.workdps(40):
        x, m, s = (mp.mpf(float(np.float32(v))) for v in (value, loc, scale))
        exact = lambda x, m, s: -(mp.mpf(n) + 1) / 2 * mp.log(1 + ((x - m) / s) ** 2 / n) - mp.log(s)
        orders = np.eye(3, dtype=int)
        want = np.array(
            [[float(mp.diff(exact, (x, m, s), tuple(int(o) for o in a + b))) for a in orders] for b in orders]
        )
    np.testing.assert_allclose(got, want, rtol=5e-5, atol=1e-5 * np.abs(want).max())
