"""The contract between the pipeline and one study. Standard library and NumPy only.

A study is a folder `studies/<study>/` with

- `problem.py` (NumPy and SciPy): `make_problem(parameters) -> Problem` and
  `check(task, problem, parameters, outputs) -> Verdict`, the gate; `DETERMINISTIC`, the tasks whose outputs are the
  same whatever the seed, if there are any (of all others, two calls with equal outputs are invalid);
- `mutants/<framework>.py`: programs that are wrong on purpose, which the gate must call invalid; see
  `frameworks.base.mutant`;
- `models/<framework>.py`: one function per task, `def <task>(framework, data, parameters) -> Program`;
- `figures.py`: functions marked with `@figure`, which get stored rows and return a matplotlib figure;
- `export.py`, if it has data files: `files(rows, problem) -> {path: text}`, see `pipelines/results/export.py`;
- `flags.py`, if it has command-line flags of its own: `FLAGS`, `Flag` by name, and `WORDS`, overrides by subcommand;
- `configs/study/<study>.yaml`: parameters, tasks, sizes and figures, and `supports` of outputs by name (`positive`,
  `unit` or `[least, greatest]`), outside which `./run contract` lets no system's outputs lie.

Every other `*.py` of the folder counts as part of the problem (an edit re-measures), except those whose name begins
with `figures`, `export` or `flags`, which never do.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np


@dataclass(frozen=True)
class Problem:
    """Data and exact truth of one set of parameters.

    Args:
        data: arrays sent to every worker, by name. They are hashed into the cell's key, so equal parameters must give
            equal arrays.
        truth: float64 facts for the gate and the figures (exact moments, log evidence, ...); never sent to a worker.
    """

    data: dict[str, np.ndarray]
    truth: dict[str, Any] = field(default_factory=dict)


class Verdict(NamedTuple):
    """What the gate says of one cell's outputs.

    Args:
        reason: None if the outputs are right, else why not, with the number found and its limit.
        diagnostics: what was measured on the way (log Z, effective sample size, acceptance rate, ...), stored on the
            row whatever the verdict. A value that does not exist is NaN.
    """

    reason: str | None
    diagnostics: dict[str, float] = {}


EARLIER_SOURCES = "measured with earlier sources or settings"
"""The flag of a stored row whose program, harness or settings have changed since."""


@dataclass(frozen=True)
class Row:
    """One stored cell as a figure sees it. Times are seconds of one call; everything is computed when read.

    Args:
        status: "ok", "invalid", "skipped", "failed", "timeout" or "oom"; `reason` says why when it is not "ok".
        median_s: median over rounds of the time of one call; `interval_s` is its 95% interval.
        ratio: median over rounds of (own time / baseline's time in the same round); `ratio_interval` is its 95%
            interval. None without a baseline in the race, and (1, (1, 1)) for the baseline itself.
        samples_s: (n_rounds,) float64, time of one call in each round; empty if the cell is not timed.
        n_processes: how many processes those rounds are from; 0 if the cell is not timed. With several, medians and
            ratios are geometric means over processes, and the intervals cover the differences between processes.
        cores: to which so many cores the processes were confined; None for all.
        flags: why the numbers may not be trusted, one short sentence each.
        diagnostics: the gate's numbers.
        arrays: the gated outputs that the task keeps, by name.
        record: the whole stored record (phases, cost, provenance, ...).
        marker: the shape of the framework's points, matplotlib's name; as `color`, no two frameworks share it.
    """

    study: str
    task: str
    framework: str
    label: str
    color: str
    parameters: dict[str, Any]
    seed: int
    device: str
    status: str
    reason: str | None = None
    median_s: float | None = None
    interval_s: tuple[float, float] | None = None
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    samples_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    n_processes: int = 0
    cores: int | None = None
    is_baseline: bool = False
    flags: tuple[str, ...] = ()
    diagnostics: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    marker: str = "o"


class Rows(Sequence[Row]):
    """The rows of a figure, in the order of the plan."""

    def __init__(self, rows: Sequence[Row]):
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> "Rows": ...

    def __getitem__(self, index: int | slice) -> "Row | Rows":
        return Rows(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def where(self, **wanted: Any) -> "Rows":
        """Rows whose fields or parameters equal the given values: `rows.where(framework="genjax", n_particles=10)`."""
        return Rows([row for row in self if all(_value(row, name) == value for name, value in wanted.items())])

    def only(self, **wanted: Any) -> Row:
        """The single row that matches.

        Raises:
            LookupError: if no row or more than one row matches.
        """
        found = self.where(**wanted)
        if len(found) != 1:
            raise LookupError(f"Rows.only({wanted}) matched {len(found)} of {len(self)} rows; it needs exactly one.")
        return found[0]

    def values(self, name: str) -> list[Any]:
        """The distinct values of a field or parameter, in order of first appearance."""
        seen: list[Any] = []
        for row in self:
            if _value(row, name) not in seen:
                seen.append(_value(row, name))
        return seen


def _value(row: Row, name: str) -> Any:
    return row.parameters[name] if name in row.parameters else getattr(row, name, None)


def how_timed(rows: Iterable[Row]) -> str | None:
    """How the rows' times were made, for captions: `medians of 15 to 25 rounds in 5 processes on 1 core`.

    Returns:
        None if no row is timed. What differs among the rows is given as a range; "all cores" is not mentioned.
    """
    timed = [row for row in rows if len(row.samples_s)]
    if not timed:
        return None
    text = f"medians of {_counted([len(row.samples_s) for row in timed], 'round')}"
    if any(row.n_processes > 1 for row in timed):
        text += f" in {_counted([row.n_processes for row in timed], 'process')}"
    cores = {row.cores for row in timed}
    if cores != {None}:
        text += " on " + " or ".join(
            "all cores" if one is None else _counted([one], "core") for one in sorted(cores, key=lambda c: c or 10**9)
        )
    return text


def _counted(counts: list[int], unit: str) -> str:
    fewest, most = min(counts), max(counts)
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    plural = {"process": "processes"}.get(unit, f"{unit}s")
    return f"{number} {unit if most == 1 else plural}"


@dataclass(frozen=True)
class Flag:
    """One flag: the overrides that it stands for.

    Args:
        overrides: override texts with `{value}`, or without it for a flag that takes no value.
        choices: for a flag with named values, the overrides of each.
        many: whether it takes several values.
        absent: for a flag whose values name what is wanted, the overrides of each value that is not given.
    """

    overrides: tuple[str, ...] = ()
    choices: dict[str, tuple[str, ...]] | None = None
    many: bool = False
    absent: dict[str, tuple[str, ...]] | None = None

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the flag."""
        named = self.choices is not None or self.absent is not None
        return named or any("{value}" in override for override in self.overrides)

    @property
    def meaning(self) -> str:
        """What it stands for, in a line."""
        if self.choices is not None:
            return ", ".join(f"{name}: {' '.join(words) or 'the default'}" for name, words in self.choices.items())
        if self.absent is not None:
            return f"any of {', '.join(self.absent)}; the others are left out"
        words = " ".join(word.replace("{value}", "VALUE") for word in self.overrides)
        return words or "accepted; there is nothing for it to leave out"


@dataclass(frozen=True)
class FigureContext:
    """What a figure gets.

    Args:
        rows: every planned cell of the figure's tasks on the run's device, failed and skipped ones too: a figure says
            "invalid" in their place. A setting of the figure named like a parameter restricts the rows to that value.
        problem: `problem(row.parameters)` gives the row's Problem (data and truth).
        parameters: the study's resolved parameters.
        settings: the figure's entry in the study's configuration.
        device: "cpu" or "cuda"; `device_name` is the CPU's or GPU's own name.
        other_device_rows: stored ok rows of the same cells on the other device, if there are any.
    """

    rows: Rows
    problem: Callable[[dict[str, Any]], Problem]
    parameters: dict[str, Any]
    settings: dict[str, Any]
    device: str
    device_name: str
    other_device_rows: Rows


@dataclass(frozen=True)
class Animation:
    """What a figure function may return instead of a matplotlib figure; also saved as `<name>.gif`.

    Args:
        figure: the matplotlib figure. The still files (PDF, PNG) show its last frame.
        show: `show(index)` changes the figure into that frame.
        n_frames: number of frames.
        milliseconds: how long a frame stays; the first and the last stay longer.
    """

    figure: Any
    show: Callable[[int], None]
    n_frames: int
    milliseconds: int


@dataclass(frozen=True)
class FigureSpecification:
    """The declaration of one figure; see `figure`."""

    name: str
    file: str
    tasks: tuple[str, ...]
    timing: bool
    tight: bool
    draw: Callable[[FigureContext], Any]


Draw = TypeVar("Draw", bound=Callable[[FigureContext], Any])
"""Returns a matplotlib figure, or an `Animation`."""


class NothingToDrawError(Exception):
    """A figure's rows hold nothing that it shows; the message says why. The run goes on, and a file of it stays."""


def figure(*, file: str, tasks: Sequence[str], timing: bool = False, tight: bool = False) -> Callable[[Draw], Draw]:
    """Declares `draw(context: FigureContext) -> matplotlib.figure.Figure` as a figure named like the function.

    The function is pure: it reads the context and opens no file. It builds its figure with
    `matplotlib.figure.Figure(...)`, never with pyplot, which keeps global state. What is declared here is read from the
    text of the file as well, without loading it: write literals, or constants of the same file.

    Args:
        file: file name without suffix; fields in braces are filled from the study's parameters and the figure's
            settings, as in `"faircoin_..._obs{n_obs}_samples{n_particles}"`.
        tasks: the tasks whose cells it needs.
        timing: whether it shows times; such figures also get a copy with the device's name (`..._cpu.pdf`).
        tight: whether the saved file is cropped to what is drawn, with a margin of 0.05 in.
    """

    def mark(draw: Draw) -> Draw:
        specification = FigureSpecification(draw.__name__, file, tuple(tasks), timing, tight, draw)
        draw.figure_specification = specification  # type: ignore[attr-defined]
        return draw

    return mark


def figures_of(module: ModuleType) -> dict[str, FigureSpecification]:
    """The figures declared in a study's `figures.py`, by name, in the order of the file."""
    found = (getattr(value, "figure_specification", None) for value in vars(module).values())
    return {specification.name: specification for specification in found if specification is not None}
