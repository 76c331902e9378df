"""PNG files of figures, which a thread compresses while other formats are written: Pillow needs no Python for it."""

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image


class PngCanvas(FigureCanvasAgg):
    """The canvas of a figure whose PNG file is ready when `encoded` is done; other formats are matplotlib's own.

    Args:
        figure: it becomes that one's canvas.
        encoder: does the work.
    """

    def __init__(self, figure: Figure, encoder: Executor):
        super().__init__(figure)
        self._encoder = encoder
        self.encoded: Future[None] | None = None

    def print_png(self, filename_or_obj: Any, *, metadata: Any = None, pil_kwargs: Any = None, **_: Any) -> None:
        """Draws the figure, and has it encoded without metadata; the colours of its ground are set already."""
        self.draw()
        pixels = np.array(self.buffer_rgba())
        self.encoded = self._encoder.submit(encode, pixels, self.figure.dpi, Path(filename_or_obj))


def encode(pixels: np.ndarray, dots_per_inch: float, path: Path) -> None:
    """Writes a file that shows these pixels, (height, width, 4) of bytes: red, green, blue, opacity.

    Opacity is left out where everything is opaque.
    """
    if (pixels[..., 3] == 255).all():
        pixels = np.ascontiguousarray(pixels[..., :3])
    Image.fromarray(pixels).save(path, format="png", dpi=(dots_per_inch, dots_per_inch))
