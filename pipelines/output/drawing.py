"""Draws one figure and writes its files. With what it imports, the only modules of `pipelines/` that load matplotlib.

Every figure becomes `<name>.pdf`, `<name>.png` and `<name>.svg`, each renamed into place when complete.
"""

import gc
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# A notebook leaves its own backend here, which may not exist in this process.
os.environ["MPLBACKEND"] = "Agg"
import matplotlib

from pipelines.atomic import replacing
from pipelines.config.configuration import Configuration
from pipelines.output import fonts
from pipelines.output.animation import write_gif
from pipelines.output.png import PngCanvas
from studies.base import Animation, FigureContext, FigureSpecification, figures_of
from studies.figure_style import RC_PARAMETERS

WIDEST_PIXELS = 2400
"""Width of a PNG: sharp in a paper's column and on a page; a wide figure would otherwise have 6,000."""

LARGEST_DOTS_PER_INCH = 300

VECTOR_FORMATS: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}
"""Suffixes of a figure's files besides its PNG, with the metadata that would differ from run to run left out."""


class BrokenFigures(Exception):
    """A study's figures.py cannot be loaded; the text says where and why."""


def loaded_figures(configuration: Configuration) -> dict[str, FigureSpecification]:
    """The figures that a study declares, by name, with the functions that draw them.

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


def write_picture(specification: FigureSpecification, context: FigureContext, folder: Path, name: str) -> list[Path]:
    """Draws a figure and writes its files, whatever the user's own matplotlibrc says.

    Args:
        specification: of the figure.
        context: what it gets.
        folder: for its files; it exists.
        name: of its files, without suffix.

    Raises:
        OSError: a file cannot be written.
        Exception: whatever the study's function raises.
    """
    with matplotlib.rc_context(), without_garbage_collection():
        matplotlib.rcdefaults()
        picture = specification.draw(context)
        with matplotlib.rc_context(RC_PARAMETERS):  # some of the style acts when a figure is saved
            return _write(picture, specification, folder, name)


def _write(picture: Any, specification: FigureSpecification, folder: Path, name: str) -> list[Path]:
    options: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.05} if specification.tight else {}
    written = []
    if isinstance(picture, Animation):
        written.append(folder / f"{name}.gif")
        with replacing(written[-1]) as fresh:
            write_gif(picture, fresh)
        picture = picture.figure  # as it is after the last frame
    options["dpi"] = min(LARGEST_DOTS_PER_INCH, WIDEST_PIXELS / picture.get_figwidth())
    png = folder / f"{name}.png"
    with ThreadPoolExecutor(1) as encoder, replacing(png) as being_encoded:
        canvas = PngCanvas(picture, encoder)
        picture.savefig(being_encoded, **options)
        for suffix, metadata in VECTOR_FORMATS.items():
            written.append(folder / f"{name}{suffix}")
            with replacing(written[-1]) as fresh, fonts.cut_quickly():
                picture.savefig(fresh, metadata=metadata, **options)
        assert canvas.encoded is not None
        canvas.encoded.result()
    return [*written, png]


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """The many objects of a figure last until it is written: looking for garbage among them only takes time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
