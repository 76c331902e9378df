"""The race: contestants timed side by side in rounds and heats, in random order.

A round takes one process of every contestant. In each of its heats the contestants run a block each, and so does the
baseline: pairing inside a heat cancels the drift of the machine. A fast contestant runs as many heats as take the time
of the slowest one's block, so that a system of seconds leaves one of milliseconds enough blocks. Rounds take the
processes in turn, because two processes of one program differ, too (where memory and threads happen to lie);
`statistics.py` makes its intervals over them. A contestant leaves when its question is answered (`statistics.aim`).

Stopping when an interval looks narrow selects luck. So what is asked is only whether the noise *within* processes,
which more blocks reduce, is small enough; how far the processes differ, which decides the width, is not consulted.

One worker is active at a time. The CPU time of the idle ones is read during every block: a thread pool that spins after
its call would tax the next contestant. How long the timed worker waited for a core that somebody else had is read, too.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from pipelines.race import statistics
from pipelines.race.timing import (
    LONG_CALL_SECONDS,
    Contestant,
    ContestantFailure,
    TimingSettings,
    as_failure,
    calibrate,
    round_seed,
    warm_up_seed,
)  # fmt: skip

T = TypeVar("T")

MOST_HEATS = 8
MIN_IDLE_SECONDS = 1e-3
"""CPU time of a worker after a block that is not worth a word: it writes its reply and waits for the next request."""


@dataclass
class Lane:
    """What was measured of one contestant.

    Args:
        seconds: of one call (block / calls), by block.
        baseline_seconds: of the baseline's call in the same heat, NaN without one.
        processes: in which of its processes.
        calls: in a block.
        stop: why it left: "interval" (its question is answered), "budget" or "rounds" (the most that were allowed);
            empty if it failed.
        rounds: in which it took part.
        spent: seconds of its blocks by the clock of the race.
        waited: seconds that its worker waited during its blocks for a core that somebody else had, None if unknown.
    """

    seconds: list[float] = field(default_factory=list)
    baseline_seconds: list[float] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    calls: int = 1
    stop: str = ""
    rounds: int = 0
    spent: float = 0.0
    waited: float | None = 0.0

    @property
    def waited_fraction(self) -> float | None:
        """Seconds that its worker waited for a core that somebody else had per second of `spent`; None if unknown."""
        return None if self.waited is None or not self.spent else self.waited / self.spent


@dataclass
class RaceResult:
    """What a race measured.

    Args:
        lanes: one per contestant.
        rounds: that were run.
        idle_fraction: CPU seconds of idle workers per second of timed block, or None if unknown.
        failures: by contestant index; their lanes do not count.
        idle_after: of each contestant, CPU seconds that its processes used between the end of a block and their next
            request, over the seconds of its blocks; None if unknown.
    """

    lanes: list[Lane]
    rounds: int
    idle_fraction: float | None
    failures: dict[int, ContestantFailure] = field(default_factory=dict)
    idle_after: list[float | None] = field(default_factory=list)


def run_race(
    contestants: Sequence[Sequence[Contestant]],
    baseline: int | None,
    settings: TimingSettings,
    seed: int,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[int, float], None] = lambda rounds, spent: None,
    calls: Sequence[int | None] | None = None,
) -> RaceResult:
    """Times contestants against each other until every question is answered, or the budget is spent.

    Args:
        contestants: the prepared program of each in its processes, equally many of each.
        baseline: index of the one that ratios refer to; without it each one's own time is the question.
        settings: block length, rounds, interval width, budget.
        seed: of the order within heats and of the blocks' inputs.
        clock: for the budget, which counts timed blocks only, and only of contestants that are still there.
        progress: called after every round with rounds done and seconds spent.
        calls: in a block of each contestant, None to find out; those of the settings by default.
    """
    race = _Race(contestants, baseline, settings, seed, clock, calls)
    race.warm_up()
    while race.running and race.rounds < settings.max_rounds:
        race.run_round()
        progress(race.rounds, race.spent)
        if race.rounds % race.n_processes == 0:  # equally many rounds of each process
            race.dismiss()
    return race.result()


class _Race:
    def __init__(
        self,
        contestants: Sequence[Sequence[Contestant]],
        baseline: int | None,
        settings: TimingSettings,
        seed: int,
        clock: Callable[[], float],
        calls: Sequence[int | None] | None,
    ):
        self.alive: dict[int, Sequence[Contestant]] = dict(enumerate(contestants))
        self.baseline, self.settings, self.seed, self.clock = baseline, settings, seed, clock
        self.lanes = [Lane() for _ in contestants]
        self.calls = list(calls or [settings.calls] * len(contestants))
        self.after = [AfterBlocks() for _ in contestants]
        self.failures: dict[int, ContestantFailure] = {}
        self.n_processes = len(contestants[0])
        self.order = np.random.default_rng([seed, len(contestants)])
        self.block_seconds = [0.0 for _ in contestants]
        self.rounds = self.heats = 0
        self.idle, self.timed, self.known = 0.0, 0.0, True
        self.running = set(self.alive)
        """Those whose question is open; the baseline runs as long as anybody does."""

    @property
    def spent(self) -> float:
        """Seconds of the blocks of those who are still there."""
        return sum(self.lanes[index].spent for index in self.running)

    def warm_up(self) -> None:
        """Blocks of equal length in all processes of a contestant, before those that count."""
        for index in list(self.alive):
            self._attempt(index, partial(self._warm_up, index))

    def _warm_up(self, index: int, processes: Sequence[Contestant]) -> None:
        for contestant in processes:
            seeds = (warm_up_seed(self.seed, number) for number in itertools.count())
            untimed = partial(_untimed, contestant, seeds)
            if contestant is processes[0]:  # blocks of equally many calls in each
                self.lanes[index].calls = self.calls[index] or self._calls_of_block(index, contestant, untimed)
            for _ in range(self.settings.warmup_blocks):
                self.block_seconds[index] = untimed(self.lanes[index].calls)

    def _calls_of_block(self, index: int, contestant: Contestant, untimed: Callable[[int], float]) -> int:
        """How many calls a block needs, and how long it takes: the first round has heats of the fast ones already."""

        def noted(calls: int) -> float:
            self.block_seconds[index] = untimed(calls)
            return self.block_seconds[index]

        known, least = contestant.seconds_at_gate, self.settings.min_block_seconds
        if known is not None and known > max(LONG_CALL_SECONDS, least):
            self.block_seconds[index] = known
            return 1
        return calibrate(noted, least)

    def run_round(self) -> None:
        """One process of everybody: a block each, and further heats of those that are faster than the slowest."""
        process = self.rounds % self.n_processes
        present = {index for index in self.alive if index in self.running or index == self.baseline}
        longest = max((self.block_seconds[index] for index in present), default=0.0)
        heats = {index: self._heats(index, longest) for index in present}
        rivals = {index: count for index, count in heats.items() if index != self.baseline} or heats
        for heat in range(max(rivals.values(), default=0)):
            self._heat(process, [index for index in present if rivals.get(index, heat + 1) > heat])
        for index in self.running:
            self.lanes[index].rounds += 1
        self.rounds += 1

    def _heats(self, index: int, longest: float) -> int:
        # The baseline runs in each of them: where it is the slow one, further heats would cost more than they tell.
        own = max(self.block_seconds[index], 0.0 if self.baseline is None else self.block_seconds[self.baseline])
        return min(max(int(longest / own), 1), MOST_HEATS) if own > 0 else 1

    def _heat(self, process: int, present: list[int]) -> None:
        self.heats += 1
        found: dict[int, float] = {}
        for index in self.order.permutation(present).tolist():
            if index in self.alive:
                seconds = self._attempt(index, partial(self._block, index, process))
                if seconds is not None:
                    found[index] = seconds
        reference = np.nan if self.baseline is None else found.get(self.baseline, np.nan)
        for index, seconds in found.items():
            lane = self.lanes[index]
            lane.seconds.append(seconds / lane.calls)
            lane.baseline_seconds.append(reference / self.lanes[self.baseline or 0].calls)
            lane.processes.append(process)
            self.block_seconds[index] = seconds

    def _block(self, index: int, process: int, processes: Sequence[Contestant]) -> float:
        contestant, lane = processes[process], self.lanes[index]
        for one in self.after:  # several contestants may live in one worker: what it is asked next ends all their gaps
            one.resumes(contestant)
        everybody = [one for replicas in self.alive.values() for one in replicas]
        others = {one.worker: one for one in everybody if one.worker != contestant.worker}
        contestant.prepare(round_seed(self.seed, self.heats), lane.calls)
        before = {worker: one.cpu_seconds() for worker, one in others.items()}
        used, waited, start = contestant.cpu_seconds(), contestant.waited_seconds(), self.clock()
        seconds = contestant.time(lane.calls)
        elapsed = self.clock() - start
        lane.spent += elapsed
        now = {worker: one.cpu_seconds() for worker, one in others.items()}
        kept = kept_waiting(
            _difference(waited, contestant.waited_seconds()),
            _difference(used, contestant.cpu_seconds()),
            elapsed,
            contestant.usable_cores,
        )
        lane.waited = None if lane.waited is None or kept is None else lane.waited + kept
        contestant.audit()
        self.after[index].ends(contestant, seconds)
        self.timed += seconds
        for worker, first in before.items():
            last = now[worker]
            self.known = self.known and first is not None and last is not None
            self.idle += (last or 0.0) - (first or 0.0)
        return seconds

    def dismiss(self) -> None:
        """Those whose question is answered leave; all leave when the budget is spent.

        One that would overspend it alone leaves alone, so that a system of seconds does not end the race of those of
        milliseconds.
        """
        if self.rounds >= self.settings.min_rounds:
            for index in sorted(self.running):
                if (index != self.baseline or len(self.alive) == 1) and self._answered(self.lanes[index]):
                    self.lanes[index].stop = "interval"
                    self.running.discard(index)
        may_end = self.rounds >= min(self.settings.min_rounds, statistics.LEAST_ROUNDS)
        for index in sorted(self.running - {self.baseline}) if may_end else ():
            lane = self.lanes[index]
            if lane.spent * (1 + 1 / lane.rounds) > self.settings.budget_seconds:  # alone, after another round
                lane.stop = "budget"
                self.running.discard(index)
        if self.running <= {self.baseline} and len(self.alive) > 1:
            self._leave("interval")
        if may_end and self.spent >= self.settings.budget_seconds:
            self._leave("budget")

    def _answered(self, lane: Lane) -> bool:
        values, processes = np.array(lane.seconds), np.array(lane.processes)
        aim = self.settings.interval_width
        if self.baseline in self.alive and lane is not self.lanes[self.baseline]:
            values = values / np.array(lane.baseline_seconds)
            paired = np.isfinite(values)
            values, processes = values[paired], processes[paired]
            aim = statistics.aim(float(np.median(values)), aim) if len(values) else aim
        return len(values) > 0 and statistics.settled(values, processes, aim)

    def _leave(self, stop: str) -> None:
        for index in self.running:
            self.lanes[index].stop = stop
        self.running = set()

    def result(self) -> RaceResult:
        """What was measured, once nobody runs."""
        self._leave("rounds")
        for index, processes in self.alive.items():
            for contestant in processes:
                self.after[index].resumes(contestant)
        idle = self.idle / self.timed if self.known and self.timed > 0 else None
        return RaceResult(self.lanes, self.rounds, idle, self.failures, [one.fraction for one in self.after])

    def _attempt(self, index: int, action: Callable[[Sequence[Contestant]], T]) -> T | None:
        """Runs one step of one contestant; its failure takes it out of the race and leaves the others in."""
        try:
            return action(self.alive[index])
        except Exception as error:  # noqa: BLE001 whatever goes wrong here is this contestant's; the others go on
            self.failures[index] = as_failure(error)
            del self.alive[index]
            self.running.discard(index)
            return None


def kept_waiting(waited: float | None, used: float | None, elapsed: float, cores: int) -> float | None:
    """Seconds for which others kept a worker's threads from a core, or None if unknown.

    Threads of one process wait for each other as well: of two that take turns on one core one always waits. That is
    the program's own affair, and shows in the CPU time that it used. Only what its cores offered and it did not use
    can others have taken: min(waited, cores * elapsed - used).

    Args:
        waited: seconds that its threads were ready to run and had no core, summed over them.
        used: their CPU seconds.
        elapsed: seconds by the clock.
        cores: that the worker may use.
    """
    if waited is None or used is None:
        return None
    return min(waited, max(cores * elapsed - used, 0.0))


def _difference(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before


class AfterBlocks:
    """What the processes of a contestant do between the end of a block and their next request, whoever makes it."""

    def __init__(self) -> None:
        self._since: dict[int, float | None] = {}
        self._cpu, self._seconds, self._gaps, self._known = 0.0, 0.0, 0, True

    def ends(self, contestant: Contestant, seconds: float) -> None:
        """A block of that many seconds has ended."""
        self._since[contestant.worker] = contestant.cpu_seconds()
        self._seconds += seconds

    def resumes(self, contestant: Contestant) -> None:
        """It is about to be asked something."""
        if contestant.worker not in self._since:
            return
        before, now = self._since.pop(contestant.worker), contestant.cpu_seconds()
        self._known = self._known and before is not None and now is not None
        self._cpu += (now or 0.0) - (before or 0.0)
        self._gaps += 1

    @property
    def fraction(self) -> float | None:
        """CPU seconds per second of block; None if unknown, 0 below a millisecond per block."""
        if not self._known or not self._gaps:
            return None
        return self._cpu / self._seconds if self._cpu > MIN_IDLE_SECONDS * self._gaps else 0.0


def _untimed(contestant: Contestant, seeds: Iterator[int], calls: int) -> float:
    """Seconds of a block that does not count."""
    contestant.prepare(next(seeds), calls)
    return contestant.time(calls)
