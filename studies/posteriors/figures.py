"""Figures of the posteriors: effective draws per second and per gradient, warm-up apart, and error against time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from studies import figure_flags
from studies import figure_style as style
from studies.base import FigureContext, Row, Rows, figure, how_timed
from studies.posteriors.gate import FRACTIONS

TASKS = (
    "eight_schools_noncentred", "eight_schools_centred", "logistic", "poisson", "ordinal", "mixture",
    "gaussian_process", "stochastic_volatility", "logistic_hmc",
)  # fmt: skip
ORDER = ("genjax", "numpyro", "blackjax", "tfp", "pyro")
"""Left to right in every group. Frameworks not named here follow."""

TITLES = {
    "eight_schools_noncentred": "eight schools,\nnon-centred",
    "eight_schools_centred": "eight schools,\ncentred",
    "logistic": "logistic\nregression",
    "poisson": "hierarchical\nPoisson",
    "ordinal": "ordinal\nregression",
    "mixture": "mixture of\ntwo normals",
    "gaussian_process": "Gaussian\nprocess",
    "stochastic_volatility": "stochastic\nvolatility",
    "logistic_hmc": "logistic\nregression, HMC",
}
MARKERS = "ohsD^vP"
COLUMNS = 5
"""Panels side by side, at most, of errors against time."""


@dataclass(frozen=True)
class Run:
    """One system on one task: its longest chains, and what a call of fewer draws tells about the warm-up.

    Args:
        warmup_s: seconds of a call without its draws, extrapolated from two lengths; None with one length.
        draws_s: seconds of the draws alone.
        unknown: why there are none, in two or three words.
    """

    row: Row
    warmup_s: float | None
    draws_s: float | None
    unknown: str = "not measured"


def run_of(rows: list[Row]) -> Run:
    """Time is a + b n_samples: with two lengths, a is the warm-up."""
    rows = sorted(rows, key=lambda row: row.parameters["n_samples"])
    longest, timed = rows[-1], [row for row in rows if row.status == "ok" and row.median_s]
    if len(timed) < 2 or longest not in timed:
        return Run(longest, None, None)
    short, (n_short, n_long) = timed[0], (timed[0].parameters["n_samples"], longest.parameters["n_samples"])
    assert short.median_s is not None and longest.median_s is not None
    per_draw = (longest.median_s - short.median_s) / (n_long - n_short)
    warmup_s = longest.median_s - per_draw * n_long
    if per_draw > 0 and warmup_s > 0:
        return Run(longest, warmup_s, per_draw * n_long)
    # Calls differ in their trajectories; a difference of the wrong sign tells nothing.
    return Run(longest, None, None, "times too uneven")


def runs_of(rows: Rows) -> dict[str, dict[str, Run]]:
    """By task and framework, in the order of the figures."""
    found: dict[str, dict[str, Run]] = {}
    for task in rows.values("task"):
        chosen = rows.where(task=task)
        rank = {name: index for index, name in enumerate(ORDER)}
        names = sorted(chosen.values("framework"), key=lambda name: rank.get(name, len(rank)))
        found[task] = {name: run_of(list(chosen.where(framework=name))) for name in names}
    return found


@figure(file="posteriors_effective_draws", tasks=TASKS, timing=True)
@style.styled
def effective(context: FigureContext) -> Figure:
    """For every posterior and system: effective draws per second of drawing, per 1,000 gradients, and the warm-up."""
    runs = runs_of(context.rows)
    width = max(16.0, 3.0 * len(runs) + 2.6)
    drawing = style.new_figure((width, 14.0))
    panels = [drawing.add_axes((2.24 / width, bottom, 1 - 2.56 / width, 0.24)) for bottom in (0.72, 0.43, 0.14)]
    values = (
        ("Effective draws / s\nafter the warm-up", draws_per_second),
        ("Effective draws /\n1,000 gradients", draws_per_gradient),
        ("Warm-up (s)", lambda run: run.warmup_s),
    )
    for axes, (label, value) in zip(panels, values, strict=True):
        draw_groups(axes, runs, value)
        axes.set_ylabel(label)
    named = {str(bar.get_label()): bar for axes in panels for bar in axes.containers}
    handles = {label: bar for label, bar in named.items() if label[:1] != "_"}
    drawing.legend(  # type: ignore[call-overload]  # a container of bars is a handle, whatever the stubs say
        list(handles.values()), list(handles), loc="lower center", bbox_to_anchor=(0.5, 0.045),
        ncol=max(1, len(handles)), frameon=False,
    )  # fmt: skip
    style.footnote(drawing, ["effective draws of the worst unknown", *facts(context)], y=0.01)
    return drawing


@figure(file="posteriors_error_against_time", tasks=TASKS, timing=True)
@style.styled
def error_against_time(context: FigureContext) -> Figure:
    """Root mean square error of the posterior means, in posterior standard deviations, by seconds from the start."""
    runs = runs_of(context.rows)
    n_columns = min(len(runs), COLUMNS)
    n_rows = -(-len(runs) // n_columns)
    width, height = 5.4 * n_columns + 0.6, 4.2 * n_rows + 2.4
    drawing = style.new_figure((width, height))
    places = drawing.subplots(n_rows, n_columns, squeeze=False).ravel()
    panels, spare = places[: len(runs)], places[len(runs) :]
    drawing.subplots_adjust(
        left=1.2 / width, right=1 - 0.3 / width, top=1 - 0.84 / height, bottom=2.4 / height, wspace=0.3, hspace=0.45
    )
    for axes in spare:
        axes.set_axis_off()
    for axes, (task, systems) in zip(panels, runs.items(), strict=True):
        axes.set_title(TITLES.get(task, task), fontsize=style.FONT_SIZES["legend"])
        for index, run in enumerate(systems.values()):
            draw_errors(axes, run, MARKERS[index % len(MARKERS)])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("Seconds")
        style.number_log_axis(axes.xaxis)
        style.number_log_axis(axes.yaxis)
        axes.grid(True, which="major", alpha=0.3)
        style.keep_spines(axes, "left", "bottom")
    for axes in places[::n_columns]:
        axes.set_ylabel("Error of means (sd)")
    handles = {line.get_label(): line for axes in panels for line in axes.lines if line.get_label()[:1] != "_"}
    drawing.legend(
        handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.02 / height), ncol=5, frameon=False
    )
    style.footnote(drawing, facts(context), y=0.06 / height)
    return drawing


def draws_per_second(run: Run) -> float | None:
    """Of the worst unknown, by the seconds of drawing alone; None where they are not known."""
    return run.row.diagnostics["effective_sample_size"] / run.draws_s if run.draws_s else None


def draws_per_gradient(run: Run) -> float | None:
    """Of the worst unknown, per 1,000 gradients of all chains after the warm-up."""
    found = run.row.diagnostics
    return 1000 * found["effective_sample_size"] / found["gradients"] if "gradients" in found else None


def draw_groups(axes: Axes, runs: dict[str, dict[str, Run]], value: Callable[[Run], float | None]) -> None:
    """A group of bars for each task, one for each system; what has no number keeps its place, with the reason."""
    numbers = [value(run) for systems in runs.values() for run in systems.values() if run.row.status == "ok"]
    known = [number for number in numbers if number]
    axes.set_yscale("log")
    axes.set_ylim((min(known) / 3, max(known) * 3) if known else (0.1, 10))  # nothing known: reasons alone, no numbers
    for place, systems in enumerate(runs.values()):
        width = 0.86 / max(1, len(systems))
        for index, run in enumerate(systems.values()):
            x = place + (index - (len(systems) - 1) / 2) * width
            number = value(run) if run.row.status == "ok" else None
            if number:
                bottom = axes.get_ylim()[0]
                axes.bar(
                    x, number - bottom, 0.94 * width, bottom=bottom, color=run.row.color, edgecolor="black",
                    linewidth=0.8, label=run.row.label,
                )  # fmt: skip
                axes.annotate(
                    short(number), (x, number), (0, 3), textcoords="offset points", ha="center", va="bottom",
                    fontsize=style.FONT_SIZES["note"],
                )  # fmt: skip
                continue
            word = style.STATUS_WORDS.get(run.row.status, run.unknown)
            axes.text(
                x, axes.get_ylim()[0] * 1.2, f"{run.row.label}: {word}", rotation=90, ha="center", va="bottom",
                color=style.RED, fontsize=style.FONT_SIZES["note"], style="italic",
            )  # fmt: skip
    axes.set_xlim(-0.5, len(runs) - 0.5)
    axes.set_xticks(range(len(runs)), [TITLES.get(task, task) for task in runs])
    axes.tick_params(axis="x", labelsize=style.FONT_SIZES["note"] + 1)
    if known:
        style.number_log_axis(axes.yaxis)
    else:
        axes.yaxis.set_major_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
    style.keep_spines(axes, "left", "bottom")


def short(number: float) -> str:
    """A number that is no wider than its bar: three digits at most, of thousands from 10,000 on."""
    if number >= 10_000:
        return f"{number / 1000:,.0f}k"
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def draw_errors(axes: Axes, run: Run, marker: str) -> None:
    """Errors after some of the draws; without a known warm-up, only that of the whole call."""
    if run.row.status != "ok" or not run.row.median_s:
        return
    fractions = np.array(FRACTIONS if run.draws_s is not None else FRACTIONS[-1:])
    warmup_s, draws_s = (run.warmup_s, run.draws_s) if run.draws_s is not None else (0.0, run.row.median_s)
    assert warmup_s is not None and draws_s is not None
    errors = [run.row.diagnostics[f"error_at_{fraction:g}"] for fraction in fractions]
    axes.plot(
        warmup_s + fractions * draws_s, errors, marker=marker, color=run.row.color, label=run.row.label, markersize=9,
        markeredgecolor="black", linewidth=2,
    )  # fmt: skip


def divergences(runs: dict[str, dict[str, Run]]) -> list[str]:
    """Of the longest chains, for every task that has any: how many there are in a call of each system."""
    told = []
    for task, systems in runs.items():
        known = [run.row for run in systems.values() if "divergences" in run.row.diagnostics]
        counts = {row.label: row.diagnostics["divergences"] for row in known}
        if any(counts.values()):
            by_system = ", ".join(f"{label} {count:,.0f}" for label, count in counts.items())
            told.append(f"divergences in {TITLES.get(task, task)}: {by_system}".replace("\n", " "))
    return told or ["no divergences"]


def facts(context: FigureContext) -> list[str]:
    """Device, sizes and how times were made, for the bottom edge."""
    rows = context.rows
    counts = {name: _counts(rows, name) for name in ("n_chains", "n_warmup", "n_samples")}
    found = [
        f"{context.device.upper()}: {context.device_name}",
        f"{counts['n_chains']} chains, {counts['n_warmup']} warm-up steps, {counts['n_samples']} draws each",
    ]
    found += divergences(runs_of(rows))
    how = how_timed(rows)
    found += [how] if how is not None else []
    return found + figure_flags.facts(rows, has_marks=False)


def _counts(rows: Rows, name: str) -> str:
    """Every value of a count among what was measured."""
    values = sorted({row.parameters[name] for row in rows if row.status == "ok"})
    return " or ".join(f"{value:,}" for value in values)
