"""The parent's side of one worker: start, ask with a time limit, move, kill."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.plan.tree import REPOSITORY, FrameworkDescription, Tree
from pipelines.race.timing import ContestantFailure
from pipelines.workers import processes, protocol
from pipelines.workers.channel import MAX_LINE_BYTES, Channel, Ended, Expired, LineTooLong
from pipelines.workers.replies import InvalidReply, Refused, read_reply

ASK_TO_QUIT = "GENJAX_ARTIFACT_ASK_TO_QUIT"
"""Variable of those who want every worker to end by itself, such as a counter of lines, which writes when it ends."""
DEATH_SECONDS = 2.0
"""How long a process that closed its output may take to end."""


class WorkerClient:
    """One running worker. Every failure of it, or of a request, is a `ContestantFailure` with a status and a reason.

    Args:
        cores: confines it to these cores, so that its libraries find no others; None for all.
        mark: tells its processes from all others; see `pipelines.workers.processes`.
    """

    seconds = 0.0
    """Spent in requests so far: starting, preparing, gating and timing."""

    def __init__(
        self,
        description: FrameworkDescription,
        tree: Tree,
        environment: Mapping[str, str],
        log: Path,
        cores: Sequence[int] | None = None,
        mark: str | None = None,
    ):
        self.label = description.name
        self.log = log
        self.programs = 0
        self.hello: dict[str, Any] = {}
        self._mark = mark or processes.new_mark()
        self._is_asked_to_quit = bool(description.command) or ASK_TO_QUIT in os.environ
        command = list(description.command) or [sys.executable, "-m", "pipelines.workers.worker"]
        variables = {**os.environ, **environment, **dict(description.environment), processes.MARK: self._mark}
        variables["PYTHONPATH"] = os.pathsep.join(import_path(tree.harness, os.environ.get("PYTHONPATH", "")))
        self._memory_kills = processes.memory_kills()
        with log.open("wb") as errors, confined(cores) as self.confined:
            self.process = subprocess.Popen(
                [*command, "--framework", description.name, "--root", str(tree.home_of(description.name))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=variables,
                cwd=tree.home_of(description.name),
                start_new_session=True,  # Ctrl-C is the parent's to handle; a kill takes the worker's children along
            )
        self.cores = sorted(cores) if cores is not None and self.confined else None
        self._channel = Channel(self.process)
        self._ids = itertools.count(1)
        self._ended = False

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return not self._ended and self.process.poll() is None

    def request(self, operation: str, limit_seconds: float, **fields: Any) -> dict[str, Any]:
        """Sends one request and waits for its reply, whose fields are checked against `pipelines.workers.replies`.

        Raises:
            ContestantFailure: "timeout" past the limit (the worker is killed), "failed" if it died or its reply is not
                one (killed), or the status that it replied.
        """
        identifier = next(self._ids)
        message = protocol.encode({"id": identifier, "op": operation, **fields}).encode()
        kind = "renew" if operation == "prepare" and "model" not in fields else operation
        start = time.monotonic()
        try:
            if self._ended:
                raise Ended
            line = self._channel.exchange(message, limit_seconds)
            reply = read_reply(line, identifier, kind)
            _possible(reply, kind, time.monotonic() - start)
            return reply
        except Ended:
            raise self._died(operation) from None
        except Expired:
            reason = f"`{operation}` took longer than its limit of {limit_seconds:g} s"
            raise self._killed("timeout", reason) from None
        except LineTooLong:
            reason = f"wrote more than {MAX_LINE_BYTES >> 20} MiB instead of a reply to `{operation}`"
            raise self._killed("failed", reason) from None
        except InvalidReply as error:
            raise self._killed("failed", str(error)) from None
        except Refused as error:
            refusal = error.refusal
            raise ContestantFailure(refusal.status, refusal.reason, refusal.traceback) from None
        finally:
            if operation != "quit":
                self.seconds += time.monotonic() - start

    def cpu_seconds(self) -> float | None:
        """CPU time that all threads of the worker have used, ended ones too, or None where the system does not say."""
        if sys.platform != "linux":
            return None
        try:
            return time.clock_gettime_ns((~self.pid << 3) | 2) * 1e-9  # clock_getcpuclockid(3) of that process
        except OSError:  # it has ended
            return None

    @property
    def usable_cores(self) -> int:
        """How many cores the worker may use now; those of the machine once it has ended."""
        try:
            return len(os.sched_getaffinity(self.pid))
        except (AttributeError, OSError):  # not Linux, or it has ended
            return os.cpu_count() or 1

    @contextlib.contextmanager
    def elsewhere(self, place: Sequence[int] | None) -> Iterator[None]:
        """For the time of this context the worker runs on other cores, as many as its own; None leaves it where it is.

        Raises:
            ContestantFailure: it cannot be moved there, or back.
        """
        if place is None or self.cores is None:
            yield
            return
        self._move(place)
        try:
            yield
        finally:
            if self.alive:
                self._move(self.cores)

    def _move(self, cores: Iterable[int]) -> None:
        """All its threads; again until none is left elsewhere, since one may have started another meanwhile."""
        wanted = set(cores)
        try:
            while threads := [one for one in self._threads() if os.sched_getaffinity(one) != wanted]:
                for thread in threads:
                    with contextlib.suppress(ProcessLookupError):
                        os.sched_setaffinity(thread, wanted)
        except OSError as error:
            raise ContestantFailure(
                "failed", f"{self.label}: cannot move to the cores {sorted(wanted)}: {error}"
            ) from error

    def _threads(self) -> Iterator[int]:
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            yield int(task.name)

    def waited_seconds(self) -> float | None:
        """Seconds that the worker's threads have waited for a core to run on, or None where the system does not say."""
        total = 0
        try:
            for task in Path(f"/proc/{self.pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
                    total += int((task / "schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return None
        return total * 1e-9

    def kill(self) -> None:
        """Ends the worker and every process that it started, at once."""
        if not self._ended:
            processes.end_tree(self.process, self._mark)
            self._channel.close()
            self._ended = True

    def close(self, limit_seconds: float = 5.0) -> None:
        """Ends the worker and what it left behind. One that has a command of its own is asked to quit before.

        Ours hold nothing that must be saved, and an interpreter with large libraries takes half a second to end.
        """
        if self._is_asked_to_quit and self.alive:
            with contextlib.suppress(ContestantFailure, subprocess.TimeoutExpired):
                self.request("quit", limit_seconds)
                self.process.wait(limit_seconds)
        self.kill()

    def _killed(self, status: str, reason: str) -> ContestantFailure:
        self.kill()
        return ContestantFailure(status, f"{self.label}: {reason}; worker killed", self._tail())

    def _died(self, operation: str) -> ContestantFailure:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(DEATH_SECONDS)
        code = self.process.poll()
        self.kill()
        if code is None:
            reason = f"{self.label}: the worker closed its output during `{operation}`; worker killed"
            return ContestantFailure("failed", reason, self._tail())
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with status {code}"
        status, hint = "failed", ""
        if code == -signal.SIGKILL and processes.memory_kills() > self._memory_kills:
            status, hint = "oom", ": the memory that its cgroup allows is used up"
        elif code == -signal.SIGKILL:
            hint = " (the system may have run out of memory)"
        tail = self._tail()
        last = _last_words(tail)
        said = f"; its last words: {last}" if last else ""
        return ContestantFailure(status, f"{self.label}: the worker {how} during `{operation}`{hint}{said}", tail)

    def _tail(self) -> str | None:
        """The last lines of the log, from its last 64 KiB."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 2**16))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return None
        return "\n".join(lines[-20:]) or None


def _last_words(log: str | None) -> str | None:
    """The line of a log that most likely names the cause: the last one that is not indented, cut to 200 characters."""
    lines = [line for line in (log or "").splitlines() if line.strip() and not line.startswith((" ", "\t"))]
    return lines[-1].strip()[:200] if lines else None


def _possible(reply: Mapping[str, Any], kind: str, elapsed: float) -> None:
    """Refuses a duration that is longer than the request took by this process's clock.

    Raises:
        InvalidReply: naming both.
    """
    claimed = {"time": "seconds", "gate": "first_call_s"}.get(kind)
    if claimed is not None and reply[claimed] > 1.02 * elapsed + 0.01:  # clocks of two processes, one of them slewed
        raise InvalidReply(f"replied to `{kind}` with `{claimed}` = {reply[claimed]:g}, but it took {elapsed:.3g} s")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal


def import_path(harness: Path, callers: str) -> list[str]:
    """The folders that a worker imports from: the checkout of its harness, then the caller's except this checkout."""
    others = [name for name in callers.split(os.pathsep) if name and Path(name) != REPOSITORY]
    return [str(harness), *others]


@contextlib.contextmanager
def confined(cores: int | Sequence[int] | None) -> Iterator[bool]:
    """Lets the calling thread, and with it the processes that it starts, run on some cores only.

    Args:
        cores: which ones, or how many: then the last usable ones.

    Yields:
        Whether that was done: False without `cores`, on systems that have no such call (other than Linux), and where
        the system refuses it, as some containers do.
    """
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield False
        return
    usable = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, sorted(usable)[-cores:] if isinstance(cores, int) else cores)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setaffinity(0, usable)
