"""Gradients at the edges: no NaN where a density is differentiable and finite, nor where a number is outside.

Every public distribution, at values inside, on the boundary and outside its support, also infinite ones, at small and
large parameters, in lanes, and as a branch that is not taken. Left out: values whose density is too small for a float.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax
from genjax import Distribution, adev, distributions
from genjax.distributions import supports
from tests.genjax.distributions import test_supports
from tests.genjax.distributions.test_supports import CASES, MADE

CONTINUOUS_EDGES = [0.0, -0.0, 1.2e-38, 1e-30, 1.0, 1 - 1e-7, 1e20, -1e20, 3e38, np.inf, -np.inf]
COUNT_EDGES = [0.0, 1.0, 1e6, -1.0, 0.5, 1e20, np.inf, -np.inf]

# Those whose derivatives are infinite beyond 1e19 scales, so that they are NaN where they are multiplied by 0: a guard
# would cost half of what a normal density computes.
INFINITE_SLOPES = {"normal", "mixture(normal)", "multivariate_normal_diag_reparam"}

# Estimators whose density is not that of the distribution that they estimate.
ESTIMATORS = {
    "geometric_reinforce": (adev.geometric_reinforce, (0.3,), [0, 7], [-1, 0.5]),
    "multivariate_normal_diag_reparam": (
        adev.multivariate_normal_diag_reparam,
        ([0.0, 1.0], [1.0, 2.0]),
        [[0.0, 1.0]],
        [],
    ),
}
SWEPT = [*CASES, *MADE, *ESTIMATORS]

# Places of arguments that are static.
STATIC = {"lkj_cholesky": (0,)}

# Parameters beyond those of the table of supports.
MORE = {
    "normal": [(0.0, 1e-20), (0.0, 1e20)],
    "half_normal": [(1e-20,), (1e20,)],
    "uniform": [(0.5, 0.5), (-1e30, 1e30)],
    "exponential": [(1e-20,), (1e20,)],
    "cauchy": [(0.0, 1e-20), (0.0, 1e20)],
    "laplace": [(0.0, 1e-20), (0.0, 1e20)],
    "student_t": [(1e-3, 0.0, 1e-10), (1e9, 0.0, 1e10)],
    "weibull": [(1.0, 1.0), (0.1, 1e-10)],
    "beta": [(1.0, 1.0), (0.5, 0.5), (1e6, 1e-6)],
    "gamma": [(1.0, 1.0), (1e-6, 1e9), (1e9, 1e-6)],
    "inverse_gamma": [(1e-6, 1e9), (1e9, 1e-6)],
    "chi2": [(2.0,), (1e-6,)],
    "geometric": [(None, 1.0), (None, 1e-10)],
    "binomial": [(5.0, None, 0.0), (5.0, None, 1.0), (0.0, None, 0.5)],
    "poisson": [(0.0,), (1e-10,), (1e9,)],
    "negative_binomial": [(3.0, None, 0.0), (1e9, None, 1e-10)],
    "bernoulli": [(None, 0.0), (None, 1.0), (100.0,), (-100.0,)],
    "flip": [(0.0,), (1.0,)],
    "categorical": [([0.0, -np.inf, 0.0],), (None, [0.5, 0.0, 0.5])],
    "multinomial": [(4.0, None, [0.5, 0.5, 0.0])],
    "half_cauchy": [(1e-20,), (1e20,)],
    "pareto": [(1e-6, 1e-10), (1e6, 1e10)],
    "logistic": [(0.0, 1e-10), (0.0, 1e20)],
    "gumbel": [(0.0, 1e20)],
    "truncated_normal": [
        (0.0, 1.0, 20.0, np.inf),
        (0.0, 1.0, -np.inf, -1e3),
        (0.0, 1e-3, 1.0, 1.0),
        (0.0, 1.0, -1e20, 1e20),
    ],
    "von_mises": [(0.0, 0.0), (0.0, 1e6)],
    "beta_binomial": [(0.0, 1.0, 1.0), (5.0, 1e-6, 1e9)],
    "ordered_logistic": [(1e3, [0.0]), (-1e3, [-1.0, 1.0])],
    "dirichlet": [([1.0, 1.0, 1.0],), ([1e-3, 5.0, 1.0],)],
    "mixture(normal)": [([0.0, 1.0], [0.0, 1.0], [1.0, 1.0]), ([1.0, 1e-30], [0.0, 1e3], [1.0, 1e3])],
    "mixture(gamma)": [([0.0, 2.0], [0.5, 1.0], [1.0, 1.0]), ([1.0, 1e-30], [1e-6, 1e9], [1e9, 1e-6])],
    "mixture(beta)": [([1.0, 0.0], [1.0, 0.5], [1.0, 0.5])],
    "mixture(uniform)": [([0.5, 0.5], [0.0, 2.0], [1.0, 3.0]), ([1.0, 0.0], [0.0, -1e30], [1.0, 1e30])],
    "mixture(poisson)": [([0.0, 1.0], [0.0, 1.0]), ([0.5, 0.5], [0.0, 1e9])],
    "zero_inflated(poisson)": [(0.0, 2.0), (1.0, 2.0), (0.3, 0.0), (0.3, 1e9), (1e-30, 1e3), (0.0, 0.0)],
    "zero_inflated(binomial)": [(0.0, 5.0, None, 0.0), (1.0, 5.0, None, 1.0), (0.3, 0.0, None, 0.5)],
    "zero_inflated(negative_binomial)": [(0.0, 3.0, None, 0.0), (1.0, 1e9, None, 1e-10)],
}


def case(name):
    return ESTIMATORS[name] if name in ESTIMATORS else test_supports.case(name)


def test_every_public_distribution_is_in_the_sweep():
    """By its density, which estimators share with the distributions that they estimate; constructors by their name."""
    densities = {case(name)[0]._logpdf.value for name in SWEPT}
    for module in (genjax, adev, distributions):
        public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
        assert not {n for n, v in public.items() if isinstance(v, Distribution) and v._logpdf.value not in densities}
    constructors = {name for name, value in vars(distributions).items() if inspect.isfunction(value)}
    assert constructors == {name.split("(")[0] for name in MADE}


def cases():
    for name in SWEPT:
        chosen, args, inside, outside = case(name)
        support = chosen.support
        edges = [] if support.event_rank else COUNT_EDGES if support.is_discrete else CONTINUOUS_EDGES
        values = [v for v in (*inside, *outside, *edges) if not np.isnan(v).any()]
        if support.event_rank:
            values += [v for sign in (1, -1) for v in infinite(np.array(inside[0], float), sign * np.inf)]
        for arguments in (args, *MORE.get(name, ())):
            yield name, arguments, values


def infinite(vector, number):
    """A vector or matrix with one infinite number: the first, or the last; and of nothing else."""
    for place in (0, -1):
        changed = vector.copy()
        changed.flat[place] = number
        yield changed
    yield np.full_like(vector, number)


def split(name, arguments):
    """Static arguments by place, with None where one is given; places of those that are given, and these."""
    static = tuple(a if i in STATIC.get(name, ()) else None for i, a in enumerate(arguments))
    places = tuple(i for i, a in enumerate(arguments) if a is not None and static[i] is None)
    return static, places, [np.asarray(arguments[i], np.float32) for i in places]


class Programs:
    """The log density as a function of the value and of the arguments that are given, and what is compiled of it."""

    def __init__(self, name, static, places):
        chosen = case(name)[0]

        def log_density(value, *given):
            full = list(static)
            for place, argument in zip(places, given, strict=True):
                full[place] = argument
            return chosen.logpdf(value, *full)

        # As the branch that is not taken: the gradient of the other must come through.
        def unused(value, *given):
            return jnp.where(False, log_density(value, *given), sum((jnp.sum(g) for g in given), 0.0))

        parameters = tuple(range(1, 1 + len(places)))
        # A value that is counted has no derivative; the parameters have.
        self.places = parameters if chosen.support.is_discrete else (0, *parameters)
        lanes = (0, *(None,) * len(places))
        self.log_density = log_density
        self.of_one = jax.jit(jax.value_and_grad(log_density, self.places))
        self.of_many = jax.jit(jax.vmap(jax.value_and_grad(log_density, self.places), lanes))
        self.unused = jax.jit(jax.vmap(jax.grad(unused, self.places), lanes))


@functools.cache
def programs(name, static, places):
    """One set for all parameters of a distribution, which compile once."""
    return Programs(name, static, places)


@pytest.mark.parametrize(("name", "arguments", "values"), list(cases()), ids=lambda a: a if isinstance(a, str) else "")
def test_no_nan(name, arguments, values):
    static, places, given = split(name, arguments)
    program = programs(name, static, places)
    values = np.asarray(np.array(values), np.float32)
    support = case(name)[0].support.at(*arguments)
    density, gradients = program.of_many(values, *given)
    assert not np.isnan(density).any(), (arguments, values[np.isnan(density)])
    is_finite = np.isfinite(values.reshape(len(values), -1)).all(1)
    is_outside = ~np.asarray(support.contains(jnp.asarray(values)))
    assert np.isneginf(density[~is_finite]).all() or name == "flip"  # which takes any number for true
    is_judged = is_outside | np.isfinite(density)
    if name in INFINITE_SLOPES:
        is_judged &= (np.abs(values.reshape(len(values), -1)) < 1e19).all(1)
    # At infinity, a density of numbers on a line keeps its slope, and the derivatives of its normaliser.
    is_line = isinstance(support, (supports.Real, supports.RealVector)) or name in MADE
    for place, gradient in zip(program.places, gradients, strict=True):
        rows = np.asarray(gradient).reshape(len(values), -1)
        is_nan = np.isnan(rows).any(1) & is_judged
        assert not is_nan.any(), (place, arguments, values[is_nan], density[is_nan])
        is_constant = is_judged & is_outside & np.isneginf(density)
        if not support.event_rank:  # at an end that does not belong to the support, a density may have its limit
            is_constant &= ~np.isin(values, (0.0, 1.0))
        if not is_line:
            np.testing.assert_array_equal(rows[is_constant], 0.0)
        else:
            assert np.isfinite(rows[is_constant]).all()
    for place, gradient in zip(program.places, program.unused(values, *given), strict=True):
        np.testing.assert_array_equal(gradient[is_judged], 0.0 if place == 0 else 1.0)


@pytest.mark.parametrize("name", SWEPT)
def test_finite_densities_and_gradients_pass_a_search_for_nan(name):
    """Under `jax_debug_nans`, which looks at what each operation returns, not only at the answer."""
    _, arguments, inside, outside = case(name)
    static, places, given = split(name, arguments)
    program = programs(name, static, places)
    with jax.debug_nans(True):
        for value in (*inside, *(v for v in outside if not np.isnan(v).any())):
            value = jnp.asarray(value, jnp.float32)
            jax.block_until_ready(program.log_density(value, *map(jnp.asarray, given)))
            jax.block_until_ready(program.of_one(value, *given))
