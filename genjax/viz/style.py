"""The constants of the house style: colours, sizes in inches and points, positions. No matplotlib, no JAX.

Source: the style of the published figures (base font 18, bold axis labels, 1.5 pt axes, three ticks per axis).
"""

from __future__ import annotations

from typing import Any

BLUE = "#0173B2"
ORANGE = "#DE8F05"
GREEN = "#029E73"
RED = "#CC3311"
LIGHT_PURPLE = "#B19CD9"
DARK_GREY = "#333333"
MUTED_GREY = "#767676"

CATEGORY_COLORS = (BLUE, ORANGE, GREEN, RED, LIGHT_PURPLE, DARK_GREY)
"""Colours of categories that have none of their own, in order."""

PRIMARY_COLORS = {
    "genjax_is": BLUE,
    "genjax_hmc": ORANGE,
    "numpyro_hmc": GREEN,
    "pyro_hmc": GREEN,
    "pyro_vi": RED,
    "data_points": RED,
    "true_values": RED,
    "robot_pose": RED,
    "curves": BLUE,
    "particles": BLUE,
    "background": DARK_GREY,
    "trajectory": ORANGE,
    "lidar_rays": GREEN,
}

IS_VARIANT_COLORS = {"is_50": LIGHT_PURPLE, "is_500": BLUE, "is_5000": GREEN}
"""Importance sampling by number of particles."""

SMC_METHOD_COLORS = {"smc_basic": BLUE, "smc_mh": ORANGE, "smc_hmc": GREEN, "smc_locally_optimal": RED}

FIGURE_SIZES = {
    "single_small": (4.33, 3.25),
    "single_medium": (6.5, 4.875),
    "single_large": (8.66, 6.5),
    "two_panel_horizontal": (12.0, 5.0),
    "two_panel_vertical": (6.5, 8.0),
    "three_panel_horizontal": (18.0, 5.0),
    "four_panel_grid": (10.0, 8.0),
    "framework_comparison": (12.0, 8.0),
    "parameter_posterior": (15.0, 10.0),
    "inference_scaling": (18.0, 3.5),
    "lidar_demo": (12.0, 10.0),
    "trajectory_plot": (10.0, 8.0),
    "smc_comparison": (16.0, 12.0),
}
"""Width and height in inches."""

FONT_HIERARCHY = {"base": 18, "label": 18, "tick": 16, "legend": 16, "title": 20, "caption": 14, "note": 11}
"""Font sizes in points."""

FONT_WEIGHTS = {"base": "normal", "label": "bold", "tick": "normal", "legend": "normal", "title": "normal"}

LINE_SPECS: dict[str, dict[str, Any]] = {
    "curve": {"linewidth": 3.0, "alpha": 0.9},
    "sample": {"linewidth": 1.0, "alpha": 0.1},
    "reference": {"linewidth": 2.0, "linestyle": "--", "color": RED},
    "axis": {"linewidth": 1.5},
}

MARKER_SPECS: dict[str, dict[str, Any]] = {
    "data_points": {"s": 100, "marker": "o", "color": RED, "edgecolors": "white", "linewidths": 1.5, "zorder": 10},
    "particles": {"s": 20, "marker": "o", "color": BLUE, "linewidths": 0.0},
    "true_values": {"s": 160, "marker": "*", "color": RED, "linewidths": 0.0, "zorder": 11},
}

ALPHA_VALUES = {"data_points": 0.9, "curves": 0.9, "samples": 0.1, "bands": 0.25, "particles": 0.6, "grid": 0.3}

LEGEND_SPECS: dict[str, Any] = {"fontsize": FONT_HIERARCHY["legend"], "framealpha": 0.9, "frameon": True}

LEGEND_POSITIONS: dict[str, dict[str, Any]] = {
    "default": {"loc": "best"},
    "upper_left": {"loc": "upper left"},
    "upper_right": {"loc": "upper right"},
    "lower_left": {"loc": "lower left"},
    "lower_right": {"loc": "lower right"},
    "outside_right": {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)},
    "below": {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)},
}

GRID_SETTINGS: dict[str, dict[str, Any]] = {
    "default": {"visible": True, "axis": "both", "alpha": ALPHA_VALUES["grid"]},
    "x_only": {"visible": True, "axis": "x", "alpha": ALPHA_VALUES["grid"]},
    "none": {"visible": False},
}

TICK_SPECS: dict[str, Any] = {"count": 3, "labelsize": FONT_HIERARCHY["tick"], "length": 6, "width": 1.5}

SAVE_SPECS: dict[str, Any] = {"dpi": 300, "bbox_inches": "tight", "pad_inches": 0.05}

RC_PARAMETERS: dict[Any, Any] = {
    "font.size": FONT_HIERARCHY["base"],
    "font.family": "DejaVu Sans",
    "axes.labelsize": FONT_HIERARCHY["label"],
    "axes.labelweight": FONT_WEIGHTS["label"],
    "axes.titlesize": FONT_HIERARCHY["title"],
    "axes.linewidth": LINE_SPECS["axis"]["linewidth"],
    "xtick.labelsize": TICK_SPECS["labelsize"],
    "ytick.labelsize": TICK_SPECS["labelsize"],
    "xtick.major.width": TICK_SPECS["width"],
    "ytick.major.width": TICK_SPECS["width"],
    "xtick.major.size": TICK_SPECS["length"],
    "ytick.major.size": TICK_SPECS["length"],
    "legend.fontsize": FONT_HIERARCHY["legend"],
    "grid.alpha": ALPHA_VALUES["grid"],
    "figure.dpi": 100,
    "savefig.dpi": SAVE_SPECS["dpi"],
    "savefig.bbox": SAVE_SPECS["bbox_inches"],
    "savefig.pad_inches": SAVE_SPECS["pad_inches"],
    "pdf.fonttype": 42,
}
"""The same, as matplotlib's settings."""
