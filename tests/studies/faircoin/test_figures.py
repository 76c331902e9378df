"""The figures of the fair coin on synthetic rows: what is drawn equals what is stored, and gaps are marked."""

import ast
import inspect
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer, ErrorbarContainer

from studies import figure_flags, figure_style
from studies.base import EARLIER_SOURCES, FigureContext, Row, Rows
from studies.faircoin import figures
from studies.faircoin.problem import make_problem

FRAMEWORKS = {
    "handcoded_jax": ("Handcoded JAX", "gold"),
    "genjax": ("Ours", "deepskyblue"),
    "numpyro": ("NumPyro", "coral"),
}
PARAMETERS = {
    "n_observations": 50,
    "n_particles": 400,
    "prior_alpha": 10.0,
    "prior_beta": 10.0,
    "data_set": "eighty_twenty",
}
RATIOS = {"handcoded_jax": (1.0, (1.0, 1.0)), "genjax": (1.018, (0.991, 1.043)), "numpyro": (1.87, (1.81, 1.96))}
MEDIANS = {"handcoded_jax": 0.000211, "genjax": 0.000214, "numpyro": 0.000395}


def make_row(framework, **changes):
    label, color = FRAMEWORKS.get(framework, (framework.title(), "grey"))
    generator = np.random.default_rng(list(FRAMEWORKS).index(framework) if framework in FRAMEWORKS else 9)
    samples = generator.beta(10, 10, 400).astype(np.float32)
    ratio, interval = RATIOS.get(framework, (2.0, (1.9, 2.1)))
    values = {
        "study": "faircoin",
        "task": "importance_sampling",
        "framework": framework,
        "label": label,
        "color": color,
        "parameters": PARAMETERS,
        "seed": 1,
        "device": "cpu",
        "status": "ok",
        "median_s": MEDIANS.get(framework, 0.0004),
        "ratio": ratio,
        "ratio_interval": interval,
        "samples_s": np.full(30, MEDIANS.get(framework, 0.0004)),
        "is_baseline": framework == "handcoded_jax",
        "arrays": {"latent_fairness": samples, "log_weights": 40 * np.log(samples) + 10 * np.log1p(-samples)},
    }
    return Row(**{**values, **changes})


def unmeasured_row(framework, status, reason):
    empty = {"median_s": None, "ratio": None, "ratio_interval": None, "samples_s": np.empty(0), "arrays": {}}
    return make_row(framework, status=status, reason=reason, **empty)


def make_context(*rows):
    return FigureContext(Rows(rows), make_problem, {}, {}, "cpu", "Example CPU 9000, 2 cores", Rows([]))


def all_ok():
    return [make_row(framework) for framework in FRAMEWORKS]


def timing_axes(drawing):
    return next(axes for axes in drawing.axes if "Relative Performance" in axes.get_xlabel())


def texts(axes):
    return [text.get_text() for text in axes.texts]


def bars(axes):
    return [container.patches[0] for container in axes.containers if isinstance(container, BarContainer)]


def error_bars(axes):
    """Height to (low, high) of each horizontal error bar."""
    found = {}
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            ((low, height), (high, _)) = container.lines[2][0].get_segments()[0]
            found[height] = (low, high)
    return found


def house_settings():
    return {name: matplotlib.rcParams[name] for name in figure_style.RC_PARAMETERS}


@pytest.mark.parametrize("name", ["combined", "timing", "posterior"])
@pytest.mark.parametrize("spoiled", [None, "handcoded_jax", "genjax", "numpyro", "all"])
def test_figure_draws_with_everything_inside_the_page(name, spoiled):
    """Every text lies within the page and no two texts of a panel cover each other."""
    reason = "log_weights differ from the log likelihood of their own particles by 7.5e-01 relative (limit 1e-04)"
    rows = [
        unmeasured_row(framework, "invalid", reason) if spoiled in (framework, "all") else make_row(framework)
        for framework in FRAMEWORKS
    ]
    before = house_settings()
    drawing = getattr(figures, name)(make_context(*rows))
    assert house_settings() == before
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    page = drawing.bbox
    for axes in drawing.axes:
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
        boxes.append(axes.xaxis.label.get_window_extent(canvas.get_renderer()))
        for index, box in enumerate(boxes):
            assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])


@pytest.mark.parametrize("slow", [1.02, 3.0, 40.0])
def test_labels_fit_beside_bars_of_any_length(slow):
    rows = [make_row("handcoded_jax"), make_row("genjax"), make_row("numpyro", ratio=slow, ratio_interval=(slow, slow))]
    drawing = figures.timing(make_context(*rows))
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    axes = timing_axes(drawing)
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert all(box.x1 <= drawing.bbox.x1 for box in boxes)
    assert not any(box.overlaps(other) for index, box in enumerate(boxes) for other in boxes[index + 1 :])


@pytest.mark.parametrize("name", ["combined", "timing"])
def test_long_names_stand_clear_of_short_bars_and_their_intervals(name):
    short = {"ratio": 0.3, "ratio_interval": (0.28, 0.33)}
    long_name = make_row("handcoded_same_draws", label="Handcoded JAX, same draws", **short)
    drawing = getattr(figures, name)(make_context(*all_ok(), long_name))
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    axes = timing_axes(drawing)
    boxes = {text.get_text(): text.get_window_extent(canvas.get_renderer()) for text in axes.texts}
    panel = axes.get_window_extent()
    for label in ("Handcoded JAX", "Ours", "NumPyro", "Handcoded JAX, same draws"):
        assert drawing.bbox.x0 <= boxes[label].x0 and boxes[label].x1 < panel.x0
    assert len({round(boxes[label].x1) for label in ("Ours", "Handcoded JAX, same draws")}) == 1
    below = axes.xaxis.label.get_window_extent(canvas.get_renderer())
    assert drawing.bbox.x0 <= below.x0 and below.x1 <= drawing.bbox.x1


def test_bars_error_bars_and_labels_state_the_rows():
    drawing = figures.combined(make_context(*all_ok()))
    axes = timing_axes(drawing)
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx([100.0, 101.8, 187.0])
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars(axes)] == pytest.approx([0, 1, 2])
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # top to bottom
    intervals = error_bars(axes)
    assert set(intervals) == {1, 2}  # the baseline is 100% by definition
    assert intervals[1] == pytest.approx((99.1, 104.3))
    assert intervals[2] == pytest.approx((181.0, 196.0))
    assert "100% (0.211 ms)" in texts(axes)
    assert "101.8% [99.1, 104.3] (0.214 ms)" in texts(axes)
    assert "187.0% [181.0, 196.0] (0.395 ms)" in texts(axes)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_uncertainty_stays_with_its_bar_in_any_order_of_rows(order):
    """Regression: the published figure swapped the deviations of the first two bars."""
    rows = [all_ok()[index] for index in order]
    axes = timing_axes(figures.combined(make_context(*rows)))
    names = [text for text in texts(axes) if text in ("Handcoded JAX", "Ours", "NumPyro")]
    assert names == ["Handcoded JAX", "Ours", "NumPyro"]
    for position, framework in enumerate(FRAMEWORKS):
        ratio, (low, high) = RATIOS[framework]
        assert bars(axes)[position].get_width() == pytest.approx(100 * ratio)
        assert bars(axes)[position].get_facecolor()[:3] == matplotlib.colors.to_rgb(FRAMEWORKS[framework][1])
        if framework != "handcoded_jax":
            assert error_bars(axes)[position] == pytest.approx((100 * low, 100 * high))
    panels = [axes.get_title() for axes in figures.combined(make_context(*rows)).axes if axes.get_title()]
    assert panels == ["Ours", "Handcoded JAX", "NumPyro"]


def test_histogram_is_the_weighted_density_of_the_arrays():
    row = make_row("genjax")
    drawing = figures.combined(make_context(*all_ok()))
    panel = next(axes for axes in drawing.axes if axes.get_title() == "Ours")
    samples, log_weights = row.arrays["latent_fairness"], row.arrays["log_weights"]
    expected, _ = np.histogram(
        samples, bins=np.linspace(0, 1, 51), weights=np.exp(log_weights - log_weights.max()), density=True
    )
    assert [patch.get_height() for patch in panel.containers[0].patches] == pytest.approx(expected, rel=1e-5)
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["True Mean: 0.714"]
    density = panel.lines[0].get_ydata()
    assert len(density) == 1000
    assert np.trapezoid(density, panel.lines[0].get_xdata()) == pytest.approx(1, abs=1e-4)
    assert len({axes.get_ylim() for axes in drawing.axes if axes.get_title()}) == 1


@pytest.mark.parametrize(
    ("status", "reason", "shown"),
    [
        ("invalid", "log_weights differ", "(invalid: log_weights differ)"),
        ("skipped", "numpyro is not installed", "(skipped: numpyro is not installed)"),
        ("failed", "ValueError: no\nTraceback ...", "(failed: ValueError: no)"),
        ("oom", None, "(out of memory)"),
        ("timeout", "600 s", "(timed out: 600 s)"),
    ],
)
def test_a_missing_framework_is_marked_in_its_place(status, reason, shown):
    rows = [make_row("handcoded_jax"), make_row("genjax"), unmeasured_row("numpyro", status, reason)]
    drawing = figures.combined(make_context(*rows))
    axes = timing_axes(drawing)
    mark = next(text for text in axes.texts if text.get_text() == shown)
    assert mark.get_position()[1] == 2
    assert len(bars(axes)) == 2
    panel = next(axes for axes in drawing.axes if axes.get_title() == "NumPyro")
    assert not panel.containers
    assert texts(panel)[0].replace("\n", " ").startswith(figure_style.STATUS_WORDS[status])


def test_without_a_valid_baseline_no_ratio_is_drawn():
    missing = {"ratio": None, "ratio_interval": None}
    rows = [unmeasured_row("handcoded_jax", "failed", "RuntimeError: no"), make_row("genjax", **missing)]
    axes = timing_axes(figures.timing(make_context(*rows)))
    assert not bars(axes)
    names, notes = texts(axes)[:2], texts(axes)[2:]
    assert names == ["Handcoded JAX", "Ours"]
    assert notes == ["(failed: RuntimeError: no)", "(0.214 ms; no ratio: the baseline failed)"]


def test_the_page_names_device_machine_and_problem():
    drawing = figures.combined(make_context(*all_ok()))
    note = drawing.texts[0].get_text()
    for fact in (
        "CPU: Example CPU 9000, 2 cores",
        "40 heads in 50 tosses",
        "400 particles",
        "Beta(10, 10)",
        "30 rounds",
    ):
        assert fact in note


def test_a_flagged_row_carries_a_dagger_that_the_page_explains():
    rows = [*all_ok()[:2], make_row("numpyro", flags=("load average 3.1",))]
    drawing = figures.combined(make_context(*rows))
    assert "187.0% [181.0, 196.0] (0.395 ms) †" in texts(timing_axes(drawing))
    assert "† flagged as unstable" in drawing.texts[0].get_text()
    assert "earlier sources" not in drawing.texts[0].get_text()


def test_a_row_of_earlier_sources_is_told_from_an_unstable_one():
    rows = [*all_ok()[:2], make_row("numpyro", flags=(EARLIER_SOURCES,))]
    drawing = figures.combined(make_context(*rows))
    assert "187.0% [181.0, 196.0] (0.395 ms) ‡" in texts(timing_axes(drawing))
    note = drawing.texts[0].get_text()
    assert "‡ measured with earlier sources or settings" in note and "unstable" not in note


def test_marks_and_footnotes_of_flags():
    both = make_row("numpyro", flags=(EARLIER_SOURCES, "load average 3.1"))
    calm = make_row("genjax")
    assert [figure_flags.mark(calm), figure_flags.mark(both), figure_flags.mark(calm, both)] == ["", "†‡", "†‡"]
    assert figure_flags.facts([calm]) == []
    assert figure_flags.facts([calm, both]) == ["† flagged as unstable", "‡ measured with earlier sources or settings"]
    counted = figure_flags.facts([calm, both], has_marks=False)
    assert counted[0] == "1 of 2 measurements flagged as unstable"


def test_table_compares_estimates_with_the_exact_answer():
    drawing = figures.posterior(make_context(*all_ok()[:2], unmeasured_row("numpyro", "invalid", "wrong")))
    (table,) = drawing.axes[-1].tables
    cells = {position: cell.get_text().get_text() for position, cell in table.get_celld().items()}
    assert [cells[1, column] for column in range(3)] == ["Exact", "0.7143", "0.0536"]
    row = make_row("genjax")
    weights = np.exp(row.arrays["log_weights"].astype(np.float64))
    assert cells[2, 1] == f"{np.average(row.arrays['latent_fairness'].astype(np.float64), weights=weights):.4f}"
    assert cells[4, 1] == "invalid"


def test_two_rows_of_one_framework_are_refused():
    with pytest.raises(ValueError, match="exactly one row per framework"):
        figures.combined(make_context(*all_ok(), make_row("genjax")))


def test_file_names_are_the_published_ones():
    values = {"n_observations": 50, "n_particles": 2000, "repeats": 10, "suffix": ""}
    specifications = {name: getattr(figures, name).figure_specification for name in ("combined", "timing", "posterior")}
    names = {name: specification.file.format(**values) for name, specification in specifications.items()}
    assert names["combined"] == "faircoin_combined_posterior_and_timing_obs50_samples2000"
    assert names["timing"] == "faircoin_timing_performance_comparison_obs50_samples2000_repeats10"
    assert names["posterior"] == "faircoin_posterior_accuracy_comparison_obs50_samples2000"


def test_source_holds_no_typed_in_result():
    """No literal in `figures.py` looks like a result: a percentage, a time or an estimate."""
    for node in ast.walk(ast.parse(inspect.getsource(figures))):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            assert round(node.value, 2) == node.value or node.value < 0.02, f"line {node.lineno}: {node.value}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.count("\n"):
            assert not re.search(r"\d+\.\d+\s*(%|ms)", node.value) or "`" in node.value, f"line {node.lineno}"
