"""The command: `python -m pipelines.contract framework=NAME`, `study=NAME`, or both."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from pipelines import cli
from pipelines.contract.check import Found, check
from pipelines.contract.rules import Broken, line_of
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.extensions import tree_of
from pipelines.plan.mutants import mutants_of
from pipelines.plan.tree import Tree
from pipelines.race.gates import Judge, options_of, tallies_of
from pipelines.workers.pool import WorkerPool

HELP = """\
Whether a framework or a study keeps the contract: each rule that is broken, with the file and the line.

usage: python -m pipelines.contract [framework=NAME] [study=NAME] [extensions=[DIR]]

  framework=NAME   its programs at the smoke size: arrays, precision, seeds, fresh inputs, synchronisation, the gate;
                   of one with a worker of its own (Gen.jl) all that its replies show
  study=NAME       the same of all its systems; its data, its mutants (which must be invalid) and its figures
  figures=false    leaves the smoke run of a study out

Exit status: 0 if nothing is broken, 1 if something is or if nothing could be examined, 2 for a request that cannot be
understood."""

FAST = ("size=smoke", "timing.processes=1", "timing.min_rounds=3", "timing.max_rounds=3", "timing.budget_seconds=2")


def run(words: list[str], tree: Tree | None = None) -> int:
    """Examines what is asked for, prints what is broken, and returns the exit status."""
    if not words or any(word in ("--help", "-h", "help") for word in words):
        print(HELP)
        return 0 if words else 2
    tree, words = tree_of(words, tree)
    asked = _asked(words, tree)
    reporter = Reporter(Terminal())
    framework, study = asked.get("framework"), asked.get("study")
    with tempfile.TemporaryDirectory(prefix="genjax-artifact-") as scratch:
        found = check(tree, study, framework, Path(scratch), reporter.say)
        if study is not None:
            _mutants(tree, study, framework, Path(scratch), found)
            if asked.get("figures") != "false" and framework is None:
                _figures(tree, study, Path(scratch), found)
    for line in dict.fromkeys(found.skipped):
        reporter.say(f"  skipped  {line}")
    for broken in dict.fromkeys(found.broken):
        reporter.say(f"  BROKEN   {broken}")
    examined = found.examined.total() if framework is None else found.examined[framework]
    if examined:
        reporter.say(f"contract: {found.examined.total()} programs examined, {len(set(found.broken))} rules broken")
    else:
        why = "; ".join(dict.fromkeys(found.skipped)) or f"{framework or study} has no program that is asked for"
        reporter.say(f"contract: nothing was examined: {why}")
    return int(bool(found.broken) or bool(tree.refused) or not examined)


def _asked(words: list[str], tree: Tree) -> dict[str, str]:
    known = {"framework": list(tree.frameworks()), "study": list(tree.studies()), "figures": ["true", "false"]}
    faults, asked = [], {}
    for word in words:
        name, _, value = word.lstrip("-").partition("=")
        if name not in known:
            faults.append(unknown("option", name, known))
        elif value not in known[name]:
            faults.append(unknown(name, value, known[name]))
        asked[name] = value
    if faults:
        raise ConfigurationFaults(faults)
    return asked


def _mutants(tree: Tree, study: str, framework: str | None, scratch: Path, found: Found) -> None:
    """The cheap mutants must be invalid, each in two runs; a study without mutants has a gate nobody has tried."""
    of_study = [one for one in mutants_of(tree, study) if framework in (None, one.framework)]
    if not of_study and framework is None:
        path = tree.study_folder(study) / "problem.py"
        where = f"{tree.shown(path)}:{line_of(path, 'check')}"
        found.broken.append(Broken("mutants", where, study, "the study has no mutants: nobody has tried its gate"))
        return
    words = [f"study={study}", "runs=2", "cheap=true", *([f"framework={framework}"] if framework else [])]
    options = options_of(words, tree)
    with WorkerPool(scratch) as pool:
        judge = Judge(tree, pool, scratch)
        for tally, configuration in tallies_of(options, tree):
            judge.judge(tally, configuration, options)
            if tally.is_skipped:
                found.skipped.append(f"{tally.cell.framework}: {tally.reason}")
                continue
            if not tally.is_right and tally.mutant is not None:
                where = f"{tree.shown(tally.mutant.path)}:{line_of(tally.mutant.path, tally.mutant.name)}"
                text = f"{tally.mutant.name} ({tally.mutant.effect}) was invalid in {tally.caught} of {tally.runs} runs"
                reason = f": {tally.reason}" if tally.reason else ""
                found.broken.append(Broken("mutants", where, tally.cell.name, text + reason))


def _figures(tree: Tree, study: str, scratch: Path, found: Found) -> None:
    """A smoke run of the study must draw every figure that has something to draw."""
    names = ",".join(tree.figures(study))
    words = [f"study={study}", *FAST, f"figures=[{names}]", "stages=[run,figures]"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        cli.main([*words, f"results={scratch / 'results'}", f"figs={scratch / 'figs'}"], tree=tree)
    path = tree.study_folder(study) / "figures.py"
    for line in said.getvalue().splitlines():
        if "FAILED figure " in line:
            name, _, reason = line.partition("FAILED figure ")[2].partition(": ")
            found.broken.append(Broken("figures", f"{tree.shown(path)}:{line_of(path, name)}", study, reason))


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
