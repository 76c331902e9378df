"""The processes of a worker: it, and whatever it started, however far that ran away. They are ended together.

Every worker is started in a session of its own and with `MARK` in its environment, which its children inherit. A child
that clears its environment is still found while its parents live; when these are gone, Linux hands it to this process
(`adopt_orphans`), where it stands out: a child in a foreign session that nobody here started.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

MARK = "GENJAX_ARTIFACT_WORKER"
"""The environment variable that tells whose a process is: the marks of all runs and workers above it, joined by `/`."""
END_SECONDS = 5.0
"""How long the processes of a worker are hunted; a process that cannot be killed sits in the kernel."""


def new_mark() -> str:
    """A mark that no other process has, below that of this process."""
    return "/".join(filter(None, [os.environ.get(MARK, ""), uuid.uuid4().hex]))


def adopt_orphans(adopt: bool = True) -> bool:
    """Makes this process the parent of descendants whose own parent ended, or stops that.

    Returns:
        Whether it was done: only Linux can.
    """
    if sys.platform != "linux":
        return False
    return ctypes.CDLL(None).prctl(36, int(adopt), 0, 0, 0) == 0  # 36 is PR_SET_CHILD_SUBREAPER


def marked(mark: str) -> Iterator[psutil.Process]:
    """The processes of this user whose environment carries the mark, without this one; its own children come first."""
    for process in itertools.chain(_children(), psutil.process_iter()):
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error, OSError):  # gone, another user's, or its environment cannot be read
            if mark in process.environ().get(MARK, ""):
                yield process


def end_tree(process: subprocess.Popen, mark: str) -> list[int]:
    """Kills a worker and every process that it left behind.

    Returns:
        The processes other than the worker itself that had to be killed.
    """
    descendants: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        descendants = {one.pid: one for one in psutil.Process(process.pid).children(recursive=True)}
    _signal_group(process.pid)
    process.wait()
    return _end(descendants, lambda: marked(mark))


def strays(known: set[int]) -> list[psutil.Process]:
    """Children of this process in a session other than its own that are not among the known ones."""
    here = os.getsid(0)
    found = []
    for child in _children():
        with contextlib.suppress(psutil.Error, OSError):
            if child.pid not in known and os.getsid(child.pid) != here:
                found.append(child)
    return found


def end_strays(known: set[int]) -> list[int]:
    """Kills what `strays` finds, and their children. Returns whom it killed."""
    found: dict[int, psutil.Process] = {}
    for stray in strays(known):
        with contextlib.suppress(psutil.Error):
            found |= {one.pid: one for one in [stray, *stray.children(recursive=True)]}
    return _end(found, lambda: iter(strays(known)))


def _end(processes: dict[int, psutil.Process], more: Callable[[], Iterable[psutil.Process]]) -> list[int]:
    """Kills the processes and what `more()` finds, until nothing turns up: one that forks may slip through once."""
    killed: dict[int, None] = {}
    end = time.monotonic() + END_SECONDS
    while True:
        hit = [one for one in itertools.chain(processes.values(), more()) if _kill(one)]
        killed |= dict.fromkeys(one.pid for one in hit)
        if not hit or time.monotonic() > end:
            return list(killed)
        psutil.wait_procs(hit, timeout=0.1)
        processes = {}


def memory_kills() -> int:
    """How often the system has killed processes of this one's cgroup for using more memory than it allows."""
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition(":")[2]
        events = (Path("/sys/fs/cgroup") / group.lstrip("/") / "memory.events").read_text().split()
        return int(events[events.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return 0  # not Linux, or an older kind of cgroup


def _kill(process: psutil.Process) -> bool:
    """Kills a process, and its group in the same step, so that none of it can fork away. Whether it was alive."""
    try:
        group = os.getpgid(process.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            process.wait(0)  # reaps it if it was handed to this process
            return False
        if group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
        process.kill()
    except (psutil.Error, ProcessLookupError, PermissionError):
        return False
    return True


def _children() -> list[psutil.Process]:
    """The children of this process; the kernel's own list of them is read in microseconds, faster than one can fork."""
    try:
        lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    except OSError:
        return psutil.Process().children()
    found = []
    for child in " ".join(lists).split():
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(int(child)))
    return found


def _signal_group(leader: int) -> None:
    # The group may be there after its leader has ended.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
