"""Figures of the curves: prior traces, importance sampling against size, posterior draws, outliers, vectorisation.

Published layouts: Figures 4 to 6. Every number drawn comes from a stored row, its arrays, or the exact posterior.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from studies import figure_cores
from studies import figure_style as style
from studies.base import FigureContext, Row, figure
from studies.curvefit import figures_curves as curves
from studies.curvefit import figures_scaling as panels
from studies.curvefit.figures_outliers import (
    PROBABILITY_COLORS,
    chain_facts,
    draw_legend,
    draw_outlier_column,
    outlier_columns,
)
from studies.curvefit.figures_vectorization import draw_vectorization

TRACE_TASKS = ("prior_traces",)
SINGLE_TASKS = ("single_trace",)
SCALING_TASKS = ("scaling", "evidence", "importance_sampling")
POSTERIOR_TASKS = ("posterior_draws", "basic_hmc")
OUTLIER_TASKS = (
    "misspecified_draws",
    "robust_importance_sampling",
    "robust_marginal_importance_sampling",
    "gibbs_hmc",
)
FIXED_RATE_TASKS = (
    "misspecified_draws",
    "fixed_rate_importance_sampling",
    "fixed_rate_marginal_importance_sampling",
    "fixed_rate_gibbs_hmc",
    "fixed_rate_marginal_hmc",
)
CORES_TASKS = ("importance_sampling", "importance_sampling_one_core")
VECTORIZATION_TASKS = ("single_trace", "prior_traces")


@figure(file="curvefit_prior_multipoint_traces_density", tasks=TRACE_TASKS)
@style.styled
def prior_multipoint(context: FigureContext) -> Figure:
    """Traces of the prior, each with its log density."""
    row = context.rows.only(task="prior_traces")
    n_traces = row.parameters["n_traces"]
    drawing = style.new_figure((12.0, 4.6))
    axes = drawing.subplots(1, n_traces, squeeze=False)[0]
    drawing.subplots_adjust(left=0.02, right=0.98, top=0.97, bottom=0.19, wspace=0.08)
    traces = curves.traces_of(row)
    for one, trace in zip(axes, traces, strict=True):
        curves.draw_trace(one, trace, context.problem(row.parameters).data["xs"])
    style.footnote(drawing, [f"{n_traces} traces of the prior, drawn together under vmap", f"seed {row.seed}"])
    return drawing


@figure(file="curvefit_single_multipoint_trace_density", tasks=SINGLE_TASKS)
@style.styled
def single_multipoint(context: FigureContext) -> Figure:
    """One trace of the prior with its log density."""
    row = context.rows.only(task="single_trace")
    drawing = style.new_figure((4.0, 4.6))
    axes = drawing.add_axes((0.05, 0.19, 0.9, 0.78))
    curves.draw_trace(axes, curves.traces_of(row)[0], context.problem(row.parameters).data["xs"])
    style.footnote(drawing, ["a trace of the prior", f"seed {row.seed}"])
    return drawing


@figure(file="curvefit_scaling_performance", tasks=SCALING_TASKS, timing=True)
@style.styled
def scaling(context: FigureContext) -> Figure:
    """Time, memory and log evidence of importance sampling against the number of particles."""
    drawing = style.new_figure((18.0, 5.2))
    axes = drawing.subplots(1, 3)
    drawing.subplots_adjust(left=0.06, right=0.985, top=0.95, bottom=0.29, wspace=0.27)
    facts = [
        *panels.draw_runtime(axes[0], context),
        *panels.draw_memory(axes[1], context),
        *panels.draw_evidence(axes[2], context),
    ]
    for one in axes:
        panels.finish(one, context)
    style.footnote(drawing, [f"{context.device.upper()}: {context.device_name}", *facts])
    return drawing


@figure(file="curvefit_posterior_scaling_combined", tasks=POSTERIOR_TASKS)
@style.styled
def posterior_scaling(context: FigureContext) -> Figure:
    """Posterior draws of importance sampling at several sizes, with the effective sample size of each."""
    rows = panels.by_size(context, "posterior_draws")
    drawing = style.new_figure((15.0, 4.6))
    axes = drawing.subplots(1, len(rows), sharey=True, squeeze=False)[0]
    drawing.subplots_adjust(left=0.075, right=0.99, top=0.84, bottom=0.25, wspace=0.06)
    for index, (one, row) in enumerate(zip(axes, rows, strict=True)):
        problem = context.problem(row.parameters)
        curves.draw_posterior(one, row, problem, curves.SIZE_COLORS[index % len(curves.SIZE_COLORS)], index == 0)
        one.set_xlabel("x")
    axes[0].set_ylabel("y")
    facts = [
        "one draw from each of many independent samplers",
        "ESS: mean over the samplers",
        *curves.cautions(rows[0]),
        *chain_facts(context, "basic_hmc", "HMC from the prior's mean"),
    ]
    style.footnote(drawing, [*facts, *curves.data_facts(context.problem(rows[0].parameters))])
    return drawing


@figure(file="curvefit_outlier_detection_comparison", tasks=OUTLIER_TASKS, timing=True)
@style.styled
def outlier_detection(context: FigureContext) -> Figure:
    """The basic model, and the robust one by importance sampling and by Gibbs with HMC, on data with outliers."""
    return draw_outliers(context, OUTLIER_TASKS, "Robust curve model with outliers")


@figure(file="curvefit_outlier_detection_fixed_rate", tasks=FIXED_RATE_TASKS, timing=True)
@style.styled
def outlier_detection_fixed_rate(context: FigureContext) -> Figure:
    """The same comparison with a robust model whose outlier rate is fixed, alike in both of its panels."""
    rates = [row.parameters["outlier_rate"] for row in context.rows if "outlier_rate" in row.parameters]
    title = f"Robust curve model, outlier rate {rates[0]:g}" if rates else "Robust curve model"
    return draw_outliers(context, FIXED_RATE_TASKS, title)


def draw_outliers(context: FigureContext, tasks: tuple[str, ...], title: str) -> Figure:
    """A column of the basic model, and two of one robust model: `tasks` in the order of `OUTLIER_TASKS`."""
    drawing = style.new_figure((18.0, 9.0))
    columns = outlier_columns(context, tasks)
    grid = GridSpec(
        3, len(columns), drawing, height_ratios=(10, 4.2, 0.5), left=0.06, right=0.985, top=0.925, bottom=0.175,
        hspace=0.42, wspace=0.12,
    )  # fmt: skip
    lower = []
    for index, column in enumerate(columns):
        above, below = drawing.add_subplot(grid[0, index]), drawing.add_subplot(grid[1, index])
        draw_outlier_column(above, below, column, context, is_first=index == 0)
        lower.append(below)
    draw_legend(lower[0], lower[1:])
    drawing.text(0.205, 0.945, "Curve model", ha="center", fontsize=style.FONT_SIZES["title"], fontweight="bold")
    drawing.text(0.685, 0.945, title, ha="center", fontsize=style.FONT_SIZES["title"], fontweight="bold")
    scale = ScalarMappable(Normalize(0, 1), PROBABILITY_COLORS)
    bar = drawing.colorbar(scale, cax=drawing.add_subplot(grid[2, 1:]), orientation="horizontal")
    bar.set_label("P(outlier)", fontsize=style.FONT_SIZES["caption"])
    bar.ax.tick_params(labelsize=style.FONT_SIZES["caption"])
    style.footnote(drawing, [f"{context.device.upper()}: {context.device_name}", *columns[-1].facts], y=0.008)
    return drawing


@figure(file="curvefit_vectorization_illustration", tasks=VECTORIZATION_TASKS)
@style.styled
def vectorization(context: FigureContext) -> Figure:
    """What vmap does to a trace: every array in it gains an axis."""
    single, batch = (context.rows.only(task=task) for task in VECTORIZATION_TASKS)
    drawing = style.new_figure((15.0, 5.2))
    xs = np.asarray(context.problem(single.parameters).data["xs"])
    draw_vectorization(drawing, single, batch, xs)
    return drawing


@figure(file="curvefit_one_core_and_all_cores", tasks=CORES_TASKS)
@style.styled
def cores(context: FigureContext) -> Figure:
    """Time on all usable cores over the time on one core, for each system."""

    def title(row: Row) -> str:
        return f"Importance sampling of a curve\n{row.parameters['n_particles']:,} particles"

    return figure_cores.draw(context, title, ("genjax", "handcoded_jax", "numpyro"))
