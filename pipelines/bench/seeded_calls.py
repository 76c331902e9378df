"""What an un-jitted call of a seeded chain costs again, once it has been called: nothing may be compiled twice."""

from typing import Any

import numpy as np

from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError, run_program
from pipelines.race import statistics

TITLE = "un-jitted calls of a seeded chain, first / second, fresh processes"
PROCESSES = 5
SPEEDUP = 100.0


def run(context: Context) -> list[Finding]:
    """One first and one second call per process."""
    measured = []
    try:
        with context.reporter.cells("seeded calls", PROCESSES):
            for index in range(PROCESSES):
                context.reporter.activity("seeded calls", f"process {index + 1} of {PROCESSES}")
                measured.append(run_program("seeded_calls"))
                context.reporter.advance()
    except ProgramError as error:
        return [error.finding("seeded calls")]
    return report(measured)


def report(measured: list[dict[str, Any]]) -> list[Finding]:
    """Findings of `{n_steps, first_s, later_s}` of each process."""
    first = np.array([one["first_s"] for one in measured])
    second = np.array([one["later_s"][0] for one in measured])
    speedup = statistics.ratio_interval(first, second)
    later = statistics.median_interval(np.array([np.median(one["later_s"]) for one in measured]))
    # At least 100 times faster is at most a hundredth of the time.
    verdict = judge_at_most(1 / speedup.high, 1 / speedup.low, 1 / SPEEDUP)
    steps = measured[0]["n_steps"]
    return [
        Finding(
            f"first / second call, {steps} steps",
            f"{speedup.value:.0f}x [{speedup.low:.0f}, {speedup.high:.0f}] "
            f"({1e3 * np.median(first):.4g} / {1e3 * np.median(second):.4g} ms)",
            f"at least {SPEEDUP:g}x",
            verdict,
            {"first_s": first.tolist(), "second_s": second.tolist()},
        ),
        Finding(
            f"later calls, {steps} steps", f"{1e3 * later.value:.3g} ms [{1e3 * later.low:.3g}, {1e3 * later.high:.3g}]"
        ),
    ]
