"""How cost grows: the exponent of a power law, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEWEST = 3
"""Points of a fit: through two, a line has no interval."""


@dataclass(frozen=True)
class Fit:
    """`seconds = factor * amount ** exponent`.

    Args:
        exponent: least squares on the logarithms.
        low, high: its 95% interval, Student's t with n - 2 degrees of freedom. It covers the scatter of the points
            around the line, which is mostly that growth is not a power law, rather than noise.
        factor: seconds at amount 1.
        n: number of points.
    """

    exponent: float
    low: float
    high: float
    factor: float
    n: int


def log_log(amounts: Sequence[float], seconds: Sequence[float]) -> Fit | None:
    """The power law through the points; None for fewer than three.

    Raises:
        ValueError: an amount or a time is not positive.
    """
    if any(not value > 0 for value in (*amounts, *seconds)):
        raise ValueError(f"log_log got amounts {list(amounts)} and seconds {list(seconds)}; all must be above 0.")
    if len(amounts) < FEWEST:
        return None
    line = stats.linregress(np.log(np.asarray(amounts, np.float64)), np.log(np.asarray(seconds, np.float64)))
    half = float(stats.t.ppf(0.975, len(amounts) - 2) * line.stderr)
    slope = float(line.slope)
    return Fit(slope, slope - half, slope + half, math.exp(line.intercept), len(amounts))
