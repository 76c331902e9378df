"""The data sets of the paper's curve figures, made as the published artifact makes them, without a framework."""

from __future__ import annotations

import numpy as np

from studies import threefry

TRUE_COEFFICIENTS = (-0.211, -0.395, 0.673)
OUTLIER_POSITIONS = (3, 6, 9, 13, 16)


def curve(xs: np.ndarray, coefficients: tuple[float, float, float] = TRUE_COEFFICIENTS) -> np.ndarray:
    """a + b x + c x^2."""
    a, b, c = coefficients
    return a + b * xs + c * xs**2


def reference(n_points: int = 20, noise_sd: float = 0.05, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """(xs, ys) on [0, 1]: the true curve with normal noise (Figure 5)."""
    xs = np.linspace(0, 1, n_points, dtype=np.float32)
    noise = threefry.normal(threefry.split(threefry.key(seed))[1], (n_points,))
    return xs, (curve(xs) + noise_sd * noise).astype(np.float32)


def with_outliers(n_points: int = 18, noise_sd: float = 0.1, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """(xs, ys) on [0, 1] with five points replaced by 1.2 + 0.2 N(0, 1) (Figure 6)."""
    xs = np.linspace(0, 1, n_points, dtype=np.float32)
    rest, noise_key = threefry.split(threefry.key(seed))
    outlier_key = threefry.split(rest)[1]
    ys = curve(xs) + noise_sd * threefry.normal(noise_key, (n_points,))
    positions = [position for position in OUTLIER_POSITIONS if position < n_points]
    ys[positions] = 1.2 + 0.2 * threefry.normal(outlier_key, (len(positions),))
    return xs, ys.astype(np.float32)
