"""Every stored row and every raw round as plain tables, for whoever analyses them with tools of their own."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.canonical import canonical
from pipelines.race import statistics
from pipelines.results.compare import tasks
from pipelines.results.store import Store, by_age

ROW_COLUMNS: dict[str, str] = {
    "key": "identifier of the record; `rounds.key` refers to it",
    "study": "study",
    "task": "task of the study",
    "framework": "system, by the name of its file",
    "parameters": "parameters of the cell, as JSON",
    "seed": "seed of the cell",
    "device": "cpu or cuda",
    "dtype": "default float type of the system",
    "instance": "which of several equal contestants, 0 unless a program raced itself",
    "is_newest": "whether it is the newest record of its cell; older ones have other sources, settings or machines",
    "status": "ok, invalid (wrong answer), skipped, failed, timeout or oom (out of memory)",
    "reason": "why it is not ok",
    "seconds": f"time of one call: {statistics.ESTIMATOR}",
    "seconds_low": "lower end of its 95% interval",
    "seconds_high": "upper end of its 95% interval",
    "ratio": "time divided by that of the race's baseline, paired by round",
    "ratio_low": "lower end of its 95% interval",
    "ratio_high": "upper end of its 95% interval",
    "is_baseline": "whether it is the baseline of its race",
    "race": "identifier of the race; ratios pair rows of one race only",
    "n_rounds": "rounds that were timed",
    "n_processes": "processes that they are from",
    "calls": "calls in a block; the time of a round is that of its block divided by them",
    "cores": "cores to which the processes were confined; empty for all",
    "import_s": "seconds to import the system",
    "trace_s": "seconds to trace the program",
    "compile_s": "seconds to compile it",
    "first_call_s": "seconds of its first call",
    "peak_host_bytes": "peak resident memory of the worker while the program was in it",
    "peak_device_bytes": "peak memory of the GPU's allocator; empty on a CPU",
    "flops": "the compiler's count of floating-point operations of one call",
    "bytes_accessed": "the compiler's count of bytes that one call reads and writes",
    "temporary_bytes": "scratch space of one call",
    "diagnostics": "what the gate measured, as JSON",
    "notes": "what the program says of itself, as JSON",
    "started": "when it was measured (UTC)",
    "host": "name of the machine",
    "cpu": "its processor",
    "usable_cores": "cores that the run could use",
    "memory_bytes": "its memory",
    "gpus": "its GPUs, as JSON",
    "commit": "commit of the checkout",
    "is_dirty": "whether the checkout had uncommitted changes",
    "python": "version of Python",
    "packages": "versions of the packages that matter, as JSON",
}
"""The columns of `rows`, with what each holds: also the data dictionary."""

ROUND_COLUMNS: dict[str, str] = {
    "key": "record, as in `rows`",
    "round": "number of the round in its race, from 0",
    "process": "which of the contestant's processes ran it, from 0",
    "seconds": "time of one call in that round: its block divided by the calls in it",
    "baseline_seconds": "time of one call of the baseline in the same round; empty without a baseline",
}
"""The columns of `rounds`, with what each holds."""


def tables(store: Store) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All records of a store as `rows` (one each) and `rounds` (one for every timed round)."""
    rows: list[dict[str, Any]] = []
    rounds: list[pd.DataFrame] = []
    for study, task in tasks(store):
        history = store.history(study, task)
        newest = {records[-1]["key"] for records in history.values()}
        for record in sorted(itertools.chain.from_iterable(history.values()), key=by_age):
            loaded = store.load(study, task, record["key"])
            if loaded is None:
                continue
            whole, arrays = loaded
            rows.append(_row(whole, arrays, whole["key"] in newest))
            if len(arrays.get("samples_s", ())):
                rounds.append(_rounds(whole["key"], arrays))
    empty = pd.DataFrame(columns=list(ROUND_COLUMNS))
    return pd.DataFrame(rows, columns=list(ROW_COLUMNS)), pd.concat(rounds, ignore_index=True) if rounds else empty


def data_dictionary() -> str:
    """The columns of both tables, in Markdown."""
    lines = ["# Columns", "", "Times are in seconds, sizes in bytes. Missing values are empty.", ""]
    for name, columns in (("rows", ROW_COLUMNS), ("rounds", ROUND_COLUMNS)):
        lines += [f"## {name}", "", "| column | holds |", "|---|---|"]
        lines += [f"| `{column}` | {text} |" for column, text in columns.items()] + [""]
    return "\n".join(lines)


def _row(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], is_newest: bool) -> dict[str, Any]:
    identity, where = record["identity"], record.get("provenance") or {}
    timing, phases = record.get("timing") or {}, record.get("phases") or {}
    memory, cost, commit = record.get("memory") or {}, record.get("cost") or {}, where.get("commit") or {}
    values = {name: identity.get(name) for name in ("study", "task", "framework", "seed", "device", "dtype")}
    values |= {name: where.get(name) for name in ("started", "host", "cpu", "usable_cores", "memory_bytes", "python")}
    values |= {name: cost.get(name) for name in ("flops", "bytes_accessed", "temporary_bytes")}
    values |= {name: memory.get(name) for name in ("peak_host_bytes", "peak_device_bytes")}
    values |= {f"{name}_s": phases.get(name) for name in ("import", "trace", "compile", "first_call")}
    return {
        **values,
        **_times(record, arrays),
        "key": record["key"],
        "parameters": canonical(identity["parameters"]),
        "instance": identity.get("instance", 0),
        "is_newest": is_newest,
        "status": record["status"],
        "reason": record.get("reason"),
        "race": timing.get("race"),
        "calls": timing.get("calls"),
        "cores": timing.get("cores"),
        "diagnostics": _json(record.get("diagnostics") or {}),
        "notes": _json(record.get("notes") or {}),
        "gpus": _json(where.get("gpus") or []),
        "commit": commit.get("id"),
        "is_dirty": commit.get("dirty"),
        "packages": _json(where.get("packages") or {}),
    }


def _times(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    samples = arrays.get("samples_s")
    if record["status"] != "ok" or samples is None or not len(samples):
        return {"is_baseline": False, "n_rounds": 0, "n_processes": 0}
    seed, processes, baseline = record["identity"]["seed"], arrays.get("processes"), arrays.get("baseline_samples_s")
    own = statistics.median_interval(samples, seed, processes)
    is_baseline = bool((record.get("timing") or {}).get("is_baseline"))
    found = {
        "seconds": own.value,
        "seconds_low": own.low,
        "seconds_high": own.high,
        "is_baseline": is_baseline,
        "n_rounds": len(samples),
        "n_processes": 1 if processes is None else len(np.unique(processes)),
    }
    if baseline is not None and len(baseline) and not is_baseline:
        ratio = statistics.ratio_interval(samples, baseline, seed, processes)
        found |= {"ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high}
    return found


def _rounds(key: str, arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    samples = arrays["samples_s"]
    n_rounds = len(samples)
    processes = arrays.get("processes")
    baseline = arrays.get("baseline_samples_s")
    return pd.DataFrame(
        {
            "key": key,
            "round": np.arange(n_rounds),
            "process": np.zeros(n_rounds, dtype=int) if processes is None else processes,
            "seconds": samples,
            "baseline_seconds": np.full(n_rounds, np.nan) if baseline is None else baseline,
        }
    )


def _json(value: object) -> str:
    """JSON in which a number that JSON lacks is a word, as in `"nan"`."""
    return json.dumps(_worded(value), sort_keys=True, default=str, allow_nan=False)


def _worded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _worded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_worded(item) for item in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
