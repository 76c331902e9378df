"""What an environment really holds: the packages that are there, whole or torn."""

import csv
import glob
import os
import shutil
import subprocess

from pipelines.install.fault import InstallationFault
from pipelines.install.requirements import fingerprint, normal

NEEDS = """
import sys, importlib.metadata as m
from pip._vendor.packaging.requirements import Requirement
missing = set()
for name in sys.argv[1:]:
    try: needs = m.requires(name) or []
    except m.PackageNotFoundError: continue  # not for this Python
    for need in map(Requirement, needs):
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            try: m.version(need.name)
            except m.PackageNotFoundError: missing.add(need.name)
print(*sorted(missing))
"""
"""Prints what packages need and the environment lacks; pip brings the reader of their lines."""


def site_packages(venv: str) -> list[str]:
    """Return the folders in which pip puts packages: one, whatever the Python."""
    return glob.glob(os.path.join(glob.escape(venv), "lib", "python*", "site-packages"))


def installed_packages(venv: str) -> str:
    """Return a short hash of the names and versions that are installed: one listing of a folder, no Python started.

    Whoever installs, upgrades or removes a package by hand changes it, and the next ./run looks again.
    """
    found = [entry for folder in site_packages(venv) for entry in os.listdir(folder) if entry.endswith(".dist-info")]
    return fingerprint(sorted(found))


def remove_torn_packages(venv: str) -> set[str]:
    """Delete package metadata without a file list: pip was killed while it wrote, and would take it for installed.

    Returns the names of the packages concerned.
    """
    torn: set[str] = set()
    for folder in site_packages(venv):
        for entry in os.listdir(folder):
            if entry.endswith(".dist-info") and not os.path.exists(os.path.join(folder, entry, "RECORD")):
                shutil.rmtree(os.path.join(folder, entry))
                torn.add(normal(entry.partition("-")[0]))
    return torn


def broken_packages(venv: str) -> set[str]:
    """Return the names of the packages of which a file is missing or has another size than pip recorded.

    Sizes, not hashes: a look at every file takes a second, reading gigabytes a minute. Compiled Python files and pip's
    own, which may upgrade itself, do not count.
    """
    broken: set[str] = set()
    for folder in site_packages(venv):
        for entry in os.listdir(folder):
            name = normal(entry.partition("-")[0])
            if not entry.endswith(".dist-info") or name == "pip":
                continue
            with open(os.path.join(folder, entry, "RECORD"), newline="", encoding="utf-8") as file:
                for path, _, size in (row[:3] for row in csv.reader(file) if len(row) >= 3):
                    if path.endswith(".pyc"):
                        continue
                    try:
                        actual = os.stat(os.path.join(folder, path)).st_size
                    except OSError:
                        actual = -1
                    if actual < 0 or (size and actual != int(size)):
                        broken.add(name)
    return broken


def missing_needs(venv: str, names: set[str]) -> list[str]:
    """Return the packages that these need and that are not there."""
    command = [os.path.join(venv, "bin", "python"), "-I", "-c", NEEDS, *sorted(names)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise InstallationFault(f"what the packages in {venv} need could not be read: {last}")
    return done.stdout.split()
