"""Raincloud plots: a density, a box and the values themselves for each category.

Source: Allen, Poggiali, Whitaker, Marshall and Kievit, *Raincloud plots: a multi-platform tool for robust data
visualization* (2019), whose order is kept: the cloud above its box, the rain below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

from genjax.viz.density import density_curve
from genjax.viz.style import CATEGORY_COLORS, DARK_GREY
from genjax.viz.tabular import categories_of, from_table, grouped, is_table

Orientation = Literal["h", "v"]

QUALITY_COLORS = {"good": "#2E8B57", "medium": "#FF8C00", "bad": "#DC143C"}
"""Colours of `diagnostic_raincloud`."""
UNRATED_COLOR = "#000000"
ESS_THRESHOLDS = {"good": 0.5, "medium": 0.25}
"""Smallest ratio of effective to actual sample size of each quality; below both it is "bad"."""


def horizontal_raincloud(
    data: Any,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
    figsize: tuple[float, float] = (10, 6),
    colors: str | Sequence[ColorType] | None = None,
    width_violin: float = 0.4,
    width_box: float = 0.15,
    jitter: float = 0.05,
    point_size: float = 20,
    alpha: float = 0.7,
    orient: Orientation = "h",
) -> Axes:
    """Draw one raincloud per category, category i at position i, the first one on top.

    A cloud is a Gaussian kernel density estimate with Scott's bandwidth, scaled to the height `width_violin`; fewer
    than two different values have none. The box goes from the first to the third quartile, its whiskers to the last
    values within 1.5 interquartile ranges. NaN counts as a missing value and is left out.

    Args:
        data: list of (n_i,) arrays, one per category; or one (n,) array, a single category. A 2-D array is the list of
            its rows.
        labels: one per category; "1", "2", ... by default.
        ax: where to draw; a new figure of `figsize` inches by default.
        figsize: width and height of the new figure.
        colors: one colour for all, or a sequence that is cycled through; the house palette by default.
        width_violin: largest height of a cloud; categories are 1 apart.
        width_box: height of a box.
        jitter: values are scattered by at most this to either side. The same data are always scattered alike.
        point_size: area of a value's dot in square points.
        alpha: opacity of cloud and dots.
        orient: "h" puts values on the x axis and categories down the y axis; "v" values on the y axis.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: nothing to draw, infinite values, another number of labels than of categories, no such colour or
            orientation.
    """
    if orient not in ("h", "v"):
        raise ValueError(f"raincloud got orient={orient!r}; it is 'h' (values along x) or 'v' (values along y).")
    categories = categories_of(data)
    names = [str(i + 1) for i in range(len(categories))] if labels is None else [str(label) for label in labels]
    if len(names) != len(categories):
        raise ValueError(f"raincloud got {len(names)} labels for {len(categories)} categories. Pass one for each.")
    palette = _palette(colors)
    if ax is None:
        _, ax = plt.subplots(figsize=figsize)
    horizontal = orient == "h"
    if horizontal:
        ax.yaxis.set_inverted(True)  # not invert_yaxis, which would turn it back on axes that are drawn on twice
        ax.set_yticks(range(len(names)), names)
    else:
        ax.set_xticks(range(len(names)), names)
    for position, values in enumerate(categories):
        color = palette[position % len(palette)]
        _draw(ax, values, position, color, width_violin, width_box, jitter, point_size, alpha, horizontal)
    return ax


def raincloud(x: Any = None, y: Any = None, data: Any = None, orient: Orientation = "h", **kwargs: Any) -> Axes:
    """Draw a raincloud per category of a table, a list of arrays or one array.

        raincloud(data=table, x="method", y="error")    # a category per method
        raincloud(data=table, y="error")                # one category
        raincloud(data=table)                           # a category per column
        raincloud(data=[a, b]), raincloud([a, b])       # a category per array
        raincloud(x=methods, y=errors)                  # two (n,) arrays: a category per different method

    Args:
        x: column of `data` that names the categories, which are drawn in order of appearance.
        y: column of `data` with the values.
        data: a table (anything with `columns` and `table[column]`, such as a pandas DataFrame), or arrays as for
            `horizontal_raincloud`.
        orient: as in `horizontal_raincloud`.
        **kwargs: the other arguments of `horizontal_raincloud`; `labels` replaces the names of the categories.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: columns of something that is not a table, a column that is not there, x without y, nothing to draw.
    """
    if data is None:
        if x is not None and y is not None:
            names, data = grouped(x, y)
        elif x is None and y is None:
            raise ValueError("raincloud got no data. Pass data=table with x= and y=, or data=[array, ...].")
        else:
            names, data = None, x if y is None else y
    elif is_table(data):
        names, data = from_table(data, x, y)
    elif x is not None or y is not None:
        raise ValueError(
            f"raincloud got x={x!r}, y={y!r} with data of type {type(data).__name__}. x and y name columns, which need "
            "data to be a DataFrame; leave them out to draw a list of arrays."
        )
    else:
        names = None
    if names is not None:
        kwargs.setdefault("labels", names)
    return horizontal_raincloud(data, orient=orient, **kwargs)


def diagnostic_raincloud(
    ax: Axes,
    timestep_data: ArrayLike,
    position: float,
    color: str = "#606060",
    width: float = 0.3,
    n_particles: int | None = None,
    ess_thresholds: dict[str, float] | None = None,
) -> tuple[float, str]:
    """`(ess_ratio, quality_color)` of one step's particle weights, drawn as a horizontal raincloud.

        ess_ratio = 1 / sum_i w_i^2 / n_particles,    sum_i w_i = 1.

    Args:
        ax: where to draw.
        timestep_data: (n,) normalised weights; weights that do not sum to 1 are normalised for the ratio.
        position: of the raincloud on the y axis.
        color: of the drawing.
        width: height of the whole raincloud.
        n_particles: what the effective sample size is compared with; n by default.
        ess_thresholds: smallest ratios called "good" and "medium"; `ESS_THRESHOLDS` by default.

    Returns:
        ess_ratio: Python float; 0.0 where there are no weights or all are 0.
        quality_color: that of `QUALITY_COLORS` which the ratio falls under, or `UNRATED_COLOR` without `n_particles`.

    Raises:
        ValueError: negative or non-finite weights, n_particles < 1, or a threshold of another name.
    """
    weights = np.asarray(timestep_data, dtype=float).ravel()
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise ValueError("diagnostic_raincloud got negative or non-finite weights. Pass exp(log_weights), normalised.")
    if n_particles is not None and n_particles < 1:
        raise ValueError(f"diagnostic_raincloud got n_particles={n_particles}. Pass at least 1, or None.")
    given = ess_thresholds or {}
    if set(given) - set(ESS_THRESHOLDS):
        raise ValueError(
            f"diagnostic_raincloud got ess_thresholds={given!r}. Its keys are {', '.join(ESS_THRESHOLDS)}."
        )
    if weights.size:
        _draw(ax, weights, position, color, 0.6 * width, 0.15 * width, 0.1 * width, 12, 0.6, horizontal=True)
    total_of_squares = float(np.sum(weights**2))
    effective = float(np.sum(weights)) ** 2 / total_of_squares if total_of_squares > 0 else 0.0
    ratio = effective / (n_particles or max(weights.size, 1))
    return ratio, _quality_color(ratio, {**ESS_THRESHOLDS, **given}) if n_particles is not None else UNRATED_COLOR


def _quality_color(ratio: float, thresholds: dict[str, float]) -> str:
    for quality in ("good", "medium"):
        if ratio >= thresholds[quality]:
            return QUALITY_COLORS[quality]
    return QUALITY_COLORS["bad"]


def _palette(colors: str | Sequence[ColorType] | None) -> list[Any]:
    if colors is None:
        return list(CATEGORY_COLORS)
    palette = [colors] if is_color_like(colors) else list(colors)
    for color in palette:
        if not is_color_like(color):
            raise ValueError(f"raincloud got the colour {color!r}, which matplotlib does not know.")
    if not palette:
        raise ValueError("raincloud got no colours. Pass at least one, or None for the house palette.")
    return palette


def _draw(
    ax: Axes,
    values: np.ndarray,
    position: float,
    color: ColorType,
    width_violin: float,
    width_box: float,
    jitter: float,
    point_size: float,
    alpha: float,
    horizontal: bool,
) -> None:
    if values.size == 0:
        return
    # The cloud is above its position on the screen, or to its right; box and rain are on the other side.
    side = -1.0 if horizontal and ax.yaxis_inverted() else 1.0
    curve = density_curve(values)
    if curve is not None:
        grid, density = curve
        edge = position + side * width_violin * density / density.max()
        fill = ax.fill_between if horizontal else ax.fill_betweenx
        fill(grid, position, edge, color=color, alpha=alpha, linewidth=0)
    ax.boxplot(
        values, positions=[position - side * 0.7 * width_box], widths=width_box, whis=1.5, showfliers=False,
        orientation="horizontal" if horizontal else "vertical", manage_ticks=False, patch_artist=True,
        boxprops={"facecolor": "white", "edgecolor": DARK_GREY, "linewidth": 1.5},
        medianprops={"color": DARK_GREY, "linewidth": 2.0},
        whiskerprops={"color": DARK_GREY, "linewidth": 1.5}, capprops={"color": DARK_GREY, "linewidth": 1.5},
    )  # fmt: skip
    # A generator of its own: the same data give the same picture, and nobody's random state is touched.
    scatter = np.random.default_rng(0).uniform(-jitter, jitter, values.size)
    rain = position - side * (1.4 * width_box + jitter) + scatter
    x, y = (values, rain) if horizontal else (rain, values)
    ax.scatter(x, y, s=point_size, color=color, alpha=alpha, linewidths=0)
