"""The machine that measures, as far as it decides a time: its processor, cores, quota of them, memory, and GPUs."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from pipelines.results import helpers

SYSTEM = Path("/")
ACTING = (
    *("XLA_", "JAX_", "TF_", "TORCH_", "PYTORCH_", "LIBTPU_", "CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "VECLIB_", "NUMEXPR_", "NPY_", "DNNL_", "ONEDNN_"),
    *("MALLOC_", "LD_PRELOAD", "LD_BIND_NOW", "DYLD_", "JULIA_", "PYTHONOPTIMIZE", "PYTHONMALLOC", "PYTHONDEVMODE"),
)
"""How the names of variables begin that act on what a worker measures, beside those that the harness sets itself."""


def acting_variables(own: Mapping[str, str], variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's variables that reach the workers and act there.

    Args:
        own: what the harness sets in the workers, which replaces the caller's.
        variables: the caller's; those of this process by default.
    """
    given = os.environ if variables is None else variables
    return {name: given[name] for name in sorted(given) if name.startswith(ACTING) and name not in own}


def machine(device: str) -> str:
    """The machine as far as it enters a key: numbers of another machine are never reused."""
    parts = [cpu_model(), f"{usable_cores()} cores", *limits(), *(gpus() if device == "cuda" else [])]
    return ", ".join(parts)


def device_label(device: str) -> str:
    """The device's own name, for captions: the first GPU, or the CPU with its usable cores."""
    found = gpus() if device == "cuda" else []
    return found[0].split(", driver")[0] if found else f"{cpu_model()}, {usable_cores()} cores"


@cache
def cpu_model(system: Path = SYSTEM) -> str:
    """The name of the CPU's model; where the system tells none, of the host, which no other machine shares."""
    try:
        lines = (system / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    told = [[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]
    for name, value in told:
        if name == "model name" and value and value != "unknown":
            return value
    parts = [value for name, value in told if name in ("CPU implementer", "CPU part")]
    if parts:  # ARM tells its maker and part by number, one pair per core
        pairs = sorted(set(zip(parts[::2], parts[1::2], strict=False)))
        return f"{platform.machine()} " + " + ".join(f"implementer {maker} part {part}" for maker, part in pairs)
    if sys.platform == "darwin":
        brand = helpers.ask("sysctl", "-n", "machdep.cpu.brand_string").text
        if brand:
            return brand
    return f"{platform.processor() or platform.machine()} of the host {platform.node()}"


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Physical memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def limits(system: Path = SYSTEM) -> list[str]:
    """What a container or batch system allows of the machine, in words; empty where that is all of it."""
    quota, memory, physical = cpu_quota(system), memory_limit_bytes(system), memory_bytes()
    found = [] if quota is None or quota >= usable_cores() else [f"quota of {quota:.3g} cores"]
    if memory is not None and (physical is None or memory < physical):
        found.append(f"memory limit {memory / 2**30:.3g} GiB")
    return found


def cpu_quota(system: Path = SYSTEM) -> float | None:
    """Core-seconds per second that the cgroups of this process allow, the least of all levels; None for all."""
    found = []
    for folder in cgroup_folders("cpu", system):
        words = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]) > 0:
            found.append(int(words[0]) / int(words[1]))
    return min(found, default=None)


def memory_limit_bytes(system: Path = SYSTEM) -> int | None:
    """Bytes of memory that the cgroups of this process allow, the least of all levels; None for all."""
    found = []
    for folder in cgroup_folders("memory", system):
        words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        if words and words[0].isdigit() and int(words[0]) < 2**60:  # version 1 writes a huge number for "no limit"
            found.append(int(words[0]))
    return min(found, default=None)


def cgroup_folders(controller: str, system: Path = SYSTEM) -> Iterator[Path]:
    """The folders of this process's cgroups that have a controller, from the innermost outwards, of either version."""
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounts = [""] if not controllers else [controllers, controller]
        if controllers and controller not in controllers.split(","):
            continue
        for mount in dict.fromkeys(mounts):
            base = system / "sys/fs/cgroup" / mount
            group = base / path.lstrip("/")
            while base.is_dir():
                if group.is_dir():
                    yield group
                if group == base:
                    break
                group = group.parent


@cache
def gpus() -> list[str]:
    """Names and drivers of the NVIDIA GPUs, as the driver's own tool lists them; empty where there is none."""
    answer = helpers.ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    rows = [line.split(",") for line in (answer.text or "").splitlines() if line.strip()]
    return [f"{row[0].strip()}, driver {row[1].strip()}" if len(row) > 1 else row[0].strip() for row in rows]


GPU_FACTS = {
    "index": "index", "name": "name", "driver": "driver_version", "memory_total_mib": "memory.total",
    "memory_used_mib": "memory.used", "sm_clock_mhz": "clocks.sm", "memory_clock_mhz": "clocks.mem",
    "most_sm_clock_mhz": "clocks.max.sm", "temperature_c": "temperature.gpu", "power_w": "power.draw",
    "utilization_percent": "utilization.gpu",
}  # fmt: skip
"""What is recorded of a GPU, and what `nvidia-smi --help-query-gpu` calls it."""


def gpu_states() -> list[dict[str, str | float | None]]:
    """What every NVIDIA GPU is doing now, by the names of `GPU_FACTS`; asked again each time.

    Numbers are floats; None stands for what a card does not tell ("[N/A]"). Empty where the driver's tool is absent, or
    does not know the question.
    """
    query = ",".join(GPU_FACTS.values())
    answer = helpers.ask_again("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits")
    found: list[dict[str, str | float | None]] = []
    for line in (answer.text or "").splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(GPU_FACTS):
            found.append({name: _fact(name, value) for name, value in zip(GPU_FACTS, values, strict=True)})
    return found


def _fact(name: str, value: str) -> str | float | None:
    if name in ("name", "driver"):
        return value
    try:
        return float(value)
    except ValueError:
        return None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
