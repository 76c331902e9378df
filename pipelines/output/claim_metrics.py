"""The numbers that claims are about, each from stored rows, with an interval. NumPy only.

A metric is `metric(rows, settings) -> Measured`. Its rows are all "ok"; what it cannot compute it says in a
`CannotTell`. Times and ratios have the 95% intervals of their rows; an extreme over several rows has the extremes of
their intervals, which is the wide side. A diagnostic of a single run has no interval: its ends are the value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.race.decisions import proportion_interval
from studies.base import Row, Rows


@dataclass(frozen=True)
class Measured:
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


class CannotTell(Exception):
    """The rows do not have what the metric needs; the text says what."""


def ratio(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """Time over the time of the race's baseline, paired by round. One row."""
    row = _one(rows)
    if row.ratio is None or row.ratio_interval is None:
        raise CannotTell(f"{row.task} {row.framework} was not timed beside its baseline")
    return Measured(row.ratio, *row.ratio_interval)


def largest_ratio(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """The largest `ratio` of several rows."""
    found = [ratio(Rows([row]), settings) for row in rows]
    return Measured(*(max(getattr(one, name) for one in found) for name in ("value", "low", "high")))


def margin(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """The smallest factor, over all groups, by which another system takes longer than `of`.

    Settings:
        of: the framework; group: the parameter that tells groups apart.
    """
    found = []
    for group in rows.values(settings["group"]):
        members = rows.where(**{settings["group"]: group})
        own = members.where(framework=settings["of"])
        if len(own) != 1:
            raise CannotTell(f"there is no time of {settings['of']} at {settings['group']}={group}")
        mine = _time(own[0])
        for row in members:
            if row.framework != settings["of"]:
                other = _time(row)
                found.append(Measured(other.value / mine.value, other.low / mine.high, other.high / mine.low))
    if not found:
        raise CannotTell(f"no system was timed beside {settings['of']}")
    return Measured(*(min(getattr(one, name) for one in found) for name in ("value", "low", "high")))


def overhead(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """The largest factor, over all groups, by which `of` takes longer than `over`: the quotient of their ratios.

    Both ratios are to the baseline of one race, paired by round; their intervals count as independent, so that the
    logarithms' half widths add as squares do.

    Settings:
        of, over: the two frameworks; group: the parameter that tells groups apart.
    """
    found = []
    for group in rows.values(settings["group"]):
        members = rows.where(**{settings["group"]: group})
        one, other = (ratio(members.where(framework=settings[name]), settings) for name in ("of", "over"))
        half = np.hypot(np.log(one.high / one.low) / 2, np.log(other.high / other.low) / 2)
        value = one.value / other.value
        found.append(Measured(value, float(value * np.exp(-half)), float(value * np.exp(half))))
    if not found:
        raise CannotTell("nothing was timed")
    return max(found, key=lambda measured: measured.value)


def seconds(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """Time of a call in seconds. One row."""
    return _time(_one(rows))


def slope(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """Least-squares slope of log time over the log of the parameter `over`, with Student's 95% interval.

    Needs three values of the parameter at least.
    """
    xs = np.log([row.parameters[settings["over"]] for row in rows])
    if len(set(xs)) < 3:
        raise CannotTell(f"a slope needs three values of {settings['over']}, there are {len(set(xs))}")
    from scipy import stats  # not at import: it takes half a second

    fit = stats.linregress(xs, np.log([_time(row).value for row in rows]))
    reach = stats.t.ppf(0.975, len(xs) - 2) * fit.stderr
    return Measured(float(fit.slope), float(fit.slope - reach), float(fit.slope + reach))


def bend(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """How far times are off the line through those of the smallest and largest `over`, relative to the line; the worst.

    The interval moves the middle times alone to the ends of theirs.
    """
    ordered = sorted(rows, key=lambda row: row.parameters[settings["over"]])
    if len(ordered) < 3:
        raise CannotTell(f"a bend needs three values of {settings['over']}, there are {len(ordered)}")
    xs = [float(row.parameters[settings["over"]]) for row in ordered]
    first, last = _time(ordered[0]).value, _time(ordered[-1]).value
    found = []
    for x, row in zip(xs[1:-1], ordered[1:-1], strict=True):
        line = first + (last - first) * (x - xs[0]) / (xs[-1] - xs[0])
        middle = _time(row)
        value, low, high = (one / line - 1 for one in (middle.value, middle.low, middle.high))
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        found.append(Measured(abs(value), nearest, max(abs(low), abs(high))))
    return max(found, key=lambda one: one.value)


def growth_of_speedup(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """CPU time over GPU time at the largest `over`, divided by the same at the smallest."""
    sizes = sorted(rows.values(settings["over"]))
    if len(sizes) < 2:
        raise CannotTell(f"there is one {settings['over']} only")
    small, large = (_speedup(rows.where(**{settings["over"]: size})) for size in (sizes[0], sizes[-1]))
    return Measured(large.value / small.value, large.low / small.high, large.high / small.low)


def diagnostic(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """A number of the gate. One row. `low` and `high` name the numbers that are the ends of its interval."""
    row, name = _one(rows), settings["diagnostic"]
    ends = (settings.get("low", name), settings.get("high", name))
    return Measured(_number(row, name), *(_number(row, end) for end in ends))


def spread(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """The mean of a gate's number over rows; the interval is its whole range."""
    values = [_number(row, settings["diagnostic"]) for row in rows]
    return Measured(float(np.mean(values)), min(values), max(values))


def proportion(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """A gate's share of runs with its exact interval (Clopper and Pearson). Of several rows, the least or the largest.

    Settings:
        diagnostic: the share; count: the parameter that is the number of runs.
        extreme: "least" or "largest", for several rows.
    """
    found = []
    for row in rows:
        trials = int(row.parameters[settings["count"]])
        found.append(proportion_interval(round(_number(row, settings["diagnostic"]) * trials), trials))
    if len(found) > 1 and settings.get("extreme") not in ("least", "largest"):
        raise CannotTell(f"the claim is about one row, and {len(found)} match")
    choose = max if settings.get("extreme") == "largest" else min
    return Measured(*(choose(getattr(one, name) for one in found) for name in ("value", "low", "high")))


def mean(rows: Rows, settings: Mapping[str, Any]) -> Measured:
    """A gate's number that is a mean over repetitions, with Student's 95% interval. One row.

    Settings:
        diagnostic, sd: the mean and the standard deviation of one repetition.
        counts: parameters, the smallest of which is the number of repetitions.
    """
    row = _one(rows)
    value, sd = (_number(row, settings[name]) for name in ("diagnostic", "sd"))
    count = min(row.parameters[name] for name in settings["counts"])
    if count < 2:
        raise CannotTell("one repetition has no interval")
    from scipy import special  # not at import: it takes a while

    reach = float(special.stdtrit(count - 1, 0.975)) * sd / np.sqrt(count)
    return Measured(value, value - reach, value + reach)


METRICS: dict[str, Callable[[Rows, Mapping[str, Any]], Measured]] = {
    metric.__name__: metric
    for metric in (
        ratio,
        largest_ratio,
        overhead,
        margin,
        seconds,
        slope,
        bend,
        growth_of_speedup,
        diagnostic,
        spread,
        proportion,
        mean,
    )
}
"""By the name that `configs/claims.yaml` uses."""
IN_WORDS = {
    "ratio": "the time over that of the baseline of its race",
    "largest_ratio": "the largest, over all sizes, of the time over that of the baseline of its race",
    "overhead": "the largest factor, over all sizes, by which {of} takes longer than {over}",
    "margin": "the smallest factor, over all sizes and systems, by which another system takes longer than {of}",
    "seconds": "seconds of one call",
    "slope": "the slope of log time over log {over}; 1 is linear growth",
    "bend": "how far times are off the straight line over {over}, as a fraction of it",
    "growth_of_speedup": "how many times larger the GPU’s speed-up is at the largest {over} than at the smallest",
    "diagnostic": "{diagnostic}, as the gate computed it",
    "spread": "{diagnostic}, as the gate computed it for each system",
    "proportion": "{diagnostic}: a share of all runs",
    "mean": "the mean {diagnostic} over repetitions",
}
"""What each number is, for readers; settings of the claim fill the braces."""
TIMED = frozenset(
    metric.__name__ for metric in (ratio, largest_ratio, overhead, margin, seconds, slope, bend, growth_of_speedup)
)
"""Those made of times, which flags on their rows make doubtful."""
LOGARITHMIC = frozenset(
    metric.__name__ for metric in (ratio, largest_ratio, overhead, margin, seconds, growth_of_speedup)
)
"""Those whose error is relative."""


def _one(rows: Rows) -> Row:
    if len(rows) != 1:
        raise CannotTell(f"the claim is about one row, and {len(rows)} match")
    return rows[0]


def _time(row: Row) -> Measured:
    if row.median_s is None or row.interval_s is None:
        raise CannotTell(f"{row.task} {row.framework} was not timed")
    return Measured(row.median_s, *row.interval_s)


def _speedup(rows: Rows) -> Measured:
    cpu, gpu = (_time(_one(rows.where(device=device))) for device in ("cpu", "cuda"))
    return Measured(cpu.value / gpu.value, cpu.low / gpu.high, cpu.high / gpu.low)


def _number(row: Row, name: str) -> float:
    value = row.diagnostics.get(name)
    if value is None or not np.isfinite(value):
        raise CannotTell(f"{row.task} {row.framework} has no {name}")
    return float(value)
