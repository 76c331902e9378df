"""Figures of the fair coin: posterior histograms against the exact density, and time relative to hand-coded JAX.

Published layout: Figure 16(a). Every number drawn comes from a stored row, its arrays, or the exact posterior.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text
from scipy import stats

from studies import figure_cores, figure_flags
from studies import figure_style as style
from studies.base import FigureContext, Row, Rows, figure, how_timed
from studies.faircoin.problem import posterior_estimates

PANEL_ORDER = ("genjax", "handcoded_same_draws", "handcoded_jax", "numpyro")
"""Posterior panels, left to right. Bars, top to bottom, begin with the baseline. Frameworks not named here follow."""

N_BINS = 50
TASKS = ("importance_sampling",)


def one_call(row: Row) -> tuple[np.ndarray, np.ndarray]:
    """Particles and log weights (n_particles,) of the first of the calls that the gate judged."""
    samples, log_weights = (np.atleast_2d(row.arrays[name])[0] for name in ("latent_fairness", "log_weights"))
    return samples, log_weights


@figure(
    file="faircoin_combined_posterior_and_timing_obs{n_observations}_samples{n_particles}{suffix}",
    tasks=TASKS,
    timing=True,
)
@style.styled
def combined(context: FigureContext) -> Figure:
    """One posterior panel per framework above horizontal bars of time relative to the baseline."""
    rows = panel_rows(context.rows)
    drawing = style.new_figure((18.0, 8.0))
    # The published grid: 2 by 3, or as many columns as there are frameworks.
    grid = GridSpec(
        2, len(rows), drawing, left=0.08, right=0.95, top=0.92, bottom=0.15, hspace=0.4, wspace=0.3
    )  # fmt: skip
    draw_posteriors([drawing.add_subplot(grid[0, column]) for column in range(len(rows))], rows, context)
    draw_timing(drawing.add_subplot(grid[1, :]), rows)
    style.footnote(drawing, provenance(rows, context))
    return drawing


@figure(
    file="faircoin_timing_performance_comparison_obs{n_observations}_samples{n_particles}_repeats{repeats}{suffix}",
    tasks=TASKS,
    timing=True,
)
@style.styled
def timing(context: FigureContext) -> Figure:
    """The bars alone."""
    rows = panel_rows(context.rows)
    drawing = style.new_figure((10.0, 3.0))
    draw_timing(drawing.add_axes((0.03, 0.42, 0.94, 0.46)), rows)
    style.footnote(drawing, provenance(rows, context), y=0.0)
    return drawing


@figure(file="faircoin_posterior_accuracy_comparison_obs{n_observations}_samples{n_particles}{suffix}", tasks=TASKS)
@style.styled
def posterior(context: FigureContext) -> Figure:
    """The posterior panels in a grid two wide, with a table of estimates against the exact answer in the free cell."""
    rows = panel_rows(context.rows)
    drawing = style.new_figure((10.0, 6.0))
    n_grid_rows = (len(rows) + 2) // 2
    grid = GridSpec(
        n_grid_rows, 2, drawing, left=0.05, right=0.97, top=0.92, bottom=0.16, hspace=0.75, wspace=0.12
    )  # fmt: skip
    cells = [drawing.add_subplot(grid[index // 2, index % 2]) for index in range(len(rows) + 1)]
    draw_posteriors(cells[:-1], rows, context)
    draw_table(cells[-1], rows, context)
    style.footnote(drawing, provenance(rows, context, is_timed=False))
    return drawing


@figure(
    file="faircoin_one_core_and_all_cores_obs{n_observations}_samples{n_particles}{suffix}",
    tasks=("importance_sampling", "importance_sampling_all_cores"),
)
@style.styled
def cores(context: FigureContext) -> Figure:
    """Time on all usable cores over the time on one core, for each system."""

    def title(row: Row) -> str:
        return f"Importance sampling\n{row.parameters['n_particles']:,} particles"

    return figure_cores.draw(context, title, PANEL_ORDER)


def panel_rows(rows: Rows) -> list[Row]:
    """The rows in the constant order of the panels, one per framework.

    Raises:
        ValueError: Two rows are of one framework: the figure would have to choose between them.
    """
    names = [row.framework for row in rows]
    if len(set(names)) != len(names) or not names:
        raise ValueError(
            f"A faircoin figure needs exactly one row per framework and got {names}. "
            "Restrict the figure to one set of parameters and one seed in its settings."
        )
    rank = {name: index for index, name in enumerate(PANEL_ORDER)}
    return sorted(rows, key=lambda row: rank.get(row.framework, len(rank)))


def bar_rows(rows: list[Row]) -> list[Row]:
    """The rows in the constant order of the bars, top to bottom: the baseline, then the order of the panels."""
    return sorted(rows, key=lambda row: not row.is_baseline)


def draw_posteriors(panels: list[Axes], rows: list[Row], context: FigureContext) -> None:
    """A weighted density histogram (`N_BINS` bins on [0, 1]) per row under the exact posterior, on common axes."""
    grid = np.linspace(0, 1, 1000)
    edges = np.linspace(0, 1, N_BINS + 1).tolist()
    top, means = 0.0, []
    for axes, row in zip(panels, rows, strict=True):
        truth = context.problem(row.parameters).truth
        exact = stats.beta.pdf(grid, truth["posterior_alpha"], truth["posterior_beta"])
        axes.set_title(row.label, fontweight="bold")
        axes.plot(grid, exact, color="black", linewidth=3, zorder=3)
        mean_label = f"True Mean: {truth['posterior_mean']:.3f}"
        means.append(axes.axvline(truth["posterior_mean"], color="red", ls="--", lw=2, label=mean_label, zorder=4))
        top = max(top, exact.max())
        if row.status == "ok":
            samples, log_weights = one_call(row)
            weights = np.exp(log_weights.astype(np.float64) - log_weights.max())
            heights, _, _ = axes.hist(
                samples, bins=edges, weights=weights, density=True, color=row.color, alpha=0.7, edgecolor="black"
            )
            top = max(top, np.max(heights))
        else:
            style.mark_panel(axes, style.status_text(row.status, row.reason))
        axes.legend(loc="upper left", frameon=False)
    for axes, mean in zip(panels, means, strict=True):
        axes.set(xlim=(0, 1), ylim=(0, 1.35 * top), yticks=[], xlabel="Fairness Parameter")
        mean.set_ydata([0, 1.05 / 1.35])  # ends below the legend
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        style.keep_spines(axes, "left", "bottom")


def draw_timing(axes: Axes, rows: list[Row]) -> None:
    """Horizontal bars of the ratio to the baseline, paired by round, in per cent, with 95% intervals.

    Names stand left of the bars: inside, a long one would run over the end of a short bar. The label of a bar states
    the same ratio and interval as the bar, and the median time of one call in milliseconds. A row without a ratio is a
    red note in the place of its bar.
    """
    rows = bar_rows(rows)
    middle = name_rows(axes, [row.label for row in rows])
    baseline = next((row for row in rows if row.is_baseline), None)
    baseline_label = baseline.label if baseline is not None else "baseline"
    renderer = style.renderer_of(axes)
    bars = []
    for position, row in enumerate(rows):
        if row.status != "ok" or row.ratio is None or row.ratio_interval is None:  # too few blocks for an interval
            style.mark_bar(axes, position, "", missing_reason(row, baseline))
            continue
        percent, low, high = (100 * value for value in (row.ratio, *row.ratio_interval))
        axes.barh(position, percent, height=0.72, color=row.color, edgecolor="black", alpha=0.85)
        if not row.is_baseline:
            axes.errorbar(
                percent, position, xerr=[[max(percent - low, 0)], [max(high - percent, 0)]],
                color="black", capsize=6, linewidth=2, zorder=5,
            )  # fmt: skip
        label = axes.text(0, position, ratio_label(row), va="center", fontsize=style.FONT_SIZES["legend"])
        # A label to the right of the baseline's line, also where the bar is shorter, so that the line crosses no text.
        bars.append((max(high, 100.0), label, label.get_window_extent(renderer).width))
    if bars:
        fit_labels(axes, bars)
        axes.axvline(100, color="black", linestyle="--", linewidth=2, zorder=4)
        axes.annotate(
            f"{baseline_label} baseline", (100, 1), (0, 3), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="bottom", fontsize=style.FONT_SIZES["caption"],
        )  # fmt: skip
    else:
        axes.set_xlim(0, 200)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlabel(f"Relative Performance (% of {baseline_label} time)", x=middle)
    style.keep_spines(axes, "bottom")


def name_rows(axes: Axes, names: list[str]) -> float:
    """Write the names left of the panel, which becomes as much narrower as they need.

    Returns:
        The middle of the panel as it was, as a fraction of its width now: where its label belongs.
    """
    drawing, size = style.figure_of(axes), style.FONT_SIZES["caption"]
    inches = style.text_width(drawing, names, size, weight="bold")
    box = axes.get_position()
    left = box.x0 + inches / drawing.get_figwidth()
    axes.set_position((left, box.y0, box.x1 - left, box.height))
    for position, name in enumerate(names):
        axes.annotate(
            name, (0, position), (-6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            ha="right", va="center", fontsize=size, fontweight="bold",
        )  # fmt: skip
    return ((box.x0 + box.x1) / 2 - left) / (box.x1 - left)


def fit_labels(axes: Axes, bars: list[tuple[float, Text, float]]) -> None:
    """Set the x range and place the labels right of their bars so that none is cut.

    Args:
        axes: the panel of bars.
        bars: (right end that the label must clear in per cent, label, its width in pixels).
    """
    width = axes.get_window_extent().width
    padding = 0.012 * width
    x_limit = max(
        100.0 * 1.05,
        *(end * width / max(width - label_width - 2 * padding, 0.2 * width) for end, _, label_width in bars),
    )
    for end, label, _ in bars:
        label.set_x(end + padding / width * x_limit)
    axes.set_xlim(0, x_limit)


def ratio_label(row: Row) -> str:
    """`101.2% [100.4, 102.0] (0.216 ms)`, or without an interval for the baseline, which is 100% by definition.

    A row with flags gets its marks.
    """
    assert row.median_s is not None and row.ratio is not None and row.ratio_interval is not None, "it has no bar"
    time = f"({1e3 * row.median_s:.3f} ms) {figure_flags.mark(row)}".rstrip()
    if row.is_baseline:
        return f"{100 * row.ratio:.0f}% {time}"
    low, high = row.ratio_interval
    return f"{100 * row.ratio:.1f}% [{100 * low:.1f}, {100 * high:.1f}] {time}"


def missing_reason(row: Row, baseline: Row | None) -> str:
    """Why a row has no bar."""
    if row.status != "ok":
        return style.status_text(row.status, row.reason)
    if row.median_s is None:
        return style.STATUS_WORDS["missing"]
    if row.ratio is not None:
        return f"{1e3 * row.median_s:.3f} ms; too few blocks for an interval"
    fate = "is absent" if baseline is None else style.STATUS_SENTENCES[baseline.status]
    return f"{1e3 * row.median_s:.3f} ms; no ratio: the baseline {fate}"


def draw_table(axes: Axes, rows: list[Row], context: FigureContext) -> None:
    """Posterior mean and sd and the effective sample size of every framework, and the exact answer."""
    truth = context.problem(rows[0].parameters).truth
    cells = [["Exact", f"{truth['posterior_mean']:.4f}", f"{truth['posterior_sd']:.4f}", ""]]
    for row in rows:
        if row.status == "ok":
            mean, sd, _, effective = posterior_estimates(*one_call(row))
            cells.append([row.label, f"{mean:.4f}", f"{sd:.4f}", f"{effective:.0f}"])
        else:
            cells.append([row.label, style.STATUS_WORDS.get(row.status, row.status), "", ""])
    axes.axis("off")
    table = axes.table(
        cells,
        colLabels=["", "Mean", "SD", "ESS"],
        colWidths=[0.42, 0.22, 0.2, 0.16],
        loc="center",
        cellLoc="center",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(style.FONT_SIZES["caption"])
    table.scale(1, 1.7)


def provenance(rows: list[Row], context: FigureContext, is_timed: bool = True) -> list[str]:
    """Device, problem and timing facts for the bottom edge, from the rows."""
    parameters = rows[0].parameters
    observations = context.problem(parameters).data["observations"]
    facts = [
        f"{context.device.upper()}: {context.device_name}",
        f"{int(observations.sum())} heads in {len(observations)} tosses",
        f"{parameters['n_particles']:,} particles",
        f"prior Beta({parameters['prior_alpha']:g}, {parameters['prior_beta']:g})",
    ]
    if is_timed:
        facts.append(f"{how_timed(rows) or 'nothing timed'}, ratios paired by round, [95% interval]")
        if any(row.framework == "handcoded_same_draws" for row in rows):
            facts.append("same draws: hand-coded with GenJAX's samplers; NumPyro has its own, which its users call")
        facts += figure_flags.facts(rows)
    return facts
