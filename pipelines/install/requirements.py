"""The requirements files: exact versions in named groups, and which groups an environment shall hold."""

import hashlib
import os

from pipelines.install.fault import ROOT, InstallationFault

OPTIONAL_REQUIREMENTS = "requirements-optional.txt"
REQUIRED_GROUPS = ("core", "test")
IMPLIED = {"torch": "pyro"}
"""Leaving out the first leaves out the second, which would pull it in again."""


def read_groups(name: str = "requirements.txt") -> dict[str, list[str]]:
    """Return group -> requirement lines of a requirements file, in the order of the file."""
    groups: dict[str, list[str]] = {}
    current = None
    path = os.path.join(ROOT, name)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        if name == OPTIONAL_REQUIREMENTS:
            return {}
        raise InstallationFault(f"{path} is missing. Is this a whole checkout?") from None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("# [") and "]" in line:
            current = line[3 : line.index("]")]
            groups[current] = []
        elif line and not line.startswith("#"):
            if current is None:
                raise InstallationFault(f"{path}: {line!r} stands before the first group.")
            groups[current].append(line)
    return groups


def left_out() -> list[str]:
    """Return the groups that RUN_WITHOUT names."""
    return [name.strip() for name in os.environ.get("RUN_WITHOUT", "").split(",") if name.strip()]


def without_also(groups: list[str]) -> str:
    """Return the RUN_WITHOUT setting that leaves out these groups too, to be shown to the user."""
    return "RUN_WITHOUT=" + ",".join(dict.fromkeys([*left_out(), *groups]))


def names_of(lines: list[str]) -> set[str]:
    """Return the normalised package names of requirement lines."""
    return {normal(line.split("==")[0].split(";")[0].split("[")[0].strip()) for line in lines}


def normal(name: str) -> str:
    """Return a package name as packaging compares it (PEP 503)."""
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def fingerprint(lines: list[str]) -> str:
    """Return a short hash of a group's requirements."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def write_lines(path: str, lines: list[str]) -> None:
    """Write a text file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
