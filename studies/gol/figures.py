"""Figures of the Game of Life run backwards: the showcase, the cost of a sweep, accuracy over seeds, an animation.

Published layout: Figure 18. Every number drawn comes from stored rows, their boards, or the problem.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from studies import figure_cores, figure_flags
from studies import figure_style as style
from studies.base import Animation, FigureContext, Row, Rows, figure
from studies.gol.rule import next_board

FRAMEWORK = "genjax"
"""The showcase, the bars and the animation are of this one; the others are drawn beside it where they differ."""

N_RESAMPLES = 1000


# ---------------------------------------------------------------- showcase


@figure(file="gol_integrated_showcase_{target}_{height}{suffix}", tasks=("reconstruction",))
@style.styled
def showcase(context: FigureContext) -> Figure:
    """The target; four stages of the inferred board before it; and what the last of them evolves to."""
    row = context.rows.only(framework=FRAMEWORK)
    drawing = Figure(figsize=(14.0, 5.0))
    left, middle, right = (drawing.add_axes((x, 0.13, 0.30, 0.74)) for x in (0.01, 0.355, 0.69))
    problem = context.problem(row.parameters)
    target = problem.data["target"]
    draw_board(left, target, style.RED, 4)
    middle.axis("off")
    if row.status != "ok":
        style.mark_panel(middle, style.status_text(row.status, row.reason))
        right.axis("off")
        style.mark_panel(right, style.status_text(row.status, row.reason))
    else:
        sweeps = problem.truth["frame_sweeps"]
        stages = [int(np.flatnonzero(sweeps == sweep)[0]) for sweep in thirds(row.parameters["n_sweeps"])]
        for position, stage in enumerate(stages):
            corner = (0.3645 + 0.138 * (position % 2), 0.5 - 0.385 * (position // 2), 0.133, 0.3725)
            panel = drawing.add_axes(corner)
            is_last = position == len(stages) - 1
            frame = (style.GREEN, 4, "--") if is_last else (style.DARK_GREY, 1, "-")
            draw_board(panel, row.arrays["frames"][stage], *frame)
            panel.text(
                0.04, 0.95, f"t={sweeps[stage]}", transform=panel.transAxes, ha="left", va="top",
                fontsize=style.FONT_SIZES["caption"], fontweight="bold", bbox=style.MARK_BACKGROUND,
            )  # fmt: skip
        draw_board(right, next_board(row.arrays["frames"][stages[-1]]), style.GREEN, 4, "--")
    titles = (("Observed State", 0.16), ("Inversion via Gibbs", 0.4995), ("One-Step Evolution", 0.84))
    for title, x in titles:
        drawing.text(x, 0.915, title, ha="center", fontsize=style.FONT_SIZES["title"], fontweight="bold")
    subtitles = (
        (0.16, f"{target.shape[0]} × {target.shape[1]} cells, {target.mean():.0%} alive"),
        (0.50, f"a board that leads there, after t of {row.parameters['n_sweeps']} sweeps"),
        (0.84, accuracy_text(row) if row.status == "ok" else ""),
    )
    for x, text in subtitles:
        drawing.text(x, 0.055, text, ha="center", fontsize=style.FONT_SIZES["caption"])
    style.footnote(drawing, footnotes(row, context), y=0.0)
    return drawing


def thirds(n_sweeps: int) -> list[int]:
    """The four sweeps that the showcase shows, fewer where there are fewer sweeps."""
    return sorted({int(sweep) for sweep in np.round(np.linspace(0, n_sweeps, 4))})


def accuracy_text(row: Row) -> str:
    """The share of the next cells that are as observed, and the number of the others."""
    return f"{row.diagnostics['accuracy']:.1%} as observed, {row.diagnostics['errors']:,.0f} cells are not"


def footnotes(row: Row, context: FigureContext) -> list[str]:
    """Where the numbers are from, and the published one beside them."""
    facts = [context.device_name, f"seed {row.seed}", f"softness {row.parameters['softness']:g}"]
    if row.median_s is not None:
        facts.append(f"{row.parameters['n_sweeps']} sweeps took {row.median_s:.3g} s")
    reference = context.settings["reference"]
    if reference["accuracy"] is not None:
        time = f" in {reference['seconds']:g} s" if reference["seconds"] is not None else ""
        facts.append(f"{reference['name'].lower()}: {reference['accuracy']:.1%}{time}")
    return facts


def draw_board(axes: Axes, board: np.ndarray, colour: str, width: float, line: str = "-") -> None:
    """A board, living cells black, in a frame of its own shape."""
    axes.imshow(
        ~board, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if max(board.shape) < 200 else "antialiased"
    )
    axes.set(xticks=[], yticks=[], anchor="N")  # a wide board stays below its heading
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linewidth=width, linestyle=line)


# ---------------------------------------------------------------- cost of a sweep


@figure(file="gol_gibbs_timing_bar_plot", tasks=("sweeps",), timing=True)
@style.styled
def timing(context: FigureContext) -> Figure:
    """Seconds of one sweep by size of the board, per device: the slope of time over sweeps within one program."""
    drawing = Figure(figsize=(9.0, 6.0))
    axes = drawing.add_axes((0.15, 0.21, 0.81, 0.70))
    by_device = {context.device: context.rows}
    if len(context.other_device_rows):
        by_device[context.other_device_rows[0].device] = context.other_device_rows
    devices = [device for device in ("cuda", "cpu") if device in by_device]
    sides = sorted(context.rows.values("height"))
    colours = {"cuda": style.ORANGE, "cpu": style.BLUE}
    thickness = 0.8 / len(devices)
    costs: dict[tuple[str, int], tuple[float, float, float] | None] = {}
    for device in devices:
        for side in sides:
            costs[device, side] = sweep_cost(list(by_device[device].where(framework=FRAMEWORK, height=side)))
    by_hand = {
        side: sweep_cost(list(by_device[devices[-1]].where(framework="handcoded_jax", height=side))) for side in sides
    }
    measured = [cost for cost in costs.values() if cost is not None]
    left = 1e3 * min(cost[1] for cost in measured) / 3 if measured else 0.01
    for offset, device in enumerate(devices):
        for index, side in enumerate(sides):
            position = index + (offset - (len(devices) - 1) / 2) * thickness
            cost = costs[device, side]
            if cost is None:
                rows = by_device[device].where(framework=FRAMEWORK, height=side)
                style.mark_bar(axes, position, device.upper(), missing(rows))
                continue
            value, low, high = (1e3 * number for number in cost)
            axes.barh(position, value - left, left=left, height=thickness, color=colours[device], alpha=0.8,
                      edgecolor="black", label=device.upper() if index == 0 else None)  # fmt: skip
            axes.plot([low, high], [position, position], color="black", linewidth=2)
            mark = figure_flags.mark(*by_device[device].where(height=side))  # the bar's, or the diamond's on it
            text = f"  {value:.3g} ms {mark}".rstrip()
            other, hand = costs.get(("cuda", side)), by_hand[side]
            end, room = max(value, high), 78
            if hand is not None and device == devices[-1]:
                # Behind the mark of the code by hand, with both numbers: one alone would seem to be the mark's.
                end, room = max(end, 1e3 * hand[0]), 200
                text += f" (by hand {1e3 * hand[0]:.3g})"
            axes.text(end, position, text, va="center", fontsize=style.FONT_SIZES["caption"])
            if device == "cpu" and other is not None and len(devices) == 2:
                axes.annotate(
                    f"{cost[0] / other[0]:.1f}×", (end, position), (room, 0), textcoords="offset points",
                    va="center", color=style.RED, fontweight="bold", fontsize=style.FONT_SIZES["caption"],
                )  # fmt: skip
    label = None
    for index, side in enumerate(sides):
        hand = by_hand[side]
        if hand is not None:
            position = index + (len(devices) - 1) / 2 * thickness
            axes.plot(
                1e3 * hand[0], position, marker="D", color="gold", markeredgecolor="black", markersize=9, zorder=5,
                linestyle="none", label=None if label else f"Handcoded JAX, {devices[-1].upper()}",
            )  # fmt: skip
            label = True
    if measured:
        axes.set_xscale("log")
        axes.set_xlim(left, 1e3 * max(cost[2] for cost in measured) * 60)
    axes.set_yticks(range(len(sides)), [f"{side}²" for side in sides])
    axes.set_ylim(len(sides) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("Time per Gibbs sweep (ms)")
    axes.set_ylabel("Board")
    drawing.text(0.5, 0.945, "Game of Life Gibbs Sampling Performance", ha="center", fontweight="bold",
                 fontsize=style.FONT_SIZES["title"])  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda index: "Handcoded" in labels[index])
    axes.legend(
        [handles[index] for index in order], [labels[index] for index in order], loc="upper right", frameon=False
    )
    style.keep_spines(axes, "left", "bottom")
    counts = ", ".join(str(count) for count in sorted(context.rows.values("n_sweeps")))
    facts = [context.device_name, f"slope of median time over {counts} sweeps in one scan, 95% intervals"]
    facts += figure_flags.facts([row for rows in by_device.values() for row in rows])
    style.footnote(drawing, facts, y=0.005)
    return drawing


def sweep_cost(rows: list[Row]) -> tuple[float, float, float] | None:
    """Seconds of one more sweep and a bootstrap 95% interval: the least-squares slope of median time over sweeps.

    Args:
        rows: cells that are equal except for `n_sweeps`. None unless at least two of them are timed.
    """
    timed = [row for row in rows if row.status == "ok" and len(row.samples_s)]
    counts = np.array([row.parameters["n_sweeps"] for row in timed], np.float64)
    if len(set(counts)) < 2:
        return None
    random = np.random.default_rng(0)
    medians = np.array([np.median(row.samples_s) for row in timed])
    resampled = np.array([
        np.median(random.choice(row.samples_s, (N_RESAMPLES, len(row.samples_s))), axis=1) for row in timed
    ])  # fmt: skip
    # Errors grow with the time itself: weighing by 1 / k keeps long runs from deciding alone.
    weights = 1 / counts**2
    centred = counts - np.average(counts, weights=weights)
    gradient = weights * centred / np.sum(weights * centred**2)
    low, high = np.quantile(gradient @ resampled, (0.025, 0.975))
    return float(gradient @ medians), float(low), float(high)


def missing(rows: Iterable[Row]) -> str:
    """Why there is no bar."""
    bad = next((row for row in rows if row.status != "ok"), None)
    return style.status_text(bad.status, bad.reason) if bad is not None else "not timed at two numbers of sweeps"


# ---------------------------------------------------------------- accuracy


@figure(
    file="gol_accuracy_by_sweep_{target}_{height}{suffix}", tasks=("accuracy", "known_predecessor", "unknown_softness")
)
@style.styled
def accuracy(context: FigureContext) -> Figure:
    """Accuracy by sweep: of the picture, and of a target drawn from the model; and the softness when inferred."""
    drawing = style.new_figure("three_panel")
    panels = [drawing.add_axes((x, 0.20, 0.262, 0.66)) for x in (0.058, 0.393, 0.728)]
    picture, known, unknown = (
        context.rows.where(task=task) for task in ("accuracy", "known_predecessor", "unknown_softness")
    )
    titles = ("Picture", "Target with a known predecessor", "Softness inferred")
    for axes, rows, title in zip(panels, (picture, known, unknown), titles, strict=True):
        axes.set_title(title, fontweight="bold", fontsize=style.FONT_SIZES["label"])
        if not any(row.status == "ok" for row in rows):
            reason = style.status_text(rows[0].status, rows[0].reason) if len(rows) else "not asked for"
            style.mark_panel(axes, reason)
    draw_curves(panels[0], picture, errors_to_accuracy)
    draw_curves(panels[1], known, errors_to_accuracy)
    draw_curves(panels[2], unknown, lambda row: row.arrays["softness"])
    reference = context.settings["reference"]
    if reference["accuracy"] is not None and len(picture):
        panels[0].axhline(
            100 * reference["accuracy"], color=style.RED, linestyle="--", linewidth=2, label=reference["name"]
        )
    true = [row for row in known if row.status == "ok"]
    if true:
        n_cells = true[0].parameters["height"] * (true[0].parameters["width"] or true[0].parameters["height"])
        share = 100 * (1 - true[0].diagnostics["predecessor_errors"] / n_cells)
        panels[1].axhline(share, color=style.RED, linestyle="--", linewidth=2, label="True predecessor")
    mismatches = [row.arrays["errors"][:, -1].mean() / cells(row) for row in unknown if row.status == "ok"]
    if mismatches:
        panels[2].axhline(
            np.mean(mismatches), color=style.RED, linestyle="--", linewidth=2, label="Mismatch at the end"
        )
    for axes in panels:
        axes.set_xlabel("Sweep")
        axes.grid(True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right" if axes is panels[2] else "lower right", frameon=True, framealpha=0.9)
    panels[0].set_ylabel("Next cells as observed (%)")
    panels[2].set_ylabel("Softness")
    facts = [context.device_name, f"mean and range of {context.parameters['n_chains']} chains"]
    style.footnote(drawing, [*facts, *sizes([picture, known, unknown])], y=0.01)
    return drawing


def sizes(groups: Iterable[Rows]) -> list[str]:
    """`128² board`, ... of each panel."""
    return [f"{rows[0].parameters['height']}² board" for rows in groups if len(rows)]


def errors_to_accuracy(row: Row) -> np.ndarray:
    """Per cent of the next cells that are as observed, per sweep."""
    return 100 * (1 - row.arrays["errors"] / cells(row))


def cells(row: Row) -> int:
    """How many cells the board has."""
    height, width = row.parameters["height"], row.parameters["width"]
    return height * (width or height)


def draw_curves(axes: Axes, rows: Sequence[Row], curve: Callable[[Row], np.ndarray]) -> None:
    """One line and band per framework: mean and range over the chains, from the first sweep on."""
    for framework in dict.fromkeys(row.framework for row in rows):
        chosen = [row for row in rows if row.framework == framework and row.status == "ok"]
        if not chosen:
            continue
        curves = np.concatenate([curve(row) for row in chosen])[:, 1:]
        sweeps = np.arange(1, curves.shape[1] + 1)
        colour = style.BLUE if framework == FRAMEWORK else style.ORANGE
        dashes = "-" if framework == FRAMEWORK else (0, (2, 2))
        axes.fill_between(sweeps, curves.min(0), curves.max(0), color=colour, alpha=0.25, linewidth=0)
        axes.plot(sweeps, curves.mean(0), color=colour, linewidth=2.5, linestyle=dashes, label=chosen[0].label)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


# ---------------------------------------------------------------- animation


@figure(file="gol_inference_{target}_{height}{suffix}", tasks=("reconstruction",))
@style.styled
def animation(context: FigureContext) -> Animation:
    """The chain at its kept sweeps: the board, what it evolves to, and the accuracy so far."""
    row = context.rows.only(framework=FRAMEWORK)
    if row.status != "ok":
        raise ValueError(f"The animation has nothing to show: {style.status_text(row.status, row.reason)}.")
    sweeps = context.problem(row.parameters).truth["frame_sweeps"]
    curve = errors_to_accuracy(row)
    drawing = Figure(figsize=(11.0, 4.2))
    board, after, plot = (
        drawing.add_axes(box) for box in ((0.01, 0.05, 0.33, 0.82), (0.35, 0.05, 0.33, 0.82), (0.765, 0.19, 0.22, 0.64))
    )
    draw_board(board, row.arrays["frames"][0], style.DARK_GREY, 1.5)
    draw_board(after, next_board(row.arrays["frames"][0]), style.GREEN, 3)
    heading = drawing.text(0.175, 0.925, "", ha="center", fontweight="bold", fontsize=style.FONT_SIZES["label"])
    drawing.text(0.515, 0.925, "One step later", ha="center", fontweight="bold", fontsize=style.FONT_SIZES["label"])
    plot.plot(np.arange(1, len(curve)), curve[1:], color=style.BLUE, linewidth=2.5)
    (dot,) = plot.plot([1], [curve[0]], "o", color=style.RED, markersize=11)
    plot.set_xscale("symlog", linthresh=1)
    plot.set(xlim=(0, len(curve) * 1.2), ylim=(min(curve) - 3, 100), xlabel="Sweep")
    plot.set_title("As observed (%)", fontsize=style.FONT_SIZES["caption"], fontweight="bold")
    plot.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    plot.plot(np.arange(len(curve)), curve, color=style.BLUE, linewidth=2.5)
    plot.grid(True)

    def show(index: int) -> None:
        frame = row.arrays["frames"][index]
        board.images[0].set_data(~frame)
        after.images[0].set_data(~next_board(frame))
        heading.set_text(f"Inferred board, sweep {sweeps[index]}")
        dot.set_data([sweeps[index]], [curve[sweeps[index]]])

    return Animation(drawing, show, len(sweeps), context.settings["milliseconds"])


# ---------------------------------------------------------------- one core and all cores


@figure(
    file="gol_one_core_and_all_cores_{target}_{height}{suffix}", tasks=("reconstruction", "reconstruction_one_core")
)
@style.styled
def cores(context: FigureContext) -> Figure:
    """Time of the whole chain on all usable cores over the time on one core, for each system."""

    def title(row: Row) -> str:
        return f"Gibbs sampling of a board\n{row.parameters['height']} rows, {row.parameters['n_sweeps']} sweeps"

    return figure_cores.draw(context, title, (FRAMEWORK,))
