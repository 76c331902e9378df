"""The measurements of `./run scaling`: gated races of GenJAX alone, programs of processes of their own, and limits."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.base import Context
from pipelines.bench.child import ProgramError, run_program
from pipelines.plan.cells import Cell, Race
from pipelines.plan.plan import Problems
from pipelines.plan.tree import REPOSITORY
from pipelines.race import statistics
from pipelines.scaling.fit import log_log
from pipelines.scaling.limit import largest
from pipelines.scaling.series import Series
from studies.base import Row

FRAMEWORK = "genjax"
PROCESSES = 3
"""Of each point: fewer than of a race, since a power law over decades does not need a per cent."""

RATES = {"full": (1 << 24, 1 << 26, 2048), "smoke": (1 << 16, 1 << 16, 64)}
"""Draws, floats and side of a matrix that the limits are measured with."""


@dataclass(frozen=True)
class Point:
    """One size: the time of a call with its 95% interval, and what the limits of the machine allow, in seconds."""

    size: int
    amount: int
    status: str
    reason: str | None = None
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Limits:
    """The rates of the machine, measured once for each number of cores."""

    def __init__(self, smoke: bool):
        self._words = tuple(map(str, RATES["smoke" if smoke else "full"]))
        self._rates: dict[int | None, dict[str, float]] = {}

    def rates(self, cores: int | None) -> dict[str, float]:
        """Seconds per draw, bytes and operations per second."""
        if cores not in self._rates:
            self._rates[cores] = run_program("limits", *self._words, cores=cores)
        return self._rates[cores]

    def of(self, work: Mapping[str, float | None], cores: int | None) -> dict[str, float]:
        """Least seconds for `draws`, `bytes` and `flops`; what is unknown is left out."""
        rates = self.rates(cores)
        by_rate = {
            "bits": ("draws", rates["seconds_per_draw"]),
            "bandwidth": ("bytes", 1 / rates["bytes_per_second"]),
            "flops": ("flops", 1 / rates["flops_per_second"]),
        }
        return {
            name: float(work[what] or 0) * each for name, (what, each) in by_rate.items() if work.get(what) is not None
        }


def measure(context: Context, series: Series, budget: float, limits: Limits, framework: str = FRAMEWORK) -> dict:
    """A series as JSON: its points and the power law through those that are right.

    Args:
        context: checkout, words and progress.
        series: what to measure.
        budget: seconds of timed calls for each point.
        limits: of the machine.
        framework: the system.
    """
    points = []
    with context.reporter.cells(series.name, len(series.sizes)):
        for size in series.sizes:
            context.reporter.activity(series.name, f"{series.amount(size):,} {series.axis}")
            if series.program:
                points.append(_of_program(series, size, budget, limits))
            else:
                points.append(_of_race(context, series, size, budget, limits, framework))
            context.reporter.advance()
    good = [point for point in points if point.status == "ok" and point.seconds is not None]
    fit = log_log([point.amount for point in good], [float(point.seconds or 0) for point in good])
    title = f"{series.study}/{series.task}" if series.study else series.title
    return {
        "name": series.name, "title": title, "axis": series.axis, "cores": series.cores,
        "points": [asdict(point) for point in points], "fit": None if fit is None else asdict(fit),
    }  # fmt: skip


def find_limit(context: Context, series: Series, most: int, framework: str = FRAMEWORK) -> dict:
    """The largest size that runs, as JSON: every size that was tried is a gated cell of its own, timed briefly."""
    told: dict[int, Row] = {}

    def fits(size: int) -> bool:
        told[size] = _race(context, series, size, 0.0, framework, stages=("gate",))[1]
        return told[size].status == "ok"

    with context.reporter.cells(f"{series.name}, limit", 1):
        bracket = largest(fits, series.sizes[-1], most)
        context.reporter.advance()
    failed = told[bracket.fails] if bracket.fails else None
    return {
        "title": f"{series.study}/{series.task}", "axis": series.axis,
        "fits": series.amount(bracket.fits) if bracket.fits else None,
        "fails": series.amount(bracket.fails) if bracket.fails else None,
        "status": failed.status if failed else None, "reason": failed.reason if failed else None,
        "tried": {str(size): row.status for size, row in sorted(told.items())},
    }  # fmt: skip


def _race(
    context: Context, series: Series, size: int, budget: float, framework: str, stages: tuple[str, ...] | None = None
) -> tuple[Cell, Row]:
    """The cell and row of one size, alone in its race."""
    words = [word.format(size=size) for word in series.overrides]
    configuration = context.configure(series.study, f"tasks=[{series.task}]", f"frameworks=[{framework}]", *words)
    taken: list[Cell] = []

    def alone(race: Race) -> Race | None:
        if taken:
            return None
        cell = next(cell for cell in race.cells if cell.framework == framework)
        processes = min(configuration.timing.processes, PROCESSES)
        own = {"cores": series.cores_of(size), "budget_seconds": budget, "processes": processes}
        timing = {**cell.timing, **own}
        taken.append(replace(cell, timing=timing, keep=(), stages=stages or cell.stages))
        return replace(race, cells=(taken[0],), baseline=None, budget_share=1.0)

    ((_, (row,)),) = context.race(configuration, alone)
    return taken[0], row


def _of_race(context: Context, series: Series, size: int, budget: float, limits: Limits, framework: str) -> Point:
    cell, row = _race(context, series, size, budget, framework)
    amount, cores = series.amount(size), series.cores_of(size)
    if row.status != "ok" or row.median_s is None or row.interval_s is None:
        return Point(size, amount, row.status, row.reason)
    facts: dict[str, Any] = {"flags": list(row.flags), "processes": row.n_processes, "phases": row.record.get("phases")}
    try:
        work = {"bytes": row.record["cost"].get("bytes_accessed"), **_work(context, cell)}
    except ProgramError as error:  # the time stands all the same, with no limit beside it
        work, facts["uncounted"] = {}, str(error)
    facts["work"] = work
    at = limits.of(work, cores) if work.get("draws") is not None else {}
    return Point(size, amount, "ok", None, row.median_s, *row.interval_s, at, facts)


def _of_program(series: Series, size: int, budget: float, limits: Limits) -> Point:
    cores = series.cores_of(size)
    try:
        found = [
            run_program("growth", series.program, str(size), str(budget / PROCESSES), cores=cores)
            for _ in range(PROCESSES)
        ]
    except ProgramError as error:
        return Point(size, series.amount(size), "failed", str(error))
    samples = np.concatenate([one["seconds"] for one in found])
    processes = np.repeat(np.arange(PROCESSES), [len(one["seconds"]) for one in found])
    time = statistics.median_interval(samples, processes=processes)
    facts = {"processes": PROCESSES, "compile_s": [one["compile_s"] for one in found]}
    at = limits.of({"draws": found[0]["draws"]}, cores)
    return Point(size, series.amount(size), "ok", None, time.value, time.low, time.high, at, facts)


def _work(context: Context, cell: Cell) -> dict[str, float]:
    """Draws and operations of a cell's program, counted in a process of its own; empty for systems without JAX."""
    description = context.tree.describe(cell.framework)
    if "jax" not in description.distributions:
        return {}
    with tempfile.TemporaryDirectory(prefix="genjax-artifact-") as folder:
        data, asked = Path(folder) / "data.npz", Path(folder) / "cell.json"
        arrays: dict[str, Any] = dict(Problems(context.tree).get(cell.study, cell.parameters).data)
        np.savez(data, **arrays)
        content = {
            "root": str(context.tree.root), "study": cell.study, "framework": cell.framework, "function": cell.function,
            "model": str(context.tree.model_path(cell.study, description)), "parameters": dict(cell.parameters),
            "data": str(data), "dtype": cell.dtype, "seed": cell.seed,
        }  # fmt: skip
        asked.write_text(json.dumps(content), encoding="utf-8")
        command = [sys.executable, "-m", "pipelines.scaling.work", str(asked)]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise ProgramError(f"counting the work of {cell.name} ended with status {done.returncode}: {last}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))
