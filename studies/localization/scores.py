"""How well filters do: distance of the weighted mean from the true path, and whether the robot was lost."""

import numpy as np

LOST = 1.5
"""A run is lost if the root mean square of its position error is above this many metres."""


def position_errors(mean: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """(n_runs, T) metres between the filters' means (n_runs, T, 3) and the true poses (T, 3)."""
    return np.linalg.norm(np.asarray(mean, np.float64)[..., :2] - poses[:, :2], axis=-1)


def position_rmse(mean: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """(n_runs,) root mean square over the steps of the position error, metres."""
    return np.sqrt(np.mean(position_errors(mean, poses) ** 2, axis=-1))


def heading_rmse(mean: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """(n_runs,) root mean square over the steps of the heading error, taken the short way round, radians."""
    errors = np.asarray(mean, np.float64)[..., 2] - poses[:, 2]
    wrapped = (errors + np.pi) % (2 * np.pi) - np.pi
    return np.sqrt(np.mean(wrapped**2, axis=-1))


def lost_fraction(mean: np.ndarray, poses: np.ndarray) -> float:
    """The fraction of runs that lost the robot."""
    return float(np.mean(position_rmse(mean, poses) > LOST))
