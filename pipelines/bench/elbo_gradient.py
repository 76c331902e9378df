"""The gradient of an ELBO with 1,000 vmapped draws: compilation, and the cost of a call against code by hand."""

import numpy as np

from pipelines.bench.base import Context, Finding, judge_at_most
from pipelines.bench.by_hand import Measured, take_turns, time_ratio
from pipelines.bench.child import run_program
from pipelines.race import statistics

TITLE = "gradient of an ELBO with 1,000 draws, grad_estimate / by hand"
ESTIMATORS = ("reparam", "reinforce")
COMPILE_LIMIT_SECONDS = 1.0
LIMIT = 1.2


def run(context: Context) -> list[Finding]:
    """Some processes per estimator; both programs take turns in each."""
    return take_turns(
        context, "ELBO gradient", ESTIMATORS, lambda name: run_program("elbo_gradient", name, cores=1), report
    )


def report(measured: Measured) -> list[Finding]:
    """Findings of `{name, n_lanes, prepare_s, seconds}` of each process of one estimator."""
    name = f"{measured[0]['name']}, {measured[0]['n_lanes']:,} draws"
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
        time_ratio(measured, f"time per gradient, {name}", LIMIT),
    ]
