"""Draws the figures of a study from stored rows alone. The only module that loads matplotlib.

Every figure becomes `<name>.pdf`, `<name>.png`, `<name>.svg` and `<name>.json` (which rows, which commit), each renamed
into place when complete; a timing figure also gets copies with the device's name.
"""

import json
import math
import os
import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A notebook leaves its own backend here, which may not exist in this process.
os.environ["MPLBACKEND"] = "Agg"
import matplotlib

from pipelines.atomic import replacing, write_atomically
from pipelines.config.configuration import Configuration
from pipelines.errors import UserError
from pipelines.output.animation import write_gif
from pipelines.output.progress import Reporter
from pipelines.plan.plan import PlannedCell, Problems, StudyPlan
from pipelines.results import provenance
from pipelines.results.rows import Newest, row_of
from pipelines.results.store import Store, store_error
from pipelines.scratch import remove_left_over_files
from studies.base import Animation, FigureContext, FigureSpecification, NothingToDrawError, Row, Rows, figures_of
from studies.figure_style import RC_PARAMETERS

WIDEST_PIXELS = 2400
"""Width of a PNG: sharp in a paper's column and on a page; a wide figure would otherwise have 6,000."""

LARGEST_DOTS_PER_INCH = 300


FORMATS: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
    ".svg": {"Date": None},
}
"""Suffixes of a figure's files, with the metadata that would differ from run to run left out."""


@dataclass(frozen=True)
class Drawn:
    """What became of a figure: its files, or why there are none (`failed` tells a fault from nothing to draw)."""

    study: str
    name: str
    files: tuple[Path, ...] = ()
    reason: str | None = None
    failed: bool = False


class BrokenFigures(Exception):
    """A study's figures.py cannot be loaded; the text says where and why."""


def declared_figures(configuration: Configuration) -> dict[str, FigureSpecification]:
    """The figures that a study declares, by name.

    Raises:
        BrokenFigures: its file cannot be loaded.
    """
    try:
        return figures_of(configuration.tree.figures_module(configuration.study))
    except Exception as error:  # the study's own file, whatever it does: the cells have their rows
        path = configuration.tree.study_folder(configuration.study) / "figures.py"
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"{configuration.tree.shown(path)}{f', line {lines[-1]}' if lines else ''}"
        raise BrokenFigures(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error


def render(
    plan: StudyPlan, rows: list[tuple[PlannedCell, Row]], store: Store, problems: Problems, reporter: Reporter
) -> list[Drawn]:
    """Draws every chosen figure of a study.

    Args:
        plan: the study's plan.
        rows: the planned cells with their rows.
        store: for the rows of the other device.
        problems: data and truth for the figures.
        reporter: progress.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own matplotlibrc says
        return _render(plan, rows, store, problems, reporter)


def _render(
    plan: StudyPlan, rows: list[tuple[PlannedCell, Row]], store: Store, problems: Problems, reporter: Reporter
) -> list[Drawn]:
    configuration = plan.configuration
    try:
        specifications = declared_figures(configuration)
    except BrokenFigures as fault:
        return [Drawn(configuration.study, name, reason=str(fault), failed=True) for name in configuration.figures]
    drawn, newest = [], Newest(store)
    for name, settings in configuration.figures.items():
        reporter.activity(f"{configuration.study}: drawing {name}")
        reporter.advance()
        context = _context(specifications[name], settings, configuration, rows, newest, problems)
        reasons = list(dict.fromkeys(f"{row.framework} {row.status}: {row.reason}" for row in context.rows))
        if not any(row.status == "ok" for row in context.rows):
            reason = f"no ok row to draw ({'; '.join(reasons) or 'its cells were not asked for'})"
            drawn.append(Drawn(configuration.study, name, reason=reason))
            continue
        try:
            picture = specifications[name].draw(context)
            with matplotlib.rc_context(RC_PARAMETERS):  # some of the style acts when a figure is saved
                files = _write(picture, specifications[name], context, configuration)
        except UserError:
            raise
        except NothingToDrawError as nothing:
            drawn.append(Drawn(configuration.study, name, reason=str(nothing)))
            continue
        except Exception as error:  # noqa: BLE001 a figure is the study's code; the others are drawn
            traceback.print_exc()
            drawn.append(Drawn(configuration.study, name, reason=f"{type(error).__name__}: {error}", failed=True))
            continue
        drawn.append(Drawn(configuration.study, name, files))
    return drawn


def _context(
    specification: FigureSpecification,
    settings: dict[str, Any],
    configuration: Configuration,
    rows: list[tuple[PlannedCell, Row]],
    newest: Newest,
    problems: Problems,
) -> FigureContext:
    def wanted(row: Row) -> bool:
        named = {name: value for name, value in settings.items() if name in row.parameters}
        return row.task in specification.tasks and all(row.parameters[name] == value for name, value in named.items())

    # A framework that has no model in this study takes no part, so a figure leaves no gap for it.
    chosen = [(planned, row) for planned, row in rows if planned.has_model and wanted(row)]
    other = "cuda" if configuration.device == "cpu" else "cpu"
    others = []
    for planned, _ in chosen:
        found = newest.get({**planned.cell.identity, "device": other})
        if found is not None:
            others.append(row_of(*found, planned, configuration))
    return FigureContext(
        rows=Rows([row for _, row in chosen]),
        problem=lambda parameters: problems.get(configuration.study, parameters),
        parameters=configuration.parameters,
        settings=settings,
        device=configuration.device,
        device_name=_device_name([row for _, row in chosen], configuration.device),
        other_device_rows=Rows(others),
    )


def _device_name(rows: list[Row], device: str) -> str:
    """The device that the rows were measured on, from their records; all of them, if there are several."""
    found: dict[str, None] = {}
    for row in rows:
        where = row.record.get("provenance", {})
        if row.status == "ok" and where:
            gpus = where.get("gpus") or []
            found[gpus[0].split(", driver")[0] if gpus else f"{where['cpu']}, {where['usable_cores']} cores"] = None
    return " and ".join(found) or device


def _write(
    picture: Any, specification: FigureSpecification, context: FigureContext, configuration: Configuration
) -> tuple[Path, ...]:
    name = file_name(specification, {**context.parameters, **context.settings})
    folder = configuration.figs
    options = {"bbox_inches": "tight", "pad_inches": 0.05} if specification.tight else {}
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_left_over_files(folder, name)
        if isinstance(picture, Animation):
            written.append(folder / f"{name}.gif")
            with replacing(written[-1]) as fresh:
                write_gif(picture, fresh)
            picture = picture.figure  # as it is after the last frame
        dots_per_inch = min(LARGEST_DOTS_PER_INCH, WIDEST_PIXELS / picture.get_figwidth())
        for suffix, metadata in FORMATS.items():
            written.append(folder / f"{name}{suffix}")
            with replacing(written[-1]) as fresh:
                picture.savefig(fresh, dpi=dots_per_inch, metadata=metadata, **options)
        written.append(folder / f"{name}.json")
        facts = _sidecar(specification, context, configuration)
        write_atomically(written[-1], json.dumps(facts, indent=1, allow_nan=False) + "\n")
        if specification.timing:
            for path in list(written):
                written.append(path.with_stem(f"{path.stem}_{context.device}"))
                with replacing(written[-1]) as fresh:
                    shutil.copyfile(path, fresh)
    except OSError as error:
        raise store_error(error, folder, "figs") from error
    return tuple(written)


def file_name(specification: FigureSpecification, values: Mapping[str, Any]) -> str:
    """A figure's file name without suffix; `values` are the study's parameters and the figure's settings."""
    return specification.file.format(**{name: _word(value) for name, value in values.items()})


def _word(value: Any) -> Any:
    """A value as part of a file name: of a path, its last name without suffix."""
    return Path(value).stem if isinstance(value, str) and (os.sep in value or Path(value).suffix) else value


def _sidecar(
    specification: FigureSpecification, context: FigureContext, configuration: Configuration
) -> dict[str, Any]:
    return {
        "figure": f"{configuration.study}/{specification.name}",
        "size": configuration.size,
        "device": context.device,
        "device_name": context.device_name,
        "parameters": context.parameters,
        "settings": context.settings,
        "drawn_at_commit": provenance.commit(configuration.tree.root),
        "rows": [_row_facts(row) for row in [*context.rows, *context.other_device_rows]],
    }


def _row_facts(row: Row) -> dict[str, Any]:
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
