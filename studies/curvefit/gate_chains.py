"""Gate of the Markov chains on the robust model: later halves against the exact posterior, and how long it took."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem
from studies.curvefit.densities import outlier_probabilities
from studies.curvefit.gate_form import check_form, latent_shapes
from studies.curvefit.gate_importance import COEFFICIENT_LIMIT, PROBABILITY_LIMIT, SMALLEST_P_VALUE
from studies.curvefit.truth import design
from studies.hmc_transitions import check_transitions, oscillators, spread

ACCEPTANCE_BAND = (0.3, 0.999)
WINDOW = 50
"""Iterations over which chains are averaged when they are compared with the truth."""

STEP_STANDARD_ERRORS = 6.0
"""Width of the check of each point's indicator, of which there are many."""

SPREAD_LIMIT = 0.15
"""Largest relative error of a coefficient's standard deviation."""


def check_chains(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Chains: latents (n_chains, n_steps, ...) with `is_outlier`, and `accepts` (n_chains, n_steps).

    Every step against right steps from the same state: the indicators, their rate, and Hamiltonian Monte Carlo on the
    coefficients given the new indicators. The later half of all chains: P(outlier) of every point within 0.03,
    coefficient means within 0.1 posterior standard deviations, their spread within 15%; acceptance between 0.3 and
    0.999; rates within [0, 1]; no chain that stands still. `standard_errors` among the diagnostics says how far chance
    alone would go: the chains are independent.
    """
    n_chains, n_steps = parameters["n_chains"], parameters["n_steps"]
    shapes = latent_shapes(problem.truth, len(problem.data["xs"]), n_chains, n_steps, with_indicators=True)
    reason = check_form(outputs, {**shapes, "accepts": (n_chains, n_steps)})
    if reason is not None:
        return reason
    posterior = problem.truth["posterior"]
    coefficients = np.stack([outputs[name] for name in "abc"], axis=-1)
    z = outputs["is_outlier"]
    half = n_steps // 2
    note_arrival(diagnostics, problem, outputs, WINDOW)
    diagnostics["acceptance_rate"] = float(outputs["accepts"][:, half:].mean())
    later = coefficients[:, half:].reshape(-1, 3)
    probability_error = np.abs(z[:, half:].mean(axis=(0, 1)) - posterior.outlier_probability)
    coefficient_error = np.abs(later.mean(axis=0) - posterior.mean) / posterior.sd
    spread_error = np.abs(later.std(axis=0) / posterior.sd - 1)
    diagnostics["outlier_probability_error"] = float(probability_error.max())
    diagnostics["coefficient_error"] = float(coefficient_error.max())
    diagnostics["spread_error"] = float(spread_error.max())
    if "outlier_rate" in outputs:
        diagnostics["outlier_rate_error"] = float(abs(outputs["outlier_rate"][:, half:].mean() - posterior.rate_mean))
    diagnostics["n_outliers_mean"] = float(z[:, half:].sum(axis=-1).mean())
    # Of the mean over chains, in posterior standard deviations: chains are independent, states of one are not.
    means = coefficients[:, half:].mean(axis=1)
    diagnostics["standard_errors"] = float((means.std(axis=0) / posterior.sd).max() / np.sqrt(n_chains))
    frozen = int((coefficients[:, :, 0].max(axis=1) == coefficients[:, :, 0].min(axis=1)).sum())
    diagnostics["frozen_chains"] = frozen
    if frozen and n_steps >= WINDOW:
        return f"{frozen} of {n_chains} chains never move"
    acceptance = diagnostics["acceptance_rate"]
    if not ACCEPTANCE_BAND[0] <= acceptance <= ACCEPTANCE_BAND[1]:
        return f"HMC accepts {acceptance:.3g} of its moves, outside of {ACCEPTANCE_BAND}"
    for what, errors, limit in (
        ("P(outlier)", probability_error, PROBABILITY_LIMIT),
        ("a coefficient's mean, in posterior sd,", coefficient_error, COEFFICIENT_LIMIT),
        ("a coefficient's spread, relative,", spread_error, SPREAD_LIMIT),
    ):
        if not errors.max() <= limit:
            return f"{what} is {errors.max():.2g} off over the later half of the chains (limit {limit:g})"
    return check_steps(problem, parameters, outputs, diagnostics)


def check_steps(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Why the steps are not: indicators given the curve and rate before; then the rate; then HMC on the curve.

    Given the new indicators the curve's target is Gaussian: precision I + X' diag(1 - z) X / noise_sd^2.
    """
    n_points = len(problem.data["xs"])
    entries = [outputs[name] for name in "abc"] + [outputs["is_outlier"], outputs["accepts"]]
    entries += [outputs["outlier_rate"]] if "outlier_rate" in outputs else []
    before = spread(*(values[:, :-1].reshape(-1, *values.shape[2:]) for values in entries))
    after = spread(*(values[:, 1:].reshape(-1, *values.shape[2:]) for values in entries))
    curves, curves_after = (np.stack(side[:3], axis=-1).astype(np.float64) for side in (before, after))
    z, accepts = after[3].astype(np.float64), after[4]
    given = dict(zip("abc", before[:3], strict=True)) | ({"outlier_rate": before[5]} if len(before) > 5 else {})
    probability = outlier_probabilities(given, problem.data, problem.truth)
    variance = np.maximum((probability * (1 - probability)).sum(axis=0), 1e-3)
    scores = np.abs((z - probability).sum(axis=0)) / np.sqrt(variance)
    diagnostics["indicators_z_score"] = float(scores.max())
    if not scores.max() <= STEP_STANDARD_ERRORS:
        return (
            f"indicators of point {scores.argmax()} are not drawn given the curve and rate before: "
            f"{scores.max():.1f} standard errors off (limit {STEP_STANDARD_ERRORS:g})"
        )
    if len(after) > 5:
        k, truth = z.sum(axis=-1), problem.truth
        law = stats.beta(truth["rate_alpha"] + k, truth["rate_beta"] + n_points - k)
        diagnostics["rate_p_value"] = float(stats.kstest(law.cdf(after[5]), "uniform", method="asymp").pvalue)
        if diagnostics["rate_p_value"] < SMALLEST_P_VALUE:
            return f"rates are not drawn given the indicators: p = {diagnostics['rate_p_value']:.1e}"
    moved = (curves != curves_after).any(axis=-1)
    if (moved != accepts).any():
        return (
            f"{int((moved != accepts).sum()):,} steps move where `accepts` says that they do not, or do not and it does"
        )
    features, noise_sd = design(problem.data["xs"]), problem.truth["noise_sd"]
    precision = np.eye(3) + np.einsum("tn,ni,nj->tij", 1 - z, features, features) / noise_sd**2
    linear = ((1 - z) * problem.data["ys"]) @ features / noise_sd**2
    mean = np.linalg.solve(precision, linear[..., None])[..., 0]
    target = oscillators(mean, precision, float(parameters["step_size"]), int(parameters["n_leapfrog"]))
    return check_transitions(target, curves, curves_after, diagnostics)


def note_arrival(diagnostics: dict[str, float], problem: Problem, outputs: dict[str, np.ndarray], window: int) -> None:
    """Write `iterations_to_truth` and `iterations_needed`, which includes the window, into the diagnostics."""
    diagnostics["iterations_to_truth"] = iterations_to_truth(problem, outputs, window)
    diagnostics["iterations_needed"] = diagnostics["iterations_to_truth"] + window


def iterations_to_truth(problem: Problem, outputs: dict[str, np.ndarray], window: int = WINDOW) -> float:
    """The first iteration from which every window of so many iterations, averaged over all chains, is right.

    Right means P(outlier) within 0.03 and coefficient means within 0.1 posterior standard deviations. NaN if no window
    is right to the end, or the chains are shorter than a window.
    """
    errors = windowed_errors(problem, outputs, window)
    wrong = np.flatnonzero((errors[0] > PROBABILITY_LIMIT) | (errors[1] > COEFFICIENT_LIMIT))
    n_windows = len(errors[0])
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    return float(first) if first < n_windows else np.nan


def windowed_errors(problem: Problem, outputs: dict[str, np.ndarray], window: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest error of P(outlier), and of a coefficient's mean in posterior sd, in each window of iterations.

    Returns:
        Two arrays (n_steps - window + 1,), by first iteration of the window, averaged over chains; empty for chains
        shorter than that. The first is zero for chains without `is_outlier`.
    """
    posterior = problem.truth["posterior"]
    coefficients = np.stack([outputs[name].mean(axis=0) for name in "abc"], axis=-1)
    coefficient = np.abs((_windows(coefficients, window) - posterior.mean) / posterior.sd).max(axis=-1, initial=0.0)
    if "is_outlier" not in outputs:
        return np.zeros_like(coefficient), coefficient
    probability = _windows(outputs["is_outlier"].mean(axis=0), window) - posterior.outlier_probability
    return np.abs(probability).max(axis=-1, initial=0.0), coefficient


def _windows(values: np.ndarray, window: int) -> np.ndarray:
    """Means over windows along the first axis: (n_steps, k) to (n_steps - window + 1, k), or (0, k)."""
    sums = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    return (sums[window:] - sums[:-window]) / window if len(values) >= window else values[:0]
