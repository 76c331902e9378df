"""The house style: constants of the contract, one set of them, and what each helper does to a figure."""

import inspect

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from genjax.viz import standard, style
from studies import figure_style

SIZES = {
    "single_small": (4.33, 3.25), "single_medium": (6.5, 4.875), "single_large": (8.66, 6.5),
    "two_panel_horizontal": (12, 5), "two_panel_vertical": (6.5, 8), "three_panel_horizontal": (18, 5),
    "four_panel_grid": (10, 8), "framework_comparison": (12, 8), "parameter_posterior": (15, 10),
    "inference_scaling": (18, 3.5), "lidar_demo": (12, 10), "trajectory_plot": (10, 8), "smc_comparison": (16, 12),
}  # fmt: skip
COLORS = {
    "genjax_is": "#0173B2", "genjax_hmc": "#DE8F05", "numpyro_hmc": "#029E73", "pyro_hmc": "#029E73",
    "pyro_vi": "#CC3311", "data_points": "#CC3311", "true_values": "#CC3311", "robot_pose": "#CC3311",
    "curves": "#0173B2", "particles": "#0173B2", "background": "#333333", "trajectory": "#DE8F05",
    "lidar_rays": "#029E73", "is_50": "#B19CD9", "is_500": "#0173B2", "is_5000": "#029E73", "smc_basic": "#0173B2",
    "smc_mh": "#DE8F05", "smc_hmc": "#029E73", "smc_locally_optimal": "#CC3311",
}  # fmt: skip


def test_sizes_and_colours_of_the_contract():
    assert standard.FIGURE_SIZES == SIZES
    assert {**standard.PRIMARY_COLORS, **standard.IS_VARIANT_COLORS, **standard.SMC_METHOD_COLORS} == COLORS
    assert {name: standard.get_method_color(name) for name in COLORS} == COLORS
    assert standard.FONT_HIERARCHY["base"] == standard.FONT_HIERARCHY["label"] == 18
    assert standard.FONT_HIERARCHY["tick"] == standard.FONT_HIERARCHY["legend"] == 16
    assert standard.FONT_HIERARCHY["title"] == 20


def test_the_studies_figures_share_the_constants():
    names = [name for name, value in vars(style).items() if isinstance(value, str) and value.startswith("#")]
    assert len(names) == 7
    assert {name: getattr(style, name) for name in names} == {name: getattr(figure_style, name) for name in names}
    assert style.FONT_HIERARCHY == figure_style.FONT_SIZES
    # How a file is saved is the pipeline's there, figure by figure; how it looks is the same.
    saving = ("savefig.bbox", "savefig.pad_inches", "svg.hashsalt")
    looks = [{k: v for k, v in one.RC_PARAMETERS.items() if k not in saving} for one in (style, figure_style)]
    assert looks[0] == looks[1]
    both = set(style.FIGURE_SIZES) & set(figure_style.FIGURE_SIZES)
    assert both >= {"single_medium", "inference_scaling"}
    assert {name: style.FIGURE_SIZES[name] for name in both} == {name: figure_style.FIGURE_SIZES[name] for name in both}


def test_unknown_method():
    with pytest.raises(KeyError, match="got 'genjax'. Available: .*genjax_is.*is_50.*smc_basic"):
        standard.get_method_color("genjax")


def test_fonts_are_set_for_the_process():
    assert matplotlib.rcParams["axes.labelsize"] != 18
    standard.setup_publication_fonts()
    assert {name: matplotlib.rcParams[name] for name in ("axes.labelsize", "xtick.labelsize", "axes.labelweight")} == {
        "axes.labelsize": 18, "xtick.labelsize": 16, "axes.labelweight": "bold"
    }  # fmt: skip


def visible_grids(ax):
    ax.figure.canvas.draw()
    return [all(line.get_visible() for line in axis.get_gridlines()) for axis in (ax.xaxis, ax.yaxis)]


def test_grids(ax):
    for name, expected in (("default", [True, True]), ("x_only", [True, False]), ("none", [False, False])):
        standard.apply_grid_style(ax, name)
        assert visible_grids(ax) == expected
    with pytest.raises(ValueError, match="style got 'dotted'. Available: default, x_only, none"):
        standard.apply_grid_style(ax, "dotted")


def ticks_in_view(axis):
    low, high = sorted(axis.get_view_interval())
    return [tick for tick in axis.get_majorticklocs() if low <= tick <= high]


@pytest.mark.parametrize("limits", [(0, 1), (-3.2, 17.9), (0.1, 0.12), (-1e6, 1e6), (5, 2), (0.3, 9.7)])
def test_two_or_three_ticks_whatever_the_limits(ax, limits):
    ax.set_xlim(limits)
    standard.set_minimal_ticks(ax)
    assert 2 <= len(ticks_in_view(ax.xaxis)) <= 3


@pytest.mark.parametrize("limits", [(1, 10), (1, 1e6), (8, 1.2e6), (1e-3, 5e8)])
def test_ticks_of_logarithmic_axes_stay_decades(ax, limits):
    ax.set_xscale("log")
    ax.set_xlim(limits)
    standard.set_minimal_ticks(ax)
    ticks = np.log10(ticks_in_view(ax.xaxis))
    assert 1 <= len(ticks) <= 3
    np.testing.assert_allclose(ticks, ticks.round(), atol=1e-9)


def test_ticks_by_number_and_by_position(ax):
    ax.set(xlim=(0, 10), ylim=(0, 10))
    standard.set_minimal_ticks(ax, x_ticks=6, y_ticks=[1, 9])
    assert 4 <= len(ticks_in_view(ax.xaxis)) <= 6
    assert ticks_in_view(ax.yaxis) == [1, 9]
    with pytest.raises(ValueError, match="got 0 ticks. Pass at least 1"):
        standard.set_minimal_ticks(ax, 0)


def test_legends(ax):
    assert standard.apply_legend_style(ax) is None
    ax.plot([0, 1], label="line")
    legend = standard.apply_legend_style(ax, "upper_left", title="kinds")
    assert legend.get_texts()[0].get_fontsize() == 16
    assert (legend.get_title().get_text(), legend._loc) == ("kinds", 2)
    with pytest.raises(ValueError, match="location got 'top'. Available: default, upper_left"):
        standard.apply_legend_style(ax, "top")


def test_saving_closes_the_figure_at_300_dpi(ax, tmp_path):
    figure = ax.figure
    standard.save_publication_figure(figure, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert round(image.info["dpi"][0]) == 300
    assert not plt.fignum_exists(figure.number)
    standard.save_publication_figure(plt.figure(figsize=(2, 2)), tmp_path / "small.png", dpi=50, bbox_inches=None)
    with Image.open(tmp_path / "small.png") as image:
        assert image.size == (100, 100)


def test_legend_of_methods(tmp_path):
    figure = standard.create_method_legend(["genjax_is", "smc_locally_optimal"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["GenJAX IS", "SMC locally optimal"]
    assert [line.get_color() for line in figure.legends[0].get_lines()] == ["#0173B2", "#CC3311"]
    assert plt.fignum_exists(figure.number)
    figure = standard.create_method_legend({"is_50": "50 particles"}, tmp_path / "legend.png")
    assert figure.legends[0].get_texts()[0].get_text() == "50 particles"
    assert (tmp_path / "legend.png").stat().st_size > 0 and not plt.fignum_exists(figure.number)
    with pytest.raises(KeyError, match="got 'mine'"):
        standard.create_method_legend(["mine"])


def test_a_comparison_plot_follows_the_style():
    figure, ax = standard.setup_comparison_plot()
    assert figure.get_size_inches().tolist() == [12, 8]
    x = np.linspace(0, 7, 30)
    points = standard.plot_data_points(ax, x, np.sin(x), s=9)
    curve = standard.plot_method_curve(ax, x, np.cos(x), "genjax_hmc", linewidth=1)
    assert to_hex(points.get_facecolor()[0]) == "#cc3311" and points.get_sizes().tolist() == [9]
    assert (curve.get_color(), curve.get_label(), curve.get_linewidth()) == ("#DE8F05", "GenJAX HMC", 1)
    assert standard.plot_method_curve(ax, x, x / 7, "is_50", label="50").get_label() == "50"
    standard.finalize_comparison_plot(ax, "time (s)", "error", title="Title")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Data", "GenJAX HMC", "50"]
    assert all(standard.validate_grvs_compliance(figure).values())
    assert matplotlib.rcParams["axes.labelsize"] != 18, "the style stays in the figure"


def test_unknown_size():
    with pytest.raises(ValueError, match="figsize_key got 'huge'. Available: single_small"):
        standard.setup_comparison_plot("huge")


def test_points_may_be_coloured_by_value(ax):
    assert standard.plot_data_points(ax, [0, 1], [0, 1], c=[0.0, 1.0]).get_array().tolist() == [0.0, 1.0]


def test_each_rule_is_checked():
    def broken(rule):
        figure, ax = standard.setup_comparison_plot()
        ax.plot([0, 1], label="line")
        standard.finalize_comparison_plot(ax, "x", "y", title="t")
        assert all(standard.validate_grvs_compliance(figure).values())
        {
            "figure_size": lambda: figure.set_size_inches(3, 3),
            "axis_label_size": lambda: ax.xaxis.label.set_fontsize(9),
            "axis_label_weight": lambda: ax.yaxis.label.set_fontweight("normal"),
            "title_size": lambda: ax.title.set_fontsize(9),
            "tick_label_size": lambda: ax.tick_params(labelsize=9),
            "tick_count": lambda: ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(9)),
            "legend_size": lambda: ax.legend(fontsize=9),
        }[rule]()
        return [name for name, kept in standard.validate_grvs_compliance(figure).items() if not kept]

    for rule in standard.validate_grvs_compliance(plt.figure()):
        assert broken(rule) == [rule]


def test_ticks_put_in_place_by_hand_are_not_counted(ax):
    ax.set_yticks(range(5), list("abcde"))
    standard.set_minimal_ticks(ax, y_ticks=range(5))
    assert standard.validate_grvs_compliance(ax.figure)["tick_count"]


def test_summary_tells_the_constants():
    summary = standard.get_grvs_summary()
    for fact in ("18 pt bold", "titles 20 pt", "300 dpi", "framework_comparison: 12 x 8 in", "genjax_is: #0173B2"):
        assert fact in summary


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("setup_publication_fonts", "()"),
        ("get_method_color", "(name)"),
        ("apply_grid_style", "(ax, style='default')"),
        ("set_minimal_ticks", "(ax, x_ticks=None, y_ticks=None)"),
        ("apply_standard_ticks", "(ax)"),
        ("apply_legend_style", "(ax, location='default', **kw)"),
        ("save_publication_figure", "(fig, filename, **kw)"),
        ("create_method_legend", "(methods, filename=None)"),
        ("setup_comparison_plot", "(figsize_key='framework_comparison')"),
        ("plot_data_points", "(ax, x, y, label='Data', **kw)"),
        ("plot_method_curve", "(ax, x, y, method, label=None, **kw)"),
        ("finalize_comparison_plot", "(ax, xlabel, ylabel, title=None, legend=True)"),
        ("validate_grvs_compliance", "(fig)"),
        ("get_grvs_summary", "()"),
    ],
)
def test_signatures(name, signature):
    found = inspect.signature(getattr(standard, name))
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
    assert str(inspect.Signature(bare)) == signature
