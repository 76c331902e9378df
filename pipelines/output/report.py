"""The closing summary on the terminal and `<results>/report.md`: every row, its estimator named, intervals, flags."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from pipelines.atomic import write_atomically
from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration
from pipelines.output import summary
from pipelines.output.progress import Reporter
from pipelines.output.summary import Outcome
from pipelines.output.terminal import in_markdown
from pipelines.plan.participants import without_part
from pipelines.plan.plan import CACHED, RUN, PlannedCell, StudyPlan
from pipelines.race import statistics
from pipelines.results import provenance
from pipelines.results.machine import machine
from pipelines.results.store import store_error
from studies.base import Row

BAD = ("failed", "invalid", "timeout", "oom")
"""Statuses that make the exit status 1; "skipped" does not: an absent optional system is expected."""


MOST_REASONS = 3
"""Different reasons of one framework that the plan shows."""


def print_plan(plan: StudyPlan, reporter: Reporter) -> None:
    """The plan as a table: what will be done with every cell and why, and who takes no part; equal ones on one line."""
    configuration = plan.configuration
    title = f"Plan of {configuration.study} (size {configuration.size}, {configuration.device})"
    grouped: dict[tuple[str, str, str], list[PlannedCell]] = {}
    for planned in plan.cells:
        name = f"{planned.cell.study}/{planned.cell.task}"
        grouped.setdefault((name, planned.action, planned.why if planned.action != CACHED else ""), []).append(planned)
    lines = []
    for (name, action, why), cells in grouped.items():
        frameworks = ", ".join(dict.fromkeys(planned.cell.framework for planned in cells))
        lines.append((name, frameworks, str(len(cells)), action, why or "cached"))
    lines += _absent(configuration)
    if not reporter.console.is_terminal:
        reporter.say(title)
        for name, frameworks, count, action, why in lines:
            reporter.say(f"  {action:6} {name} [{frameworks}] {count} cell{'s' if count != '1' else ''}: {why}")
        return
    table = Table(title=title, title_justify="left")
    for column in ("task", "frameworks", "cells", "action", "why"):
        table.add_column(column, overflow="fold")
    for row in lines:
        table.add_row(*map(Text, row))  # plain text: brackets in it are not markup
    reporter.console.print(table)


def _absent(configuration: Configuration) -> list[tuple[str, str, str, str, str]]:
    """A line of the plan for all frameworks that take no part in the same tasks for the same reasons."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for framework, reasons in without_part(configuration.tasks).items():
        tasks = [task for found in reasons.values() for task in found]
        where = f"{configuration.study}/{tasks[0]}" if len(tasks) == 1 else f"{configuration.study}, {len(tasks)} tasks"
        shown = list(reasons)[:MOST_REASONS]
        more = f"; and {len(reasons) - len(shown)} more" if len(reasons) > len(shown) else ""
        grouped.setdefault((where, "; ".join(shown) + more), []).append(framework)
    return [(where, ", ".join(names), "0", "absent", why) for (where, why), names in grouped.items()]


def exit_status(rows: list[Row], drawn: list[Any]) -> int:
    """0 only if every cell is ok or an expected skip and every figure with something to draw was drawn."""
    return int(any(row.status in BAD for row in rows) or any(one.failed for one in drawn))


def print_summary(
    plan: StudyPlan, rows: list[Row], drawn: list[Any], seconds: float, measured: bool, reporter: Reporter
) -> None:
    """What became of a study: rows by status, times, figures, and each thing that went wrong in one line."""
    study = plan.configuration.study
    counts = Counter(row.status for row in rows)
    what = ", ".join(f"{count} {status}" for status, count in counts.items())
    ran = f"{plan.to_run} measured now" if measured else "nothing measured"
    reporter.say(f"{study}: {what} of {len(rows)} cells ({ran}) in {seconds:.1f} s")
    for status in ("skipped", *BAD):
        reasons: dict[tuple[str, str], int] = {}
        for row in rows:
            if row.status == status:
                told = (f"{row.task} {row.framework}", row.reason or "")
                reasons[told] = reasons.get(told, 0) + 1
        for (name, reason), count in reasons.items():
            reporter.say(f"  {status:8} {name}{f' ({count} cells)' if count > 1 else ''}: {reason}")
    timed = [row for row in rows if row.median_s is not None]
    if timed:
        reporter.say(f"  times: {statistics.ESTIMATOR}")
    varying = {task: _varying([row for row in rows if row.task == task]) for task in {row.task for row in timed}}
    lines = []
    for row in timed:
        name = f"{row.task} {row.framework} {_point(row, varying[row.task])}".rstrip()
        lines.append(f"  {name:40} {_milliseconds(row):>32}  {_ratio(row)}{_flags(row)}")
    if lines:
        reporter.say("\n".join(lines))  # at once: of 10,000 lines, each alone takes a second in all
    for one in drawn:
        if one.files:
            reporter.say(f"  figure   {one.name}: {one.files[0]}{' (unchanged)' if one.unchanged else ''}")
        else:
            reporter.say(f"  {'FAILED' if one.failed else 'no'} figure {one.name}: {one.reason}")


def _false_alarms(results: Path) -> list[str]:
    """What the last A/A races into this folder said, if there were any (`./run bench false_alarms`)."""
    try:
        content = json.loads((results / "bench" / "false_alarms.json").read_text(encoding="utf-8"))
        (finding, *_) = content["findings"]
        return [f"False alarms on this machine: {in_markdown(finding['what'])}: {in_markdown(finding['value'])}."]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # not measured here, which is nothing to report


def write_report(outcomes: list[Outcome], seconds: float, results: Path) -> Path:
    """Writes `report.md`, the run's summary and a table per task, and returns its path."""
    first = outcomes[0].plan.configuration
    lines = [
        "# Report",
        "",
        f"Size {first.size}, device {first.device} ({machine(first.device)}), {provenance.now()}.",
        f"Times are of one call: {statistics.ESTIMATOR}. Ratios refer to the baseline of the race.",
        "Compile and first call are single measurements; memory is the peak while the cell was in its worker.",
    ]
    lines += _false_alarms(results)
    lines += ["", "## This run", "", *_markdown([summary.HEADER, *summary.table(outcomes, seconds)])]
    lines += ["", "Cells that were stored already cost no time.", ""]
    lines += [f"- {in_markdown(line)}" for line in summary.missing(outcomes)]
    for one in outcomes:
        for task in dict.fromkeys(row.task for row in one.rows):
            lines += ["", f"## {one.study}: {task}", ""]
            lines += _table([row for row in one.rows if row.task == task])
    path = results / "report.md"
    try:
        results.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise store_error(error, results) from error
    return path


def any_to_run(plans: list[StudyPlan]) -> bool:
    """Whether a plan has a cell to measure."""
    return any(planned.action == RUN for plan in plans for planned in plan.cells)


def _table(rows: list[Row]) -> list[str]:
    header = ("framework", "parameters", "seed", "status", "time (ms)", "ratio", "difference", "compile (s)",
              "first call (s)", "peak memory (MiB)", "diagnostics", "flags or reason")  # fmt: skip
    lines: list[tuple[str, ...]] = [header]
    varying = _varying(rows)
    for row in rows:
        phases = row.record.get("phases", {})
        peak = (row.record.get("memory") or {}).get("peak_host_bytes")
        verdict = ""
        if row.ratio is not None and row.ratio_interval is not None and not row.is_baseline:
            verdict = statistics.difference(statistics.Interval(row.ratio, *row.ratio_interval))
        lines.append(
            (
                row.label,
                _point(row, varying),
                str(row.seed),
                row.status,
                _milliseconds(row),
                _ratio(row),
                "baseline" if row.is_baseline else verdict,
                f"{phases['compile']:.2f}" if "compile" in phases else "",
                f"{phases['first_call']:.3f}" if "first_call" in phases else "",
                f"{peak / 2**20:.0f}" if peak else "",
                ", ".join(f"{name} {value:.4g}" for name, value in row.diagnostics.items()),
                "; ".join(row.flags) if row.status == "ok" else row.reason or "",
            )
        )
    return _markdown(lines)


def _markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, the header first."""
    header, *body = ["| " + " | ".join(map(in_markdown, cells)) + " |" for cells in lines]
    return [header, f"|{'---|' * len(lines[0])}", *body]


def _varying(rows: Sequence[Row]) -> list[str]:
    """The names of the parameters that differ among the rows."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.parameters.items():
            values.setdefault(name, set()).add(canonical(value))
    return [name for name, found in values.items() if len(found) > 1]


def _point(row: Row, varying: Sequence[str]) -> str:
    return " ".join(f"{name}={row.parameters[name]}" for name in varying if name in row.parameters)


def _milliseconds(row: Row) -> str:
    if row.median_s is None or row.interval_s is None:
        return ""
    low, high = row.interval_s
    return f"{1e3 * row.median_s:.4g} ms [{1e3 * low:.4g}, {1e3 * high:.4g}]"


def _ratio(row: Row) -> str:
    if row.is_baseline:
        return "baseline"
    if row.ratio is None or row.ratio_interval is None:
        return ""
    low, high = row.ratio_interval
    return f"{row.ratio:.3f}x [{low:.3f}, {high:.3f}]"


def _flags(row: Row) -> str:
    return f"  ! {'; '.join(row.flags)}" if row.flags else ""
