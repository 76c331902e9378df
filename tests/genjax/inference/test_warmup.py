"""Warm-up, NUTS and HMC on a posterior that is known by quadrature; what adaptation converges to; bad input.

Means of chains within 5 standard errors (see `exact`): a false alarm has probability 1e-5 each.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, flip, gen, half_normal, modular_vmap, multivariate_normal, normal, seed, sel
from genjax.inference import HMC, MH, NUTS, log_likelihood, predictive, prior_predictive, summary, to_arviz, warmup
from genjax.inference.adaptation.dual_averaging import DualAveraging
from genjax.inference.adaptation.moments import Moments
from genjax.inference.adaptation.windows import windows
from genjax.inference.arviz import groups_of
from tests.genjax.inference import exact

KEY = jax.random.key(0)
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


@gen
def schools(errors):
    mu = normal(0.0, 5.0) @ "mu"
    tau = half_normal(5.0) @ "tau"
    z = normal.repeat(8)(0.0, 1.0) @ "z"
    return normal.vmap()(mu + tau * z, errors) @ "y"


def truth():
    """Posterior means of mu, tau and mu^2: the effects are integrated out by hand, mu and tau on a grid."""
    mu, tau = np.meshgrid(np.linspace(-25, 35, 601), np.linspace(0.0, 30, 601), indexing="ij")
    variance = ERRORS**2 + tau[..., None] ** 2
    log_density = np.sum(-0.5 * np.log(variance) - 0.5 * (EFFECTS - mu[..., None]) ** 2 / variance, axis=-1)
    weights = np.exp(log_density - 0.5 * (mu / 5) ** 2 - 0.5 * (tau / 5) ** 2 + 30)
    weights[:, [0, -1]] *= 0.5
    return {"mu": np.average(mu, weights=weights), "tau": np.average(tau, weights=weights)}


TRACE, _ = seed(schools.generate)(KEY, {"y": jnp.asarray(EFFECTS)}, jnp.asarray(ERRORS))
LATENT = sel("mu", "tau", "z")


@pytest.fixture(scope="module")
def fit():
    return seed(chain(NUTS(LATENT)))(KEY, TRACE, 500, n_chains=4, n_warmup=400)


def test_eight_schools_by_nuts(fit):
    for name, expected in truth().items():
        exact.assert_mean(fit.traces[name], expected)
        assert fit.rhat[name] < 1.02
    assert np.sum(fit.info.is_divergent) < 20
    assert 0.7 < fit.info.acceptance.mean() < 0.97
    assert fit.kernel.step_size.shape == (4,)
    assert fit.kernel.inverse_mass.shape == (4, 10)
    # Standard deviations of mu 3.3, and near 1 of each z: what the mass matrices should have found.
    assert np.all(fit.kernel.inverse_mass.mean(0)[2:] < 3)
    assert np.all(fit.info.n_gradients < 2**fit.info.tree_depth + 2**fit.info.tree_depth)


def test_summary_and_groups(fit):
    table = summary(fit)
    np.testing.assert_allclose(table["mu"]["mean"], np.mean(fit.traces["mu"]), rtol=1e-4)
    assert set(table.rows) == {"mu", "tau", *(f"z[{i}]" for i in range(8))}
    assert "4 chains of 500 draws" in str(table)
    groups = groups_of(fit)
    assert set(groups["posterior"]) == {"mu", "tau", "z"}
    np.testing.assert_allclose(groups["observed_data"]["y"], EFFECTS)
    assert groups["log_likelihood"]["y"].shape == (4, 500, 8)
    assert {"diverging", "energy", "tree_depth", "acceptance_rate", "lp"} <= set(groups["sample_stats"])


def test_log_likelihood_and_predictions(fit):
    found = log_likelihood(schools, fit.traces)["y"]
    mu, tau, z = (np.asarray(fit.traces[name], np.float64) for name in ("mu", "tau", "z"))
    mean = mu[..., None] + tau[..., None] * z
    expected = -0.5 * ((EFFECTS - mean) / ERRORS) ** 2 - np.log(ERRORS) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    drawn = seed(lambda traces: predictive(schools, traces))(KEY, fit.traces)
    np.testing.assert_array_equal(drawn["mu"], fit.traces["mu"])
    standardised = (np.asarray(drawn["y"]) - mean) / ERRORS  # 16,000 independent N(0, 1)
    assert abs(standardised.mean()) < 5 / np.sqrt(standardised.size)
    assert abs((standardised**2).mean() - 1) < 5 * np.sqrt(2 / standardised.size)
    again = seed(lambda choices: predictive(schools, choices, (jnp.ones(8),)))(KEY, {"mu": jnp.zeros((2, 3))})
    assert again["y"].shape == (2, 3, 8)
    with pytest.raises(TypeError, match=r"pass args=\(...\)"):
        predictive(schools, {"mu": jnp.zeros(2)})
    with pytest.raises(ValueError, match="nothing is held"):
        predictive(schools, fit.traces, given=sel())
    prior = seed(lambda errors: prior_predictive(schools, (errors,), 5))(KEY, jnp.asarray(ERRORS))
    assert prior["y"].shape == (5, 8)


def test_to_arviz(fit):
    arviz = pytest.importorskip("arviz", reason="ArviZ is not installed")
    data = to_arviz(fit)
    assert float(data["posterior"]["mu"].mean()) == pytest.approx(float(np.mean(fit.traces["mu"])), rel=1e-4)
    assert data["log_likelihood"]["y"].shape == (4, 500, 8)
    assert arviz.__version__


def test_hmc_of_adapted_length():
    run = seed(warmup(HMC("v", 0.1, 1), dense=True, trajectory_length=1.5))

    @gen
    def target():
        return multivariate_normal(jnp.zeros(2), jnp.array([[4.0, 1.8], [1.8, 1.0]])) @ "v"

    warmed = run(KEY, seed(target.simulate)(KEY), 800, n_chains=4)
    covariance = np.array([[4.0, 1.8], [1.8, 1.0]])
    np.testing.assert_allclose(warmed.kernel.inverse_mass, covariance, rtol=0.35)
    assert warmed.step_sizes.shape == (4,)
    assert 1 <= warmed.kernel.n_steps * warmed.kernel.step_size < 5
    result = seed(chain(warmed.kernel))(KEY, seed(target.simulate)(KEY), 1500, n_chains=2)
    exact.assert_mean(result.traces["v"][..., 0] * result.traces["v"][..., 1], 1.8)
    assert result.acceptance_rate > 0.6


def test_starts_that_differ_and_data_that_chains_share():
    starts = seed(
        modular_vmap(lambda: schools.generate({"y": jnp.asarray(EFFECTS)}, jnp.asarray(ERRORS))[0], axis_size=2)
    )
    result = seed(chain(NUTS(LATENT, max_depth=3)))(KEY, starts(KEY), 10, n_chains=2, n_warmup=20)
    assert result.traces["z"].shape == (2, 10, 8)
    assert result.info.n_gradients.max() <= 7
    single = seed(chain(NUTS(LATENT, max_depth=3)))(KEY, TRACE, 10, n_warmup=5)
    assert single.traces["z"].shape == (10, 8)
    assert single.kernel.step_size.shape == ()


def test_the_target_acceptance_of_a_chain():
    """Chains of 800 steps whose acceptance averages 0.95; at the kernel's own 0.8, longer steps and less of it."""
    careful = seed(chain(NUTS(LATENT)))(KEY, TRACE, 200, n_chains=4, n_warmup=400, target_acceptance=0.95)
    plain = seed(chain(NUTS(LATENT)))(KEY, TRACE, 200, n_chains=4, n_warmup=400)
    assert careful.info.acceptance.mean() > max(0.9, plain.info.acceptance.mean())
    # Of four chains each. A warm-up of 400 steps leaves log step sizes an sd of 0.2 or so; they differ by 0.3 and more.
    assert np.log(careful.kernel.step_size).mean() < np.log(plain.kernel.step_size).mean()


def test_dual_averaging_finds_the_step_size_of_the_target():
    """Acceptance exp(-eps): the target 0.8 is met at eps = -log 0.8."""
    averaging = DualAveraging.start(1.0)
    for _ in range(500):
        averaging = averaging.update(jnp.exp(-jnp.exp(averaging.log_step_size)), 0.8)
    np.testing.assert_allclose(jnp.exp(averaging.log_average), -np.log(0.8), rtol=0.05)


@pytest.mark.parametrize("dense", [False, True])
def test_running_moments(dense):
    draws = np.random.default_rng(0).normal(size=(50, 3)) @ np.array([[1.0, 0.5, 0.0], [0, 1, 0], [0, 0, 3]])
    moments = Moments.start(jnp.eye(3) if dense else jnp.ones(3))
    for draw in draws:
        moments = moments.add(jnp.asarray(draw, jnp.float32))
    covariance = np.cov(draws.T) if dense else draws.var(0, ddof=1)
    shrunk = (50 * covariance + 0.005 * (np.eye(3) if dense else 1)) / 55
    np.testing.assert_allclose(moments.inverse_mass(), shrunk, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_steps", [5, 20, 100, 150, 500, 1000, 1237])
def test_windows_cover_the_warm_up(n_steps):
    is_slow, ends = windows(n_steps)
    assert len(is_slow) == len(ends) == n_steps
    if n_steps < 20:
        assert not ends.any()
        return
    slow = np.flatnonzero(is_slow)
    assert np.all(np.diff(slow) == 1)
    assert ends[slow[-1]]
    assert not ends[~is_slow].any()
    lengths = np.diff([slow[0] - 1, *np.flatnonzero(ends)])
    assert np.all(lengths[1:] >= lengths[:-1])
    if n_steps == 1000:
        np.testing.assert_array_equal(lengths, [25, 50, 100, 200, 500])


def test_progress_is_reported_on_request():
    seen = []
    target = gen(lambda: normal(0.0, 1.0) @ "x")
    run = seed(chain(HMC("x", 0.5, 2)))
    run(KEY, target.simulate(), 100, n_chains=2, progress=lambda step, n_steps: seen.append((step, n_steps)))
    jax.effects_barrier()
    assert sorted(seen) == [(step, 100) for step in range(5, 101, 5)]


def test_a_start_without_a_density_is_an_error_that_names_the_site():
    @gen
    def target():
        scale = half_normal(1.0) @ "scale"
        return normal(0.0, scale) @ "x"

    for start, log_density in (({"scale": -1.0, "x": 0.3}, "scale' has the log density -inf"), ({"x": jnp.nan}, "nan")):
        with pytest.raises(ValueError, match=log_density):
            seed(chain(NUTS("x")))(KEY, target.generate(start)[0], 3)


def test_bad_input():
    with pytest.raises(TypeError, match="adapts kernels with a step_size.*got MH"):
        chain(MH("mu"))(TRACE, 10, n_warmup=10)
    with pytest.raises(ValueError, match="target_acceptance is a probability .* got 1.5"):
        seed(chain(NUTS(LATENT)))(KEY, TRACE, 10, n_warmup=10, target_acceptance=1.5)
    with pytest.raises(TypeError, match="target_acceptance must be a Python float, got"):
        seed(chain(NUTS(LATENT)))(KEY, TRACE, 10, n_warmup=10, target_acceptance=jnp.array(0.9))
    with pytest.raises(ValueError, match="target_acceptance=0.9 and no warm-up"):
        seed(chain(NUTS(LATENT)))(KEY, TRACE, 10, target_acceptance=0.9)
    with pytest.raises(ValueError, match="The target of warmup is a probability .* got 0"):
        warmup(NUTS(LATENT), target=0)
    with pytest.raises(ValueError, match="max_depth=0"):
        NUTS(LATENT, max_depth=0)
    with pytest.raises(ValueError, match=r"inverse_mass of shape \(3,\) for 10 unconstrained coordinates"):
        NUTS(LATENT, 0.1, jnp.ones(3)).init(TRACE)
    with pytest.raises(TypeError, match="nuts was asked to move the choice 'coin'"):
        NUTS("coin").init(gen(lambda: flip(0.5) @ "coin").simulate())
