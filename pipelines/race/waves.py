"""Races whose processes do not fit into memory together: a few processes of every contestant live at a time.

Each wave is a race (`heats.py`) of all contestants in some of their processes, so pairing stays inside its heats. Every
process belongs to one wave. A wave stops by itself, on the noise within its processes alone: with k_w of k processes
its mean may have a standard error sqrt(k / k_w) times that which is wanted of all, because

    variance of the mean over all = sum over waves of (k_w / k)^2 * variance of the mean of a wave.

How far processes differ is not consulted, within a wave or between waves.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipelines.race.heats import Lane, RaceResult, run_race
from pipelines.race.timing import Contestant, ContestantFailure, TimingSettings, wave_seed

Crew = Callable[[range, Sequence[int]], Mapping[int, Sequence[Contestant] | ContestantFailure]]
"""Ends the wave before and starts the next: given its processes and the contestants that still take part, their
programs in these processes, or why there are none."""


def waves_of(processes: int, at_once: int | None) -> list[range]:
    """The processes of each wave, of nearly equal sizes; all in one without a limit.

    Args:
        processes: of each contestant.
        at_once: of which may live at the same time; None for all.
    """
    n_waves = math.ceil(processes / (at_once or processes))
    ends = [round(processes * number / n_waves) for number in range(n_waves + 1)]
    return [range(first, last) for first, last in zip(ends, ends[1:], strict=False)]


def run_in_waves(
    crew: Crew,
    n_contestants: int,
    baseline: int | None,
    settings: TimingSettings,
    seed: int,
    at_once: int | None = None,
    progress: Callable[[int, float], None] = lambda rounds, spent: None,
    **options: Any,
) -> RaceResult:
    """`run_race` over all processes, wave by wave; with a single wave, it is that.

    Args:
        crew: see `Crew`.
        n_contestants: how many there are.
        baseline: as of `run_race`, like `settings`, whose rounds and budget are those of all waves together, `seed`,
            `progress` and `options`.
        at_once: processes of a contestant that may live at the same time.
    """
    present = list(range(n_contestants))
    results: list[tuple[range, list[int], RaceResult]] = []
    failures: dict[int, ContestantFailure] = {}
    calls: dict[int, int] = {}
    rounds, spent = 0, 0.0

    def told(done: int, took: float) -> None:
        progress(rounds + done, spent + took)

    for number, processes in enumerate(waves_of(settings.processes, at_once)):
        found = crew(processes, present)
        failures |= {index: one for index, one in found.items() if isinstance(one, ContestantFailure)}
        present = [index for index in present if index not in failures]
        if not present:
            break
        result = run_race(
            [found[index] for index in present],  # type: ignore[misc]
            present.index(baseline) if baseline in present else None,
            share_of(settings, len(processes)),
            wave_seed(seed, number),
            progress=told,
            calls=[calls.get(index, settings.calls) for index in present],
            **options,
        )
        results.append((processes, present, result))
        failures |= {present[index]: one for index, one in result.failures.items()}
        calls |= {index: lane.calls for index, lane in zip(present, result.lanes, strict=True)}
        rounds, spent = rounds + result.rounds, spent + sum(lane.spent for lane in result.lanes)
        present = [index for index in present if index not in failures]
    return _merged(n_contestants, results, failures)


def share_of(settings: TimingSettings, processes: int) -> TimingSettings:
    """The settings of a wave of so many of the processes."""
    share = processes / settings.processes
    return replace(
        settings,
        processes=processes,
        interval_width=settings.interval_width / math.sqrt(share),
        min_rounds=math.ceil(share * settings.min_rounds),
        max_rounds=math.ceil(share * settings.max_rounds),
        budget_seconds=share * settings.budget_seconds,
    )


def _merged(
    n_contestants: int, results: Sequence[tuple[range, list[int], RaceResult]], failures: dict[int, ContestantFailure]
) -> RaceResult:
    """One result of all waves; each process keeps its number."""
    lanes, after = [], []
    for index in range(n_contestants):
        own = [(processes, present.index(index), one) for processes, present, one in results if index in present]
        lanes.append(_lane([(processes, one.lanes[place]) for processes, place, one in own]))
        after.append(_mean([(one.idle_after[place], _seconds(one.lanes[place])) for _, place, one in own]))
    waves = [one for _, _, one in results]
    idle = _mean([(one.idle_fraction, sum(map(_seconds, one.lanes))) for one in waves])
    return RaceResult(lanes, sum(one.rounds for one in waves), idle, failures, after)


def _lane(parts: Sequence[tuple[range, Lane]]) -> Lane:
    if not parts:
        return Lane()
    waited = [lane.waited for _, lane in parts]
    stops = {lane.stop for _, lane in parts}
    return Lane(
        [one for _, lane in parts for one in lane.seconds],
        [one for _, lane in parts for one in lane.baseline_seconds],
        [processes[one] for processes, lane in parts for one in lane.processes],
        parts[-1][1].calls,
        next((stop for stop in ("", "budget", "rounds") if stop in stops), "interval"),
        sum(lane.rounds for _, lane in parts),
        sum(lane.spent for _, lane in parts),
        None if None in waited else sum(one for one in waited if one is not None),
    )


def _seconds(lane: Lane) -> float:
    return lane.calls * float(np.sum(lane.seconds))


def _mean(parts: Sequence[tuple[float | None, float]]) -> float | None:
    """The mean of (fraction, seconds), weighted by seconds; None where one is unknown."""
    total = sum(seconds for _, seconds in parts)
    if not total or any(fraction is None for fraction, _ in parts):
        return None
    return sum(fraction * seconds for fraction, seconds in parts if fraction is not None) / total
