"""Two revisions of this repository raced against each other: `./run compare --commits REV1 REV2`.

Both are checked out. The old and the new program of a cell run in workers of their own checkouts and are contestants of
one race, so that their blocks pair in the same rounds. This checkout asks the questions and judges the answers: its
configuration, data, gates and clock serve both sides, and so does its environment. Records lie in
`<results>/commits/<old>-<new>`, so a second run measures only what is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.config.configuration import Configuration
from pipelines.output.progress import Reporter
from pipelines.plan.cells import Cell, Race, races
from pipelines.plan.plan import SKIP, PlannedCell, PlannedRace, Problems, StudyPlan, make_plan
from pipelines.plan.revisions import Revision
from pipelines.race.runner import Runner
from pipelines.results.compare import CANNOT_TELL, Comparison, Side, compare_paired, corrected, distinct_names
from pipelines.results.store import Store
from pipelines.workers.pool import WorkerPool


@dataclass(frozen=True)
class Pair:
    """One cell in both revisions; None where a revision does not have its program."""

    name: str
    old: PlannedCell | None
    new: PlannedCell | None


def race_commits(
    configurations: Sequence[Configuration], old: Revision, new: Revision, scratch: Path, reporter: Reporter
) -> list[Comparison]:
    """Measures every cell of the configurations in both revisions and judges all of them together.

    Args:
        configurations: of this checkout, one a study.
        old, new: the revisions, checked out.
        scratch: folder for arrays on their way.
        reporter: progress.
    """
    results = configurations[0].results / "commits" / f"{old.commit[:12]}-{new.commit[:12]}"
    store, problems = Store(results, reporter.say), Problems(configurations[0].tree)
    found: list[Comparison] = []
    with store.exclusive(), WorkerPool(scratch, reporter.say) as pool:
        planned = [_planned(one, (old, new), store, problems) for one in configurations]
        runner = Runner(store, problems, pool, scratch, reporter)
        plans = [plan for plan, _ in planned if plan.to_run]
        if plans:
            runner.require_memory(plans)
            runner.expect(plans)
        with reporter.whole("both revisions", sum(plan.to_run for plan in plans)):
            for plan in plans:
                runner.run(plan)
        for _, pairs in planned:
            found += [_judged(pair, store) for pair in pairs]
    return corrected(found)


def _planned(
    configuration: Configuration, sides: tuple[Revision, Revision], store: Store, problems: Problems
) -> tuple[StudyPlan, list[Pair]]:
    """A race of old and new for every cell of which a revision has the program."""
    asked = races(configuration)
    cells = [replace(cell, keep=()) for race in asked for cell in race.cells]
    plans = [_of(sides[number], number, cells, configuration, store, problems) for number in (0, 1)]
    names = distinct_names({str(number): cell.identity for number, cell in enumerate(cells)})
    pairs, raced, number = [], [], 0
    for race in asked:
        for _ in race.cells:
            old, new = (plan.get(number) for plan in plans)
            number += 1
            present = tuple(one for one in (old, new) if one is not None)
            if not present:
                continue
            pairs.append(Pair(names[str(number - 1)], old, new))
            first = old.cell if old is not None else None
            contest = replace(race, cells=tuple(one.cell for one in present), baseline=first)
            raced.append(PlannedRace(contest, present))
    return StudyPlan(configuration, tuple(raced)), pairs


def _of(
    side: Revision, instance: int, cells: Sequence[Cell], configuration: Configuration, store: Store, problems: Problems
) -> dict[int, PlannedCell]:
    """The planned cells of one revision by their place among all; those whose program it lacks are left out."""
    known = side.tree.frameworks()
    own = {number: replace(cell, instance=instance) for number, cell in enumerate(cells) if cell.framework in known}
    there = replace(configuration, tree=side.tree)
    plan = make_plan(there, store, problems, [Race((cell,), None) for cell in own.values()])
    return {
        number: replace(planned, tree=side.tree)
        for number, planned in zip(own, plan.cells, strict=True)
        if planned.has_model
    }


def _judged(pair: Pair, store: Store) -> Comparison:
    skipped = next((one.why for one in (pair.old, pair.new) if one is not None and one.action == SKIP), None)
    if skipped is not None:
        return Comparison(pair.name, CANNOT_TELL, detail=f"skipped: {skipped}")
    old, new = (None if one is None else _side(one, store) for one in (pair.old, pair.new))
    return compare_paired(pair.name, old, new)


def _side(planned: PlannedCell, store: Store) -> Side | None:
    loaded = store.load(planned.cell.study, planned.cell.task, planned.key)
    return None if loaded is None else Side(*loaded)


def chosen_words(words: Sequence[str]) -> Iterator[str]:
    """The overrides with `size=small` where no size is named: the paper's own sizes twice over take an hour."""
    if not any(word.startswith("size=") for word in words):
        yield "size=small"
    yield from words
