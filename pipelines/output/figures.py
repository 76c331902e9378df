"""The figures of a study, from stored rows alone: which have something to show, and which are drawn already.

Every figure becomes the files of `pipelines.output.drawing` and `<name>.json`, its sidecar; a timing figure also gets
copies with the device's name. matplotlib is loaded only if there is something to draw.
"""

import os
import shutil
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.atomic import replacing, write_atomically
from pipelines.config.configuration import Configuration
from pipelines.errors import UserError
from pipelines.output import sidecars
from pipelines.output.progress import Reporter
from pipelines.plan.declarations import FigureDeclaration
from pipelines.plan.plan import PlannedCell, Problems, StudyPlan
from pipelines.results import provenance
from pipelines.results.rows import Newest, row_of
from pipelines.results.store import Store, store_error
from pipelines.scratch import remove_left_over_files
from studies.base import FigureContext, FigureSpecification, NothingToDrawError, Row, Rows


@dataclass(frozen=True)
class Drawn:
    """What became of a figure: its files, or why there are none (`failed` tells a fault from nothing to draw).

    Args:
        unchanged: whether the files are those of an earlier run.
    """

    study: str
    name: str
    files: tuple[Path, ...] = ()
    reason: str | None = None
    failed: bool = False
    unchanged: bool = False


def render(
    plan: StudyPlan, rows: list[tuple[PlannedCell, Row]], store: Store, problems: Problems, reporter: Reporter
) -> list[Drawn]:
    """Draws every chosen figure of a study whose files are not those that it would get.

    Args:
        plan: the study's plan.
        rows: the planned cells with their rows.
        store: for the rows of the other device.
        problems: data and truth for the figures.
        reporter: progress.
    """
    configuration = plan.configuration
    declared = configuration.tree.figures(configuration.study)
    drawn, newest = [], Newest(store)
    for name, settings in configuration.figures.items():
        reporter.activity(f"{configuration.study}: drawing {name}")
        reporter.advance()
        context = _context(declared[name], settings, configuration, rows, newest, problems)
        reasons = list(dict.fromkeys(f"{row.framework} {row.status}: {row.reason}" for row in context.rows))
        if not any(row.status == "ok" for row in context.rows):
            reason = f"no ok row to draw ({'; '.join(reasons) or 'its cells were not asked for'})"
            drawn.append(Drawn(configuration.study, name, reason=reason))
            continue
        drawn.append(_drawn(declared[name], context, configuration, problems))
    return drawn


def _drawn(
    declaration: FigureDeclaration, context: FigureContext, configuration: Configuration, problems: Problems
) -> Drawn:
    """What becomes of a figure that has rows."""
    study, name = configuration.study, declaration.name
    file = file_name(declaration, {**context.parameters, **context.settings})
    facts = sidecars.facts_of(name, context, configuration, problems)
    current = sidecars.current(facts, configuration.figs, file, declaration.timing)
    if current is not None:
        return Drawn(study, name, current.files, current.nothing, unchanged=True)
    from pipelines.output import drawing  # and with it matplotlib

    try:
        specification = drawing.loaded_figures(configuration)[name]
        return Drawn(study, name, _write(specification, context, configuration, file, facts))
    except UserError:
        raise
    except NothingToDrawError as nothing:
        _remember(str(nothing), configuration, file, facts)
        return Drawn(study, name, reason=str(nothing))
    except drawing.BrokenFigures as fault:
        return Drawn(study, name, reason=str(fault), failed=True)
    except Exception as error:  # noqa: BLE001 a figure is the study's code; the others are drawn
        traceback.print_exc()
        return Drawn(study, name, reason=f"{type(error).__name__}: {error}", failed=True)


def _context(
    declaration: FigureDeclaration,
    settings: dict[str, Any],
    configuration: Configuration,
    rows: list[tuple[PlannedCell, Row]],
    newest: Newest,
    problems: Problems,
) -> FigureContext:
    def wanted(row: Row) -> bool:
        named = {name: value for name, value in settings.items() if name in row.parameters}
        return row.task in declaration.tasks and all(row.parameters[name] == value for name, value in named.items())

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
    specification: FigureSpecification,
    context: FigureContext,
    configuration: Configuration,
    name: str,
    facts: sidecars.Facts,
) -> tuple[Path, ...]:
    """Draws a figure and writes its files; the sidecar, which vouches for them, last but for the copies."""
    from pipelines.output import drawing

    folder = configuration.figs
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_left_over_files(folder, name)
        written = drawing.write_picture(specification, context, folder, name)
        text = sidecars.sidecar_text(facts, written, provenance.commit(configuration.tree.root))
        written.append(folder / f"{name}.json")
        write_atomically(written[-1], text)
        if specification.timing:
            for path in list(written):
                written.append(path.with_name(sidecars.copy_name(path.name, context.device)))
                with replacing(written[-1]) as fresh:
                    shutil.copyfile(path, fresh)
    except OSError as error:
        raise store_error(error, folder, "figs") from error
    return tuple(written)


def _remember(nothing: str, configuration: Configuration, name: str, facts: sidecars.Facts) -> None:
    """Notes that there was nothing to draw, unless files of the figure, and their sidecar, are there from before."""
    folder = configuration.figs
    if any((folder / f"{name}{suffix}").exists() for suffix in (".pdf", ".png", ".svg")):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = sidecars.sidecar_text(facts, (), provenance.commit(configuration.tree.root), nothing)
        write_atomically(folder / f"{name}.json", text)
    except OSError as error:
        raise store_error(error, folder, "figs") from error


def file_name(declaration: FigureDeclaration, values: Mapping[str, Any]) -> str:
    """A figure's file name without suffix; `values` are the study's parameters and the figure's settings."""
    return declaration.file.format(**{name: _word(value) for name, value in values.items()})


def _word(value: Any) -> Any:
    """A value as part of a file name: of a path, its last name without suffix."""
    return Path(value).stem if isinstance(value, str) and (os.sep in value or Path(value).suffix) else value
