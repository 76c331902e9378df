"""The interface of expectations: exact values, argument trees, transforms, models inside, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Dual, distribution, expectation, flip, gen, modular_vmap, multivariate_normal, normal, seed
from genjax.adev import (
    Expectation,
    flip_enum,
    flip_mvd,
    flip_reinforce,
    geometric_reinforce,
    multivariate_normal_diag_reparam,
    multivariate_normal_reinforce,
    multivariate_normal_reparam,
    normal_reinforce,
    normal_reparam,
    uniform_reinforce,
    uniform_reparam,
)
from genjax.pjax import LoweringSamplePrimitiveToMLIRException, PPPrimitive, adev_sample_p, sample_p, stage

KEY = jax.random.key(0)


# Golden values


def test_identity_of_an_enumerated_flip():
    e = expectation(lambda p: jnp.float32(flip_enum(p)))
    assert float(e.estimate(0.3)) == pytest.approx(0.3, abs=1e-7)
    assert e.estimate(0.3) == 0.3
    for p in (0.0, 0.25, 0.9, 1.0):
        assert abs(float(e.grad_estimate(p)) - 1) < 1e-10


def test_square_of_an_enumerated_flip():
    out = expectation(lambda p: jnp.float32(flip_enum(p)) ** 2).jvp_estimate(Dual(0.3, 1.0))
    assert (out.primal, out.tangent) == (pytest.approx(0.3), 1.0)


def test_loss_through_a_cond():
    e = expectation(lambda p: jax.lax.cond(flip_enum(p), lambda _: 0.0, lambda p: -p / 2.0, p))
    for p in (0.1, 0.3, 0.7):
        assert float(e.jvp_estimate(Dual(p, 1.0)).tangent) == pytest.approx(p - 0.5, abs=1e-6)
    e = expectation(lambda q: jax.lax.cond(flip_enum(q), lambda q: q, lambda q: 2 * q, q) * 3)
    assert float(e.grad_estimate(0.3)) == pytest.approx(4.2, abs=1e-5)


def test_product_of_two_independent_flips():
    e = expectation(lambda p: jnp.float32(flip_enum(p)) * jnp.float32(flip_enum(p)))
    assert float(e.grad_estimate(0.3)) == pytest.approx(0.6, abs=1e-6)


def test_a_bool_or_integer_result_counts_as_a_number():
    assert float(expectation(lambda p: flip_enum(p)).grad_estimate(0.3)) == 1.0
    assert float(expectation(lambda p: flip_enum(p) + flip_mvd(p).astype(int)).grad_estimate(0.3)) == 2.0


# Arguments


def test_source_is_the_original_function():
    def f(t):
        return normal_reparam(t, 1.0)

    e = expectation(f)
    assert isinstance(e, Expectation) and e.prog.source.value is f
    assert jax.tree.leaves(e) == []


def test_gradients_have_the_structure_of_the_arguments():
    e = expectation(lambda data, scale: normal_reparam(data["y"], scale) * data["w"].sum())
    gradient = e.grad_estimate({"y": 2.0, "w": jnp.ones(3)}, 0.5)
    assert isinstance(gradient, tuple) and set(gradient[0]) == {"y", "w"}
    assert gradient[0]["y"].shape == () and float(gradient[0]["y"]) == 3.0
    assert gradient[0]["w"].shape == (3,) and gradient[1].shape == ()
    assert expectation(lambda x: normal_reparam(x, 1.0)).grad_estimate(0.5).shape == ()


def test_duals_of_trees_and_trees_of_duals():
    e = expectation(lambda data: normal_reparam(data["loc"], 1.0) * flip_enum(data["p"]))
    whole = seed(lambda: e.jvp_estimate(Dual({"loc": 1.0, "p": 0.5}, {"loc": 2.0, "p": 0.0})))(KEY)
    tree = seed(lambda: e.jvp_estimate({"loc": Dual(1.0, 2.0), "p": Dual(0.5, 0.0)}))(KEY)
    assert float(whole.tangent) == float(tree.tangent) == 1.0


def test_keyword_arguments_of_estimators():
    e = expectation(lambda t: normal_reparam(loc=t, scale=2.0) + flip_enum(p=t) + flip_reinforce(p=0.0))
    assert float(e.grad_estimate(0.4)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: expectation(lambda t: t * jnp.ones(2)).grad_estimate(0.3), ValueError, r"one scalar.*\(2,\)"),
        (lambda: expectation(lambda t: (t, t)).estimate(0.3), ValueError, "one scalar"),
        (lambda: expectation(lambda t: {}).estimate(0.3), ValueError, "one scalar"),
        (lambda: expectation(lambda t: t).jvp_estimate(0.3), TypeError, "takes Duals, got float as argument 0"),
        (lambda: expectation(lambda t: t * 1.0).grad_estimate(3), TypeError, "real-.*got int"),
        (lambda: expectation(lambda t: t).jvp_estimate(Dual(jnp.ones(2), 1.0)), ValueError, "shape"),
        (lambda: flip_enum(0.3, q=1.0), TypeError, "unknown keyword"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_singular_covariance_gives_nan_and_never_a_wrong_number():
    singular = jnp.array([[1.0, 1.0], [1.0, 1.0]])
    for estimator in (multivariate_normal_reparam, multivariate_normal_reinforce):
        e = expectation(lambda c, estimator=estimator: jnp.sum(estimator(jnp.zeros(2), c) ** 2))
        assert np.isnan(np.asarray(e.grad_estimate(-singular))).all()
    # A standard deviation of 0 is a defined limit for a pathwise gradient.
    e = expectation(lambda s: jnp.sum(multivariate_normal_diag_reparam(jnp.ones(2), s)))
    assert np.isfinite(np.asarray(e.grad_estimate(jnp.zeros(2)))).all()


# Transforms


def test_seeded_estimates_are_deterministic_and_differ_by_key():
    e = expectation(lambda t: normal_reparam(t, 1.0) ** 2)
    g = seed(e.grad_estimate)
    assert g(KEY, 1.0) == g(KEY, 1.0) != g(jax.random.key(1), 1.0)
    assert jax.jit(g)(KEY, 1.0) == g(KEY, 1.0)


def test_unseeded_estimates_are_fresh():
    e = expectation(lambda t: normal_reparam(t, 1.0) ** 2)
    assert e.grad_estimate(1.0) != e.grad_estimate(1.0)


def test_lanes_are_independent():
    e = expectation(lambda t: normal_reparam(t, 1.0) ** 2)
    assert len(set(map(float, modular_vmap(lambda _: e.grad_estimate(0.5))(jnp.arange(30))))) > 25
    assert len(set(map(float, modular_vmap(e.grad_estimate)(jnp.full(30, 0.5))))) > 25


def test_plain_vmap_of_an_estimate_that_ignores_its_argument():
    e = expectation(lambda p: flip_mvd(p) * 2.0)
    estimates = jax.vmap(lambda _: e.jvp_estimate(Dual(0.5, 1.0)))(jnp.arange(50))
    np.testing.assert_array_equal(estimates.tangent, np.full(50, 2.0))


def test_seed_jit_vmap_of_discrete_choices_cast_to_floats():
    e = expectation(lambda p: jnp.where(flip_reinforce(p), 1.0, 2.0) + flip_mvd(p).astype(float) * flip_enum(p))
    keys = jax.random.split(KEY, 20_000)
    gradients = np.asarray(jax.jit(jax.vmap(seed(e.grad_estimate), in_axes=(0, None)))(keys, 0.3), np.float64)
    # Mean within 4.7 standard errors of 2p - 1.
    assert abs(gradients.mean() + 0.4) < 4.7 * gradients.std() / np.sqrt(len(keys))


def test_inside_a_scan_of_gradient_steps():
    e = expectation(lambda t: (normal_reparam(t, 0.1) - 2.0) ** 2)

    def descend(t):
        return jax.lax.scan(lambda t, _: (t - 0.1 * e.grad_estimate(t), None), t, length=100)[0]

    assert float(seed(descend)(KEY, 0.0)) == pytest.approx(2.0, abs=0.3)


def test_second_call_neither_traces_nor_compiles(counted):
    f = counted(lambda t: normal_reinforce(t, 1.0))
    e = expectation(f)
    e.grad_estimate(0.1)
    n_traces = f.calls
    e.grad_estimate(0.2)
    assert f.calls == n_traces >= 1


def test_compiling_without_a_key_is_an_error():
    e = expectation(lambda t: normal_reparam(t, 1.0))
    with pytest.raises(LoweringSamplePrimitiveToMLIRException):
        jax.jit(e.estimate)(0.3)


def test_estimators_stage_as_their_own_primitive():
    closed, _ = stage(lambda theta: normal_reparam(theta, 1.0) ** 2)(0.1)
    primitives = [PPPrimitive.unwrap(eqn.primitive)[0] for eqn in closed.jaxpr.eqns]
    assert any(p is adev_sample_p for p in primitives) and not any(p is sample_p for p in primitives)


# Models inside


@gen
def family(data, t):
    x = normal_reparam(t, 1.0) @ "x"
    distribution(flip_enum, flip.logpdf)(0.5) @ "b"
    return x


@gen
def target():
    x = normal(0.0, 1.0) @ "x"
    flip(0.25) @ "b"
    normal(x, 1.0) @ "y"


def test_generative_functions_inside_an_expectation():
    def elbo(data, t):
        trace = family.simulate(data, t)
        log_density, _ = target.assess({**trace.get_choices(), **data})
        return log_density + trace.get_score()

    e = expectation(elbo)
    keys = jax.random.split(KEY, 4096)
    data_gradient, gradients = jax.vmap(lambda key: seed(e.grad_estimate)(key, {"y": 2.0}, 0.5))(keys)
    # ELBO = -(t^2 + 1) / 2 - ((2 - t)^2 + 1) / 2 + constants; 4.7 standard errors.
    gradients = np.asarray(gradients, np.float64)
    assert abs(gradients.mean() - 1.0) < 4.7 * gradients.std() / 64
    assert data_gradient["y"].shape == (4096,)


# Outside of expectations


@pytest.mark.parametrize(
    "estimator, args, mean, std",
    [
        (flip_enum, (0.3,), 0.3, 0.458),
        (flip_mvd, (0.3,), 0.3, 0.458),
        (flip_reinforce, (0.3,), 0.3, 0.458),
        (geometric_reinforce, (0.3,), 0.7 / 0.3, 2.79),
        (normal_reparam, (1.0, 2.0), 1.0, 2.0),
        (normal_reinforce, (1.0, 2.0), 1.0, 2.0),
        (uniform_reparam, (1.0, 3.0), 2.0, 0.578),
        (uniform_reinforce, (1.0, 3.0), 2.0, 0.578),
    ],
)
def test_estimators_are_ordinary_choices(estimator, args, mean, std):
    def check(draws):
        assert draws.shape == (4096,)
        assert abs(float(jnp.mean(draws * 1.0)) - mean) < 4.7 * std / 64

    check(modular_vmap(lambda: estimator(*args), in_axes=(), axis_size=4096)())
    check(jax.vmap(lambda key: seed(estimator)(key, *args))(jax.random.split(KEY, 4096)))

    @gen
    def model():
        addressed = estimator if hasattr(estimator, "simulate") else distribution(estimator, flip.logpdf)
        return addressed(*args) @ "v"

    check(seed(model.repeat(4096).simulate)(KEY).get_choices()["v"])


def test_densities_of_estimators():
    assert float(flip_reinforce.assess(False, 0.3)[0]) == pytest.approx(np.log1p(-0.3))
    assert float(flip_reinforce.assess(True, 0.3)[0]) == pytest.approx(np.log(0.3))
    value, loc, covariance = jnp.array([0.3, -1.0]), jnp.zeros(2), jnp.array([[2.0, 0.5], [0.5, 1.0]])
    want = multivariate_normal.logpdf(value, loc, covariance)
    for estimator in (multivariate_normal_reparam, multivariate_normal_reinforce):
        np.testing.assert_allclose(estimator.logpdf(value, loc, covariance), want, rtol=1e-5)
    got = multivariate_normal_diag_reparam.logpdf(value, loc, jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(got, multivariate_normal.logpdf(value, loc, jnp.diag(jnp.array([1.0, 4.0]))), rtol=1e-5)
    assert got.shape == ()
    batch = jnp.stack([value, value + 1.0])
    total = multivariate_normal_diag_reparam.logpdf(batch, loc, jnp.array([1.0, 2.0]))
    each = multivariate_normal.logpdf(batch, loc, jnp.diag(jnp.array([1.0, 4.0])))
    np.testing.assert_allclose(total, each.sum(), rtol=1e-5)  # of this one, a batch has one density
