"""A Kalman filter over a long sequence, once compiled."""

from typing import Any

from pipelines.bench.base import Context, Finding
from pipelines.bench.child import run_program
from pipelines.bench.compiled import measure_once, time_against_limit

TITLE = "Kalman filter of 10,000 steps, 4 states, 2 observations, compiled"
LIMIT_SECONDS = 0.5


def run(context: Context) -> list[Finding]:
    """One process, several calls."""
    return measure_once(context, "kalman", lambda: run_program("kalman"), report)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n_steps, seconds, compile_s}`."""
    return [time_against_limit(measured, f"{measured['n_steps']:,} steps", LIMIT_SECONDS)]
