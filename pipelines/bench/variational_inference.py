"""Variational inference on a Gaussian of ten dimensions, once compiled."""

from typing import Any

from pipelines.bench.base import Context, Finding
from pipelines.bench.child import run_program
from pipelines.bench.compiled import measure_once, time_against_limit

TITLE = "1,000 steps of variational inference in 10 dimensions, compiled"
LIMIT_SECONDS = 2.0


def run(context: Context) -> list[Finding]:
    """One process, several calls."""
    return measure_once(context, "variational inference", lambda: run_program("variational_inference"), report)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n_steps, n_dims, seconds, compile_s}`."""
    return [
        time_against_limit(measured, f"{measured['n_steps']:,} steps, {measured['n_dims']} dimensions", LIMIT_SECONDS)
    ]
