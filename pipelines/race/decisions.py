"""Verdicts that hold: exact intervals of proportions, many questions at once, and what another seed would say."""

import math
from collections.abc import Sequence

from pipelines.race.statistics import LEVEL, Interval


def proportion_interval(hits: int, trials: int, level: float = LEVEL) -> Interval:
    """The share of hits with its exact interval: at least `level` of such intervals include the true share.

    The ends are quantiles of beta distributions: B(alpha / 2; hits, trials - hits + 1) and
    B(1 - alpha / 2; hits + 1, trials - hits).

    Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial"
    (1934).

    Raises:
        ValueError: no trials, or hits that are not among them.
    """
    if trials < 1 or not 0 <= hits <= trials:
        raise ValueError(
            f"proportion_interval got {hits} hits of {trials} trials; it needs 0 <= hits <= trials, 1 trial."
        )
    from scipy import special

    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(special.betaincinv(hits, trials - hits + 1, tail))
    high = 1.0 if hits == trials else float(special.betaincinv(hits + 1, trials - hits, 1 - tail))
    return Interval(hits / trials, low, high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: to call those below alpha real is wrong anywhere in the family with probability alpha at most.

    Sorted, the i-th smallest of m is multiplied by m - i + 1, then none may be below an earlier one.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, running = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def beyond(interval: Interval, limit: float, *, logarithmic: bool = False) -> float:
    """One-sided p-value that the true value lies on the other side of `limit` than the estimate.

    The interval is taken as normal (of the logarithm, for ratios and times): z is the distance from the estimate to the
    limit in units of the nearer half-width over 1.96. An estimate at the limit gives 0.5; a value without an interval,
    such as a count, gives 0.
    """
    values = [interval.value, interval.low, interval.high, limit]
    if logarithmic and min(values) > 0:
        values = [math.log(one) for one in values]
    value, low, high, edge = values
    half = value - low if edge < value else high - value
    distance = abs(edge - value)
    return _upper_tail(1.959964 * distance / half) if half > 0 else 0.0


def flip_chance(interval: Interval, least: float, most: float) -> float:
    """The chance that a second measurement of the same kind lands on another side of the limits than the estimate did.

    Both measurements scatter around a truth that is known up to the first, so the second differs from the first with
    sqrt(2) times its standard error: the chance is 1 - Phi(d / (sqrt(2) s)) for the limit at distance d.

    Args:
        interval: of the first measurement.
        least, most: what is accepted; infinite where there is no limit.
    """
    chance = 0.0
    for limit in (least, most):
        if math.isinf(limit):
            continue
        half = interval.value - interval.low if limit < interval.value else interval.high - interval.value
        distance = abs(limit - interval.value)
        chance += _upper_tail(1.959964 * distance / (math.sqrt(2) * half)) if half > 0 else 0.0
    return min(chance, 1.0)


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
