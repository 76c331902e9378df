"""One core and all usable cores side by side: for each system, the time on all over the time on one.

The two are races of their own, one after the other, so their times are not paired by round. The interval of the factor
comes from those of the two times, as of independent ones: half widths of the logarithms add as squares do.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from studies import figure_flags
from studies import figure_style as style
from studies.base import FigureContext, NothingToDrawError, Row, Rows, how_timed

SUFFIXES = ("_all_cores", "_one_core")
"""A task whose name ends so repeats cells of the task without the ending, on all usable cores or on one."""

BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}


class Pair(NamedTuple):
    """A cell on one core, and the same cell on all usable cores."""

    one: Row
    all: Row

    @property
    def gap(self) -> str | None:
        """Why there is no factor; None if there is one."""
        for row, where in ((self.one, "on one core"), (self.all, "on all cores")):
            if row.status != "ok":
                text = style.status_text(row.status, row.reason, width=34)
                return text if self.one.status == self.all.status else f"{where}: {text}"
            if row.median_s is None or row.interval_s is None:
                return f"{where}: not timed"
        if self.one.cores != 1 or self.all.cores is not None:
            return "not on one core and on all"
        return None

    @property
    def factor(self) -> tuple[float, float, float]:
        """Time on all cores over time on one core, and its 95% interval: (value, low, high)."""
        (one, one_low, one_high), (every, low, high) = ((r.median_s, *(r.interval_s or ())) for r in self)
        value = every / one
        down = math.hypot(math.log(every / low), math.log(one_high / one))
        up = math.hypot(math.log(high / every), math.log(one / one_low))
        return value, value * math.exp(-down), value * math.exp(up)

    @property
    def times(self) -> str:
        """`12.1 → 7.25 ms`."""
        one, every = (f"{ms:.3g}" if ms < 1000 else f"{ms:,.0f}" for ms in (1e3 * (r.median_s or 0) for r in self))
        return f"{one} → {every} ms"


def stem(task: str) -> str:
    """The task's name without the ending that says on how many cores."""
    for suffix in SUFFIXES:
        task = task.removesuffix(suffix)
    return task


def pairs(rows: Rows, title: Callable[[Row], str], order: Sequence[str] = ()) -> dict[str, list[Pair]]:
    """The pairs of each panel, by its title; in a panel, first the systems of `order`, then the others.

    A cell without a partner is left out: it was asked for at another size, or one way only.
    """
    rank = {name: place for place, name in enumerate(order)}
    found: dict[str, list[Pair]] = {}
    for repeated in rows:
        if stem(repeated.task) == repeated.task:
            continue
        panel = found.setdefault(title(repeated), [])
        for row in rows.where(task=stem(repeated.task), framework=repeated.framework, seed=repeated.seed):
            if row.parameters == repeated.parameters:
                every = repeated.task.endswith("_all_cores")
                panel.append(Pair(row, repeated) if every else Pair(repeated, row))
    return {
        name: sorted(panel, key=lambda pair: rank.get(pair.all.framework, len(rank)))
        for name, panel in found.items()
        if panel
    }


def usable(every: Sequence[Row]) -> int | None:
    """How many cores the processes of rows on all cores could use, from the records; None if they tell several."""
    told = {row.record.get("provenance", {}).get("usable_cores") for row in every}
    told.discard(None)
    return told.pop() if len(told) == 1 else None


def timing_facts(rows: Rows) -> list[str]:
    """How the rows were timed, and how many of them are flagged."""
    how = how_timed(rows)
    facts = [] if how is None else [f"{how}, 95% intervals"]
    return [*facts, *figure_flags.facts(rows, has_marks=False)]


def draw(
    context: FigureContext,
    title: Callable[[Row], str],
    order: Sequence[str] = (),
    facts: Callable[[Rows], Sequence[str]] = timing_facts,
) -> Figure:
    """A panel for each race that was run both ways.

    Args:
        context: what the figure got.
        title: names the panel of a row: method and size, in at most two lines.
        order: the frameworks from the top; those not named follow.
        facts: of the rows shown, for the bottom edge.

    Raises:
        NothingToDrawError: no cell was run both ways.
    """
    found = pairs(context.rows, title, order)
    if not found:
        raise NothingToDrawError(
            "no cell was asked for on one core and on all cores with the same parameters (a task, and another whose "
            f"name ends in {' or '.join(SUFFIXES)})"
        )
    names = list(dict.fromkeys(p.all.framework for panel in found.values() for p in panel))
    labels = {p.all.framework: p.all.label for panel in found.values() for p in panel}
    drawing_width, height = (16.0 if len(found) > 1 else 11.0), 2.5 + 0.5 * len(names)
    drawing = style.new_figure((drawing_width, height))
    left = (style.text_width(drawing, labels.values(), style.FONT_SIZES["caption"]) + 0.25) / drawing_width
    n_cores = usable([pair.all for panel in found.values() for pair in panel])
    bottom, top = 1.62 / height, 0.78 / height
    width, gap = (0.99 - left) / len(found), 0.012
    ends = [end for panel in found.values() for pair in panel if pair.gap is None for end in pair.factor]
    limits = min([0.5, *ends]) / 1.15, max([2.0, *ends]) * 1.15
    for place, (name, panel) in enumerate(found.items()):
        axes = drawing.add_axes((left + place * width, bottom, width - gap, 1 - bottom - top))
        axes.set_xlim(*limits)
        draw_panel(axes, panel, names)
        axes.set_title(name, fontsize=style.FONT_SIZES["legend"])
        axes.set_yticks(range(len(names)), [labels[name] for name in names] if place == 0 else [""] * len(names))
        axes.tick_params(axis="y", length=0, labelsize=style.FONT_SIZES["caption"])
    every = "all usable cores" if n_cores is None else f"all {n_cores} usable cores" if n_cores > 1 else "the only core"
    drawing.text(
        0.5, 0.72 / height, f"Time on {every} / time on one core (below 1: more cores help)", ha="center", va="bottom",
        fontsize=style.FONT_SIZES["legend" if len(found) > 1 else "caption"], fontweight="bold",
    )  # fmt: skip
    shown = Rows([row for panel in found.values() for pair in panel for row in pair])
    told = [f"{context.device.upper()}: {context.device_name}", "above a point: time on one → on all cores"]
    if n_cores == 1:
        told.append("this machine has one usable core, so both are the same")
    style.footnote(drawing, [*told, *facts(shown)], y=0.01)
    return drawing


def draw_panel(axes: Axes, panel: list[Pair], names: list[str]) -> None:
    """A point with its interval for each system, from the top; the reason where there is none."""
    axes.set_xscale("log")
    axes.set_ylim(len(names) - 0.5, -0.9)
    axes.axvline(1, color=style.MUTED_GREY, linewidth=1.5, linestyle="--", zorder=1)
    for place, name in enumerate(names):
        if name not in [pair.all.framework for pair in panel]:
            note(axes, place, "takes no part", style.MUTED_GREY)
    for pair in panel:
        place = names.index(pair.all.framework)
        if pair.gap is not None:
            note(axes, place, pair.gap, style.RED)
            continue
        value, low, high = pair.factor
        axes.errorbar(
            value, place, xerr=[[value - low], [high - value]], color=pair.all.color, marker="o", markersize=9,
            markeredgecolor="black", ecolor="black", capsize=4, linewidth=1.5, zorder=5,
        )  # fmt: skip
        across = axes.transAxes.inverted().transform(axes.transData.transform((value, place)))[0]
        axes.annotate(
            f"{value:.2f}× ({pair.times})", (value, place), (0, 8), textcoords="offset points",
            ha="left" if across < 0.25 else "right" if across > 0.75 else "center", va="bottom",
            fontsize=style.FONT_SIZES["note"], zorder=4, bbox=BEHIND,
        )  # fmt: skip
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}×")
    axes.tick_params(axis="x", labelsize=style.FONT_SIZES["caption"])
    style.keep_spines(axes, "left", "bottom")


def note(axes: Axes, place: int, text: str, color: str) -> None:
    """Words in the place of a point."""
    axes.text(
        0.03, place, text, transform=axes.get_yaxis_transform(), va="center", color=color,
        fontsize=style.FONT_SIZES["note"], style="italic", zorder=6, bbox=BEHIND,
    )  # fmt: skip
