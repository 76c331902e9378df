"""A long Metropolis-Hastings chain on a model of two sites, once compiled."""

from typing import Any

from pipelines.bench.base import Context, Finding
from pipelines.bench.child import run_program
from pipelines.bench.compiled import measure_once, time_against_limit

TITLE = "50,000 steps of mh on two sites, compiled"
LIMIT_SECONDS = 1.0


def run(context: Context) -> list[Finding]:
    """One process, several calls."""
    return measure_once(context, "mh chain", lambda: run_program("mh_chain"), report)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n_steps, seconds, compile_s}`."""
    return [time_against_limit(measured, f"{measured['n_steps']:,} steps", LIMIT_SECONDS)]
