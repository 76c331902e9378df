"""Log densities in float64 NumPy, in unconstrained coordinates, for importance sampling at the mode."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from studies.posteriors.targets import ascending

Unknowns = dict[str, np.ndarray]


class Density(NamedTuple):
    """A posterior in `n` unconstrained coordinates.

    Args:
        log_density: (n_draws, n) -> (n_draws,), up to a constant, with the log determinant of `constrain`.
        constrain: (n_draws, n) -> the unknowns by name, (n_draws, ...) each.
    """

    log_density: Callable[[np.ndarray], np.ndarray]
    constrain: Callable[[np.ndarray], Unknowns]
    n: int


def logistic(data: dict[str, np.ndarray]) -> Density:
    """The weights are their own coordinates."""
    features, labels = data["features"].astype(np.float64), data["labels"]

    def log_density(weights: np.ndarray) -> np.ndarray:
        logits = weights @ features.T
        return weights @ (labels @ features) - np.logaddexp(0, logits).sum(axis=1) - 0.5 * (weights**2).sum(axis=1)

    return Density(log_density, lambda x: {"weights": x}, features.shape[1])


def ordinal(data: dict[str, np.ndarray]) -> Density:
    """Weights, the first cutpoint, and the logarithms of the steps between cutpoints: all N(0, 1) before the data."""
    features, ratings = data["features"].astype(np.float64), data["ratings"]
    n_weights, n_cutpoints = features.shape[1], int(ratings.max())

    def constrain(x: np.ndarray) -> Unknowns:
        return {"weights": x[:, :n_weights], "cutpoints": ascending(x[:, n_weights:])}

    def log_density(x: np.ndarray) -> np.ndarray:
        unknowns = constrain(x)
        cutpoints, infinite = unknowns["cutpoints"], np.full((len(x), 1), np.inf)
        ends = np.concatenate([-infinite, cutpoints, infinite], axis=1)
        predictors = unknowns["weights"] @ features.T
        low, high = ends[:, ratings] - predictors, ends[:, ratings + 1] - predictors
        # s(high) - s(low) = s(high) s(-low) (1 - exp(low - high)) with the sigmoid s
        log_terms = -np.logaddexp(0, -high) - np.logaddexp(0, low) + np.log1p(-np.exp(low - high))
        return log_terms.sum(axis=1) - 0.5 * (x**2).sum(axis=1)

    return Density(log_density, constrain, n_weights + n_cutpoints)


def mixture(data: dict[str, np.ndarray]) -> Density:
    """The logit of the weight, the first location, the logarithm of the step to the second, and of both scales."""
    ys = data["ys"].astype(np.float64)

    def constrain(x: np.ndarray) -> Unknowns:
        return {"weight": special.expit(x[:, 0]), "locations": ascending(x[:, 1:3]), "scales": np.exp(x[:, 3:])}

    def log_density(x: np.ndarray) -> np.ndarray:
        unknowns = constrain(x)
        locations, scales = unknowns["locations"], unknowns["scales"]
        log_weights = np.stack([special.log_expit(x[:, 0]), special.log_expit(-x[:, 0])], axis=1)
        standard = (ys[:, None] - locations[:, None]) / scales[:, None]
        log_terms = (log_weights - x[:, 3:])[:, None] - 0.5 * standard**2
        # Beta(2, 2) and the determinant of the logit are w (1 - w) each; half-N(2) has the determinant exp(x).
        log_prior = 2 * log_weights.sum(axis=1) - 0.5 * (x[:, 1:3] ** 2).sum(axis=1)
        log_prior += (x[:, 3:] - scales**2 / 8).sum(axis=1)
        return np.logaddexp(log_terms[..., 0], log_terms[..., 1]).sum(axis=1) + log_prior

    return Density(log_density, constrain, 5)
