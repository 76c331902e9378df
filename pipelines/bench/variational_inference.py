"""Variational inference on a Gaussian of ten dimensions, once compiled."""

from typing import Any

import numpy as np

from pipelines import statistics
from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError, run_program

TITLE = "1,000 steps of variational inference in 10 dimensions, compiled"
LIMIT_SECONDS = 2.0


def run(context: Context) -> list[Finding]:
    """One process, several calls."""
    try:
        with context.reporter.cells("variational inference", 1):
            measured = run_program("variational_inference")
            context.reporter.advance()
    except ProgramError as error:
        return [error.finding("variational inference")]
    return report(measured)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n_steps, n_dims, seconds, compile_s}`."""
    time = statistics.median_interval(np.array(measured["seconds"]))
    return [
        Finding(
            f"{measured['n_steps']:,} steps, {measured['n_dims']} dimensions",
            f"{time.value:.3g} s [{time.low:.3g}, {time.high:.3g}]; compiled in {measured['compile_s']:.2g} s",
            f"at most {LIMIT_SECONDS:g} s",
            judge_at_most(time.low, time.high, LIMIT_SECONDS),
            {"seconds": measured["seconds"]},
        )
    ]
