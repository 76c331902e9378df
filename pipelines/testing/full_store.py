"""A store that looks like that of a whole run: a record with plausible rounds for every cell, without measuring.

For tests and for looking at the page: `python -m pipelines.testing.full_store FOLDER [KEY=VALUE ...]`. No number in it
was measured, and every record says so in its notes.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration, configure
from pipelines.plan.cells import Cell, Race, races
from pipelines.plan.descriptions import describe
from pipelines.plan.fingerprint import digest
from pipelines.plan.plan import skip_reason
from pipelines.plan.tree import Tree
from pipelines.results import provenance
from pipelines.results.machine import machine
from pipelines.results.store import Store

PROCESSES, ROUNDS = 5, 20


def write_full_store(folder: Path, words: list[str], tree: Tree | None = None) -> int:
    """Writes a record for every cell that these overrides ask for and this machine could run.

    Returns:
        How many.
    """
    store, count = Store(folder), 0
    for configuration in configure(words, tree or Tree()):
        can_run = _runnable(configuration)
        where = provenance.provenance(configuration.tree.root, configuration.environment, configuration.device)
        for number, race in enumerate(races(configuration)):
            for record, arrays in _race(number, race, can_run, where, configuration.size):
                store.save(record, arrays)
                count += 1
    return count


def _race(
    number: int, race: Race, can_run: Callable[[Cell], bool], where: dict[str, Any], size_name: str
) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """The records of one race, whose systems keep their speeds relative to each other from race to race."""
    generator = np.random.default_rng([zlib.crc32(race.title.encode()), number])
    processes = np.arange(ROUNDS) % PROCESSES
    size = 1.0 + 0.3 * np.log1p(sum(v for v in race.cells[0].parameters.values() if type(v) is int and v > 0))
    baseline_s = 1e-3 * size * _noise(generator, processes)
    for cell in race.cells:
        if not can_run(cell):
            continue
        is_baseline = cell == race.baseline
        factor = 1.0 if is_baseline else 0.8 + (zlib.crc32(cell.framework.encode()) % 400) / 100
        timed = "time" in cell.stages
        samples = baseline_s if is_baseline else factor * baseline_s * _noise(generator, processes)
        arrays = {"samples_s": samples, "processes": processes} if timed else {}
        if timed and race.baseline is not None:
            arrays["baseline_samples_s"] = baseline_s
        timing = {
            "race": digest(race.title)[:12], "rounds": ROUNDS, "blocks": ROUNDS, "processes": PROCESSES, "calls": 50,
            "stop": "interval", "is_baseline": is_baseline, "idle_fraction": 0.0, "load_average": 0.4, "cores": 1,
            "waited_fraction": 0.001, "timed_calls": {"judged": PROCESSES},
            "contestants": [one.name for one in race.cells],
        }  # fmt: skip
        state = {"cores": [0], "governors": ["performance"], "turbo": True, "mhz_before": 2900.0, "mhz_after": 2915.0}
        yield {
            "key": digest(canonical(cell.identity))[:24],
            "identity": cell.identity,
            "inputs": {"machine": machine(cell.device)},
            "order": 1,
            "status": "ok",
            "reason": None,
            "diagnostics": {"effective_sample_size": 900.0, "relative_error": 1e-6},
            "timing": timing if timed else None,
            "condition": {**state, "throttled_periods": 0, "thermal_throttles": 0, "contention": 0.002},
            "phases": {"import": 1.1, "trace": 0.2, "compile": 0.9, "first_call": 0.01, "prepare": 0.3},
            "memory": {"peak_host_bytes": 400 * 2**20, "peak_device_bytes": None},
            "cost": {"flops": 1e6, "bytes_accessed": 1e6, "temporary_bytes": 1e4},
            "notes": {"made up": "nothing was measured"},
            "provenance": {**where, "size": size_name, "seed": cell.seed, "dtype": cell.dtype},
        }, arrays  # fmt: skip


def _runnable(configuration: Configuration) -> Callable[[Cell], bool]:
    """Whether this machine could run a cell; each system is looked at once for each program."""
    tree, known = configuration.tree, dict[tuple[str, str], bool]()

    def can_run(cell: Cell) -> bool:
        slot = (cell.framework, cell.function)
        if slot not in known:
            known[slot] = skip_reason(cell, describe(cell.framework, tree), tree) is None
        return known[slot]

    return can_run


def _noise(generator: np.random.Generator, processes: np.ndarray) -> np.ndarray:
    """(n_rounds,) factors around 1: processes differ by 1%, rounds within them by 2%."""
    return np.exp(generator.normal(0, 0.01, PROCESSES)[processes] + generator.normal(0, 0.02, len(processes)))


if __name__ == "__main__":
    print(f"{write_full_store(Path(sys.argv[1]), sys.argv[2:])} made-up records")
