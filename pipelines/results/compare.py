"""Two result folders side by side: `./run compare OLD [NEW]`, NEW being this checkout's `results`.

Cells are paired by what they are (study, task, framework, parameters, seed, device, dtype), whatever the sources or the
machine were; of each the newest record counts. Judged is the ratio to the baseline of the race, which compares programs
on one machine as on two; the baseline itself, and what has none, by its time. The verdicts are corrected for their
number by Holm's method: any false alarm among all cells comes in one comparison of twenty. "No difference shown" is
said only where a change of a quarter would have shown; else, and of rows of one process, nothing can be told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines.canonical import canonical
from pipelines.errors import UserError
from pipelines.race import condition, statistics
from pipelines.race.decisions import holm
from pipelines.race.spread import Prior
from pipelines.race.statistics import Interval
from pipelines.results.store import Store

FASTER, SLOWER, SAME, CANNOT_TELL, BROKE, MENDED, NEW, GONE = (
    "faster", "slower", "no difference shown", "cannot tell", "broke", "mended", "new", "gone",
)  # fmt: skip
VERDICTS = (BROKE, SLOWER, FASTER, MENDED, SAME, CANNOT_TELL, NEW, GONE)
WORSE = (SLOWER, BROKE)
FAMILY_LEVEL = 0.05
HIDDEN = 1.25
"""An interval that reaches beyond this factor, or below its inverse, could hide a change that matters."""


@dataclass(frozen=True)
class Side:
    """The newest record of a cell in one folder, with its arrays if it is timed."""

    record: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @property
    def ok(self) -> bool:
        """Whether its answer was proven right."""
        return self.record["status"] == "ok"

    @property
    def times(self) -> np.ndarray | None:
        """(n_rounds,) seconds of one call."""
        return self.arrays.get("samples_s")

    @property
    def ratios(self) -> np.ndarray | None:
        """(n_rounds,) ratios to the baseline in the same round; None without a baseline, or for itself."""
        if self.times is None or "baseline_samples_s" not in self.arrays or self.record["timing"].get("is_baseline"):
            return None
        return self.times / self.arrays["baseline_samples_s"]


@dataclass(frozen=True)
class Comparison:
    """One cell in two folders.

    Args:
        name: of the cell.
        verdict: one of the words above.
        detail: the reason where a cell is not ok.
        old_s: median seconds of one call; new_s likewise.
        time: new / old time of a call.
        ratio: new / old ratio to the baseline.
        p_value: that nothing changed, of the ratio where there is one and else of the time, before correction; None for
            fewer than two processes.
        flags: why the new side's times may not be trusted.
    """

    name: str
    verdict: str
    detail: str = ""
    old_s: float | None = None
    new_s: float | None = None
    time: Interval | None = None
    ratio: Interval | None = None
    p_value: float | None = None
    flags: tuple[str, ...] = ()


def compare(old: Store, new: Store) -> list[Comparison]:
    """Every cell that either folder has, in the order of their names."""
    before, after = newest(old), newest(new)
    names = distinct_names({one: side.record["identity"] for one, side in {**before, **after}.items()})
    found = [_compare(names[one], before.get(one), after.get(one)) for one in {**before, **after}]
    return sorted(corrected(found), key=lambda comparison: comparison.name)


def corrected(comparisons: list[Comparison]) -> list[Comparison]:
    """Those that changed, once all are judged together: Holm's correction, any false alarm in 5% of comparisons.

    Of the others, those whose interval could hide a large change cannot tell.
    """
    found = list(comparisons)
    judged = [index for index, one in enumerate(found) if one.p_value is not None]
    adjusted = holm([float(found[index].p_value or 0.0) for index in judged])
    for index, p_value in zip(judged, adjusted, strict=True):
        one = found[index]
        interval = one.ratio or one.time
        if p_value <= FAMILY_LEVEL and interval is not None:
            found[index] = replace(one, verdict=FASTER if interval.value < 1 else SLOWER)
        elif interval is not None and (interval.high > HIDDEN or interval.low < 1 / HIDDEN):
            found[index] = replace(one, verdict=CANNOT_TELL, detail=f"a change of {HIDDEN - 1:.0%} could hide")
    return found


def newest(store: Store) -> dict[str, Side]:
    """The newest record of every cell by its canonical identity."""
    records: dict[str, Mapping[str, Any]] = {}
    for study, task in tasks(store):
        records |= store.newest(study, task)
    sides = {}
    for identity, record in records.items():
        loaded = store.load(record["identity"]["study"], record["identity"]["task"], record["key"])
        if loaded is not None:
            sides[identity] = Side(*loaded)
    return sides


def tasks(store: Store) -> Iterator[tuple[str, str]]:
    """(study, task) of every folder of records."""
    for folder in sorted(store.root.glob("*/*/")):
        if not folder.name.startswith(".") and any(folder.glob("*/record.json")):
            yield folder.parent.name, folder.name


def distinct_names(identities: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A short name per cell: study, task, framework, and those parameters in which cells of the task differ."""
    values: dict[tuple[str, str, str], set[str]] = {}
    for one in identities.values():
        for name, value in _details(one).items():
            values.setdefault((one["study"], one["task"], name), set()).add(canonical(value))
    names = {}
    for key, one in identities.items():
        shown = [
            f"{name}={canonical(value)}".replace('"', "")
            for name, value in _details(one).items()
            if len(values[one["study"], one["task"], name]) > 1
        ]
        names[key] = " ".join([f"{one['study']}/{one['task']} {one['framework']}", *shown])
    return names


def _details(identity: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: identity[name] for name in ("seed", "device", "dtype")}
    return {**identity["parameters"], **named, "instance": identity.get("instance", 0)}


def _without_times(name: str, old: Side | None, new: Side | None) -> Comparison | None:
    """The verdict where presence or status decides it; None where both sides are right and timed."""
    if new is None:
        return Comparison(name, GONE)
    if old is None:
        return Comparison(name, NEW, detail="" if new.ok else _reason(new))
    if not new.ok:
        return Comparison(name, BROKE if old.ok else CANNOT_TELL, detail=_reason(new))
    if not old.ok:
        return Comparison(name, MENDED, detail=f"was {_reason(old)}")
    if old.times is None or new.times is None or not len(old.times) or not len(new.times):
        return Comparison(name, SAME, detail="both right; not timed")
    return None


def compare_paired(name: str, old: Side | None, new: Side | None) -> Comparison:
    """A cell of which both sides ran in one race with the old one as its baseline; `time` is the paired ratio."""
    decided = _without_times(name, old, new)
    if decided is not None:
        return decided
    assert old is not None and new is not None and new.times is not None
    of = new.arrays.get("processes")
    baseline = new.arrays.get("baseline_samples_s")
    paired = np.zeros(len(new.times), bool) if baseline is None else np.isfinite(baseline)
    old_s, new_s = (_median(side) for side in (old, new))
    if baseline is None or not statistics.suffice(int(paired.sum())):
        return Comparison(name, CANNOT_TELL, f"{int(paired.sum())} pairs of blocks are too few", old_s, new_s)
    prior = (new.record["timing"].get("priors") or {}).get("ratio")
    values = new.times[paired], baseline[paired]
    shared = None if of is None else of[paired], Prior(**prior) if prior else None
    time = statistics.ratio_interval(*values, new.record["identity"]["seed"], *shared)
    p_value = statistics.paired_p_value(*values, *shared)
    verdict, detail = (SAME, "") if p_value is not None else (CANNOT_TELL, "within one process")
    return Comparison(name, verdict, detail, old_s, new_s, time, p_value=p_value, flags=_flags(new))


def _flags(side: Side) -> tuple[str, ...]:
    return tuple(condition.flags(side.record.get("condition") or {}))


def _compare(name: str, old: Side | None, new: Side | None) -> Comparison:
    decided = _without_times(name, old, new)
    if decided is not None:
        return decided
    assert old is not None and new is not None
    time, ratio, what = _quotient(new, old, "times"), None, "times"
    if new.ratios is not None and old.ratios is not None:
        ratio, what = _quotient(new, old, "ratios"), "ratios"
    old_s, new_s = (_median(side) for side in (old, new))
    p_value = statistics.independent_p_value(*_samples(new, old, what))
    verdict, detail = (SAME, "") if p_value is not None else (CANNOT_TELL, "within one process")
    return Comparison(name, verdict, detail, old_s, new_s, time, ratio, p_value, _flags(new))


def _median(side: Side) -> float:
    assert side.times is not None
    return statistics.median_interval(side.times, processes=side.arrays.get("processes")).value


def _quotient(new: Side, old: Side, what: str) -> Interval:
    return statistics.independent_ratio(*_samples(new, old, what))


def _samples(new: Side, old: Side, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The values of both sides, then their processes, without blocks that had no baseline beside them."""
    values, processes = [], []
    for side in (new, old):
        own, of = getattr(side, what), side.arrays.get("processes")
        kept = np.isfinite(own)
        values.append(own[kept])
        processes.append(None if of is None else of[kept])
    return values[0], values[1], processes[0], processes[1]


def _reason(side: Side) -> str:
    return f"{side.record['status']}: {side.record.get('reason')}"


def surroundings(store: Store) -> tuple[str, str, str]:
    """Machine, commit and JAX version of the newest record of a folder."""
    records = [side.record["provenance"] for side in newest(store).values()]
    latest = max(records, key=lambda where: where.get("started") or "")
    commit = latest.get("commit") or {}
    shown = f"{(commit.get('id') or 'no commit')[:12]}{' with changes' if commit.get('dirty') else ''}"
    machine = f"{latest.get('cpu')}, {latest.get('usable_cores')} cores"
    return machine, shown, f"JAX {latest.get('packages', {}).get('jax', 'none')}"


@dataclass(frozen=True)
class Sides:
    """What was compared with what.

    Args:
        old: a line about the old side; `new` likewise.
        estimator: of the intervals.
        notes: sentences that a reader must know.
    """

    old: str
    new: str
    estimator: str
    notes: tuple[str, ...] = ()


def sides_of(old: Store, new: Store) -> Sides:
    """The two folders with their machines, commits and versions."""
    where = [surroundings(store) for store in (old, new)]
    lines = [f"{store.root} ({'; '.join(facts)})" for store, facts in zip((old, new), where, strict=True)]
    two = "Two machines: the times compare the machines, the ratios to the baseline the programs."
    notes = () if where[0][0] == where[1][0] else (two,)
    return Sides(lines[0], lines[1], statistics.INDEPENDENT_ESTIMATOR, notes)


def show(comparisons: list[Comparison], sides: Sides, console: Console) -> None:
    """Prints the table and what it is of."""
    for line in (f"old: {sides.old}", f"new: {sides.new}", *sides.notes):
        console.print(line, highlight=False, soft_wrap=True)
    table = Table("cell", "old", "new", "new / old", "ratio to baseline, new / old", "verdict")
    for one in comparisons:
        verdict = f"{one.verdict}{': ' if one.detail else ''}{one.detail}"
        table.add_row(
            one.name, _seconds(one.old_s), _seconds(one.new_s), _interval(one.time), _interval(one.ratio), verdict
        )
    console.print(table)
    counted = {word: sum(one.verdict == word for one in comparisons) for word in VERDICTS}
    console.print(
        ", ".join(f"{count} {word}" for word, count in counted.items() if count), highlight=False, soft_wrap=True
    )
    console.print(
        f"Intervals: {sides.estimator}. Verdicts: Holm's correction at 5% over all cells.",
        highlight=False,
        soft_wrap=True,
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{1e3 * value:.4g} ms"


def _interval(value: Interval | None) -> str:
    return "" if value is None else f"{value.value:.3f}x [{value.low:.3f}, {value.high:.3f}]"


def opened(folder: Path) -> Store:
    """The store of a folder.

    Raises:
        UserError: there are no results in it.
    """
    store = Store(folder)
    if not any(True for _ in tasks(store)):
        raise UserError(f"{folder} holds no results. Name the `results` folder of a run, as in `results=FOLDER`.")
    return store
