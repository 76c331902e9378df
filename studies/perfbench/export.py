"""The comparison as files: every row as CSV, and the table of the paper as LaTeX. From stored rows alone."""

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any

from studies.base import Problem, Row, Rows, how_timed

COLUMNS = (
    "task", "framework", "method", "data_set", "n_points", "n_particles", "n_samples", "n_chains", "status", "reason",
    "median_s", "low_s", "high_s", "ratio", "ratio_low", "ratio_high", "rounds", "processes", "cores",
    "effective_sample_size",
    "effective_samples_per_s", "acceptance_rate", "gradient_evaluations", "compile_s", "dtype", "device", "device_name",
    "commit", "flags",
)  # fmt: skip
MARKS = {
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
NAMES = {"importance_sampling": "Importance sampling", "hmc": "Hamiltonian Monte Carlo"}
SIZES = {
    "importance_sampling": "n_particles",
    "importance_sweep": "n_particles",
    "hmc": "n_samples",
    "hmc_chains": "n_chains",
    "importance_sampling_all_cores": "n_particles",
    "importance_sweep_all_cores": "n_particles",
    "hmc_chains_all_cores": "n_chains",
}


def files(rows: Rows, problem: Callable[[dict[str, Any]], Problem]) -> dict[str, str]:
    """`benchmark_summary_<device>.csv` and `benchmark_table.tex`.

    Args:
        rows: all rows of the study on one device; one that has no number says why.
        problem: `problem(row.parameters)` gives the row's problem.
    """
    if not rows:
        return {}
    return {f"benchmark_summary_{rows[0].device}.csv": summary(rows, problem), "benchmark_table.tex": table(rows)}


def summary(rows: Rows, problem: Callable[[dict[str, Any]], Problem]) -> str:
    """One line per row, times in seconds, empty where there is no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(_line(row, len(problem(row.parameters).data["xs"])))
    return text.getvalue()


def _line(row: Row, n_points: int) -> dict[str, Any]:
    is_chain = row.task.startswith("hmc")
    where, size = row.record.get("provenance", {}), row.diagnostics.get("effective_sample_size")
    line: dict[str, Any] = {
        "task": row.task,
        "framework": row.framework,
        "method": "hmc" if is_chain else "is",
        "data_set": row.parameters["data_set"],
        "n_points": n_points,
        "n_particles": None if is_chain else row.parameters["n_particles"],
        "n_samples": row.parameters["n_samples"] if is_chain else None,
        "n_chains": row.parameters["n_chains"] if is_chain else None,
        "status": row.status,
        "reason": row.reason,
        "median_s": row.median_s,
        "ratio": row.ratio,
        "rounds": len(row.samples_s) or None,
        "processes": row.n_processes or None,
        "cores": row.cores,
        "effective_sample_size": size,
        "acceptance_rate": row.diagnostics.get("acceptance_rate"),
        "gradient_evaluations": row.record.get("notes", {}).get("gradient_evaluations"),
        "compile_s": row.record.get("phases", {}).get("compile"),
        "dtype": dtype(row),
        "device": row.device,
        "device_name": _device_name(row),
        "commit": (where.get("commit") or {}).get("id"),
        "flags": "; ".join(row.flags),
    }
    if row.interval_s is not None:
        line |= {"low_s": row.interval_s[0], "high_s": row.interval_s[1]}
    if row.ratio_interval is not None:
        line |= {"ratio_low": row.ratio_interval[0], "ratio_high": row.ratio_interval[1]}
    if row.median_s and size is not None:
        line["effective_samples_per_s"] = size / row.median_s
    return line


def table(rows: Rows) -> str:
    """A booktabs table: systems by sizes, milliseconds and the factor to the baseline; the caption says of what."""
    tasks = [task for task in NAMES if rows.where(task=task)]
    sizes = {task: sorted(rows.where(task=task).values(SIZES[task])) for task in tasks}
    n_columns = sum(len(found) for found in sizes.values())
    spans, rules, start = [], [], 2
    for task in tasks:
        end = start + len(sizes[task]) - 1
        spans.append(rf"\multicolumn{{{len(sizes[task])}}}{{c}}{{{NAMES[task]}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{end}}}")
        start = end + 1
    marks = {"n_particles": "N", "n_samples": "S"}
    heads = [f"${marks[SIZES[task]]}={size:,}$".replace(",", "{,}") for task in tasks for size in sizes[task]]
    lines = [
        r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * n_columns}}}", r"\toprule",
        " & ".join(["", *spans]) + r" \\", " ".join(rules), " & ".join(["System", *heads]) + r" \\", r"\midrule",
    ]  # fmt: skip
    for framework in rows.values("framework"):
        own = rows.where(framework=framework)
        cells = [_cell(own.where(task=task, **{SIZES[task]: size})) for task in tasks for size in sizes[task]]
        lines.append(" & ".join([_escaped(own[0].label), *cells]) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{caption(Rows([row for row in rows if row.task in tasks]) or rows)}}}",
        rf"\label{{tab:{rows[0].device}-benchmarks}}",
    ]
    return "\n".join([*lines, r"\end{table}", ""])


def caption(rows: Rows) -> str:
    """What the table shows, on which device, against which baseline; from the rows."""
    ok = [row for row in rows if row.status == "ok" and len(row.samples_s)]
    where = next((_device_name(row) for row in ok), None)
    baseline = next((row.label for row in ok if row.is_baseline), None)
    parts = ["Median time of a call in milliseconds"]
    if baseline:
        parts.append(f", in parentheses the factor to {baseline}, paired by round")
    parts.append(f". Device: {rows[0].device.upper()}" + (f" ({where})" if where else ""))
    how = how_timed(ok)
    if how is not None:
        parts.append(f"; {how}")
    other = other_precision(ok)
    if other is not None:
        parts.append(f"; {other}")
    return _escaped("".join(parts) + ". Every time is of a program whose answer was checked.")


def dtype(row: Row) -> str | None:
    """What the system computed in: by its own word if it has one type whatever is asked for, as Gen.jl."""
    record = row.record
    return record.get("notes", {}).get("dtype") or record.get("provenance", {}).get("dtype")


def other_precision(rows: Iterable[Row]) -> str | None:
    """`Gen.jl in float64`, of the systems that computed in another type than the first; None if there are none."""
    found = {row.label: dtype(row) for row in rows if row.status == "ok"}
    usual = next((kind for kind in found.values() if kind), None)
    odd: dict[str, list[str]] = {}
    for label, kind in found.items():
        if kind and kind != usual:
            odd.setdefault(kind, []).append(label)
    return "; ".join(f"{' and '.join(labels)} in {kind}" for kind, labels in odd.items()) or None


def _device_name(row: Row) -> str | None:
    """The GPU's name as its system reports it, or the CPU's."""
    if row.device == "cpu":
        return row.record.get("provenance", {}).get("cpu")
    return row.record.get("device_name")


def _cell(rows: Rows) -> str:
    if not rows:
        return "--"
    row = rows[0]
    if row.status != "ok" or row.median_s is None:
        return rf"\emph{{{row.status if row.status != 'ok' else 'not timed'}}}"
    ratio = "" if row.ratio is None else rf" ({row.ratio:.2f}$\times$)"
    return f"{1e3 * row.median_s:.3g}{ratio}"


def _escaped(text: str) -> str:
    """Text for LaTeX: a device's name may hold any of its signs."""
    return "".join(MARKS.get(character, character) for character in text)
