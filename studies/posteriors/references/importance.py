"""Importance sampling in float64 NumPy from a Student distribution at the mode: an independent route to moments."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize, special

DEGREES_OF_FREEDOM = 8.0
BATCH = 20_000


def moments_by_importance(
    log_density: Callable[[np.ndarray], np.ndarray], constrain: Callable[[np.ndarray], dict[str, np.ndarray]],
    n_coordinates: int, n_draws: int, seed: int,
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:  # fmt: skip
    """Moments of a posterior with one mode.

    Proposals are from a multivariate t at the mode, its scale the inverse of the Hessian found by finite differences.
    With self-normalised weights w, the standard error of a mean is sqrt(sum w^2 (x - mean)^2).

    Args:
        log_density: (n, n_coordinates) -> (n,), in unconstrained coordinates, log determinant included.
        constrain: (n, n_coordinates) -> the unknowns by name, (n, ...) each.

    Returns:
        The fields of `Moments` of every unknown, and the acceptance record.
    """
    mode = _mode(log_density, n_coordinates)
    factor = np.linalg.cholesky(np.linalg.inv(_negative_hessian(log_density, mode)))
    generator = np.random.default_rng(seed)
    logs, values = [], []
    for _ in range(n_draws // BATCH):
        normals = generator.standard_normal((BATCH, n_coordinates))
        mixing = DEGREES_OF_FREEDOM / generator.chisquare(DEGREES_OF_FREEDOM, BATCH)
        standard = normals * np.sqrt(mixing)[:, None]
        squares = (standard**2).sum(axis=1)
        log_proposal = -(DEGREES_OF_FREEDOM + n_coordinates) / 2 * np.log1p(squares / DEGREES_OF_FREEDOM)
        draws = mode + standard @ factor.T
        logs.append(log_density(draws) - log_proposal)
        values.append(constrain(draws))
    log_weights = np.concatenate(logs)
    weights = np.exp(log_weights - special.logsumexp(log_weights))
    moments = {}
    for name in values[0]:
        x = np.concatenate([one[name] for one in values])
        moments[name] = weighted_moments(x, weights)
    record = {
        "n_draws": float(weights.size),
        "effective_sample_size": float(1 / (weights**2).sum()),
        "largest_weight": float(weights.max()),
    }
    return moments, record


def weighted_moments(x: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of `Moments` of x (n, ...) with weights (n,) that sum to 1."""
    mean = np.tensordot(weights, x, 1)
    squares = (x - mean) ** 2
    variance = np.tensordot(weights, squares, 1)
    mean_error = np.sqrt(np.tensordot(weights**2, squares, 1))
    variance_error = np.sqrt(np.tensordot(weights**2, (squares - variance) ** 2, 1))
    sd = np.sqrt(variance)
    spread = np.sqrt(np.tensordot(weights, (squares / variance - 1) ** 2, 1))
    return {
        "mean": mean, "sd": sd, "mean_error": mean_error, "sd_error": variance_error / (2 * sd), "square_sd": spread,
    }  # fmt: skip


def _mode(log_density: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
    steps = 1e-5 * np.eye(n)

    def value_and_slope(x: np.ndarray) -> tuple[float, np.ndarray]:
        ends = log_density(np.concatenate([x[None], x + steps, x - steps]))
        return -ends[0], -(ends[1 : n + 1] - ends[n + 1 :]) / 2e-5

    found = optimize.minimize(value_and_slope, np.zeros(n), jac=True, method="BFGS", options={"gtol": 1e-4})
    return found.x


def _negative_hessian(log_density: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """By second differences; only the proposal depends on it."""
    n, step = len(x), 1e-3
    shifts = step * np.eye(n)
    corners = [
        log_density((x + first * shifts[:, None] + second * shifts[None]).reshape(n * n, n)).reshape(n, n)
        for first, second in ((1, 1), (1, -1), (-1, 1), (-1, -1))
    ]
    hessian = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step**2)
    return -(hessian + hessian.T) / 2
