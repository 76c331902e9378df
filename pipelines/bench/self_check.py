"""A/A: one framework raced against itself in two processes. Any difference is the harness's own error."""

from dataclasses import replace

from pipelines.bench.base import MET, MISSED, UNKNOWN, Context, Finding, faults_of
from pipelines.plan.cells import Race

TITLE = "A/A race: the same program in two workers"
TOLERANCE = 0.02
WIDEST = 0.1
"""A wider interval shows nothing."""


def run(context: Context) -> list[Finding]:
    """Races the baseline of a study (`study=`, faircoin by default) against a second instance of itself."""
    named = [word.partition("=")[2] for word in context.overrides if word.startswith("study=")]
    findings = []
    for race, rows in context.race(context.configure(named[-1] if named else "faircoin"), twins):
        missing = faults_of(rows)
        findings += missing
        if missing:
            continue
        row = rows[1]
        if row.ratio is None or row.ratio_interval is None:
            findings.append(
                Finding(f"{race.title}: {row.framework} against itself", "; ".join(row.flags), "a number", UNKNOWN)
            )
            continue
        low, high = row.ratio_interval
        equal = low <= 1 + TOLERANCE and high >= 1 - TOLERANCE
        verdict = (MET if high - low <= WIDEST else UNKNOWN) if equal else MISSED
        findings.append(
            Finding(
                f"{race.title}: {row.framework} against itself",
                f"{row.ratio:.3f}x [{low:.3f}, {high:.3f}]" + "".join(f"; {flag}" for flag in row.flags),
                f"the interval reaches {1 - TOLERANCE:g} to {1 + TOLERANCE:g} and is at most {WIDEST:g} wide",
                verdict,
                {"ratio": row.ratio, "interval": [low, high], "flags": list(row.flags)},
            )
        )
    return findings


def twins(race: Race) -> Race:
    """The race of the baseline (or of the first cell) against itself."""
    first = replace(race.baseline or race.cells[0], keep=())
    return replace(race, cells=(first, replace(first, instance=1)), baseline=first)
