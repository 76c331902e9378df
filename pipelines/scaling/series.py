"""The series of `configs/scaling.yaml`: what grows, in which task, and through which sizes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import ConfigurationFaults, unknown

FILE = "scaling.yaml"
MOST_DEVICES = 4
"""Forced devices share the cores of one CPU, so more tell nothing new."""


@dataclass(frozen=True)
class Series:
    """One axis of growth.

    Args:
        name: of the series.
        axis: what grows, in words.
        sizes: ascending.
        study, task: whose cells are measured; empty for a program.
        overrides: of the study's configuration, `{size}` standing for the size.
        program: the word for `programs/growth.py`, instead of a study.
        title: of a program's table.
        power: the number on the axis is `size ** power`.
        cores: of each process; "size" for as many as the size; None for all.
    """

    name: str
    axis: str
    sizes: tuple[int, ...]
    study: str = ""
    task: str = ""
    overrides: tuple[str, ...] = ()
    program: str = ""
    title: str = "Importance sampling"
    power: int = 1
    cores: Any = 1

    def cores_of(self, size: int) -> int | None:
        """Cores of a process at this size."""
        return size if self.cores == "size" else self.cores

    def amount(self, size: int) -> int:
        """The number on the axis."""
        return int(size**self.power)


def read_series(folder: Path, n_cores: int, smoke: bool = False) -> dict[str, Series]:
    """The series by name.

    Args:
        folder: of the configuration.
        n_cores: of this machine, which `sizes: cores` goes up to.
        smoke: take the smallest sizes.

    Raises:
        ConfigurationFaults: the file is missing, or an entry has no sizes, no axis, or words that nobody reads.
    """
    path = folder / FILE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))["series"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationFaults([f"{path} cannot be read: {type(error).__name__}: {error}"]) from error
    found, faults = {}, []
    known = {"axis", "sizes", "smoke", "study", "task", "overrides", "program", "title", "power", "cores"}
    for name, entry in content.items():
        faults += [f"{path}, {name}: {unknown('word', word, sorted(known))}" for word in entry if word not in known]
        sizes = _sizes(entry.get("smoke" if smoke else "sizes"), n_cores)
        if not sizes or list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
            faults.append(f"{path}, {name}: sizes must be ascending whole numbers, 1 or more, `cores` or `devices`.")
        elif "axis" not in entry or bool(entry.get("program")) == bool(entry.get("study") and entry.get("task")):
            faults.append(f"{path}, {name}: needs an axis, and either study and task or a program.")
        else:
            kept = {key: value for key, value in entry.items() if key in known - {"sizes", "smoke", "overrides"}}
            found[name] = Series(name=name, sizes=sizes, overrides=tuple(entry.get("overrides", ())), **kept)
    if faults:
        raise ConfigurationFaults(faults)
    return found


def powers_of_two(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... below `most`, and `most`."""
    return tuple(sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most}))


def _sizes(given: Any, n_cores: int) -> tuple[int, ...]:
    if given in ("cores", "devices"):
        return powers_of_two(n_cores if given == "cores" else MOST_DEVICES)
    good = isinstance(given, list) and all(isinstance(size, int) and not isinstance(size, bool) for size in given)
    return tuple(given) if good else ()
