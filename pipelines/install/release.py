"""Build the wheel of GenJAX, and run the README's example with it in an empty environment: `./run release`.

The wheel is left in dist/. The exit status is 0 if the example prints what the README says, and 1 if it does not or a
step fails.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from pipelines.install.fault import ROOT


class StepFailed(Exception):
    """A step of the release that did not work, with the end of what it printed."""


def main(words: list[str] | None = None) -> int:
    """Build, install, run; return the exit status."""
    parser = argparse.ArgumentParser(prog="./run release", description=__doc__.partition("\n")[0])
    parser.add_argument("--into", default=str(Path(ROOT) / "dist"), metavar="DIR", help="folder for the wheel")
    folder = Path(parser.parse_args(words).into).resolve()
    code, expected = example((Path(ROOT) / "README.md").read_text(encoding="utf-8"))
    try:
        wheel = build_wheel(folder)
        print(f"built {wheel}")
        found = run_installed(wheel, code)
    except StepFailed as failed:
        print(f"release: {failed}", file=sys.stderr)
        return 1
    if found != expected:
        print(f"release: the README's example printed {found}, and the README says {expected}", file=sys.stderr)
        return 1
    print(f"the README's example, run with the installed wheel, printed {found}, as the README says")
    return 0


def example(readme: str) -> tuple[str, list[str]]:
    """Return the first Python block of the README, and the lines that its comments say it prints."""
    match = re.search(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    if match is None:
        raise ValueError("README.md has no Python example")
    return match[1], re.findall(r"^print\(.*\)  # (.*)$", match[1], re.MULTILINE)


def build_wheel(folder: Path) -> Path:
    """Return the wheel, built into the folder in place of an older one of the same version."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), ROOT]
    completed("building the wheel", command, ROOT)
    wheels = sorted(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise StepFailed(f"pip wheel left no wheel in {folder}")
    return wheels[-1]


def run_installed(wheel: Path, code: str) -> list[str]:
    """Return the lines that the code prints in a new environment that holds the wheel and what it requires."""
    with tempfile.TemporaryDirectory(prefix="genjax-release-") as place:
        venv.create(place, with_pip=True)
        python = str(Path(place) / "bin" / "python")
        completed("installing the wheel", [python, "-m", "pip", "install", "--quiet", str(wheel)], place)
        # From the new folder, isolated: nothing of this checkout may be importable.
        return completed("running the README's example", [python, "-I", "-c", code], place).splitlines()


def completed(step: str, command: list[str], folder: str) -> str:
    """Return what a command prints, or raise with the end of its messages."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StepFailed(f"{step} failed:\n" + "\n".join((done.stdout + done.stderr).splitlines()[-20:]))
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
