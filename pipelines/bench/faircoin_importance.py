"""GenJAX importance sampling against hand-written JAX: time in one race, and XLA's own count of the work."""

from dataclasses import replace

from pipelines.bench.base import MET, MISSED, UNKNOWN, Context, Finding, faults_of, judge_at_most
from pipelines.cells import Race
from studies.base import Row

TITLE = "faircoin importance sampling, genjax / handcoded_jax"
PARTICLES = (2_000, 20_000, 200_000, 1_000_000)
LIMIT = 1.02
COSTS = (("flops", "flops"), ("bytes_accessed", "bytes accessed"), ("temporary_bytes", "temporary memory"))


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
    assert genjax.ratio is not None and genjax.ratio_interval is not None
    assert genjax.median_s is not None and handcoded.median_s is not None
    low, high = genjax.ratio_interval
    findings = [
        Finding(
            f"time, {size}",
            f"{genjax.ratio:.3f}x [{low:.3f}, {high:.3f}] ({1e3 * genjax.median_s:.4g} / "
            f"{1e3 * handcoded.median_s:.4g} ms)" + "".join(f"; {flag}" for flag in genjax.flags),
            f"interval includes {LIMIT:g} or lies below",
            judge_at_most(low, high, LIMIT),
            {"ratio": genjax.ratio, "interval": [low, high], "flags": list(genjax.flags)},
        )
    ]
    matrix_bytes = 4.0 * parameters["n_particles"] * parameters["n_observations"]
    for key, name in COSTS:
        ours, theirs = genjax.record["cost"].get(key), handcoded.record["cost"].get(key)
        if ours is None or theirs is None:
            findings.append(Finding(f"{name}, {size}", "XLA does not say", f"at most {LIMIT:g}x", UNKNOWN))
            continue
        ratio = f"{ours / theirs:.3f}x" if theirs else "-"
        if key == "temporary_bytes":
            target = f"at most {LIMIT:g}x, or no particles x observations matrix"
            met = ours <= LIMIT * theirs or ours < matrix_bytes
        else:
            target, met = f"at most {LIMIT:g}x", ours <= LIMIT * theirs
        findings.append(
            Finding(
                f"{name}, {size}",
                f"{ratio} ({ours:,.0f} / {theirs:,.0f})",
                target,
                MET if met else MISSED,
                {"genjax": ours, "handcoded_jax": theirs},
            )
        )
    return findings
