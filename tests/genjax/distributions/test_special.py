"""Special functions against SciPy, or against identities where SciPy has fewer digits."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special as scipy_special

from genjax.distributions import special


def test_log_beta():
    """B(a, b) against SciPy where that is accurate, its recurrence everywhere, and its derivative."""
    a, b = np.exp(np.random.default_rng(0).uniform(-6, 12, (2, 2000)))
    with jax.enable_x64(True):
        log_beta = jax.jit(special.log_beta)
        got = np.asarray(log_beta(a, b))
        # B(a, b) = B(a + 1, b) + B(a, b + 1)
        parts = np.logaddexp(log_beta(a + 1, b), log_beta(a, b + 1))
        by_a = jax.jit(jax.vmap(jax.grad(special.log_beta)))(a, b)
    accurate = np.maximum(a, b) < 1e3
    np.testing.assert_allclose(got[accurate], scipy_special.betaln(a, b)[accurate], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(got, parts, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(by_a, scipy_special.digamma(a) - scipy_special.digamma(a + b), rtol=1e-8, atol=1e-11)


def test_log_beta_of_equal_arguments():
    for x in (0.5, 2.0, 10.0, 300.0):
        want = scipy_special.digamma(x) - scipy_special.digamma(2 * x)
        np.testing.assert_allclose(jax.jit(jax.grad(special.log_beta, (0, 1)))(x, x), [want, want], rtol=1e-5)


def test_log_zeta():
    power = 1 + np.exp(np.linspace(-8, 3.5, 200))
    with jax.enable_x64(True):
        log_zeta = jax.jit(special.log_zeta)
        got = log_zeta(power)
        step = 1e-6 * (power - 1)
        difference = (log_zeta(power + step) - log_zeta(power - step)) / (2 * step)
        slope = jax.jit(jax.vmap(jax.grad(special.log_zeta)))(power)
    np.testing.assert_allclose(got, np.log1p(scipy_special.zetac(power)), rtol=1e-13)
    np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-13)
    assert np.isnan(special.log_zeta(jnp.array([1.0, 0.5, -2.0, np.nan]))).all()
    assert special.log_zeta(jnp.array(1e6)) == 0


def test_log1p_square():
    x = np.array([0.0, 1e-5, -1.0, 3.0, 1e6, -1e12, 1e30])
    want = 2 * np.log(np.hypot(1, x))
    want[1] = 1e-10
    np.testing.assert_allclose(special.log1p_square(jnp.asarray(x, jnp.float32)), want, rtol=2e-6)
    slope = jax.vmap(jax.grad(special.log1p_square))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(slope, 2 * x / (1 + x * x), rtol=2e-6)


def test_log_sigmoids():
    logits = np.array([-np.inf, -100.0, -3.0, 0.0, 3.0, 100.0, np.inf])
    log_p, log_q = special.log_sigmoids(jnp.asarray(logits))
    np.testing.assert_allclose(log_p, scipy_special.log_expit(logits), rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(log_q, scipy_special.log_expit(-logits), rtol=1e-6, atol=1e-37)
    slopes = jax.vmap(jax.grad(lambda x: special.log_sigmoids(x)[0]))(jnp.asarray(logits[1:-1]))
    np.testing.assert_allclose(slopes, scipy_special.expit(-logits[1:-1]), rtol=1e-5, atol=1e-30)


def test_logarithms_at_their_edge():
    for function, edge, near in ((special.log, 0.0, 2.0), (special.log_complement, 1.0, 0.5)):
        assert np.isneginf(function(jnp.array(edge)))
        assert jax.grad(function)(edge) == 0
        np.testing.assert_allclose(jax.grad(function)(near), 0.5 if near == 2.0 else -2.0, rtol=1e-6)


def test_times():
    with np.errstate(invalid="ignore"):
        got = special.times(jnp.array([0.0, 2.0, 0.0, -1.0]), jnp.array([-np.inf, -np.inf, 3.0, 4.0]))
    np.testing.assert_array_equal(got, [0.0, -np.inf, 0.0, -4.0])
    # At a zero count the derivative in the count is still the logarithm.
    assert jax.grad(special.times, (0, 1))(0.0, 3.0) == (3.0, 0.0)
    assert jax.grad(special.times, (0, 1))(0.0, -np.inf) == (0.0, 0.0)
