"""Gates of posterior draws and of chains, on exact draws of a small robust posterior and on what can go wrong."""

import numpy as np
import pytest
from scipy import special, stats

from studies.curvefit.gate_chains import WINDOW, iterations_to_truth
from studies.curvefit.problem import check, make_problem
from studies.curvefit.truth import _conjugate, design

ROBUST = {
    "data_set": "outliers", "n_points": 8, "data_noise_sd": 0.1, "noise_sd": 0.1, "outlier_bound": 2.0,
    "rate_alpha": 1.0, "rate_beta": 3.0,
}  # fmt: skip
N_CHAINS, N_STEPS = 40, 200


@pytest.fixture(scope="module")
def problem():
    return make_problem(ROBUST)


def exact_draws(problem, n, seed):
    """Independent draws of the robust posterior, by enumerating indicators: z, then rate and coefficients given z."""
    generator = np.random.default_rng(seed)
    xs, ys = problem.data["xs"], problem.data["ys"].astype(np.float64)
    n_points = len(xs)
    every = ((np.arange(2**n_points)[:, None] >> np.arange(n_points)) & 1).astype(np.float64)
    k = every.sum(axis=1)
    log_evidence, means, covariances = _conjugate(design(xs), ys, 0.1, 1 - every)
    log_joint = special.betaln(1 + k, 3 + n_points - k) - k * np.log(4.0) + log_evidence
    picked = generator.choice(len(every), n, p=special.softmax(log_joint))
    roots = np.linalg.cholesky(covariances)[picked]
    curves = means[picked] + np.einsum("nij,nj->ni", roots, generator.standard_normal((n, 3)))
    rate = generator.beta(1 + k[picked], 3 + n_points - k[picked])
    return {"is_outlier": every[picked].astype(bool), "outlier_rate": rate, **dict(zip("abc", curves.T, strict=True))}


@pytest.fixture
def chains(problem):
    draws = exact_draws(problem, N_CHAINS * N_STEPS, seed=0)
    outputs = {name: array.reshape(N_CHAINS, N_STEPS, *array.shape[1:]) for name, array in draws.items()}
    return outputs | {"accepts": np.random.default_rng(1).random((N_CHAINS, N_STEPS)) < 0.85}


def chain_verdict(problem, outputs):
    parameters = {**ROBUST, "n_chains": N_CHAINS, "n_steps": N_STEPS, "step_size": 0.04, "n_leapfrog": 20}
    return check("gibbs_hmc", problem, parameters, outputs)


# 4,000 exact draws: a mean is 0.016 posterior sd off, so 0.1 is six standard errors; P(outlier) is closer still.


def test_exact_draws_are_where_the_posterior_is_but_not_steps_of_the_kernel(problem, chains):
    found = chain_verdict(problem, chains)
    assert "steps move where `accepts` says that they do not" in found.reason
    assert found.diagnostics["iterations_to_truth"] == 0
    assert found.diagnostics["coefficient_error"] < 0.1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda o: o | {"outlier_rate": o["outlier_rate"] - 0.9}, "outside of [0, 1]"),
        (lambda o: o | {"is_outlier": ~o["is_outlier"]}, "P(outlier) is"),
        (lambda o: o | {"a": o["a"] + 0.05}, "a coefficient's mean"),
        (lambda o: o | {"b": 2 * o["b"] - o["b"].mean()}, "a coefficient's spread"),
        (lambda o: {n: np.repeat(v[:, :1], N_STEPS, axis=1) for n, v in o.items()}, "40 of 40 chains never move"),
        (lambda o: o | {"accepts": np.zeros((N_CHAINS, N_STEPS), bool)}, "HMC accepts 0"),
        (lambda o: o | {"is_outlier": o["is_outlier"].astype(np.float64)}, "expected booleans"),
        (lambda o: o | {"c": o["c"][:, :-1]}, "has shape"),
    ],
)
def test_faulty_chains_are_refused(problem, chains, fault, message):
    assert message in chain_verdict(problem, fault(chains)).reason


def test_iterations_to_truth_finds_where_the_chains_arrive(problem, chains):
    late = {name: array.copy() for name, array in chains.items()}
    late["a"][:, :60] += 5.0
    reached = iterations_to_truth(problem, late)
    assert 60 - WINDOW < reached <= 60  # the last wrong iteration may be outvoted in its window, not longer
    never = late | {"a": late["a"] + 5.0}
    assert np.isnan(iterations_to_truth(problem, never))
    short = {name: array[:, : WINDOW - 1] for name, array in chains.items()}
    assert np.isnan(iterations_to_truth(problem, short))


# Draws


def importance_runs(problem, n, n_draws, marginal, seed=0):
    """One draw from each of `n_draws` samplers of `n` particles, as a framework should return them."""
    generator, truth = np.random.default_rng(seed), problem.truth
    xs, ys = problem.data["xs"], problem.data["ys"].astype(np.float64)
    found = []
    for _ in range(n_draws):
        curves, rate = generator.standard_normal((n, 3)), generator.beta(1.0, 3.0, n)
        inlier = stats.norm.logpdf(ys, curves @ design(xs).T, truth["noise_sd"])
        z = generator.random((n, len(xs))) < rate[:, None]
        if marginal:
            terms = np.logaddexp(np.log(rate)[:, None] - np.log(4.0), np.log1p(-rate)[:, None] + inlier)
        else:
            terms = np.where(z, -np.log(4.0), inlier)
        log_weights = terms.sum(axis=1)
        weights = special.softmax(log_weights)
        i = generator.choice(n, p=weights)
        one = dict(zip("abc", curves[i], strict=True)) | {"outlier_rate": rate[i], "log_weights": log_weights[i]}
        one |= {} if marginal else {"is_outlier": z[i]}
        one["log_evidence"] = special.logsumexp(log_weights) - np.log(n)
        found.append(one | {"effective_sample_size": 1 / (weights @ weights)})
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def draw_verdict(problem, outputs, n, marginal):
    task = "robust_marginal_importance_sampling" if marginal else "robust_importance_sampling"
    parameters = {**ROBUST, "n_particles": n, "n_draws": len(outputs["a"])}
    return check(task, problem, parameters, outputs)


@pytest.mark.parametrize("marginal", [False, True])
def test_draws_pass(problem, marginal):
    found = draw_verdict(problem, importance_runs(problem, 500, 20, marginal), 500, marginal)
    assert found.reason is None
    assert found.diagnostics["log_weights_relative_error"] < 1e-9
    assert "outlier_probability_error" in found.diagnostics


def test_large_draws_are_held_against_the_exact_evidence(problem):
    outputs = importance_runs(problem, 100_000, 6, marginal=True)
    assert draw_verdict(problem, outputs, 100_000, marginal=True).reason is None
    wrong = outputs | {"log_evidence": outputs["log_evidence"] + 2.0}
    assert "evidence is" in draw_verdict(problem, wrong, 100_000, marginal=True).reason


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda o: o | {"log_weights": o["log_weights"] + np.log(o["outlier_rate"])}, "log_weights differ"),
        (lambda o: o | {"is_outlier": ~o["is_outlier"]}, "log_weights differ"),
        (lambda o: o | {"outlier_rate": o["outlier_rate"] + 1.0}, "outside of [0, 1]"),
        (lambda o: o | {"log_evidence": o["log_evidence"] - 20.0}, "exceeds the sum of all weights"),
        (lambda o: o | {"effective_sample_size": np.full(20, 0.5)}, "not within [1, 500]"),
    ],
)
def test_faulty_draws_are_refused(problem, fault, message):
    outputs = fault(importance_runs(problem, 500, 20, marginal=False))
    assert message in draw_verdict(problem, outputs, 500, marginal=False).reason
