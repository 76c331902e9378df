"""The program of a cell in one of its processes: what a race drives, and what looks at its timed calls."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipelines.race.gate import Judgement
from pipelines.race.program import Outputs, Program
from pipelines.race.timed_calls import TimedCalls
from pipelines.race.timing import LONG_CALL_SECONDS, ContestantFailure
from pipelines.workers.client import WorkerClient


@dataclass
class Replica:
    """One process of an entrant. Drives that worker for the race.

    Args:
        program: in its worker.
        process: its number among the entrant's.
        timed_calls: what was seen of its blocks.
        judge: the whole gate, on the outputs of one call.
        memory: the peaks of host and device memory that the worker last told.
        judged: timed calls that went through the whole gate.
    """

    program: Program
    process: int
    timed_calls: TimedCalls
    judge: Callable[[Outputs], Judgement]
    memory: dict[str, Any] = field(default_factory=dict)
    judged: int = 0
    _blocks: int = 0
    _seed: int = 0
    _keep: int = 0
    _calls: int = 0
    _prepare_s: float = 0.0
    _kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._audit_at = 1 + secrets.randbelow(2)  # one of its first two counted blocks, which the program cannot know

    @property
    def client(self) -> WorkerClient:
        """The worker."""
        return self.program.client

    @property
    def worker(self) -> int:
        """The process that it lives in."""
        return self.client.pid

    @property
    def repeatable(self) -> bool:
        """Whether any timed call can be repeated, and not only the first of a block."""
        return bool(self.client.hello.get("repeatable"))

    @property
    def seconds_at_gate(self) -> float | None:
        """Seconds of its latest call at the gate; None if that was its first."""
        return self.program.seconds_at_gate

    def prepare(self, seed: int, calls: int) -> None:
        """New inputs, untimed."""
        reply = self.program.prepare(seed, calls)
        self._seed, self._prepare_s = seed, float(reply["seconds"])

    def time(self, calls: int) -> float:
        """Seconds of one block; two of its calls are looked at.

        Raises:
            ContestantFailure: "invalid", if they are not what the gate has seen.
        """
        self._keep, self._calls = secrets.randbelow(calls), calls
        if not self.repeatable and self._blocks + 1 == self._audit_at:
            self._keep = 0
        limit, handle = self.program.limits.block_seconds, self.program.handle
        reply = self.client.request("time", limit, handle=handle, calls=calls, keep=self._keep)
        self.memory, self._kept = memory_of(reply), reply["kept"]
        self.timed_calls.look(reply, calls, self._keep, self._prepare_s)
        return float(reply["seconds"])

    def audit(self) -> None:
        """After a block that counts: judges its kept call by the whole gate, if this is the block that was chosen."""
        self._blocks += 1
        if self._blocks == self._audit_at:
            self._judge_kept()

    def finish(self) -> None:
        """After the last block: judges that one, if no other was."""
        if self._blocks and not self.judged:
            self._judge_kept()

    @property
    def usable_cores(self) -> int:
        """How many cores the worker may use."""
        return self.client.usable_cores

    def cpu_seconds(self) -> float | None:
        """CPU time of the worker so far."""
        return self.client.cpu_seconds()

    def waited_seconds(self) -> float | None:
        """Seconds that the worker's threads have waited for a core so far."""
        return self.client.waited_seconds()

    def _judge_kept(self) -> None:
        keep, seed, timed = self._keep, self._seed, self._kept
        judgement = self.judge(self.program.outputs(self._kept))
        self.judged += 1
        if judgement.status == "invalid":
            # A correct program fails its gate once in a thousand calls, so a second timed call has the last word.
            self.prepare(_another(seed), self._calls)
            self.time(self._calls)
            judgement = self.judge(self.program.outputs(self._kept))
        if judgement.status != "ok":
            reason = f"a timed call in process {self.process + 1}: {judgement.reason}"
            raise ContestantFailure(judgement.status, reason, judgement.traceback)
        is_long = self.timed_calls.call_s[-1] > LONG_CALL_SECONDS
        if (self.repeatable or keep == 0) and not (is_long and self.process):
            again = self.program.gate(seed=seed, call=keep)
            self.timed_calls.repeated(timed, again["outputs"], float(again["first_call_s"]))


def memory_of(reply: dict[str, Any]) -> dict[str, Any]:
    """The peaks of host and device memory in a reply."""
    return {name: reply.get(name) for name in ("peak_host_bytes", "peak_device_bytes")}


def _another(seed: int) -> int:
    return (seed + 1) % 2**31
