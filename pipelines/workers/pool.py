"""The workers of a run: started when first needed, kept, prepared beside each other, ended."""

import itertools
import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import psutil

from pipelines.config.configuration import Configuration
from pipelines.plan.tree import FrameworkDescription, Tree
from pipelines.race.timing import ContestantFailure
from pipelines.workers import guardian, processes, protocol
from pipelines.workers.client import WorkerClient
from pipelines.workers.cores import Cores

Prepared = TypeVar("Prepared")


class WorkerPool:
    """Persistent workers, one per (framework, device, dtype, cores, instance), started when first needed.

    A context: at its end no worker is left, nor any process that one of them started, and if this process is killed,
    its guardian sees to that and removes the scratch folder.
    """

    def __init__(self, scratch: Path, say: Callable[[str], None] = print):
        self.scratch = scratch
        self.mark = processes.new_mark()
        self.cores = Cores(say)
        self._workers: dict[tuple, WorkerClient] = {}
        self._broken: dict[tuple, ContestantFailure] = {}
        self._started: list[WorkerClient] = []
        self._count = itertools.count()
        self._ending = False
        # They live as long as the pool: Linux takes the end of the thread that started a worker for the parent's.
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="prepare")

    def get(
        self,
        description: FrameworkDescription,
        configuration: Configuration,
        dtype: str,
        instance: Hashable = 0,
        cores: int | None = None,
        tree: Tree | None = None,
        place: Sequence[int] | None = None,
    ) -> WorkerClient:
        """A worker that has said hello; a new one if there is none or the old one died.

        Args:
            instance: tells workers apart that are equal otherwise.
            cores: how many cores it may use; None for all.
            tree: the checkout of its sources, where that is not the configuration's; its `instance` must differ, too.
            place: cores that a new one starts on, as many; None for its own, where it is afterwards in any case.

        Raises:
            ContestantFailure: if it cannot start; "skipped" if it says that it cannot run on the device.
        """
        slot = (description.name, configuration.device, dtype, cores, instance)
        if slot in self._broken:
            raise self._broken[slot]
        worker = self._workers.get(slot)
        if worker is not None and worker.alive:
            return worker
        try:
            worker = self._workers[slot] = self._start(
                description, configuration, dtype, cores, tree or configuration.tree, place
            )
        except ContestantFailure as failure:
            self._broken[slot] = failure  # a framework that cannot start fails its other cells without another try
            raise
        return worker

    def beside(self, prepare: Callable[..., Prepared], processes: Sequence[int], cores: int | None) -> list[Prepared]:
        """`prepare(process, place=cores)` of every process, as many at a time as there are sets of free cores.

        Args:
            prepare: uses a worker of its own.
            cores: as of `get`; with None, one after the other.

        Raises:
            Exception: what the first of them raised, after all have ended.
        """
        with self.cores.borrowed(cores or 0) as places:
            if len(places) < 2 or len(processes) < 2:
                return [prepare(process) for process in processes]
            free: SimpleQueue[list[int]] = SimpleQueue()
            for place in places:
                free.put(place)

            def at_a_free_place(process: int) -> Prepared:
                place = free.get()
                try:
                    return prepare(process, place=place)
                finally:
                    free.put(place)

            futures = [self._threads.submit(at_a_free_place, process) for process in processes]
            try:
                wait(futures)
            finally:
                for future in futures:
                    future.cancel()  # interrupted: no further one starts
            return [future.result() for future in futures]

    @property
    def seconds(self) -> float:
        """Spent in requests to all its workers, ended ones too."""
        return sum(worker.seconds for worker in self._started)

    def release(self, cores: int | None) -> None:
        """Ends workers that are confined to other cores; call it while no program of theirs is needed."""
        self._end(lambda slot, worker: slot[3] != cores)

    def retire(self, after: int) -> None:
        """Ends workers that have built `after` programs; call it while no program of theirs is needed."""
        self._end(lambda slot, worker: worker.programs >= after)

    def _start(
        self,
        description: FrameworkDescription,
        configuration: Configuration,
        dtype: str,
        cores: int | None,
        tree: Tree,
        place: Sequence[int] | None,
    ) -> WorkerClient:
        if self._ending:  # a thread that was waiting for its place when the run was interrupted
            raise ContestantFailure("failed", f"{description.name}: the run has ended")
        log = self.scratch / f"worker_{next(self._count)}_{description.name}.log"
        try:
            mark = f"{self.mark}/{log.stem}"
            chosen = (cores and self.cores.choose(cores)) or None
            worker = WorkerClient(description, tree, configuration.environment, log, chosen, mark)
        except OSError as error:
            raise ContestantFailure("failed", f"{description.name}: cannot start its worker: {error}") from error
        self._started.append(worker)
        limit = max(configuration.limits.start_seconds, description.start_seconds)
        hello_to = {"protocol": protocol.VERSION, "device": configuration.device, "dtype": dtype}
        try:
            with worker.elsewhere(place):
                hello = worker.request("hello", limit, **hello_to)
        except ContestantFailure:
            worker.kill()
            raise
        if hello.get("protocol") != protocol.VERSION:
            worker.kill()
            reason = f"{description.name}: speaks protocol {hello.get('protocol')}, this pipeline {protocol.VERSION}"
            raise ContestantFailure("failed", reason)
        if hello.get("unavailable"):
            worker.close()
            raise ContestantFailure("skipped", hello["unavailable"])  # as a system that is not installed
        worker.hello = hello
        return worker

    def close(self) -> None:
        """Ends every worker."""
        self._end(lambda slot, worker: True)

    def _end(self, is_over: Callable[[tuple, WorkerClient], bool]) -> None:
        """Ends some of the workers, side by side: one with a command of its own may take a while to quit."""
        over = {slot: worker for slot, worker in self._workers.items() if is_over(slot, worker)}
        for slot in over:
            del self._workers[slot]
        for _ in self._threads.map(lambda worker: worker.close(), over.values()):
            pass

    def __enter__(self) -> "WorkerPool":
        self._known = {child.pid for child in psutil.Process().children()}
        self._adopts = processes.adopt_orphans()
        self._guardian = guardian.start(self.mark, [self.scratch])
        self.cores.announce()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._ending = True
            if kind is not None:  # interrupted: a worker in the middle of a long request cannot be asked to quit
                for worker in list(self._started):  # and one that a thread is starting is among no others
                    worker.kill()
            self.close()
            if self._adopts:
                processes.end_strays(self._known | {self._guardian.pid})
                processes.adopt_orphans(False)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self.cores.release()
            guardian.stop(self._guardian)
