"""Ends what a run leaves behind when it is killed: `python -m pipelines.workers.guardian MARK [FOLDER ...]`.

A run that gets SIGKILL can clean nothing up. This process, in a session of its own, waits for the end of its standard
input, whose other end only the run holds; then it kills every process that carries the run's mark and removes the
run's scratch folders. A run that ends by itself has done both already, so that nothing is left to do.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipelines.workers.processes import MARK, marked, new_mark

GRACE_SECONDS = 2.0


def start(mark: str, folders: list[Path]) -> subprocess.Popen:
    """Starts the guardian of this process; closing its standard input, or the end of this process, sets it to work."""
    repository = Path(__file__).resolve().parents[2]
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.workers.guardian", mark, *map(str, folders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=repository,
        env={**environment, "PYTHONPATH": str(repository)},
        start_new_session=True,
    )


def stop(guardian: subprocess.Popen) -> None:
    """Dismisses the guardian, at the end of a run that has cleaned up."""
    assert guardian.stdin is not None
    guardian.stdin.close()
    try:
        guardian.wait(GRACE_SECONDS + 10)
    except subprocess.TimeoutExpired:
        guardian.kill()
        guardian.wait()


@contextlib.contextmanager
def guarding() -> Iterator[dict[str, str]]:
    """Yields the environment for processes that must not outlive this one, however it ends, nor the block."""
    mark = new_mark()
    keeper = start(mark, [])
    try:
        yield {**os.environ, MARK: mark}
    finally:
        stop(keeper)


def main(arguments: list[str]) -> int:
    """Waits for the end of standard input, then cleans up."""
    mark, *folders = arguments
    while os.read(0, 4096):
        pass
    for process in marked(mark):
        _send(process, signal.SIGTERM)  # another run below this one can then clean up after itself
    end = time.monotonic() + GRACE_SECONDS
    while any(True for _ in marked(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    while left := list(marked(mark)):
        for process in left:
            _send(process, signal.SIGKILL)
        if time.monotonic() > end + 10:
            break
        time.sleep(0.05)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _send(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.Error):  # it ended in between
        process.send_signal(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
