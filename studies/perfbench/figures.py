"""Figures of the seven-system comparison: grouped bars of time, and effective samples per second.

Published layout of the bars: Figure 16(b). Every number drawn comes from a stored row. The order of systems is the same
in every group; a system without a number keeps its place, with the reason in it.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from studies import figure_cores, figure_flags
from studies import figure_style as style
from studies.base import FigureContext, Row, Rows, figure
from studies.perfbench.figures_facts import ORDER as ORDER
from studies.perfbench.figures_facts import cores_title, measurement, ordered

GROUP_WIDTH = 0.88
WIDTHS_OF_REASONS = (36, 30, 24, 18, 14, 10)
"""Characters of a reason in a bar's place: the most for which it ends below the top of the axes."""

FACTOR_SIZE = 9
"""Points; factors of neighbours of equal height must not touch."""


@figure(file="{prefix}_benchmark_timings_is_all_frameworks", tasks=("importance_sampling",))
@style.styled
def importance(context: FigureContext) -> Figure:
    """Time of importance sampling, grouped by number of particles."""
    return bars(context, "n_particles", "(Importance Sampling) Number of Particles")


@figure(file="{prefix}_benchmark_timings_hmc_all_frameworks", tasks=("hmc",))
@style.styled
def hmc(context: FigureContext) -> Figure:
    """Time of one chain of Hamiltonian Monte Carlo, grouped by its length."""
    return bars(context, "n_samples", "(HMC) Chain Length")


@figure(file="{prefix}_hmc_effective_samples_per_second", tasks=("hmc_chains",))
@style.styled
def effective(context: FigureContext) -> Figure:
    """Time of many chains at once, and the effective samples that a second gives."""
    return lines(context, "n_chains", "(HMC) Number of Chains")


@figure(file="{prefix}_is_effective_samples_per_second", tasks=("importance_sweep",))
@style.styled
def sweep(context: FigureContext) -> Figure:
    """Time of importance sampling over four orders of magnitude, and the effective samples that a second gives."""
    return lines(context, "n_particles", "(Importance Sampling) Number of Particles")


CORES_TASKS = (
    "importance_sampling",
    "importance_sweep",
    "hmc_chains",
    "importance_sampling_all_cores",
    "importance_sweep_all_cores",
    "hmc_chains_all_cores",
)


@figure(file="{prefix}_one_core_and_all_cores", tasks=CORES_TASKS)
@style.styled
def cores(context: FigureContext) -> Figure:
    """Time on all usable cores over the time on one core, for each system: which of them gain from more cores."""
    return figure_cores.draw(context, cores_title, ORDER, lambda rows: measurement(rows, has_daggers=False))


def bars(context: FigureContext, parameter: str, label: str) -> Figure:
    """Grouped bars of the median time on a log axis, 95% intervals, the factor to the baseline above each bar.

    Args:
        context: what the figure got.
        parameter: the parameter that tells groups apart.
        label: of the x axis.
    """
    rows, frameworks, groups = context.rows, ordered(context.rows), sorted(context.rows.values(parameter))
    drawing = style.new_figure((16.0, 6.0))
    axes = drawing.add_axes((0.085, 0.31, 0.905, 0.63))
    low, high = time_limits(rows)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(-0.52, len(groups) - 0.48)
    width = GROUP_WIDTH / len(frameworks)
    for place, group in enumerate(groups):
        for index, framework in enumerate(frameworks):
            x = place + (index + 0.5) * width - GROUP_WIDTH / 2
            draw_bar(axes, x, 0.92 * width, rows.only(framework=framework, **{parameter: group}))
    names = {row.framework: (row.label, row.color) for row in rows}
    handles = [
        axes.bar(0, 0, color=names[name][1], edgecolor="black", label=names[name][0], linewidth=0.8)
        for name in frameworks
    ]
    drawing.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.065), ncol=len(frameworks), frameon=False,
        fontsize=style.FONT_SIZES["caption"], handlelength=1.0, handletextpad=0.4, columnspacing=1.1,
    )  # fmt: skip
    axes.set_xticks(range(len(groups)), [f"{group:,}" for group in groups])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(label)
    time_axis(axes)
    axes.text(
        0.005, 1.02, "Smaller is better", transform=axes.transAxes, fontsize=style.FONT_SIZES["caption"], va="bottom"
    )  # fmt: skip
    style.keep_spines(axes, "left", "bottom")
    baseline = next((row.label for row in rows if row.is_baseline), None)
    above = [f"above a bar: factor to {baseline}, paired by round"] if baseline else []
    style.footnote(drawing, [*above, *provenance(context, has_daggers=True)], y=0.01)
    return drawing


def time_limits(rows: Rows) -> tuple[float, float]:
    """Limits of a log axis in milliseconds that hold every interval, with room for the factors above the bars."""
    ends = [1e3 * value for row in rows if row.status == "ok" and row.interval_s for value in row.interval_s]
    if not ends:
        return 0.1, 100.0  # nothing was timed, and the figure says so in each place
    low, high = 10 ** np.floor(np.log10(min(ends)) - 0.15), max(ends)
    return float(low), float(high * (high / low) ** 0.16)


def draw_bar(axes: Axes, x: float, width: float, row: Row) -> None:
    """One bar with its interval and factor, or the reason in its place."""
    bottom = axes.get_ylim()[0]
    if row.status != "ok" or row.median_s is None or row.interval_s is None:
        mark = axes.text(
            x, bottom * 1.12, "", rotation=90, ha="center", va="bottom", color=style.RED,
            fontsize=style.FONT_SIZES["note"], style="italic",
        )  # fmt: skip
        renderer, top = style.renderer_of(axes), axes.get_window_extent().y1
        for width in WIDTHS_OF_REASONS:
            text = style.status_text(row.status, row.reason, width=width) if row.status != "ok" else "not timed"
            mark.set_text(f"{row.label} {text}")
            if mark.get_window_extent(renderer).y1 <= top:
                return
        return
    milliseconds, (low, high) = 1e3 * row.median_s, (1e3 * value for value in row.interval_s)
    axes.bar(x, milliseconds - bottom, width, bottom=bottom, color=row.color, edgecolor="black", linewidth=0.8)
    axes.errorbar(
        x, milliseconds, yerr=[[max(milliseconds - low, 0)], [max(high - milliseconds, 0)]], color="black",
        capsize=3, linewidth=1.2, zorder=5,
    )  # fmt: skip
    if row.ratio is not None:
        axes.annotate(
            factor(row.ratio, row),
            (x, max(high, milliseconds)),
            (0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=FACTOR_SIZE,
            fontweight="bold",
        )


def factor(ratio: float, row: Row) -> str:
    """`1.02×` or `1.7k×` (thousands), to two digits or more; the marks of a row with flags on a line of their own."""
    # Behind the number, marks would run into the next bar's.
    mark = figure_flags.mark(row)
    above = f"{mark}\n" if mark else ""
    if row.is_baseline:
        return f"{above}1×"
    # In thousands where the digits would run into the next bar's.
    value, unit = (ratio / 1000, "k") if ratio >= 1000 else (ratio, "")
    digits = 2 if value < 2 and not unit else 1 if value < 10 else 0
    return f"{above}{value:.{digits}f}{unit}×"


def lines(context: FigureContext, parameter: str, label: str) -> Figure:
    """Time (left) and effective samples per second (right) over a parameter, a line per system, log axes.

    Args:
        context: what the figure got.
        parameter: the parameter of the x axis.
        label: of the x axis.
    """
    rows, frameworks = context.rows, ordered(context.rows)
    drawing = style.new_figure((16.0, 6.0))
    left, right = drawing.add_axes((0.085, 0.33, 0.385, 0.61)), drawing.add_axes((0.59, 0.33, 0.37, 0.61))
    absent = []
    for index, framework in enumerate(frameworks):
        chosen = sorted(rows.where(framework=framework), key=lambda row: row.parameters[parameter])
        good = [row for row in chosen if row.status == "ok" and row.median_s is not None]
        absent += [row for row in chosen if row not in good]
        if not good:
            continue
        is_baseline = good[0].is_baseline
        xs = np.array([row.parameters[parameter] for row in good])
        options: dict[str, Any] = {
            "color": good[0].color, "marker": good[0].marker, "markeredgecolor": "black",
            "capsize": 4,
            # The baseline broad and below, so that a line that lies on it is seen.
            "linewidth": 5 if is_baseline else 2, "markersize": 13 if is_baseline else 8,
            "zorder": 2 if is_baseline else 20 - index,
        }  # fmt: skip
        seconds = np.array([row.median_s for row in good])
        ends = np.array([row.interval_s for row in good])
        sizes = np.array([row.diagnostics["effective_sample_size"] for row in good])
        left.errorbar(xs, 1e3 * seconds, yerr=1e3 * reach(seconds, ends), label=good[0].label, **options)
        right.errorbar(xs, sizes / seconds, yerr=reach(sizes / seconds, sizes[:, None] / ends[:, ::-1]), **options)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(label, fontsize=style.FONT_SIZES["legend"])
        axes.grid(True, which="major", alpha=0.3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelsize=style.FONT_SIZES["caption"])
        axes.set_xticks(sorted(rows.values(parameter)))
        style.keep_spines(axes, "left", "bottom")
    time_axis(left)
    style.number_log_axis(right.yaxis)
    right.set_ylabel("Effective samples / s")
    handles, names = left.get_legend_handles_labels()
    drawing.legend(
        handles, names, loc="lower center", bbox_to_anchor=(0.5, 0.085), ncol=len(names), frameon=False,
        fontsize=style.FONT_SIZES["caption"], handlelength=1.4, columnspacing=1.1,
    )  # fmt: skip
    style.footnote(drawing, [*absences(absent, parameter), *provenance(context, has_daggers=False)], y=0.01)
    return drawing


def reach(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(2, n) distances from values (n,) down and up to the ends (n, 2) of their intervals."""
    return np.maximum(np.stack([values - ends[:, 0], ends[:, 1] - values]), 0)


def absences(rows: list[Row], parameter: str) -> list[str]:
    """What is missing and why, one entry for equal reasons."""
    told: dict[str, list[str]] = {}
    for row in rows:
        reason = style.status_text(row.status, row.reason, width=60) if row.status != "ok" else "not timed"
        told.setdefault(f"{row.label}: {reason}", []).append(f"{row.parameters[parameter]:,}")
    every = {f"{row.parameters[parameter]:,}" for row in rows}
    return [name if set(at) >= every else f"{name} (at {', '.join(at)})" for name, at in told.items()]


def time_axis(axes: Axes) -> None:
    """A log axis of milliseconds whose labels are plain numbers."""
    axes.set_ylabel("Time of a call (ms)")
    style.number_log_axis(axes.yaxis)


def provenance(context: FigureContext, has_daggers: bool) -> list[str]:
    """Device, problem and timing facts for the bottom edge, from the rows; `has_daggers`: flagged ones are marked."""
    parameters = context.rows[0].parameters
    truth, data = context.problem(parameters).truth, context.problem(parameters).data
    facts = [
        f"{context.device.upper()}: {context.device_name}",
        f"{len(data['xs'])} points, noise {truth['noise_sd']:g}",
    ]
    if context.rows[0].task.startswith("hmc"):
        facts.append(f"step {parameters['step_size']:g}, {parameters['n_leapfrog']} leapfrog steps")
        facts.append(f"{parameters['n_warmup']} warm-up steps")
    return [*facts, *measurement(context.rows, has_daggers)]
