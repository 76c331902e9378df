"""A Kalman filter over a long sequence, once compiled."""

from typing import Any

import numpy as np

from pipelines import statistics
from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError, run_program

TITLE = "Kalman filter of 10,000 steps, 4 states, 2 observations, compiled"
LIMIT_SECONDS = 0.5


def run(context: Context) -> list[Finding]:
    """One process, several calls."""
    try:
        with context.reporter.cells("kalman", 1):
            measured = run_program("kalman")
            context.reporter.advance()
    except ProgramError as error:
        return [error.finding("kalman")]
    return report(measured)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n_steps, seconds, compile_s}`."""
    time = statistics.median_interval(np.array(measured["seconds"]))
    return [
        Finding(
            f"{measured['n_steps']:,} steps",
            f"{time.value:.3g} s [{time.low:.3g}, {time.high:.3g}]; compiled in {measured['compile_s']:.2g} s",
            f"at most {LIMIT_SECONDS:g} s",
            judge_at_most(time.low, time.high, LIMIT_SECONDS),
            {"seconds": measured["seconds"]},
        )
    ]
