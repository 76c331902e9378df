"""Stored records as rows: every statistic is computed here, when read, from the raw block times."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration
from pipelines.plan.cells import settings_of
from pipelines.plan.plan import SKIP, PlannedCell, StudyPlan, nothing_collected
from pipelines.race import condition, statistics, timed_calls
from pipelines.race.spread import Prior
from pipelines.race.timing import TimingSettings
from pipelines.results.machine import machine
from pipelines.results.store import Store
from studies.base import EARLIER_SOURCES, Row

OUTPUT = "output/"
"""Prefix of stored outputs among a record's arrays; `samples_s` and `baseline_samples_s` are the block times, and
`processes` is the process of each."""


def read_rows(plan: StudyPlan, store: Store, exact: bool = True) -> list[tuple[PlannedCell, Row]]:
    """The row of every planned cell.

    Args:
        plan: the cells.
        store: their records.
        exact: True takes only records of the planned keys. False, for drawing without measuring, takes the newest
            record of the cell, whatever its status, where that key has none, and flags what has changed since.
    """
    newest = None if exact else Newest(store)
    with nothing_collected():
        return [(planned, _read_row(planned, plan.configuration, store, newest)) for planned in plan.cells]


def _read_row(planned: PlannedCell, configuration: Configuration, store: Store, newest: "Newest | None") -> Row:
    """The row of one planned cell; a cell without a record has status "failed" and says that it is missing."""
    cell = planned.cell
    if planned.key:
        stored = store.load(cell.study, cell.task, planned.key)
        if stored is not None:
            return row_of(*stored, planned, configuration)
    if newest is not None:
        found = newest.get(cell.identity)
        if found is not None:
            where = found[0]["inputs"].get("machine")
            elsewhere = where is not None and where != machine(cell.device)
            flag = EARLIER_SOURCES if planned.key else None  # without a key nobody compared them
            flag = f"measured on another machine: {where}" if elsewhere else flag
            return row_of(*found, planned, configuration, flag=flag)
    status, reason = ("skipped", planned.why) if planned.action == SKIP else ("failed", "not measured")
    return _row(planned, status, reason)


def rows_digest(rows: Iterable[Row]) -> str:
    """A hash of everything that rows say; their records name the hashes of their arrays."""
    hashed = hashlib.sha256()
    for row in rows:
        facts = {name: value for name, value in vars(row).items() if name not in ("arrays", "samples_s")}
        hashed.update(json.dumps(facts, sort_keys=True, default=repr).encode())
    return hashed.hexdigest()


class Newest:
    """The newest record of any cell, whatever its status and the state of its sources. Reads each task's records once.

    In a store that holds records of several machines those of this one come first.
    """

    def __init__(self, store: Store):
        self._store = store
        self._keys: dict[tuple[str, str], dict[str, str]] = {}

    def get(self, identity: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The record and arrays of the cell of that identity, or None."""
        task = (identity["study"], identity["task"])
        if task not in self._keys:
            newest = self._store.newest(*task, machine(identity["device"]))
            self._keys[task] = {one: record["key"] for one, record in newest.items()}
        key = self._keys[task].get(canonical(identity))
        return None if key is None else self._store.load(*task, key)


def row_of(
    record: dict[str, Any],
    arrays: dict[str, np.ndarray],
    planned: PlannedCell,
    configuration: Configuration,
    flag: str | None = None,
) -> Row:
    """The row of a record."""
    outputs = {name.removeprefix(OUTPUT): array for name, array in arrays.items() if name.startswith(OUTPUT)}
    row = _row(planned, record["status"], record.get("reason"))
    times: dict[str, Any] = {}
    samples = arrays.get("samples_s")
    if record["status"] == "ok" and samples is not None and len(samples):
        times = _times(record, arrays, settings_of(planned.cell, configuration))
    found = condition.flags(record.get("condition") or {}) if times else []
    flags = (*times.pop("flags", ()), *found, *([flag] if flag else []))
    values = {
        name: getattr(row, name) for name in ("study", "task", "framework", "label", "color", "marker", "parameters")
    }
    return Row(
        **values,
        seed=record["identity"]["seed"],
        device=record["identity"]["device"],
        status=record["status"],
        reason=record.get("reason"),
        flags=flags,
        diagnostics=record.get("diagnostics", {}),
        arrays=outputs,
        record=record,
        **times,
    )


def _row(planned: PlannedCell, status: str, reason: str | None) -> Row:
    cell = planned.cell
    return Row(
        study=cell.study,
        task=cell.task,
        framework=cell.framework,
        label=planned.description.label,
        color=planned.description.color,
        marker=planned.description.marker or "o",
        parameters=dict(cell.parameters),
        seed=cell.seed,
        device=cell.device,
        status=status,
        reason=reason,
    )


def _times(record: dict[str, Any], arrays: dict[str, np.ndarray], settings: TimingSettings) -> dict[str, Any]:
    samples, baseline, processes = (arrays.get(name) for name in ("samples_s", "baseline_samples_s", "processes"))
    assert samples is not None
    seed = record["identity"]["seed"]
    timing = record["timing"]
    priors = {kind: Prior(**prior) for kind, prior in (timing.get("priors") or {}).items() if prior}
    own = statistics.median_interval(samples, seed, processes, priors.get("time"))
    is_baseline = bool(timing.get("is_baseline"))
    ratio, n_ratios = None, len(samples)
    if is_baseline:
        ratio = statistics.Interval(1.0, 1.0, 1.0)
    elif baseline is not None and np.isfinite(baseline).any():
        paired = np.isfinite(baseline)
        n_ratios = int(paired.sum())
        of = None if processes is None else processes[paired]
        ratio = statistics.ratio_interval(samples[paired], baseline[paired], seed, of, priors.get("ratio"))
    n_processes = 1 if processes is None else len(set(processes.tolist()))
    flags = statistics.flags(
        samples,
        ratio,
        n_ratios=n_ratios,
        interval_width=settings.interval_width,
        idle_fraction=timing.get("idle_fraction"),
        max_idle_fraction=settings.max_idle_fraction,
        load_average=None if timing.get("waited_fraction") is not None else timing.get("load_average"),
        cores=record["provenance"].get("cores"),
        own=own,
        n_processes=n_processes,
        is_baseline=is_baseline,
    )
    around = {name: timing.get(name) for name in ("idle_after_fraction", "waited_fraction")}
    contention = (record.get("condition") or {}).get("contention")
    outside = {**timing.get("timed_calls", {}), **around, "contention": contention}
    flags += timed_calls.flags(outside, settings.max_idle_fraction)
    if settings.cores is not None and timing.get("cores") is None and record["identity"]["device"] == "cpu":
        flags.append("this system does not let a program choose its cores")
    return {
        "median_s": own.value,
        "interval_s": (own.low, own.high) if statistics.suffice(len(samples)) else None,
        "ratio": None if ratio is None else ratio.value,
        "ratio_interval": (ratio.low, ratio.high) if ratio and (is_baseline or statistics.suffice(n_ratios)) else None,
        "samples_s": samples,
        "n_processes": n_processes,
        "cores": timing.get("cores"),
        "is_baseline": is_baseline,
        "flags": tuple(flags),
    }
