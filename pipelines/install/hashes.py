"""Which files are accepted: the SHA-256 hashes of requirements-hashes.txt, by requirement line.

The file is in pip's own format, names no host, and is written by `python -m pipelines.install.lock`. Lines that have
hashes are installed from files that have one of them, whatever index they come from. Without hashes, and checked by
their versions alone, are PyTorch and the CUDA libraries that its builds need, groups that frameworks name in their own
files, and those of requirements-optional.txt.
"""

import os
import re
from pathlib import Path

from pipelines.install import requirements
from pipelines.install.fault import InstallationFault

HASHES = "requirements-hashes.txt"
UNHASHED = "RUN_UNHASHED"
"""The variable that names groups whose files are not checked, such as files that the user built."""

MISMATCH = "DO NOT MATCH THE HASHES"
"""What pip says of a file with another hash."""


def known_hashes() -> dict[str, list[str]]:
    """Return requirement line -> the accepted hashes, hexadecimal; empty where the file is missing."""
    path = Path(requirements.ROOT) / HASHES
    found: dict[str, list[str]] = {}
    if not path.is_file():
        return found
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=sha256:")
            found[requirement.strip()] = [one.strip() for one in hashes]
    return found


def with_hashes(group: str, lines: list[str], known: dict[str, list[str]]) -> list[str]:
    """Return the lines of a group that have hashes, in pip's format; none if the user said not to check the group."""
    if group in unhashed():
        return []
    return [entry(line, known[line]) for line in lines if known.get(line)]


def entry(line: str, hashes: list[str]) -> str:
    """Return one requirement with its hashes, in pip's format."""
    return " \\\n    ".join([line, *(f"--hash=sha256:{one}" for one in hashes)])


def unhashed() -> list[str]:
    """Return the groups that RUN_UNHASHED names."""
    return [name.strip() for name in os.environ.get(UNHASHED, "").split(",") if name.strip()]


def require_groups(known: list[str]) -> None:
    """Raise InstallationFault if RUN_UNHASHED names a group that there is not."""
    unknown = [name for name in unhashed() if name not in known]
    if unknown:
        chosen = ",".join(unhashed())
        raise InstallationFault(f"{UNHASHED}={chosen}: there is no group {unknown[0]!r}. Choose from {known}.", 2)


def refusal(group: str, said: str) -> str:
    """Return the sentence about files whose hashes differ, from what pip said."""
    packages = re.findall(r"^ {4}(\S+) from .*:$", said, re.MULTILINE) or re.findall(
        r"^ {4}(\S+==\S+)", said, re.MULTILINE
    )
    got = re.findall(r"Got +([0-9a-f]{64})", said)
    what = ", ".join(dict.fromkeys(packages)) or group
    found = f" (its SHA-256 is {got[0]})" if got else ""
    return (
        f"refused: the file that the index gave for {what} is none of those of {HASHES}{found}. Nothing of it was "
        f"installed. If you know where it is from, and trust it: {UNHASHED}={group} ./run TASK"
    )
