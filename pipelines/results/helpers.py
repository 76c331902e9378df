"""Programs of the system that a run asks for facts: `git`, `nvidia-smi`, `julia --version`, `sysctl`.

None of them is needed. Each question is asked once, at most for a few seconds, and a program that is absent, hangs, or
cannot be executed gives an answer that says so: its absence is a fact for the record.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

LIMIT_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What a program said: `text`, its standard output, or None and the `reason`."""

    text: str | None
    reason: str | None = None


_ASKED: dict[tuple[str, ...], Answer] = {}


def ask(*command: str, limit_seconds: float | None = None) -> Answer:
    """The answer to a command, which is run the first time that it is asked; at most `LIMIT_SECONDS` by default."""
    if command not in _ASKED:
        _ASKED[command] = _run(command, LIMIT_SECONDS if limit_seconds is None else limit_seconds)
    return _ASKED[command]


def ask_again(*command: str) -> Answer:
    """The answer to a command whose answer changes with time; what it said before counts for nothing."""
    _ASKED.pop(command, None)
    return ask(*command)


def forget() -> None:
    """Lets every program be asked again."""
    _ASKED.clear()


def silent() -> dict[str, str]:
    """The programs that were asked so far and did not answer, with the reason of each."""
    return {command[0]: answer.reason for command, answer in _ASKED.items() if answer.reason is not None}


def _run(command: tuple[str, ...], limit_seconds: float) -> Answer:
    path = shutil.which(command[0])
    if path is None:
        return Answer(None, "not installed")
    # Files and not pipes: a child of a program that is ended may hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [path, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            return Answer(None, f"cannot be executed: {error.strerror}")
        try:
            status = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
        if status is None:
            return Answer(None, f"did not answer within {limit_seconds:g} s")
        output.seek(0)
        errors.seek(0)
        if status != 0:
            first = next(iter(errors.read(10_000).decode(errors="replace").strip().splitlines()), "")
            return Answer(None, first[:300] or f"ended with status {status}")
        return Answer(output.read(1_000_000).decode(errors="replace").strip())


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that would make git speak of another repository, as in a hook, or wait for a user."""
    kept = {name: value for name, value in variables.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def _end(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
