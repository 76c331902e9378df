"""Columns of the outlier figure: curves over data coloured by P(outlier), and below them P(outlier) against truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from studies import figure_flags
from studies import figure_style as style
from studies.base import FigureContext, Row
from studies.curvefit.densities import outlier_probabilities
from studies.curvefit.figures_curves import draw_curves, draw_reference, mean_error, x_span
from studies.curvefit.truth import RobustPosterior

PROBABILITY_COLORS = "RdBu_r"
CHAIN_COLOR = "#EE7733"
Y_SPAN = (-2.5, 2.5)


@dataclass
class Column:
    """One column of the figure.

    Attributes:
        row: its cell; None if it was not planned.
        text: what the box in the panel says.
        color: of the curves.
        name: of the sampler, for the legend.
        draws: the arrays of its draws, (n_draws, ...) each.
        probability: (n_points,) P(outlier) of its draws; None for a model without outliers.
        baseline: another estimate of it by name, from a stronger sampler.
        facts: what else to print.
    """

    row: Row | None
    text: str
    color: str
    name: str = "importance sampling"
    draws: dict[str, np.ndarray] = field(default_factory=dict)
    probability: np.ndarray | None = None
    baseline: tuple[str, np.ndarray] | None = None
    facts: list[str] = field(default_factory=list)


def outlier_columns(context: FigureContext, tasks: tuple[str, ...]) -> list[Column]:
    """The basic model by importance sampling; the robust model by importance sampling, and by Gibbs with HMC.

    Args:
        context: of the figure.
        tasks: importance sampling of the basic model, of the robust one, of that with the indicators summed out, then
            chains: of Gibbs with HMC, and others that are only told of.
    """
    basic, sampled, marginal = (_pick(context, task, "n_particles") for task in tasks[:3])
    chains = _pick(context, tasks[3], "n_steps")
    columns = [Column(basic, _sampler_text(basic), style.BLUE), Column(sampled, _sampler_text(sampled), style.BLUE)]
    columns.append(Column(chains, _chain_text(chains), CHAIN_COLOR, "Gibbs + HMC"))
    for column in columns[:2]:
        if column.row is not None and column.row.status == "ok":
            column.draws = column.row.arrays
    if sampled is not None and sampled.status == "ok":
        columns[1].probability = sampled.arrays["is_outlier"].mean(axis=0)
    if marginal is not None and marginal.status == "ok":
        problem = context.problem(marginal.parameters)
        exact = outlier_probabilities(marginal.arrays, problem.data, problem.truth).mean(axis=0)
        n = marginal.parameters["n_particles"]
        columns[1].baseline = (f"the same, indicators summed out, N = {n:,}", exact)
    if chains is not None and chains.status == "ok":
        columns[2].draws = {name: array[:, -1] for name, array in chains.arrays.items()}
        columns[2].probability = columns[2].draws["is_outlier"].mean(axis=0)
    columns[2].facts = _facts(context, tasks)
    return columns


def draw_outlier_column(above: Axes, below: Axes, column: Column, context: FigureContext, is_first: bool) -> None:
    """A panel of curves over data above a panel of P(outlier) against the enumerated truth."""
    row = column.row
    if row is None or row.status != "ok":
        text = "was not asked for" if row is None else style.status_text(row.status, row.reason)
        for axes in (above, below):
            axes.set(xticks=[], yticks=[])
        style.mark_panel(above, text)
        return
    problem = context.problem(row.parameters)
    xs, ys = problem.data["xs"], problem.data["ys"]
    span = x_span(xs)
    draw_curves(above, column.draws, span, column.color, alpha=0.05 * 500 / max(100, len(column.draws["a"])))
    draw_reference(above, problem, span, with_posterior=False)
    colors = "grey" if column.probability is None else colormaps[PROBABILITY_COLORS](column.probability)
    above.scatter(xs, ys, s=110, c=colors, edgecolor="black", linewidth=1.2, zorder=6)
    above.set(xlim=span, ylim=(min(Y_SPAN[0], ys.min() - 0.3), max(Y_SPAN[1], ys.max() + 0.3)))
    error = mean_error(column.draws, problem.truth["posterior"])
    above.text(
        0.5, 0.03, f"{column.text}\nmeans off by {error:.2f} posterior sd", transform=above.transAxes, ha="center",
        va="bottom", fontsize=13, zorder=8,
        bbox={**style.MARK_BACKGROUND, "edgecolor": "grey", "alpha": 1.0},
    )  # fmt: skip
    style.three_ticks(above.xaxis)
    style.three_ticks(above.yaxis)
    if "outlier_bound" in problem.truth:
        for edge in (-1, 1):
            above.axhline(edge * problem.truth["outlier_bound"], color=style.RED, linestyle="--", linewidth=2)
        above.text(
            span[0] + 0.02, problem.truth["outlier_bound"] - 0.07, "Outlier bounds", color=style.RED, fontsize=12,
            va="top",
        )  # fmt: skip
    if is_first:
        above.set_ylabel("Y")
    draw_probabilities(below, column, xs, problem.truth["posterior"])
    below.set_xlim(span)
    (above if column.probability is None else below).set_xlabel("X")


def draw_probabilities(axes: Axes, column: Column, xs: np.ndarray, posterior: RobustPosterior) -> None:
    """P(outlier) of every point: exact as rings, estimated as dots."""
    if column.probability is None:
        axes.axis("off")
        axes.text(
            0.5, 0.86, "this model knows no outliers: every point pulls at the curve", transform=axes.transAxes,
            ha="center", va="top", fontsize=12, style="italic", color=style.DARK_GREY,
        )  # fmt: skip
        return
    exact = posterior.outlier_probability
    axes.vlines(xs, exact, column.probability, color="grey", linewidth=1.5, zorder=1)
    axes.plot(xs, column.probability, "o", color=column.color, markersize=7, zorder=3, label=column.name)
    if column.baseline is not None:
        name, values = column.baseline
        axes.plot(xs, values, "x", color=style.GREEN, markersize=8, markeredgewidth=2, zorder=4, label=name)
    axes.plot(xs, exact, "o", markersize=11, markerfacecolor="none", markeredgecolor="black", zorder=2, label="exact")
    error = float(np.abs(column.probability - exact).max())
    axes.set(ylim=(-0.12, 1.12), yticks=[0, 1])
    axes.set_ylabel("P(outlier)", fontsize=style.FONT_SIZES["caption"])
    axes.set_title(f"largest error of P(outlier): {error:.2f}", fontsize=style.FONT_SIZES["caption"])
    axes.tick_params(labelsize=style.FONT_SIZES["caption"])


def draw_legend(axes: Axes, panels: list[Axes]) -> None:
    """The legend of the panels of P(outlier), in the place that the model without outliers leaves free."""
    handles: dict[str, Any] = {}
    for panel in panels:
        found, labels = panel.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    if handles:
        names = sorted(handles, key=lambda name: name != "exact")
        axes.legend(
            [handles[name] for name in names], names, loc="upper center", fontsize=13, frameon=False,
            bbox_to_anchor=(0.5, 0.72),
        )  # fmt: skip


def _pick(context: FigureContext, task: str, parameter: str) -> Row | None:
    """The row of the size that the settings name, else the first of the task; None if there is none."""
    rows = list(context.rows.where(task=task, framework="genjax"))
    wanted = context.settings.get(f"shown_{parameter}", {}).get(task)
    chosen = [row for row in rows if row.parameters[parameter] == wanted]
    return next(iter(chosen or rows), None)


def _sampler_text(row: Row | None) -> str:
    if row is None or row.status != "ok":
        return ""
    parameters, found = row.parameters, row.diagnostics
    return (
        f"importance sampling, N = {parameters['n_particles']:,}\n"
        f"{parameters['n_draws']:,} runs, ESS {found['effective_sample_size']:.1f}"
    )


def _chain_text(row: Row | None) -> str:
    if row is None or row.status != "ok":
        return ""
    parameters = row.parameters
    time = "" if row.median_s is None else f" in {shown_time(row.median_s)}"
    return f"enumerative Gibbs + HMC\n{parameters['n_chains']:,} chains × {parameters['n_steps']:,} iterations{time}"


def _facts(context: FigureContext, tasks: tuple[str, ...]) -> list[str]:
    """Errors of every size that was run, and how long the chains take to reach the truth."""
    facts = []
    for task, name in zip(tasks[1:3], ("importance sampling", "indicators summed out"), strict=True):
        rows = [row for row in context.rows.where(task=task) if row.status == "ok"]
        errors = [
            f"{row.diagnostics['outlier_probability_error']:.2f} at N = {row.parameters['n_particles']:,} "
            f"(ESS {row.diagnostics['effective_sample_size']:.1f})"
            for row in rows
        ]
        if errors:
            facts.append(f"error of P(outlier) with draws weighted by evidence, {name}: {', '.join(errors)}")
    if context.rows.where(task=tasks[3], status="ok"):  # else its panel says why not
        facts += chain_facts(context, tasks[3], "Gibbs + HMC")
    for task in tasks[4:]:
        facts += chain_facts(context, task, "HMC, indicators summed out")
    return facts


def chain_facts(context: FigureContext, task: str, name: str) -> list[str]:
    """How many iterations chains need to match the truth, and how long these take.

    The time is that of the row with the fewest iterations that include them, by their share of it.
    """
    asked = context.rows.where(task=task, framework="genjax")
    rows = [row for row in asked if row.status == "ok"]
    if not rows:
        return [f"{name}: {style.status_text(row.status, row.reason)}" for row in asked[:1]]
    longest = max(rows, key=lambda row: row.parameters["n_steps"])
    needed = longest.diagnostics["iterations_needed"]
    if not np.isfinite(needed):
        return [f"{name}: chains do not match the exact posterior within {longest.parameters['n_steps']:,} iterations"]
    fact = f"{name}: {longest.parameters['n_chains']:,} chains match the exact posterior after {needed:.0f} iterations"
    seconds_by_steps = {row.parameters["n_steps"]: row.median_s for row in reversed(rows) if row.median_s is not None}
    enough = [n_steps for n_steps in seconds_by_steps if n_steps >= needed]
    if not enough:
        return [fact]
    seconds = seconds_by_steps[min(enough)] * needed / min(enough)
    flags = figure_flags.facts([row for row in rows if row.median_s is not None], has_marks=False)
    return [f"{fact}, {shown_time(seconds)}", *flags]


def shown_time(seconds: float) -> str:
    """Seconds in three digits, below one as milliseconds."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
