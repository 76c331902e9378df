"""Estimators over the rounds of a race. float64; every bootstrap is seeded, so that reading a row twice gives the same
interval.

Rounds of one process tell how its times scatter, not how a second process of the same program would differ from it
(where memory and threads happen to lie). With several processes the estimate of each counts once, and the interval is
Student's over them: it covers both. That is the design of Kalibera and Jones, "Rigorous Benchmarking in Reasonable
Time" (ISMM 2013), with executions as the upper level.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipelines.race.spread import Prior, moderated

RESAMPLES = 2000
LEVEL = 0.95
LEAST_ROUNDS = 5
"""Fewer blocks, or fewer pairs of blocks for a ratio, have no interval, and nothing can be told."""
ESTIMATOR = (
    "median over blocks, ratios paired by heat; of several processes, the geometric mean of theirs with Student's 95% "
    "interval, whose variance is moderated by those of the other contestants of the run; of one process, a bootstrap "
    "95% interval within one process, which does not cover differences between processes"
)
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


def median_interval(
    samples: np.ndarray, seed: int = 0, processes: np.ndarray | None = None, prior: Prior | None = None
) -> Interval:
    """The median of (n_rounds,) samples and its 95% interval.

    Args:
        samples: (n_rounds,), finite.
        seed: of the bootstrap.
        processes: (n_rounds,) int, the process of each round; None for one process. With one, the interval is the
            percentile bootstrap over rounds. With k >= 2, and m_i the median of process i, the estimate is
            exp(mean log m) and the interval exp(mean log m +- t(0.975, d) s / sqrt(k)), with s^2 the variance of
            the log m_i and d = k - 1; a prior moderates both, of two values per process or more (`spread.py`).
        prior: what the variances between processes of other contestants tell.

    Raises:
        ValueError: for no samples, or for samples that are not finite, or of several processes not positive.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"median_interval needs (n_rounds,) finite samples, got shape {values.shape}: {values}.")
    if processes is not None and _are_several(np.asarray(processes)):
        return _over_processes(values, np.asarray(processes), prior)
    resampled = values[_resamples(seed, len(values))]
    tails = 50 * (1 - LEVEL)
    low, high = np.percentile(np.median(resampled, axis=1), [tails, 100 - tails])
    return Interval(float(np.median(values)), float(low), float(high))


@lru_cache(maxsize=16)
def _resamples(seed: int, n: int) -> np.ndarray:
    """(RESAMPLES, n) indices below n. Rows of a store share their seed, and many their number of rounds."""
    indices = np.random.default_rng(seed).integers(0, n, size=(RESAMPLES, n))
    indices.flags.writeable = False
    return indices


def _are_several(processes: np.ndarray) -> bool:
    return len(processes) > 0 and bool((processes != processes[0]).any())


def _over_processes(values: np.ndarray, processes: np.ndarray, prior: Prior | None) -> Interval:
    from scipy import special  # not at import: it takes a while

    mean, error, freedom = _mean_log(values, processes, prior)
    half = float(special.stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def _mean_log(values: np.ndarray, processes: np.ndarray, prior: Prior | None) -> tuple[float, float, float]:
    """The mean over processes of their log medians, its standard error, and that one's degrees of freedom."""
    logs = process_logs(values, processes)
    if len(values) < 2 * len(logs):
        prior = None  # blocks that stand alone carry noise that those of others, which are averaged, do not have
    mean, own = _moments(logs)
    variance, freedom = moderated(own, len(logs) - 1, prior)
    return mean, math.sqrt(variance / len(logs)), freedom


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and variance of two values or more. NumPy's own take ten times as long for a handful."""
    mean = float(values.sum()) / len(values)
    centred = values - mean
    return mean, float(centred @ centred) / (len(values) - 1)


def spread_of(values: np.ndarray, processes: np.ndarray) -> tuple[float, int] | None:
    """(variance of the log medians of processes, degrees of freedom), what a prior is fitted to.

    None for one process, and for fewer than two blocks per process, where it is the noise of blocks.
    """
    logs = process_logs(values, processes)
    if len(logs) < 2 or len(values) < 2 * len(logs):
        return None
    return _moments(logs)[1], len(logs) - 1


def process_logs(values: np.ndarray, processes: np.ndarray) -> np.ndarray:
    """(n_processes,) log median of each process.

    Raises:
        ValueError: a value is not positive.
    """
    if not (values > 0).all():
        raise ValueError(f"times and ratios of several processes must be positive, got {values.min()}.")
    return np.log(group_medians(values, processes))


def group_medians(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n_groups,) median of the values of each group, the groups in ascending order.

    Lists: of the few dozen values of a row, NumPy takes three times as long.
    """
    members: dict[int, list[float]] = {}
    for group, value in zip(groups.tolist(), values.tolist(), strict=True):
        members.setdefault(group, []).append(value)
    ordered = (sorted(members[group]) for group in sorted(members))
    return np.array([0.5 * (one[(len(one) - 1) // 2] + one[len(one) // 2]) for one in ordered])


def suffice(n_values: int) -> bool:
    """Whether so many blocks, or ratios of paired blocks, have an interval."""
    return n_values >= LEAST_ROUNDS


def aim(ratio: float, width: float) -> float:
    """How narrow the 95% interval of a ratio should be, relative to it: the question decides.

    Args:
        ratio: to the baseline.
        width: what is wanted within a factor of 2; 2.5 times that to a factor of 10, 6.25 times beyond: 4%, 10%, 25%.
    """
    factor = max(ratio, 1 / ratio) if ratio > 0 else np.inf
    return width * (1.0 if factor <= 2 else 2.5 if factor <= 10 else 6.25)


def settled(values: np.ndarray, processes: np.ndarray, width: float) -> bool:
    """Whether more blocks would hardly narrow the interval: the noise within processes takes half of `width` at most.

    With sigma the spread of log values around their process's median (sqrt(pi / 2) times the mean absolute deviation,
    for n values in k processes corrected by sqrt(n / (n - k))), the mean of the medians has a standard error of
    sqrt(pi / 2) sigma / sqrt(n) from it. Of one block per process nothing can be told within; then all of the spread
    counts, against the whole width.
    """
    logs = np.log(values)
    names, members = np.unique(processes, return_inverse=True)
    n, k = len(logs), len(names)
    if n < 2 * k:
        return suffice(n) and 2 * 2.78 * float(logs.std(ddof=1)) / np.sqrt(n) <= width
    centres = np.array([np.median(logs[members == one]) for one in range(k)])
    sigma = np.sqrt(np.pi / 2) * float(np.abs(logs - centres[members]).mean()) * np.sqrt(n / (n - k))
    return bool(2 * 1.96 * np.sqrt(np.pi / 2) * sigma / np.sqrt(n) <= 0.5 * width)


def ratio_interval(
    samples: np.ndarray,
    baseline: np.ndarray,
    seed: int = 0,
    processes: np.ndarray | None = None,
    prior: Prior | None = None,
) -> Interval:
    """The median over rounds of sample / baseline in the same round, with its interval; see `median_interval`.

    The pairs stay together, so drift that slows both in a round cancels.

    Raises:
        ValueError: if the two differ in length.
    """
    if np.shape(samples) != np.shape(baseline):
        raise ValueError(
            f"ratio_interval pairs rounds: got {np.shape(samples)} samples, {np.shape(baseline)} of baseline."
        )
    return median_interval(np.asarray(samples, np.float64) / np.asarray(baseline, np.float64), seed, processes, prior)


def paired_p_value(
    samples: np.ndarray, baseline: np.ndarray, processes: np.ndarray | None = None, prior: Prior | None = None
) -> float | None:
    """Student's two-sided p-value that the paired ratio is 1, the test whose interval `ratio_interval` gives.

    Args:
        samples: (n_rounds,), positive; `baseline` likewise, in the same rounds.
        processes: (n_rounds,) int, the process of each round.
        prior: as of `median_interval`.

    Returns:
        The p-value; None for fewer than two processes.
    """
    if processes is None or not _are_several(np.asarray(processes)):
        return None
    from scipy import special

    ratios = np.asarray(samples, np.float64) / np.asarray(baseline, np.float64)
    mean, error, freedom = _mean_log(ratios, np.asarray(processes), prior)
    return float(mean == 0) if error == 0 else 2 * float(special.stdtr(freedom, -abs(mean) / error))


INDEPENDENT_ESTIMATOR = (
    "quotient of medians; Welch's 95% interval over processes where both have several, else a bootstrap over rounds"
)


def independent_ratio(
    samples: np.ndarray,
    baseline: np.ndarray,
    processes: np.ndarray | None = None,
    baseline_processes: np.ndarray | None = None,
    seed: int = 0,
) -> Interval:
    """The quotient of the medians of two runs that were not interleaved, with its 95% interval.

    Args:
        samples: (n_rounds,), positive.
        baseline: (m_rounds,), positive.
        processes: (n_rounds,) int, the process of each round; baseline_processes (m_rounds,) likewise. Where both name
            several, the interval is Welch's for the difference of mean log medians of processes; else both sides'
            rounds are resampled on their own.
        seed: of the bootstrap.
    """
    groups = _groups(samples, processes), _groups(baseline, baseline_processes)
    value = float(groups[0].mean() - groups[1].mean())
    if min(map(len, groups)) > 1:
        from scipy import special  # not at import: it takes a while

        error, freedom = _welch(groups)
        half = float(special.stdtrit(freedom, 0.5 + LEVEL / 2)) * error
        return Interval(*(float(np.exp(value + sign * half)) for sign in (0, -1, 1)))
    generator = np.random.default_rng(seed)
    medians = [
        np.median(values[generator.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
        for values in (np.asarray(samples), np.asarray(baseline))
    ]
    tails = 50 * (1 - LEVEL)
    low, high = np.percentile(medians[0] / medians[1], [tails, 100 - tails])
    return Interval(float(np.exp(value)), float(low), float(high))


def independent_p_value(
    samples: np.ndarray,
    baseline: np.ndarray,
    processes: np.ndarray | None = None,
    baseline_processes: np.ndarray | None = None,
) -> float | None:
    """Welch's two-sided p-value that two runs of several processes are equally fast; None where one has one process.

    See `independent_ratio`.
    """
    groups = _groups(samples, processes), _groups(baseline, baseline_processes)
    if min(map(len, groups)) < 2:
        return None
    from scipy import special

    error, freedom = _welch(groups)
    distance = abs(float(groups[0].mean() - groups[1].mean()))
    if error == 0:
        return float(distance == 0)
    return 2 * float(special.stdtr(freedom, -distance / error))


def _groups(values: np.ndarray, processes: np.ndarray | None) -> np.ndarray:
    return process_logs(np.asarray(values), np.zeros(len(values), int) if processes is None else np.asarray(processes))


def _welch(groups: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    """Standard error of the difference of means, and its degrees of freedom."""
    variances = [group.var(ddof=1) / len(group) for group in groups]
    total = float(sum(variances))
    if total == 0:
        return 0.0, 1.0
    return total**0.5, total**2 / sum(v**2 / (len(g) - 1) for v, g in zip(variances, groups, strict=True))


def difference(interval: Interval) -> str:
    """What a ratio's interval shows: "faster", "slower", or "no difference shown" when it contains 1."""
    if interval.high < 1:
        return "faster"
    return "slower" if interval.low > 1 else "no difference shown"


def flags(
    samples: np.ndarray,
    ratio: Interval | None,
    *,
    own: Interval,
    interval_width: float,
    idle_fraction: float | None,
    max_idle_fraction: float,
    load_average: float | None,
    cores: int | None,
    n_processes: int = 2,
    is_baseline: bool = False,
    n_ratios: int | None = None,
) -> list[str]:
    """Why a row's times may not be trusted, one short sentence each; empty if nothing was seen.

    Args:
        samples: (n_blocks,) seconds per call.
        ratio: the paired ratio to the baseline, if there is one.
        own: the median of the samples.
        interval_width: the width relative to the value that is wanted within a factor of 2, see `aim`.
        idle_fraction: CPU seconds of idle workers per second of timed block.
        max_idle_fraction: beyond which that is a flag.
        load_average: when the race started, where nothing better is known.
        cores: of the machine.
        n_processes: that the samples are from.
        is_baseline: its interval is not judged: the race is about ratios.
        n_ratios: blocks that the baseline ran beside; None for all.
    """
    found = []
    judged = ratio or own
    wanted = aim(judged.value, interval_width) if ratio else interval_width
    n_blocks = len(samples) if ratio is None or n_ratios is None else n_ratios
    if not suffice(n_blocks):
        found.append(f"{n_blocks} blocks are too few for an interval")
    elif not is_baseline and judged.width > wanted * judged.value:
        found.append(f"95% interval is {judged.width / judged.value:.0%} wide (aim {wanted:.0%})")
    if suffice(n_blocks) and n_processes < 2:
        found.append("the interval is within one process")
    if own.value > 1.5 * float(np.min(samples)):
        found.append(f"the median is {own.value / float(np.min(samples)):.1f} times the minimum")
    if idle_fraction is not None and idle_fraction > max_idle_fraction:
        found.append(f"idle workers used {idle_fraction:.1%} of a core during others' blocks")
    if load_average is not None and cores and load_average > 0.75 * cores + 1:
        found.append(f"the load average was {load_average:.1f} on {cores} cores")
    return found
