"""Illustration of vectorisation: the arrays of a trace before and after vmap, drawn from two stored programs."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from studies import figure_style as style
from studies.base import Row
from studies.curvefit.figures_curves import draw_trace, traces_of

ARRAYS = ("a", "b", "c", "obs", "log_density")
LABELS = {"a": "curve / a", "b": "curve / b", "c": "curve / c", "obs": "ys / obs", "log_density": "log p"}
MAP_COLORS = "RdBu_r"


def draw_vectorization(figure: Figure, single: Row, batch: Row, xs: np.ndarray) -> None:
    """One trace at the left, a batch of traces at the right: curves, and every array as cells coloured by value.

    Args:
        figure: an empty figure.
        single: row of a program that draws one trace; arrays () and (n_points,).
        batch: row of the same program under vmap; arrays (n_traces,) and (n_traces, n_points).
        xs: (n_points,) locations.
    """
    traces, one = traces_of(batch), traces_of(single)[0]
    largest = max(float(np.abs(row.arrays[name]).max()) for row in (single, batch) for name in ARRAYS[:-1])
    left, right = figure.add_axes((0.02, 0.3, 0.17, 0.42)), figure.add_axes((0.815, 0.3, 0.17, 0.42))
    draw_trace(left, one, xs, with_density=False)
    for trace in traces:
        draw_trace(right, trace, xs, with_density=False)
    left.set_title("one trace", fontweight="bold", fontsize=style.FONT_SIZES["legend"])
    right.set_title(f"{len(traces)} traces", fontweight="bold", fontsize=style.FONT_SIZES["legend"])
    before, after = figure.add_axes((0.2, 0.08, 0.22, 0.86)), figure.add_axes((0.53, 0.08, 0.28, 0.86))
    draw_arrays(before, single.arrays, largest)
    draw_arrays(after, batch.arrays, largest)
    figure.add_artist(
        FancyArrowPatch(
            (0.435, 0.5),
            (0.515, 0.5),
            transform=figure.transFigure,
            arrowstyle="-|>",
            mutation_scale=28,
            linewidth=3,
            color=style.DARK_GREY,
        )  # fmt: skip
    )
    figure.text(
        0.475, 0.56, f"vmap\naxis_size={len(traces)}", ha="center", va="bottom", fontsize=15, family="monospace"
    )
    style.footnote(figure, ["cells are the entries of each array, coloured by value; shapes as stored"])


def draw_arrays(axes: Axes, arrays: dict[str, np.ndarray], largest: float) -> None:
    """Each array of a trace, top to bottom: its address, its cells, its shape."""
    axes.axis("off")
    depth = max(1, *(np.shape(arrays[name])[0] if np.ndim(arrays[name]) else 1 for name in ("a", "log_density")))
    width = max(np.shape(arrays["obs"])[-1], 1)
    gap, y = 0.9, 0.0
    for name in ARRAYS:
        values = np.asarray(arrays[name], np.float64)
        # A batch axis runs down; what is left of the shape runs to the right.
        cells = values.reshape(depth, -1)
        scale = largest if name != "log_density" else max(float(np.abs(values).max()), 1e-9)
        for (row, column), value in np.ndenumerate(cells):
            color = colormaps[MAP_COLORS](0.5 + 0.45 * value / scale)
            axes.add_patch(Rectangle((column, y - row - 1), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
        axes.text(-0.35, y - depth / 2, LABELS[name], ha="right", va="center", fontsize=15)
        axes.text(
            cells.shape[1] + 0.3,
            y - depth / 2,
            str(values.shape),
            ha="left",
            va="center",
            fontsize=15,
            family="monospace",
        )
        y -= depth + gap
    axes.set(xlim=(-3.6, width + 3.2), ylim=(y + gap - 0.3, 0.3))
    axes.set_aspect("equal")
