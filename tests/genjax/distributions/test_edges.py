"""Gradients at the edges: no NaN where a density is differentiable and finite, nor where a number is outside.

Every distribution, at values inside, on the boundary and outside its support, at small and large parameters, in lanes,
and as a branch that is not taken. Left out: infinite values, and those whose density is too small for a float.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import distributions
from tests.genjax.distributions.test_supports import CASES

CONTINUOUS_EDGES = [0.0, -0.0, 1.2e-38, 1e-30, 1.0, 1 - 1e-7, 1e20, -1e20, 3e38, np.inf, -np.inf]
COUNT_EDGES = [0.0, 1.0, 1e6, -1.0, 0.5, 1e20, np.inf, -np.inf]

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
}


def cases():
    for name, (args, inside, outside) in CASES.items():
        support = getattr(distributions, name).support
        edges = [] if support.event_rank else COUNT_EDGES if support.is_discrete else CONTINUOUS_EDGES
        values = [v for v in (*inside, *outside, *edges) if not np.isnan(v).any()]
        for arguments in (args, *MORE.get(name, ())):
            yield name, arguments, values


def split(name, arguments):
    """Static arguments by place, with None where one is given; places of those that are given, and these."""
    static = tuple(a if i in STATIC.get(name, ()) else None for i, a in enumerate(arguments))
    places = tuple(i for i, a in enumerate(arguments) if a is not None and static[i] is None)
    return static, places, [np.asarray(arguments[i], np.float32) for i in places]


class Programs:
    """The log density as a function of the value and of the arguments that are given, and what is compiled of it."""

    def __init__(self, name, static, places):
        def log_density(value, *given):
            full = list(static)
            for place, argument in zip(places, given, strict=True):
                full[place] = argument
            return getattr(distributions, name).logpdf(value, *full)

        # As the branch that is not taken: the gradient of the other must come through.
        def unused(value, *given):
            return jnp.where(False, log_density(value, *given), sum(jnp.sum(g) for g in given))

        parameters = tuple(range(1, 1 + len(places)))
        # A value that is counted has no derivative; the parameters have.
        every = parameters if getattr(distributions, name).support.is_discrete else (0, *parameters)
        lanes = (0, *(None,) * len(places))
        self.log_density = log_density
        self.of_one = jax.jit(jax.value_and_grad(log_density, parameters))
        self.of_many = jax.jit(jax.vmap(jax.value_and_grad(log_density, every), lanes))
        self.unused = jax.jit(jax.vmap(jax.grad(unused, parameters), lanes))


@functools.cache
def programs(name, static, places):
    """One set for all parameters of a distribution, which compile once."""
    return Programs(name, static, places)


@pytest.mark.parametrize(("name", "arguments", "values"), list(cases()), ids=lambda a: a if isinstance(a, str) else "")
def test_no_nan(name, arguments, values):
    static, places, given = split(name, arguments)
    program = programs(name, static, places)
    values = np.asarray(np.array(values), np.float32)
    support = getattr(distributions, name).support
    density, gradients = program.of_many(values, *given)
    assert not np.isnan(density).any(), (arguments, values[np.isnan(density)])
    is_finite = np.isfinite(np.asarray(values).reshape(len(values), -1)).all(1)
    is_outside = ~np.asarray(support.at(*arguments).contains(jnp.asarray(values)))
    is_judged = is_finite & (np.isfinite(density) | is_outside)
    for gradient in gradients:
        is_nan = np.isnan(np.asarray(gradient).reshape(len(values), -1)).any(1) & is_judged
        assert not is_nan.any(), (arguments, values[is_nan], density[is_nan])
    for gradient in program.unused(values, *given):
        np.testing.assert_array_equal(gradient[is_judged], 1.0)


@pytest.mark.parametrize("name", CASES)
def test_finite_densities_and_gradients_pass_a_search_for_nan(name):
    """Under `jax_debug_nans`, which looks at what each operation returns, not only at the answer."""
    arguments, inside, outside = CASES[name]
    static, places, given = split(name, arguments)
    program = programs(name, static, places)
    with jax.debug_nans(True):
        for value in (*inside, *(v for v in outside if not np.isnan(v).any())):
            value = jnp.asarray(value, jnp.float32)
            jax.block_until_ready(program.log_density(value, *map(jnp.asarray, given)))
            jax.block_until_ready(program.of_one(value, *given))
