"""Gaussian kernel density estimate of one variable.

Source: Scott, *Multivariate Density Estimation* (1992), equation 6.44: bandwidth `sd * n^(-1/5)`.
"""

from __future__ import annotations

import numpy as np

_GRID_SIZE = 256
_BANDWIDTHS_BEYOND = 3.0
_BINNED_ABOVE = 4096


def density_curve(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """`(grid, density)` from three bandwidths below the smallest value to three above the largest.

        density(x) = sum_i w_i N(x; v_i, h),    h = sd(values) n^(-1/5),

    with v_i the values and w_i = 1/n; above 4096 values v_i are bin centres, at most h/8 wide in all but the
    heaviest-tailed data, and w_i the share of a bin.

    Args:
        values: (n,) float, finite.

    Returns:
        Two (256,) float64 arrays, or None where all values are equal.
    """
    n = values.size
    # Compared, not by the standard deviation: the rounded mean of equal values can differ from them.
    if n < 2 or values.min() == values.max():
        return None
    bandwidth = values.std(ddof=1) * n**-0.2
    low, high = values.min(), values.max()
    margin = _BANDWIDTHS_BEYOND * bandwidth
    grid = np.linspace(low - margin, high + margin, _GRID_SIZE)
    centres, shares = values, np.full(n, 1 / n)
    if n > _BINNED_ABOVE:
        n_bins = int(np.clip(np.ceil(8 * (high - low) / bandwidth), 512, _BINNED_ABOVE))
        counts, edges = np.histogram(values, n_bins, (low, high))
        centres, shares = (edges[1:] + edges[:-1]) / 2, counts / n
    scaled = (grid[:, None] - centres[None, :]) / bandwidth
    density = np.exp(-0.5 * scaled**2) @ shares / (bandwidth * np.sqrt(2 * np.pi))
    return grid, density
