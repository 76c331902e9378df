"""Animations as GIF files."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from studies.base import Animation

DOTS_PER_INCH = 64
N_COLOURS = 48
HOLD = 8
"""How many times longer than the others the last frame stays; the first stays half of that."""


def write_gif(animation: Animation, path: Path) -> None:
    """Draws every frame and writes them as one GIF that repeats for ever."""
    animation.figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(animation.figure)
    frames = []
    for index in range(animation.n_frames):
        animation.show(index)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        # This method keeps colours that few pixels have, such as that of a line.
        frames.append(picture.quantize(N_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE))
    durations = [animation.milliseconds] * len(frames)
    durations[0] *= max(1, HOLD // 2)
    durations[-1] = animation.milliseconds * HOLD
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)
