"""What every built-in distribution has in common: names, parameters, shapes, dtypes, batching, keys, messages."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import distributions
from genjax.distributions.family import FAMILIES
from genjax.pjax import seed

COVARIANCE = [[2.0, 0.5], [0.5, 1.0]]
PROBS = [0.2, 0.3, 0.5]
INT32, FLOAT32, BOOL = jnp.dtype("int32"), jnp.dtype("float32"), jnp.dtype("bool")

# (distribution, name, parameters by keyword in positional order, trailing event axes of each, event shape, dtype)
CASES = [
    ("bernoulli", "Bernoulli", {"logits": 0.3}, (0,), (), INT32),
    ("bernoulli", "Bernoulli", {"probs": 0.3}, (0,), (), INT32),
    ("flip", "Flip", {"p": 0.3}, (0,), (), BOOL),
    ("categorical", "Categorical", {"logits": [0.1, 0.5, -0.3]}, (1,), (), INT32),
    ("categorical", "Categorical", {"probs": PROBS}, (1,), (), INT32),
    ("geometric", "Geometric", {"logits": 0.3}, (0,), (), FLOAT32),
    ("geometric", "Geometric", {"probs": 0.3}, (0,), (), FLOAT32),
    ("binomial", "Binomial", {"total_count": 10, "logits": 0.5}, (0, 0), (), FLOAT32),
    ("binomial", "Binomial", {"total_count": 10.0, "probs": 0.5}, (0, 0), (), FLOAT32),
    ("poisson", "Poisson", {"rate": 3.0}, (0,), (), FLOAT32),
    ("poisson", "Poisson", {"log_rate": 1.0}, (0,), (), FLOAT32),
    ("negative_binomial", "NegativeBinomial", {"total_count": 3.0, "logits": 0.5}, (0, 0), (), FLOAT32),
    ("negative_binomial", "NegativeBinomial", {"total_count": 3, "probs": 0.5}, (0, 0), (), FLOAT32),
    ("zipf", "Zipf", {"power": 2.5}, (0,), (), INT32),
    ("multinomial", "Multinomial", {"total_count": 10.0, "logits": [0.1, 0.5, -0.3]}, (0, 1), (3,), FLOAT32),
    ("multinomial", "Multinomial", {"total_count": 10, "probs": PROBS}, (0, 1), (3,), FLOAT32),
    ("normal", "Normal", {"loc": 0, "scale": 1}, (0, 0), (), FLOAT32),
    ("uniform", "Uniform", {"low": -1.0, "high": 2.0}, (0, 0), (), FLOAT32),
    ("exponential", "Exponential", {"rate": 2.0}, (0,), (), FLOAT32),
    ("beta", "Beta", {"concentration1": 2.0, "concentration0": 3.0}, (0, 0), (), FLOAT32),
    ("gamma", "Gamma", {"concentration": 2.0, "rate": 3.0}, (0, 0), (), FLOAT32),
    ("gamma", "Gamma", {"concentration": 2.0, "log_rate": 1.0}, (0, 0), (), FLOAT32),
    ("inverse_gamma", "InverseGamma", {"concentration": 2.0, "scale": 3.0}, (0, 0), (), FLOAT32),
    ("log_normal", "LogNormal", {"loc": 0.0, "scale": 1.0}, (0, 0), (), FLOAT32),
    ("student_t", "StudentT", {"df": 3.0, "loc": 0.0, "scale": 1.0}, (0, 0, 0), (), FLOAT32),
    ("laplace", "Laplace", {"loc": 0.0, "scale": 1.0}, (0, 0), (), FLOAT32),
    ("half_normal", "HalfNormal", {"scale": 2.0}, (0,), (), FLOAT32),
    ("weibull", "Weibull", {"concentration": 1.5, "scale": 2.0}, (0, 0), (), FLOAT32),
    ("cauchy", "Cauchy", {"loc": 0.0, "scale": 1.0}, (0, 0), (), FLOAT32),
    ("chi2", "Chi2", {"df": 3.0}, (0,), (), FLOAT32),
    (
        "multivariate_normal",
        "MultivariateNormal",
        {"loc": [0.0, 1.0], "covariance_matrix": COVARIANCE},
        (1, 2),
        (2,),
        FLOAT32,
    ),
    ("dirichlet", "Dirichlet", {"concentration": [1.0, 2.0, 3.0]}, (1,), (3,), FLOAT32),
    ("half_cauchy", "HalfCauchy", {"scale": 2.0}, (0,), (), FLOAT32),
    ("gumbel", "Gumbel", {"loc": 0.0, "scale": 1.0}, (0, 0), (), FLOAT32),
    ("logistic", "Logistic", {"loc": 0.0, "scale": 1.0}, (0, 0), (), FLOAT32),
    ("pareto", "Pareto", {"concentration": 2.0, "scale": 0.5}, (0, 0), (), FLOAT32),
    ("von_mises", "VonMises", {"loc": 0.0, "concentration": 2.0}, (0, 0), (), FLOAT32),
    (
        "truncated_normal",
        "TruncatedNormal",
        {"loc": 0.0, "scale": 1.0, "low": -1.0, "high": 2.0},
        (0, 0, 0, 0),
        (),
        FLOAT32,
    ),
    (
        "beta_binomial",
        "BetaBinomial",
        {"total_count": 10.0, "concentration1": 2.0, "concentration0": 3.0},
        (0, 0, 0),
        (),
        FLOAT32,
    ),
    ("ordered_logistic", "OrderedLogistic", {"predictor": 0.3, "cutpoints": [-1.0, 0.0, 2.0]}, (0, 1), (), INT32),
    (
        "multivariate_student_t",
        "MultivariateStudentT",
        {"df": 3.0, "loc": [0.0, 1.0], "scale_matrix": COVARIANCE},
        (0, 1, 2),
        (2,),
        FLOAT32,
    ),
    ("wishart", "Wishart", {"df": 3.0, "scale_matrix": COVARIANCE}, (0, 2), (2, 2), FLOAT32),
    ("gaussian_random_walk", "GaussianRandomWalk", {"scale": [1.0, 2.0, 0.5]}, (1,), (3,), FLOAT32),
]
IDS = [f"{case[0]}-{'-'.join(case[2])}" for case in CASES]
cases = pytest.mark.parametrize(("name", "label", "parameters", "event_ranks", "event", "dtype"), CASES, ids=IDS)


def batched(parameters, event_ranks, shape):
    """The parameters, each repeated to the batch shape."""
    return {
        k: jnp.broadcast_to(jnp.asarray(v), (*shape, *np.shape(v)[np.ndim(v) - rank :]))
        for (k, v), rank in zip(parameters.items(), event_ranks, strict=True)
    }


def test_every_family_is_in_the_table():
    assert {case[1] for case in CASES} == set(FAMILIES)
    forms = {(family.name, form.parameters) for family in FAMILIES.values() for form in family.forms}
    assert forms == {(case[1], tuple(case[2])) for case in CASES}


def abstract_draw(name, parameters, **options):
    """Shape and dtype of a draw by tracing the sampler itself: nothing is compiled."""
    # Closed over: `seed` makes its arguments traced values, which a shape or a dtype cannot be.
    sample = seed(lambda: getattr(distributions, name).sample(**parameters, **options))
    return jax.eval_shape(sample, jax.random.key(0))


def abstract_log_density(name, value, parameters):
    return jax.eval_shape(lambda: getattr(distributions, name).logpdf(jnp.ones(value.shape, value.dtype), **parameters))


@cases
def test_one_draw(name, label, parameters, event_ranks, event, dtype):
    assert getattr(distributions, name).name.value == label
    draw = abstract_draw(name, parameters)
    assert draw.shape == event and draw.dtype == dtype
    log_density = abstract_log_density(name, draw, parameters)
    assert log_density.shape == () and log_density.dtype == jnp.float32


@cases
def test_sample_shape_and_batches(name, label, parameters, event_ranks, event, dtype):
    draws = abstract_draw(name, batched(parameters, event_ranks, (3,)), sample_shape=(5, 2))
    assert draws.shape == (5, 2, 3, *event) and draws.dtype == dtype
    assert abstract_log_density(name, draws, parameters).shape == (5, 2, 3)
    assert abstract_draw(name, parameters, sample_shape=4).shape == (4, *event)


@cases
def test_parameters_broadcast_against_each_other(name, label, parameters, event_ranks, event, dtype):
    """First parameter (4, 1), the others (3,), with implicit rank promotion forbidden: draws and densities (4, 3)."""
    first, *rest = parameters
    arguments = {
        **batched({first: parameters[first]}, event_ranks[:1], (4, 1) if rest else (4, 3)),
        **batched({k: parameters[k] for k in rest}, event_ranks[1:], (3,)),
    }
    with jax.numpy_rank_promotion("raise"):
        draws = abstract_draw(name, arguments, sample_shape=(2,))
        log_densities = abstract_log_density(name, draws, arguments)
    assert draws.shape == (2, 4, 3, *event)
    assert log_densities.shape == (2, 4, 3)


@cases
def test_positional_parameters(name, label, parameters, event_ranks, event, dtype):
    """By position and by keyword it is the same site and the same density. Alternatives left out are None."""
    order = tuple(FAMILIES[label].parameters)
    last = max(order.index(k) for k in parameters)
    positional = [parameters.get(k) for k in order[: last + 1]]
    distribution = getattr(distributions, name)
    assert str(jax.make_jaxpr(lambda: distribution.sample(*positional))()) == str(
        jax.make_jaxpr(lambda: distribution.sample(**parameters))()
    )
    value = jnp.ones(event)
    assert str(jax.make_jaxpr(lambda: distribution.logpdf(value, *positional))()) == str(
        jax.make_jaxpr(lambda: distribution.logpdf(value, **parameters))()
    )


@cases
def test_vmapped_lanes(name, label, parameters, event_ranks, event, dtype):
    """A plain vmap over one parameter, its lane axis last, around one over nothing: one site of the whole shape."""
    first, *rest = parameters
    fixed = {k: parameters[k] for k in rest}
    sample = getattr(distributions, name).sample

    def lane(x):
        return jax.vmap(lambda: sample(**{first: x}, **fixed), axis_size=16)()

    xs = batched({first: parameters[first]}, event_ranks[:1], (2,))[first]
    mapped = jax.vmap(lane, in_axes=-1)
    closed = jax.make_jaxpr(mapped)(jnp.moveaxis(xs, 0, -1))
    sites = [eqn for eqn in closed.jaxpr.eqns if eqn.primitive.name == "pjax.sample"]
    assert [site.params["sampler"].name for site in sites] == [label]
    assert sites[0].params["shape"] == (2, 16)
    draws = jax.eval_shape(seed(mapped), jax.random.key(0), jnp.moveaxis(xs, 0, -1))
    assert draws.shape == (2, 16, *event) and draws.dtype == dtype


# One distribution of each kind of arithmetic: batching a density must not change it.
@pytest.mark.parametrize("name", ["normal", "flip", "categorical", "multivariate_normal", "dirichlet"])
def test_batched_densities_agree_with_single_ones(name):
    parameters, event_ranks = next((case[2], case[3]) for case in CASES if case[0] == name)
    distribution = getattr(distributions, name)
    value = jnp.asarray(
        {"multivariate_normal": [0.3, -0.2], "dirichlet": [0.2, 0.3, 0.5], "flip": True, "normal": 0.3}.get(name, 1)
    )
    want = distribution.logpdf(value, **parameters)
    values = jnp.broadcast_to(value, (5, 3, *value.shape))
    arguments = batched(parameters, event_ranks, (3,))
    for got in (
        jax.jit(distribution.logpdf)(values, **arguments),
        jax.jit(jax.vmap(jax.vmap(lambda v, p: distribution.logpdf(v, **p)), (0, None)))(values, arguments),
    ):
        assert got.shape == (5, 3)
        np.testing.assert_allclose(got, jnp.full((5, 3), want), rtol=1e-5)


@pytest.mark.parametrize("name", ["normal", "flip", "categorical"])
def test_eager_draws_need_no_key(name):
    parameters = next(case[2] for case in CASES if case[0] == name)
    sample = getattr(distributions, name).sample
    first, second = (np.asarray(sample(**parameters, sample_shape=(64,))) for _ in range(2))
    assert not np.array_equal(first, second)  # equal by chance with probability below 1e-15


@cases
def test_double_precision(name, label, parameters, event_ranks, event, dtype):
    with jax.enable_x64(True):
        draw = abstract_draw(name, parameters)
        assert draw.dtype == (jnp.float64 if dtype == FLOAT32 else dtype)
        assert abstract_log_density(name, draw, parameters).dtype == jnp.float64


@cases
def test_strict_dtype_promotion(name, label, parameters, event_ranks, event, dtype):
    parameters = {k: jnp.asarray(v, jnp.float32) for k, v in parameters.items()}
    with jax.numpy_dtype_promotion("strict"):
        draw = abstract_draw(name, parameters)
        assert abstract_log_density(name, draw, parameters).dtype == jnp.float32


@pytest.mark.parametrize("name", ["normal", "uniform", "laplace"])
@pytest.mark.parametrize("arguments", [(1.0, -1.0), (-1.0, 0.0), (np.nan, 1.0), (0.0, np.nan)])
def test_invalid_parameters_are_no_error(name, arguments):
    distribution = getattr(distributions, name)
    assert distribution.sample(*arguments, sample_shape=(2,)).shape == (2,)
    assert distribution.logpdf(0.5, *arguments).shape == ()


def test_parameter_in_a_tuple_of_one_leaf():
    loc = jnp.array(0.3)
    assert distributions.normal.sample((loc,), 1.0).shape == ()
    np.testing.assert_array_equal(
        distributions.normal.logpdf(0.1, (loc,), [1.0]), distributions.normal.logpdf(0.1, loc, 1.0)
    )
    draws = jax.vmap(lambda arguments: distributions.normal.sample(*arguments, 1.0), in_axes=((0,),))((jnp.zeros(3),))
    assert draws.shape == (3,)
    # A list of one logit is a vector, because a single logit is not one.
    assert distributions.categorical.sample([0.3]).shape == ()
    assert distributions.normal.sample([0.0, 1.0], 1.0).shape == (2,)


def test_dtypes_of_parameters():
    half = jnp.bfloat16(0.5)
    assert distributions.normal.sample(half, 1.0).dtype == jnp.bfloat16
    assert distributions.normal.sample(half, jnp.float32(1.0)).dtype == jnp.float32
    assert distributions.normal.sample(np.float64(0.5), np.int64(1)).dtype == jnp.float32
    assert distributions.normal.logpdf(1, 0, 1).dtype == jnp.float32
    assert distributions.poisson.logpdf(2, 10**10).dtype == jnp.float32
    with jax.enable_x64(True):
        single = distributions.normal.logpdf(jnp.float32(0.5), 0.0, 1.0)
        assert single.dtype == jnp.float32


def test_default_parameters():
    assert abstract_draw("uniform", {}).shape == abstract_draw("student_t", {"df": 5.0}).shape == ()
    assert distributions.uniform.logpdf(0.5) == 0.0
    np.testing.assert_allclose(distributions.student_t.logpdf(0.3, 5.0), distributions.student_t.logpdf(0.3, 5.0, 0, 1))


def test_zipf_dtype():
    assert abstract_draw("zipf", {"power": 2.0, "dtype": jnp.float32}).dtype == jnp.float32
    assert distributions.zipf.sample(2.0, jnp.int16).dtype == jnp.int16
    assert distributions.zipf.logpdf(3, 2.0, jnp.int16) == distributions.zipf.logpdf(3, 2.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda d: d.bernoulli.sample(),
            ValueError,
            r"Bernoulli\(logits=None, probs=None\) got \(\)\. Give exactly one",
        ),
        (lambda d: d.bernoulli.sample(0.1, 0.2), ValueError, r"got \(logits, probs\)\. .* \(logits\) or \(probs\)"),
        (lambda d: d.gamma.logpdf(1.0, 2.0), ValueError, r"\(concentration, rate\) or \(concentration, log_rate\)"),
        (lambda d: d.normal.sample(0.0), TypeError, r"Normal\(loc, scale\) is missing 'scale'"),
        (lambda d: d.normal.sample(None, 1.0), ValueError, r"got \(scale\)\. .*not None"),
        (lambda d: d.normal.sample(0.0, 1.0, 2.0), TypeError, r"Normal\(loc, scale\) got 3 positional arguments"),
        (lambda d: d.normal.logpdf(0.0, 1.0, loc=1.0), TypeError, r"'loc' both by position and by keyword"),
        (lambda d: d.exponential.sample(scale=1.0), TypeError, r"unknown keyword argument 'scale'"),
        (
            lambda d: d.multivariate_normal.sample(jnp.zeros(3), jnp.eye(2)),
            ValueError,
            r"loc has shape \(3,\) and its covariance_matrix shape \(2, 2\)",
        ),
        (lambda d: d.multivariate_normal.sample(jnp.zeros(2), jnp.ones(2)), ValueError, r"needs at least 2 axes"),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call(distributions)


def test_import_is_light():
    """Neither SciPy nor TFP is imported, and nothing is drawn or compiled."""
    program = (
        "import sys, genjax.distributions as d; "
        "heavy = [m for m in ('scipy', 'tensorflow_probability', 'matplotlib', 'pandas') if m in sys.modules]; "
        "d.normal.logpdf(0.0, 0.0, 1.0); heavy += [m for m in ('scipy',) if m in sys.modules]; "
        "sys.exit(', '.join(heavy) or 0)"
    )
    root = Path(distributions.__file__).parents[2]
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=root)
    assert finished.returncode == 0, finished.stderr


# NumPy arrays


@cases
def test_numpy_arrays_are_mapped_in_staged_programs(name, label, parameters, event_ranks, event, dtype):
    """JAX hands them to derivatives written by hand as they are, and refuses them there."""
    family = getattr(distributions, name)
    mapped = {key: np.asarray(value) for key, value in batched(parameters, event_ranks, (3,)).items()}
    draw = lambda key: seed(jax.vmap(lambda p: family.sample(**p)))(key, mapped)
    draws = jax.eval_shape(draw, jax.random.key(0))
    assert draws.shape == (3, *event) and draws.dtype == dtype
    density = jax.vmap(lambda value, p: family.logpdf(value, **p))
    assert jax.eval_shape(lambda: density(np.ones(draws.shape, draws.dtype), mapped)).shape == (3,)
