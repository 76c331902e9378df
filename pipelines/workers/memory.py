"""How much memory the workers of a run will hold at once, and whether that is there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import UserError
from pipelines.results.machine import cgroup_folders, memory_limit_bytes

SYSTEM = Path("/")
WORKER_BYTES = 256 * 2**20
"""What a worker holds of which no record tells: JAX, PyTorch or Julia (18 workers held 4.6 GB)."""
LIGHT_WORKER_BYTES = 48 * 2**20
"""The same for a system that needs NumPy and SciPy alone."""
LIGHT = {"numpy", "scipy"}


class NotEnoughMemory(UserError):
    """The workers of a run would not fit."""

    exit_status = 1


def available_bytes(system: Path = SYSTEM) -> int | None:
    """Memory that new processes may take: of the machine, and of what the cgroups of this process allow."""
    found = []
    try:
        for line in (system / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError, IndexError):
        pass  # not Linux
    limit, used = memory_limit_bytes(system), _used(system)
    if limit is not None and used is not None:
        found.append(max(0, limit - used))
    return min(found, default=None)


def expected_bytes(distributions: Sequence[str]) -> int:
    """What a worker holds, by the packages of its framework; foreign systems name none."""
    return LIGHT_WORKER_BYTES if distributions and LIGHT.issuperset(distributions) else WORKER_BYTES


def needed_bytes(workers: Sequence[str], known: Mapping[str, int]) -> int:
    """What the workers hold together.

    Args:
        workers: the framework of each worker that lives at the same time.
        known: peaks that records tell, by framework.
    """
    return sum(known.get(framework, WORKER_BYTES) for framework in workers)


def most_at_once(races: Iterable[tuple[int | None, Sequence[tuple]]]) -> list[str]:
    """The frameworks of the most workers that live at the same time.

    Args:
        races: in their order, how many cores the workers of each are confined to, and a slot (framework, ...) for each
            worker. Workers outlive a race, and end when one with other cores begins.
    """
    alive: dict[tuple, None] = {}
    most: list[tuple] = []
    before: int | None = None
    for cores, slots in races:
        if cores != before:
            alive, before = {}, cores
        alive |= dict.fromkeys(slots)
        if len(alive) > len(most):
            most = list(alive)
    return [slot[0] for slot in most]


@dataclass(frozen=True)
class Room:
    """How many workers may live.

    Args:
        at_once: processes of a contestant that may live at the same time, and no worker outlives its race; None where
            there is room for all, which live on.
        text: a line that says so.
    """

    at_once: int | None = None
    text: str = ""


def room(races: Sequence[tuple[int | None, Sequence[tuple]]], known: Mapping[str, int], available: int | None) -> Room:
    """The most that fits: all workers at once, or races that end theirs, in as few waves of processes as possible.

    Args:
        races: as of `most_at_once`; the last entry of a slot is the number of the process.
        known: peaks that records tell, by framework.
        available: bytes, None if unknown.

    Raises:
        NotEnoughMemory: not even one process of each contestant fits.
    """
    workers = most_at_once(races)
    needed = needed_bytes(workers, known)
    text = f"{len(workers)} workers at once, about {_gigabytes(needed)} of memory"
    if available is None:
        return Room(None, text)
    if needed <= available:
        return Room(None, f"{text} of {_gigabytes(available)} available")
    processes = 1 + max(slot[-1] for _, slots in races for slot in slots)
    for at_once in range(processes, 0, -1):
        of_races = [[slot[0] for slot in slots if slot[-1] < at_once] for _, slots in races]
        workers = max(of_races, key=lambda one: needed_bytes(one, known))
        needed = needed_bytes(workers, known)
        if needed <= available:
            return Room(
                at_once,
                f"{text}, and {_gigabytes(available)} is available: {at_once} of {processes} processes of each system "
                f"live at a time, {len(workers)} workers, about {_gigabytes(needed)}",
            )
    raise NotEnoughMemory(
        f"This run needs {len(workers)} workers at once, about {_gigabytes(needed)} of memory, and "
        f"{_gigabytes(available)} is available. Nothing was run. Close other programs, or ask for less: "
        "frameworks=[A,B], tasks=[A]."
    )


def _used(system: Path) -> int | None:
    for folder in cgroup_folders("memory", system):
        for name in ("memory.current", "memory.usage_in_bytes"):
            try:
                return int((folder / name).read_text())
            except (OSError, ValueError):
                continue
    return None


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"
