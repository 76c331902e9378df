"""The files of figures show what matplotlib's own would, and are written faster."""

import gc
import io
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure
from PIL import Image

from pipelines.output import drawing, fonts
from pipelines.output.png import PngCanvas, encode
from studies.base import FigureSpecification


def fonts_of(*texts):
    """The PDF of a figure with these texts, and the fonts in it."""
    figure = Figure()
    for index, text in enumerate(texts):
        figure.text(0.1, 0.2 + 0.3 * index, text, weight="bold" if index else "normal")
    with drawing.matplotlib.rc_context(drawing.RC_PARAMETERS):
        file = io.BytesIO()
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    found = []
    for match in re.finditer(rb"/Length1 .*?stream\r?\n", file.getvalue(), re.DOTALL):
        found.append(TTFont(io.BytesIO(zlib.decompressobj().decompress(file.getvalue()[match.end() :]))))
    return file.getvalue(), found


def test_fonts_without_tables_of_layout_have_the_same_outlines_and_widths():
    texts = ("Affine fi → 95% interval, ÅÉ ½ µ ≤ 3·10⁻²", "bold")
    _, whole = fonts_of(*texts)
    with fonts.cut_quickly():
        _, light = fonts_of(*texts)
    pairs = list(zip(whole, light, strict=True))
    assert len(pairs) > 1
    for before, after in pairs:
        assert set(before.keys()) - set(after.keys()) == set(fonts.LAYOUT_TABLES) & set(before.keys()) != set()
        assert before.getBestCmap() == after.getBestCmap()
        for glyph in after.getGlyphOrder():
            assert before["glyf"][glyph] == after["glyf"][glyph] and before["hmtx"][glyph] == after["hmtx"][glyph]


def test_font_with_a_rare_glyph_is_the_one_that_matplotlib_cuts():
    assert ord("ℵ") not in fonts.COMMON
    expected, _ = fonts_of("ℵ")
    with fonts.cut_quickly():
        assert fonts_of("ℵ")[0] == expected


def test_font_does_not_depend_on_the_figures_before():
    with fonts.cut_quickly():
        first, _ = fonts_of("a figure", "bold")
        fonts_of("another, with other glyphs: XYZ", "ÄÖÜ")
        assert fonts_of("a figure", "bold")[0] == first
    assert fonts_of("a figure", "bold")[0] != first, "matplotlib's own way is back"


@pytest.mark.parametrize("lowest", [255, 0])
def test_png_has_the_pixels_that_it_is_given(tmp_path, lowest):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 4), np.uint8)
    pixels[..., 3] = np.maximum(pixels[..., 3], lowest)
    encode(pixels, 120.0, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == ("RGB" if lowest == 255 else "RGBA")
        assert image.info["dpi"] == pytest.approx((120, 120), rel=1e-3)
        assert (np.asarray(image.convert("RGBA")) == pixels).all()


@pytest.mark.parametrize("colour", ["white", "none", (0.2, 0.4, 0.6, 0.5)])
def test_png_of_a_figure_has_the_pixels_of_matplotlibs_own(tmp_path, colour):
    figure = Figure(figsize=(3, 2), facecolor=colour)
    figure.subplots().plot([1, 3, 2], label="a line")
    figure.savefig(tmp_path / "own.png", dpi=130)
    with ThreadPoolExecutor(1) as encoder:
        PngCanvas(figure, encoder)
        figure.savefig(tmp_path / "quick.png", dpi=130)
    own, quick = (Image.open(tmp_path / f"{name}.png") for name in ("own", "quick"))
    assert (np.asarray(own.convert("RGBA")) == np.asarray(quick.convert("RGBA"))).all()
    assert own.info["dpi"] == quick.info["dpi"]


def test_a_png_that_cannot_be_encoded_is_a_fault_of_the_figure_and_leaves_no_file(tmp_path, monkeypatch):
    def encode(pixels, dots_per_inch, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.output.png.encode", encode)
    specification = FigureSpecification("a", "a", (), False, False, lambda context: Figure(figsize=(2, 1)))
    with pytest.raises(OSError, match="No space left"):
        drawing.write_picture(specification, None, tmp_path, "a")
    assert not list(tmp_path.glob("*.png"))


def test_garbage_is_not_collected_while_a_figure_is_drawn_and_is_after_it_failed(tmp_path):
    def draw(context):
        assert not gc.isenabled()
        raise RuntimeError("no ink")

    assert gc.isenabled()
    with pytest.raises(RuntimeError, match="no ink"):
        drawing.write_picture(FigureSpecification("a", "a", (), False, False, draw), None, tmp_path, "a")
    assert gc.isenabled()
