"""Log densities of the curve models in float64 NumPy, independent of every framework under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from studies.curvefit.truth import design

LOG_ROOT_TWO_PI = 0.5 * np.log(2 * np.pi)


def log_normal(values: np.ndarray, means: np.ndarray | float, sd: np.ndarray | float) -> np.ndarray:
    """log N(value; mean, sd), elementwise."""
    return -0.5 * ((values - means) / sd) ** 2 - np.log(sd) - LOG_ROOT_TWO_PI


def curves_at(outputs: dict[str, np.ndarray], xs: np.ndarray) -> np.ndarray:
    """(..., n_points) heights a + b x + c x^2 of the curves with coefficients `outputs["a"]`, ... (...,)."""
    return np.stack([np.asarray(outputs[name], np.float64) for name in "abc"], axis=-1) @ design(xs).T


def log_likelihoods(outputs: dict[str, np.ndarray], data: dict[str, np.ndarray], truth: dict[str, Any]) -> np.ndarray:
    """log p(ys | latents) for each entry of the outputs, (...,).

    The latents are the coefficients and, in the robust model, `outlier_rate` unless it is fixed and `is_outlier`
    (..., n_points) unless the indicators are summed out.
    """
    ys = data["ys"].astype(np.float64)
    inlier = log_normal(ys, curves_at(outputs, data["xs"]), truth["noise_sd"])
    if "is_outlier" in outputs:
        return np.where(outputs["is_outlier"], log_outlier(ys, truth), inlier).sum(axis=-1)
    if "outlier_bound" in truth:
        return np.logaddexp(*_joint(outputs, inlier, ys, truth)).sum(axis=-1)
    return inlier.sum(axis=-1)


def outlier_probabilities(
    outputs: dict[str, np.ndarray], data: dict[str, np.ndarray], truth: dict[str, Any]
) -> np.ndarray:
    """P(z_i = 1 | y_i, curve, rate) for each entry of the outputs, (..., n_points)."""
    ys = data["ys"].astype(np.float64)
    inlier = log_normal(ys, curves_at(outputs, data["xs"]), truth["noise_sd"])
    outlier, inlier = _joint(outputs, inlier, ys, truth)
    return special.expit(outlier - inlier)


def marginal_density(
    data: dict[str, np.ndarray], truth: dict[str, Any]
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """`states (m, 3) -> (m,), (m, 3)`: log p(ys, curve) of the robust model with a fixed rate, and its gradient.

    The gradient of a point's log density is that of the inlier's, times its probability of being one.
    """
    features, ys, noise_sd = design(data["xs"]), data["ys"].astype(np.float64), truth["noise_sd"]
    log_outliers = np.log(truth["outlier_rate"]) + log_outlier(ys, truth)

    def density(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = ys - states @ features.T
        inlier = np.log1p(-truth["outlier_rate"]) + log_normal(away, 0.0, noise_sd)
        total = np.logaddexp(inlier, log_outliers)
        pull = (np.exp(inlier - total) * away / noise_sd**2) @ features
        return total.sum(axis=-1) + log_normal(states, 0.0, 1.0).sum(axis=-1), pull - states

    return density


def log_outlier(ys: np.ndarray, truth: dict[str, Any]) -> np.ndarray:
    """log Uniform(y; -outlier_bound, outlier_bound), (n_points,)."""
    bound = truth["outlier_bound"]
    return np.where(np.abs(ys) <= bound, -np.log(2 * bound), -np.inf)


def _joint(
    outputs: dict[str, np.ndarray], inlier: np.ndarray, ys: np.ndarray, truth: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """log p(z_i = 1, y_i) and log p(z_i = 0, y_i), given the curve and the rate."""
    given = truth["outlier_rate"] if "outlier_rate" in truth else outputs["outlier_rate"]
    rate = np.asarray(given, np.float64)[..., None]
    with np.errstate(divide="ignore"):  # a rate may round to 0 or 1
        return np.log(rate) + log_outlier(ys, truth), np.log1p(-rate) + inlier
