"""Resampling a million particles by each method: time, and memory that grows in proportion to the particles."""

from typing import Any

import numpy as np

from pipelines.bench.base import MET, MISSED, Context, Finding
from pipelines.bench.child import ProgramError, run_program
from pipelines.race import statistics

TITLE = "resampling a million particles, memory per particle"
METHODS = ("systematic", "stratified", "residual", "categorical")
SIZES = (100_000, 1_000_000)
GROWTH = 1.1  # bytes per particle, the larger size against the smaller


def run(context: Context) -> list[Finding]:
    """One process per method and size."""
    findings = []
    with context.reporter.cells("resampling", len(METHODS) * len(SIZES)):
        for method in METHODS:
            measured = []
            try:
                for size in SIZES:
                    context.reporter.activity("resampling", f"{method}, {size:,} particles")
                    measured.append(run_program("resampling", method, str(size)))
                    context.reporter.advance()
            except ProgramError as error:
                findings.append(error.finding(method))
            else:
                findings += report(*measured)
    return findings


def report(small: dict[str, Any], large: dict[str, Any]) -> list[Finding]:
    """Findings of `{method, n, seconds, temporary_bytes}` at two sizes."""
    time = statistics.median_interval(np.array(large["seconds"]))
    per_small, per_large = (one["temporary_bytes"] / one["n"] for one in (small, large))
    linear = per_large <= GROWTH * per_small
    size = f"{large['method']}, {large['n']:,} particles"
    return [
        Finding(f"time, {size}", f"{1e3 * time.value:.3g} ms [{1e3 * time.low:.3g}, {1e3 * time.high:.3g}]"),
        Finding(
            f"temporary memory, {size}",
            f"{per_large:.1f} bytes per particle ({per_small:.1f} at {small['n']:,})",
            f"linear: at most {GROWTH:g}x the bytes per particle at {small['n']:,}",
            MET if linear else MISSED,
            {"per_particle": [per_small, per_large]},
        ),
    ]
