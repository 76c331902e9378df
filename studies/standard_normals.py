"""Are draws independent standard normals? Every way of saving draws that we know of leaves a mark here.

For the gates of importance sampling, in float64 NumPy and SciPy. Draws of another law are turned into normals first,
x = Phi^-1(F(draw)). Each test refuses right draws with probability about 1e-7.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from scipy import fft, spatial, special, stats

SMALLEST_P_VALUE = 1e-7
"""Of every test; also its false-alarm rate."""

LEAST_DISTINCT = 0.9
"""Share of absolute values that must be distinct among `MOST_VALUES`: float32 normals take some ten million values, so
that a few in a hundred collide by chance, while a copy, whatever its sign, is one in two."""

MOST_VALUES = 200_000
MOST_POINTS = 30_000
"""Points among which close pairs are counted."""

CLOSE_PAIRS = 50.0
"""Close pairs that independent draws have on average: the radius is chosen for it."""

MOST_FOLDED = 2**18
"""Draws up to which the lags of absolute values, and of reversed draws, are looked at, too."""

NORMAL_FROM = {1: 1, 3: 1_000, 4: 10_000}
"""Draws from which the mean of the Hermite polynomial of that order is close enough to normal at five standard errors.
The mean of the second has an exact law."""

DEPENDENCE_FROM = 500
"""Draws from which correlations and close pairs are looked at."""


def check_standard_normals(draws: np.ndarray, names: tuple[str, ...], diagnostics: dict[str, float]) -> str | None:
    """Why draws (n, k) are not independent N(0, 1), or None.

    In order: distinct values; the mean of the first Hermite polynomials of each coordinate, and the sum of all squares
    (chi-squared with n k degrees of freedom); Kolmogorov-Smirnov of each coordinate; correlations of every pair of
    coordinates at every lag, a coordinate with itself included, of values and of absolute values, forwards and
    backwards; the number of pairs of draws next to each other, or to each other's mirror image.

    Args:
        draws: in the order in which the system gave them.
        names: of the k coordinates.
        diagnostics: gets the smallest p-value and the share of distinct values.
    """
    share = distinct_share(draws)
    diagnostics["distinct_share"] = share
    if share < LEAST_DISTINCT:
        return f"only {share:.1%} of the draws are distinct in absolute value: they are not independent"
    smallest = 1.0
    for what, p_value in _tests(draws, names):
        smallest = min(smallest, p_value)
        diagnostics["proposal_p_value"] = smallest
        if not p_value >= SMALLEST_P_VALUE:
            return f"the draws are not independent draws from the prior: {what}, p = {p_value:.1e} (limit 1e-07)"
    return None


def distinct_share(draws: np.ndarray) -> float:
    """The share of distinct numbers among the absolute values of the first draws, all coordinates together."""
    values = np.abs(draws[: max(1, MOST_VALUES // draws.shape[1])]).ravel()
    return len(np.unique(values)) / len(values)


def _tests(draws: np.ndarray, names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    n = len(draws)
    yield _square("all coordinates", draws)
    for name, x in zip(names, draws.T, strict=True):
        yield _square(name, x)
        for order, score in hermite_scores(x).items():
            yield (
                f"moment {order} of {name} is {abs(score):.1f} standard errors off",
                2 * float(stats.norm.sf(abs(score))),
            )
        yield f"distribution of {name} (Kolmogorov-Smirnov)", kolmogorov_smirnov(x)
    if n >= DEPENDENCE_FROM:
        yield from _correlations(draws, names)
        yield from _close_pairs(draws)


def _square(name: str, values: np.ndarray) -> tuple[str, float]:
    total, law = float((values**2).sum()), stats.chi2(values.size)
    return f"mean square of {name} is {total / values.size:.5g}", float(2 * min(law.cdf(total), law.sf(total)))


def kolmogorov_smirnov(x: np.ndarray) -> float:
    """As `scipy.stats.kstest(x, "norm", method="asymp")`, which sorts twice and takes twice as long."""
    levels, ranks = special.ndtr(np.sort(x)), np.arange(len(x) + 1) / len(x)
    distance = max((ranks[1:] - levels).max(), (levels - ranks[:-1]).max())
    return float(stats.kstwobign.sf(np.sqrt(len(x)) * distance))


def hermite_scores(x: np.ndarray) -> dict[int, float]:
    """sqrt(n) mean(He_j(x)) / sqrt(j!) by order j: about N(0, 1) each. He_3 = x^3 - 3 x, He_4 = x^4 - 6 x^2 + 3."""
    polynomials = {1: (0, 1), 3: (0, -3, 0, 1), 4: (3, 0, -6, 0, 1)}
    return {
        order: float(
            np.sqrt(len(x) / math.factorial(order)) * np.polynomial.polynomial.polyval(x, polynomials[order]).mean()
        )
        for order, least in NORMAL_FROM.items()
        if len(x) >= least
    }


def _correlations(draws: np.ndarray, names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """The largest circular correlation over all lags, for every pair of coordinates."""
    n, k = draws.shape
    if n > MOST_FOLDED:
        # A sum of all coordinates with unequal weights has every pair in it, and so many draws leave power to spare.
        draws, names, k = draws @ np.arange(2.0, k + 2.0)[:, None], ("all coordinates",), 1
    folded = np.sqrt(12) * (2 * stats.norm.cdf(np.abs(draws)) - 1.5) if n <= MOST_FOLDED else None
    for kind, values in (("values", draws), ("absolute values", folded)):
        if values is None:
            continue
        values = (values - values.mean(axis=0)) / values.std(axis=0)
        spectra = fft.rfft(values, axis=0) / n**0.25
        for i, j in itertools.combinations_with_replacement(range(k), 2):
            pair = f"{kind} of {names[i]} and {names[j]}"
            products = fft.irfft(spectra[:, i] * spectra[:, j].conj(), n)
            # A coordinate with itself: lag 0 is one, and lags beyond half repeat those before.
            yield _largest(products[1 : n // 2 + 1] if i == j else products, pair, first_lag=int(i == j))
            if n <= MOST_FOLDED:
                products = fft.irfft(spectra[:, i] * spectra[:, j], n)
                # Of a coordinate with itself every product is there twice.
                yield _largest(products / np.sqrt(2) if i == j else products, f"{pair} reversed")


def _largest(products: np.ndarray, pair: str, first_lag: int = 0) -> tuple[str, float]:
    at = int(np.abs(products).argmax())
    z_score = float(abs(products[at]))
    p_value = min(1.0, 2 * len(products) * float(stats.norm.sf(z_score)))
    return f"correlation of {pair} at lag {at + first_lag} is {z_score:.1f} standard errors", p_value


def _close_pairs(draws: np.ndarray) -> Iterator[tuple[str, float]]:
    """Pairs nearer than a radius at which independent draws have `CLOSE_PAIRS`: |x - y|^2 / 2 is chi-squared."""
    points = draws[:MOST_POINTS]
    n, k = points.shape
    radius = float(np.sqrt(2 * stats.chi2.ppf(2 * CLOSE_PAIRS / (n * (n - 1)), k)))
    tree = spatial.cKDTree(points)
    # A draw next to itself, or to its own mirror image, is not a pair; each pair is counted twice.
    near = (tree.count_neighbors(tree, radius) - n) / 2
    alone = (np.linalg.norm(2 * points, axis=1) <= radius).sum()
    mirrored = (tree.count_neighbors(spatial.cKDTree(-points), radius) - alone) / 2
    law = stats.poisson(CLOSE_PAIRS)
    for what, count in (("each other", near), ("each other's mirror images", mirrored)):
        p_value = 2 * min(law.cdf(count), law.sf(count - 1))
        yield f"{count:.0f} pairs of draws next to {what}, {CLOSE_PAIRS:.0f} expected", float(min(1.0, p_value))
