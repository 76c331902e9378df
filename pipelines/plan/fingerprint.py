"""The key of a cell: a hash of everything that decides its measurement, kept by name so that a change can be named.

Restyling a figure changes none of these inputs. Python sources are hashed by their syntax tree without docstrings, so
that an edit of comments, docstrings or layout does not re-measure either.
"""

import ast
import hashlib
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.canonical import canonical, quoted
from pipelines.config.configuration import Configuration
from pipelines.plan.cells import Cell, settings_of
from pipelines.plan.kept import KeptHashes
from pipelines.plan.tree import REPOSITORY, FrameworkDescription, Tree
from pipelines.race.timing import TimingSettings
from pipelines.results import helpers
from pipelines.results.machine import acting_variables, machine
from pipelines.results.provenance import installed

MEASURING = ("workers/worker.py", "race/timing.py", "race/gate.py")
"""The modules of `pipelines/` whose edit changes what a measurement means."""

COMPUTING = ("contourpy", "fonttools", "kiwisolver", "matplotlib", "numpy", "pillow", "scipy")
"""The packages that problems and figures are made with."""

PROGRAMS = ("models", "mutants", "__pycache__")
"""Folders of a study that neither its problems nor its figures read."""


def inputs(
    cell: Cell, configuration: Configuration, description: FrameworkDescription, data: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """Everything that enters the key of a cell, by a name that a person can read."""
    shared = shared_inputs(configuration, cell.study, cell.device, description)
    return {**own_inputs(cell, configuration, parameters_digest(cell.parameters), data_digest(data)), **shared}


def own_inputs(cell: Cell, configuration: Configuration, parameters: str, data: str) -> dict[str, str]:
    """The inputs that may differ between two cells of a framework in one study.

    Args:
        cell: the cell.
        configuration: of its study.
        parameters: the hash of its parameters.
        data: the hash of its data.
    """
    found = {
        "parameters": parameters,
        "data": data,
        "seed": str(cell.seed),
        "device": cell.device,
        "dtype": cell.dtype,
        "stages": "+".join(cell.stages),
        "outputs kept": _kept(cell.keep),
    }
    if cell.instance:
        found["instance"] = str(cell.instance)
    if cell.form:
        found["form"] = cell.form
    if cell.reports:
        found["outputs demanded"] = "+".join(cell.reports)
    if cell.program:
        found["program"] = cell.program
    if "time" in cell.stages:
        found["timing settings"] = _timing(settings_of(cell, configuration))
    if cell.gate_calls is not None:
        found["calls at the gate"] = str(cell.gate_calls)
    return found


def shared_inputs(
    configuration: Configuration,
    study: str,
    device: str,
    description: FrameworkDescription,
    kept: KeptHashes | None = None,
) -> dict[str, str]:
    """The inputs that all cells of a framework in one study share: machine, variables, sources, versions.

    Args:
        configuration: of the study.
        study: its name.
        device: "cpu" or "cuda".
        description: of the framework.
        kept: hashes of sources that were found before.
    """
    tree = configuration.tree
    found = {
        "machine": machine(device),
        "environment": digest(canonical([configuration.environment, description.environment, description.command])),
    }
    for name, value in acting_variables({**configuration.environment, **dict(description.environment)}).items():
        found[f"variable {name}"] = value
    model = tree.model_path(study, description)
    private = sorted(model.parent.glob("_*.py")) if model.is_file() else []
    for path in [
        *tree.study_sources(study),
        *([model] if model.is_file() else []),
        *(path for path in private if path.stem != "__init__"),
        *tree.framework_sources(description),
        *(REPOSITORY / "pipelines" / name for name in MEASURING),
    ]:
        found[tree.shown(path)] = source_digest(path, kept)
    for name, version in versions(description).items():
        found[f"version of {name}"] = version
    return found


def parameters_digest(parameters: Mapping[str, Any]) -> str:
    """A hash of a cell's parameters."""
    return digest(canonical(dict(parameters)))


@cache
def _kept(names: tuple[str, ...] | None) -> str:
    return canonical(names)


@cache
def _timing(settings: TimingSettings) -> str:
    """The settings as text, without those that are not set."""
    return canonical({name: value for name, value in asdict(settings).items() if value is not None})


def key(named: Mapping[str, str]) -> str:
    """The key of a cell from its inputs: 24 hexadecimal digits of a SHA-256."""
    return digest(canonical(dict(named)))[:24]


class SharedInputs:
    """Inputs that many cells share, encoded once for the keys of all."""

    def __init__(self, named: Mapping[str, str]):
        self.named = dict(named)
        self._encoded = dict(sorted(_encoded(self.named).items()))  # sorting it once more takes no time

    def key(self, own: Mapping[str, str]) -> str:
        """`key` of these inputs and a cell's own."""
        encoded = {**self._encoded, **_encoded(own)}
        return digest("{" + ",".join([encoded[name] for name in sorted(encoded)]) + "}")[:24]


def _encoded(named: Mapping[str, str]) -> dict[str, str]:
    """Each member of the canonical text of a mapping."""
    return {name: f"{quoted(name)}:{quoted(value)}" for name, value in named.items()}


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The names of the inputs that differ, with both values where they are short enough to read."""
    names = []
    for name in sorted({*old, *new}):
        before, after = old.get(name, "none"), new.get(name, "none")
        if before != after:
            readable = len(before) < 24 and len(after) < 24
            names.append(f"{name} {before} -> {after}" if readable else name)
    return _grouped(names)


def _grouped(names: list[str]) -> list[str]:
    """The names, with more than three files of one top folder as one."""
    folders = Counter(name.partition("/")[0] for name in names if "/" in name)
    many = [f"{folder}/ ({count} files)" for folder, count in folders.items() if count > 3]
    return [name for name in names if "/" not in name or folders[name.partition("/")[0]] <= 3] + many


def versions(description: FrameworkDescription) -> dict[str, str]:
    """Versions of a framework's packages without importing them; "missing" where one is not installed."""
    if description.command:
        if not description.version_command:
            return {}
        return {description.name: helpers.ask(*description.version_command, limit_seconds=20).text or "missing"}
    found = installed(tuple(description.distributions))
    return {
        "python": platform.python_version(),
        **{name: found.get(name, "missing") for name in description.distributions},
    }


def computing_versions() -> dict[str, str]:
    """Versions of Python and of the packages that problems and figures are made with."""
    return {"python": platform.python_version(), **installed(COMPUTING)}


def digest(text: str) -> str:
    """SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def data_digest(data: Mapping[str, np.ndarray]) -> str:
    """A hash of named arrays: names, dtypes, shapes and bytes."""
    hashed = hashlib.sha256()
    for name in sorted(data):
        array = np.ascontiguousarray(data[name])
        hashed.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        hashed.update(array.tobytes())
    return hashed.hexdigest()


def source_digest(path: Path, kept: KeptHashes | None = None) -> str:
    """A hash of a source file; for Python, of its meaning."""
    return _source_digest(path, path.stat().st_mtime_ns, path.stat().st_size, kept)


@cache
def _source_digest(path: Path, modified_ns: int, size: int, kept: KeptHashes | None) -> str:
    content = path.read_bytes()
    raw = hashlib.sha256(content).hexdigest()
    if path.suffix != ".py":
        return raw
    return _meaning(content, raw) if kept is None else kept.get(f"source {raw}", lambda: _meaning(content, raw))


def _meaning(content: bytes, raw: str) -> str:
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return raw
    _drop_texts(tree)
    return digest(ast.dump(tree))


def study_digest(tree: Tree, study: str) -> str:
    """A hash of what makes a study's problems and figures: its files but for the programs, and `studies/*.py`."""
    folder = tree.study_folder(study)
    shared = dict.fromkeys([folder.parent, tree.root / "studies", REPOSITORY / "studies"])
    own = (path for path in folder.rglob("*.*") if path.is_file() and not set(PROGRAMS) & set(path.parts))
    paths = [*sorted(own), *(path for place in shared for path in sorted(place.glob("*.py")))]
    return digest(canonical([[tree.shown(path), content_digest(path)] for path in paths]))


def content_digest(path: Path) -> str:
    """A hash of a file as it is."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def named_files(value: object) -> list[Path]:
    """The files that parameters name, at any depth."""
    if isinstance(value, str):
        return [Path(value)] if os.path.isfile(value) else []
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [path for part in parts for path in named_files(part)]


def _drop_texts(tree: ast.Module) -> None:
    """Takes docstrings, and other texts that stand alone, out of every body. Only statements have bodies."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            if isinstance(statements := getattr(node, name, None), list):
                pending += statements


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
