"""A long Metropolis-Hastings chain on a model of two sites, once compiled."""

from typing import Any

import numpy as np

from pipelines import statistics
from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError, run_program

TITLE = "50,000 steps of mh on two sites, compiled"
LIMIT_SECONDS = 1.0


def run(context: Context) -> list[Finding]:
    """One process, several calls."""
    try:
        with context.reporter.cells("mh chain", 1):
            measured = run_program("mh_chain")
            context.reporter.advance()
    except ProgramError as error:
        return [error.finding("mh chain")]
    return report(measured)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n_steps, seconds, compile_s}`."""
    time = statistics.median_interval(np.array(measured["seconds"]))
    return [
        Finding(
            f"{measured['n_steps']:,} steps",
            f"{time.value:.3f} s [{time.low:.3f}, {time.high:.3f}]; compiled in {measured['compile_s']:.2g} s",
            f"less than {LIMIT_SECONDS:g} s",
            judge_at_most(time.low, time.high, LIMIT_SECONDS),
            {"seconds": measured["seconds"]},
        )
    ]
