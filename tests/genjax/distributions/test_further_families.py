"""Distributions beyond the published set, against SciPy: densities, draws, derivatives of draws.

Draws are judged by Kolmogorov-Smirnov tests and by frequencies, each at a false-alarm rate below 1e-5.
"""

import copy
import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax import (
    beta_binomial,
    distributions,
    gamma,
    gaussian_random_walk,
    gen,
    improper_uniform,
    lkj_cholesky,
    mixture,
    multivariate_student_t,
    normal,
    ordered_logistic,
    poisson,
    seed,
    truncated_normal,
    von_mises,
    wishart,
    zero_inflated,
)
from genjax.distributions import supports

N = 20_000
COVARIANCE = jnp.array([[2.0, 0.5], [0.5, 1.0]])


def draws_of(chosen, *args, n=N):
    draw = jax.jit(lambda key: seed(lambda: chosen.sample(*args, sample_shape=(n,)))(key))
    return np.asarray(draw(jax.random.key(3)))


CONTINUOUS = [
    ("half_cauchy", (2.0,), stats.halfcauchy(scale=2)),
    ("pareto", (2.5, 3.0), stats.pareto(2.5, scale=3)),
    ("logistic", (1.0, 2.0), stats.logistic(1, 2)),
    ("gumbel", (1.0, 2.0), stats.gumbel_r(1, 2)),
    ("von_mises", (0.0, 0.0), stats.uniform(-np.pi, 2 * np.pi)),
    ("von_mises", (0.0, 0.1), stats.vonmises(0.1)),
    ("von_mises", (0.0, 3.0), stats.vonmises(3)),
    ("von_mises", (0.0, 2000.0), stats.vonmises(2000)),
    ("truncated_normal", (0.5, 2.0, -1.0, 2.0), stats.truncnorm(-0.75, 0.75, 0.5, 2)),
    ("truncated_normal", (0.0, 1.0, 3.0, np.inf), stats.truncnorm(3, np.inf)),
    ("truncated_normal", (0.0, 1.0, -30.0, -20.0), stats.truncnorm(-30, -20)),
    ("truncated_normal", (0.0, 1.0, 0.5, 0.51), stats.truncnorm(0.5, 0.51)),
]


@functools.cache
def draws_and_densities(name):
    """For all parameters, which compile once: draws, and the log densities of the first 200."""
    chosen = getattr(distributions, name)

    def draw(*args):
        draws = chosen.sample(*args, sample_shape=(N,))
        return draws, chosen.logpdf(draws[:200], *args)

    return jax.jit(seed(draw))


@pytest.mark.parametrize(("name", "args", "reference"), CONTINUOUS, ids=lambda v: v if isinstance(v, str) else "")
def test_numbers(name, args, reference):
    draws, log_densities = map(np.asarray, draws_and_densities(name)(jax.random.key(3), *args))
    assert stats.kstest(draws, reference.cdf).pvalue > 1e-5
    # At -20 a truncated normal is the difference of two numbers near 200, whose spacing in float32 is 1.5e-5.
    np.testing.assert_allclose(log_densities, reference.logpdf(draws[:200]), rtol=2e-5, atol=5e-5)


def test_angles_are_wrapped_and_their_density_is_periodic():
    draws = draws_of(von_mises, 3.0, 1.5)
    assert np.abs(draws).max() <= np.float32(np.pi)
    assert stats.kstest((draws - 3 + np.pi) % (2 * np.pi) - np.pi, stats.vonmises(1.5).cdf).pvalue > 1e-5
    np.testing.assert_allclose(
        von_mises.logpdf(0.4 + 2 * jnp.pi, 3.0, 1.5), stats.vonmises(1.5, 3).logpdf(0.4), rtol=1e-5
    )


@jax.jit
def angles_with_slopes(concentration):
    draw = lambda k: seed(lambda: von_mises.sample(0.0, k, sample_shape=(20,)))(jax.random.key(1))
    return jax.jvp(draw, (concentration,), (1.0,))


@pytest.mark.parametrize("concentration", [0.3, 2.0, 40.0, 400.0])
def test_implicit_derivative_of_angles(concentration):
    angles, slopes = angles_with_slopes(concentration)
    angles, step = np.asarray(angles, np.float64), 1e-4 * concentration
    cdf = lambda k: stats.vonmises(k).cdf(angles)
    want = (
        -(cdf(concentration + step) - cdf(concentration - step))
        / (2 * step)
        / stats.vonmises(concentration).pdf(angles)
    )
    np.testing.assert_allclose(slopes, want, rtol=2e-3, atol=2e-4 * np.abs(want).max())


@pytest.mark.parametrize("bounds", [(-1.0, 2.0), (4.0, 7.0), (-25.0, -20.0)])
def test_derivatives_of_truncated_draws(bounds):
    draw = lambda loc, scale: seed(lambda: truncated_normal.sample(loc, scale, *bounds, sample_shape=(20,)))(
        jax.random.key(1)
    )
    tangent = lambda *dots: jax.jit(lambda: jax.jvp(draw, (0.0, 1.0), dots))()
    cdf = lambda loc, scale, x: stats.truncnorm((bounds[0] - loc) / scale, (bounds[1] - loc) / scale, loc, scale).cdf(x)
    for dots in ((1.0, 0.0), (0.0, 1.0)):
        x, slopes = (np.asarray(a, np.float64) for a in tangent(*dots))
        e = 1e-5
        up, down = cdf(e * dots[0], 1 + e * dots[1], x), cdf(-e * dots[0], 1 - e * dots[1], x)
        want = -(up - down) / (2 * e) / stats.truncnorm(*bounds).pdf(x)
        np.testing.assert_allclose(slopes, want, rtol=5e-3, atol=5e-3 * np.abs(want).max())


def assert_frequencies(draws, probabilities):
    """Each frequency within 5 standard errors: a false-alarm rate of 6e-7 each."""
    counts = np.bincount(draws.astype(int), minlength=len(probabilities))
    assert np.all(np.abs(counts - N * probabilities) < 5 * np.sqrt(N * probabilities) + 3)


def test_beta_binomial():
    reference, counts = stats.betabinom(10, 2, 3), np.arange(11)
    np.testing.assert_allclose(beta_binomial.logpdf(counts, 10.0, 2.0, 3.0), reference.logpmf(counts), rtol=1e-5)
    assert_frequencies(draws_of(beta_binomial, 10.0, 2.0, 3.0), reference.pmf(counts))
    # Of large concentrations it is a binomial.
    binomial = stats.binom(10, 0.25).logpmf(counts)
    np.testing.assert_allclose(beta_binomial.logpdf(counts, 10.0, 1e9, 3e9), binomial, rtol=1e-5, atol=1e-4)


def test_ordered_logistic():
    cutpoints = jnp.array([-1.0, 0.0, 2.0])
    edges = stats.logistic(0.5).cdf([-np.inf, *cutpoints, np.inf])
    np.testing.assert_allclose(
        np.exp(ordered_logistic.logpdf(jnp.arange(4), 0.5, cutpoints)), np.diff(edges), rtol=1e-5
    )
    assert_frequencies(draws_of(ordered_logistic, 0.5, cutpoints), np.diff(edges))
    far = ordered_logistic.logpdf(jnp.arange(4), 60.0, cutpoints)
    assert np.isfinite(far).all() and float(far[0]) == pytest.approx(-61.0)
    assert np.isnan(ordered_logistic.logpdf(1, 0.0, jnp.array([1.0, 0.0])))


def test_ordered_logistic_of_arrays_and_its_gradients():
    """Values, predictors and cutpoints broadcast; derivatives are finite and exact, at ties and far out too."""
    cutpoints, predictors = np.array([[-1.0, 0.5, 2.0], [0.0, 1.5, 3.0]]), np.array([0.3, -0.2])
    values = np.arange(4)[:, None]
    edges = np.concatenate([np.full((2, 1), -np.inf), cutpoints, np.full((2, 1), np.inf)], axis=1)
    between = np.diff(stats.logistic(predictors[:, None]).cdf(edges), axis=1).T
    got = ordered_logistic.logpdf(jnp.asarray(values), jnp.asarray(predictors), jnp.asarray(cutpoints))
    np.testing.assert_allclose(got, np.log(between), rtol=1e-5)
    # By eta: s(c_k - eta) - s(eta - c_(k+1)).
    below, above = np.array([-np.inf, -1.0, 0.5, 2.0]), np.array([-1.0, 0.5, 2.0, np.inf])
    for eta in (-200.0, -1.0, 0.3, 0.5, 2.0, 200.0):
        slopes = jax.jacfwd(lambda eta: ordered_logistic.logpdf(jnp.arange(4), eta, jnp.asarray(cutpoints[0])))(eta)
        wanted = special.expit(below - eta) - special.expit(eta - above)
        np.testing.assert_allclose(slopes, wanted, rtol=1e-5, atol=1e-6)


def test_an_ordered_logistic_takes_logarithms_for_its_value_only():
    """A thousand rows of 40 categories: the work with logarithms and exponentials does not grow with the categories."""

    def gradient(cutpoints):
        rows = jnp.zeros(1000)
        value = jnp.ones(1000, jnp.int32)
        return jax.grad(lambda c: ordered_logistic.logpdf(value, rows, c).sum())(cutpoints)

    few, many = (
        jax.jit(gradient).lower(jnp.arange(n) - 1.0).compile().cost_analysis()["transcendentals"] for n in (4, 39)
    )
    assert many < 1.2 * few


def test_multivariate_student_t():
    value, loc = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.0])
    for df in (3.0, 1e6):
        want = stats.multivariate_t(loc, COVARIANCE, df).logpdf(value)
        assert float(multivariate_student_t.logpdf(value, df, loc, COVARIANCE)) == pytest.approx(want, rel=1e-5)
    draws = draws_of(multivariate_student_t, 3.0, loc, COVARIANCE)
    for direction in ([1.0, 0.0], [0.6, -0.8]):
        scale = np.sqrt(direction @ np.asarray(COVARIANCE) @ direction)
        assert stats.kstest(draws @ direction, stats.t(3, direction @ np.asarray(loc), scale).cdf).pvalue > 1e-5
    with pytest.raises(ValueError, match="not positive definite"):
        multivariate_student_t.logpdf(value, 3.0, loc, jnp.ones((2, 2)))


def test_gaussian_random_walk():
    scale = jnp.array([1.0, 2.0, 0.5])
    want = stats.norm.logpdf([1.0, 2.0, -0.5], scale=scale).sum()
    assert float(gaussian_random_walk.logpdf(jnp.array([1.0, 3.0, 2.5]), scale)) == pytest.approx(want, rel=1e-6)
    steps = np.diff(draws_of(gaussian_random_walk, scale), axis=-1, prepend=0.0)
    for i in range(3):
        assert stats.kstest(steps[:, i], stats.norm(0, scale[i]).cdf).pvalue > 1e-5


def test_wishart():
    value = jnp.array([[3.0, 0.2], [0.2, 1.5]])
    want = stats.wishart(4.5, COVARIANCE).logpdf(value)
    assert float(wishart.logpdf(value, 4.5, COVARIANCE)) == pytest.approx(want, rel=1e-5)
    draws = draws_of(wishart, 4.5, COVARIANCE)
    direction = np.array([0.6, -0.8])
    variance = direction @ np.asarray(COVARIANCE) @ direction
    assert stats.kstest(direction @ draws @ direction / variance, stats.chi2(4.5).cdf).pvalue > 1e-5
    # det X / det V is a product of chi squares of df and df - 1.
    log_ratio = np.log(np.linalg.det(draws.astype(float)) / np.linalg.det(COVARIANCE))
    mean = sum(stats.loggamma(n / 2).mean() + np.log(2) for n in (4.5, 3.5))
    assert abs(log_ratio.mean() - mean) < 5 * log_ratio.std() / np.sqrt(N)


def test_lkj_cholesky_near_singular_matrices():
    """Of two dimensions, the square of the last diagonal element has the law Beta(concentration, 1/2).

    Three counts within five standard errors each: false alarm 2e-6.
    """
    n = 100_000
    found = jax.jit(seed(lambda: lkj_cholesky.sample(2, 0.05, sample_shape=(n,))))(jax.random.key(5))
    left = np.square(np.asarray(found[:, 1, 1], np.float64))
    for bound in (1e-3, 1e-9, 1e-20):
        chance = stats.beta(0.05, 0.5).cdf(bound)
        assert abs((left < bound).mean() - chance) < 5 * np.sqrt(chance * (1 - chance) / n)
    assert np.isfinite(lkj_cholesky.logpdf(found, 2, 0.05)).all()


def test_lkj_cholesky():
    draws = draws_of(lkj_cholesky, 3, 2.0)
    correlations = draws @ draws.swapaxes(1, 2)
    np.testing.assert_allclose(np.diagonal(correlations, axis1=1, axis2=2), 1, atol=1e-5)
    for i, j in ((0, 1), (0, 2), (1, 2)):  # each correlation is 2 beta - 1, with eta + n / 2 - 1
        assert stats.kstest((correlations[:, i, j] + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 1e-5
    # In two dimensions r = L_10 is 2 beta(eta, eta) - 1.
    r = np.array([-0.8, 0.0, 0.6])
    factors = np.stack([[[1.0, 0.0], [x, np.sqrt(1 - x * x)]] for x in r])
    want = stats.beta(1.5, 1.5).logpdf((r + 1) / 2) - np.log(2)
    np.testing.assert_allclose(
        lkj_cholesky.logpdf(jnp.asarray(factors, jnp.float32), 2, 1.5), want, rtol=1e-5, atol=1e-5
    )
    # In three, the density over the three entries integrates to 1: importance sampling, uniform over the balls.
    rng = np.random.default_rng(0)
    x, angle, radius = rng.uniform(-1, 1, N), rng.uniform(0, 2 * np.pi, N), np.sqrt(rng.uniform(0, 1, N))
    L = np.zeros((N, 3, 3), np.float32)
    L[:, 0, 0], L[:, 1, 0], L[:, 1, 1] = 1, x, np.sqrt(1 - x * x)
    L[:, 2] = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], -1)
    weights = 2 * np.pi * np.exp(np.asarray(lkj_cholesky.logpdf(jnp.asarray(L), 3, 2.0), np.float64))
    assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(N)
    with pytest.raises(TypeError, match="dimension"):
        jax.jit(lambda n: lkj_cholesky.logpdf(jnp.eye(3), n, 1.0))(3)


def test_mixture():
    probs, loc = jnp.array([0.3, 0.7]), jnp.array([-2.0, 2.0])
    mixed = mixture(normal)
    cdf = lambda x: 0.3 * stats.norm(-2).cdf(x) + 0.7 * stats.norm(2).cdf(x)
    assert stats.kstest(draws_of(mixed, probs, loc, 1.0), cdf).pvalue > 1e-5
    want = np.log(0.3 * stats.norm(-2).pdf(1.0) + 0.7 * stats.norm(2).pdf(1.0))
    assert float(mixed.logpdf(1.0, 2 * probs, loc, 1.0)) == pytest.approx(want, rel=1e-5)
    lanes = mixed.logpdf(jnp.zeros(4), probs, jnp.zeros((4, 2)) + loc, jnp.ones((4, 1)))
    assert lanes.shape == (4,)
    with pytest.raises(ValueError, match="2 components"):
        mixed.logpdf(1.0, probs, jnp.zeros(3), 1.0)
    gradient = jax.grad(lambda p: mixed.logpdf(1.0, p, loc, 1.0))(jnp.array([0.0, 1.0]))
    assert np.isfinite(gradient).all()


def test_zero_inflated():
    inflated = zero_inflated(poisson)
    reference = 0.7 * stats.poisson(2.0).pmf(np.arange(15))
    reference[0] += 0.3
    np.testing.assert_allclose(inflated.logpdf(jnp.arange(15.0), 0.3, 2.0), np.log(reference), rtol=1e-5)
    assert_frequencies(draws_of(inflated, 0.3, 2.0), reference)
    assert np.isneginf(inflated.logpdf(-1.0, 0.3, 2.0))
    gates = seed(lambda: inflated.sample(jnp.full(1000, 1e-9), 100.0))(jax.random.key(0))
    assert len(np.unique(gates)) > 20  # a count for each gate


def test_slopes_by_weights_and_gates_of_zero():
    """The derivative by a weight of 0 is the density of its component over that of the mixture, less 1 over the sum."""
    probs, loc = jnp.array([0.0, 1.0]), jnp.array([-1.0, 2.0])
    slopes = jax.jit(jax.grad(lambda probs: mixture(normal).logpdf(0.5, probs, loc, 1.0)))(probs)
    densities = stats.norm(loc).pdf(0.5)
    np.testing.assert_allclose(slopes, densities / densities[1] - 1, rtol=1e-5, atol=1e-6)
    inflated = jax.jit(jax.grad(lambda gate, rate: zero_inflated(poisson).logpdf(0.0, gate, rate), (0, 1)))
    for gate in (0.0, 1e-10, 0.3, 1.0):
        zero = np.exp(-2.0)
        both = gate + (1 - gate) * zero
        want = (1 - zero) / both, -(1 - gate) * zero / both
        np.testing.assert_allclose(inflated(gate, 2.0), want, rtol=1e-5, atol=1e-7)
    # A weight may be an integer, and a component's density infinite.
    assert float(mixture(gamma).logpdf(0.0, jnp.array([1, 3]), jnp.array([0.5, 2.0]), 1.0)) == np.inf
    assert np.isneginf(mixture(gamma).logpdf(0.0, jnp.array([0, 1]), jnp.array([0.5, 2.0]), 1.0))
    by_rate = jax.grad(lambda rate: mixture(gamma).logpdf(1.0, jnp.array([0, 1]), jnp.array([0.5, 2.0]), rate))(1.0)
    np.testing.assert_allclose(by_rate, 1.0, rtol=1e-6)  # (a - r x) / r


def test_improper_uniform():
    flat = improper_uniform(supports.positive)

    @gen
    def model():
        scale = flat() @ "scale"
        normal(0.0, scale) @ "y"

    _, weight = model.generate({"scale": 2.0, "y": 1.0})
    assert float(weight) == pytest.approx(stats.norm(0, 2).logpdf(1.0), rel=1e-6)
    assert np.isneginf(flat.logpdf(-1.0)) and flat.support is supports.positive
    with pytest.raises(NotImplementedError, match="has no draws"):
        model.simulate()


@pytest.mark.parametrize(
    "chosen", [mixture(normal), zero_inflated(poisson), improper_uniform(supports.real), lkj_cholesky], ids=str
)
def test_copies_equal_the_original(chosen):
    assert copy.deepcopy(chosen) == chosen == pickle.loads(pickle.dumps(chosen))
