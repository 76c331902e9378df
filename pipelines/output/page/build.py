"""Writes the page: one folder, `figs/report/`, that opens from disk without a network.

The tables and the strips are HTML and SVG made here, the figures are matplotlib's SVG. Sorting and filtering take a
hundred lines of script, so no chart or table library is loaded: the page shows everything before any script runs.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.atomic import replacing_folder
from pipelines.config.configuration import Configuration
from pipelines.output.claims import CANNOT_TELL, NEEDS_CUDA, NOT_REPRODUCED, REPRODUCED, Judged
from pipelines.output.figures import file_name
from pipelines.output.page import content
from pipelines.output.page.recolour import dark
from pipelines.output.terminal import printable
from pipelines.results import provenance
from pipelines.results.store import store_error
from studies.base import Row

HERE = Path(__file__).parent
LARGEST_SVG_BYTES = 500_000
"""A larger drawing (a cloud of particles) is shown as the PNG that lies beside it."""

CITATION = """\
@article{genjax2026,
  title   = {Probabilistic Programming with Vectorized Programmable Inference},
  journal = {Proceedings of the ACM on Programming Languages},
  volume  = {10},
  number  = {POPL},
  year    = {2026}
}"""

VERDICTS = (REPRODUCED, NOT_REPRODUCED, CANNOT_TELL, NEEDS_CUDA)


def write_page(
    configurations: Sequence[Configuration],
    rows: Mapping[str, Sequence[Row]],
    judged: Sequence[Judged],
    figures: Mapping[str, Sequence[content.FigureEntry]],
    notes: Sequence[str] = (),
    drawn_in: Path | None = None,
) -> Path:
    """Writes the folder and returns the path of `index.html`.

    Args:
        configurations: of the run, one a study.
        rows: all rows of each study, the missing ones too.
        judged: the claims about these studies.
        figures: of each study; their files are copied beside the page.
        notes: sentences for the head of the page, such as that a run is still at work.
        drawn_in: the folder of the figures' files; None for the run's own.

    Raises:
        StoreError: the folder cannot be written.
    """
    figs = configurations[0].figs
    folder = figs / "report"
    try:
        with replacing_folder(folder) as fresh:
            (fresh / "figures").mkdir()
            placed = {
                study: [_place(one, drawn_in or figs, fresh) for one in entries] for study, entries in figures.items()
            }
            page = _page(configurations, rows, judged, placed, notes)
            text = (
                environment()
                .get_template("page.html.j2")
                .render(
                    page=page,
                    style=(HERE / "page.css").read_text(encoding="utf-8"),
                    script=(HERE / "page.js").read_text(encoding="utf-8"),
                    citation=CITATION,
                )
            )
            (fresh / "index.html").write_text(text, encoding="utf-8")
    except OSError as error:
        raise store_error(error, figs, "figs") from error
    return folder / "index.html"


def environment() -> Environment:
    """The templates of this folder; every value is escaped, and control characters are left out."""
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )


def _page(
    configurations: Sequence[Configuration],
    rows: Mapping[str, Sequence[Row]],
    judged: Sequence[Judged],
    figures: Mapping[str, Sequence[content.FigureEntry]],
    notes: Sequence[str],
) -> content.Page:
    everything = [row for study in rows.values() for row in study]
    tasks: dict[tuple[str, str], list[Row]] = {}
    for row in everything:
        tasks.setdefault((row.study, row.task), []).append(row)
    varied = {task: content.varying(rows_of) for task, rows_of in tasks.items()}
    entries = [content.row_entry(index, row, varied[row.study, row.task]) for index, row in enumerate(everything)]
    known = list(dict.fromkeys([*VERDICTS, *(one.verdict for one in judged)]))
    counted = [(name, sum(one.verdict == name for one in judged)) for name in known]
    order = {name: place for place, name in enumerate(known)}
    facts = content.machine_facts(everything)
    machine = next((value for name, value in facts if name == "processor"), "an unknown machine")
    return content.Page(
        written=provenance.now(),
        machine=machine,
        facts=facts,
        verdicts=[(name, content.VERDICT_MARKS.get(name, "•"), count) for name, count in counted if count],
        claims=[content.claim_entry(one) for one in sorted(judged, key=lambda one: order[one.verdict])],
        figures=figures,
        rows=entries,
        details=content.details_of(everything),
        missing=content.missing(everything),
        counts={"ok": sum(row.status == "ok" for row in everything), "all": len(everything)},
        studies=[one.study for one in configurations],
        statuses=list(dict.fromkeys(row.status for row in everything)),
        notes=tuple(notes),
    )


def figure_entries(
    configuration: Configuration, drawn_in: Path | None = None, reasons: Mapping[str, str] | None = None
) -> list[content.FigureEntry]:
    """The study's chosen figures with what to see in them; `light` is the stem of the files if there are any.

    Args:
        configuration: of the study.
        drawn_in: the folder of the files; None for the run's own.
        reasons: why figures were not drawn in this run.
    """
    entries, declared = [], configuration.tree.figures(configuration.study)
    for name, settings in configuration.figures.items():
        stem = file_name(declared[name], {**configuration.parameters, **settings})
        is_there = bool(content.figure_files(drawn_in or configuration.figs, stem))
        why = (reasons or {}).get(name) or "none of its cells is right yet, or it was not asked for"
        entries.append(
            content.FigureEntry(
                configuration.study,
                name,
                declared[name].caption,
                light=stem if is_there else "",
                missing="" if is_there else why,
                command=f"./run paper-figures study={configuration.study} figures=[{name}]",
            )
        )
    return entries


def _place(entry: content.FigureEntry, figs: Path, folder: Path) -> content.FigureEntry:
    """Copies the files of a figure beside the page, in a light and a dark form; a PNG has one form."""
    if not entry.light:
        return entry
    files = content.figure_files(figs, entry.light)
    names = {}
    if "pdf" in files:
        names["pdf"] = f"figures/{entry.light}.pdf"
        shutil.copyfile(files["pdf"], folder / names["pdf"])
    svg = files.get("svg")
    if svg is not None and (svg.stat().st_size <= LARGEST_SVG_BYTES or "png" not in files):
        names |= {"light": f"figures/{entry.light}.svg", "dark": f"figures/{entry.light}.dark.svg"}
        shutil.copyfile(svg, folder / names["light"])
        (folder / names["dark"]).write_text(dark(svg.read_text(encoding="utf-8")), encoding="utf-8")
    elif "png" in files:
        names["light"] = f"figures/{entry.light}.png"
        shutil.copyfile(files["png"], folder / names["light"])
    else:
        names["light"] = names["pdf"]
    return content.FigureEntry(entry.study, entry.name, entry.caption, command=entry.command, **names)
