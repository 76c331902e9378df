"""Sweeps: `python -m pipelines.sweep study=gol seed=0,100,200 hydra/launcher=slurm into=results`.

Hydra multiplies the values out and its launcher starts the jobs. Each is an ordinary run of `python -m pipelines` in a
process of its own, with folders of its own for results and figures (unless they are named), because two runs never
measure into one. Jobs of one host take turns at measuring. When all have ended, their records are merged into one
store: that of `into=FOLDER`, or `results` of the sweep's folder. `configs/hydra/launcher/` has the presets; without
one, jobs run here, one after the other.
"""

import importlib.metadata
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pipelines.config.paths import quoted, typed_path
from pipelines.entry import CELLS_ARE_KEPT, guarded
from pipelines.errors import ConfigurationFaults, UserError, unknown
from pipelines.plan.tree import REPOSITORY
from pipelines.results.merge import Merged, merge
from pipelines.results.store import Store
from pipelines.workers import cores, guardian

PLUGINS = {
    "local": ("hydra-joblib-launcher", ">=1.2,<1.3"),
    "slurm": ("hydra-submitit-launcher", ">=1.2,<1.3"),
    "ray_cluster": ("hydra-ray-launcher", ">=1.2.2,<1.3"),
}
"""What each preset needs: no part of the environment that ./run makes."""

OPTIONAL = ("local", "slurm")
"""Presets whose plugins `RUN_WITH=sweep` installs."""

OWN_NAMES = {"joblib": "local", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray_cluster"}
"""The plugins' own launchers, and the preset that needs the same plugin."""

EXIT_STATUS = "exit_status"
"""The file that a job leaves in its folder when its run has ended."""


class PluginMissing(UserError):
    """A launcher's plugin is not installed."""


def main(arguments: list[str]) -> int:
    """Starts the jobs and waits for them.

    Args:
        arguments: overrides, with several values each where wanted (`seed=1,2`, `seed=range(0,5)`).

    Returns:
        0 if every job ended with 0, else 1; 2 for a request that cannot be understood.
    """
    if not arguments or any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        print("Launchers: " + ", ".join(f"{name} ({plugin})" for name, (plugin, _) in PLUGINS.items()))
        return 0 if arguments else 2
    return guarded(lambda: _sweep(arguments), CELLS_ARE_KEPT)


def require_plugin(launcher: str) -> None:
    """Sees to it that a launcher's plugin is there.

    Raises:
        PluginMissing: naming the command that installs it.
        ConfigurationFaults: for a launcher of another name.
    """
    if launcher == "basic":
        return
    preset = OWN_NAMES.get(launcher, launcher)
    if preset not in PLUGINS:
        raise ConfigurationFaults([unknown("launcher", launcher, [*PLUGINS, *OWN_NAMES, "basic"])])
    name, versions = PLUGINS[preset]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        with_pip = f'{sys.executable} -m pip install "{name}{versions}"'
        command = "RUN_WITH=sweep ./run sweep ..." if preset in OPTIONAL else with_pip
        raise PluginMissing(f"hydra/launcher={launcher} needs {name}, which is not installed: {command}") from None


def job(config: DictConfig) -> int:
    """One job: an ordinary run. Its exit status is left beside its results, for the process that waits."""
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    words = list(settings.overrides.task)
    for name in ("results", "figs"):
        if not any(word.startswith(f"{name}=") for word in words):
            words.append(f"{name}={quoted(folder / name)}")
    with guardian.guarding() as environment:  # the run ends with the sweep, also if that is killed
        environment = {**environment, cores.TAKES_TURNS: "1"}
        status = subprocess.call([sys.executable, "-m", "pipelines", *words], cwd=REPOSITORY, env=environment)
    (folder / EXIT_STATUS).write_text(f"{status}\n")
    return status


def jobs(folder: Path) -> dict[str, int | None]:
    """The exit status of every job that began, by the name of its folder; None for one that ended without any."""
    found: dict[str, int | None] = {}
    for path in sorted((path for path in folder.glob("[0-9]*") if path.is_dir()), key=lambda path: int(path.name)):
        file = path / EXIT_STATUS
        found[path.name] = int(file.read_text()) if file.is_file() else None
    return found


def bring_home(folder: Path, target: Path) -> Merged | None:
    """Merges the records of all jobs into one store, also of those that died; None if there are no records."""
    sources = [path for path in sorted(folder.glob("[0-9]*/results")) if any(path.glob("*/*/*/record.json"))]
    if not sources:
        return None
    return merge([Store(path) for path in sources], Store(target))


def _sweep(arguments: list[str]) -> int:
    flags = [word for word in arguments if word.startswith("--") and word not in ("--multirun", "-m")]
    if flags:
        text = (
            f"{' '.join(flags)}: a sweep takes overrides only; `./run TASK --help` tells which one a flag stands for."
        )
        raise ConfigurationFaults([text])
    for word in arguments:
        if word.startswith("hydra/launcher="):
            require_plugin(word.partition("=")[2])
    homes = [word.partition("=")[2] for word in arguments if word.startswith("into=")]
    arguments = [word for word in arguments if not word.startswith("into=")]
    named = [word.partition("=")[2] for word in arguments if word.startswith("hydra.sweep.dir=")]
    own = REPOSITORY / "multirun" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder = typed_path(named[-1] if named else own, REPOSITORY)
    overrides = [word for word in arguments if word not in ("--multirun", "-m")]
    sys.argv = [
        "python -m pipelines.sweep",
        "--multirun",
        *overrides,
        *([] if named else [f"hydra.sweep.dir={quoted(folder)}"]),
    ]
    for stale in folder.glob(f"[0-9]*/{EXIT_STATUS}"):
        stale.unlink()
    broke = False
    try:
        hydra.main(version_base="1.3", config_path=str(REPOSITORY / "configs"), config_name="config")(job)()
    except SystemExit as stop:  # Hydra has printed why, such as a node that died
        broke = bool(stop.code)
        if not jobs(folder):
            raise
    statuses = jobs(folder)
    bad = [f"{name} died" if status is None else name for name, status in statuses.items() if status != 0]
    print(f"{len(statuses)} jobs in {folder}" + (f"; not all right: {', '.join(bad)}" if bad else ", all right"))
    home = Path(typed_path(homes[-1], REPOSITORY)) if homes else folder / "results"
    merged = bring_home(folder, home)
    if merged is not None:
        print(f"{merged.added} records added to {home}, {merged.equal + merged.older} were there")
    if bad or broke:
        print("The same command with " + f"hydra.sweep.dir={quoted(folder)} runs again what is missing.")
    return int(bool(bad) or broke or not statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
