"""The gate of importance sampling: weights recomputed from the particles, the prior, log Z, the posterior mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from studies.base import Problem
from studies.polynomial import design
from studies.standard_normals import check_standard_normals

NAMES = ("a", "b", "c")
STANDARD_ERRORS = 5.0
"""Width of every statistical check; 6e-7 false alarms each in the normal limit. Those of one cell are ten at most."""

WEIGHT_TOLERANCE = 1e-4
"""Largest error of a log weight, relative to max(1, |log weight|). Float32 sums of 50 terms are right to 1e-6."""

LEAST_EFFECTIVE = 100
"""Effective particles from which evidence and posterior mean are compared: estimates from fewer are far from normal."""


def check_particles(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Particles `a`, `b`, `c` from the prior, and `log_weights`, ([n_calls,] n_particles) each: all calls count.

    In order: names, shapes, finiteness; log w_i = sum_j log N(y_j; curve_i(x_j), noise_sd) recomputed; the particles
    against independent N(0, 1) (`studies/standard_normals.py`); where the exact effective sample size is at
    least `LEAST_EFFECTIVE`, (1/N) sum w_i within standard errors of the exact evidence, and the posterior mean.
    """
    n_particles = int(parameters["n_particles"])
    stacked = "a" in outputs and np.ndim(outputs["a"]) == 2
    n_calls = len(outputs["a"]) if stacked else 1
    shape = (n_calls, n_particles) if stacked else (n_particles,)
    reason = check_form(outputs, dict.fromkeys((*NAMES, "log_weights"), shape))
    if reason is not None:
        return reason
    thetas = np.stack([outputs[name].reshape(-1) for name in NAMES], axis=-1).astype(np.float64)
    log_weights = np.asarray(outputs["log_weights"], np.float64).reshape(-1)
    expected = log_likelihood(problem, thetas)
    worst = float((np.abs(log_weights - expected) / np.maximum(1.0, np.abs(expected))).max())
    diagnostics["log_weight_relative_error"] = worst
    if not worst <= WEIGHT_TOLERANCE:
        return (
            f"log_weights differ from the log likelihood of their own particles by {worst:.1e} relative "
            f"(limit {WEIGHT_TOLERANCE:.0e})"
        )
    reason = check_standard_normals(thetas, NAMES, diagnostics)
    reason = reason or _check_evidence(problem, thetas, log_weights, diagnostics)
    if "effective_sample_size" in diagnostics:
        diagnostics["effective_sample_size"] /= n_calls  # of one call, as timed
    return reason


def log_likelihood(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """(n,) sum_j log N(y_j; a + b x_j + c x_j^2, noise_sd) for coefficients (n, 3).

    With X the monomials and t the coefficients of least squares, the sum of squares at any others is
    |y - X t|^2 + |R (theta - t)|^2 for X = Q R: two terms that are not negative, so that nothing cancels.
    """
    noise_sd = problem.truth["noise_sd"]
    features, ys = design(problem.data["xs"]), problem.data["ys"].astype(np.float64)
    _, root = np.linalg.qr(features)
    least = np.linalg.lstsq(features, ys)[0]
    squares = ((ys - features @ least) ** 2).sum() + (((thetas - least) @ root.T) ** 2).sum(axis=-1)
    return -0.5 * squares / noise_sd**2 - len(ys) * np.log(noise_sd * np.sqrt(2 * np.pi))


def log_joint(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """(n,) log p(theta, ys) for coefficients (n, 3): the log likelihood and three standard normal log densities."""
    return log_likelihood(problem, thetas) - 0.5 * (thetas**2).sum(axis=-1) - 1.5 * np.log(2 * np.pi)


def _check_evidence(
    problem: Problem, thetas: np.ndarray, log_weights: np.ndarray, diagnostics: dict[str, float]
) -> str | None:
    truth, n_particles = problem.truth, len(thetas)
    log_total = special.logsumexp(log_weights)
    weights = np.exp(log_weights - log_total)
    diagnostics["log_evidence"] = float(log_total - np.log(n_particles))
    diagnostics["effective_sample_size"] = float(1 / (weights @ weights))
    standard_error = np.sqrt(truth["relative_variance"] / n_particles)
    diagnostics["evidence_standard_error"] = float(standard_error)
    # On the scale of Z the standard error is exact, but an estimate from a few effective particles is far from normal.
    if n_particles / (1 + truth["relative_variance"]) < LEAST_EFFECTIVE:
        return None
    ratio = np.exp(diagnostics["log_evidence"] - truth["posterior"].log_evidence)
    reason = within(diagnostics, "evidence over its exact value", ratio, 1.0, standard_error)
    # N se^2 = E[(w / Z)^2 (theta - mean)^2] = (1 + relative variance) E[(theta - mean)^2] under prior times w^2.
    squared, mean = truth["squared_weight_posterior"], truth["posterior"].mean
    spread = np.diag(squared.covariance) + (squared.mean - mean) ** 2
    errors = np.sqrt((1 + truth["relative_variance"]) * spread / n_particles)
    for name, estimate, exact, error in zip(NAMES, weights @ thetas, mean, errors, strict=True):
        reason = reason or within(diagnostics, f"posterior mean of {name}", estimate, exact, error)
    return reason


def check_form(outputs: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> str | None:
    """Why the outputs lack a name, or have another shape, or values that are not finite, or None."""
    for name, shape in shapes.items():
        if name not in outputs:
            return f"outputs lack {name!r}: got {sorted(outputs)}"
        array = np.asarray(outputs[name])
        if array.shape != shape:
            return f"{name} has shape {array.shape}, expected {shape}"
        if array.dtype.kind != "f":
            return f"{name} has dtype {array.dtype}, expected a floating type"
        n_bad = int((~np.isfinite(array)).sum())
        if n_bad:
            return f"{name} has {n_bad:,} values of {array.size:,} that are not finite"
    return None


def within(
    diagnostics: dict[str, float], what: str, estimate: float, exact: float, standard_error: float
) -> str | None:
    """Why an estimate is too far from its exact value, or None; the distance becomes a diagnostic."""
    z_score = float((estimate - exact) / standard_error)
    diagnostics[f"{what.replace(' ', '_')}_z_score"] = z_score
    if abs(z_score) <= STANDARD_ERRORS:
        return None
    return (
        f"{what} is {estimate:.6g}, exact {exact:.6g}: {abs(z_score):.1f} standard errors off "
        f"(limit {STANDARD_ERRORS:g})"
    )
