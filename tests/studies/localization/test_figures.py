"""Figures and data files from rows made by hand: every number comes from them, and nothing that is missing is drawn."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from studies.base import FigureContext, Row, Rows
from studies.localization import export, figures
from studies.localization.problem import METHODS, make_problem, n_particles_of


def row(parameters, task, method, milliseconds=None, status="ok", n_runs=1, **changes):
    own = parameters(method=method, n_runs=n_runs, **changes)
    poses = make_problem(own).truth["poses"]
    random, n = np.random.default_rng(len(method)), n_particles_of(own)
    particles = poses[:, None] + 0.1 * random.standard_normal((len(poses), n, 3))
    arrays = {
        **{name: particles[..., i] for i, name in enumerate(("x", "y", "heading"))},
        "log_weights": np.zeros((len(poses), n)),
        "diagnostic_weights": np.full((len(poses), n), -np.log(n)),
        "mean": poses + 0.1 * random.standard_normal((n_runs, len(poses), 3)),
        "effective_sample_size": np.full((n_runs, len(poses)), 0.6 * n),
        "log_marginal": np.tile(np.linspace(-4, -170, len(poses)), (n_runs, 1)) - random.random((n_runs, 1)),
    }
    times = {}
    if milliseconds is not None:
        times = {
            "median_s": milliseconds / 1e3,
            "interval_s": (0.9e-3 * milliseconds, 1.1e-3 * milliseconds),
            "samples_s": np.array([0.9, 1.0, 1.2]) * milliseconds / 1e3,
        }
    reason = None if status == "ok" else "the reason"
    return Row(
        "localization", task, "genjax", "Ours", "blue", own, 1, "cpu", status, reason, arrays=arrays, **times,
        diagnostics={"exact_log_marginal": -160.0, "exact_position_rmse": 0.24},
    )  # fmt: skip


def context(rows, parameters):
    def problem(own):
        return make_problem(own)

    return FigureContext(Rows(rows), problem, parameters(), {"suffix": ""}, "cpu", "a processor", Rows([]))


def all_rows(parameters):
    times = dict(zip(METHODS, (1.0, 90.0, 400.0, 120.0, 110.0), strict=True))
    compared = [row(parameters, "comparison", method, times[method]) for method in METHODS]
    judged = [row(parameters, "accuracy", method, n_runs=12) for method in METHODS]
    return [*compared, *judged]


def texts(figure):
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [text for text in found if text]


def test_problem_shows_four_steps_and_a_legend(parameters):
    figure = figures.problem(context(all_rows(parameters), parameters))
    assert len(figure.axes) == 4
    assert {"t = 0", "t = 5", "t = 11", "t = 16", "True distances", "Noisy observations", "Robot"} <= set(texts(figure))
    assert list(figure.get_size_inches()) == [20, 5]


def test_comprehensive_has_maps_effective_sizes_and_sorted_bars(parameters):
    figure = figures.comprehensive(context(all_rows(parameters), parameters))
    shown = texts(figure)
    assert len(figure.axes) == 7
    assert {"Bootstrap filter (N=200)", "SMC (N=200) + HMC (K=25)", "SMC (N=5) + best of 25³ grid cells"} <= set(shown)
    widths = [patch.get_width() for patch in figure.axes[-1].patches]
    assert widths == sorted(widths)
    assert len(widths) == 5
    assert any("median error" in text and "lost in 0 of 12 runs" in text for text in shown)
    assert "60%" in shown


def test_times_are_those_of_the_rows(parameters):
    shown = texts(figures.comprehensive(context(all_rows(parameters), parameters)))
    assert any(text.startswith("  400 ms [360, 440]") for text in shown)


def test_missing_results_are_said_not_drawn(parameters):
    rows = [row(parameters, "comparison", "bootstrap", 1.0), row(parameters, "comparison", "smc_hmc", status="invalid")]
    figure = figures.comprehensive(context(rows, parameters))
    assert any("invalid: the reason" in text.replace("\n", " ") for text in texts(figure))
    assert len(figure.axes[-1].patches) == 1


def test_error_figure_has_a_line_per_method_with_its_times(parameters):
    figure = figures.error_against_time(context(all_rows(parameters), parameters))
    by_count, by_time, evidence = figure.axes
    marked = [line for line in by_time.get_lines() if line.get_marker() == "o"]
    assert sorted(float(line.get_xdata()[0]) for line in marked) == pytest.approx([1, 90, 110, 120, 400])
    counts = [float(line.get_xdata()[0]) for line in by_count.get_lines() if line.get_marker() == "o"]
    assert sorted(counts) == [5, 5, 200, 200, 200]
    assert all(axes.get_yscale() == "log" for axes in (by_count, by_time, evidence))


def test_a_mark_is_explained_where_it_stands_and_counted_where_it_does_not(parameters):
    rows = [dataclasses.replace(one, flags=("load average 3.1",)) for one in all_rows(parameters)]
    marked = texts(figures.comprehensive(context(rows, parameters)))
    assert any("† flagged as unstable" in text for text in marked)
    assert any("†" in text and "flagged" not in text for text in marked)
    counted = " ".join(texts(figures.error_against_time(context(rows, parameters))))
    assert "†" not in counted and "measurements flagged as unstable" in counted


def test_error_figure_without_accuracy_says_so(parameters):
    figure = figures.error_against_time(context([row(parameters, "comparison", "bootstrap", 1.0)], parameters))
    assert any("no accuracy cell is ok" in text.replace("\n", " ") for text in texts(figure))


def test_data_files_hold_what_the_rows_hold(parameters):
    rows = all_rows(lambda **changes: parameters(reference={"coarse": [0.3, 0.15], "fine": [0.1, 0.06]}, **changes))
    files = export.files(Rows(rows), make_problem)
    read = {name: list(csv.DictReader(io.StringIO(text))) for name, text in files.items() if name.endswith(".csv")}
    poses = make_problem(parameters()).truth["poses"]
    assert [float(line["x"]) for line in read["ground_truth_poses.csv"]] == pytest.approx(poses[:, 0])
    assert len(read["ground_truth_observations.csv"][0]) == 9
    summary = {line["method"]: line for line in read["benchmark_summary.csv"]}
    assert float(summary["smc_hmc"]["mean_time_sec"]) == pytest.approx(0.4 * 3.1 / 3)
    assert summary["grid_proposal"]["n_particles"] == "5"
    weights = [float(line["weight"]) for line in read["bootstrap/particles/timestep_016.csv"]]
    assert sum(weights) == pytest.approx(1)
    assert len(read["bootstrap/diagnostic_weights.csv"]) == 17
    assert len(read["accuracy.csv"]) == 5 * 12
    assert len(read["exact_filter.csv"]) == 17
    metadata = json.loads(files["experiment_metadata.json"])
    assert metadata["parameters"]["n_rays"] == 8
    assert metadata["methods"]["locally_optimal"]["n_particles"] == 5


def test_no_rows_no_files():
    assert export.files(Rows([]), make_problem) == {}


@pytest.mark.parametrize("differ", [False, True])
def test_dots_have_the_areas_of_their_weights_and_share_one_outline_where_these_are_equal(parameters, differ):
    shown = row(parameters, "comparison", "bootstrap")
    if differ:
        shown.arrays["log_weights"][:, 1:] = -1.0
    axes = Figure().subplots()
    figures.draw_cloud(axes, shown)
    n_steps, n = shown.arrays["x"].shape
    assert len(axes.collections) == n_steps
    for dots in axes.collections:
        assert len(dots.get_offsets()) == len(dots.get_array()) == n
        assert np.allclose(dots.get_sizes(), [50.0, *[50 * np.exp(-1.0)] * (n - 1)] if differ else [50.0])
