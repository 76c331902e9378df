"""Benchmarks of a program in GenJAX against the same by hand: both take turns in each of some processes.

The program, a file of `programs/`, takes a case and prints `{seconds: {genjax: [...], by_hand: [...]}, ...}`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipelines.bench.base import Context, Finding, ratio_finding
from pipelines.bench.child import ProgramError
from pipelines.race import statistics

PROCESSES = 3

Measured = list[dict[str, Any]]


def take_turns(
    context: Context,
    title: str,
    cases: Sequence[str],
    program: Callable[[str], dict[str, Any]],
    report: Callable[[Measured], list[Finding]],
) -> list[Finding]:
    """What `report` finds in the numbers of the processes of each case, or the finding that one ended without any."""
    findings = []
    with context.reporter.cells(title, len(cases) * PROCESSES):
        for case in cases:
            measured: Measured = []
            try:
                for index in range(PROCESSES):
                    context.reporter.activity(title, f"{case}, process {index + 1} of {PROCESSES}")
                    measured.append(program(case))
                    context.reporter.advance()
            except ProgramError as error:
                findings.append(error.finding(case))
            else:
                findings += report(measured)
    return findings


def time_ratio(measured: Measured, what: str, limit: float) -> Finding:
    """The ratio of times with Student's interval over processes: rounds of one process are not independent."""
    ours, by_hand = (np.array([np.median(one["seconds"][who]) for one in measured]) for who in ("genjax", "by_hand"))
    ratio = statistics.ratio_interval(ours, by_hand, processes=np.arange(len(ours)))
    details = f"{1e6 * np.median(ours):.4g} / {1e6 * np.median(by_hand):.4g} us"
    return ratio_finding(what, ratio, details, limit, {"seconds": [one["seconds"] for one in measured]})
