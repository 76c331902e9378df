"""The end of a run of several studies: what became of each, why anything is missing, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.output.progress import Reporter
from pipelines.plan.plan import StudyPlan
from studies.base import Row

HEADER = ("study", "figures", "cells", "ok", "skipped", "invalid", "failed", "time")
COUNTED = {"ok": ("ok",), "skipped": ("skipped",), "invalid": ("invalid",), "failed": ("failed", "timeout", "oom")}
"""Statuses under each heading: a cell that ran out of time or memory is counted as failed, with that reason below."""


@dataclass(frozen=True)
class Outcome:
    """What became of one study.

    Args:
        drawn: its figures, as `render` returned them.
        seconds: of measuring and drawing, in this run.
        export_failed: whether its data files could not be made.
    """

    plan: StudyPlan
    rows: list[Row]
    drawn: list[Any]
    seconds: float
    export_failed: bool = False

    @property
    def study(self) -> str:
        """Its name."""
        return self.plan.configuration.study


def print_closing(outcomes: Sequence[Outcome], seconds: float, reporter: Reporter) -> None:
    """The table of studies, then everything that is missing with its reason, equal reasons once."""
    lines = [HEADER, *table(outcomes, seconds)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    reporter.say("")
    reporter.say("The whole run")
    for name, *numbers in lines:
        cells = [name.ljust(widths[0]), *(text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True))]
        reporter.say("  " + "  ".join(cells))
    for line in missing(outcomes):
        reporter.say(f"  {line}")


def table(outcomes: Sequence[Outcome], seconds: float) -> list[tuple[str, ...]]:
    """One line per study, and the total, in the order of `HEADER`.

    Args:
        outcomes: of the studies.
        seconds: of the whole run; more than the sum of its studies by the planning.
    """
    lines = [_line(one.study, one.rows, one.drawn, one.seconds) for one in outcomes]
    rows = [row for one in outcomes for row in one.rows]
    drawn = [figure for one in outcomes for figure in one.drawn]
    return [*lines, _line("total", rows, drawn, seconds)]


def missing(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each reason why cells, figures or data files are missing."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for one in outcomes:
        for row in one.rows:
            if row.status != "ok":
                cells.setdefault((row.status, (row.reason or "").partition("\n")[0]), []).append(row)
    lines = []
    for (status, reason), rows in cells.items():
        where: dict[str, list[str]] = {}
        for row in rows:
            where.setdefault(row.study, []).append(row.label)
        places = "; ".join(f"{study}: {', '.join(dict.fromkeys(labels))}" for study, labels in where.items())
        count = f"{len(rows)} cell{'s' if len(rows) > 1 else ''}"
        lines.append(f"{status:8} {count} ({places}): {reason}")
    for one in outcomes:
        lines += [f"no figure {one.study}/{each.name}: {each.reason}" for each in one.drawn if not each.files]
        lines += [f"no data files of {one.study}: its export failed, see above"] if one.export_failed else []
    return lines


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes from there on."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _line(name: str, rows: list[Row], drawn: list[Any], seconds: float) -> tuple[str, ...]:
    counts = [str(sum(row.status in statuses for row in rows)) for statuses in COUNTED.values()]
    figures = f"{sum(bool(one.files) for one in drawn)} of {len(drawn)}"
    return (name, figures, str(len(rows)), *counts, duration(seconds))
