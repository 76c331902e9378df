"""Where a number comes from: commit, packages, machine, threads and load. Read when a record is written."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy",
    "scipy",
    "jax",
    "jaxlib",
    "numpyro",
    "tfp-nightly",
    "torch",
    "pyro-ppl",
    "hydra-core",
    "matplotlib",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS", "JAX_PLATFORMS")


def provenance(root: Path, environment: dict[str, str], device: str) -> dict[str, Any]:
    """The facts that a record carries beside its numbers.

    Args:
        root: the checkout, for its commit.
        environment: the variables set for workers.
        device: "cpu" or "cuda".
    """
    settings = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    return {
        "commit": commit(root),
        "packages": packages(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "host": platform.node(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_bytes": memory_bytes(),
        "gpus": gpus() if device == "cuda" else [],
        "thread_settings": {**settings, **environment},
        "load_average": load_average(),
        "started": now(),
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def machine(device: str) -> str:
    """The machine as far as it enters a key: numbers of another machine are never reused."""
    parts = [cpu_model(), f"{usable_cores()} cores", *(gpus() if device == "cuda" else [])]
    return ", ".join(parts)


def device_label(device: str) -> str:
    """The device's own name, for captions: the first GPU, or the CPU with its usable cores."""
    found = gpus() if device == "cuda" else []
    return found[0].split(", driver")[0] if found else f"{cpu_model()}, {usable_cores()} cores"


def commit(root: Path) -> dict[str, Any]:
    """The commit of the checkout and whether it has changes; None where there is no git."""
    identifier = _git(root, "rev-parse", "HEAD")
    if identifier is None:
        return {"id": None, "dirty": None}
    return {"id": identifier, "dirty": bool(_git(root, "status", "--porcelain"))}


@cache
def packages() -> dict[str, str]:
    """Versions of the packages that matter, without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def cpu_model() -> str:
    """The CPU's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the platform module has a name, if a poorer one
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Physical memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def load_average() -> float | None:
    """Runnable processes over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


@cache
def gpus() -> list[str]:
    """Names and drivers of the NVIDIA GPUs, as the driver's own tool lists them; empty where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        return []
    rows = [line.split(",") for line in done.stdout.splitlines() if line.strip()]
    return [f"{row[0].strip()}, driver {row[1].strip()}" if len(row) > 1 else row[0].strip() for row in rows]


def _git(root: Path, *arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
