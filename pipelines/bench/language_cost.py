"""What the language itself costs: importance sampling in GenJAX against code by hand that makes the same draws.

On a CPU, GenJAX draws some variates faster than `jax.random` does, and may so be ahead of hand-coded JAX. Here both
sides use its draws, with the same keys: the outputs are the same numbers, and what differs is the language.
"""

from typing import Any

import numpy as np

from pipelines import statistics
from pipelines.bench.base import MET, MISSED, Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError, run_program

TITLE = "importance sampling with the same draws, GenJAX / by hand"
MODELS = ("coin", "curve")
PROCESSES = 3
LIMIT = 1.02
COUNTS = {"flops": "operations, by XLA", "bytes_accessed": "bytes accessed, by XLA"}


def run(context: Context) -> list[Finding]:
    """Some processes per model; both programs take turns in each."""
    findings = []
    with context.reporter.cells("language cost", len(MODELS) * PROCESSES):
        for model in MODELS:
            measured = []
            try:
                for index in range(PROCESSES):
                    context.reporter.activity("language cost", f"{model}, process {index + 1} of {PROCESSES}")
                    measured.append(run_program("language_cost", model))
                    context.reporter.advance()
            except ProgramError as error:
                findings.append(error.finding(model))
            else:
                findings += report(measured)
    return findings


def report(measured: list[dict[str, Any]]) -> list[Finding]:
    """Findings of `{name, n_particles, seconds, counts}` of each process of one model."""
    name = f"{measured[0]['name']}, {measured[0]['n_particles']:,} particles"
    # Medians of processes: their rounds are not independent.
    ours, by_hand = (np.array([np.median(one["seconds"][who]) for one in measured]) for who in ("genjax", "by_hand"))
    ratio = statistics.ratio_interval(ours, by_hand, processes=np.arange(len(ours)))
    findings = [
        Finding(
            f"time, {name}",
            f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}] "
            f"({1e3 * np.median(ours):.4g} / {1e3 * np.median(by_hand):.4g} ms)",
            f"at most {LIMIT:g}x",
            judge_at_most(ratio.low, ratio.high, LIMIT),
            {
                "ratio": ratio.value,
                "interval": [ratio.low, ratio.high],
                "seconds": [one["seconds"] for one in measured],
            },
        )
    ]
    for count, words in COUNTS.items():
        own, other = (measured[0]["counts"][who][count] for who in ("genjax", "by_hand"))
        findings.append(
            Finding(
                f"{words}, {name}",
                f"{own / other:.3f}x ({own:,.0f} / {other:,.0f})",
                f"at most {LIMIT:g}x",
                MET if own <= LIMIT * other else MISSED,
                {"genjax": own, "by_hand": other},
            )
        )
    return findings
