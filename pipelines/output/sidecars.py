"""The `.json` beside a figure: which rows it shows, of which commit, and whether its files are what it would get now.

A figure is a function of its rows, the data of its study, the sources that draw it, and the versions of packages. All
of these stand in the sidecar, the latter three as hashes, and so do the hashes of the files: where nothing has changed,
nothing is drawn again.
"""

import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.config.configuration import Configuration
from pipelines.plan.plan import Problems
from pipelines.plan.tree import REPOSITORY, Tree
from studies.base import FigureContext, Row

DRAWING = ("animation.py", "drawing.py", "figures.py", "sidecars.py")
"""The modules of this folder that decide what the files of a figure are."""

PACKAGES = ("contourpy", "fonttools", "kiwisolver", "matplotlib", "numpy", "pillow", "scipy")
PROGRAMS = ("models", "mutants", "__pycache__")
"""Folders of a study that no figure reads."""

Facts = dict[str, Any]


def facts_of(name: str, context: FigureContext, configuration: Configuration, problems: Problems) -> Facts:
    """What decides the files of a figure, as it stands in the sidecar."""
    rows = [*context.rows, *context.other_device_rows]
    points = {id(row.parameters): row.parameters for row in rows if row.status == "ok"}.values()
    return {
        "figure": f"{configuration.study}/{name}",
        "size": configuration.size,
        "device": context.device,
        "device_name": context.device_name,
        "parameters": context.parameters,
        "settings": context.settings,
        "rows": [_row_facts(row) for row in rows],
        "inputs": {
            "rows": _digest(_everything(row) for row in rows),
            "data": _digest(problems.digest(configuration.study, point) for point in points),
            "sources": _sources_digest(configuration.tree, configuration.study),
            "versions": versions(),
        },
    }


def current_files(facts: Facts, folder: Path, name: str, is_timing: bool) -> tuple[Path, ...] | None:
    """The files of a figure, if they are there as they were written, of just these facts; None otherwise."""
    try:
        content = (folder / f"{name}.json").read_bytes()
        told = json.loads(content)
        hashes = told.pop("files")
        del told["drawn_at_commit"]
        if told != json.loads(_text(facts)):
            return None
        expected = {**hashes, f"{name}.json": hashlib.sha256(content).hexdigest()}
        if is_timing:
            expected |= {copy_name(one, facts["device"]): sha256 for one, sha256 in expected.items()}
        if all(_hash(folder / one) == sha256 for one, sha256 in expected.items()):
            return tuple(folder / one for one in expected)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # never drawn, or changed by other hands: it is drawn again
    return None


def sidecar_text(facts: Facts, files: Iterable[Path], commit: dict[str, Any]) -> str:
    """The content of the sidecar of files that were just written."""
    return _text({**facts, "drawn_at_commit": commit, "files": {path.name: _hash(path) for path in files}}) + "\n"


def copy_name(name: str, device: str) -> str:
    """The name of the copy that tells the device."""
    path = Path(name)
    return path.with_stem(f"{path.stem}_{device}").name


def _text(facts: Facts) -> str:
    return json.dumps(facts, indent=1, allow_nan=False)


def _row_facts(row: Row) -> Facts:
    names = ("task", "framework", "parameters", "seed", "device", "status", "reason", "median_s", "interval_s")
    facts = {name: getattr(row, name) for name in (*names, "ratio", "ratio_interval", "flags")}
    diagnostics = {name: value if math.isfinite(value) else None for name, value in row.diagnostics.items()}
    where = row.record.get("provenance", {})
    return {
        **facts,
        "diagnostics": diagnostics,
        "key": row.record.get("key"),
        "measured_at_commit": where.get("commit"),
    }


def _everything(row: Row) -> str:
    """All of a row as text: its record names the hash of its arrays."""
    facts = {name: value for name, value in vars(row).items() if name not in ("arrays", "samples_s")}
    return json.dumps(facts, sort_keys=True, default=repr)


def _sources_digest(tree: Tree, study: str) -> str:
    """A hash of the sources that draw a study's figures and that make its problems."""
    folder = tree.study_folder(study)
    shared = dict.fromkeys([folder.parent, tree.root / "studies", REPOSITORY / "studies"])
    own = (path for path in folder.rglob("*.*") if path.is_file() and not set(PROGRAMS) & set(path.parts))
    paths = [
        *sorted(own),
        *(path for place in shared for path in sorted(place.glob("*.py"))),
        *(Path(__file__).with_name(name) for name in DRAWING),
    ]
    return _digest(f"{tree.shown(path)} {_hash(path)}" for path in paths)


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that draw."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _digest(texts: Iterable[str]) -> str:
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(text.encode("utf-8", "surrogatepass"))
        hashed.update(b"\n")
    return hashed.hexdigest()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
