"""Cells and races: what a study's configuration stands for once its grids are expanded."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration
from pipelines.plan.forms import function_name
from pipelines.race.timing import TimingSettings


@dataclass(frozen=True)
class Cell:
    """One measurement: a framework on one task with one set of parameters, seed and device.

    Args:
        stages: "gate", or "gate" and "time".
        keep: names of the outputs to store; None stores all.
        reports: outputs that a program must return because its gate needs them, though they are not its answer.
        instance: which of several equal workers runs it; 0 but in an A/A race.
        gate_calls: how many calls of the program, each with a seed of its own, the gate judges together; their outputs
            then have a leading axis of that size. None judges one call as it is.
        timing: timing settings that replace those of the run.
        form: which form of the framework's program; None for the published one. See `frameworks.base.form`.
        program: the function of the model files that makes it, where that has another name than the task.
    """

    study: str
    task: str
    framework: str
    parameters: Mapping[str, Any]
    seed: int
    device: str
    dtype: str
    stages: tuple[str, ...] = ("gate", "time")
    keep: tuple[str, ...] | None = None
    reports: tuple[str, ...] = ()
    instance: int = 0
    gate_calls: int | None = None
    timing: Mapping[str, Any] = field(default_factory=dict)
    form: str | None = None
    program: str | None = None

    @property
    def published(self) -> str:
        """The function of the model file that makes the published form of the program."""
        return self.program or self.task

    @property
    def function(self) -> str:
        """The function of the model file that makes the program."""
        return function_name(self.published, self.form)

    @property
    def identity(self) -> dict[str, Any]:
        """What the cell is, without the state of the sources: two records of one identity are old and new."""
        return {
            "study": self.study,
            "task": self.task,
            "framework": self.framework,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "device": self.device,
            "dtype": self.dtype,
            **({"instance": self.instance} if self.instance else {}),
            **({"form": self.form} if self.form else {}),
        }

    @property
    def name(self) -> str:
        """A short name for lists and messages."""
        form = f" ({self.form})" if self.form else ""
        return f"{self.study}/{self.task} {self.framework}{form}" + (f"#{self.instance}" if self.instance else "")


@dataclass(frozen=True)
class Race:
    """Cells that differ only in what the race is over, the framework by default, and are timed side by side.

    Args:
        baseline: the cell that ratios refer to, if it is among the cells.
        varying: names of the parameters that the task's grid varies, for titles.
        budget_share: fraction of `timing.budget_seconds` that it may spend.
    """

    cells: tuple[Cell, ...]
    baseline: Cell | None
    varying: tuple[str, ...] = ()
    budget_share: float = 1.0

    @property
    def title(self) -> str:
        """Study, task and the parameters that tell this race from its neighbours."""
        first = self.cells[0]
        shown = [f"{name}={_short(first.parameters[name])}" for name in self.varying]
        return " ".join([f"{first.study}/{first.task}", *shown])


def settings_of(cell: Cell, configuration: Configuration) -> TimingSettings:
    """The run's timing settings with the task's own."""
    return _updated(configuration.timing, tuple(cell.timing.items())) if cell.timing else configuration.timing


@lru_cache(maxsize=256)
def _updated(settings: TimingSettings, own: tuple[tuple[str, Any], ...]) -> TimingSettings:
    """Made once for all cells of a task."""
    return settings.updated(dict(own))


def races(configuration: Configuration) -> list[Race]:
    """Every race of a configuration, in the order of the tasks, grids and replicates.

    A task's block has its `frameworks` by now, found by presence (see `pipelines.plan.participants`). It may hold
    `program` (the function of the model files, if not the task's name), `baseline` (a framework, or a mapping of race
    parameters to values), `parameters` and `grid` (over the study's parameters), `replicates` (seeds seed, seed + 1,
    ...), `stages`, `keep`, `reports` (outputs that the gate demands beside the answer, see `Framework.not_reported`),
    `race_over` (what cells of one race may differ in; `[framework]`) and `budget_share` (of the timed seconds of a
    race, where many races share what one should cost; 1).
    """
    found: list[Race] = []
    for task, block in configuration.tasks.items():
        grouped: dict[tuple[str, int], list[Cell]] = {}
        over = tuple(block.get("race_over") or ("framework",))
        grid = block.get("grid") or {}
        for parameters, cells in _points(configuration, task, block, grid):
            shared = canonical({name: value for name, value in parameters.items() if name not in over})
            for cell in cells:
                grouped.setdefault((shared, cell.seed), []).append(cell)
        varying = tuple(name for name, values in grid.items() if len(values) > 1 and name not in over)
        for cells in grouped.values():
            found.append(
                Race(tuple(cells), _baseline(cells, block.get("baseline")), varying, block.get("budget_share", 1.0))
            )
    return found


def _points(
    configuration: Configuration, task: str, block: dict[str, Any], grid: dict[str, list]
) -> Iterator[tuple[dict[str, Any], list[Cell]]]:
    """The cells at each point of a task's grid, which share one mapping of parameters."""
    fixed = {**configuration.parameters, **(block.get("parameters") or {})}
    keep = block.get("keep")
    kept = None if keep is None else tuple(keep)
    for point in itertools.product(*grid.values()):
        parameters = {**fixed, **dict(zip(grid, point, strict=True))}
        cells = [
            Cell(
                study=configuration.study,
                task=task,
                framework=framework,
                parameters=parameters,
                seed=configuration.seed + replicate,
                device=configuration.device,
                dtype=block.get("dtype", configuration.dtype),
                stages=tuple(block.get("stages", ("gate", "time"))),
                keep=kept,
                reports=tuple(block.get("reports") or ()),
                gate_calls=block.get("gate_calls"),
                timing=block.get("timing") or {},
                program=block.get("program"),
            )
            for replicate in range(block.get("replicates", 1))
            for framework in block["frameworks"]
        ]
        yield parameters, cells


def _baseline(cells: list[Cell], wanted: object) -> Cell | None:
    if wanted is None:
        return None
    asked = wanted if isinstance(wanted, dict) else {"framework": wanted}
    for cell in cells:
        own = {"framework": cell.framework}
        if all(cell.parameters.get(name, own.get(name)) == value for name, value in asked.items()):
            return cell
    return None


def _short(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else canonical(value)
