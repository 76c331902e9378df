"""Programs of benchmarks in processes of their own, since the harness imports no system.

A program is a file of `programs/`. It measures, checks its own outputs, and prints one JSON object on its last line.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.bench.base import MISSED, Finding
from pipelines.workers.client import confined

PROGRAMS = Path(__file__).resolve().parent / "programs"
ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 600


class ProgramError(Exception):
    """A program that ended without numbers; the message says why."""

    def finding(self, what: str) -> Finding:
        """The line to print instead of numbers."""
        return Finding(what, str(self), "a number", MISSED)


def run_program(
    name: str, *arguments: str, peer: str | None = None, interpreter: str | None = None, cores: int | None = None
) -> dict[str, Any]:
    """Runs `programs/<name>.py` in a fresh process on the CPU and returns what it measured.

    Args:
        name: file name without suffix.
        arguments: its words.
        peer: another interpreter, isolated from this checkout; None for this one, which imports from it.
        interpreter: another interpreter that imports from this checkout all the same, so that both sides of a
            comparison have one JAX.
        cores: so many only. In calls below a millisecond, threads that wait for each other are most of the noise.

    Raises:
        ProgramError: it failed, ran longer than `TIMEOUT_SECONDS`, or printed no JSON.
    """
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    if peer is None:
        command = [interpreter or sys.executable]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    else:
        command = [peer, "-I"]  # no PYTHONPATH and no folder of the script: its own genjax, not ours
    command += [str(PROGRAMS / f"{name}.py"), *arguments]
    try:
        with confined(cores):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{name} did not run: {error}") from error
    if done.returncode != 0:
        # JAX ends its tracebacks with a remark on hidden frames, under a line of dashes.
        told = [
            line for line in done.stderr.strip().splitlines() if not line.startswith(("---", "For simplicity, JAX"))
        ]
        last = (told or ["it printed nothing"])[-1]
        raise ProgramError(f"{name} ended with status {done.returncode}: {last}")
    try:
        return dict(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError) as error:
        raise ProgramError(f"{name} printed no JSON: {done.stdout[-200:]!r}") from error
