"""`./run gates`: how sharp the gates are. Programs that are wrong on purpose must be invalid, right ones must pass.

Each mutant runs in the ordinary worker of its framework and is judged by the ordinary gate of its study, many times
with different seeds. With `false_alarms=N` the correct programs are judged instead, N times each.
"""

import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.configuration import Configuration, configure
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.cells import Cell, races
from pipelines.plan.extensions import tree_of
from pipelines.plan.mutants import Mutant, mutants_of
from pipelines.plan.tree import Tree
from pipelines.race import gate
from pipelines.race.program import DataFiles, Program, stacked
from pipelines.race.timing import ContestantFailure, gate_seed
from pipelines.workers.pool import WorkerPool
from studies.base import Problem

HELP = """\
How sharp the gates are: injects programs that are wrong on purpose, each of which must come out invalid.

usage: python -m pipelines.race.gates [KEY=VALUE ...]

  study=NAME        one of: {studies}; all by default
  mutant=NAME       one mutant
  framework=NAME    only those of one system
  cheap=true        only those that take a second or two
  runs=N            how often each is judged, with seeds of its own (10)
  seconds=S         the most that the runs of one mutant or cell may take (none)
  size=NAME         at this size instead of the mutant's own (or, of correct programs, paper)
  false_alarms=N    judge every correct program N times instead; at most 1 in 1,000 may be refused
  write=FILE        put each study's table between its marks in a Markdown file

Exit status: 0 if every mutant is caught in 99% of its runs, 1 if one escapes or a right one is refused too often."""

CAUGHT = 0.99
"""The share of runs in which a mutant must be invalid."""

FALSE_ALARMS = 1e-3
"""The largest share of runs in which a right program may be refused."""

MARKS = ("<!-- gates of {study}: begin -->", "<!-- gates of {study}: end -->")
"""Around the table of a study in a Markdown file."""


@dataclass(frozen=True)
class Options:
    """The request, checked."""

    studies: tuple[str, ...]
    mutant: str | None = None
    framework: str | None = None
    cheap: bool = False
    runs: int = 10
    seconds: float = float("inf")
    size: str | None = None
    false_alarms: int = 0
    write: Path | None = None


@dataclass
class Tally:
    """What the gate said of one program over its runs."""

    cell: Cell
    mutant: Mutant | None
    verdicts: Counter = field(default_factory=Counter)
    reasons: Counter = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def runs(self) -> int:
        """How often it was judged."""
        return self.verdicts.total()

    @property
    def caught(self) -> int:
        """How often it came out invalid. A failure of the check or of the program is not a catch."""
        return self.verdicts["invalid"]

    @property
    def is_skipped(self) -> bool:
        """Whether its system cannot run on this machine, so that nothing was judged."""
        return self.verdicts.keys() == {"skipped"}

    @property
    def is_right(self) -> bool:
        """Whether the gate did what it should: caught the mutant, or let the right program pass."""
        if self.is_skipped:
            return True
        if self.mutant is None:
            return self.runs - self.verdicts["ok"] <= allowed_alarms(self.runs)
        return not self.mutant.must_be_caught or self.caught >= CAUGHT * self.runs > 0

    @property
    def reason(self) -> str:
        """The reason that the gate gave most often."""
        return self.reasons.most_common(1)[0][0] if self.reasons else ""


def allowed_alarms(runs: int) -> int:
    """The most refusals in so many runs that a rate of `FALSE_ALARMS` makes likelier than one in a thousand."""
    mean, term, total, count = FALSE_ALARMS * runs, np.exp(-FALSE_ALARMS * runs), 0.0, 0
    while total + term < 1 - 1e-3:
        total += term
        count += 1
        term *= mean / count
    return count


class Judge:
    """Runs programs in workers and asks the gate. One pool of workers for all."""

    def __init__(self, tree: Tree, pool: WorkerPool, scratch: Path):
        self.tree, self.pool, self.scratch = tree, pool, scratch
        self._data = DataFiles(scratch)
        self._handles = itertools.count()

    def judge(self, tally: Tally, configuration: Configuration, options: Options) -> None:
        """Fills the tally: `options.runs` runs (or `false_alarms`), fewer where the time is up."""
        runs, start = options.false_alarms or options.runs, time.monotonic()
        cell, module = tally.cell, self.tree.problem_module(tally.cell.study)
        problem = module.make_problem(dict(cell.parameters))
        excused = tally.mutant.mutation.not_reported if tally.mutant is not None else ()
        demanded = set(gate.demanded(cell, self.tree.describe(cell.framework))) - set(excused)
        try:
            for outputs in itertools.islice(self._calls(tally, configuration, problem), runs):
                judged = gate.judge(module, cell.task, problem, cell.parameters, outputs, demanded)
                tally.verdicts[judged.status] += 1
                if judged.reason is not None:
                    tally.reasons[judged.reason] += 1
                if time.monotonic() - start > options.seconds:
                    break
        except ContestantFailure as failure:
            tally.verdicts[failure.status] += 1
            tally.reasons[failure.reason] += 1
        tally.seconds = time.monotonic() - start

    def _calls(self, tally: Tally, configuration: Configuration, problem: Problem) -> Iterator[dict[str, np.ndarray]]:
        """The outputs of one run after the other: of one call, or of `gate_calls` calls stacked."""
        cell = tally.cell
        description = self.tree.describe(cell.framework)
        path, task = self.tree.model_path(cell.study, description), cell.function
        if tally.mutant is not None:
            path, task = tally.mutant.path, tally.mutant.name
        client = self.pool.get(description, configuration, cell.dtype)
        handle = f"program_{next(self._handles)}"
        program = Program(client, handle, configuration.limits, self.scratch / handle)
        program.build(cell, task, path, self._data.paths(problem.data))
        for run in itertools.count():
            numbers = range(run * (cell.gate_calls or 1), (run + 1) * (cell.gate_calls or 1))
            calls = [program.call(gate_seed(cell.seed, number + 1)) for number in numbers]
            yield calls[0] if cell.gate_calls is None else stacked(calls)


def cell_of(mutant: Mutant, configuration: Configuration) -> Cell:
    """The cell whose place a mutant takes: the first of its task whose parameters agree with its own.

    Raises:
        ConfigurationFaults: the study has no such task.
    """
    cells = [cell for race in races(configuration) for cell in race.cells if cell.task == mutant.mutation.task]
    if not cells:
        fault = f"{mutant.path}: {mutant.name} is of task {mutant.mutation.task!r}, which {mutant.study} does not have."
        raise ConfigurationFaults([fault])
    own = mutant.parameters
    agreeing = [one for one in cells if all(one.parameters.get(name) == value for name, value in own.items())]
    mine = [one for one in agreeing or cells if one.framework == mutant.framework]
    cell = (mine or agreeing or cells)[0]
    return replace(cell, framework=mutant.framework, parameters={**cell.parameters, **own})


def options_of(words: list[str], tree: Tree) -> Options:
    """The request, from command-line words.

    Raises:
        ConfigurationFaults: with everything that is wrong.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    kinds: dict[str, Callable[[str], Any]] = {
        "study": str, "mutant": str, "framework": str, "cheap": _truth, "runs": _count, "seconds": float, "size": str,
        "false_alarms": _count, "write": Path,
    }  # fmt: skip
    for word in words:
        name, _, text = word.lstrip("-").partition("=")
        if name not in kinds:
            faults.append(unknown("option", name, kinds))
            continue
        try:
            values[name] = kinds[name](text)
        except ValueError:
            faults.append(f"{word!r}: {text!r} is not a value of {name}.")
    chosen = values.pop("study", "all")
    studies = tuple(tree.studies()) if chosen == "all" else (chosen,)
    for kind, given, known in (
        ("study", chosen, [*tree.studies(), "all"]),
        ("framework", values.get("framework"), list(tree.frameworks())),
        ("size", values.get("size"), tree.choices("size")),
        ("mutant", values.get("mutant"), _names(tree, studies) if chosen in [*tree.studies(), "all"] else []),
    ):
        if given is not None and given not in known:
            faults.append(unknown(kind, given, known))
    if faults:
        raise ConfigurationFaults(faults)
    return Options(studies, **values)


def _names(tree: Tree, studies: tuple[str, ...]) -> list[str]:
    return [mutant.name for study in studies for mutant in mutants_of(tree, study)]


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", ""):
        raise ValueError(text)
    return text.lower() != "false"


def _count(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def tallies_of(options: Options, tree: Tree) -> list[tuple[Tally, Configuration]]:
    """What is to be judged: the mutants that are asked for, or every cell of the correct programs."""
    known: dict[tuple[str, str], Configuration] = {}

    def configuration(study: str, size: str) -> Configuration:
        if (study, size) not in known:
            (known[study, size],) = configure([f"size={size}"], tree, study=study)
        return known[study, size]

    found: list[tuple[Tally, Configuration]] = []
    for study in options.studies:
        if options.false_alarms:
            of_study = configuration(study, options.size or "paper")
            cells = [cell for race in races(of_study) for cell in race.cells]
            found += [(Tally(cell, None), of_study) for cell in cells if options.framework in (None, cell.framework)]
            continue
        for mutant in mutants_of(tree, study):
            wanted = options.mutant in (None, mutant.name) and options.framework in (None, mutant.framework)
            # The smaller strengths measure; they cannot escape, so the cheap half leaves them out.
            if wanted and (mutant.mutation.cheap and mutant.must_be_caught or not options.cheap):
                of_size = configuration(study, options.size or mutant.mutation.size)
                found.append((Tally(cell_of(mutant, of_size), mutant), of_size))
    return found


def table(tallies: list[Tally]) -> str:
    """The tallies as a Markdown table, without the times."""
    if tallies and tallies[0].mutant is None:
        lines = ["| study | task | system | parameters | refused | reason |", "|---|---|---|---|---|---|"]
        for one in tallies:
            refused = one.runs - one.verdicts["ok"]
            lines.append(
                f"| {one.cell.study} | {one.cell.task} | {one.cell.framework} | {_shown(one.cell)} "
                f"| {refused} of {one.runs:,} | {_escaped(one.reason)} |"
            )
        return "\n".join(lines)
    lines = ["| study | mutant | system | effect | verdict | caught | reason |", "|---|---|---|---|---|---|---|"]
    for one in tallies:
        assert one.mutant is not None
        verdict = one.verdicts.most_common(1)[0][0] if one.verdicts else "not run"
        measured = "" if one.mutant.must_be_caught else " (measures the gate)"
        lines.append(
            f"| {one.cell.study} | `{one.mutant.name}` | {one.cell.framework} | {one.mutant.effect}{measured} "
            f"| {verdict} | {one.caught} of {one.runs} | {_escaped(one.reason)} |"
        )
    return "\n".join([*lines, *_smallest(tallies)])


def _smallest(tallies: list[Tally]) -> list[str]:
    """For every mutant with strengths, the smallest that is caught in 99 of 100 runs."""
    found: dict[tuple[str, str], list[Tally]] = {}
    for one in tallies:
        if one.mutant is not None and one.mutant.strength is not None:
            found.setdefault((one.cell.study, one.mutant.name), []).append(one)
    lines = []
    for (study, name), of_mutant in found.items():
        caught = [one for one in of_mutant if one.caught >= CAUGHT * one.runs]
        least = min(caught, key=lambda one: abs(one.mutant.strength or 0.0), default=None)  # type: ignore[union-attr]
        what = (
            "nothing"
            if least is None or least.mutant is None
            else f"{least.mutant.effect} ({least.caught} of {least.runs})"
        )
        lines.append(f"- {study} `{name}`: the smallest effect that is caught is: {what}")
    return ["", *lines] if lines else []


def _shown(cell: Cell) -> str:
    names = ("n_particles", "n_samples", "n_chains", "n_steps", "n_traces", "n_draws", "n_sweeps", "size")
    return ", ".join(f"{name}={cell.parameters[name]}" for name in names if cell.parameters.get(name) is not None)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write(tallies: list[Tally], path: Path) -> None:
    """Puts the table of each study between its marks of a file; a study without marks gets a section at the end.

    Raises:
        ConfigurationFaults: one of a study's two marks is missing, or the other way round.
    """
    content = path.read_text(encoding="utf-8")
    for study in dict.fromkeys(tally.cell.study for tally in tallies):
        marks = [mark.format(study=study) for mark in MARKS]
        if not any(mark in content for mark in marks):
            content = f"{content.rstrip()}\n\n### {study}\n\n{marks[0]}\n{marks[1]}\n"
        before, begin, rest = content.partition(marks[0])
        _, end, after = rest.partition(marks[1])
        if not begin or not end:
            raise ConfigurationFaults([f"{path} has no lines {marks[0]} and {marks[1]} to put the table between."])
        text = table([tally for tally in tallies if tally.cell.study == study])
        content = f"{before}{begin}\n{text}\n{end}{after}"
    path.write_text(content, encoding="utf-8")


def run(words: list[str], tree: Tree | None = None) -> int:
    """Judges what is asked for and prints the table; 1 if a gate is not as sharp, or as mild, as it must be."""
    tree, words = tree_of(words, tree)
    if any(word in ("--help", "-h", "help") for word in words):
        print(HELP.format(studies=", ".join(tree.studies())))
        return 0
    options = options_of(words, tree)
    reporter = Reporter(Terminal())
    chosen = tallies_of(options, tree)
    with tempfile.TemporaryDirectory(prefix="genjax-artifact-") as scratch, WorkerPool(Path(scratch)) as pool:
        judge = Judge(tree, pool, Path(scratch))
        for tally, configuration in chosen:
            judge.judge(tally, configuration, options)
            reporter.say(f"{'  ' if tally.is_right else '! '}{_line(tally)}")
            pool.retire(configuration.recycle_after)
    tallies = [tally for tally, _ in chosen]
    if options.write is not None:
        write(tallies, options.write)
    print("\n" + table(tallies))
    wrong = [tally for tally in tallies if not tally.is_right]
    kind = "right programs refused too often" if options.false_alarms else "mutants that escape"
    judged = [tally for tally in tallies if not tally.is_skipped]
    absent = f", {len(tallies) - len(judged)} skipped" if len(judged) < len(tallies) else ""
    print(f"\n{len(judged)} judged, {len(wrong)} {kind}{absent}")
    return int(bool(wrong) or not judged)


def _line(tally: Tally) -> str:
    if tally.is_skipped:
        program = tally.cell.name if tally.mutant is None else f"{tally.cell.study}/{tally.mutant.name}"
        return f"{program}: skipped, {tally.cell.framework}: {tally.reason}"
    if tally.mutant is None:
        what, count = f"{tally.cell.name} {_shown(tally.cell)}", f"refused {tally.runs - tally.verdicts['ok']}"
    else:
        what, count = f"{tally.cell.study}/{tally.mutant.name}: {tally.mutant.effect}", f"caught {tally.caught}"
    return f"{what}: {count} of {tally.runs} ({tally.seconds:.1f} s) {tally.reason}"


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
