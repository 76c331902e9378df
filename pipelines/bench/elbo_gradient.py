"""The gradient of an ELBO with 1,000 vmapped draws: compilation, and the cost of a call against code by hand."""

from typing import Any

import numpy as np

from pipelines import statistics
from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.child import ProgramError, run_program

TITLE = "gradient of an ELBO with 1,000 draws, grad_estimate / by hand"
ESTIMATORS = ("reparam", "reinforce")
PROCESSES = 3
COMPILE_LIMIT_SECONDS = 1.0
LIMIT = 1.2


def run(context: Context) -> list[Finding]:
    """Some processes per estimator; both programs take turns in each."""
    findings = []
    with context.reporter.cells("ELBO gradient", len(ESTIMATORS) * PROCESSES):
        for estimator in ESTIMATORS:
            measured = []
            try:
                for index in range(PROCESSES):
                    context.reporter.activity("ELBO gradient", f"{estimator}, process {index + 1} of {PROCESSES}")
                    measured.append(run_program("elbo_gradient", estimator))
                    context.reporter.advance()
            except ProgramError as error:
                findings.append(error.finding(estimator))
            else:
                findings += report(measured)
    return findings


def report(measured: list[dict[str, Any]]) -> list[Finding]:
    """Findings of `{name, n_lanes, prepare_s, seconds}` of each process of one estimator."""
    name = f"{measured[0]['name']}, {measured[0]['n_lanes']:,} draws"
    # Medians of processes: their rounds are not independent.
    ours, by_hand = (np.array([np.median(one["seconds"][who]) for one in measured]) for who in ("genjax", "by_hand"))
    ratio = statistics.ratio_interval(ours, by_hand)
    prepare = statistics.median_interval(np.array([one["prepare_s"]["genjax"] for one in measured]))
    prepare_by_hand = np.median([one["prepare_s"]["by_hand"] for one in measured])
    return [
        Finding(
            f"trace and compile, {name}",
            f"{prepare.value:.2g} s [{prepare.low:.2g}, {prepare.high:.2g}] (by hand {prepare_by_hand:.2g} s)",
            f"at most {COMPILE_LIMIT_SECONDS:g} s",
            judge_at_most(prepare.low, prepare.high, COMPILE_LIMIT_SECONDS),
            {"prepare_s": [one["prepare_s"] for one in measured]},
        ),
        Finding(
            f"time per gradient, {name}",
            f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}] "
            f"({1e6 * np.median(ours):.3g} / {1e6 * np.median(by_hand):.3g} us)",
            f"at most {LIMIT:g}x",
            judge_at_most(ratio.low, ratio.high, LIMIT),
            {
                "ratio": ratio.value,
                "interval": [ratio.low, ratio.high],
                "seconds": [one["seconds"] for one in measured],
            },
        ),
    ]
