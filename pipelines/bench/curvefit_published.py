"""The curve study's programs on this genjax and on the published one, in alternating processes: never slower.

Importance sampling of the basic curve at four sizes, and chains of Gibbs with HMC on the robust one. Both sides run the
same file, `programs/curvefit_published.py`, which checks what it computed against the exact posterior, and both under
the peer's interpreter: with one JAX, what differs is the language. As in `tracing`, the peer is named by the variable
`BENCH_PEER_PYTHON`; without it this benchmark is skipped.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.base import MET, MISSED, Context, Finding, ratio_finding
from pipelines.bench.child import ROOT, ProgramError, run_program
from pipelines.bench.tracing import PEER_VERSION, VARIABLE, skipped
from pipelines.plan.cells import races
from pipelines.plan.plan import Problems
from pipelines.race import statistics
from studies.base import Problem

TITLE = "curves: importance sampling and Gibbs + HMC, genjax / published genjax"
ROUNDS = 4
SIZES = (1_000, 10_000, 100_000, 1_000_000)
CHAINS = (500, 500)
"""Chains, and steps of each: what the study times."""

LIMIT = 1.0
"""Of every ratio: time of a call, of the first one with tracing and compilation, and counts."""

COUNTS = {
    "flops": "operations, by XLA",
    "bytes_accessed": "bytes accessed, by XLA",
    "temporary_bytes": "bytes of temporary memory, by XLA",
    "peak_bytes": "bytes of the process at its peak",
}
"""Facts of a program that do not depend on what else the machine does."""

PER_TURN = ("flops", "bytes_accessed")
"""XLA counts the body of a loop once: of chains that draw the noise of many steps in one turn, this tells nothing."""


def run(context: Context) -> list[Finding]:
    """Rounds of one process each for each program; who comes first alternates."""
    peer = os.environ.get(VARIABLE)
    if not peer:
        return [skipped(f"{VARIABLE} is not set to the Python of an environment with genjax=={PEER_VERSION}")]
    jobs = {"importance": ("importance", SIZES), "Gibbs + HMC": ("gibbs_hmc", CHAINS)}
    findings = []
    with context.reporter.cells("curvefit_published", ROUNDS * len(jobs)):
        for name, (task, sizes) in jobs.items():
            words = [task, json.dumps(problem_of(context, task)), *map(str, sizes)]
            ours: list[dict[str, Any]] = []
            theirs: list[dict[str, Any]] = []
            try:
                for index in range(ROUNDS):
                    context.reporter.activity("curvefit_published", f"{name}, round {index + 1} of {ROUNDS}")
                    turns = [(ours, {"interpreter": peer}), (theirs, {"peer": peer})]
                    for measured, python in turns if index % 2 == 0 else reversed(turns):
                        measured.append(run_program("curvefit_published", *words, **python))
                    context.reporter.advance()
            except ProgramError as error:
                findings.append(error.finding(name))
                continue
            findings += report(name, ours, theirs)
    return findings


def problem_of(context: Context, task: str) -> dict[str, Any]:
    """Data, settings and exact posterior of the study's cells of `task`, as JSON values."""
    names = {"importance": "importance_sampling", "gibbs_hmc": "gibbs_hmc"}
    configuration = context.configure("curvefit")
    cell = next(cell for race in races(configuration) for cell in race.cells if cell.task == names[task])
    return facts_of(Problems(context.tree).get("curvefit", cell.parameters), cell.parameters)


def facts_of(problem: Problem, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the program is told of a problem."""
    posterior = problem.truth["posterior"]
    facts: dict[str, Any] = {name: array.tolist() for name, array in problem.data.items()}
    facts |= {name: value for name, value in problem.truth.items() if isinstance(value, float)}
    facts |= {name: parameters[name] for name in ("step_size", "n_leapfrog") if name in parameters}
    facts |= {"log_evidence": posterior.log_evidence, "mean": posterior.mean.tolist(), "sd": posterior.sd.tolist()}
    if hasattr(posterior, "outlier_probability"):
        facts["outlier_probability"] = posterior.outlier_probability.tolist()
    return facts


def report(name: str, ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[Finding]:
    """Findings of `{programs: {sizes: {seconds, first_s, and COUNTS}}, jax, genjax}` of each round.

    Each also has the `file` of the genjax that it imported: ours is in this checkout, theirs is not.
    """
    version = theirs[0]["genjax"]
    if version != PEER_VERSION:
        return [skipped(f"{VARIABLE} has genjax {version}, not {PEER_VERSION}")]
    if any(
        Path(one["file"]).is_relative_to(ROOT) is not is_ours for one, is_ours in ((ours[0], True), (theirs[0], False))
    ):
        return [
            Finding(name, f"took {ours[0]['file']} for ours and {theirs[0]['file']} for theirs", "two systems", MISSED)
        ]
    findings = []
    for size in ours[0]["programs"]:
        own, peer = ([one["programs"][size] for one in rounds] for rounds in (ours, theirs))
        what = f"{name}, {shown(size)}"
        steady, first = (
            [np.array([np.median(one[key]) for one in side]) for side in (own, peer)] for key in ("seconds", "first_s")
        )
        jax = f"; jax {ours[0]['jax']} / {theirs[0]['jax']}"
        findings.append(_ratio(f"{what}: steady", (steady[0], steady[1]), jax))
        findings.append(_ratio(f"{what}: trace, compile and first call", (first[0], first[1])))
        for count, words in COUNTS.items():
            if "x" in size and count in PER_TURN:
                continue
            findings.append(_count(f"{what}: {words}", count, own, peer))
    return findings


def shown(size: str) -> str:
    """`1000` as `1,000 particles`, `500x500` as `500 chains of 500 steps`."""
    if "x" in size:
        n_chains, n_steps = size.split("x")
        return f"{int(n_chains):,} chains of {int(n_steps):,} steps"
    return f"{int(size):,} particles"


def _ratio(what: str, sides: tuple[np.ndarray, np.ndarray], more: str = "") -> Finding:
    """Seconds of each round, (rounds,), ours and theirs; every round has processes of its own."""
    own, peer = sides
    ratio = statistics.ratio_interval(own, peer, processes=np.arange(len(own)))
    details = f"{1e3 * np.median(own):.4g} / {1e3 * np.median(peer):.4g} ms{more}"
    return ratio_finding(what, ratio, details, LIMIT, {"ours": own.tolist(), "peer": peer.tolist()})


def _count(what: str, name: str, own: list[dict[str, Any]], peer: list[dict[str, Any]]) -> Finding:
    ours, theirs = (float(np.median([one[name] for one in side])) for side in (own, peer))
    ratio = ours / theirs if theirs else (1.0 if not ours else np.inf)
    verdict = MET if ratio <= LIMIT else MISSED
    value = f"{ratio:.3f}x ({ours / 1e6:,.3f} / {theirs / 1e6:,.3f} million)"
    return Finding(what, value, f"at most {LIMIT:g}x", verdict, {"ours": ours, "peer": theirs})
