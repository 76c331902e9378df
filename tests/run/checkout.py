"""A made-up checkout for the tests of ./run: the real `run`, small tasks, and small packages that need no network."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

TASKS = """
[tasks.hello]
cmd = "python show.py"
description = "Show what a task sees"
env = { TASK_VARIABLE = "from the task" }

[tasks.fail]
cmd = "python -c 'import sys; sys.exit(7)'"
description = "Exit with status 7"

[tasks.sleep]
cmd = "python -c 'import time; print(1, flush=True); time.sleep(60)'"

[tasks.all]
depends-on = ["_first", "_second"]
description = "Two parts"

[tasks._first]
cmd = "python -c 'print(1)'"

[tasks._second]
cmd = "python -c 'print(2)'"

[tasks.stops]
depends-on = ["fail", "_second"]

[tasks.bare]
cmd = "python show.py"

[tasks.missing-command]
cmd = "no-such-command"

[tasks.loop]
depends-on = ["loop"]

[tool.run]
without-environment = ["bare"]
"""
SHOW = """
import json, os, sys
names = ("PYTHONPATH", "VIRTUAL_ENV", "TASK_VARIABLE", "PYTHONHOME")
packages = {}
for name in ("alpha", "beta", "gamma", "delta"):
    try:
        packages[name] = __import__(name).VERSION
    except ImportError:
        pass
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "prefix": sys.prefix, "packages": packages,
                  "variables": {name: os.environ.get(name) for name in names}}))
"""
GROUPS = {"core": ["alpha==1.0"], "test": ["beta==1.0"], "torch": ["gamma==1.0"], "pyro": ["delta==1.0"]}


def make_wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    """Write the smallest installable package: one module with its version, which may need another."""
    information = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{information}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{information}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{information}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@dataclass
class Checkout:
    """A folder with `run`, tasks and requirements, and the variables under which `run` is called there."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, root: Path) -> "Checkout":
        """Write the files of a checkout into an empty folder."""
        wheels = root / "wheels"
        wheels.mkdir(parents=True)
        for name in ("alpha", "beta", "gamma", "delta"):
            make_wheel(wheels, name, "1.0")
        make_wheel(wheels, "alpha", "2.0")
        shutil.copy2(ROOT / "run", root / "run")
        for name in ("__init__.py", "errors.py", "attributes.py", "atomic.py", "install"):
            source, copy = ROOT / "pipelines" / name, root / "pipelines" / name
            copy.parent.mkdir(exist_ok=True)
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy2(source, copy)
        (root / "pixi.toml").write_text(TASKS)
        (root / "show.py").write_text(SHOW)
        checkout = cls(root)
        checkout.write_requirements(GROUPS)
        return checkout

    def copy(self, root: Path) -> "Checkout":
        """Copy the checkout with its environment, which finds its packages relative to itself."""
        shutil.copytree(self.root, root, symlinks=True)
        return Checkout(root)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def packages(self) -> Path:
        return self.venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"

    def write_requirements(self, groups: dict[str, list[str]]) -> None:
        needs = {"pyro": "pyro: torch"}  # without torch there is no pyro
        blocks = ["\n".join([f"# [{needs.get(name, name)}] packages", *lines]) for name, lines in groups.items()]
        (self.root / "requirements.txt").write_text("# Exact versions.\n\n" + "\n\n".join(blocks) + "\n")

    def replace_pip(self, code: str) -> None:
        """Make `python -m pip` of the environment run this code; `real()` in it goes on with the true pip."""
        main = self.packages / "pip" / "__main__.py"
        real = main.with_name("real_main.py")
        if not real.exists():
            main.rename(real)
        prelude = (
            "import os, runpy, sys, time\ndef real():\n    runpy.run_module('pip.real_main', run_name='__main__')\n"
        )
        main.write_text(prelude + code)

    def restore_pip(self) -> None:
        """Undo `replace_pip`."""
        main = self.packages / "pip" / "__main__.py"
        main.with_name("real_main.py").replace(main)

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "RUN_", "PYTHON"))}
        kept.pop("VIRTUAL_ENV", None)
        offline = {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": (self.root / "wheels").as_uri(),
        }
        merged = {**kept, **offline, **self.variables, **variables}
        return {name: value for name, value in merged.items() if value}

    def run(self, *arguments: str, folder: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Call ./run and wait for it. A variable that is given as "" is unset."""
        return subprocess.run(
            [sys.executable, self.root / "run", *arguments], cwd=folder or self.root, capture_output=True, text=True,
            env=self.environment(variables), timeout=120, check=False,
        )  # fmt: skip

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start ./run in a process group of its own, as a terminal does."""
        # A suite that a script runs in the background ignores SIGINT, and ./run would inherit that.
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, self.root / "run", *arguments], cwd=self.root, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, env=self.environment(variables), start_new_session=True,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, previous)


def wait_for(condition, what: str, seconds: float = 60.0) -> None:
    """Poll until a condition holds. The limit only ends a test that would hang."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[str]) -> None:
    """What Ctrl-C does: SIGINT to the whole group."""
    os.killpg(process.pid, signal.SIGINT)
