"""What the language itself costs: importance sampling in GenJAX against code by hand that makes the same draws.

On a CPU, GenJAX draws some variates faster than `jax.random` does, and may so be ahead of hand-coded JAX. Here both
sides use its draws, with the same keys: the outputs are the same numbers, and what differs is the language.
"""

from pipelines.bench.base import MET, MISSED, Context, Finding
from pipelines.bench.by_hand import Measured, take_turns, time_ratio
from pipelines.bench.child import run_program

TITLE = "importance sampling with the same draws, GenJAX / by hand"
MODELS = ("coin", "curve")
LIMIT = 1.02
COUNTS = {"flops": "operations, by XLA", "bytes_accessed": "bytes accessed, by XLA"}


def run(context: Context) -> list[Finding]:
    """Some processes per model; both programs take turns in each."""
    return take_turns(
        context, "language cost", MODELS, lambda model: run_program("language_cost", model, cores=1), report
    )


def report(measured: Measured) -> list[Finding]:
    """Findings of `{name, n_particles, seconds, counts}` of each process of one model."""
    name = f"{measured[0]['name']}, {measured[0]['n_particles']:,} particles"
    findings = [time_ratio(measured, f"time, {name}", LIMIT)]
    for count, words in COUNTS.items():
        own, other = (measured[0]["counts"][who][count] for who in ("genjax", "by_hand"))
        value = f"{own / other:.3f}x ({own:,.0f} / {other:,.0f})"
        verdict = MET if own <= LIMIT * other else MISSED
        facts = {"genjax": own, "by_hand": other}
        findings.append(Finding(f"{words}, {name}", value, f"at most {LIMIT:g}x", verdict, facts))
    return findings
