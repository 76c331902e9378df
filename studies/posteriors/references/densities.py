"""Log densities in float64 NumPy, in unconstrained coordinates, for importance sampling at the mode."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

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
