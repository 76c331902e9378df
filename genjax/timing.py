"""Wall-clock timing of functions that return JAX arrays: nested repeats, trimmed means, a table to compare.

For a quick look at one program. `fn` is called as it is, so its compilation belongs into warm-up calls:
`benchmark_with_warmup` makes some, `timing` none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import numpy as np

from genjax.core.const import count

Timing: TypeAlias = tuple[np.ndarray, tuple[float, float]]
"""`(times, (mean, standard deviation))`, in seconds."""


def timing(
    fn: Callable[[], object],
    repeats: int = 20,
    inner_repeats: int = 20,
    auto_sync: bool = True,
    trim_fraction: float = 0.2,
) -> Timing:
    """`(times, (mean, std))` of calling `fn()`, in seconds.

    Each time is the trimmed mean of `inner_repeats` single calls: with n calls in order of duration, the shortest and
    the longest `floor(n * trim_fraction)` are left out, and the rest averaged. Nothing is left out where n <= 2.

    Args:
        fn: takes nothing; close over the arguments. Call it once before, or its compilation is in the first time.
        repeats: number of times to return, at least 1.
        inner_repeats: calls behind each time, at least 1.
        auto_sync: wait for every JAX array that a call returned before reading the clock again. Without it only the
            dispatch of asynchronous work is timed.
        trim_fraction: share of the calls left out at either end, in [0, 0.5).

    Returns:
        times: (repeats,) float64. mean, std: of `times`; std is that of the population (it divides by `repeats`).

    Raises:
        TypeError: `fn` cannot be called, or a number of repeats is not an integer.
        ValueError: fewer than one repeat, or a `trim_fraction` outside [0, 0.5).
    """
    if not callable(fn):
        raise TypeError(f"timing got fn={fn!r}, which cannot be called. Pass a function of no arguments: lambda: f(x).")
    n_times = count(repeats, "timing: repeats", least=1)
    n_calls = count(inner_repeats, "timing: inner_repeats", least=1)
    if not 0 <= trim_fraction < 0.5:
        raise ValueError(
            f"timing got trim_fraction={trim_fraction}. It is the share left out at either end, in [0, 0.5); "
            "0 averages all calls."
        )
    times = np.array(
        [_trimmed_mean([_time_call(fn, auto_sync) for _ in range(n_calls)], trim_fraction) for _ in range(n_times)]
    )
    return times, (float(times.mean()), float(times.std()))


def benchmark_with_warmup(
    fn: Callable[[], object],
    warmup_runs: int = 2,
    repeats: int = 10,
    inner_repeats: int = 10,
    auto_sync: bool = True,
    trim_fraction: float = 0.2,
) -> Timing:
    """`(times, (mean, std))` as of `timing`, after untimed calls that compile `fn` and warm the caches.

    The results of the warm-up calls are waited for, whatever `auto_sync` says: work that is still running would be
    charged to the first timed call.

    Args:
        fn: takes nothing; close over the arguments.
        warmup_runs: number of untimed calls, at least 0.
        repeats: as in `timing`.
        inner_repeats: as in `timing`.
        auto_sync: as in `timing`.
        trim_fraction: as in `timing`.

    Raises:
        TypeError: as `timing`.
        ValueError: as `timing`, or a negative `warmup_runs`.
    """
    for _ in range(count(warmup_runs, "benchmark_with_warmup: warmup_runs")):
        jax.block_until_ready(fn())
    return timing(fn, repeats, inner_repeats, auto_sync, trim_fraction)


def compare_timings(*results: Timing, labels: Sequence[str] | None = None) -> None:
    """Print a table of timings: method, mean and standard deviation in milliseconds, mean relative to the first.

    Args:
        results: what `timing` or `benchmark_with_warmup` returned.
        labels: a name for each; "Method 1", "Method 2", ... by default.

    Raises:
        ValueError: no results, or as many labels as there are not results.
    """
    if not results:
        raise ValueError("compare_timings got no results. Pass what `timing` returned, once per method.")
    names = [f"Method {i + 1}" for i in range(len(results))] if labels is None else [str(label) for label in labels]
    if len(names) != len(results):
        raise ValueError(f"compare_timings got {len(names)} labels for {len(results)} results. Pass one for each.")
    width = max(len("Method"), *map(len, names))
    lines = [f"{'Method':<{width}}  {'Mean (ms)':>12}  {'Std (ms)':>12}  {'Relative':>9}"]
    lines.append("-" * len(lines[0]))
    _, (first, _) = results[0]
    for name, (_, (mean, deviation)) in zip(names, results, strict=True):
        # A clock may be too coarse to see the first method at all.
        relative = f"{100 * mean / first:.1f}%" if first > 0 else "n/a"
        lines.append(f"{name:<{width}}  {1e3 * mean:>12.4f}  {1e3 * deviation:>12.4f}  {relative:>9}")
    print("\n".join(lines))  # noqa: T201 - printing is what this function is for


def _time_call(fn: Callable[[], object], wait: bool) -> float:
    start = time.perf_counter_ns()
    result = fn()
    if wait:
        jax.block_until_ready(result)
    return 1e-9 * (time.perf_counter_ns() - start)


def _trimmed_mean(seconds: list[float], trim_fraction: float) -> float:
    n = len(seconds)
    dropped = int(n * trim_fraction) if n > 2 else 0
    return statistics.fmean(sorted(seconds)[dropped : n - dropped])
