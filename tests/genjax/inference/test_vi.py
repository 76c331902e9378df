"""Variational inference on conjugate normals, whose posterior and evidence are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import Const, const, gen, multivariate_normal, normal, seed
from genjax.adev import flip_enum, normal_reinforce, normal_reparam
from genjax.inference import (
    VariationalApproximation,
    elbo_factory,
    elbo_vi,
    full_covariance_normal_family,
    mean_field_normal_family,
    optimize_vi,
)
from genjax.inference.optimizers import Adam, GradientDescent

KEY = jax.random.key(0)
Y = {"y": 2.0}
# x ~ N(0, 1), y ~ N(x, 1): posterior N(1, 1/2), evidence N(2; 0, 2).
LOG_EVIDENCE = stats.norm(0, np.sqrt(2)).logpdf(2.0)


@gen
def target():
    x = normal(0.0, 1.0) @ "x"
    normal(x, 1.0) @ "y"


@gen
def vector_target():
    x = multivariate_normal(jnp.zeros(1), jnp.eye(1)) @ "x"
    normal(x[0], 1.0) @ "y"


def family_with(estimator):
    @gen
    def family(constraint, params):
        return estimator(params["loc"], jnp.exp(params["log_scale"])) @ "x"

    return family


reparam_family, reinforce_family = family_with(normal_reparam), family_with(normal_reinforce)
EXACT = {"loc": jnp.array(1.0), "log_scale": 0.5 * jnp.log(0.5)}
START = {"loc": 0.0, "log_scale": 0.0}


def exact_elbo(params):
    loc, variance = params["loc"], jnp.exp(2 * params["log_scale"])
    log_joint = -0.5 * (loc**2 + variance) - 0.5 * ((2 - loc) ** 2 + variance) - jnp.log(2 * jnp.pi)
    return log_joint + params["log_scale"] + 0.5 * jnp.log(2 * jnp.pi * jnp.e)


# The objective


@pytest.mark.parametrize("family", [reparam_family, reinforce_family], ids=["reparam", "reinforce"])
@pytest.mark.parametrize("n_samples", [1, 3])
def test_elbo_and_its_gradient_are_unbiased(family, n_samples):
    # 4.7 standard errors over 4096 keys: a false-alarm rate of 2.6e-6 per comparison.
    elbo = elbo_factory(target, family, Y, n_samples=n_samples)
    estimates = jax.jit(jax.vmap(lambda key: seed(elbo.value_and_grad_estimate)(key, START)))(
        jax.random.split(KEY, 4096)
    )
    for got, want in zip(
        jax.tree.leaves(estimates),
        jax.tree.leaves(jax.value_and_grad(exact_elbo)(dict.fromkeys(START, 0.0))),
        strict=True,
    ):
        got = np.asarray(got, np.float64)
        assert abs(got.mean() - want) < 4.7 * got.std() / 64, (got.mean(), want)


def test_at_the_exact_posterior_every_estimate_is_the_evidence():
    # log p(x, y) - log q(x) = log p(y) for every x, also averaged and importance weighted.
    for n_samples, is_importance_weighted in ((1, False), (4, False), (4, True)):
        elbo = elbo_factory(target, reparam_family, Y, (), n_samples, is_importance_weighted)
        assert float(elbo.estimate(EXACT)) == pytest.approx(LOG_EVIDENCE, abs=1e-5)


def test_importance_weighting_tightens_the_bound():
    def mean_bound(n_samples):
        bound = elbo_factory(target, reparam_family, Y, (), n_samples, True)
        return float(jax.vmap(lambda key: seed(bound.estimate)(key, START))(jax.random.split(KEY, 2048)).mean())

    bounds = [mean_bound(n) for n in (1, 16)]
    assert bounds[0] + 0.5 < bounds[1] < LOG_EVIDENCE + 0.02


def test_draws_of_a_score_function_family_multiply_their_own_weights_only():
    def variance(n_samples):
        elbo = elbo_factory(target, reinforce_family, Y, n_samples=n_samples)
        return float(jax.vmap(lambda key: seed(elbo.grad_estimate)(key, START)["loc"])(keys).var())

    keys = jax.random.split(KEY, 1024)
    # 1/16 of it; the sampling error of a ratio of such variances is about 20%.
    assert variance(16) < variance(1) / 8


def test_discrete_latents():
    @gen
    def coin():
        from genjax import flip

        b = flip(0.3) @ "b"
        normal(jnp.where(b, 1.0, -1.0), 1.0) @ "y"

    from genjax import distribution, flip

    choice = distribution(flip_enum, flip.logpdf)

    @gen
    def family(constraint, logit):
        choice(jax.nn.sigmoid(logit)) @ "b"

    fit = elbo_vi(coin, family, 0.0, {"y": 0.5}, n_iterations=200, optimizer=GradientDescent(1.0))
    odds = 0.3 / 0.7 * np.exp(stats.norm.logpdf(0.5, 1) - stats.norm.logpdf(0.5, -1))
    # Enumeration: no noise at all.
    assert float(jax.nn.sigmoid(fit.final_params)) == pytest.approx(odds / (1 + odds), abs=1e-4)


# Optimisation


def settled_mean(fit):
    """The mean of the parameters over the second half of the steps.

    With 64 draws a gradient has sd s = sqrt(2 / 64) and slope h = 2. At rate r = 0.05 Adam scatters with variance
    r s / (2 h) and an autocorrelation time of s / (r h), so the mean over 500 steps has a standard error of about
    0.004, a seventh of the tolerance.
    """
    return jax.tree.map(lambda history: history[len(history) // 2 :].mean(0), fit.param_history)


def test_convergence_on_a_conjugate_normal_with_tree_parameters():
    fit = elbo_vi(target, reparam_family, START, Y, learning_rate=0.05, n_iterations=1000, n_samples=64)
    settled = settled_mean(fit)
    assert float(settled["loc"]) == pytest.approx(1.0, abs=0.03)
    assert float(settled["log_scale"]) == pytest.approx(float(EXACT["log_scale"]), abs=0.03)
    assert -float(fit.loss_history[500:].mean()) == pytest.approx(LOG_EVIDENCE, abs=0.02)
    assert float(fit.loss_history[0]) > -LOG_EVIDENCE + 0.5


def test_history_and_its_getters():
    fit = elbo_vi(vector_target, mean_field_normal_family(1), jnp.zeros(2), Y, n_iterations=150)
    assert isinstance(fit, VariationalApproximation)
    assert fit.n_iterations == 150
    assert len(fit.param_history) == len(fit.loss_history) == 150
    assert fit.param_history.shape == (150, 2) and np.isfinite(fit.loss_history).all()
    np.testing.assert_array_equal(fit.param_history[-1], fit.final_params)
    assert fit.get_final_params() is fit.final_params
    assert fit.get_loss_history() is fit.loss_history and fit.get_param_history() is fit.param_history


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate():
    elbo = elbo_factory(vector_target, mean_field_normal_family(1), Y)
    fit = seed(optimize_vi)(KEY, elbo, jnp.zeros(2), learning_rate=0.1, n_iterations=2)
    assert fit.param_history.shape == (2, 2)
    np.testing.assert_allclose(jnp.abs(fit.param_history[0]), 0.1, rtol=1e-5)
    quiet = seed(optimize_vi)(KEY, elbo, jnp.zeros(2), 0.1, n_iterations=2, track_history=False)
    assert quiet.param_history is None
    np.testing.assert_array_equal(quiet.final_params, fit.final_params)
    again = seed(optimize_vi)(KEY, elbo, jnp.zeros(2), 0.2, const(1))
    np.testing.assert_allclose(again.final_params, 2 * fit.param_history[0], rtol=1e-6)


def test_plain_ascent_is_a_step_along_the_gradient():
    elbo = elbo_factory(vector_target, mean_field_normal_family(1), Y)
    ascend = lambda rate: seed(optimize_vi)(
        KEY, elbo, jnp.zeros(2), n_iterations=1, optimizer=Const(GradientDescent(rate))
    )
    first, double = ascend(0.1), ascend(0.2)
    np.testing.assert_allclose(double.final_params, 2 * first.final_params, rtol=1e-6)
    # The pathwise gradient at (0, 0) with noise e: y - 2 e by the mean, 1 + e (y - 2 e) by the log deviation.
    slope, log_slope = np.asarray(first.final_params, np.float64) / 0.1
    noise = (2.0 - slope) / 2
    assert log_slope == pytest.approx(1 + noise * slope, abs=1e-5)


def test_adam_against_optax():
    optax = pytest.importorskip("optax")
    ours, theirs = Adam(0.03), optax.adam(0.03)
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    state, their_state = ours.init(params), theirs.init(params)
    for step in range(20):
        gradients = jax.tree.map(lambda p, step=step: jnp.sin(3.0 * p + step) * 10.0 ** (step % 5), params)
        updates, state = ours.update(gradients, state, params)
        their_updates, their_state = theirs.update(gradients, their_state, params)
        jax.tree.map(lambda u, t: np.testing.assert_allclose(u, t, rtol=2e-5), updates, their_updates)


def test_the_default_finds_the_posterior_of_a_regression():
    """Hundred points of slope about 1.5: plain ascent at this rate diverges, its curvature being 2,500 and not 200."""
    xs = jnp.linspace(-3.0, 3.0, 100)
    ys = 1.5 * xs + 0.35 * jnp.sin(40.0 * xs)
    precision = 1 + float((xs**2).sum()) / 0.35**2
    exact = float((xs * ys).sum()) / 0.35**2 / precision

    @gen
    def regression():
        slope = multivariate_normal(jnp.zeros(1), jnp.eye(1)) @ "x"
        normal(slope[0] * xs, 0.35) @ "y"

    def late():
        fit = elbo_vi(regression, mean_field_normal_family(1), jnp.zeros(2), {"y": ys}, (), 0.01)
        return fit.param_history[500:, 0].mean()

    # Adam's scatter r s / (2 h), with the sd 1 / sqrt(h) = 0.02 of the posterior for s / h: 0.01 for a single step.
    assert abs(exact - 1.5) < 0.02
    errors = np.asarray(jax.vmap(seed(late))(jax.random.split(jax.random.key(0), 40)), np.float64) - exact
    assert errors.std(ddof=1) < 0.02
    assert abs(errors.mean()) < 5 * errors.std(ddof=1) / 40**0.5  # Student's t with 39 degrees: one alarm in 10^5
    plain = elbo_vi(
        regression, mean_field_normal_family(1), jnp.zeros(2), {"y": ys}, (), optimizer=GradientDescent(0.01)
    )
    assert not abs(float(plain.final_params[0]) - exact) < 1


def test_optimiser_objects_and_full_covariance():
    covariance = jnp.array([[2.0, 0.8], [0.8, 1.0]])

    @gen
    def correlated(scale):
        x = multivariate_normal(jnp.zeros(2), covariance) @ "x"
        multivariate_normal(x, scale * jnp.eye(2)) @ "y"

    y = jnp.array([1.0, -0.5])
    params = {"mean": jnp.zeros(2), "chol_cov": jnp.eye(2)}
    family, adam = full_covariance_normal_family(2), Adam(0.03, second_decay=0.99)
    fit = elbo_vi(correlated, family, params, {"y": y}, (0.5,), n_iterations=800, optimizer=adam, n_samples=64)
    precision = np.linalg.inv(covariance) + 2 * np.eye(2)
    settled = settled_mean(fit)
    factor = np.tril(settled["chol_cov"])
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(precision), atol=0.03)
    np.testing.assert_allclose(settled["mean"], np.linalg.solve(precision, 2 * y), atol=0.05)
    seeded = seed(elbo_vi)(KEY, correlated, family, params, {"y": y}, (0.5,), n_iterations=3, optimizer=Const(adam))
    assert seeded.param_history["chol_cov"].shape == (3, 2, 2)


def test_optax():
    optax = pytest.importorskip("optax")
    fit = elbo_vi(target, reparam_family, START, Y, n_iterations=400, optimizer=optax.adam(0.02), n_samples=64)
    assert float(settled_mean(fit)["loc"]) == pytest.approx(1.0, abs=0.05)


def test_several_parameters_as_a_tuple():
    @gen
    def family(constraint, loc, log_scale):
        normal_reparam(loc, jnp.exp(log_scale)) @ "x"

    fit = elbo_vi(target, family, (0.0, 0.0), Y, learning_rate=0.05, n_iterations=600, n_samples=64)
    assert isinstance(fit.final_params, tuple)
    assert float(settled_mean(fit)[0]) == pytest.approx(1.0, abs=0.05)


def test_a_second_fit_neither_traces_nor_compiles():
    n_traces = 0

    @gen
    def family(constraint, params):
        nonlocal n_traces
        n_traces += 1
        normal_reparam(params[0], jnp.exp(params[1])) @ "x"

    elbo_vi(target, family, jnp.zeros(2), {"y": 1.0}, n_iterations=5)
    first = n_traces
    elbo_vi(target, family, jnp.ones(2), {"y": 2.0}, n_iterations=5)
    assert n_traces == first


# Families


@pytest.mark.parametrize("estimator", ["reparam", "reinforce"])
def test_families(estimator):
    mean_field = mean_field_normal_family(2, estimator)
    params = jnp.array([1.0, 2.0, -0.5, 0.5])
    trace = mean_field.simulate({"y": 1.0}, params)
    assert trace.get_choices()["x"].shape == trace.get_retval().shape == (2,)
    want = stats.norm(params[:2], np.exp(params[2:])).logpdf(trace.get_choices()["x"]).sum()
    assert -float(trace.get_score()) == pytest.approx(want, rel=1e-5)
    full = full_covariance_normal_family(2, estimator)
    factor = jnp.array([[1.0, 99.0], [0.5, 0.7]])  # what is above the diagonal is ignored
    trace = full.simulate({}, {"mean": jnp.zeros(2), "chol_cov": factor})
    lower = np.tril(factor)
    want = stats.multivariate_normal(np.zeros(2), lower @ lower.T).logpdf(trace.get_choices()["x"])
    assert -float(trace.get_score()) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("make", [mean_field_normal_family, full_covariance_normal_family])
def test_unknown_gradient_estimator(make):
    with pytest.raises(ValueError, match="Unknown gradient estimator"):
        make(2, gradient_estimator="magic")


def test_bad_input():
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        elbo_factory(target, reparam_family, Y, n_samples=0)
    with pytest.raises(TypeError, match="no methods `init` and `update`"):
        elbo_vi(target, reparam_family, START, Y, optimizer=3)
    with pytest.raises(TypeError, match="floating numbers, got bool"):
        elbo_vi(target, reparam_family, {"loc": True, "log_scale": 0.0}, Y)
    with pytest.raises(ValueError, match="n_iterations must not be negative, got -1"):
        elbo_vi(target, reparam_family, START, Y, n_iterations=-1)
    with pytest.raises(TypeError, match="n_iterations must be a Python int"):
        jax.jit(lambda n: elbo_vi(target, reparam_family, START, Y, n_iterations=n))(3)

    @gen
    def plain(constraint, params):
        normal(params["loc"], 1.0) @ "x"

    with pytest.raises(NotImplementedError, match="ADEV encountered pjax.sample site"):
        elbo_vi(target, plain, START, Y, n_iterations=2)
