"""A framework with a worker of its own, such as Julia's, against the contract: all that its replies show.

The worker is asked as in a run, by the protocol of `pipelines/workers/protocol.py`. What it does inside one request,
such as writing on its inputs, no reply shows.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.config.configuration import Configuration
from pipelines.contract.answers import Answer, NotHere, gate_seeds, is_random
from pipelines.contract.cell import other_precision, same
from pipelines.plan.cells import Cell
from pipelines.race.program import DataFiles, Outputs, Program, stacked
from pipelines.race.timed_calls import TimedCalls, facts, late_failure
from pipelines.race.timing import ContestantFailure, gate_seed
from pipelines.workers.client import WorkerClient
from pipelines.workers.pool import WorkerPool
from studies.base import Problem

CALLS = 3
"""Of a timed block."""


def ask_worker(
    configuration: Configuration, framework: str, cells: Sequence[Cell], problems: Sequence[Problem], folder: Path
) -> list[Answer]:
    """What the framework's own worker shows of each program.

    Raises:
        NotHere: the worker says that the system cannot run on this machine.
    """
    description = configuration.tree.describe(framework)
    answers = []
    with WorkerPool(folder, say=lambda line: None) as pool:  # it tells who else disturbs times, and none are kept here
        files = DataFiles(folder)
        for index, (cell, problem) in enumerate(zip(cells, problems, strict=True)):
            answer = Answer()
            answers.append(answer)
            try:
                client = pool.get(description, configuration, cell.dtype)
            except ContestantFailure as failure:
                if failure.status == "skipped":
                    raise NotHere(failure.reason) from None
                answer.broken.append(("protocol", failure.reason))
                continue
            program = Program(client, f"program_{index}", configuration.limits, folder / f"outputs_{index}")
            conversation = _Conversation(client, program, cell, is_random(configuration, cell), answer)
            conversation.hold(configuration.tree.model_path(cell.study, description), files.paths(problem.data))
    return answers


class _Broken(Exception):
    """A rule does not hold, and without it the others cannot be looked at."""

    def __init__(self, rule: str, text: str):
        super().__init__(text)
        self.rule = rule


class _Conversation:
    """The requests about one program."""

    def __init__(self, client: WorkerClient, program: Program, cell: Cell, is_random: bool, answer: Answer):
        self.client, self.program, self.cell, self.answer = client, program, cell, answer
        self.is_random = is_random

    def hold(self, model: Path, data: dict[str, str]) -> None:
        """Asks everything, and fills the answer."""
        try:
            first = self._built(model, data)
            for step in (lambda: self._seeds(first), self._block, self._judged, self._forget):
                try:
                    step()
                except _Broken as broken:
                    if not self.client.alive:
                        raise
                    self.answer.broken.append((broken.rule, str(broken)))
        except _Broken as broken:
            self.answer.broken.append((broken.rule, str(broken)))
        except ContestantFailure as failure:  # `_rule` lets skips through
            self.answer.skipped = failure.reason

    def _built(self, model: Path, data: dict[str, str]) -> Outputs:
        with self._rule("runs"):
            reply = self.program.build(self.cell, self.cell.function, model, data)
            self._digests = self.program.gate()["outputs"]
        if not self._digests:
            raise _Broken("outputs", "a call returned no arrays by name")
        with self._rule("outputs"):
            first = self.program.outputs(self._digests)
        wanted = str(reply["notes"].get("dtype", self.cell.dtype))
        if wrong := other_precision(first, wanted):
            self.answer.broken.append(("dtype", wrong))
        return first

    def _seeds(self, first: Outputs) -> None:
        seed = self.cell.seed
        if not same(first, self._call(seed)):
            self.answer.broken.append(("repeatable", f"two calls with seed {seed} gave different outputs"))
        if self.is_random and same(first, self._call(seed + 1)):
            self.answer.broken.append(("seed", f"seeds {seed} and {seed + 1} gave the same outputs"))

    def _block(self) -> None:
        """Timed calls, as a race looks at them: each with random state of its own, and there when the clock stops."""
        seen = TimedCalls(self._digests, self.is_random)
        limits = self.program.limits
        for keep in (0, 1):
            seed = gate_seed(self.cell.seed, len(gate_seeds(self.cell)) + 1 + keep)
            with self._rule("runs"):
                prepared = self.program.prepare(seed, CALLS)
                handle = self.program.handle
                reply = self.client.request("time", limits.block_seconds, handle=handle, calls=CALLS, keep=keep)
            with self._rule("fresh"):
                seen.look(reply, CALLS, keep, float(prepared["seconds"]))
            if keep == 0 or self.client.hello["repeatable"]:
                with self._rule("runs"):
                    again = self.program.gate(seed=seed, call=keep)
                with self._rule("repeatable"):
                    seen.repeated(reply["kept"], again["outputs"], float(again["first_call_s"]))
        late = late_failure(facts([seen]))
        if late is not None:
            self.answer.broken.append(("synchronize", late.reason))

    def _judged(self) -> None:
        with self._rule("outputs"):
            self.answer.outputs = stacked(self._call(seed) for seed in gate_seeds(self.cell))

    def _forget(self) -> None:
        with self._rule("protocol"):
            self.program.forget()

    def _call(self, seed: int) -> Outputs:
        with self._rule("runs"):
            return self.program.call(seed)

    @contextmanager
    def _rule(self, rule: str) -> Iterator[None]:
        """A failure inside breaks this rule; if the worker was ended for it, that of the protocol."""
        try:
            yield
        except ContestantFailure as failure:
            if failure.status == "skipped":
                raise
            raise _Broken(rule if self.client.alive else "protocol", failure.reason) from None
