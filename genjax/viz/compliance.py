"""Does a figure follow the house style (GRVS), and what does the style say."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from genjax.viz.style import (
    FIGURE_SIZES,
    FONT_HIERARCHY,
    FONT_WEIGHTS,
    PRIMARY_COLORS,
    SAVE_SPECS,
    TICK_SPECS,
)


def validate_grvs_compliance(fig: Figure) -> dict[str, bool]:
    """Which rules of the house style the figure `fig` keeps; a rule about something that is not there is kept.

    Returns:
        figure_size: width and height are one of `FIGURE_SIZES`, to 0.01 inches.
        axis_label_size, axis_label_weight: 18 pt and bold, where an axis has a label.
        title_size: 20 pt, where there is a title.
        tick_label_size: 16 pt.
        tick_count: at most three major ticks within the limits of each axis, except for ticks put in place by hand, as
            those of categories are.
        legend_size: 16 pt, where there is a legend.
    """
    axes = fig.get_axes()
    labels = [axis.label for axis in _all_axis(axes) if axis.label.get_text()]
    titles = [ax.title for ax in axes if ax.title.get_text()]
    ticks = [label for axis in _all_axis(axes) for label in axis.get_ticklabels()]
    legends = [legend for legend in (*(ax.get_legend() for ax in axes), *fig.legends) if legend is not None]
    entries = [text for legend in legends for text in legend.get_texts()]
    width, height = fig.get_size_inches()
    return {
        "figure_size": any(abs(width - w) < 0.01 and abs(height - h) < 0.01 for w, h in FIGURE_SIZES.values()),
        "axis_label_size": all(text.get_fontsize() == FONT_HIERARCHY["label"] for text in labels),
        "axis_label_weight": all(text.get_fontweight() == FONT_WEIGHTS["label"] for text in labels),
        "title_size": all(text.get_fontsize() == FONT_HIERARCHY["title"] for text in titles),
        "tick_label_size": all(text.get_fontsize() == FONT_HIERARCHY["tick"] for text in ticks),
        "tick_count": all(_n_ticks(axis) <= TICK_SPECS["count"] for axis in _all_axis(axes)),
        "legend_size": all(text.get_fontsize() == FONT_HIERARCHY["legend"] for text in entries),
    }


def get_grvs_summary() -> str:
    """The house style in a few lines."""
    sizes = [f"  {name}: {width:g} x {height:g} in" for name, (width, height) in FIGURE_SIZES.items()]
    colors = [f"  {name}: {color}" for name, color in PRIMARY_COLORS.items()]
    fonts = FONT_HIERARCHY
    lines = [
        "GRVS, the house style of figures",
        f"Fonts: text {fonts['base']} pt, axis labels {fonts['label']} pt {FONT_WEIGHTS['label']}, "
        f"ticks {fonts['tick']} pt, legends {fonts['legend']} pt, titles {fonts['title']} pt",
        f"Ticks: at most {TICK_SPECS['count']} per axis, {TICK_SPECS['length']} by {TICK_SPECS['width']:g} pt",
        f"Files: {SAVE_SPECS['dpi']} dpi, {SAVE_SPECS['bbox_inches']}, padded by {SAVE_SPECS['pad_inches']} in",
    ]
    return "\n".join([*lines, "Sizes:", *sizes, "Colours:", *colors])


def _all_axis(axes: Iterable[Axes]) -> list[Axis]:
    return [axis for ax in axes if ax.axison for axis in (ax.xaxis, ax.yaxis) if axis.get_visible()]


def _n_ticks(axis: Axis) -> int:
    """Ticks that matplotlib chose and that are in view."""
    if isinstance(axis.get_major_locator(), FixedLocator):
        return 0
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    return sum(low - slack <= position <= high + slack for position in axis.get_majorticklocs())
