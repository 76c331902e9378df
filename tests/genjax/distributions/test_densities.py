"""Densities against SciPy: values on grids with edges and points outside the support, derivatives, tails."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax import distributions

OUTSIDE = -np.inf
REALS = (-40.0, -3.0, -0.5, 0.0, 0.25, 2.0, 30.0)
POSITIVE = (-1.0, 1e-4, 0.3, 1.0, 2.5, 40.0)
COUNTS = (-1.0, 0.0, 0.5, 1.0, 2.0, 7.0, 30.0)
UNIT = (-0.1, 0.0, 1e-6, 0.2, 0.5, 0.999, 1.0, 1.1)
BITS = (0, 1)


# (distribution, its keyword parameters, SciPy's distribution of the same keywords, values)
CASES = [
    ("bernoulli", {"probs": 0.2}, lambda probs: stats.bernoulli(probs), BITS),
    ("bernoulli", {"logits": -1.7}, lambda logits: stats.bernoulli(special.expit(logits)), BITS),
    ("flip", {"p": 0.3}, lambda p: stats.bernoulli(p), BITS),
    ("geometric", {"probs": 0.3}, lambda probs: stats.geom(probs, loc=-1), COUNTS),
    ("geometric", {"logits": -2.0}, lambda logits: stats.geom(special.expit(logits), loc=-1), COUNTS),
    (
        "binomial",
        {"total_count": 12.0, "probs": 0.3},
        lambda total_count, probs: stats.binom(total_count, probs),
        COUNTS,
    ),
    (
        "binomial",
        {"total_count": 12.0, "logits": 2.0},
        lambda total_count, logits: stats.binom(total_count, special.expit(logits)),
        COUNTS,
    ),
    ("poisson", {"rate": 3.0}, lambda rate: stats.poisson(rate), COUNTS),
    ("poisson", {"log_rate": -0.5}, lambda log_rate: stats.poisson(np.exp(log_rate)), COUNTS),
    (
        "negative_binomial",
        {"total_count": 3.5, "probs": 0.4},
        lambda total_count, probs: stats.nbinom(total_count, 1 - probs),
        COUNTS,
    ),
    (
        "negative_binomial",
        {"total_count": 2.0, "logits": 1.5},
        lambda total_count, logits: stats.nbinom(total_count, special.expit(-logits)),
        COUNTS,
    ),
    ("zipf", {"power": 2.5}, lambda power: stats.zipf(power), COUNTS),
    ("zipf", {"power": 1.05}, lambda power: stats.zipf(power), COUNTS),
    ("zipf", {"power": 40.0}, lambda power: stats.zipf(power), COUNTS),
    ("normal", {"loc": 0.4, "scale": 2.0}, lambda loc, scale: stats.norm(loc, scale), REALS),
    (
        "uniform",
        {"low": -1.0, "high": 3.0},
        lambda low, high: stats.uniform(low, high - low),
        (-1.5, -1.0, 0.0, 3.0, 4.0),
    ),
    ("exponential", {"rate": 1.7}, lambda rate: stats.expon(scale=1 / rate), (0.0, *POSITIVE)),
    (
        "beta",
        {"concentration1": 2.5, "concentration0": 0.7},
        lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
        UNIT,
    ),
    (
        "beta",
        {"concentration1": 1.0, "concentration0": 1.0},
        lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
        UNIT,
    ),
    (
        "gamma",
        {"concentration": 2.5, "rate": 3.0},
        lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
        (0.0, *POSITIVE),
    ),
    (
        "gamma",
        {"concentration": 0.3, "log_rate": -1.0},
        lambda concentration, log_rate: stats.gamma(concentration, scale=np.exp(-log_rate)),
        (0.0, *POSITIVE),
    ),
    (
        "inverse_gamma",
        {"concentration": 2.5, "scale": 3.0},
        lambda concentration, scale: stats.invgamma(concentration, scale=scale),
        (0.0, *POSITIVE[:1], 0.05, *POSITIVE[2:]),
    ),
    (
        "log_normal",
        {"loc": 0.4, "scale": 1.5},
        lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc)),
        (0.0, *POSITIVE),
    ),
    ("student_t", {"df": 3.5, "loc": 0.4, "scale": 2.0}, lambda df, loc, scale: stats.t(df, loc, scale), REALS),
    ("student_t", {"df": 300.0}, lambda df: stats.t(df), REALS),
    ("laplace", {"loc": 0.4, "scale": 2.0}, lambda loc, scale: stats.laplace(loc, scale), REALS),
    ("half_normal", {"scale": 2.0}, lambda scale: stats.halfnorm(scale=scale), (0.0, *POSITIVE)),
    (
        "weibull",
        {"concentration": 1.5, "scale": 2.0},
        lambda concentration, scale: stats.weibull_min(concentration, scale=scale),
        (0.0, *POSITIVE),
    ),
    (
        "weibull",
        {"concentration": 0.6, "scale": 2.0},
        lambda concentration, scale: stats.weibull_min(concentration, scale=scale),
        (0.0, *POSITIVE),
    ),
    ("cauchy", {"loc": 0.4, "scale": 2.0}, lambda loc, scale: stats.cauchy(loc, scale), (*REALS, 1e12)),
    ("chi2", {"df": 3.0}, lambda df: stats.chi2(df), (0.0, *POSITIVE)),
]
IDS = [f"{name}-{'-'.join(parameters)}-{i}" for i, (name, parameters, _, _) in enumerate(CASES)]
cases = pytest.mark.parametrize(("name", "parameters", "reference", "values"), CASES, ids=IDS)


def log_density(frozen, values):
    with np.errstate(divide="ignore"):
        return frozen.logpmf(values) if hasattr(frozen.dist, "logpmf") else frozen.logpdf(values)


def discrete(reference, parameters):
    return hasattr(reference(**parameters).dist, "logpmf")


@functools.cache
def log_densities(name):
    return jax.jit(getattr(distributions, name).logpdf)


@functools.cache
def log_densities_and_derivatives(name):
    """Per value: the log density, its derivative in the value, and its derivatives in the parameters by name."""
    logpdf = getattr(distributions, name).logpdf

    def one(value, parameters):
        return jax.value_and_grad(lambda v, p: logpdf(v, **p), (0, 1))(value, parameters)

    return jax.jit(jax.vmap(one, (0, None)))


def central_difference(function, at, step):
    return (function(at + step) - function(at - step)) / (2 * step)


@cases
def test_double_precision_values_and_derivatives(name, parameters, reference, values):
    """Against SciPy, and against central differences of SciPy's densities, whose error is about 1e-7 of their size."""
    frozen = reference(**parameters)
    low, high = frozen.support()
    is_discrete = discrete(reference, parameters)
    values = np.asarray(values, float)
    want = log_density(frozen, values)
    with jax.enable_x64(True):
        got, (by_value, by_parameter) = log_densities_and_derivatives(name)(values, parameters)
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, want, rtol=2e-10, atol=2e-11)
    for derivative in (by_value, *by_parameter.values()):  # also outside the support and at its edges
        assert not np.isnan(derivative).any()
        assert np.isfinite(np.asarray(derivative)[np.isfinite(want)]).all()

    checked = 0
    for i, value in enumerate(values):
        if not np.isfinite(want[i]) or (not is_discrete and value in (low, high)):
            continue
        for label in parameters:
            if (name, label) == ("binomial", "total_count"):
                continue  # SciPy has no fractional number of trials
            shifted = lambda p, label=label, value=value: log_density(reference(**{**parameters, label: p}), value)
            difference = central_difference(shifted, parameters[label], 1e-5 * max(1.0, abs(parameters[label])))
            np.testing.assert_allclose(by_parameter[label][i], difference, rtol=1e-5, atol=1e-5)
            checked += 1
        is_kink = name == "laplace" and value == parameters["loc"]
        if not is_discrete and not is_kink:
            step = 1e-5 * min(1.0, value - low, high - value)
            difference = central_difference(lambda v: log_density(frozen, v), value, step)
            np.testing.assert_allclose(by_value[i], difference, rtol=1e-5, atol=1e-5)
            checked += 1
    assert checked


@cases
def test_single_precision_values(name, parameters, reference, values):
    values = np.asarray(values, np.float32)
    rounded = {k: float(np.float32(v)) for k, v in parameters.items()}
    want = log_density(reference(**rounded), values.astype(float))
    got = log_densities(name)(values, **parameters)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "args", "value", "want"),
    [
        ("flip", (1.0,), True, 0.0),
        ("flip", (0.0,), False, 0.0),
        ("flip", (1.0,), False, OUTSIDE),
        ("flip", (0.0,), 1.0, OUTSIDE),
        ("flip", (0.3,), 0.0, np.log1p(-0.3)),
        ("bernoulli", (np.inf,), 1, 0.0),
        ("bernoulli", (-np.inf,), 1, OUTSIDE),
        ("bernoulli", (0.0,), 2, OUTSIDE),
        ("bernoulli", (0.0,), 0.5, OUTSIDE),
        ("bernoulli", (40.0,), 0, -40.0),
        ("bernoulli", (200.0,), False, -200.0),
        ("geometric", (None, 1.0), 0, 0.0),
        ("geometric", (None, 1.0), 1, OUTSIDE),
        ("poisson", (0.0,), 0, 0.0),
        ("poisson", (0.0,), 1, OUTSIDE),
        ("binomial", (4, None, 0.0), 0, 0.0),
        ("binomial", (4, None, 1.0), 4, 0.0),
        ("binomial", (4, None, 1.0), 3, OUTSIDE),
        ("binomial", (4, None, 0.5), 5, OUTSIDE),
        ("negative_binomial", (2.0, None, 0.0), 0, 0.0),
        ("normal", (0.0, 1.0), np.inf, OUTSIDE),
        ("gamma", (2.0, 1.0), np.inf, OUTSIDE),
        ("weibull", (2.0, 1.0), np.inf, OUTSIDE),
        ("student_t", (2.0,), 1e30, -1.5 * (2 * 30 * np.log(10) - np.log(2)) - np.log(2 * np.sqrt(2))),
        ("cauchy", (0.0, 1.0), -1e30, -60 * np.log(10) - np.log(np.pi)),
        ("log_normal", (0.0, 1.0), 0.0, OUTSIDE),
        ("inverse_gamma", (1.0, 1.0), 0.0, OUTSIDE),
        ("zipf", (2.0,), 0, OUTSIDE),
        ("zipf", (1e4,), 1, 0.0),
    ],
)
def test_edges(name, args, value, want):
    np.testing.assert_allclose(getattr(distributions, name).logpdf(value, *args), want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "value", "want"),
    [
        ("flip", {"p": 1.0}, True, 1.0),
        ("flip", {"p": 0.0}, False, -1.0),
        ("bernoulli", {"probs": 1.0}, 1, 1.0),
        ("binomial", {"total_count": 3.0, "probs": 1.0}, 3, 3.0),
        ("geometric", {"probs": 1.0}, 0, 1.0),
    ],
)
def test_derivative_at_a_certain_probability(name, parameters, value, want):
    """log p at p = 1 has derivative n, though the branch not taken has log 0."""
    label = "p" if name == "flip" else "probs"
    others = {k: v for k, v in parameters.items() if k != label}
    gradient = jax.grad(lambda p: getattr(distributions, name).logpdf(value, **others, **{label: p}))(parameters[label])
    np.testing.assert_allclose(gradient, want, rtol=1e-6)


@pytest.mark.parametrize("value", [-0.5, -1e-6, 1.0 + 1e-6, 3.0, np.inf, np.nan])
@pytest.mark.parametrize("concentrations", [(2.0, 2.0), (0.5, 0.5), (1.0, 1.0), (10.0, 1.0)])
def test_beta_outside_its_support(value, concentrations):
    got = distributions.beta.logpdf(value, *concentrations)
    assert np.isneginf(got) or np.isnan(got)


def test_small_probabilities_keep_their_digits():
    np.testing.assert_allclose(distributions.flip.logpdf(False, 1e-10), -1e-10, rtol=1e-6)
    np.testing.assert_allclose(distributions.bernoulli.logpdf(1, 30.0), -np.exp(-30.0), rtol=1e-5)


LOGITS = np.array([0.1, 0.5, -0.3])


def test_categorical_values():
    want = np.append(np.log(np.exp(LOGITS) / np.exp(LOGITS).sum()), [OUTSIDE, OUTSIDE, OUTSIDE])
    for dtype in (jnp.int32, jnp.float32):
        got = distributions.categorical.logpdf(jnp.asarray([0, 1, 2, 3, -1, 10**6], dtype), LOGITS)
        np.testing.assert_allclose(got, want, rtol=1e-6)
    assert np.isneginf(distributions.categorical.logpdf(0.5, LOGITS))
    np.testing.assert_allclose(distributions.categorical.logpdf(True, LOGITS), want[1], rtol=1e-6)
    np.testing.assert_allclose(distributions.categorical.logpdf(jnp.uint8(2), jnp.zeros(300)), -np.log(300), rtol=1e-6)


@pytest.mark.parametrize(
    ("value_shape", "logits_shape"), [((5,), (3,)), ((), (4, 3)), ((4,), (4, 3)), ((2, 1), (4, 3)), ((5, 4), (4, 3))]
)
def test_categorical_batches(value_shape, logits_shape):
    rng = np.random.default_rng(0)
    value, logits = rng.integers(0, 3, value_shape), rng.normal(size=logits_shape)
    shape = np.broadcast_shapes(value_shape, logits_shape[:-1])
    log_probs = np.broadcast_to(special.log_softmax(logits, axis=-1), (*shape, 3))
    want = np.take_along_axis(log_probs, np.broadcast_to(value, shape)[..., None], axis=-1)[..., 0]
    got = distributions.categorical.logpdf(value, logits)
    assert got.shape == shape
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_categorical_of_impossible_categories():
    logits = jnp.array([0.0, -jnp.inf, 0.0])
    np.testing.assert_allclose(
        distributions.categorical.logpdf(jnp.arange(3), logits), [-np.log(2), OUTSIDE, -np.log(2)], rtol=1e-6
    )
    gradient = jax.grad(lambda shift: distributions.categorical.logpdf(0, logits + shift * jnp.arange(3)))(0.0)
    np.testing.assert_allclose(gradient, -1.0, rtol=1e-6)  # half the mass is at category 2


@pytest.mark.parametrize("value", [jnp.array([0, 1, 2, 1]), jnp.array([False, True, True, True])])
def test_slopes_of_a_bernoulli_in_its_logits(value):
    """`value - sigmoid(logits)`, also where the logits are 0 or infinite; 0 outside of the support."""
    for logit in (0.0, -3.0, 40.0, jnp.inf, -jnp.inf):
        logits = jnp.full(4, logit)
        slopes = jax.grad(lambda logits: jnp.sum(distributions.bernoulli.logpdf(value, logits=logits)))(logits)
        inside = (value == 0) | (value == 1)
        expected = np.where(inside, np.float64(value) - 1 / (1 + np.exp(-np.float64(logit))), 0.0)
        np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=1e-7)
    curvature = jax.grad(jax.grad(lambda logit: distributions.bernoulli.logpdf(1, logits=logit)))(0.5)
    np.testing.assert_allclose(curvature, -jax.nn.sigmoid(0.5) * jax.nn.sigmoid(-0.5), rtol=1e-5)
