"""Writes requirements-hashes.txt: `python -m pipelines.install.lock`, after a version in requirements.txt has changed.

Asks pip, by a report of what it would install, for the file of every version without hashes on each Python and platform
that the project supports; of a package without a wheel, for its source. Hashes that the file has of the same line stay.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines.install.fault import ROOT
from pipelines.install.hashes import HASHES, entry, known_hashes
from pipelines.install.requirements import names_of, read_groups

PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS: dict[str, list[str]] = {
    "Linux, x86-64": [*(f"manylinux_2_{minor}_x86_64" for minor in range(40, 4, -1)), "manylinux2014_x86_64"],
    "Linux, ARM": [*(f"manylinux_2_{minor}_aarch64" for minor in range(40, 16, -1)), "manylinux2014_aarch64"],
    "macOS, ARM": [*(f"macosx_{major}_0_arm64" for major in range(15, 10, -1)), "macosx_11_0_universal2"],
}
"""Tags of the wheels that fit, the newest first."""
WITHOUT = "# Without hashes:"
"""How the line of the file begins that names packages without any: an index gives one of many builds of a version."""


def header() -> list[str]:
    """Return the comments at the top of the file, which stay."""
    lines = (Path(ROOT) / HASHES).read_text(encoding="utf-8").splitlines()
    return lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]


def unlocked() -> set[str]:
    """Return the packages that have no hashes."""
    named = [line.removeprefix(WITHOUT).partition(".")[0] for line in header() if line.startswith(WITHOUT)]
    return {name.strip() for line in named for name in line.split(",")}


def lines_for(python: str) -> dict[str, str]:
    """Return requirement line -> `name==version`, for the lines that apply to a Python."""
    from packaging.requirements import Requirement  # not needed to read the file

    found = {}
    for line in (line for lines in read_groups().values() for line in lines):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            found[line] = f"{requirement.name}{requirement.specifier}"
    return found


def hash_of(pin: str, options: list[str]) -> tuple[str, bool]:
    """Return the SHA-256 of the file that pip would install, and whether it is the same for every Python and platform.

    Raises:
        LookupError: there is none; with what pip said.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
        where = ["--target", folder, "--report", str(told), pin]
        done = subprocess.run([*command, *options, *where], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LookupError(done.stderr.strip())
        (one,) = json.loads(told.read_text(encoding="utf-8"))["install"]
    told_of = one["download_info"]
    return told_of["archive_info"]["hashes"]["sha256"], told_of["url"].endswith("py3-none-any.whl")


def collect(known: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return requirement line -> hashes, those that are known first; asks for what has not all its hashes yet."""
    without = unlocked()
    lines = [line for lines in read_groups().values() for line in lines if not names_of([line]) & without]
    found = {line: list(known.get(line, [])) for line in lines}
    complete = set(known)
    for python in PYTHONS:
        for line, pin in lines_for(python).items():
            if line in complete or line not in found:
                continue
            print(f"Python {python}: {pin}", flush=True)
            for tags in PLATFORMS.values():
                # pip compares a wheel's Requires-Python with the Python that runs pip, not with the one asked for.
                asked = ["--python-version", python, "--ignore-requires-python"]
                wheels = [*asked, "--only-binary=:all:", *(f"--platform={tag}" for tag in tags)]
                try:
                    digest, is_universal = hash_of(pin, wheels)
                except LookupError:
                    digest, is_universal = hash_of(pin, ["--no-binary=:all:"])  # no wheel fits: the source
                found[line] += [] if digest in found[line] else [digest]
                if is_universal:
                    complete.add(line)
                    break
    return found


def main() -> int:
    """Writes the file."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.install.lock", description=__doc__)
    parser.add_argument("--again", action="store_true", help="ask for every line, not only for those without hashes")
    known = known_hashes()
    asked = {} if parser.parse_args().again else known
    found = collect(asked)
    found = {line: list(dict.fromkeys([*known.get(line, []), *hashes])) for line, hashes in found.items()}
    text = "\n".join([*header(), "", *(entry(line, hashes) for line, hashes in found.items())]) + "\n"
    (Path(ROOT) / HASHES).write_text(text, encoding="utf-8")
    print(f"{HASHES}: {sum(map(len, found.values()))} hashes of {len(found)} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
