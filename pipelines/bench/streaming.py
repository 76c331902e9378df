"""More particles than memory: streaming importance sampling, its memory and its time per particle."""

from typing import Any

import numpy as np

from pipelines.bench.base import MET, MISSED, Context, Finding, ratio_finding
from pipelines.bench.child import run_program
from pipelines.bench.compiled import measure_once
from pipelines.errors import ConfigurationFaults
from pipelines.race import statistics

TITLE = "streaming importance sampling: `particles=100000000` says how many"
PARTICLES = 10_000_000
LIMIT_BYTES = 200_000_000
LIMIT = 1.1
SECONDS = 5.0
"""Of calls of each of the two programs."""


def run(context: Context) -> list[Finding]:
    """One process on all cores."""
    named = [word.partition("=")[2] for word in context.overrides if word.startswith("particles=")]
    text = named[-1] if named else str(PARTICLES)
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise ConfigurationFaults([f"particles={text}: needs a whole number, 1 or more, such as particles=100000000."])
    return measure_once(context, "streaming", lambda: run_program("streaming", str(int(text)), str(SECONDS)), report)


def report(measured: dict[str, Any]) -> list[Finding]:
    """Findings of `{n, seconds, in_memory, bytes, resident_bytes, resident_growth_bytes}`."""
    n, other = measured["n"], measured["in_memory"]
    size = f"{n:,} particles"
    per_particle = np.array(measured["seconds"]) / n
    ratio = statistics.independent_ratio(per_particle, np.array(other["seconds"]) / other["n"])
    time = statistics.median_interval(np.array(measured["seconds"]))
    grown, whole = measured["resident_growth_bytes"], measured["resident_bytes"]
    findings = [
        _memory(f"memory of the program, by XLA, {size}", measured["bytes"]),
        Finding(f"time, {size}", f"{time.value:.3g} s [{time.low:.3g}, {time.high:.3g}]"),
        ratio_finding(
            f"time per particle against {other['n']:,} in memory, {size}",
            ratio,
            f"{1e9 * float(np.median(per_particle)):.3g} ns",
            LIMIT,
            {"seconds": measured["seconds"], "in_memory": other["seconds"]},
        ),
    ]
    if grown is not None:
        note = f"; the process {whole / 1e6:.0f} MB, JAX included"
        findings.insert(1, _memory(f"memory that the process took for it, {size}", grown, note))
    return findings


def _memory(what: str, n_bytes: int, note: str = "") -> Finding:
    verdict = MET if n_bytes <= LIMIT_BYTES else MISSED
    target = f"at most {LIMIT_BYTES / 1e6:.0f} MB"
    return Finding(what, f"{n_bytes / 1e6:.3g} MB{note}", target, verdict, {"bytes": n_bytes})
