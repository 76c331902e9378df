"""Every distribution says its support: draws are in it, densities are -inf (or NaN) outside, copies are equal."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    Distribution,
    adev,
    beta,
    binomial,
    distribution,
    distributions,
    gamma,
    gen,
    improper_uniform,
    mixture,
    negative_binomial,
    normal,
    poisson,
    uniform,
    zero_inflated,
)
from genjax.distributions import supports
from genjax.pjax import seed

# Arguments, values inside, values outside
CASES = {
    "normal": ((0.0, 1.0), [-3.0, 0.0], [np.nan]),
    "cauchy": ((0.0, 1.0), [-3.0, 0.0], [np.nan]),
    "laplace": ((0.0, 1.0), [-3.0, 0.0], [np.nan]),
    "student_t": ((3.0,), [-3.0, 0.0], [np.nan]),
    "log_normal": ((0.0, 1.0), [1e-3, 5.0], [0.0, -1.0]),
    "half_normal": ((2.0,), [0.0, 5.0], [-1.0]),
    "uniform": ((-1.0, 3.0), [-1.0, 0.0, 3.0], [-1.5, 4.0]),
    "exponential": ((2.0,), [0.0, 5.0], [-1.0]),
    "weibull": ((1.5, 2.0), [0.1, 5.0], [-1.0]),
    "beta": ((2.0, 3.0), [0.2, 0.9], [-0.1, 1.1]),
    "gamma": ((2.0, 3.0), [0.2, 9.0], [-0.1]),
    "chi2": ((2.0,), [0.2, 9.0], [-0.1]),
    "inverse_gamma": ((2.0, 3.0), [0.2, 9.0], [-0.1]),
    "geometric": ((None, 0.3), [0, 7], [-1, 0.5]),
    "binomial": ((5.0, None, 0.3), [0, 5], [-1, 6, 0.5]),
    "poisson": ((3.0,), [0, 7], [-1, 0.5]),
    "negative_binomial": ((3.0, None, 0.3), [0, 7], [-1, 0.5]),
    "zipf": ((2.5,), [1, 7], [0, 1.5]),
    "bernoulli": ((0.3,), [0, 1], [2, 0.5]),
    "flip": ((0.3,), [False, True], []),
    "categorical": (([0.1, 0.4, 0.2],), [0, 2], [-1, 3, 0.5]),
    "multivariate_normal": (([0.0, 1.0], np.eye(2)), [[0.0, 1.0]], [[0.0, np.nan]]),
    "dirichlet": (([2.0, 1.0, 3.0],), [[0.2, 0.3, 0.5]], [[0.2, 0.3, 0.6], [-0.2, 0.7, 0.5]]),
    "multinomial": ((4.0, None, [0.2, 0.3, 0.5]), [[1.0, 3.0, 0.0]], [[1.0, 2.0, 0.0], [0.5, 3.5, 0.0]]),
    "half_cauchy": ((2.0,), [0.0, 5.0], [-1.0]),
    "pareto": ((2.5, 3.0), [3.0, 50.0], [2.9, -1.0]),
    "logistic": ((0.0, 1.0), [-3.0, 0.0], [np.nan]),
    "gumbel": ((0.0, 1.0), [-3.0, 0.0], [np.nan]),
    "truncated_normal": ((0.0, 1.0, -1.0, 2.0), [-1.0, 0.0, 2.0], [-1.5, 2.5]),
    "von_mises": ((0.5, 2.0), [-3.0, 0.0], [np.nan]),
    "beta_binomial": ((5.0, 2.0, 3.0), [0, 5], [-1, 6, 0.5]),
    "ordered_logistic": ((0.5, [-1.0, 0.0, 2.0]), [0, 3], [-1, 4, 0.5]),
    "multivariate_student_t": ((3.0, [0.0, 1.0], np.eye(2)), [[0.0, 1.0]], [[0.0, np.nan]]),
    "gaussian_random_walk": (([1.0, 2.0],), [[0.0, 1.0]], [[0.0, np.nan]]),
    "wishart": ((4.0, np.eye(2)), [[[2.0, 0.5], [0.5, 1.0]]], [[[1.0, 2.0], [2.0, 1.0]]]),
    "lkj_cholesky": ((2.0, 1.5), [[[1.0, 0.0], [0.6, 0.8]]], [[[1.0, 0.0], [0.6, -0.8]]]),
}
WEIGHTS = [0.3, 0.7]
# The same of distributions that are made of others, or of a support.
MADE = {
    "mixture(normal)": (mixture(normal), (WEIGHTS, [-2.0, 2.0], [1.0, 0.5]), [-3.0, 0.0], [np.nan]),
    "mixture(gamma)": (mixture(gamma), (WEIGHTS, [0.5, 2.0], [1.0, 3.0]), [0.2, 9.0], [-0.1]),
    "mixture(beta)": (mixture(beta), (WEIGHTS, [0.5, 2.0], [1.0, 30.0]), [0.2, 0.9], [-0.1, 1.1]),
    "mixture(uniform)": (mixture(uniform), (WEIGHTS, [-1.0, 0.5], [1.0, 4.0]), [-1.0, 0.7, 4.0], [-1.5, 4.5]),
    "mixture(poisson)": (mixture(poisson), (WEIGHTS, [0.5, 40.0]), [0, 50], [-1, 0.5]),
    "zero_inflated(poisson)": (zero_inflated(poisson), (0.3, 2.0), [0, 7], [-1, 0.5]),
    "zero_inflated(binomial)": (zero_inflated(binomial), (0.3, 5.0, None, 0.4), [0, 5], [-1, 6, 0.5]),
    "zero_inflated(negative_binomial)": (
        zero_inflated(negative_binomial),
        (0.3, 3.0, None, 0.4),
        [0, 7],
        [-1, 0.5],
    ),
    "improper_uniform(positive)": (improper_uniform(supports.positive), (), [1e-3, 5.0], [0.0, -1.0]),
    "improper_uniform(interval)": (improper_uniform(supports.interval(0.0, 2.0)), (), [0.0, 2.0], [-0.1, 2.1]),
    "improper_uniform(simplex)": (improper_uniform(supports.simplex), (), [[0.2, 0.8]], [[0.2, 0.9], [1.2, -0.2]]),
}
NAMES = [name for name, value in vars(distributions).items() if isinstance(value, Distribution)]


def test_every_distribution_is_in_the_table():
    assert set(CASES) == set(NAMES)


def case(name):
    """A distribution, its arguments, values inside and values outside."""
    return MADE[name] if name in MADE else (getattr(distributions, name), *CASES[name])


@pytest.mark.parametrize("name", [*CASES, *MADE])
def test_support(name):
    chosen, args, inside, outside = case(name)
    args = [None if a is None else jnp.asarray(a, jnp.float32) for a in args]
    support = chosen.support.at(*args)
    assert str(chosen.support) == chosen.support.words and type(support) is type(chosen.support)
    if not name.startswith("improper"):
        draws = seed(lambda: chosen.sample(*args, sample_shape=(200,)))(jax.random.key(1))
        assert draws.ndim - 1 == support.event_rank
        assert support.is_discrete or jnp.issubdtype(draws.dtype, jnp.floating)
        assert support.contains(draws).shape == (200,) and bool(support.contains(draws).all())
    for values, want in ((inside, True), (outside, False)):
        for value in values:
            assert bool(support.contains(jnp.asarray(value))) is want, value
            log_density = chosen.logpdf(jnp.asarray(value), *args)
            assert np.isfinite(log_density) if want else not log_density > -np.inf, value


def test_bounds_follow_the_arguments_by_name_and_place():
    assert (supports.interval(0.0, 1.0).words, distributions.uniform.support.words) == (
        "0.0 <= x <= 1.0",
        "low <= x <= high",
    )
    for support in (distributions.uniform.support.at(-1.0, high=2.0), distributions.uniform.support.at(high=2, low=-1)):
        assert (float(support.low), float(support.high)) == (-1.0, 2.0)
    assert float(distributions.uniform.support.at().high) == 1.0
    assert distributions.categorical.support.at(logits=jnp.zeros((2, 5))).high == 4
    assert distributions.binomial.support.words == "integers 0..total_count"


@pytest.mark.parametrize(
    ("support", "inside", "outside"),
    [
        (supports.ordered, [-1.0, 0.0, 3.0], [0.0, 0.0, 1.0]),
        (supports.correlation_cholesky, [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, -0.8]]),
        (supports.positive_definite, [[2.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]),
        (supports.circle, 3.0, 3.5),
        (supports.interval(None, 2.0), -1e9, 2.5),
    ],
)
def test_sets_that_are_not_yet_a_support(support, inside, outside):
    assert bool(support.contains(jnp.asarray(inside))) and not bool(support.contains(jnp.asarray(outside)))


def test_bounds_of_what_is_made_follow_the_arguments_of_its_component():
    """Also where a kernel asks: the range of a mixture of uniforms is that of all of them."""
    support = mixture(uniform).support
    assert str(support) == "low <= x <= high"
    known = support.at(jnp.array(WEIGHTS), jnp.array([[-1.0, 0.5], [2.0, 3.0]]), 4.0)
    np.testing.assert_array_equal(known.low, [-1.0, 2.0])
    assert known.high == 4.0
    assert zero_inflated(binomial).support.at(gate=0.3, total_count=5.0).high == 5.0
    model = gen(lambda: mixture(uniform)(jnp.array(WEIGHTS), jnp.array([-1.0, 0.5]), jnp.array([1.0, 4.0])) @ "x")
    site, _ = model.sites({"x": 0.7})
    assert (float(site["x"].bounds["low"]), float(site["x"].bounds["high"])) == (-1.0, 4.0)


def test_estimators_and_distributions_of_users():
    assert adev.normal_reparam.support is supports.real and adev.flip_reinforce.support is supports.boolean
    own = distribution(lambda: 0.5, lambda v: 0.0, "own", supports.unit_interval)
    assert own.support is supports.unit_interval and distribution(lambda: 0.5, lambda v: 0.0).support is None


@pytest.mark.parametrize("name", [*NAMES, *MADE])
def test_supports_are_values(name):
    support = case(name)[0].support
    assert copy.deepcopy(support) == support == pickle.loads(pickle.dumps(support))
    assert hash(copy.deepcopy(support)) == hash(support)
