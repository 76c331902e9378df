"""Gates of importance sampling: weights recomputed, particles against the prior, evidence and draws against truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from studies.base import Problem
from studies.curvefit.densities import LOG_ROOT_TWO_PI, log_likelihoods, outlier_probabilities
from studies.curvefit.gate_form import STANDARD_ERRORS, check_densities, check_form, curve_shapes, latent_shapes
from studies.curvefit.truth import design
from studies.standard_normals import check_standard_normals

LARGE = 100_000
"""Particles from which estimates are close enough to normal to be held against exact standard errors."""

SMALLEST_P_VALUE = 1e-7
"""Of the tests against distributions; also their false-alarm rate, each."""

REFERENCE_PARTICLES = 500_000
"""Particles that the reference for small estimates spends, all replicates together."""

PROBABILITY_LIMIT = 0.03
COEFFICIENT_LIMIT = 0.1
"""Largest error of P(outlier), and of a coefficient's mean in posterior standard deviations."""

LEAST_EFFECTIVE = 5.0
"""Effective sample size from which estimates are judged."""

Diagnostics = dict[str, float]


def check_particles(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: Diagnostics
) -> str | None:
    """Importance sampling of the basic model: `a`, `b`, `c`, `log_weights` (n_particles,).

    Every log weight against the log likelihood of its own particle; the particles against independent N(0, 1)
    (`studies/standard_normals.py`); from 100,000 particles the evidence within 4 exact standard
    errors. The estimate is skewed (about 10 of 100,000 particles are effective), so a right answer is refused once in
    some thousands of seeds.
    """
    n = parameters["n_particles"]
    reason = check_form(outputs, {**curve_shapes(n), "log_weights": (n,)})
    if reason is not None:
        return reason
    expected = log_likelihoods(outputs, problem.data, problem.truth)
    log_weights = np.asarray(outputs["log_weights"])
    return (
        check_densities("log_weights", log_weights, expected, diagnostics, "the log likelihood of their own particles")
        or check_standard_normals(np.stack([outputs[name] for name in "abc"], axis=-1), tuple("abc"), diagnostics)
        or _check_evidence_of(log_weights, problem, diagnostics)
    )


def check_evidence(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: Diagnostics
) -> str | None:
    """Replicates of the log evidence of the basic model: `log_evidence` (n_replicates,).

    From 100,000 particles: the mean of the evidence over its replicates within 4 exact standard errors of the truth.
    Below, where the estimate is far from normal: its distribution against that of replicates drawn here in float64
    (Kolmogorov-Smirnov, p >= 1e-7).
    """
    n, truth = parameters["n_particles"], problem.truth
    n_replicates = parameters["n_trials"] if n <= LARGE else min(parameters["n_trials"], parameters["n_large_trials"])
    reason = check_form(outputs, {"log_evidence": (n_replicates,)})
    if reason is not None:
        return reason
    log_evidence = np.asarray(outputs["log_evidence"])
    if not np.isfinite(log_evidence).all():
        return f"log_evidence is not finite in {int((~np.isfinite(log_evidence)).sum())} replicates"
    if len(np.unique(log_evidence)) < n_replicates:
        return "replicates of log_evidence repeat: they are not independent"
    exact = truth["posterior"].log_evidence
    diagnostics["log_evidence"] = float(log_evidence.mean())
    diagnostics["log_evidence_sd"] = float(log_evidence.std(ddof=1)) if n_replicates > 1 else np.nan
    if n >= LARGE:
        error = np.sqrt(truth["relative_variance"] / (n * n_replicates))
        return _within(diagnostics, "evidence", np.exp(log_evidence - exact).mean(), 1.0, error)
    reference = reference_log_evidence(problem, n, int(np.clip(REFERENCE_PARTICLES // n, 12, 400)))
    p_value = float(stats.ks_2samp(log_evidence, reference).pvalue)
    diagnostics["evidence_p_value"] = p_value
    if p_value >= SMALLEST_P_VALUE:
        return None
    return (
        f"log_evidence of {n} particles (median {np.median(log_evidence):.4g}) is not distributed as it should be "
        f"(median {np.median(reference):.4g}): p = {p_value:.1e} (limit {SMALLEST_P_VALUE:.0e})"
    )


def reference_log_evidence(problem: Problem, n_particles: int, n_replicates: int) -> np.ndarray:
    """(n_replicates,) log evidence by importance sampling from the prior, here, in float64, with a fixed seed."""
    generator = np.random.default_rng([n_particles, n_replicates])
    features, ys = design(problem.data["xs"]), problem.data["ys"].astype(np.float64)
    noise_sd, estimates = problem.truth["noise_sd"], []
    gram, linear = features.T @ features, features.T @ ys
    constant = -len(ys) * (np.log(noise_sd) + LOG_ROOT_TWO_PI)
    for _ in range(n_replicates):
        curves = generator.standard_normal((n_particles, 3))
        # |y - X t|^2 without the (n_particles, n_points) residuals.
        squares = ys @ ys + np.einsum("ni,ni->n", curves, curves @ gram - 2 * linear)
        estimates.append(special.logsumexp(constant - squares / (2 * noise_sd**2)) - np.log(n_particles))
    return np.array(estimates)


def check_draws(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: Diagnostics
) -> str | None:
    """One draw from each of `n_draws` independent samplers: latents, `log_weights`, `log_evidence` and
    `effective_sample_size` (n_draws,), of the basic or the robust model.

    The weight of each draw against the log likelihood recomputed; evidence and effective sample size within what that
    weight allows. From 100,000 particles, with draws weighted by their sampler's evidence: the evidence of the basic
    model within 4 exact standard errors; and, where a sampler's effective sample size averages 5 or more, the evidence
    of the robust one within 4 estimated ones, coefficient means within 0.1 posterior standard deviations and P(outlier)
    within 0.03, each or 4 standard errors of the draws if that is more. One particle that holds all the weight tells
    nothing of its own standard error.
    """
    n, n_draws, truth = parameters["n_particles"], parameters["n_draws"], problem.truth
    names = ("log_weights", "log_evidence", "effective_sample_size")
    shapes = latent_shapes(truth, len(problem.data["xs"]), n_draws, with_indicators="is_outlier" in outputs)
    reason = check_form(outputs, {**shapes, **dict.fromkeys(names, (n_draws,))})
    if reason is not None:
        return reason
    log_weights, log_evidence, effective = (np.asarray(outputs[name], np.float64) for name in names)
    expected = log_likelihoods(outputs, problem.data, truth)
    reason = check_densities("log_weights", log_weights, expected, diagnostics, "the log likelihood of their own draws")
    if reason is not None:
        return reason
    # w_drawn <= sum w = n Z, and the effective sample size is 1 at least; float32 rounds both.
    if (log_weights > log_evidence + np.log(n) + 1e-3 * np.maximum(1.0, np.abs(log_weights))).any():
        return "the weight of a draw exceeds the sum of all weights that log_evidence states"
    if effective.min() < 1 - 1e-3 or effective.max() > n * (1 + 1e-3):
        return f"effective_sample_size ranges over [{effective.min():.4g}, {effective.max():.4g}], not within [1, {n}]"
    diagnostics["effective_sample_size"] = float(effective.mean())
    weights = np.exp(log_evidence - log_evidence.max())
    ratio = np.exp(log_evidence - truth["posterior"].log_evidence)
    diagnostics["log_evidence"] = float(np.log(ratio.mean()) + truth["posterior"].log_evidence)
    errors = posterior_errors(problem, outputs, weights / weights.sum(), diagnostics)
    if n < LARGE:
        return None
    if "relative_variance" in truth:
        standard_error = np.sqrt(truth["relative_variance"] / (n * n_draws))
    elif effective.mean() < LEAST_EFFECTIVE:
        return None
    else:
        standard_error = ratio.std(ddof=1) / np.sqrt(n_draws) if n_draws > 1 else np.inf
    reason = _within(diagnostics, "evidence", ratio.mean(), 1.0, float(standard_error))
    return reason if reason is not None or effective.mean() < LEAST_EFFECTIVE else errors


def posterior_errors(
    problem: Problem, outputs: dict[str, np.ndarray], weights: np.ndarray, diagnostics: Diagnostics
) -> str | None:
    """Write the errors of the weighted draws' moments into the diagnostics; the first that is too large, as a reason.

    Args:
        problem: with its exact `posterior`.
        outputs: latents (n_draws,) of the draws.
        weights: (n_draws,) normalised.
        diagnostics: gets `coefficient_error` (largest, in posterior standard deviations) and, for the robust model,
            `outlier_probability_error` (largest) and, unless the rate is fixed, `outlier_rate_error`.
    """
    posterior = problem.truth["posterior"]
    n_effective = 1 / (weights @ weights)
    coefficients = np.stack([outputs[name] for name in "abc"], axis=-1)
    error = float(np.abs((weights @ coefficients - posterior.mean) / posterior.sd).max())
    diagnostics["coefficient_error"] = error
    limit = max(COEFFICIENT_LIMIT, STANDARD_ERRORS / np.sqrt(n_effective))
    reason = None if error <= limit else f"a coefficient's mean is {error:.2g} posterior sd off (limit {limit:.2g})"
    if "outlier_bound" in problem.truth:
        z = outputs.get("is_outlier")
        given = outlier_probabilities(outputs, problem.data, problem.truth) if z is None else z
        errors = np.abs(weights @ given - posterior.outlier_probability)
        probability = posterior.outlier_probability
        limits = np.maximum(
            PROBABILITY_LIMIT, STANDARD_ERRORS * np.sqrt(probability * (1 - probability) / n_effective)
        )  # fmt: skip
        diagnostics["outlier_probability_error"] = float(errors.max())
        if "outlier_rate" in outputs:
            diagnostics["outlier_rate_error"] = float(abs(weights @ outputs["outlier_rate"] - posterior.rate_mean))
        worst = int(np.argmax(errors / limits))
        if reason is None and not errors[worst] <= limits[worst]:
            reason = f"P(outlier) of point {worst} is {errors[worst]:.2g} off (limit {limits[worst]:.2g})"
    return reason


def _check_evidence_of(log_weights: np.ndarray, problem: Problem, diagnostics: Diagnostics) -> str | None:
    n, exact = len(log_weights), problem.truth["posterior"].log_evidence
    log_total = special.logsumexp(log_weights)
    diagnostics["log_evidence"] = float(log_total - np.log(n))
    diagnostics["effective_sample_size"] = float(np.exp(2 * log_total - special.logsumexp(2 * log_weights)))
    if n < LARGE:
        return None
    standard_error = np.sqrt(problem.truth["relative_variance"] / n)
    return _within(diagnostics, "evidence", np.exp(log_total - np.log(n) - exact), 1.0, standard_error)


def _within(diagnostics: Diagnostics, what: str, estimate: float, exact: float, standard_error: float) -> str | None:
    z_score = float((estimate - exact) / standard_error)
    diagnostics[f"{what}_z_score"] = z_score
    if abs(z_score) <= STANDARD_ERRORS:
        return None
    return (
        f"{what} is {estimate:.5g} times its exact value: {abs(z_score):.1f} standard errors off "
        f"(limit {STANDARD_ERRORS:g})"
    )
