"""PNG files of figures.

Pillow tries five filters on every row, which takes longer than to draw the figure and makes the file of a drawing, with
its plain areas, no smaller. Here rows stay as they are, and the opacity is left out where everything is opaque.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

LEVEL = 4
"""Of zlib: files as large as Pillow's own, in a third of the time."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
INCH = 0.0254


class PngCanvas(FigureCanvasAgg):
    """A canvas whose figure is saved as PNG by this module, in every other format by matplotlib."""

    def print_png(self, filename_or_obj: Any, *, metadata: Any = None, pil_kwargs: Any = None, **_: Any) -> None:
        """Draws the figure and writes it, without metadata; the colours of its ground are set already."""
        self.draw()
        Path(filename_or_obj).write_bytes(png(np.asarray(self.buffer_rgba()), self.figure.dpi))


def png(pixels: np.ndarray, dots_per_inch: float) -> bytes:
    """The content of a file that shows these pixels, (height, width, 4) of bytes: red, green, blue, opacity."""
    if (pixels[..., 3] == 255).all():
        pixels = pixels[..., :3]
    height, width, n_channels = pixels.shape
    rows = np.zeros((height, 1 + width * n_channels), np.uint8)  # each begins with the number of its filter, 0 for none
    rows[:, 1:] = pixels.reshape(height, -1)
    colours = {3: 2, 4: 6}[n_channels]
    dots_per_metre = round(dots_per_inch / INCH)
    return b"".join((
        SIGNATURE,
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)),
        _chunk(b"pHYs", struct.pack(">IIB", dots_per_metre, dots_per_metre, 1)),
        _chunk(b"IDAT", zlib.compress(rows.data, LEVEL)),
        _chunk(b"IEND", b""),
    ))  # fmt: skip


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
