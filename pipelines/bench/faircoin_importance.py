"""GenJAX importance sampling against hand-written JAX: time in one race, and XLA's own count of the work."""

from dataclasses import replace

from pipelines.bench.base import Context, Finding, faults_of
from pipelines.bench.comparison import COSTS, cost_finding, time_finding
from pipelines.plan.cells import Race
from studies.base import Row

TITLE = "faircoin importance sampling, genjax / handcoded_jax"
PARTICLES = (2_000, 20_000, 200_000, 1_000_000)
LIMIT = 1.02


def run(context: Context) -> list[Finding]:
    """One race per particle count; `study.parameters.n_particles=N` chooses a single one."""
    chosen = any(word.startswith("study.parameters.n_particles=") for word in context.overrides)
    counts = [None] if chosen else PARTICLES
    findings = []
    for count in counts:
        words = [] if count is None else [f"study.parameters.n_particles={count}"]
        configuration = context.configure("faircoin", "frameworks=[handcoded_jax,genjax]", *words)
        for _, rows in context.race(configuration, _without_outputs):
            findings += faults_of(rows) or _compare(*rows)
    return findings


def _without_outputs(race: Race) -> Race:
    cells = tuple(replace(cell, keep=()) for cell in race.cells)
    baseline = next(cell for cell in cells if cell.framework == "handcoded_jax")
    return replace(race, cells=cells, baseline=baseline)


def _compare(handcoded: Row, genjax: Row) -> list[Finding]:
    parameters = genjax.parameters
    size = f"{parameters['n_particles']:,} particles"
    matrix_bytes = {"temporary_bytes": 4.0 * parameters["n_particles"] * parameters["n_observations"]}
    return [
        time_finding(genjax, handcoded, size, LIMIT),
        *(cost_finding(genjax, handcoded, cost, size, LIMIT, or_below_bytes=matrix_bytes.get(cost)) for cost in COSTS),
    ]
