"""What a race is made of: its settings, what it drives, a timed block of calls, and the seeds.

Standard library and NumPy only, since the worker imports `time_block` from here. `heats.py` runs the race.
"""

import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

MAX_CALLS = 2**12
"""Calls in a block at most: each has inputs of its own, which take time and memory."""

LONG_CALL_SECONDS = 1.0
"""Calls that last longer are repeated only where that tells something new."""


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

    @property
    def seconds_at_gate(self) -> float | None:
        """Seconds of its latest call at the gate; None if that was its first, which may have compiled."""

    def prepare(self, seed: int, calls: int) -> None:
        """New inputs for that many calls, untimed; no two calls share theirs."""
        ...

    def time(self, calls: int) -> float:
        """Seconds of a block of that many calls, which are prepared."""
        ...

    def waited_seconds(self) -> float | None:
        """Seconds that the worker's threads have waited for a core, or None where the system does not say."""
        ...

    def audit(self) -> None:
        """What is to be done about the last block outside the clock: its outputs are looked at."""
        ...

    @property
    def usable_cores(self) -> int:
        """How many cores the worker may use."""

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


def wave_seed(seed: int, index: int) -> int:
    """The seed of a race's wave `index`, below 2**31; that of the race for the first."""
    return int(np.random.SeedSequence([seed, index, 3]).generate_state(1)[0]) >> 1 if index else seed


def gate_seed(seed: int, index: int) -> int:
    """The seed of a further call at the gate, below 2**31 and none of `round_seed`."""
    return int(np.random.SeedSequence([seed, index, 1]).generate_state(1)[0]) >> 1
