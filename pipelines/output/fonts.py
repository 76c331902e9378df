"""The fonts that a PDF embeds, cut to the glyphs that a figure uses.

matplotlib reads a font with its six thousand glyphs, and the tables with which a program lays text out, for every
figure: that was half of the time of a PDF. Here the glyphs that figures commonly use are cut out of a font once in a
process, and those of a figure out of these. The font in the PDF is the same.
"""

import functools
import io
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager

from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib.backends import _backend_pdf_ps
from matplotlib.font_manager import FontPath

COMMON = (
    *range(0x20, 0x180),  # Latin
    *range(0x391, 0x3CA),  # Greek
    *range(0x2010, 0x20A0),  # punctuation, superscripts and subscripts
    *range(0x2190, 0x219A),  # arrows
    *range(0x2200, 0x2270),  # operators
    *range(0xFB00, 0xFB05),  # ligatures
)
"""The characters whose glyphs are cut out once."""

LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "kern", "MATH")
"""Tables of a font that only a program needs which lays text out; a PDF says where each glyph stands."""


@contextmanager
def cut_quickly() -> Iterator[None]:
    """PDFs that are written in this context get their fonts from here."""
    slow = _backend_pdf_ps.get_glyphs_subset

    def cut(fontfile: FontPath, glyphs: set[int]) -> AbstractContextManager[_backend_pdf_ps.SubsetResults]:
        small, places = _common_glyphs(fontfile)
        if not places.keys() >= set(glyphs):
            return slow(fontfile, glyphs)
        font, found = _cut(io.BytesIO(small), gids=[places[glyph] for glyph in glyphs])
        return _backend_pdf_ps.SubsetResults(font, {glyph: found[places[glyph]] for glyph in glyphs})._as_cm()

    _backend_pdf_ps.get_glyphs_subset = cut
    try:
        yield
    finally:
        _backend_pdf_ps.get_glyphs_subset = slow


@functools.cache
def _common_glyphs(path: FontPath) -> tuple[bytes, dict[int, int]]:
    """A font of the `COMMON` characters that another has, and their glyphs' numbers there by those in the other."""
    font, places = _cut(path, unicodes=COMMON)
    content = io.BytesIO()
    with font:
        font.save(content)
    return content.getvalue(), places


def _cut(source: FontPath | io.BytesIO, **chosen: Collection[int]) -> tuple[TTFont, dict[int, int]]:
    """A font with the chosen glyphs alone, and their new numbers by the old ones."""
    options = subset.Options(glyph_names=True, recommended_glyphs=True)  # as matplotlib has them
    options.drop_tables += [*LAYOUT_TABLES, "FFTM"]
    options.font_number = getattr(source, "face_index", 0)
    font = subset.load_font(source, options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(**chosen)
    subsetter.subset(font)
    return font, subsetter.glyph_index_map
