"""The `.json` beside a figure: which rows it shows, of which commit, and whether its files are what it would get now.

A figure is a function of its rows, the data of its study, the sources that draw it, and the versions of packages. All
of these stand in the sidecar, the latter three as hashes, and so do the hashes of the files: where nothing has changed,
nothing is drawn again.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.config.configuration import Configuration
from pipelines.plan.fingerprint import computing_versions, content_digest, study_digest
from pipelines.plan.plan import Problems
from pipelines.results.rows import rows_digest
from studies.base import FigureContext, Row

DRAWING = ("animation.py", "drawing.py", "figures.py", "fonts.py", "png.py", "sidecars.py")
"""The modules of this folder that decide what the files of a figure are."""

Facts = dict[str, Any]


@dataclass(frozen=True)
class Current:
    """A figure that need not be drawn: its files, or why there was nothing to draw."""

    files: tuple[Path, ...] = ()
    nothing: str | None = None


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
            "rows": rows_digest(rows),
            "data": [problems.digest(configuration.study, point) for point in points],
            "study": study_digest(configuration.tree, configuration.study),
            "drawing": [content_digest(Path(__file__).with_name(name)) for name in DRAWING],
            "versions": computing_versions(),
        },
    }


def current(facts: Facts, folder: Path, name: str, is_timing: bool) -> Current | None:
    """What a run left of a figure of just these facts, if it is there as it was written; None otherwise."""
    try:
        content = (folder / f"{name}.json").read_bytes()
        told = json.loads(content)
        hashes, nothing = told.pop("files"), told.pop("nothing", None)
        del told["drawn_at_commit"]
        if told != json.loads(json.dumps(facts, allow_nan=False)):  # without an indent it takes a tenth of the time
            return None
        if nothing is not None:
            return Current(nothing=str(nothing))
        expected = {**hashes, f"{name}.json": hashlib.sha256(content).hexdigest()}
        if is_timing:
            expected |= {copy_name(one, facts["device"]): sha256 for one, sha256 in expected.items()}
        if all(content_digest(folder / one) == sha256 for one, sha256 in expected.items()):
            return Current(tuple(folder / one for one in expected))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # never drawn, or changed by other hands: it is drawn again
    return None


def sidecar_text(facts: Facts, files: Iterable[Path], commit: dict[str, Any], nothing: str | None = None) -> str:
    """The content of the sidecar of files that were just written, or of `nothing` to draw, with the reason."""
    hashes = {path.name: content_digest(path) for path in files}
    why = {} if nothing is None else {"nothing": nothing}
    return _text({**facts, "drawn_at_commit": commit, "files": hashes, **why}) + "\n"


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
