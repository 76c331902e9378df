"""Panels against the number of particles: time with its knee, memory, log evidence with its replicates.

Knee. A straight line and a line with one bend are fitted to (log N, log time) by least squares. There is a knee where
the bend at least halves the squared error and steepens the slope by 0.3 or more. Nothing is marked that was not
measured: out of memory is a cell that ran out of memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from studies import figure_flags
from studies import figure_style as style
from studies.base import FigureContext, Row
from studies.curvefit.figures_curves import SIZE_COLORS

MARKERS = {"handcoded_jax": "s", "numpyro": "^"}
MINIMUM_SIZES = 6
"""Sizes below which a bend is not looked for: it has three parameters more than a point."""


class Knee(NamedTuple):
    """Where time begins to grow with size.

    Attributes:
        size: number of particles at the bend.
        before: slope of log time against log size below it.
        after: slope above it.
    """

    size: float
    before: float
    after: float


def find_knee(sizes: np.ndarray, times: np.ndarray) -> Knee | None:
    """The knee of times (seconds) over sizes, both (n,); None if there is none, or fewer than 6 sizes."""
    if len(sizes) < MINIMUM_SIZES:
        return None
    x, y = np.log10(np.asarray(sizes, np.float64)), np.log10(np.asarray(times, np.float64))
    line = np.stack([np.ones_like(x), x], axis=-1)
    straight = _residual(line, y)[0]
    # Bends lie between the second point and the last but one, so that both slopes have data.
    candidates = np.linspace(x[1], x[-2], 200)
    fits = [_residual(np.column_stack([line, np.maximum(x - bend, 0.0)]), y) for bend in candidates]
    best = int(np.argmin([error for error, _ in fits]))
    error, (_, before, change) = fits[best]
    if change < 0.3 or error > 0.5 * straight:
        return None
    return Knee(float(10 ** candidates[best]), float(before), float(before + change))


def draw_runtime(axes: Axes, context: FigureContext) -> list[str]:
    """Median time of one call with its interval and all rounds; the knee; other systems; returns facts to print."""
    rows = by_size(context, "scaling")
    timed = [row for row in rows if row.status == "ok" and row.median_s is not None and row.interval_s is not None]
    medians = np.array([row.median_s for row in timed], np.float64)
    for row in timed:
        n = row.parameters["n_particles"]
        axes.plot(np.full(len(row.samples_s), n), 1e3 * row.samples_s, ".", color=style.BLUE, alpha=0.12, markersize=4)
    facts = []
    if timed:
        sizes = np.array([row.parameters["n_particles"] for row in timed])
        low, high = 1e3 * np.array([row.interval_s for row in timed], np.float64).T
        axes.fill_between(sizes, low, high, color=style.BLUE, alpha=0.3, linewidth=0)
        axes.plot(sizes, 1e3 * medians, "o-", color=style.BLUE, linewidth=2, markersize=5, label=timed[0].label)
        knee = find_knee(sizes, medians)
        if knee is not None:
            axes.axvline(knee.size, color=style.DARK_GREY, linestyle=":", linewidth=2)
            text = f" knee at {knee.size:,.0f} \n slope {knee.before:.2f} → {knee.after:.2f} ".replace("-", "−")
            side = "left" if knee.size < np.sqrt(sizes[0] * sizes[-1]) else "right"
            axes.text(
                knee.size, 0.97, text, transform=axes.get_xaxis_transform(), ha=side, va="top", fontsize=13,
                bbox=style.MARK_BACKGROUND,
            )  # fmt: skip
        else:
            facts.append(f"no knee found among {len(sizes)} sizes")
        n_rounds = counted([len(row.samples_s) for row in timed])
        facts.append(f"time: median of {n_rounds} rounds (dots), band: 95% interval")
        facts += figure_flags.facts(timed, has_marks=False)
    facts += draw_others(axes, context)
    for row in rows:
        if row.status != "ok":
            facts.append(f"N = {row.parameters['n_particles']:,}: {style.status_text(row.status, row.reason, 60)}")
        if row.status == "oom":
            n = row.parameters["n_particles"]
            axes.axvline(n, color=style.RED, linestyle="--", linewidth=2)
            axes.text(
                n, 0.6, "out of memory ", transform=axes.get_xaxis_transform(), ha="right", va="bottom", fontsize=13,
                color=style.RED,
            )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylabel("Runtime (ms)")
    return facts


def draw_others(axes: Axes, context: FigureContext) -> list[str]:
    """The other systems of the race where they were measured, and the ratios of ours to the baseline."""
    rows = [row for row in by_size(context, "importance_sampling") if row.status == "ok" and row.median_s is not None]
    for name, marker in MARKERS.items():
        own = [row for row in rows if row.framework == name]
        if own:
            sizes = [row.parameters["n_particles"] for row in own]
            times = 1e3 * np.array([row.median_s for row in own], np.float64)
            axes.plot(sizes, times, marker, color=own[0].color, markeredgecolor="black", label=own[0].label, zorder=4)
    if axes.get_legend_handles_labels()[0]:
        # On white: the knee may be there.
        axes.legend(
            loc="lower right", fontsize=12, framealpha=0.85, edgecolor="none"
        )  # time grows towards the upper right
    ratios = [
        f"{100 * row.ratio:.1f}% [{100 * row.ratio_interval[0]:.1f}, {100 * row.ratio_interval[1]:.1f}] "
        f"at {row.parameters['n_particles']:,}"
        for row in rows
        if row.framework == "genjax" and row.ratio and row.ratio_interval and not row.is_baseline
    ]
    baseline = next((row.label for row in rows if row.is_baseline), None)
    return [f"{rows[0].label if not baseline else 'Ours'} / {baseline}: {', '.join(ratios)}"] if ratios else []


def draw_memory(axes: Axes, context: FigureContext) -> list[str]:
    """Bytes that the compiled programs need, and the peak of the whole process."""
    drawn = False
    for task, label, color, counts in (
        ("scaling", "particles and weights", style.BLUE, ("temporary_bytes", "output_bytes")),
        ("evidence", "log evidence alone", style.GREEN, ("temporary_bytes",)),
    ):
        drawn |= _draw_bytes(axes, context, task, functools.partial(_cost, counts=counts), "o-", color, label)
    drawn |= _draw_bytes(axes, context, "scaling", _peak, "--", style.DARK_GREY, "peak of the process")
    axes.set_yscale("log")
    axes.set_ylabel("Memory (MB)")
    if not drawn:
        style.mark_panel(axes, "memory was not measured")
        return []
    # Between the process, hundreds of megabytes, and the programs, which are small at the left.
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.84), fontsize=12, frameon=False)
    return ["memory: scratch and results by XLA's own analysis"]


def _draw_bytes(
    axes: Axes, context: FigureContext, task: str, bytes_of: Callable[[Row], float | None], line: str, color: str,
    label: str,
) -> bool:  # fmt: skip
    """A line of megabytes over sizes; whether there was anything to draw."""
    rows = [row for row in by_size(context, task) if row.status == "ok"]
    found = [(row.parameters["n_particles"], value / 1e6) for row in rows if (value := bytes_of(row)) is not None]
    if found:
        axes.plot(*zip(*found, strict=True), line, color=color, linewidth=2, markersize=5, label=label)
    return bool(found)


def draw_evidence(axes: Axes, context: FigureContext) -> list[str]:
    """Replicates of the log evidence, their mean and standard deviation, and the exact value."""
    rows = [row for row in by_size(context, "evidence") if row.status == "ok"]
    axes.set_ylabel("Log evidence")
    if not rows:
        style.mark_panel(axes, "no log evidence was measured")
        return []
    exact = context.problem(rows[0].parameters).truth["posterior"].log_evidence
    sizes = np.array([row.parameters["n_particles"] for row in rows])
    replicates = [np.asarray(row.arrays["log_evidence"], np.float64) for row in rows]
    mean = np.array([values.mean() for values in replicates])
    sd = np.array([values.std(ddof=1) if len(values) > 1 else 0.0 for values in replicates])
    # Estimates from few particles are off by hundreds of nats: they are told by an arrow, not drawn to scale.
    low, high = exact - 25.0, exact + 9.0
    for n, values in zip(sizes, replicates, strict=True):
        inside = values[(values > low) & (values < high)]
        axes.plot(np.full(len(inside), n), inside, ".", color=style.BLUE, alpha=0.3, markersize=5)
    axes.fill_between(sizes, mean - sd, mean + sd, color=style.BLUE, alpha=0.25, linewidth=0)
    axes.plot(sizes, mean, "o-", color=style.BLUE, linewidth=2, markersize=5)
    axes.axhline(exact, color="grey", linestyle="--", linewidth=2)
    axes.text(
        0.985, exact + 0.8, f"exact {exact:.2f}".replace("-", "−"), transform=axes.get_yaxis_transform(), ha="right",
        va="bottom", fontsize=13,
    )  # fmt: skip
    off_scale = [(n, m, s) for n, m, s in zip(sizes, mean, sd, strict=True) if m < low]
    text = "\n".join(f"↓ N = {n:,}: {m:.0f} ± {s:.0f}" for n, m, s in off_scale).replace("-", "−")
    if text:
        axes.text(
            0.97, 0.05, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=11, color=style.DARK_GREY,
            bbox=style.MARK_BACKGROUND,
        )  # fmt: skip
    axes.set_ylim(low, high)
    largest = rows[-1]
    return [
        f"evidence: {counted([len(values) for values in replicates])} replicates (dots), band: mean ± sd; "
        + f"{mean[-1]:.2f}".replace("-", "−")
        + f" ± {sd[-1]:.2f} at {largest.parameters['n_particles']:,}"
    ]


def finish(axes: Axes, context: FigureContext) -> None:
    """The common axis of sizes, with lines at the sizes of the posterior figure in their colours there."""
    if axes.get_yscale() == "log":
        # Plain numbers; between powers of ten only where there are few of these.
        low, high = axes.get_ylim()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        is_short = high / low < 50
        axes.yaxis.set_minor_formatter(axes.yaxis.get_major_formatter() if is_short else NullFormatter())
        axes.tick_params(axis="y", which="minor", labelsize=style.FONT_SIZES["tick"])
    sizes = [row.parameters["n_particles"] for row in context.rows]
    low, high = min(sizes) / 1.3, max(sizes) * 1.3
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Number of Samples")
    for size, color in zip(context.settings.get("marked", []), SIZE_COLORS, strict=False):
        if low <= size <= high:
            axes.axvline(size, color=color, linewidth=5, alpha=0.35, zorder=0)
    axes.grid(alpha=0.3)


def counted(counts: list[int]) -> str:
    """`20`, or `12 to 40` where counts differ."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def by_size(context: FigureContext, task: str) -> list[Row]:
    """The rows of a task by number of particles."""
    return sorted(context.rows.where(task=task), key=lambda row: row.parameters["n_particles"])


def _residual(features: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    solution = np.linalg.lstsq(features, y, rcond=None)[0]
    return float(np.sum((features @ solution - y) ** 2)), solution


def _cost(row: Row, counts: tuple[str, ...]) -> float | None:
    cost = row.record.get("cost", {})
    return sum(cost[name] for name in counts) if all(name in cost for name in counts) else None


def _peak(row: Row) -> float | None:
    memory = row.record.get("memory", {})
    return memory.get("peak_device_bytes") or memory.get("peak_host_bytes")
