"""Sweeps: `python -m pipelines.sweep study=gol seed=0,100,200 hydra/launcher=slurm`.

Hydra multiplies the values out and its launcher starts the jobs. Each is an ordinary run of `python -m pipelines` in a
process of its own, with folders of its own for results and figures (unless they are named), because two runs never
measure into one. `configs/hydra/launcher/` has the presets; without one, jobs run here, one after the other.
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
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, UserError, unknown
from pipelines.plan.tree import REPOSITORY
from pipelines.workers import guardian

PLUGINS = {
    "local": ("hydra-joblib-launcher", ">=1.2,<1.3"),
    "slurm": ("hydra-submitit-launcher", ">=1.2,<1.3"),
    "ray_cluster": ("hydra-ray-launcher", ">=1.2.2,<1.3"),
}
"""What each preset needs: no part of the environment that ./run makes."""

OWN_NAMES = {"joblib": "local", "submitit_local": "slurm", "submitit_slurm": "slurm", "ray": "ray_cluster"}
"""The plugins' own launchers, and the preset that needs the same plugin."""


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
    return guarded(lambda: _sweep(arguments))


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
        command = f'{sys.executable} -m pip install "{name}{versions}"'
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
        status = subprocess.call([sys.executable, "-m", "pipelines", *words], cwd=REPOSITORY, env=environment)
    (folder / "exit_status").write_text(f"{status}\n")
    return status


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
    hydra.main(version_base="1.3", config_path=str(REPOSITORY / "configs"), config_name="config")(job)()
    statuses = {path.parent.name: path.read_text().strip() for path in sorted(folder.glob("*/exit_status"))}
    bad = [name for name, status in statuses.items() if status != "0"]
    print(f"{len(statuses)} jobs in {folder}" + (f"; not all right: {', '.join(bad)}" if bad else ", all right"))
    return int(bool(bad) or not statuses)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
