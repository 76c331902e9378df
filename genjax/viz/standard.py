"""The house style (GRVS) applied to matplotlib figures: fonts, ticks, grids, legends, comparison plots, a check.

The constants are those of `genjax.viz.style`, under the names of this module.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from genjax.viz.compliance import get_grvs_summary as get_grvs_summary
from genjax.viz.compliance import validate_grvs_compliance as validate_grvs_compliance
from genjax.viz.style import ALPHA_VALUES as ALPHA_VALUES
from genjax.viz.style import FIGURE_SIZES as FIGURE_SIZES
from genjax.viz.style import FONT_HIERARCHY as FONT_HIERARCHY
from genjax.viz.style import FONT_WEIGHTS as FONT_WEIGHTS
from genjax.viz.style import GRID_SETTINGS as GRID_SETTINGS
from genjax.viz.style import IS_VARIANT_COLORS as IS_VARIANT_COLORS
from genjax.viz.style import LEGEND_POSITIONS as LEGEND_POSITIONS
from genjax.viz.style import LEGEND_SPECS as LEGEND_SPECS
from genjax.viz.style import LINE_SPECS as LINE_SPECS
from genjax.viz.style import MARKER_SPECS as MARKER_SPECS
from genjax.viz.style import PRIMARY_COLORS as PRIMARY_COLORS
from genjax.viz.style import RC_PARAMETERS as RC_PARAMETERS
from genjax.viz.style import SAVE_SPECS as SAVE_SPECS
from genjax.viz.style import SMC_METHOD_COLORS as SMC_METHOD_COLORS
from genjax.viz.style import TICK_SPECS as TICK_SPECS

T = TypeVar("T")

Ticks = int | Sequence[float] | None


def setup_publication_fonts() -> None:
    """Set matplotlib's defaults to `RC_PARAMETERS`, for the rest of the process."""
    matplotlib.rcParams.update(RC_PARAMETERS)


def get_method_color(name: str) -> str:
    """The colour of a method by its name, e.g. "genjax_is", "is_500" or "smc_hmc", as "#RRGGBB".

    Raises:
        KeyError: no such method; the message lists those there are.
    """
    colors = {**PRIMARY_COLORS, **IS_VARIANT_COLORS, **SMC_METHOD_COLORS}
    if name not in colors:
        raise KeyError(f"get_method_color got {name!r}. Available: {', '.join(sorted(colors))}.")
    return colors[name]


def apply_grid_style(ax: Axes, style: str = "default") -> None:
    """Show a faint grid on `ax`: by style "default" on both axes, "x_only" vertical lines only, "none" no grid.

    Raises:
        ValueError: another style.
    """
    settings = dict(_named(GRID_SETTINGS, style, "apply_grid_style: style"))
    ax.grid(False)  # a grid of an earlier call would stay on the other axis
    if settings.pop("visible"):
        ax.grid(True, **settings)
        ax.set_axisbelow(True)


def set_minimal_ticks(ax: Axes, x_ticks: Ticks = None, y_ticks: Ticks = None) -> None:
    """At most three ticks per axis, none where an axis ends.

    Args:
        ax: the axes to change.
        x_ticks: largest number of ticks of the x axis, or their positions; 3 by default.
        y_ticks: the same of the y axis.

    Raises:
        ValueError: fewer than one tick.
    """
    for axis, ticks in ((ax.xaxis, x_ticks), (ax.yaxis, y_ticks)):
        _limit_ticks(axis, TICK_SPECS["count"] if ticks is None else ticks)


def apply_standard_ticks(ax: Axes) -> None:
    """Ticks of `ax` as `TICK_SPECS` has them: at most three per axis, 16 pt labels, marks of 6 by 1.5 pt."""
    set_minimal_ticks(ax)
    marks = {name: TICK_SPECS[name] for name in ("labelsize", "length", "width")}
    ax.tick_params(which="major", **marks)


def apply_legend_style(ax: Axes, location: str = "default", **kw: Any) -> Legend | None:
    """Add the legend, or None where nothing on the axes has a label.

    Args:
        ax: the axes to change.
        location: a key of `LEGEND_POSITIONS`.
        **kw: of `Axes.legend`; they win over the style.

    Raises:
        ValueError: another location.
    """
    position = _named(LEGEND_POSITIONS, location, "apply_legend_style: location")
    handles, _ = ax.get_legend_handles_labels()
    if not handles and "handles" not in kw:
        return None
    return ax.legend(**{**LEGEND_SPECS, **position, **kw})


def save_publication_figure(fig: Figure, filename: str | os.PathLike[str], **kw: Any) -> None:
    """Save with a tight layout at 300 dpi, then close the figure.

    Args:
        fig: the figure; it keeps a layout engine that it already has.
        filename: where to; the suffix decides the format.
        **kw: of `Figure.savefig`; they win over `SAVE_SPECS`.
    """
    if fig.get_layout_engine() is None:
        fig.tight_layout()
    fig.savefig(filename, **{**SAVE_SPECS, **kw})
    plt.close(fig)


def create_method_legend(
    methods: Sequence[str] | Mapping[str, str], filename: str | os.PathLike[str] | None = None
) -> Figure:
    """A figure that is only a legend, one column per method.

    Args:
        methods: names for `get_method_color`, or a mapping from them to the texts to show.
        filename: save the figure there, and close it.

    Raises:
        KeyError: no such method.
    """
    texts = methods if isinstance(methods, Mapping) else {name: _method_label(name) for name in methods}
    handles = [
        Line2D([], [], color=get_method_color(name), linewidth=LINE_SPECS["curve"]["linewidth"], label=text)
        for name, text in texts.items()
    ]
    n_columns = max(len(handles), 1)
    fig = plt.figure(figsize=(3.0 * n_columns, 0.8))
    fig.legend(handles=handles, loc="center", ncols=n_columns, fontsize=LEGEND_SPECS["fontsize"], frameon=False)
    if filename is not None:
        save_publication_figure(fig, filename)
    return fig


def setup_comparison_plot(figsize_key: str = "framework_comparison") -> tuple[Figure, Axes]:
    """`(fig, ax)` under the house style; figsize_key is a name in `FIGURE_SIZES`.

    Raises:
        ValueError: no such size.
    """
    size = _named(FIGURE_SIZES, figsize_key, "setup_comparison_plot: figsize_key")
    with matplotlib.rc_context(RC_PARAMETERS):
        return plt.subplots(figsize=size)


def plot_data_points(ax: Axes, x: ArrayLike, y: ArrayLike, label: str | None = "Data", **kw: Any) -> PathCollection:
    """Scatter observations as `MARKER_SPECS` has them.

    Args:
        ax: where to.
        x: (n,) positions.
        y: (n,) values.
        label: for the legend.
        **kw: of `Axes.scatter`; they win over the style.
    """
    specification = {**MARKER_SPECS["data_points"], "alpha": ALPHA_VALUES["data_points"]}
    if "c" in kw:
        del specification["color"]
    return ax.scatter(x, y, label=label, **{**specification, **kw})


def plot_method_curve(ax: Axes, x: ArrayLike, y: ArrayLike, method: str, label: str | None = None, **kw: Any) -> Line2D:
    """Plot the curve of a method in its colour.

    Args:
        ax: where to.
        x: (n,) positions.
        y: (n,) values.
        method: a name for `get_method_color`.
        label: for the legend; the method's name by default.
        **kw: of `Axes.plot`; they win over the style.

    Raises:
        KeyError: no such method.
    """
    style = {"color": get_method_color(method), **LINE_SPECS["curve"], **kw}
    return ax.plot(x, y, label=_method_label(method) if label is None else label, **style)[0]


def finalize_comparison_plot(ax: Axes, xlabel: str, ylabel: str, title: str | None = None, legend: bool = True) -> None:
    """Add bold axis labels, a title, the grid, the ticks and, if anything is labelled, the legend.

    Args:
        ax: the axes to finish.
        xlabel: text of the x axis.
        ylabel: text of the y axis.
        title: above the axes; none by default.
        legend: whether to add a legend.
    """
    ax.set_xlabel(xlabel, fontsize=FONT_HIERARCHY["label"], fontweight=FONT_WEIGHTS["label"])
    ax.set_ylabel(ylabel, fontsize=FONT_HIERARCHY["label"], fontweight=FONT_WEIGHTS["label"])
    if title is not None:
        ax.set_title(title, fontsize=FONT_HIERARCHY["title"], fontweight=FONT_WEIGHTS["title"])
    apply_grid_style(ax)
    apply_standard_ticks(ax)
    if legend:
        apply_legend_style(ax)


def _named(table: Mapping[str, T], name: str, what: str) -> T:
    if name not in table:
        raise ValueError(f"{what} got {name!r}. Available: {', '.join(table)}.")
    return table[name]


def _method_label(name: str) -> str:
    """The name to show: `GenJAX IS` of `genjax_is`."""
    words = {"genjax": "GenJAX", "numpyro": "NumPyro", "pyro": "Pyro"}
    short = {"is", "hmc", "vi", "smc", "mh"}
    return " ".join(word.upper() if word in short else words.get(word, word) for word in name.split("_"))


def _limit_ticks(axis: Axis, ticks: int | Sequence[float]) -> None:
    if not isinstance(ticks, int):
        axis.set_major_locator(FixedLocator(list(ticks)))
    elif ticks < 1:
        raise ValueError(f"set_minimal_ticks got {ticks} ticks. Pass at least 1, or their positions.")
    elif axis.get_scale() == "log":
        axis.set_major_locator(LogLocator(numticks=ticks))
        axis.set_minor_locator(NullLocator())
    else:
        # n intervals have n + 1 ends in view only where the outer two are the limits, and these are cut off.
        axis.set_major_locator(MaxNLocator(nbins=ticks, prune="both"))
