"""What follows measuring: each study's figures and files as soon as it is done, the page, and the end of the run."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.output import claims, report
from pipelines.output.figures import render
from pipelines.output.page.build import figure_entries, write_page
from pipelines.output.progress import Reporter
from pipelines.output.summary import Outcome, print_closing
from pipelines.plan.plan import RUN, Problems, StudyPlan
from pipelines.results.export import export
from pipelines.results.rows import read_rows
from pipelines.results.store import Store
from pipelines.spent import Spent

TARGET = "the target for paper-figures is at most 10% and 20 s"
"""What the harness may cost."""
MEASURING, READING, DRAWING, REPORTING = "between requests", "reading rows", "drawing", "page and claims"
"""What the end of a run calls the time that goes to these; of measuring, only what is neither workers' nor gates'."""


def finish(
    plan: StudyPlan, store: Store, problems: Problems, reporter: Reporter, seconds: float, spent: Spent
) -> Outcome:
    """Reads, draws, exports and sums up one study.

    Args:
        plan: the study's plan, after it was executed or skipped.
        store: its records.
        problems: data and truth for figures and files.
        reporter: gets the summary.
        seconds: that its measurement took.
        spent: gets the seconds of what is done here.
    """
    study, stages = plan.configuration.study, plan.configuration.stages
    with spent.on(READING):
        pairs = read_rows(plan, store, exact="run" in stages)
    rows = [row for _, row in pairs]
    start = time.monotonic()
    drawn = []
    if "figures" in stages and plan.configuration.figures:
        with reporter.cells(f"{study}: figures", len(plan.configuration.figures)), spent.on(DRAWING):
            drawn = render(plan, pairs, store, problems, reporter)
    seconds += time.monotonic() - start
    report.print_summary(plan, rows, drawn, seconds, "run" in stages and plan.to_run > 0, reporter)
    with spent.on(REPORTING):
        export_failed = "export" in stages and export(plan.configuration, rows, problems, reporter)
    return Outcome(plan, rows, drawn, seconds, export_failed)


def refresh_page(
    outcomes: Sequence[Outcome],
    plans: Sequence[StudyPlan],
    store: Store,
    others: claims.Others,
    judged: list[claims.Judged] | None = None,
) -> Path | None:
    """Writes the page of the studies that are finished; the others appear as they were stored before this run.

    Args:
        outcomes: of the finished studies.
        plans: of all.
        store: their records.
        others: see `claims.judge_all`.
        judged: the claims, if they were judged already.

    Returns:
        Where it is, or None where the report was not asked for.
    """
    configurations = [plan.configuration for plan in plans]
    if "report" not in configurations[0].stages:
        return None
    rows = {one.study: one.rows for one in outcomes}
    waiting = [one.study for one in configurations if one.study not in rows]
    rows |= {one.study: claims.stored_rows(one, store) for one in configurations if one.study in waiting}
    if judged is None:
        judged = claims.judge_all(configurations, store, rows, others)
    reasons = {one.study: {each.name: each.reason or "" for each in one.drawn} for one in outcomes}
    figures = {one.study: figure_entries(one, reasons=reasons.get(one.study)) for one in configurations}
    notes = [f"The run is still at work: {', '.join(waiting)} not finished."] if waiting else []
    return write_page(configurations, rows, judged, figures, notes)


def close(
    outcomes: Sequence[Outcome],
    plans: Sequence[StudyPlan],
    store: Store,
    reporter: Reporter,
    start: float,
    working: float = 0.0,
    spent: Spent | None = None,
    others: claims.Others | None = None,
) -> int:
    """The end of the run: a closing summary if there are several studies, the report, and the exit status.

    Args:
        outcomes: of the studies.
        plans: of the studies.
        store: their records.
        reporter: gets the lines.
        start: of the run, by the monotonic clock.
        working: seconds spent preparing, gating and timing; 0 where nothing was measured.
        spent: what the others went to.
        others: see `claims.judge_all`.
    """
    seconds, spent = time.monotonic() - start, spent or Spent()
    others, judged = {} if others is None else others, None
    if len(outcomes) > 1:
        print_closing(outcomes, seconds, reporter)
    if "report" in outcomes[0].plan.configuration.stages:
        with spent.on(REPORTING):
            if len(outcomes) > 1:
                known = {one.study: one.rows for one in outcomes}
                judged = claims.tell([one.plan.configuration for one in outcomes], store, known, reporter, others)
            if is_writable(store.root):
                reporter.say(f"report: {report.write_report(list(outcomes), seconds, store.root)}")
            else:
                reporter.say(f"no report.md: {store.root} cannot be written")
            reporter.say(f"page: {refresh_page(outcomes, plans, store, others, judged)}")
    if working:
        reporter.say(overhead(time.monotonic() - start, working, spent.parts))
    nothing = _why_nothing(outcomes)
    if nothing:
        reporter.say(f"Nothing was measured: {nothing}")
    return int(bool(nothing) or any(one.export_failed or report.exit_status(one.rows, one.drawn) for one in outcomes))


def _why_nothing(outcomes: Sequence[Outcome]) -> str:
    """The reasons, if no system that was started can run here: a skip is expected, a run of skips alone is not."""
    rows = [row for one in outcomes for row in one.rows]
    tried = any(planned.action == RUN for one in outcomes for planned in one.plan.cells)
    if not tried or "run" not in outcomes[0].plan.configuration.stages or {row.status for row in rows} != {"skipped"}:
        return ""
    return "; ".join(dict.fromkeys(f"{row.framework}: {row.reason}" for row in rows))


def overhead(seconds: float, working: float, parts: Mapping[str, float]) -> str:
    """The line about the time of a run that was not spent preparing, gating or timing, and what it went to.

    Args:
        seconds: of the run.
        working: of them, in requests to workers and at the gates.
        parts: of them, by what they were spent on; `MEASURING` includes the working ones.
    """
    rest = max(seconds - working, 0.0)
    told = {**parts, MEASURING: max(parts.get(MEASURING, 0.0) - working, 0.0)}
    told["the rest"] = rest - sum(told.values())
    longest = sorted(told.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {took:.1f}" for name, took in longest if took >= 0.05)
    share = rest / max(seconds, 1e-9)
    return (
        f"harness: {rest:.1f} s of {seconds:.1f} s ({share:.0%}) were not spent preparing, gating or timing"
        f"{f' ({listed})' if listed else ''}; {TARGET}"
    )


def is_writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return os.access(existing, os.W_OK)
