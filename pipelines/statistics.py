"""Estimators over the rounds of a race. NumPy only; float64; every bootstrap is seeded, so that reading a row twice
gives the same interval."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
ESTIMATOR = "median over rounds; 95% percentile bootstrap interval, ratios paired by round"
"""Named in every printed summary."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap 95% interval."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Length of the interval."""
        return self.high - self.low


def median_interval(samples: np.ndarray, seed: int = 0) -> Interval:
    """The median of (n_rounds,) samples and its percentile bootstrap interval.

    Raises:
        ValueError: for no samples, or for samples that are not finite.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"median_interval needs (n_rounds,) finite samples, got shape {values.shape}: {values}.")
    generator = np.random.default_rng(seed)
    resampled = values[generator.integers(0, len(values), size=(RESAMPLES, len(values)))]
    tails = 50 * (1 - LEVEL)
    low, high = np.percentile(np.median(resampled, axis=1), [tails, 100 - tails])
    return Interval(float(np.median(values)), float(low), float(high))


def ratio_interval(samples: np.ndarray, baseline: np.ndarray, seed: int = 0) -> Interval:
    """The median over rounds of sample / baseline in the same round, with its bootstrap interval.

    Resampling rounds keeps the pairs together, so drift that slows both in a round cancels.

    Raises:
        ValueError: if the two differ in length.
    """
    if np.shape(samples) != np.shape(baseline):
        raise ValueError(
            f"ratio_interval pairs rounds: got {np.shape(samples)} samples, {np.shape(baseline)} of baseline."
        )
    return median_interval(np.asarray(samples, np.float64) / np.asarray(baseline, np.float64), seed)


def difference(interval: Interval) -> str:
    """What a ratio's interval shows: "faster", "slower", or "no difference shown" when it contains 1."""
    if interval.high < 1:
        return "faster"
    return "slower" if interval.low > 1 else "no difference shown"


def flags(
    samples: np.ndarray,
    ratio: Interval | None,
    *,
    interval_width: float,
    idle_fraction: float | None,
    max_idle_fraction: float,
    load_average: float | None,
    cores: int | None,
) -> list[str]:
    """Why a row's times may not be trusted, one short sentence each; empty if nothing was seen.

    Args:
        samples: (n_rounds,) seconds per call.
        ratio: the paired ratio to the baseline, if there is one.
        interval_width: the width relative to the value that the race aimed at.
        idle_fraction: CPU seconds of idle workers per second of timed block.
        max_idle_fraction: beyond which that is a flag.
        load_average: when the race started.
        cores: of the machine.
    """
    found = []
    own = median_interval(samples)
    judged = ratio or own
    if judged.width > interval_width * judged.value:
        found.append(f"95% interval is {judged.width / judged.value:.0%} wide (aim {interval_width:.0%})")
    if own.value > 1.5 * float(np.min(samples)):
        found.append(f"the median is {own.value / float(np.min(samples)):.1f} times the minimum")
    if idle_fraction is not None and idle_fraction > max_idle_fraction:
        found.append(f"idle workers used {idle_fraction:.1%} of a core during others' blocks")
    if load_average is not None and cores and load_average > 0.75 * cores + 1:
        found.append(f"the load average was {load_average:.1f} on {cores} cores")
    return found
