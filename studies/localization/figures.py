"""Figures of the localization study: the problem, the published comparison, and error against particles and time.

Published layout: Figure 19. Every number drawn comes from a stored row, its arrays, or the problem.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter

from studies import figure_cores, figure_flags
from studies import figure_style as style
from studies.base import FigureContext, Row, Rows, figure, how_timed
from studies.localization import scores
from studies.localization.problem import n_particles_of
from studies.localization.world import World

PUBLISHED_PANELS = ("bootstrap", "smc_hmc", "grid_proposal")
COLORS = {
    "bootstrap": "#1f77b4",
    "smc_hmc": "#2ca02c",
    "grid_proposal": "#ff7f0e",
    "smc_mh": "#9467bd",
    "locally_optimal": "#8c564b",
}
NAMES = {
    "bootstrap": "Bootstrap filter",
    "smc_mh": "SMC + MH",
    "smc_hmc": "SMC + HMC",
    "grid_proposal": "Best grid cell",
    "locally_optimal": "Locally optimal",
}
GOOD_PERCENT, FAIR_PERCENT = 50, 25
LABELLED_STEPS = (1, 6, 11, 16)
FILE = "localization_r{n_rays}_p{n_particles}_{world_type}"


@figure(file=FILE + "_localization_problem_1x4_explanation{suffix}", tasks=("comparison",))
@style.styled
def problem(context: FigureContext) -> Figure:
    """The robot's path and its measurements at four steps."""
    found = context.problem(context.rows[0].parameters)
    world, poses, distances = found.truth["model"].world, found.truth["poses"], found.truth["distances"]
    observations = found.data["observations"]
    n_poses, n_rays = observations.shape
    drawing = style.new_figure((20.0, 5.0))
    steps = sorted({0, n_poses // 3, 2 * n_poses // 3, n_poses - 1})
    grid = GridSpec(1, len(steps), drawing, left=0.01, right=0.99, top=0.91, bottom=0.13, wspace=0.06)
    angles = 2 * np.pi * np.arange(n_rays) / n_rays
    for column, step in enumerate(steps):
        axes = drawing.add_subplot(grid[0, column])
        draw_world(axes, world)
        draw_path(axes, poses[: step + 1])
        x, y, heading = poses[step]
        ends = [
            np.stack([x + lengths * np.cos(heading + angles), y + lengths * np.sin(heading + angles)], axis=-1)
            for lengths in (distances[step], observations[step])
        ]
        rays = np.stack([np.broadcast_to([x, y], ends[0].shape), ends[0]], axis=1)
        axes.add_collection(LineCollection(list(rays), colors=style.DARK_GREY, alpha=0.3, linewidths=2, zorder=2))
        true = axes.scatter(ends[0][:, 0], ends[0][:, 1], s=45, color="black", zorder=4)
        noisy = axes.scatter(ends[1][:, 0], ends[1][:, 1], s=45, color=style.ORANGE, zorder=5)
        arrow = 0.9 * np.array([np.cos(heading), np.sin(heading)])
        axes.annotate("", (x + arrow[0], y + arrow[1]), (x, y),
                      arrowprops={"arrowstyle": "-|>", "color": style.RED, "lw": 3, "shrinkA": 0})  # fmt: skip
        robot = axes.scatter([x], [y], s=180, color=style.RED, zorder=7)
        axes.set_title(f"t = {step}", fontweight="bold", pad=2)
    drawing.legend(
        [true, noisy, robot],
        ["True distances", "Noisy observations", "Robot"],
        loc="lower center",
        ncols=3,
        frameon=False,
    )
    return drawing


@figure(file=FILE + "_comprehensive_4panel_smc_methods_analysis{suffix}", tasks=("comparison", "accuracy"), timing=True)
@style.styled
def comprehensive(context: FigureContext) -> Figure:
    """Where the particles of three methods are, how many of them count, and what every method costs."""
    rows = {row.parameters["method"]: row for row in context.rows.where(task="comparison")}
    panels = [rows[name] for name in PUBLISHED_PANELS if name in rows]
    drawing = style.new_figure((18.0, 12.5))
    grid = GridSpec(
        3, len(panels), drawing, left=0.065, right=0.985, top=0.955, bottom=0.09, hspace=0.36, wspace=0.07,
        height_ratios=[3.1, 0.9, 1.8],
    )  # fmt: skip
    for column, row in enumerate(panels):
        found = context.problem(row.parameters)
        top, below = drawing.add_subplot(grid[0, column]), drawing.add_subplot(grid[1, column])
        draw_particles(top, row, found.truth["model"].world, found.truth["poses"])
        draw_effective_sizes(below, row)
        if column:
            below.set_yticklabels([])
        else:
            below.set_ylabel("ESS (%)")
    draw_key(drawing, grid[0, :].get_position(drawing).y0 - 0.012)
    draw_times(drawing.add_subplot(grid[2, :]), list(rows.values()), context.rows.where(task="accuracy"), context)
    style.footnote(drawing, provenance(context, list(rows.values())))
    return drawing


@figure(file=FILE + "_error_against_time{suffix}", tasks=("comparison", "speed", "accuracy"), timing=True)
@style.styled
def error_against_time(context: FigureContext) -> Figure:
    """Error at equal numbers of particles, error at equal time, and how far the evidence is from the exact one."""
    drawing = style.new_figure((20.0, 6.5))
    grid = GridSpec(1, 3, drawing, left=0.06, right=0.99, top=0.9, bottom=0.3, wspace=0.2)
    by_count, by_time, evidence = (drawing.add_subplot(grid[0, column]) for column in range(3))
    accuracy = [row for row in context.rows.where(task="accuracy") if row.status == "ok"]
    times = {_arm(row): row.median_s for row in context.rows if row.median_s is not None}
    handles, names = [], []
    for method in (name for name in NAMES if any(row.parameters["method"] == name for row in accuracy)):
        arms = sorted((row for row in accuracy if row.parameters["method"] == method), key=lambda row: _arm(row)[1])
        errors = [scores.position_rmse(row.arrays["mean"], _truth(context, row)["poses"]) for row in arms]
        gaps = [row.diagnostics.get("exact_log_marginal", np.nan) - row.arrays["log_marginal"][:, -1] for row in arms]
        counts = np.array([_arm(row)[1] for row in arms], float)
        seconds = np.array([times.get(_arm(row), np.nan) for row in arms], float)
        handles.append(draw_band(by_count, counts, errors, method))
        draw_band(by_time, 1e3 * seconds, errors, method)
        draw_band(evidence, 1e3 * seconds, gaps, method)
        names.append(NAMES[method])
    finish_panels(by_count, by_time, evidence, accuracy)
    if handles:
        drawing.legend(handles, names, loc="lower center", ncols=len(names), frameon=False, bbox_to_anchor=(0.5, 0.05))
    else:
        style.mark_panel(by_count, "no accuracy cell is ok")
    n_runs = sorted({len(row.arrays["mean"]) for row in accuracy})
    facts = [f"median and 10% to 90% of {' or '.join(map(str, n_runs))} runs"] if n_runs else []
    style.footnote(drawing, [*provenance(context, list(context.rows), has_marks=False), *facts])
    return drawing


def draw_world(axes: Axes, world: World) -> None:
    """Walls and the boundary, no axes."""
    axes.plot([0, world.width, world.width, 0, 0], [0, 0, world.height, world.height, 0], color="black", lw=3, zorder=3)
    axes.add_collection(LineCollection(list(world.walls.reshape(-1, 2, 2)), colors="black", linewidths=3, zorder=3))
    axes.set(xlim=(-0.25, world.width + 0.25), ylim=(-0.25, world.height + 0.25), aspect="equal")
    axes.set_axis_off()


def draw_path(axes: Axes, poses: np.ndarray) -> None:
    """The path so far, fading into the past."""
    segments = np.stack([poses[:-1, :2], poses[1:, :2]], axis=1)
    shades = [(0.4, 0.4, 0.4, alpha) for alpha in np.linspace(0.2, 0.8, len(segments))]
    axes.add_collection(LineCollection(list(segments), colors=shades, linewidths=3, zorder=1))


def draw_particles(axes: Axes, row: Row, world: World, poses: np.ndarray) -> None:
    """The particles of all steps over the true path, later steps stronger, in a frame of the method's colour."""
    method = row.parameters["method"]
    axes.set_title(title(row), fontweight="bold", pad=10)
    draw_world(axes, world)
    axes.plot(*poses[:, :2].T, color=style.RED, lw=2, alpha=0.8, zorder=5)
    sizes = np.linspace(50, 100, len(poses))
    axes.scatter(poses[:, 0], poses[:, 1], s=sizes, marker="x", color=style.RED, lw=2.5, zorder=6)
    axes.add_patch(
        Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=COLORS[method], lw=6, clip_on=False)
    )
    if row.status != "ok":
        style.mark_panel(axes, style.status_text(row.status, row.reason))
        return
    draw_cloud(axes, row)
    error = scores.position_rmse(row.arrays["mean"], poses)[-1]
    axes.text(0.03, 0.965, f"error {error:.2f} m", transform=axes.transAxes, va="top", bbox=style.MARK_BACKGROUND,
              fontsize=style.FONT_SIZES["legend"], zorder=8)  # fmt: skip


def draw_cloud(axes: Axes, row: Row) -> None:
    """One dot per particle and step, its area the particle's weight, its shade the step."""
    arrays = row.arrays
    n_steps = len(arrays["x"])
    for step, alpha in enumerate(np.linspace(0.15, 0.8, n_steps)):
        log_weights = arrays["log_weights"][step].astype(np.float64)
        sizes = 50 * np.exp(log_weights - log_weights.max())
        # Dots of one size share an outline, which a PDF and an SVG then hold once.
        axes.scatter(arrays["x"][step], arrays["y"][step], s=sizes if np.ptp(sizes) else sizes[0], alpha=alpha,
                     c=np.full(len(sizes), step / max(n_steps - 1, 1)), cmap="viridis", vmin=0, vmax=1,
                     linewidths=0, zorder=4)  # fmt: skip
    axes.plot(
        arrays["mean"][-1][:, 0], arrays["mean"][-1][:, 1], color=COLORS[row.parameters["method"]], lw=2, zorder=4
    )


def draw_key(drawing: Figure, top: float) -> None:
    """What the marks of the maps mean."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 1, 4))
    dots = tuple(Line2D([], [], marker="o", ls="", ms=9, color=shade) for shade in shades)
    drawing.legend(  # type: ignore[call-overload]  # a tuple of handles is one, whatever the stubs say
        [
            Line2D([], [], color=style.RED, marker="x", ms=10, mew=2.5, lw=2),
            dots,
            Line2D([], [], color=style.DARK_GREY, lw=2),
        ],
        ["True path", "Particles, first to last step", "Their weighted mean (colour of the frame)"],
        handler_map={tuple: HandlerTuple(ndivide=None)}, handlelength=3.5,
        loc="upper center", bbox_to_anchor=(0.525, top), ncols=3, frameon=False,
    )  # fmt: skip


def draw_effective_sizes(axes: Axes, row: Row) -> None:
    """Effective sample size at every step in per cent of N, green, orange or red."""
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    style.keep_spines(axes, "left", "bottom")
    axes.set_xlabel("Step", labelpad=0)
    if row.status != "ok":
        style.mark_panel(axes, style.status_text(row.status, row.reason))
        return
    n_particles = n_particles_of(row.parameters)
    percent = 100 * row.arrays["effective_sample_size"][-1].astype(np.float64) / n_particles
    steps = np.arange(len(percent))
    colors = np.select(
        [percent >= GOOD_PERCENT, percent >= FAIR_PERCENT], [style.GREEN, style.ORANGE], default=style.RED
    )
    axes.bar(steps, np.maximum(percent, 1.0), color=colors, width=0.8)
    axes.axhline(100 / n_particles, color=style.DARK_GREY, ls=":", lw=1.5)
    marked = [step for step in LABELLED_STEPS if step < len(percent)]
    for step in marked:
        text = f"{percent[step]:.0f}%" if percent[step] >= 1 else f"{percent[step]:.1f}%"
        axes.annotate(text, (step, percent[step]), (0, 4), textcoords="offset points", ha="center", va="bottom",
                      color=colors[step], fontsize=style.FONT_SIZES["caption"], fontweight="bold",
                      path_effects=[withStroke(linewidth=4, foreground="white")])  # fmt: skip
    axes.set_xticks(marked)


def draw_times(axes: Axes, rows: list[Row], accuracy: Rows, context: FigureContext) -> None:
    """Horizontal bars of the time of one whole run, the fastest on top, with what the method achieves for it."""
    timed = sorted(rows, key=lambda row: row.median_s if row.median_s is not None else np.inf)
    box = axes.get_position()
    axes.set_position((0.17, box.y0, box.x1 - 0.17, box.height))
    renderer = style.renderer_of(axes)
    labels = []
    for position, row in enumerate(timed):
        if row.median_s is None or row.interval_s is None:
            style.mark_bar(axes, position, "", style.status_text(row.status, row.reason))
            continue
        milliseconds, (low, high) = 1e3 * row.median_s, (1e3 * value for value in row.interval_s)
        method = row.parameters["method"]
        axes.barh(position, milliseconds, height=0.72, color=COLORS[method], edgecolor="black")
        axes.errorbar(milliseconds, position, xerr=[[max(milliseconds - low, 0)], [max(high - milliseconds, 0)]],
                      color="black", capsize=6, lw=2)  # fmt: skip
        text = f"  {_three_digits(milliseconds)} ms [{_three_digits(low)}, {_three_digits(high)}]"
        text += f" {figure_flags.mark(row)}".rstrip()
        text += achievement(row, accuracy, context)
        label = axes.text(high, position, text, va="center", fontsize=style.FONT_SIZES["legend"])
        labels.append((high, label.get_window_extent(renderer).width))
    width = axes.get_window_extent().width
    if labels:
        axes.set_xlim(0, max(end / max(1 - label / width - 0.01, 0.2) for end, label in labels))
    axes.set_ylim(len(timed) - 0.5, -0.5)
    axes.set_yticks([])
    transform = axes.get_yaxis_transform()
    for position, row in enumerate(timed):
        axes.text(-0.006, position, short_title(row), transform=transform, ha="right", va="center", fontweight="bold",
                  fontsize=style.FONT_SIZES["caption"])  # fmt: skip
    axes.set_xlabel("Time (milliseconds)")
    style.keep_spines(axes, "bottom")


def achievement(row: Row, accuracy: Rows, context: FigureContext) -> str:
    """Median error and lost runs of the same method with as many particles, if they were measured."""
    for other in accuracy:
        if other.status == "ok" and _arm(other) == _arm(row):
            poses = _truth(context, other)["poses"]
            errors = scores.position_rmse(other.arrays["mean"], poses)
            n_lost = int(np.sum(errors > scores.LOST))
            return f"   median error {np.median(errors):.2f} m, lost in {n_lost} of {len(errors)} runs"
    return ""


def draw_band(axes: Axes, x: np.ndarray, values: list[np.ndarray], method: str) -> Line2D:
    """Median and 10% to 90% of the runs at each x; points without an x are left out."""
    kept = [index for index in range(len(x)) if np.isfinite(x[index]) and np.isfinite(values[index]).all()]
    order = sorted(kept, key=lambda index: x[index])
    low, middle, high = (np.array([np.quantile(values[index], q) for index in order]) for q in (0.1, 0.5, 0.9))
    axes.fill_between(x[order], low, high, color=COLORS[method], alpha=0.2, linewidth=0)
    if order:
        axes.set(xscale="log", yscale="log")
    (line,) = axes.plot(x[order], middle, "o-", color=COLORS[method], lw=2.5, ms=8)
    return line


def finish_panels(by_count: Axes, by_time: Axes, evidence: Axes, accuracy: list[Row]) -> None:
    """Scales, titles and the lines that say what is good: the exact filter's error, and when a robot counts as lost."""
    exact = [row.diagnostics["exact_position_rmse"] for row in accuracy if "exact_position_rmse" in row.diagnostics]
    for axes in (by_count, by_time):
        axes.set_ylabel("Position error (m)")
        axes.axhline(scores.LOST, color=style.RED, ls=":", lw=2)
        axes.annotate("lost", (0.99, scores.LOST), (0, 3), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                      textcoords="offset points", color=style.RED, fontsize=style.FONT_SIZES["caption"])  # fmt: skip
        if exact:
            axes.axhline(np.median(exact), color="black", ls="--", lw=2)
            x, side = (0.99, "right") if axes is by_count else (0.01, "left")  # where the lines are not
            axes.annotate("exact posterior", (x, np.median(exact)), (0, 3), xycoords=("axes fraction", "data"),
                          ha=side, va="bottom", textcoords="offset points",
                          fontsize=style.FONT_SIZES["caption"])  # fmt: skip
        axes.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
        axes.yaxis.set_minor_formatter(NullFormatter())
    by_count.set_title("Equal particles", fontweight="bold")
    by_time.set_title("Equal time", fontweight="bold")
    evidence.set_title("Evidence", fontweight="bold")
    by_count.set_xlabel("Particles")
    by_time.set_xlabel("Time of a run (ms)")
    evidence.set_xlabel("Time of a run (ms)")
    evidence.set_ylabel("log Z too low by (nats)")
    for axes in (by_count, by_time, evidence):
        if not any(np.size(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "o"):
            style.mark_panel(axes, "too few runs, or not timed")
            axes.set(xticks=[], yticks=[])
            continue
        style.number_log_axis(axes.xaxis)
        axes.grid(alpha=0.3)
        style.keep_spines(axes, "left", "bottom")


def title(row: Row) -> str:
    """What a method is, with its numbers."""
    parameters = row.parameters
    n_particles, n_moves, n_cells = n_particles_of(parameters), parameters["n_moves"], parameters["grid"]["n_cells"]
    return {
        "bootstrap": f"Bootstrap filter (N={n_particles})",
        "smc_mh": f"SMC (N={n_particles}) + MH (K={n_moves})",
        "smc_hmc": f"SMC (N={n_particles}) + HMC (K={n_moves})",
        "grid_proposal": f"SMC (N={n_particles}) + best of {n_cells}³ grid cells",
        "locally_optimal": f"SMC (N={n_particles}) + locally optimal on {n_cells}³",
    }[parameters["method"]]


def short_title(row: Row) -> str:
    """The method and its number of particles."""
    return f"{NAMES[row.parameters['method']]}, N={n_particles_of(row.parameters)}"


def provenance(context: FigureContext, rows: list[Row], has_marks: bool = True) -> list[str]:
    """Device and timing facts for the bottom edge; `has_marks`: flagged times are marked."""
    how = how_timed(rows)
    facts = [f"{context.device.upper()}: {context.device_name}"]
    if how is not None:
        facts.append(f"times of a whole run: {how}, [95% interval]")
    return facts + figure_flags.facts(rows, has_marks)


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _arm(row: Row) -> tuple[str, int]:
    return row.parameters["method"], n_particles_of(row.parameters)


def _truth(context: FigureContext, row: Row) -> dict:
    return context.problem(row.parameters).truth


@figure(file=FILE + "_one_core_and_all_cores{suffix}", tasks=("comparison", "comparison_one_core"))
@style.styled
def cores(context: FigureContext) -> Figure:
    """Time of a filter's complete run on all usable cores over the time on one core."""

    def title(row: Row) -> str:
        method = row.parameters["method"]
        n_particles = row.parameters["particles"][method][row.parameters["effort"]]
        return f"{NAMES.get(method, method)}\n{n_particles:,} particles"

    return figure_cores.draw(context, title)
