"""Hamiltonian Monte Carlo on polynomial regression against hand-written JAX with as many gradient evaluations.

Times are compared with the program that draws by `jax.random`. XLA's counts are compared with the one that has GenJAX's
draws: of the rounds of a random word, XLA counts one of five where `jax.random` runs them in a loop.
"""

from pipelines.bench.base import MET, MISSED, Context, Finding, faults_of
from pipelines.bench.comparison import cost_finding, time_finding
from studies.base import Row

TITLE = "HMC on polynomial regression (50 points), genjax / handcoded_jax"
SAMPLES = 1_000
PROCESSES = 5
"""Of each system: with the study's three, the interval is as wide as the target is narrow."""

LIMIT = 1.02
WORK = ("flops", "bytes_accessed")


def run(context: Context) -> list[Finding]:
    """The race of perfbench's task `hmc`, gate included, between these three."""
    task = "study.tasks.hmc"
    sizes = (f"{task}.grid.n_samples=[{SAMPLES}]", f"{task}.timing.processes={PROCESSES}")
    words = ("tasks=[hmc]", "frameworks=[handcoded_jax,handcoded_same_draws,genjax]", *sizes)
    findings = []
    for _, rows in context.race(context.configure("perfbench", *words)):
        findings += faults_of(rows) or report({row.framework: row for row in rows})
    return findings


def report(rows: dict[str, Row]) -> list[Finding]:
    """Findings of the three rows. Equal numbers of gradients come first: without them no ratio means anything."""
    genjax, handcoded, same_draws = (rows[name] for name in ("genjax", "handcoded_jax", "handcoded_same_draws"))
    size = f"{genjax.parameters['n_samples']:,} samples"
    ours, theirs = (row.record["notes"].get("gradient_evaluations") for row in (genjax, handcoded))
    equal = ours is not None and ours == theirs
    return [
        Finding(f"gradient evaluations, {size}", f"{ours} / {theirs}", "equal", MET if equal else MISSED),
        time_finding(genjax, handcoded, size, LIMIT),
        # What is inside of a loop, as steps are, counts once: these compare steps and what stands before the loop.
        *(cost_finding(genjax, same_draws, cost, f"{size}, steps counted once", LIMIT) for cost in WORK),
    ]
