"""`python -m pipelines.bench [NAME ...] [KEY=VALUE ...]`: all benchmarks, or those named."""

import json
import sys
from pathlib import Path

from pipelines.atomic import write_atomically
from pipelines.bench.base import MISSED, Context, Finding, benchmarks
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.tree import Tree
from pipelines.race import statistics
from pipelines.results import provenance
from pipelines.results.store import store_error


def run(arguments: list[str]) -> int:
    """Runs the named benchmarks; 1 if a target is missed or a cell has no number."""
    found = benchmarks()
    if any(word in ("--help", "-h", "--list") for word in arguments):
        print("usage: python -m pipelines.bench [NAME ...] [KEY=VALUE ...]\n")
        print("\n".join(f"  {name:22} {module.TITLE}" for name, module in found.items()))
        return 0
    names = [word for word in arguments if "=" not in word and not word.startswith("-")]
    overrides = tuple(word for word in arguments if word not in names)
    faults = [unknown("benchmark", name, found) for name in names if name not in found]
    if faults:
        raise ConfigurationFaults(faults)
    reporter = Reporter(Terminal())
    context = Context(Tree(), overrides, reporter)
    verdicts = []
    for name in names or found:
        reporter.say(f"{name}: {found[name].TITLE}")
        findings = found[name].run(context)
        _keep(name, findings, context)
        for finding in findings:
            target = f"  target: {finding.target}: {finding.verdict.upper()}" if finding.target else ""
            reporter.say(f"  {finding.what}: {finding.value}{target}")
        verdicts += [finding.verdict for finding in findings]
    reporter.say(f"Times: {statistics.ESTIMATOR}.")
    return int(MISSED in verdicts)


def _keep(name: str, findings: list[Finding], context: Context) -> None:
    """Writes the findings beside the benchmark's rows."""
    results = [word.partition("=")[2] for word in context.overrides if word.startswith("results=")]
    folder = (Path(results[-1]).absolute() if results else context.tree.root / "results") / "bench"
    content = {
        "benchmark": name,
        "findings": [vars(finding) for finding in findings],
        "provenance": provenance.provenance(context.tree.root, {}, "cpu"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{name}.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise store_error(error, folder) from error


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
