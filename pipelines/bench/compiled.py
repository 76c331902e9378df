"""Benchmarks of one program of `programs/` that prints `{n_steps, seconds, compile_s}` of a compiled loop."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError
from pipelines.race import statistics

Measured = dict[str, Any]


def measure_once(
    context: Context, name: str, program: Callable[[], Measured], report: Callable[[Measured], list[Finding]]
) -> list[Finding]:
    """What `report` finds in the numbers of one process, or the finding that it ended without any."""
    try:
        with context.reporter.cells(name, 1):
            measured = program()
            context.reporter.advance()
    except ProgramError as error:
        return [error.finding(name)]
    return report(measured)


def time_against_limit(measured: Measured, what: str, limit_seconds: float) -> Finding:
    """The median of `seconds` against a limit."""
    time = statistics.median_interval(np.array(measured["seconds"]))
    return Finding(
        what,
        f"{time.value:.3g} s [{time.low:.3g}, {time.high:.3g}]; compiled in {measured['compile_s']:.2g} s",
        f"at most {limit_seconds:g} s",
        judge_at_most(time.low, time.high, limit_seconds),
        {"seconds": measured["seconds"]},
    )
