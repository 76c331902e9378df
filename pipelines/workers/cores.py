"""Which cores the workers of a run may use: idle, fast, distinct ones, which no other run on this machine has taken.

Linux only; elsewhere a program cannot choose. The choice is made once per run and number of cores, so that all systems
are measured on the same ones, and is locked for the machine: a lock file per core below the folder for temporary files.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

SYSTEM = Path("/")
LOCKS = Path(tempfile.gettempdir()) / "genjax-artifact-locks"
TAKES_TURNS = "GENJAX_ARTIFACT_TAKES_TURNS"
"""Variable of runs that measure one after the other on a machine: the jobs of a sweep."""
POLL_SECONDS = 0.5
WATCH_SECONDS = 0.2
"""How long the cores are watched to see which are idle."""
IDLE = 0.9
"""A core that is idle for less than this fraction is chosen only if there are not enough others."""


class Cores:
    """The cores of this run.

    Args:
        say: gets a line if another run measures on this machine.
        locks: the folder of the machine's locks; `LOCKS` by default.
        system: the root of /proc and /sys.
    """

    def __init__(self, say: Callable[[str], None] = print, locks: Path | None = None, system: Path = SYSTEM):
        self._say, self._locks, self._system = say, locks or LOCKS, system
        self._chosen: dict[int, list[int]] = {}
        self._held: dict[str, IO[str]] = {}

    def announce(self) -> bool:
        """Takes the machine's lock for measuring; if another run has it, says so and returns False.

        A job of a sweep, which has `TAKES_TURNS` in its environment, waits until the lock is free.
        """
        if self._lock("measuring"):
            return True
        if os.environ.get(TAKES_TURNS):
            self._say("Another run measures on this machine: waiting until it has ended.")
            while not self._lock("measuring"):
                time.sleep(POLL_SECONDS)
            return True
        self._say("Another run measures on this machine: each disturbs the times of the other.")
        return False

    def choose(self, count: int) -> list[int]:
        """That many cores, the same ones at every call; empty where the system does not let a program choose."""
        if not hasattr(os, "sched_getaffinity"):
            return []
        if count not in self._chosen:
            usable = os.sched_getaffinity(0)
            taken = {core for core in usable if not self._lock(f"core-{core}")}
            ranked = rank(usable, idle_fractions(usable, self._system), self._system)
            free = [core for core in ranked if core not in taken]
            chosen = (free + [core for core in ranked if core in taken])[:count]
            if set(chosen) & taken:
                self._say(
                    f"Another run has the cores {sorted(taken)}, and not enough others are left: they are shared."
                )
            self._chosen[count] = sorted(chosen)
            wanted = {f"core-{core}" for cores in self._chosen.values() for core in cores} | {"measuring"}
            for name in [name for name in self._held if name not in wanted]:
                self._held.pop(name).close()
        return self._chosen[count]

    @contextlib.contextmanager
    def borrowed(self, count: int) -> Iterator[list[list[int]]]:
        """Disjoint sets of that many cores: those of this run, and others that no run has, which it gives back after.

        For what needs no quiet. No set for a count of 0, and where the system does not let a program choose.
        """
        own = self.choose(count) if count else []
        if not own:
            yield []
            return
        before = set(self._held)
        usable = sorted(os.sched_getaffinity(0) - set(own), reverse=True)
        others = [core for core in usable if self._lock(f"core-{core}")]
        try:
            yield [own, *(sorted(others[i : i + count]) for i in range(0, len(others) - count + 1, count))]
        finally:
            for name in set(self._held) - before:
                self._held.pop(name).close()

    def release(self) -> None:
        """Gives the cores back."""
        for file in self._held.values():
            file.close()
        self._held.clear()
        self._chosen.clear()

    def _lock(self, name: str) -> bool:
        """Takes a lock of the machine, unless this run has it; True also where there can be no locks."""
        if name in self._held:
            return True
        try:
            self._locks.mkdir(mode=0o777, exist_ok=True)
            with contextlib.suppress(PermissionError):
                self._locks.chmod(0o1777)  # other users' runs lock here as well
            path = self._locks / name
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+")
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except OSError:
            file.close()
            return True
        self._held[name] = file
        return True


def rank(cores: Iterable[int], idle: dict[int, float], system: Path = SYSTEM) -> list[int]:
    """The cores from the best to the worst: idle before busy, fast before slow, distinct before siblings, last first.

    Args:
        idle: fraction of the time that each was idle; those not named count as idle.
    """
    left = sorted(cores, reverse=True)
    left.sort(key=lambda core: (idle.get(core, 1.0) < IDLE, -speed(core, system)))
    seen: set[str] = set()
    order: dict[int, tuple[bool, bool, int]] = {}
    for place, core in enumerate(left):
        physical = physical_core(core, system)
        order[core] = (idle.get(core, 1.0) < IDLE, physical in seen, place)
        seen.add(physical)
    return sorted(left, key=order.__getitem__)


def speed(core: int, system: Path = SYSTEM) -> int:
    """The highest frequency or capacity of a core, comparable among cores of one machine; 0 where unknown."""
    folder = system / f"sys/devices/system/cpu/cpu{core}"
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        with contextlib.suppress(OSError, ValueError):
            return int((folder / name).read_text())
    return 0


def physical_core(core: int, system: Path = SYSTEM) -> str:
    """The physical core, as the list of its threads; the core itself where unknown."""
    try:
        return (system / f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(core)


def busy_seconds(system: Path = SYSTEM) -> dict[int, tuple[float, float]]:
    """(busy, total) seconds of every core since the machine started, in steps of a tick; empty where unknown."""
    found = {}
    with contextlib.suppress(OSError, ValueError):
        tick = os.sysconf("SC_CLK_TCK")
        for line in (system / "proc/stat").read_text().splitlines():
            name, *numbers = line.split()
            if name.startswith("cpu") and name[3:].isdigit():
                ticks = [int(number) for number in numbers[:8]]  # user nice system idle iowait irq softirq steal
                found[int(name[3:])] = ((sum(ticks) - ticks[3] - ticks[4]) / tick, sum(ticks) / tick)
    return found


def idle_fractions(cores: Iterable[int], system: Path = SYSTEM) -> dict[int, float]:
    """How idle each core is, watched for a moment; empty where the system does not say."""
    before = busy_seconds(system)
    if not before:
        return {}
    time.sleep(WATCH_SECONDS)
    after = busy_seconds(system)
    found = {}
    for core in cores:
        if core in before and core in after:
            total = after[core][1] - before[core][1]
            found[core] = 1.0 - (after[core][0] - before[core][0]) / total if total > 0 else 1.0
    return found
