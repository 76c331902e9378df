"""Where a number comes from: commit, packages, machine, variables and load. Read when a record is written."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.results import helpers, machine

PACKAGES = (
    "numpy",
    "scipy",
    "jax",
    "jaxlib",
    "hydra-core",
    "matplotlib",
)


def provenance(root: Path, environment: dict[str, str], device: str, outputs: Iterable[Path] = ()) -> dict[str, Any]:
    """The facts that a record carries beside its numbers.

    Args:
        root: the checkout, for its commit.
        environment: the variables set for workers.
        device: "cpu" or "cuda".
        outputs: folders that runs write to, which do not count as changes of the checkout.
    """
    return {
        "commit": commit(root, tuple(outputs)),
        "packages": packages(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "host": platform.node(),
        "cpu": machine.cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": machine.usable_cores(),
        "cpu_quota": machine.cpu_quota(),
        "memory_bytes": machine.memory_bytes(),
        "memory_limit_bytes": machine.memory_limit_bytes(),
        "gpus": machine.gpus() if device == "cuda" else [],
        "gpu_states": machine.gpu_states() if device == "cuda" else [],
        "thread_settings": {**machine.acting_variables(environment), **environment},
        "load_average": load_average(),
        "silent_helpers": helpers.silent(),
        "started": now(),
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@cache
def commit(root: Path, outputs: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The commit of the checkout and whether it has changes; None, with the reason, where git tells none.

    Asked once. Only a repository whose top folder is `root` counts: an archive that was unpacked inside another
    repository has no commit of that one.
    """
    top = helpers.ask("git", "-C", str(root), "rev-parse", "--show-toplevel", "HEAD")
    lines = (top.text or "").splitlines()
    if len(lines) != 2:
        return {"id": None, "dirty": None, "reason": f"git: {top.reason or 'no commit'}"}
    if Path(lines[0]).resolve() != root.resolve():
        return {"id": None, "dirty": None, "reason": "not a checkout: the folder lies inside another repository"}
    inside = [path.resolve().relative_to(root.resolve()) for path in outputs if _within(path, root)]
    but = [f":(exclude,top){path.as_posix()}" for path in inside]
    status = helpers.ask("git", "-C", str(root), "status", "--porcelain", "--", ":(top)", *but)
    if status.text is None:
        return {"id": lines[1], "dirty": None, "reason": f"git status: {status.reason}"}
    return {"id": lines[1], "dirty": bool(status.text)}


def _within(path: Path, root: Path) -> bool:
    return path.resolve() != root.resolve() and path.resolve().is_relative_to(root.resolve())


def packages() -> dict[str, str]:
    """Versions of the packages that every run uses; a worker tells those of its system."""
    return dict(installed(PACKAGES))


@cache
def installed(names: tuple[str, ...]) -> Mapping[str, str]:
    """Versions of packages, without importing them; those that are not installed are left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load_average() -> float | None:
    """Runnable processes over the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
