"""Log densities in float64 NumPy, in unconstrained coordinates, for importance sampling at the mode."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

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
