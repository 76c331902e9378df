"""Panels of curves: traces of the prior, and posterior draws over data."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from studies import figure_style as style
from studies.base import Problem, Row
from studies.curvefit.truth import CurvePosterior, design

SIZE_COLORS = (style.LIGHT_PURPLE, style.BLUE, style.GREEN)
"""One colour per panel of posterior draws; the scaling figure marks these sizes in the same colours."""


def traces_of(row: Row) -> list[dict[str, np.ndarray]]:
    """The traces of a row, one dict each, whether or not the row has a batch axis.

    Raises:
        ValueError: the row has no arrays.
    """
    if row.status != "ok":
        raise ValueError(f"The {row.task} row of {row.framework} has no traces: {row.status}: {row.reason}")
    if row.arrays["log_density"].ndim == 0:
        return [row.arrays]
    return [{name: array[i] for name, array in row.arrays.items()} for i in range(len(row.arrays["log_density"]))]


def draw_trace(axes: Axes, trace: dict[str, np.ndarray], xs: np.ndarray, with_density: bool = True) -> None:
    """A trace: its curve, its points, and below them its log density."""
    low, high = min(0.0, float(xs.min())), max(1.0, float(xs.max()))
    grid = np.linspace(low, high, 300)
    coefficients = np.array([trace[name] for name in "abc"], np.float64)
    axes.plot(grid, design(grid) @ coefficients, color=style.BLUE, linewidth=3)
    axes.scatter(xs, trace["obs"], s=110, color=style.RED, edgecolor="white", linewidth=1.2, zorder=3)
    axes.set(xticks=[], yticks=[], xlim=(low - 0.03, high + 0.03))
    axes.margins(y=0.12)
    if with_density:
        axes.set_xlabel(f"log p = {float(trace['log_density']):.2f}".replace("-", "−"), fontsize=20, labelpad=8)


def draw_posterior(axes: Axes, row: Row, problem: Problem, color: str, has_legend: bool) -> None:
    """Posterior draws as faint curves under the data, the true curve and the exact 95% band of the curve."""
    parameters = row.parameters
    title = f"N = {parameters['n_particles']:,}"
    if row.status != "ok":
        axes.set_title(title)
        style.mark_panel(axes, style.status_text(row.status, row.reason))
        return
    axes.set_title(
        f"{title}\nESS {row.diagnostics['effective_sample_size']:.1f}, means off by "
        f"{mean_error(row.arrays, problem.truth['posterior']):.2f} sd",
        fontsize=style.FONT_SIZES["legend"],
    )
    xs, ys = problem.data["xs"], problem.data["ys"]
    span = x_span(xs)
    draw_curves(axes, row.arrays, span, color, alpha=0.025 * 1000 / max(200, len(row.arrays["a"])))
    draw_reference(axes, problem, span)
    axes.plot([], [], color=color, linewidth=2, label=f"{len(row.arrays['a']):,} draws")
    axes.scatter(xs, ys, s=45, color=style.RED, edgecolor="white", linewidth=0.8, zorder=5, label="data")
    axes.set_xlim(*span)
    axes.set_ylim(*y_span(ys))
    style.three_ticks(axes.xaxis)
    style.three_ticks(axes.yaxis)
    if has_legend:
        legend = axes.legend(loc="upper center", ncols=2, fontsize=12, frameon=True, columnspacing=1, handlelength=1.4)
        legend.set_zorder(10)


def mean_error(draws: dict[str, np.ndarray], posterior: CurvePosterior) -> float:
    """How far the draws' means are from the exact ones: the largest of the three, in posterior standard deviations."""
    means = np.array([np.mean(draws[name], dtype=np.float64) for name in "abc"])
    return float(np.abs((means - posterior.mean) / posterior.sd).max())


def draw_curves(
    axes: Axes, draws: dict[str, np.ndarray], span: tuple[float, float], color: str, alpha: float
) -> None:  # fmt: skip
    """One faint line per draw of the coefficients."""
    grid = np.linspace(*span, 80)
    heights = np.stack([draws[name] for name in "abc"], axis=-1).astype(np.float64) @ design(grid).T
    lines = list(np.stack([np.broadcast_to(grid, heights.shape), heights], axis=-1))
    # As an image inside of the PDF: a thousand translucent lines take seconds to show.
    axes.add_collection(LineCollection(lines, colors=color, linewidths=1, alpha=min(alpha, 1.0), rasterized=True))


def draw_reference(axes: Axes, problem: Problem, span: tuple[float, float], with_posterior: bool = True) -> None:
    """The true curve with the noise around it, where there is one, and the exact 95% band of the posterior curve."""
    grid = np.linspace(*span, 200)
    features = design(grid)
    true, noise_sd = problem.truth.get("true_coefficients"), problem.truth["noise_sd"]
    if true is not None:
        height = features @ np.array(true)
        axes.fill_between(grid, height - noise_sd, height + noise_sd, color="grey", alpha=0.3, linewidth=0, zorder=2)
        axes.plot(grid, height, color="black", linewidth=3, zorder=4, label=f"true curve ± {noise_sd:g}")
    if with_posterior:
        posterior = problem.truth["posterior"]
        mean = features @ posterior.mean
        sd = np.sqrt(np.einsum("ni,ij,nj->n", features, posterior.covariance, features))
        for index, edge in enumerate((mean - 1.96 * sd, mean + 1.96 * sd)):
            label = "exact 95%" if index == 0 else None
            axes.plot(grid, edge, color=style.ORANGE, linestyle="--", linewidth=1.8, zorder=4, label=label)


def x_span(xs: np.ndarray) -> tuple[float, float]:
    """The range of x to show: [-0.1, 1.1], or wider if the data are."""
    return min(-0.1, float(xs.min()) - 0.1), max(1.1, float(xs.max()) + 0.1)


def y_span(ys: np.ndarray) -> tuple[float, float]:
    """The published range of y, or wider if the data are."""
    return min(-0.4, float(ys.min()) - 0.15), max(0.4, float(ys.max()) + 0.35)


def cautions(row: Row) -> list[str]:
    """What a reader must know of the draws before trusting them."""
    if row.status != "ok" or row.diagnostics["effective_sample_size"] >= 2:
        return []
    return ["an ESS near 1 is one particle: its panel does not approximate the posterior"]


def data_facts(problem: Problem) -> list[str]:
    """What is special about the data, if they cannot determine a curve by themselves."""
    xs: Any = problem.data["xs"]
    distinct = len(np.unique(xs))
    if len(xs) == 1:
        return ["one point: the data fix one height, the prior all else"]
    if distinct < 3:
        return [f"{distinct} distinct x: the data cannot determine a parabola, the prior fills in"]
    return []
