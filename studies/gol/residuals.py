"""Draws of sweeps less their exact conditional probabilities: sums of martingale differences, and what bounds them.

Nothing is assumed of how the boards were drawn but the order of the classes: cells (a + 3 i, b + 3 j), for
(a, b) = (0, 0), (0, 1), ... (2, 2). From the boards before and after one sweep the exact conditional of every draw
follows, because the cells of earlier classes have their new values and those of later classes their old ones.
"""

from collections.abc import Iterator

import numpy as np

from studies.gol.evidence import GAINS, Draws, counts_of

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
    for what, total, variance in sums(draws):
        limit = bound(variance)
        largest = max(largest, abs(total) / limit)
        if not abs(total) <= limit:
            return largest, f"{what} is {total:+.1f} off what the exact conditionals say (limit {limit:.1f})"
    return largest, None


def sums(draws: Draws) -> Iterator[tuple[str, float, float]]:
    """Sums that are zero in expectation: what they count, their values, and the sums of their variances."""
    n, log_probability = counts_of(draws)
    alive = np.exp(log_probability[..., 1:, :])
    differences, variances = n * (np.arange(2)[:, None] - alive), n * alive * (1 - alive)
    # By gain and class, of all sweeps and states together.
    totals, spreads = differences.sum(axis=(0, 3, 4)), variances.sum(axis=(0, 3, 4))
    for gain, total, spread, count in zip(GAINS, totals, spreads, n.sum(axis=(0, 2, 3, 4)), strict=True):
        what = f"of {count} cells for which living agrees with {gain:+d} more next cells, the number alive"
        yield what, float(total.sum()), float(spread.sum())
        # Draws that are shared within a class show in its own sum.
        yield from ((f"{what} in class {index}", float(total[index]), float(spread[index])) for index in range(9))
    # A chain that stands still at a likely board has the right number alive, but too few cells that changed.
    changed = differences * np.array([1, -1])  # state before
    yield "the number of cells that changed", float(changed.sum()), float(variances.sum())
    sweeps = np.arange(len(draws.after))[:, None, None]
    probability = alive[:, :, 0, 0, 0][sweeps, draws.gained + 9]
    residuals = np.where(draws.is_judged, draws.after - probability, 0.0)
    variance = np.where(draws.is_judged, probability * (1 - probability), 0.0)
    what = "the product of neighbours in a class"
    yield what, (residuals[:, :-3] * residuals[:, 3:]).sum(), (variance[:, :-3] * variance[:, 3:]).sum()
    yield what, (residuals[:, :, :-3] * residuals[:, :, 3:]).sum(), (variance[:, :, :-3] * variance[:, :, 3:]).sum()
