"""Exact answers of the seven-system comparison, and its gate against right and deliberately wrong systems.

False alarms: the draws below have fixed seeds, so a passing test stays passing. With fresh seeds each of the about ten
checks of a right answer refuses it 6e-7 of the time in the normal limit (five standard errors).
"""

import numpy as np
import pytest
from scipy import integrate, stats

from studies import chain_diagnostics
from studies.perfbench import reference
from studies.perfbench.gate_importance import log_likelihood
from studies.perfbench.problem import check, make_problem
from studies.polynomial import curve_posterior, design, squared_weight_posterior


def parameters(**changes):
    defaults = {
        "data_set": "published", "n_points": None, "noise_sd": None, "data_seed": 42, "n_particles": 5000,
        "n_samples": 100, "n_warmup": 50, "n_chains": 8, "step_size": 0.01, "n_leapfrog": 20,
    }  # fmt: skip
    return {**defaults, **changes}


PUBLISHED, WEAK = make_problem(parameters()), make_problem(parameters(data_set="weak"))


# Data and exact answers


def test_published_data_are_those_of_the_artifact():
    assert PUBLISHED.data["ys"][:3] == pytest.approx([0.498585, 0.498679, 0.467097], abs=1e-6)
    assert {name: (array.dtype, array.shape) for name, array in PUBLISHED.data.items()} == {
        "xs": (np.float32, (50,)),
        "ys": (np.float32, (50,)),
        "noise_sd": (np.float64, ()),
        "start": (np.float32, (3,)),
    }


def test_published_truth():
    posterior = PUBLISHED.truth["posterior"]
    assert posterior.log_evidence == pytest.approx(74.81295, abs=2e-5)
    assert posterior.mean == pytest.approx([0.51134, -1.26603, 2.00277], abs=5e-6)
    assert posterior.sd == pytest.approx([0.02028, 0.09352, 0.09044], abs=5e-6)


@pytest.mark.parametrize("problem", [PUBLISHED, WEAK], ids=["published", "weak"])
def test_evidence_equals_the_density_of_the_marginal(problem):
    xs, ys, noise_sd = problem.data["xs"], problem.data["ys"].astype(float), problem.truth["noise_sd"]
    covariance = design(xs) @ design(xs).T + noise_sd**2 * np.eye(len(xs))
    exact = stats.multivariate_normal(np.zeros(len(xs)), covariance).logpdf(ys)
    assert problem.truth["posterior"].log_evidence == pytest.approx(exact, abs=1e-6)


def test_weight_variance_agrees_with_quadrature_of_one_coefficient():
    """With one point at x = 0 the weight depends on a alone."""
    xs, ys, noise_sd = np.zeros(1), np.array([0.7]), 0.5

    def moment(power):
        return integrate.quad(lambda a: stats.norm.pdf(a) * stats.norm.pdf(0.7, a, noise_sd) ** power, -8, 8)[0]

    relative_variance, squared = squared_weight_posterior(xs, ys, noise_sd)
    assert relative_variance == pytest.approx(moment(2) / moment(1) ** 2 - 1, rel=1e-6)
    assert curve_posterior(xs, ys, noise_sd).log_evidence == pytest.approx(np.log(moment(1)), abs=1e-9)
    assert squared.mean[0] == pytest.approx(0.7 / (1 + noise_sd**2 / 2), rel=1e-9)


@pytest.mark.parametrize("problem", [PUBLISHED, WEAK], ids=["published", "weak"])
def test_the_log_likelihood_is_the_sum_over_points(problem):
    thetas = 3 * np.random.default_rng(0).standard_normal((1_000, 3))
    curves = thetas @ design(problem.data["xs"]).T
    ys = problem.data["ys"].astype(np.float64)
    expected = stats.norm.logpdf(ys, curves, problem.truth["noise_sd"]).sum(axis=-1)
    np.testing.assert_allclose(log_likelihood(problem, thetas), expected, rtol=1e-12)


def test_weak_data_leave_one_particle_in_eight_effective():
    assert 6 < 1 + WEAK.truth["relative_variance"] < 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_set": "strong"}, "data_set='strong'. Allowed: published, weak"),
        ({"n_points": 0}, "n_points=0.*whole number above zero"),
        ({"noise_sd": -1.0}, "noise_sd=-1.0"),
        ({"noise_sd": float("nan")}, "noise_sd=nan"),
        ({"data_seed": -1}, "data_seed=-1"),
        ({"step_size": 0.0}, "step_size=0.0"),
        ({"n_leapfrog": 2.5}, "n_leapfrog=2.5"),
    ],
)
def test_bad_parameters_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        make_problem(parameters(**changes))


def test_right_chains_accept_seven_steps_in_ten():
    outputs = chains(n_chains=100, n_samples=100)
    assert 0.68 < judge_chains(outputs).diagnostics["acceptance_rate"] < 0.72


def test_chains_begin_ten_standard_deviations_from_the_posterior():
    posterior = PUBLISHED.truth["posterior"]
    away = PUBLISHED.data["start"].astype(float) - posterior.mean
    assert np.sqrt(away @ np.linalg.inv(posterior.covariance) @ away) == pytest.approx(10, rel=1e-3)


# Importance sampling


def particles(problem, n_particles=5000, seed=0):
    """What a right float32 system returns."""
    random = np.random.default_rng(seed)
    thetas = random.standard_normal((n_particles, 3)).astype(np.float32)
    means = thetas @ design(problem.data["xs"]).T.astype(np.float32)
    terms = stats.norm.logpdf(problem.data["ys"], means, problem.truth["noise_sd"]).astype(np.float32)
    return {**dict(zip("abc", thetas.T, strict=True)), "log_weights": terms.sum(axis=1, dtype=np.float32)}


def log_prior(outputs):
    return sum(stats.norm.logpdf(outputs[name]) for name in "abc")


def judge_particles(problem, outputs):
    return check("importance_sampling", problem, parameters(n_particles=len(outputs["a"])), outputs)


@pytest.mark.parametrize("problem", [PUBLISHED, WEAK], ids=["published", "weak"])
@pytest.mark.parametrize("seed", range(5))
def test_right_particles_pass(problem, seed):
    reason, diagnostics = judge_particles(problem, particles(problem, seed=seed))
    assert reason is None
    assert diagnostics["effective_sample_size"] >= 1


WRONG_WEIGHTS = {
    "prior counted although it is the proposal": lambda outputs: outputs["log_weights"] + log_prior(outputs),
    "prior alone, the data never looked at": log_prior,
    "normalised": lambda outputs: outputs["log_weights"] - outputs["log_weights"].max(),
    "mean over points": lambda outputs: outputs["log_weights"] / 50,
    "off by a constant": lambda outputs: outputs["log_weights"] + 0.5,
}


@pytest.mark.parametrize("problem", [PUBLISHED, WEAK], ids=["published", "weak"])
@pytest.mark.parametrize("fault", WRONG_WEIGHTS)
def test_wrong_weights_are_invalid(problem, fault):
    outputs = particles(problem)
    outputs["log_weights"] = WRONG_WEIGHTS[fault](outputs)
    assert "log_weights differ from the log likelihood" in judge_particles(problem, outputs).reason


def weighted(problem, thetas):
    """Right weights of given particles."""
    means = thetas @ design(problem.data["xs"]).T
    weights = stats.norm.logpdf(problem.data["ys"], means, problem.truth["noise_sd"]).sum(axis=1)
    return {**dict(zip("abc", thetas.T, strict=True)), "log_weights": weights}


WRONG_PARTICLES = {
    "twice as wide": (lambda z: 2 * z, "mean square of all coordinates"),
    "shifted": (lambda z: z + [0, 0, 0.1], "moment 1 of c"),
    "one value for all": (lambda z: np.tile(z[:1], (len(z), 1)), "distinct"),
    "each drawn thrice": (lambda z: np.repeat(z, 3, axis=0)[: len(z)], "distinct"),
}


@pytest.mark.parametrize("fault", WRONG_PARTICLES)
def test_particles_that_are_not_from_the_prior_are_invalid(fault):
    change, message = WRONG_PARTICLES[fault]
    thetas = change(np.random.default_rng(1).standard_normal((5000, 3)))
    assert message in judge_particles(WEAK, weighted(WEAK, thetas)).reason


def test_particles_and_chains_in_bad_form_are_invalid():
    outputs = particles(WEAK)
    assert "lack 'c'" in judge_particles(WEAK, {k: v for k, v in outputs.items() if k != "c"}).reason
    assert "not finite" in judge_particles(WEAK, {**outputs, "b": np.full(5000, np.nan)}).reason
    assert "shape (4999,)" in judge_particles(WEAK, {**outputs, "log_weights": np.zeros(4999)}).reason
    assert "lack 'a'" in check("hmc", PUBLISHED, parameters(), {}).reason
    with pytest.raises(ValueError, match="task 'nuts'"):
        check("nuts", PUBLISHED, parameters(), outputs)


# Chains


def chains(step_size=0.01, n_leapfrog=20, posterior=None, n_chains=8, n_samples=100, n_warmup=50, seed=0):
    """What a right float32 system returns, from the common start; other arguments make it wrong."""
    states = reference.reference_chains(
        posterior or PUBLISHED.truth["posterior"], step_size, n_leapfrog, n_chains, n_samples + n_warmup,
        np.random.default_rng(seed), PUBLISHED.data["start"].astype(float),
    )  # fmt: skip
    return {name: states[:, n_warmup:, i].astype(np.float32) for i, name in enumerate("abc")}


def judge_chains(outputs):
    shape = np.shape(outputs["a"])[-2:]
    return check("hmc", PUBLISHED, parameters(n_chains=shape[0], n_samples=shape[1]), outputs)


@pytest.mark.parametrize(("n_chains", "n_samples"), [(1, 100), (8, 100), (4, 1000), (1000, 50)])
@pytest.mark.parametrize("seed", range(4))
def test_right_chains_pass(n_chains, n_samples, seed):
    reason, diagnostics = judge_chains(chains(n_chains=n_chains, n_samples=n_samples, seed=seed))
    assert reason is None
    assert 0.6 < diagnostics["acceptance_rate"] < 0.8


def test_calls_of_one_chain_are_judged_together():
    stacked = {name: values[:, None] for name, values in chains().items()}
    together, apart = judge_chains(stacked), judge_chains(chains())
    assert together.reason is None
    assert together.diagnostics["r_hat"] == apart.diagnostics["r_hat"]
    assert together.diagnostics["effective_sample_size"] == pytest.approx(
        apart.diagnostics["effective_sample_size"] / 8
    )


def frozen():
    start = PUBLISHED.data["start"]
    return {name: np.full((8, 100), start[i], np.float32) for i, name in enumerate("abc")}


def frozen_one_of_eight():
    outputs = chains()
    return {name: np.concatenate([values[:7], np.full((1, 100), values[7, 0])]) for name, values in outputs.items()}


def adapting():
    """Step sizes drawn towards an acceptance of 0.8 or more, at the same trajectory length."""
    parts = [chains(0.2 / n, n, n_chains=1, seed=n) for n in (22, 24, 25, 26, 28, 30, 32, 35)]
    return {name: np.concatenate([part[name] for part in parts]) for name in "abc"}


def density(noise_sd=0.05, shift=0.0):
    return curve_posterior(PUBLISHED.data["xs"], PUBLISHED.data["ys"] + shift, noise_sd)


WRONG_CHAINS = {
    "frozen": (frozen, "8 of 8 chains stand still"),
    "one frozen": (frozen_one_of_eight, "1 of 8 chains stand still"),
    "adapting": (adapting, "acceptance rate"),
    "trajectory of 2 pi": (lambda: chains(0.314, 20), "stand still"),
    "fewer leapfrog steps": (lambda: chains(0.01, 10), "squared momentum"),
    "noise too small": (lambda: chains(posterior=density(0.045), n_samples=1000), "acceptance rate"),
    "noise too large": (lambda: chains(posterior=density(0.06), n_samples=1000), "acceptance rate"),
    "data shifted": (lambda: chains(posterior=density(shift=0.01), n_samples=1000), "acceptance rate"),
    "one chain given eight times": (lambda: {n: np.repeat(v, 8, 0) for n, v in chains(n_chains=1).items()}, "distinct"),
    "independent draws": (lambda: independent(), "acceptance rate"),
}


def independent():
    posterior = PUBLISHED.truth["posterior"]
    draws = np.random.default_rng(3).multivariate_normal(posterior.mean, posterior.covariance, (8, 100))
    return {name: draws[:, :, i] for i, name in enumerate("abc")}


@pytest.mark.parametrize("fault", WRONG_CHAINS)
def test_wrong_chains_are_invalid(fault):
    make, message = WRONG_CHAINS[fault]
    assert message in judge_chains(make()).reason


def test_split_r_hat_and_effective_sample_size_of_known_processes():
    """First-order autoregression x' = r x + e has n (1 - r) / (1 + r) effective states."""
    random = np.random.default_rng(0)
    states = np.empty((64, 2000, 1))
    states[:, 0] = random.standard_normal((64, 1)) / np.sqrt(1 - 0.6**2)
    for step in range(1, 2000):
        states[:, step] = 0.6 * states[:, step - 1] + random.standard_normal((64, 1))
    assert chain_diagnostics.effective_sample_size(states)[0] == pytest.approx(64 * 2000 * 0.4 / 1.6, rel=0.05)
    assert chain_diagnostics.split_r_hat(states)[0] < 1.01
    assert chain_diagnostics.split_r_hat(states + np.arange(64)[:, None, None])[0] > 2
    assert np.isinf(chain_diagnostics.split_r_hat(np.ones((2, 10, 1)))).all()
    assert chain_diagnostics.effective_sample_size(np.ones((2, 10, 1)))[0] == 0
