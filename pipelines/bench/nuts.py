"""NUTS in GenJAX against NumPyro and BlackJAX on one posterior: processor time per gradient evaluation, and to compile.

All three run with one step size and the identity for mass matrix, so a trajectory is as long in each; their posterior
means must agree. Processor time per gradient evaluation compares what a system spends beside and in the density. The
density is each system's own form of a logistic regression with logits.
"""

from typing import Any

import numpy as np

from pipelines.bench.base import Context, Finding, ratio_finding
from pipelines.bench.by_hand import Measured, take_turns
from pipelines.bench.child import run_program
from pipelines.race import statistics

TITLE = "NUTS on a logistic regression of 1,000 rows, GenJAX / NumPyro and BlackJAX"
STEPS = {"1": "600", "100": "66"}
RIVALS = {"numpyro": "NumPyro", "blackjax": "BlackJAX"}
LIMIT = 1.0
UNITS = {"nanoseconds": (1e-3, "us"), "compile_s": (1.0, "s")}
"""By quantity: what to multiply it by for its unit."""


def run(context: Context) -> list[Finding]:
    """Some processes per number of chains; the three systems take turns in each."""
    return take_turns(
        context, "nuts", tuple(STEPS), lambda chains: run_program("nuts", chains, STEPS[chains], cores=1), report
    )


def report(measured: Measured) -> list[Finding]:
    """Findings of `{n_chains, nanoseconds: {system: [...]}, compile_s: likewise}` of each process."""
    n_chains = measured[0]["n_chains"]
    chains = "1 chain" if n_chains == 1 else f"{n_chains} chains"
    per_gradient = [
        finding(measured, system, "nanoseconds", f"time per gradient evaluation, {chains}, of {RIVALS[system]}'s")
        for system in RIVALS
    ]
    compiling = [
        finding(measured, system, "compile_s", f"time to trace and compile, {chains}, of {RIVALS[system]}'s")
        for system in RIVALS
    ]
    return per_gradient + compiling


def finding(measured: list[dict[str, Any]], rival: str, quantity: str, what: str) -> Finding:
    """The ratio of the least costs of the rounds, with Student's interval over processes."""
    ours, theirs = (np.array([min(one[quantity][who]) for one in measured]) for who in ("genjax", rival))
    ratio = statistics.ratio_interval(ours, theirs, processes=np.arange(len(ours)))
    scale, unit = UNITS[quantity]
    details = f"{scale * np.median(ours):.4g} / {scale * np.median(theirs):.4g} {unit}"
    return ratio_finding(what, ratio, details, LIMIT, {quantity: [one[quantity] for one in measured]})
