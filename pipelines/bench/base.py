"""What a benchmark module is, and what it is given.

A benchmark is a module of this folder with `TITLE: str` and `run(context: Context) -> list[Finding]`; it is found by
presence. It measures through the same workers, gates and races as the studies, always afresh, and keeps its rows apart
(`<results>/bench`). A target is judged by intervals, so "cannot tell" is a legal verdict.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pipelines.bench
from pipelines.config.configuration import Configuration, configure
from pipelines.output.progress import Reporter
from pipelines.plan.cells import Race, races
from pipelines.plan.plan import CACHED, RUN, PlannedCell, Problems, StudyPlan, make_plan
from pipelines.plan.tree import Tree
from pipelines.race.runner import Runner
from pipelines.race.statistics import Interval
from pipelines.results.rows import read_rows
from pipelines.results.store import Store
from pipelines.workers.pool import WorkerPool
from studies.base import Row

MET, MISSED, UNKNOWN = "met", "missed", "cannot tell"
NARROW = 0.02
"""Of a limit: an interval of that length around it is an answer, a longer one is none."""


@dataclass(frozen=True)
class Finding:
    """One line of a benchmark.

    Args:
        what: what was compared.
        value: what was found, with its interval and estimator.
        target: what was wanted; empty for a number without a target.
        verdict: "met", "missed" or "cannot tell"; empty without a target.
        facts: the numbers behind it, JSON values.
    """

    what: str
    value: str
    target: str = ""
    verdict: str = ""
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a benchmark is given.

    Args:
        tree: the checkout.
        overrides: the user's words, as for a study.
        reporter: progress.
    """

    tree: Tree
    overrides: tuple[str, ...]
    reporter: Reporter

    def configure(self, study: str, *overrides: str) -> Configuration:
        """The study's configuration with these overrides and then the user's, its results in a folder of its own."""
        words = [word for word in self.overrides if not word.startswith("study=")]
        configuration = configure([*overrides, *words], self.tree, study)[0]
        return replace(configuration, results=configuration.results / "bench")

    def race(
        self, configuration: Configuration, change: Callable[[Race], Race | None] = lambda race: race
    ) -> list[tuple[Race, list[Row]]]:
        """Measures the configuration's races afresh, each changed by `change`, and returns their rows.

        A race for which `change` gives None is left out.
        """
        store, problems = Store(configuration.results, self.reporter.say), Problems(self.tree)
        chosen = [race for race in map(change, races(configuration)) if race is not None]
        with store.exclusive(), TemporaryDirectory(prefix="genjax-artifact-") as scratch:
            plan = _afresh(make_plan(configuration, store, problems, chosen))
            with WorkerPool(Path(scratch)) as pool:
                Runner(store, problems, pool, Path(scratch), self.reporter).run(plan)
            rows = [row for _, row in read_rows(plan, store)]
        found, start = [], 0
        for race in chosen:
            found.append((race, rows[start : start + len(race.cells)]))
            start += len(race.cells)
        return found


def benchmarks() -> dict[str, ModuleType]:
    """The benchmark modules by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(pipelines.bench.__path__))
    modules = {name: importlib.import_module(f"pipelines.bench.{name}") for name in names if name[:2] != "__"}
    return {name: module for name, module in modules.items() if hasattr(module, "TITLE") and hasattr(module, "run")}


def judge_at_most(low: float, high: float, limit: float) -> str:
    """The verdict on "at most `limit`" for an interval of an estimate.

    Returns:
        "missed" if all of it lies above the limit; "met" if all of it lies at or below, or if it includes the limit and
        is narrow (a fiftieth of the limit); a wider one that includes the limit cannot tell.
    """
    if low > limit:
        return MISSED
    return MET if high <= limit or high - low <= NARROW * limit else UNKNOWN


def ratio_finding(what: str, ratio: Interval, details: str, limit: float, facts: dict[str, object]) -> Finding:
    """A ratio of times against "at most `limit`"; `details` stand behind it in brackets, `facts` beside its numbers."""
    return Finding(
        what,
        f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}] ({details})",
        f"at most {limit:g}x",
        judge_at_most(ratio.low, ratio.high, limit),
        {"ratio": ratio.value, "interval": [ratio.low, ratio.high], **facts},
    )


def faults_of(rows: Sequence[Row]) -> list[Finding]:
    """A finding for every row that has no number."""
    return [
        Finding(f"{row.study}/{row.task} {row.framework}", f"{row.status}: {row.reason}", "a number", MISSED)
        for row in rows
        if row.status != "ok"
    ]


def _afresh(plan: StudyPlan) -> StudyPlan:
    def again(planned: PlannedCell) -> PlannedCell:
        return replace(planned, action=RUN, why="benchmarks measure afresh") if planned.action == CACHED else planned

    return replace(plan, races=tuple(replace(race, cells=tuple(map(again, race.cells))) for race in plan.races))
