"""The one home of how figures look: palette, fonts, named sizes, and the marks for results that are missing.

Figures are built on `matplotlib.figure.Figure`, never through pyplot, so drawing one leaves no global state behind.
Source: the style of the published figures (base font 18, bold axis labels, 1.5 pt axes, at most three ticks).
"""

import functools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullFormatter

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

BLUE = "#0173B2"
ORANGE = "#DE8F05"
GREEN = "#029E73"
RED = "#CC3311"
LIGHT_PURPLE = "#B19CD9"
DARK_GREY = "#333333"
MUTED_GREY = "#767676"

FONT_SIZES = {"base": 18, "label": 18, "tick": 16, "legend": 16, "title": 20, "caption": 14, "note": 11}

FIGURE_SIZES = {
    "single_medium": (6.5, 4.875),
    "three_panel": (18.0, 5.0),
    "inference_scaling": (18.0, 3.5),
}
"""Width and height in inches, of sizes that several studies share; a study gives its own where it draws."""

STATUS_WORDS = {
    "invalid": "invalid",
    "skipped": "skipped",
    "failed": "failed",
    "timeout": "timed out",
    "oom": "out of memory",
    "missing": "not measured",
}

STATUS_SENTENCES = {
    "ok": "was not timed",
    "invalid": "is invalid",
    "skipped": "was skipped",
    "failed": "failed",
    "timeout": "timed out",
    "oom": "ran out of memory",
}

MARK_BACKGROUND = {"boxstyle": "round", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}

RC_PARAMETERS: dict[Any, Any] = {
    "font.size": FONT_SIZES["base"],
    "font.family": "DejaVu Sans",
    "axes.labelsize": FONT_SIZES["label"],
    "axes.labelweight": "bold",
    "axes.titlesize": FONT_SIZES["title"],
    "axes.linewidth": 1.5,
    "xtick.labelsize": FONT_SIZES["tick"],
    "ytick.labelsize": FONT_SIZES["tick"],
    "xtick.major.width": 1.5,
    "ytick.major.width": 1.5,
    "xtick.major.size": 6,
    "ytick.major.size": 6,
    "legend.fontsize": FONT_SIZES["legend"],
    "grid.alpha": 0.3,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "svg.hashsalt": "genjax",  # equal figures get equal files
    "pdf.fonttype": 42,  # TrueType: conferences refuse Type 3
}


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Run a figure function under the house style, leaving matplotlib's own settings as they were."""

    @functools.wraps(draw)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with matplotlib.rc_context(RC_PARAMETERS):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(size: str | tuple[float, float]) -> Figure:
    """An empty figure of a size named in `FIGURE_SIZES`, or of that width and height in inches."""
    if isinstance(size, str) and size not in FIGURE_SIZES:
        raise ValueError(f"new_figure got size {size!r}. Named sizes: {', '.join(FIGURE_SIZES)}; or (width, height).")
    return Figure(figsize=FIGURE_SIZES[size] if isinstance(size, str) else size)


def three_ticks(axis: Axis) -> None:
    """At most three major ticks on an x or y axis, none at its ends."""
    axis.set_major_locator(MaxNLocator(nbins=3, prune="both"))


class LogTicks(Locator):
    """Ticks of a logarithmic axis, at least two however little of it is in view.

    Powers of ten, every second or third of them where there are more than eight; where fewer than two are in view also
    twice and five times as much; where even these are too few, evenly spaced numbers.
    """

    def __call__(self) -> Any:
        axis: Any = self.axis
        return self.tick_values(*axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Ticks from the lesser to the greater of two numbers above zero."""
        low, high = sorted((vmin, vmax))
        powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        inside = lambda ticks: ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]
        for multiples in ([1.0], [1.0, 2.0, 5.0]):
            ticks = inside((powers[:, None] * multiples).ravel())
            if len(ticks) >= 2:
                return (ticks[:: -(-len(ticks) // 8)] if len(multiples) == 1 else ticks).tolist()
        return inside(np.asarray(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))).tolist()


def number_log_axis(axis: Axis) -> None:
    """Plain numbers at the ticks of a logarithmic x or y axis, powers of ten far from one, and none between ticks."""

    def written(value: float, _: Any) -> str:
        mantissa, exponent = map(float, f"{value:.5e}".split("e"))
        if -4 < exponent < 6:
            return f"{value:,g}"
        return f"$10^{{{exponent:g}}}$" if mantissa == 1 else rf"${mantissa:g} \times 10^{{{exponent:g}}}$"

    axis.set_major_locator(LogTicks())
    axis.set_major_formatter(FuncFormatter(written))
    axis.set_minor_formatter(NullFormatter())


def keep_spines(axes: Axes, *kept: str) -> None:
    """Hide every spine but those named (`"left"`, `"bottom"`, ...)."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in kept)


def status_text(status: str, reason: str | None, width: int = 100) -> str:
    """What a figure says in the place of a result that is not there, e.g. `skipped: torch is not installed`.

    Args:
        status: A row's status; any but `"ok"`.
        reason: Why, as stored; only its first line is shown, cut to `width` characters.
        width: Largest number of characters.
    """
    words = STATUS_WORDS.get(status, status)
    lines = (reason or "").strip().splitlines()
    # "skipped: skipped: ..." would come of reasons that already begin with the status.
    detail = lines[0].removeprefix(f"{status}: ") if lines else ""
    return textwrap.shorten(f"{words}: {detail}" if detail else words, width, placeholder=" …")


def mark_panel(axes: Axes, text: str) -> None:
    """Write a status on the left of an otherwise empty panel, wrapped."""
    axes.text(
        0.04, 0.42, textwrap.fill(text, 22, max_lines=4, placeholder=" …"), transform=axes.transAxes, ha="left",
        va="center", fontsize=FONT_SIZES["caption"], style="italic", color=RED, bbox=MARK_BACKGROUND, zorder=6,
    )  # fmt: skip


def mark_bar(axes: Axes, position: float, label: str, reason: str, x: float = 0.012) -> None:
    """Write `label  (reason)` in the place of a horizontal bar, the reason cut where the panel ends.

    Args:
        axes: the panel of bars.
        position: height of the bar, in data coordinates.
        label: name of what is missing; empty where it stands elsewhere.
        reason: why, as `status_text` says it.
        x: left end of the text, as a fraction of the panel's width.
    """
    mark = axes.text(
        x, position, f"{label}  ({reason})".strip(), transform=axes.get_yaxis_transform(), ha="left", va="center",
        fontsize=FONT_SIZES["legend"], style="italic", color=RED, bbox=MARK_BACKGROUND, zorder=6,
    )  # fmt: skip
    renderer = renderer_of(axes)
    words = reason.split()
    while len(words) > 1 and mark.get_window_extent(renderer).width > (1 - 2 * x) * axes.get_window_extent().width:
        words.pop()
        mark.set_text(f"{label}  ({' '.join(words)} …)".strip())


def figure_of(axes: Axes) -> Figure:
    """The whole figure that a panel is part of."""
    figure = axes.get_figure(root=True)
    assert figure is not None, "the panel was removed from its figure"
    return figure


def renderer_of(axes: Axes) -> RendererBase:
    """What measures the extent of texts in the panel's figure."""
    return FigureCanvasAgg(figure_of(axes)).get_renderer()


def text_width(figure: Figure, texts: Iterable[str], size: float, weight: str = "normal") -> float:
    """Inches that the widest of the texts takes at a font size in points."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    widest = 0.0
    for words in texts:
        text = figure.text(0, 0, words, fontsize=size, fontweight=weight)
        widest = max(widest, text.get_window_extent(renderer).width)
        text.remove()
    return widest / figure.dpi


def footnote(figure: Figure, facts: Sequence[str], y: float = 0.01) -> None:
    """Small grey text along the bottom edge (device, machine, ...), broken between facts where it would be cut."""
    separator = "  ·  "
    text = figure.text(0.5, y, "", ha="center", va="bottom", fontsize=FONT_SIZES["note"], color=MUTED_GREY)
    renderer = FigureCanvasAgg(figure).get_renderer()
    lines: list[str] = []
    for fact in facts:
        text.set_text(separator.join([*lines[-1:], fact]))
        if lines and text.get_window_extent(renderer).width < 0.98 * figure.bbox.width:
            lines[-1] = text.get_text()
        else:
            lines.append(fact)
    text.set_text("\n".join(lines))
