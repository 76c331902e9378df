"""What the harness costs: a plan of 10,000 cells, a run that finds them all measured (plan and rows), and the help.

Processor time, of this process or of the command. The records are made up; no number in them was measured.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.config.configuration import Configuration
from pipelines.plan.plan import PlannedCell, Problems, make_plan
from pipelines.race import statistics
from pipelines.results import provenance
from pipelines.results.rows import read_rows
from pipelines.results.store import Store
from pipelines.testing.disks import no_flushing

TITLE = "Processor time of a plan of 10,000 cells, of a run with nothing to do, and of --help"
SYSTEMS = ("genjax", "handcoded_jax")
RECORDS, REPEATS = 10_000, 5
ROUNDS, PROCESSES = 20, 5
LIMIT_SECONDS = {"plan": 3.0, "rerun": 3.0, "help": 1.5}


def run(context: Context) -> list[Finding]:
    """Fills a folder with records, then plans and reads them several times."""
    found: dict[str, list[float]] = {"plan": [], "rerun": [], "help": []}
    with TemporaryDirectory(prefix="genjax-artifact-") as folder:
        configuration = _configuration(context, Path(folder))
        with context.reporter.cells("a large store", REPEATS + 1):
            context.reporter.activity("a large store", f"writing {RECORDS:,} made-up records")
            problems = Problems(context.tree)
            _fill(configuration, problems)
            context.reporter.advance()
            for _ in range(REPEATS):
                store = Store(configuration.results, context.reporter.say)
                with _timed(found["rerun"], time.process_time):
                    with _timed(found["plan"], time.process_time):
                        plan = make_plan(configuration, store, problems)
                    read_rows(plan, store)
                with _timed(found["help"], _of_children):
                    _help(context.tree.root)
                context.reporter.advance()
    names = {
        "plan": f"plan {len(plan.cells):,} cells against as many records",
        "rerun": "plan and rows of a run that has nothing to do",
        "help": "python -m pipelines --help",
    }
    return [_finding(names[one], seconds, LIMIT_SECONDS[one]) for one, seconds in found.items()]


def _configuration(context: Context, folder: Path) -> Configuration:
    """The coin with so many replicates that there are `RECORDS` cells."""
    configuration = replace(
        context.configure("faircoin", "tasks=[importance_sampling]", f"frameworks=[{','.join(SYSTEMS)}]"),
        results=folder,
    )
    tasks = {name: {**task, "replicates": RECORDS // len(SYSTEMS)} for name, task in configuration.tasks.items()}
    return replace(configuration, tasks=tasks)


def _fill(configuration: Configuration, problems: Problems) -> None:
    store, generator = Store(configuration.results), np.random.default_rng(0)
    where = provenance.provenance(configuration.tree.root, configuration.environment, configuration.device)
    with no_flushing():
        for planned in make_plan(configuration, store, problems).cells:
            store.save(*_record(planned, where, generator))


def _record(planned: PlannedCell, where: dict, generator: np.random.Generator) -> tuple[dict, dict[str, np.ndarray]]:
    times = 1e-3 * np.exp(generator.normal(0, 0.02, (2, ROUNDS)))
    record = {
        "key": planned.key, "identity": planned.cell.identity, "inputs": planned.inputs, "order": 1, "status": "ok",
        "reason": None, "diagnostics": {"error": 1e-6}, "timing": {"rounds": ROUNDS, "timed_calls": {}},
        "notes": {"made up": "nothing was measured"}, "provenance": where,
    }  # fmt: skip
    return record, {
        "samples_s": times[0],
        "baseline_samples_s": times[1],
        "processes": np.arange(ROUNDS) % PROCESSES,
    }


def _help(root: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(command, cwd=root, env=environment, stdout=subprocess.DEVNULL, check=True)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _timed(seconds: list[float], clock: Callable[[], float]) -> Iterator[None]:
    start = clock()
    yield
    seconds.append(clock() - start)


def _finding(what: str, seconds: list[float], limit: float) -> Finding:
    found = statistics.median_interval(np.array(seconds))
    value = f"{found.value:.2f} s of processor time [{found.low:.2f}, {found.high:.2f}]"
    verdict = judge_at_most(found.low, found.high, limit)
    return Finding(what, value, f"at most {limit:g} s", verdict, {"seconds": seconds})
