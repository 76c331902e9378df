"""The parent's side of a worker: start, ask with a time limit, kill, restart."""

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.config.configuration import Configuration
from pipelines.plan.tree import REPOSITORY, FrameworkDescription, Tree
from pipelines.race.timing import ContestantFailure
from pipelines.workers import protocol


class WorkerClient:
    """One running worker. Every failure of it, or of a request, is a `ContestantFailure` with a status and a reason.

    Args:
        cores: confines it to that many cores, so that its libraries find no others; None for all.
    """

    def __init__(
        self,
        description: FrameworkDescription,
        tree: Tree,
        environment: Mapping[str, str],
        log: Path,
        cores: int | None = None,
    ):
        self.label = description.name
        self.log = log
        self.programs = 0
        self.hello: dict[str, Any] = {}
        command = list(description.command) or [sys.executable, "-m", "pipelines.workers.worker"]
        variables = {**os.environ, **environment, **dict(description.environment)}
        variables["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH", "")])])
        with log.open("wb") as errors, confined(cores) as self.confined:
            self.process = subprocess.Popen(
                [*command, "--framework", description.name, "--root", str(tree.root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=variables,
                cwd=tree.root,
                start_new_session=True,  # Ctrl-C is the parent's to handle; a kill takes the worker's children along
            )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._ids = itertools.count(1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def request(self, operation: str, limit_seconds: float, **fields: Any) -> dict[str, Any]:
        """Sends one request and waits for its reply.

        Raises:
            ContestantFailure: "timeout" past the limit (the worker is killed), "failed" if it died or printed junk
                (killed), or the status that it replied.
        """
        identifier = next(self._ids)
        message = protocol.encode({"id": identifier, "op": operation, **fields}) + "\n"
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(message.encode())
            self.process.stdin.flush()
        except OSError:
            raise self._died(operation) from None
        try:
            line = self._lines.get(timeout=limit_seconds)
        except queue.Empty:
            self.kill()
            reason = f"{self.label}: `{operation}` took longer than its limit of {limit_seconds:g} s; worker killed"
            raise ContestantFailure("timeout", reason, self._tail()) from None
        if line is None:
            raise self._died(operation)
        return self._reply(line, identifier, operation)

    def cpu_seconds(self) -> float | None:
        """CPU time that all threads of the worker have used, ended ones too, or None where the system does not say."""
        if sys.platform != "linux":
            return None
        try:
            return time.clock_gettime_ns((~self.pid << 3) | 2) * 1e-9  # clock_getcpuclockid(3) of that process
        except OSError:  # it has ended
            return None

    def kill(self) -> None:
        """Ends the worker and its children at once."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.killpg(self.process.pid, signal.SIGKILL)
        self._release()

    def close(self, limit_seconds: float = 5.0) -> None:
        """Asks the worker to quit; kills it if it does not."""
        if self.alive:
            try:
                self.request("quit", limit_seconds)
                self.process.wait(limit_seconds)
            except (ContestantFailure, subprocess.TimeoutExpired):
                self.kill()
        self._release()

    def _release(self) -> None:
        self.process.wait()
        self._reader.join(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # an unsent request to a dead worker
                    stream.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _reply(self, line: bytes, identifier: int, operation: str) -> dict[str, Any]:
        try:
            reply = protocol.decode(line.decode())
            expected = reply.get("id") == identifier and isinstance(reply.get("ok"), bool)
        except ValueError:
            expected = False
        if not expected:
            self.kill()
            reason = f"{self.label}: printed a line that is not a reply to `{operation}`: {line[:80]!r}; worker killed"
            raise ContestantFailure("failed", reason, self._tail())
        if not reply["ok"]:
            status = reply.get("status") if reply.get("status") in ("failed", "oom", "skipped") else "failed"
            raise ContestantFailure(str(status), str(reply.get("reason")), reply.get("traceback"))
        return reply

    def _died(self, operation: str) -> ContestantFailure:
        code = self.process.wait()
        self._release()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        hint = " (the system may have run out of memory)" if code == -signal.SIGKILL else ""
        return ContestantFailure("failed", f"{self.label}: the worker {how} during `{operation}`{hint}", self._tail())

    def _tail(self) -> str | None:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-20:]) or None


@contextlib.contextmanager
def confined(cores: int | None) -> Iterator[bool]:
    """Lets the calling thread, and with it the processes that it starts, run on the last `cores` usable cores only.

    Yields:
        Whether that was done: False without `cores`, and on systems that have no such call (other than Linux).
    """
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield False
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[-cores:])
    try:
        yield True
    finally:
        os.sched_setaffinity(0, usable)


class WorkerPool:
    """Persistent workers, one per (framework, device, dtype, cores, instance), started when first needed."""

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self._workers: dict[tuple, WorkerClient] = {}
        self._broken: dict[tuple, ContestantFailure] = {}
        self._count = itertools.count()

    def get(
        self,
        description: FrameworkDescription,
        configuration: Configuration,
        dtype: str,
        instance: Hashable = 0,
        cores: int | None = None,
    ) -> WorkerClient:
        """A worker that has said hello; a new one if there is none or the old one died.

        Args:
            instance: tells workers apart that are equal otherwise.
            cores: see `WorkerClient`.

        Raises:
            ContestantFailure: if it cannot start, or cannot run on the device.
        """
        slot = (description.name, configuration.device, dtype, cores, instance)
        if slot in self._broken:
            raise self._broken[slot]
        worker = self._workers.get(slot)
        if worker is not None and worker.alive:
            return worker
        try:
            worker = self._workers[slot] = self._start(description, configuration, dtype, cores)
        except ContestantFailure as failure:
            self._broken[slot] = failure  # a framework that cannot start fails its other cells without another try
            raise
        return worker

    def release(self, cores: int | None) -> None:
        """Ends workers that are confined to other cores; call it while no program of theirs is needed."""
        for slot, worker in list(self._workers.items()):
            if slot[3] != cores:
                worker.close()
                del self._workers[slot]

    def retire(self, after: int) -> None:
        """Ends workers that have built `after` programs; call it while no program of theirs is needed."""
        for slot, worker in list(self._workers.items()):
            if worker.programs >= after:
                worker.close()
                del self._workers[slot]

    def _start(
        self, description: FrameworkDescription, configuration: Configuration, dtype: str, cores: int | None
    ) -> WorkerClient:
        log = self.scratch / f"worker_{next(self._count)}_{description.name}.log"
        try:
            worker = WorkerClient(description, configuration.tree, configuration.environment, log, cores)
        except OSError as error:
            raise ContestantFailure("failed", f"{description.name}: cannot start its worker: {error}") from error
        limit = max(configuration.limits.start_seconds, description.start_seconds)
        try:
            hello = worker.request("hello", limit, protocol=protocol.VERSION, device=configuration.device, dtype=dtype)
        except ContestantFailure:
            worker.kill()
            raise
        if hello.get("protocol") != protocol.VERSION:
            worker.kill()
            reason = f"{description.name}: speaks protocol {hello.get('protocol')}, this pipeline {protocol.VERSION}"
            raise ContestantFailure("failed", reason)
        if hello.get("unavailable"):
            worker.close()
            raise ContestantFailure("failed", f"{description.name}: {hello['unavailable']}")
        worker.hello = hello
        return worker

    def close(self) -> None:
        """Ends every worker."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # interrupted: a worker in the middle of a long request cannot be asked to quit
            for worker in self._workers.values():
                worker.kill()
        self.close()
