"""Draws of sweeps less their exact conditional probabilities: sums of martingale differences, and what bounds them.

Nothing is assumed of how the boards were drawn but the order of the classes: cells (a + 3 i, b + 3 j), for
(a, b) = (0, 0), (0, 1), ... (2, 2). From the boards before and after one sweep the exact conditional of every draw
follows, because the cells of earlier classes have their new values and those of later classes their old ones.
"""

from collections.abc import Iterator

import numpy as np

from studies.gol.evidence import Draws

STANDARD_ERRORS = 6.0
"""Bounds hold with probability at least 1 - 2 exp(-STANDARD_ERRORS^2 / 2) = 1 - 3e-8 each."""


def bound(variance: float, largest: float = 1.0) -> float:
    """What the sum of martingale differences below `largest` with this variance exceeds with probability <= 3e-8.

    Solves t^2 / (2 (variance + largest t / 3)) = STANDARD_ERRORS^2 / 2 (Bernstein, Freedman).
    """
    k = STANDARD_ERRORS**2
    return k * largest / 6 + float(np.sqrt((k * largest / 6) ** 2 + k * variance))


def largest_deviation(draws: Draws) -> tuple[float, str | None]:
    """The largest sum of `sums` as a share of its bound, and a sentence on the first sum beyond its bound."""
    largest = 0.0
    for what, differences, variances in sums(draws):
        total, limit = differences.sum(), bound(variances.sum())
        largest = max(largest, abs(total) / limit)
        if not abs(total) <= limit:
            return largest, f"{what} is {total:+.1f} off what the exact conditionals say (limit {limit:.1f})"
    return largest, None


def sums(draws: Draws) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Sums that are zero in expectation: what they count, their differences, and the variances of these."""
    probability = 1 / (1 + np.exp(-draws.gained * draws.log_odds_of_one[:, None, None]))
    residuals = np.where(draws.is_judged, draws.after - probability, 0.0)
    variances = np.where(draws.is_judged, probability * (1 - probability), 0.0)
    _, height, width = draws.after.shape
    classes = 3 * (np.arange(height) % 3)[:, None] + np.arange(width) % 3
    for gain in range(-9, 10):
        chosen = (draws.gained == gain) & draws.is_judged
        what = f"of {chosen.sum()} cells for which living agrees with {gain:+d} more next cells, the number alive"
        yield what, residuals[chosen], variances[chosen]
        # Draws that are shared within a class show in its own sum.
        for index in range(9):
            inside = chosen & (classes == index)
            yield f"{what} in class {index}", residuals[inside], variances[inside]
    # A chain that stands still at a likely board has the right number alive, but too few cells that changed.
    yield "the number of cells that changed", np.where(draws.before, -residuals, residuals), variances
    what = "the product of neighbours in a class"
    yield what, residuals[:, :-3] * residuals[:, 3:], variances[:, :-3] * variances[:, 3:]
    yield what, residuals[:, :, :-3] * residuals[:, :, 3:], variances[:, :, :-3] * variances[:, :, 3:]
