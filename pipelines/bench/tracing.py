"""Trace and compile a model of 50 sites: this genjax and the published one, in alternating processes.

The peer is a black box in an environment of its own, named by the variable `BENCH_PEER_PYTHON`: the interpreter of an
environment where `genjax==1.0.14` is installed. Without it this benchmark is skipped.
"""

import os
from typing import Any

import numpy as np

from pipelines.bench.base import Context, Finding, ratio_finding
from pipelines.bench.child import ProgramError, run_program
from pipelines.race import statistics

TITLE = "trace and compile 50 sites, genjax / published genjax"
VARIABLE = "BENCH_PEER_PYTHON"
PEER_VERSION = "1.0.14"
ROUNDS = 3
LIMIT = 0.5


def run(context: Context) -> list[Finding]:
    """Rounds of one process each; who comes first alternates."""
    peer = os.environ.get(VARIABLE)
    if not peer:
        return [skipped(f"{VARIABLE} is not set to the Python of an environment with genjax=={PEER_VERSION}")]
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    try:
        with context.reporter.cells("tracing", ROUNDS):
            for index in range(ROUNDS):
                context.reporter.activity("tracing", f"round {index + 1} of {ROUNDS}")
                turns = [(ours, None), (theirs, peer)]
                for measured, python in turns if index % 2 == 0 else reversed(turns):
                    measured.append(run_program("tracing", peer=python))
                context.reporter.advance()
    except ProgramError as error:
        return [error.finding("tracing")]
    return report(ours, theirs)


def skipped(reason: str) -> Finding:
    """The finding of a peer that is not there: no verdict."""
    return Finding("published genjax", f"skipped: {reason}", facts={"skipped": reason})


def report(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[Finding]:
    """Findings of `{n_sites, seconds, jax, genjax}` of each round."""
    version = theirs[0]["genjax"]
    if version != PEER_VERSION:
        return [skipped(f"{VARIABLE} has genjax {version}, not {PEER_VERSION}")]
    findings = []
    for name in ours[0]["seconds"]:
        # (rounds, 2): seconds of tracing and of compilation.
        own, peer = (np.array([one["seconds"][name] for one in rounds]) for rounds in (ours, theirs))
        ratio = statistics.ratio_interval(own.sum(axis=1), peer.sum(axis=1))
        (own_trace, own_compile), (peer_trace, peer_compile) = np.median(own, axis=0), np.median(peer, axis=0)
        details = (
            f"{own_trace + own_compile:.3g} / {peer_trace + peer_compile:.3g} s; trace {own_trace:.3g} / "
            f"{peer_trace:.3g}, compile {own_compile:.3g} / {peer_compile:.3g}; "
            f"jax {ours[0]['jax']} / {theirs[0]['jax']}"
        )
        facts: dict[str, object] = {"ours": own.tolist(), "peer": peer.tolist()}
        findings.append(ratio_finding(f"{name}, {ours[0]['n_sites']} sites", ratio, details, LIMIT, facts))
    return findings
