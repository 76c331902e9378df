"""Samplers against exact distributions, in one compiled program per form: two lanes of parameters and an invalid one.

Each program runs a plain `jax.vmap` over the parameters under `seed` and `jit`, so it also checks that lanes are
independent and that a lane with NaN or forbidden parameters neither raises, nor loops forever, nor disturbs the others.

False alarms: every z-score bound is 5 (6e-7 for a normal statistic), every p-value bound 1e-6. With about 300 such
checks and fixed seeds, a correct sampler fails after a change of its stream with probability below 3e-4.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax import distributions
from genjax.distributions.family import FAMILIES
from genjax.pjax import seed

N_DRAWS = 30_000
Z_BOUND = 5.0
P_BOUND = 1e-6
NAN = np.nan

# (distribution, parameters by keyword: two valid lanes, then an invalid one; SciPy's distribution of the same keywords)
CONTINUOUS = [
    ("normal", {"loc": [0.5, -3.0, 0.0], "scale": [2.0, 0.1, -1.0]}, lambda loc, scale: stats.norm(loc, scale)),
    (
        "uniform",
        {"low": [-1.0, 2.0, 1.0], "high": [3.0, 2.5, NAN]},
        lambda low, high: stats.uniform(low, high - low),
    ),
    ("exponential", {"rate": [2.0, 0.1, -1.0]}, lambda rate: stats.expon(scale=1 / rate)),
    (
        "beta",
        {"concentration1": [2.5, 0.4, -1.0], "concentration0": [0.7, 10.0, 1.0]},
        lambda concentration1, concentration0: stats.beta(concentration1, concentration0),
    ),
    (
        "gamma",
        {"concentration": [2.5, 0.3, -1.0], "rate": [3.0, 0.1, 1.0]},
        lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
    ),
    (
        "gamma",
        {"concentration": [20.0, 1.0, NAN], "log_rate": [1.0, -1.0, 1.0]},
        lambda concentration, log_rate: stats.gamma(concentration, scale=np.exp(-log_rate)),
    ),
    (
        "inverse_gamma",
        {"concentration": [5.5, 8.0, NAN], "scale": [3.0, 0.2, 1.0]},
        lambda concentration, scale: stats.invgamma(concentration, scale=scale),
    ),
    (
        "log_normal",
        {"loc": [0.3, -2.0, 0.0], "scale": [0.5, 0.1, NAN]},
        lambda loc, scale: stats.lognorm(scale, scale=np.exp(loc)),
    ),
    (
        "student_t",
        {"df": [9.0, 1.5, NAN], "loc": [0.5, -1.0, 0.0], "scale": [2.0, 0.3, 1.0]},
        lambda df, loc, scale: stats.t(df, loc, scale),
    ),
    ("laplace", {"loc": [0.5, -3.0, 0.0], "scale": [2.0, 0.1, NAN]}, lambda loc, scale: stats.laplace(loc, scale)),
    ("half_normal", {"scale": [2.0, 0.1, -1.0]}, lambda scale: stats.halfnorm(scale=scale)),
    (
        "weibull",
        {"concentration": [1.5, 0.8, -1.0], "scale": [2.0, 0.1, 0.0]},
        lambda concentration, scale: stats.weibull_min(concentration, scale=scale),
    ),
    ("cauchy", {"loc": [0.5, -3.0, 0.0], "scale": [2.0, 0.1, NAN]}, lambda loc, scale: stats.cauchy(loc, scale)),
    ("chi2", {"df": [3.0, 11.0, -1.0]}, lambda df: stats.chi2(df)),
    ("half_cauchy", {"scale": [2.0, 0.1, -1.0]}, lambda scale: stats.halfcauchy(scale=scale)),
    ("gumbel", {"loc": [0.5, -3.0, 0.0], "scale": [2.0, 0.1, NAN]}, lambda loc, scale: stats.gumbel_r(loc, scale)),
    ("logistic", {"loc": [0.5, -3.0, 0.0], "scale": [2.0, 0.1, NAN]}, lambda loc, scale: stats.logistic(loc, scale)),
    (
        "pareto",
        {"concentration": [2.5, 9.0, -1.0], "scale": [3.0, 0.1, 1.0]},
        lambda concentration, scale: stats.pareto(concentration, scale=scale),
    ),
    (
        "von_mises",
        {"loc": [0.0, 0.0, 0.0], "concentration": [2.0, 0.3, NAN]},
        lambda loc, concentration: stats.vonmises(concentration, loc),
    ),
    (
        "truncated_normal",
        {"loc": [0.5, 0.0, 0.0], "scale": [2.0, 1.0, NAN], "low": [-1.0, 3.0, 0.0], "high": [2.0, 8.0, 1.0]},
        lambda loc, scale, low, high: stats.truncnorm((low - loc) / scale, (high - loc) / scale, loc, scale),
    ),
]
DISCRETE = [
    ("bernoulli", {"logits": [0.7, -3.0, NAN]}, lambda logits: stats.bernoulli(special.expit(logits))),
    ("bernoulli", {"probs": [0.7, 0.02, 2.0]}, lambda probs: stats.bernoulli(probs)),
    ("flip", {"p": [0.7, 0.02, NAN]}, lambda p: stats.bernoulli(p)),
    ("geometric", {"logits": [0.7, -3.0, NAN]}, lambda logits: stats.geom(special.expit(logits), loc=-1)),
    ("geometric", {"probs": [0.7, 0.05, 2.0]}, lambda probs: stats.geom(probs, loc=-1)),
    (
        "binomial",
        {"total_count": [10.0, 100.0, -5.0], "logits": [0.5, -1.0, 0.0]},
        lambda total_count, logits: stats.binom(total_count, special.expit(logits)),
    ),
    (
        "binomial",
        {"total_count": [3.0, 50.0, 5.0], "probs": [0.3, 0.9, 2.0]},
        lambda total_count, probs: stats.binom(total_count, probs),
    ),
    ("poisson", {"rate": [3.0, 40.0, -1.0]}, lambda rate: stats.poisson(rate)),
    ("poisson", {"log_rate": [-1.0, 3.0, NAN]}, lambda log_rate: stats.poisson(np.exp(log_rate))),
    (
        "negative_binomial",
        {"total_count": [3.5, 20.0, NAN], "logits": [0.5, -1.0, 0.0]},
        lambda total_count, logits: stats.nbinom(total_count, special.expit(-logits)),
    ),
    (
        "negative_binomial",
        {"total_count": [1.0, 6.0, 2.0], "probs": [0.3, 0.8, -1.0]},
        lambda total_count, probs: stats.nbinom(total_count, 1 - probs),
    ),
    (
        "beta_binomial",
        {"total_count": [10.0, 30.0, 5.0], "concentration1": [2.0, 0.7, NAN], "concentration0": [3.0, 5.0, 1.0]},
        lambda total_count, concentration1, concentration0: stats.betabinom(
            total_count, concentration1, concentration0
        ),
    ),
    ("zipf", {"power": [2.5, 6.0, 0.5]}, lambda power: stats.zipf(power)),
    ("zipf", {"power": [1.3, 3.5, NAN]}, lambda power: stats.zipf(power)),
]


def ids(cases):
    return [f"{name}-{'-'.join(parameters)}-{i}" for i, (name, parameters, _) in enumerate(cases)]


@functools.cache
def program(name):
    sample = getattr(distributions, name).sample
    lanes = jax.vmap(lambda parameters: sample(**parameters, sample_shape=(N_DRAWS,)))
    return jax.jit(seed(lanes))


def draw_lanes(name, parameters):
    """(lanes, N_DRAWS, *event) draws."""
    draws = program(name)(jax.random.key(20), {k: jnp.asarray(v) for k, v in parameters.items()})
    return np.asarray(draws).astype(float)


def draw(name, *args, n_draws=N_DRAWS):
    """(n_draws, *event) draws from one set of parameters."""
    sample = seed(lambda: getattr(distributions, name).sample(*args, sample_shape=(n_draws,)))
    return np.asarray(sample(jax.random.key(21)))


def lane_of(parameters, lane):
    return {k: float(np.float32(v[lane])) for k, v in parameters.items()}


def moments_of(frozen):
    """Mean, variance and excess kurtosis."""
    if frozen.dist.name != "vonmises":
        return map(float, frozen.stats(moments="mvk"))
    # SciPy would find each point of its integrals by inverting the distribution function.
    mean = frozen.expect(lambda x: x)
    variance = frozen.expect(lambda x: (x - mean) ** 2)
    return mean, variance, frozen.expect(lambda x: (x - mean) ** 4) / variance**2 - 3


def check_moments(draws, frozen):
    """Mean and variance within `Z_BOUND` standard errors, where the moments that give those errors exist."""
    mean, variance, kurtosis = moments_of(frozen)
    if np.isfinite(variance):
        assert abs(draws.mean() - mean) < Z_BOUND * np.sqrt(variance / draws.size)
    if np.isfinite(kurtosis):
        error = variance * np.sqrt((kurtosis + 2) / draws.size)
        assert abs(np.square(draws - mean).mean() - variance) < Z_BOUND * error + 1e-6 * variance


def check_independence(first, second):
    """Spearman's rank correlation of two lanes, which is asymptotically normal with variance 1 / (n - 1)."""
    correlation = stats.spearmanr(first, second).statistic
    assert abs(correlation) * np.sqrt(first.size - 1) < Z_BOUND


def test_every_form_is_in_a_table():
    univariate = {(FAMILIES_BY_NAME[name], tuple(parameters)) for name, parameters, _ in CONTINUOUS + DISCRETE}
    others = {"Categorical", "Multinomial", "MultivariateNormal", "Dirichlet"}  # below
    others |= {"OrderedLogistic", "MultivariateStudentT", "Wishart", "GaussianRandomWalk"}  # test_further_families
    assert univariate == {
        (f.name, form.parameters) for f in FAMILIES.values() for form in f.forms if f.name not in others
    }


FAMILIES_BY_NAME = {name: getattr(distributions, name).name.value for name, *_ in CONTINUOUS + DISCRETE}


@pytest.mark.parametrize(("name", "parameters", "reference"), CONTINUOUS, ids=ids(CONTINUOUS))
def test_continuous(name, parameters, reference):
    draws = draw_lanes(name, parameters)
    for lane in (0, 1):
        frozen = reference(**lane_of(parameters, lane))
        check_moments(draws[lane], frozen)
        assert stats.kstest(draws[lane], frozen.cdf).pvalue > P_BOUND
        assert len(np.unique(draws[lane])) > 0.9 * N_DRAWS
    check_independence(draws[0], draws[1])


@pytest.mark.parametrize(("name", "parameters", "reference"), DISCRETE, ids=ids(DISCRETE))
def test_discrete(name, parameters, reference):
    draws = draw_lanes(name, parameters)
    for lane in (0, 1):
        frozen = reference(**lane_of(parameters, lane))
        check_moments(draws[lane], frozen)
        check_frequencies(draws[lane], frozen.pmf, frozen.support()[0])
    check_independence(draws[0], draws[1])


def check_frequencies(draws, pmf, first):
    """Chi-square test; counts expected fewer than ten times go into one cell with everything beyond."""
    values = np.arange(first, first + 400)
    expected = pmf(values) * draws.size
    common = expected >= 10
    observed = np.array([(draws == v).sum() for v in values[common]])
    observed = np.append(observed, draws.size - observed.sum())
    expected = np.append(expected[common], draws.size - expected[common].sum())
    if expected[-1] < 10:
        observed = np.append(observed[:-2], observed[-2:].sum())
        expected = np.append(expected[:-2], expected[-2:].sum())
    assert stats.chisquare(observed, expected).pvalue > P_BOUND


def pmf_of(logits):
    probs = np.append(special.softmax(logits), np.zeros(400))
    return lambda values: probs[values]


@pytest.mark.parametrize("n_draws", [N_DRAWS, 3])
def test_categorical_from_one_set_of_logits(n_draws):
    """Few categories take Gumbel noise; 400 categories times the draws take the cumulative distribution."""
    logits = np.sin(np.arange(400.0))
    for used in (logits[:3], logits):
        draws = draw("categorical", used, n_draws=n_draws)
        assert draws.shape == (n_draws,) and draws.dtype == np.int32
        if n_draws == N_DRAWS:
            check_frequencies(draws, pmf_of(used), 0)


def test_categorical_never_draws_impossible_categories():
    logits = jnp.where(jnp.arange(400) % 3 == 1, 0.0, -jnp.inf)
    for n_draws in (100, N_DRAWS):
        assert set(np.unique(draw("categorical", logits, n_draws=n_draws) % 3)) == {1}


def test_categorical_lanes():
    logits = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    draws = draw_lanes("categorical", {"logits": logits})
    for lane in (0, 1):
        check_frequencies(draws[lane], pmf_of(logits[lane]), 0)
    check_independence(draws[0], draws[1])


@pytest.mark.parametrize("form", ["probs", "logits"])
def test_multinomial(form):
    probs = np.array([[0.2, 0.3, 0.5, 0.0], [0.7, 0.1, 0.05, 0.15], [0.5, NAN, 0.2, 0.3]])
    with np.errstate(divide="ignore"):
        parameters = {"total_count": np.array([10.0, 40.0, 5.0]), form: probs if form == "probs" else np.log(probs) + 3}
    draws = draw_lanes("multinomial", parameters)
    for lane, total_count in enumerate((10, 40)):
        assert (draws[lane].sum(-1) == total_count).all()
        for category in range(4):
            frozen = stats.binom(total_count, probs[lane, category])
            if probs[lane, category] == 0:
                assert (draws[lane, :, category] == 0).all()
            else:
                check_moments(draws[lane, :, category], frozen)
                check_frequencies(draws[lane, :, category], frozen.pmf, 0)
        check_covariance(draws[lane][:, :2], stats.multinomial(total_count, probs[lane]).cov()[:2, :2])
    check_independence(draws[0, :, 0], draws[1, :, 0])


def check_covariance(draws, covariance):
    """Each entry within `Z_BOUND` of its own estimated standard error."""
    centred = draws - draws.mean(0)
    products = centred[:, :, None] * centred[:, None, :]
    error = products.std(0) / np.sqrt(len(draws))
    assert (np.abs(products.mean(0) - covariance) < Z_BOUND * error).all()


def test_dirichlet():
    concentration = np.array([[1.0, 2.0, 0.3], [5.0, 4.0, 3.0], [1.0, -1.0, 1.0]])
    draws = draw_lanes("dirichlet", {"concentration": concentration})
    for lane in (0, 1):
        np.testing.assert_allclose(draws[lane].sum(-1), 1, rtol=1e-5)
        total = concentration[lane].sum()
        for axis, a in enumerate(concentration[lane]):
            frozen = stats.beta(a, total - a)
            check_moments(draws[lane, :, axis], frozen)
            # Float32 ties at the ends are no evidence against a continuous law.
            assert stats.kstest(np.clip(draws[lane, :, axis], 1e-30, 1 - 1e-7), frozen.cdf).pvalue > P_BOUND
        check_covariance(draws[lane], stats.dirichlet(concentration[lane]).cov())
    check_independence(draws[0, :, 0], draws[1, :, 0])


def test_multivariate_normal():
    covariance = np.array([[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.9], [-0.9, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]])
    loc = np.array([[0.0, 1.0], [-2.0, 0.5], [0.0, 0.0]])
    draws = draw_lanes("multivariate_normal", {"loc": loc, "covariance_matrix": covariance})
    for lane in (0, 1):
        for axis in (0, 1):
            frozen = stats.norm(loc[lane, axis], np.sqrt(covariance[lane, axis, axis]))
            check_moments(draws[lane, :, axis], frozen)
            assert stats.kstest(draws[lane, :, axis], frozen.cdf).pvalue > P_BOUND
        check_covariance(draws[lane], covariance[lane])
    check_independence(draws[0, :, 0], draws[1, :, 0])


def test_draws_at_extremes_have_finite_densities():
    """Small concentrations: float32 cannot hold the draw, but its density must not become infinite."""
    for name, parameters in (
        ("gamma", {"concentration": [1e-3] * 3, "rate": [1.0] * 3}),
        ("beta", {"concentration1": [1e-3] * 3, "concentration0": [1e-3] * 3}),
        ("exponential", {"rate": [1.0] * 3}),
    ):
        draws = draw_lanes(name, parameters)
        log_densities = getattr(distributions, name).logpdf(draws, **lane_of(parameters, 0))
        assert np.isfinite(log_densities).all()


def test_zipf_near_one_saturates():
    """Draws beyond int32 become its largest number: for power 1.1 that is P(X >= 2^31 - 1), about 11 %."""
    power = 1.1
    draws = draw_lanes("zipf", {"power": [power, 2.0, 2.0]})[0]
    limit = 2**31 - 1
    assert draws.min() == 1
    probability = special.zeta(power, limit) / special.zeta(power)
    error = np.sqrt(probability * (1 - probability) / N_DRAWS)
    assert abs((draws == limit).mean() - probability) < Z_BOUND * error


def test_pathwise_derivatives():
    """Of a location-scale family: 1 and the standardised draw. Of a discrete one: 0, also through rejection loops."""
    sample = seed(distributions.normal.sample)
    by_loc, by_scale = jax.grad(sample, argnums=(1, 2))(jax.random.key(0), 1.0, 2.0)
    assert by_loc == 1.0
    np.testing.assert_allclose(by_scale, (sample(jax.random.key(0), 1.0, 2.0) - 1.0) / 2.0, rtol=1e-5)
    zipf = seed(distributions.zipf.sample)
    assert jax.grad(lambda power: zipf(jax.random.key(0), power).astype(float))(2.0) == 0.0
