"""The state of the machine around a race: governor, turbo, frequency, throttling, and work of others on its cores."""

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipelines.results.machine import cgroup_folders
from pipelines.workers.cores import busy_seconds

SYSTEM = Path("/")
MAX_DRIFT, MAX_CONTENTION = 0.1, 0.05
SHORTEST_SECONDS = 0.5
"""Below this, the work of others cannot be told from the ticks of the clock that counts it."""


@dataclass(frozen=True)
class Condition:
    """One reading; None where the system does not tell.

    Args:
        governors: distinct CPU frequency governors of the cores.
        turbo: whether the processor may exceed its base frequency.
        mhz: mean frequency of the cores.
        throttled: periods in which the cgroup's quota held processes back, since its start.
        thermal: times that a core was slowed by heat, since the machine started.
        busy: (busy, total) seconds of each core.
    """

    governors: tuple[str, ...]
    turbo: bool | None
    mhz: float | None
    throttled: int | None
    thermal: int | None
    busy: dict[int, tuple[float, float]]


class Watched(Protocol):
    """A worker, as a watch sees it."""

    @property
    def pid(self) -> int: ...

    @property
    def cores(self) -> Sequence[int] | None:
        """The cores that it is confined to; None for all."""

    def cpu_seconds(self) -> float | None: ...


class Watch:
    """Watches the machine around a race, with these workers, from its making until `facts` is called."""

    def __init__(self, workers: Iterable[Watched]):
        self._workers = list({worker.pid: worker for worker in workers}.values())
        named = {core for worker in self._workers for core in worker.cores or ()}
        self.cores = sorted(named or usable())
        self._before, self._used = read(self.cores), self._cpu_seconds()

    def facts(self) -> dict[str, Any]:
        """What a record keeps of the time since then."""
        used, after = self._cpu_seconds(), read(self.cores)
        own = None if used is None or self._used is None else used - self._used
        return {"cores": self.cores, **facts(self._before, after, own)}

    def _cpu_seconds(self) -> float | None:
        """Of the workers and of this process, which judges outputs between the blocks, on whatever core is free."""
        told = [worker.cpu_seconds() for worker in self._workers]
        if any(one is None for one in told):
            return None
        return time.process_time() + sum(one for one in told if one is not None)


def usable() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def read(cores: Iterable[int], system: Path = SYSTEM) -> Condition:
    """The state of these cores now."""
    folders = [system / f"sys/devices/system/cpu/cpu{core}" for core in cores]
    frequencies = [_number(folder / "cpufreq/scaling_cur_freq") for folder in folders]
    heat = [_number(folder / "thermal_throttle/core_throttle_count") for folder in folders]
    governors = {text for folder in folders if (text := _text(folder / "cpufreq/scaling_governor"))}
    told = [one / 1000 for one in frequencies if one is not None] or _cpuinfo_mhz(cores, system)
    seconds = busy_seconds(system)
    return Condition(
        governors=tuple(sorted(governors)),
        turbo=_turbo(system),
        mhz=sum(told) / len(told) if told else None,
        throttled=_throttled(system),
        thermal=sum(one for one in heat if one is not None) if any(one is not None for one in heat) else None,
        busy={core: seconds[core] for core in cores if core in seconds},
    )


def facts(before: Condition, after: Condition, own_cpu_seconds: float | None) -> dict[str, Any]:
    """What a record keeps of the two readings around a race.

    Args:
        own_cpu_seconds: CPU time that the race's workers and this program used in between; None if unknown.
    """
    return {
        "governors": list(after.governors),
        "turbo": after.turbo,
        "mhz_before": before.mhz,
        "mhz_after": after.mhz,
        "throttled_periods": _difference(before.throttled, after.throttled),
        "thermal_throttles": _difference(before.thermal, after.thermal),
        "contention": _contention(before, after, own_cpu_seconds),
    }


def merged(waves: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a record keeps of a race in several waves, from the `facts` of each: sums, and the worst contention."""

    def told(name: str) -> list[Any]:
        return [one[name] for one in waves if one[name] is not None]

    if len(waves) == 1:
        return waves[0]
    found = {**waves[-1], "mhz_before": waves[0]["mhz_before"]}
    for name, of in (("throttled_periods", sum), ("thermal_throttles", sum), ("contention", max)):
        found[name] = of(told(name)) if told(name) else None
    return found


def flags(told: dict[str, Any]) -> list[str]:
    """What in `facts` makes a time doubtful, one sentence each."""
    found = []
    slow = [name for name in told.get("governors") or [] if name not in ("performance", "schedutil")]
    if slow:
        found.append(f"the CPU governor is {', '.join(slow)}")
    before, after = told.get("mhz_before"), told.get("mhz_after")
    if before and after and abs(after - before) > MAX_DRIFT * before:
        found.append(f"the CPU frequency went from {before:.0f} to {after:.0f} MHz")
    if told.get("throttled_periods"):
        found.append(f"the cgroup's CPU quota held it back in {told['throttled_periods']} periods")
    if told.get("thermal_throttles"):
        found.append(f"heat slowed the CPU {told['thermal_throttles']} times")
    if (told.get("contention") or 0.0) > MAX_CONTENTION:
        found.append(f"others used {told['contention']:.0%} of its cores")
    return found


def _contention(before: Condition, after: Condition, own_cpu_seconds: float | None) -> float | None:
    """The fraction of the cores' time that was used by others than the workers and this program; at least, since this
    program may have been on other cores."""
    both = before.busy.keys() & after.busy.keys()
    total = sum(after.busy[core][1] - before.busy[core][1] for core in both)
    if own_cpu_seconds is None or not both or total < SHORTEST_SECONDS * len(both):
        return None
    busy = sum(after.busy[core][0] - before.busy[core][0] for core in both)
    return max(0.0, busy - own_cpu_seconds) / total


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)


def _turbo(system: Path) -> bool | None:
    off = _number(system / "sys/devices/system/cpu/intel_pstate/no_turbo")
    if off is not None:
        return off == 0
    boost = _number(system / "sys/devices/system/cpu/cpufreq/boost")
    return None if boost is None else boost != 0


def _throttled(system: Path) -> int | None:
    found = None
    for folder in cgroup_folders("cpu", system):
        words = (_text(folder / "cpu.stat") or "").split()
        with contextlib.suppress(ValueError, IndexError):
            found = (found or 0) + int(words[words.index("nr_throttled") + 1])
    return found


def _cpuinfo_mhz(cores: Iterable[int], system: Path) -> list[float]:
    wanted, found, core = set(cores), [], None
    for line in (_text(system / "proc/cpuinfo") or "").splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        with contextlib.suppress(ValueError):
            if name == "processor":
                core = int(value)
            elif name == "cpu MHz" and core in wanted:
                found.append(float(value))
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
