"""How a cell is admitted to its race: prepared in its processes, called once in each, judged."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.configuration import Configuration
from pipelines.plan import forms
from pipelines.plan.cells import Cell, settings_of
from pipelines.plan.plan import PlannedCell, Problems
from pipelines.race import gate, timed_calls
from pipelines.race.program import DataFiles, Outputs, Program, stacked
from pipelines.race.replica import Replica, memory_of
from pipelines.race.timed_calls import TimedCalls
from pipelines.race.timing import ContestantFailure, gate_seed
from pipelines.workers.pool import WorkerPool
from studies.base import Problem


@dataclass
class Entrant:
    """One cell, prepared in its processes, called once in each, judged.

    Args:
        replicas: one per process that has passed its gate.
        programs: that workers hold for it, whether they have passed or not.
        facts: what goes on the record: phases, cost, memory, notes, versions.
        first: outputs of the very first call.
        outputs: of the calls of the first process that are judged together.
    """

    planned: PlannedCell
    replicas: list[Replica] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    first: dict[str, np.ndarray] = field(default_factory=dict)
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    diagnostics: dict[str, float] = field(default_factory=dict)

    def memory(self) -> dict[str, Any]:
        """The highest peaks of any of its processes."""
        names = list(self.replicas[0].memory)
        told = {name: [r.memory[name] for r in self.replicas if r.memory.get(name) is not None] for name in names}
        return {name: max(values, default=None) for name, values in told.items()}

    def has_seen(self, outputs: dict[str, np.ndarray]) -> bool:
        """Whether outputs are bitwise those of the very first call."""
        return outputs.keys() == self.first.keys() and all(
            array.dtype == self.first[name].dtype
            and array.shape == self.first[name].shape
            and array.tobytes() == self.first[name].tobytes()
            for name, array in outputs.items()
        )


@dataclass
class _Called:
    """A process of an entrant whose program was built and called.

    Args:
        model: the file of its program.
        built: the reply to building it.
        first: the reply to the first call.
        outputs: of each call so far.
    """

    process: int
    program: Program
    model: Path
    built: dict[str, Any]
    first: dict[str, Any]
    outputs: list[Outputs]

    def again(self, cell: Cell) -> None:
        """As many calls as the gate of the cell judges together."""
        more = range(len(self.outputs), cell.gate_calls or 1)
        self.outputs += [self.program.call(gate_seed(cell.seed, index)) for index in more]


class Admission:
    """Admits entrants, whose programs live in the workers of one pool.

    Args:
        problems: data and truth.
        pool: workers.
        scratch: folder for arrays on their way.
    """

    def __init__(self, problems: Problems, pool: WorkerPool, scratch: Path):
        self.problems, self.pool, self.scratch = problems, pool, scratch
        self._handles = itertools.count()
        self._data = DataFiles(scratch)
        self._judging = 0.0
        self._overlap = 0.0
        """Seconds of requests to workers while another request was under way."""

    @property
    def working(self) -> float:
        """Seconds spent in requests to workers, and judging."""
        return self.pool.seconds - self._overlap + self._judging

    def join(self, entrant: Entrant, processes: range, configuration: Configuration) -> None:
        """Processes of an entrant: prepared, called, judged. The first one's facts go on the record.

        It is prepared and called alone, since how long that takes is published. What follows is not: the further calls
        that its gate wants, and the other processes, beside each other.

        Raises:
            ContestantFailure: one cannot be prepared, or does not pass its gate.
        """
        called: dict[int, _Called] = {}
        if processes.start == 0:
            called[0] = self._called(entrant, 0, configuration)
            self._note(entrant, called[0])
            if entrant.planned.cell.gate_calls is None:
                self._join(entrant, called.pop(0), configuration)  # wrong: the others need not be prepared

        def call(process: int, place: Sequence[int] | None = None) -> _Called:
            if process in called:
                return self._called_again(entrant, called[process], place)
            return self._called(entrant, process, configuration, place)

        beside = [process for process in processes if process in called or process > 0]
        before, start = self.pool.seconds, time.monotonic()
        try:
            ready = self.pool.beside(call, beside, cores_of(entrant.planned.cell, configuration))
        finally:  # requests at one time count once
            self._overlap += max(self.pool.seconds - before - (time.monotonic() - start), 0.0)
        for one in ready:
            self._join(entrant, one, configuration)

    def _called(
        self, entrant: Entrant, process: int, configuration: Configuration, place: Sequence[int] | None = None
    ) -> "_Called":
        """The program of an entrant in one of its processes, built and called; again where the gate will want that.

        Args:
            place: cores that this happens on, if not on its own.
        """
        planned = entrant.planned
        cell, handle = planned.cell, f"program_{next(self._handles)}"
        model = (planned.tree or configuration.tree).model_path(cell.study, planned.description)
        instance = (cell.instance, cell.form, process)
        cores = cores_of(cell, configuration)
        client = self.pool.get(planned.description, configuration, cell.dtype, instance, cores, planned.tree, place)
        data = self._data.paths(self.problems.get(cell.study, cell.parameters).data)
        program = Program(client, handle, configuration.limits, self.scratch / handle)
        entrant.programs.append(program)
        with client.elsewhere(place):
            built = program.build(cell, cell.function, model, data)
            entrant.facts.setdefault("versions", client.hello.get("versions", {}))
            entrant.facts.setdefault("device_name", client.hello.get("device_name", ""))
            first = program.gate()
            called = _Called(process, program, model, built, first, [program.outputs(first["outputs"])])
            if process and not entrant.has_seen(called.outputs[0]):
                called.again(cell)
        return called

    def _called_again(self, entrant: Entrant, called: "_Called", place: Sequence[int] | None) -> "_Called":
        """The same with the further calls that its gate judges."""
        with called.program.client.elsewhere(place):
            called.again(entrant.planned.cell)
        return called

    def _note(self, entrant: Entrant, called: "_Called") -> None:
        """What the first process tells: its facts, and the outputs of its first call."""
        hello, cell = called.program.client.hello, entrant.planned.cell
        entrant.facts |= {
            "phases": {
                "import": hello.get("import_s"),
                **called.built["phases"],
                "first_call": called.first["first_call_s"],
            },
            "cost": called.built["cost"],
            "notes": {**forms.notes_of(called.model, cell.function), **called.built["notes"]},
            "memory": memory_of(called.first),
        }
        entrant.first = called.outputs[0]

    def _join(self, entrant: Entrant, called: "_Called", configuration: Configuration) -> None:
        """One process that was called becomes a replica, if its outputs pass."""
        cell, process = entrant.planned.cell, called.process
        problem = self.problems.get(cell.study, cell.parameters)
        is_random = cell.task not in getattr(configuration.tree.problem_module(cell.study), "DETERMINISTIC", ())
        replica = Replica(
            called.program, process, TimedCalls(called.first["outputs"], is_random),
            partial(self._judge_timed, entrant, problem, configuration), memory_of(called.first),
        )  # fmt: skip
        entrant.replicas.append(replica)
        if process and entrant.has_seen(called.outputs[0]):
            return  # to the last bit what the first process computed, which is judged
        outputs = called.outputs[0] if cell.gate_calls is None else stacked(called.outputs)
        if process == 0:
            entrant.outputs = outputs
        judgement = self._judged(entrant.planned, problem, configuration, outputs)
        if process == 0 or judgement.status != "ok":
            entrant.diagnostics = judgement.diagnostics
        precision = gate.wrong_precision(outputs, called.built["notes"].get("dtype", cell.dtype))
        if judgement.status == "ok" and precision is not None:
            judgement = gate.Judgement("invalid", precision)
        missing = [name for name in cell.keep or () if name not in outputs]
        if judgement.status == "ok" and missing:
            judgement = gate.Judgement("failed", f"the task keeps {', '.join(missing)}, which the outputs lack")
        if judgement.status != "ok":
            which = f" (in process {process + 1})" if process else ""
            raise ContestantFailure(judgement.status, f"{judgement.reason or ''}{which}", judgement.traceback)

    def _judge_timed(
        self, entrant: Entrant, problem: Problem, configuration: Configuration, outputs: Outputs
    ) -> gate.Judgement:
        """The whole gate on the outputs of a timed call; where it wants several, with others that it has seen."""
        if entrant.planned.cell.gate_calls is not None:
            seen = entrant.outputs
            outputs = {name: np.concatenate([array[None], seen[name][1:]]) for name, array in outputs.items()}
        return self._judged(entrant.planned, problem, configuration, outputs)

    def _judged(
        self, planned: PlannedCell, problem: Problem, configuration: Configuration, outputs: Outputs
    ) -> gate.Judgement:
        cell, start = planned.cell, time.monotonic()
        demanded = gate.demanded(cell, planned.description)
        module = configuration.tree.problem_module(cell.study)
        try:
            return gate.judge(module, cell.task, problem, cell.parameters, outputs, demanded)
        finally:
            self._judging += time.monotonic() - start


def finish(entrant: Entrant) -> ContestantFailure | None:
    """Judges what no block has been judged for, once the clock has stopped for all; the failure of it, or None."""
    try:
        for replica in entrant.replicas:
            replica.finish()
    except ContestantFailure as failure:
        return failure
    return timed_calls.late_failure(timed_calls.facts([replica.timed_calls for replica in entrant.replicas]))


def is_timed(cell: Cell) -> bool:
    """Whether a cell races, or is only gated."""
    return "time" in cell.stages


def cores_of(cell: Cell, configuration: Configuration) -> int | None:
    """The cores that the cell's processes may use. One core is too few for a GPU's host threads."""
    return settings_of(cell, configuration).cores if is_timed(cell) and configuration.device == "cpu" else None
