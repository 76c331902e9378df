"""The race: contestants timed side by side in rounds, one block each, in random order.

Pairing inside a round cancels the drift of the machine. Two processes of one program differ too (where its memory and
its threads happen to lie), so a contestant may have several: the rounds take them in turn, and
`pipelines.race.statistics` makes its intervals over them. One worker is active at a time, and the CPU time of the idle
ones is read during every block: a thread pool that spins after its call would tax the next contestant. Standard
library, NumPy and `pipelines.race.statistics` only, since the worker imports `time_block` from here.
"""

import itertools
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from pipelines.race import statistics

MAX_CALLS = 2**12
"""Calls in a block at most: each has inputs of its own, which take time and memory."""
ROUNDS_WHATEVER_THE_BUDGET = 3
MIN_IDLE_SECONDS = 1e-3
"""CPU time of a worker after a block that is not worth a word: it writes its reply and waits for the next request."""


@dataclass(frozen=True)
class TimingSettings:
    """How a race is run; see `timing` in `configs/config.yaml` for each."""

    min_block_seconds: float
    warmup_blocks: int
    interval_width: float
    max_idle_fraction: float
    min_rounds: int
    max_rounds: int
    budget_seconds: float
    calls: int | None = None
    processes: int = 1
    cores: int | None = None

    def updated(self, values: Mapping[str, Any]) -> "TimingSettings":
        """A copy with some settings replaced, as a task may do."""
        return replace(self, **values)


class Contestant(Protocol):
    """What a race drives: one prepared program in one worker, one of the processes of a contestant."""

    @property
    def worker(self) -> int:
        """The process; contestants with equal `worker` share one."""

    def prepare(self, seed: int, calls: int) -> None:
        """New inputs for that many calls, untimed; no two calls share theirs."""
        ...

    def time(self, calls: int) -> float:
        """Seconds of a block of that many calls, which are prepared."""
        ...

    def audit(self) -> None:
        """What is to be done about the last block outside the clock: its outputs are looked at."""
        ...

    def cpu_seconds(self) -> float | None:
        """CPU time that the worker has used since it started, or None where the system does not say."""
        ...


class ContestantFailure(Exception):
    """A contestant cannot go on; `status` and `reason` go on its row."""

    def __init__(self, status: str, reason: str, traceback: str | None = None):
        super().__init__(reason)
        self.status, self.reason, self.traceback = status, reason, traceback


def as_failure(error: Exception) -> ContestantFailure:
    """The failure that an exception is to the cell that was being prepared, judged or timed."""
    if isinstance(error, ContestantFailure):
        return error
    first = next(iter(str(error).strip().splitlines()), "")[:300]
    status = "oom" if isinstance(error, MemoryError) else "failed"
    text = "".join(traceback.format_exception(error))
    return ContestantFailure(status, f"{type(error).__name__} while it was measured: {first}", text)


@dataclass
class RaceResult:
    """What a race measured.

    Args:
        seconds: (n_rounds, n_contestants) float64, seconds of one call (block / calls); NaN columns for the failed.
        processes: (n_rounds,) int, which of each contestant's processes was timed in a round.
        calls: calls per block of each contestant.
        idle_fraction: CPU seconds of idle workers per second of timed block, or None if unknown.
        stop: "interval" (every ratio is narrow enough), "budget", "rounds" (the most that were allowed) or "alone"
            (no contestant is left).
        failures: by contestant index.
        idle_after: of each contestant, CPU seconds that its processes used between the end of a block and their next
            request, over the seconds of its blocks; None if unknown.
    """

    seconds: np.ndarray
    processes: np.ndarray
    calls: list[int]
    idle_fraction: float | None
    stop: str
    failures: dict[int, ContestantFailure] = field(default_factory=dict)
    idle_after: list[float | None] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """What a timed block gave.

    Args:
        seconds: of all its calls.
        kept: outputs of the call that was asked for.
        last: outputs of the last call.
    """

    seconds: float
    kept: Any
    last: Any


def time_block(
    run: Callable[[Any], Any],
    synchronize: Callable[[Any], None],
    inputs: Sequence[Any],
    keep: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Block:
    """Calls `run` on each of the inputs, awaiting each in full. The harness owns clock and synchronisation.

    Args:
        run: the program.
        synchronize: waits for its outputs.
        inputs: of each call.
        keep: the call whose outputs are held on to, from 0.
        clock: read before the first call and after the last.
    """
    kept = outputs = None
    start = clock()
    for index, one in enumerate(inputs):
        outputs = run(one)
        synchronize(outputs)
        if index == keep:
            kept = outputs
    return Block(clock() - start, kept, outputs)


def calibrate(time_calls: Callable[[int], float], min_block_seconds: float) -> int:
    """The number of calls in a block that lasts at least `min_block_seconds`; one if a call is longer.

    Grows the block by what the last one suggests, at least doubling, until one was measured to be long enough.
    """
    calls = 1
    while True:
        elapsed = time_calls(calls)
        if elapsed >= min_block_seconds or calls >= MAX_CALLS:
            return calls
        suggested = math.ceil(1.1 * calls * min_block_seconds / elapsed) if elapsed > 0 else MAX_CALLS
        calls = min(max(2 * calls, min(suggested, 100 * calls)), MAX_CALLS)


def round_seed(seed: int, index: int) -> int:
    """The seed of round `index`: the same for all contestants, below 2**31."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) >> 1


def warm_up_seed(seed: int, index: int) -> int:
    """The seed of a block that does not count, below 2**31 and none of `round_seed`."""
    return int(np.random.SeedSequence([seed, index, 2]).generate_state(1)[0]) >> 1


def gate_seed(seed: int, index: int) -> int:
    """The seed of a further call at the gate, below 2**31 and none of `round_seed`."""
    return int(np.random.SeedSequence([seed, index, 1]).generate_state(1)[0]) >> 1


def run_race(
    contestants: Sequence[Sequence[Contestant]],
    baseline: int | None,
    settings: TimingSettings,
    seed: int,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[int, float], None] = lambda rounds, spent: None,
) -> RaceResult:
    """Times contestants against each other until every ratio is known well enough.

    Args:
        contestants: the prepared program of each in its processes, equally many of each; the rounds take them in turn.
        baseline: index of the one that ratios refer to; without it each one's own median decides when to stop.
        settings: block length, rounds, interval width, budget.
        seed: of the order within rounds, of the rounds' inputs and of the bootstrap.
        clock: for the budget, which counts timed blocks only.
        progress: called after every round with rounds done and seconds spent.
    """
    alive: dict[int, Sequence[Contestant]] = dict(enumerate(contestants))
    failures: dict[int, ContestantFailure] = {}
    calls = [1] * len(contestants)
    n_processes = len(contestants[0])
    for index in list(alive):
        _attempt(index, alive, failures, partial(_warm_up, index=index, calls=calls, settings=settings, seed=seed))
    order = np.random.default_rng([seed, len(contestants)])
    rows: list[np.ndarray] = []
    idle, timed, spent, known = 0.0, 0.0, 0.0, True
    after = [AfterBlocks() for _ in contestants]
    stop = "rounds"
    while alive and len(rows) < settings.max_rounds:
        row = np.full(len(contestants), np.nan)
        for index in order.permutation(len(contestants)).tolist():
            if index not in alive:
                continue
            block = partial(
                _block,
                process=len(rows) % n_processes,
                after=after[index],
                everybody=[one for processes in alive.values() for one in processes],
                seed=round_seed(seed, len(rows) + 1),
                calls=calls[index],
                clock=clock,
            )
            seconds = _attempt(index, alive, failures, block)
            if seconds is None:
                continue
            own, idle_cpu, elapsed = seconds
            row[index] = own / calls[index]
            spent += elapsed
            timed += own
            known = known and idle_cpu is not None
            idle += idle_cpu or 0.0
        rows.append(row)
        progress(len(rows), spent)
        if not alive:
            break
        if len(rows) % n_processes:
            continue  # equally many rounds of each process
        if len(rows) >= settings.min_rounds and _narrow(
            np.array(rows), _turns(len(rows), n_processes), list(alive), baseline, settings.interval_width, seed
        ):
            stop = "interval"
            break
        if len(rows) >= min(settings.min_rounds, ROUNDS_WHATEVER_THE_BUDGET) and spent >= settings.budget_seconds:
            stop = "budget"
            break
    if not alive:
        stop = "alone"
    seconds_of = np.array(rows).reshape(len(rows), len(contestants))
    for index in failures:
        seconds_of[:, index] = np.nan
    for index, processes in alive.items():
        for contestant in processes:
            after[index].resumes(contestant)
    idle_fraction = idle / timed if known and timed > 0 else None
    idle_after = [one.fraction for one in after]
    return RaceResult(seconds_of, _turns(len(rows), n_processes), calls, idle_fraction, stop, failures, idle_after)


class AfterBlocks:
    """What the processes of a contestant do between the end of a block and their next request."""

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


def _turns(n_rounds: int, n_processes: int) -> np.ndarray:
    """The process of each round."""
    return np.arange(n_rounds) % n_processes


def _warm_up(
    processes: Sequence[Contestant], index: int, calls: list[int], settings: TimingSettings, seed: int
) -> None:
    for contestant in processes:
        seeds = (warm_up_seed(seed, number) for number in itertools.count())
        if contestant is processes[0]:  # blocks of equally many calls in each
            calls[index] = settings.calls or calibrate(partial(_untimed, contestant, seeds), settings.min_block_seconds)
        for _ in range(settings.warmup_blocks):
            _untimed(contestant, seeds, calls[index])


def _untimed(contestant: Contestant, seeds: Iterator[int], calls: int) -> float:
    """Seconds of a block that does not count."""
    contestant.prepare(next(seeds), calls)
    return contestant.time(calls)


def _block(
    processes: Sequence[Contestant],
    process: int,
    everybody: Sequence[Contestant],
    seed: int,
    calls: int,
    clock: Callable[[], float],
    after: "AfterBlocks",
) -> tuple[float, float | None, float]:
    contestant = processes[process]
    after.resumes(contestant)
    others = {one.worker: one for one in everybody if one.worker != contestant.worker}
    contestant.prepare(seed, calls)
    before = {worker: one.cpu_seconds() for worker, one in others.items()}
    start = clock()
    seconds = contestant.time(calls)
    elapsed = clock() - start
    now = {worker: one.cpu_seconds() for worker, one in others.items()}
    contestant.audit()
    after.ends(contestant, seconds)
    idle = 0.0
    for worker, first in before.items():
        last = now[worker]
        if first is None or last is None:
            return seconds, None, elapsed
        idle += last - first
    return seconds, idle, elapsed


def _attempt(
    index: int,
    alive: dict[int, Sequence[Contestant]],
    failures: dict[int, ContestantFailure],
    action: Callable[[Sequence[Contestant]], Any],
) -> Any:
    """Runs one step of one contestant; its failure takes it out of the race and leaves the others in."""
    try:
        return action(alive[index])
    except Exception as error:  # noqa: BLE001 whatever goes wrong here is this contestant's; the others go on
        failures[index] = as_failure(error)
        del alive[index]
        return None


def _narrow(
    seconds: np.ndarray, processes: np.ndarray, alive: list[int], baseline: int | None, width: float, seed: int
) -> bool:
    for index in alive:
        if index == baseline and len(alive) > 1:
            continue
        if baseline is None or baseline not in alive or index == baseline:
            summary = statistics.median_interval(seconds[:, index], seed, processes)
        else:
            summary = statistics.ratio_interval(seconds[:, index], seconds[:, baseline], seed, processes)
        if not summary.width <= width * summary.value:
            return False
    return True
