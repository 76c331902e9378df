"""The figures on synthetic rows: what is drawn equals what is stored, gaps are marked, every status renders."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from studies.base import Animation, FigureContext, Row, Rows
from studies.gol import figures
from studies.gol.problem import make_problem
from studies.gol.rule import next_board

PARAMETERS = {
    "target": "wizards", "height": 30, "width": 42, "target_seed": 0, "softness": 0.03, "softness_prior": None,
    "n_sweeps": 9, "n_frames": 3, "n_chains": 2,
}  # fmt: skip
LABELS = {"genjax": "Ours", "handcoded_jax": "Handcoded JAX"}
SETTINGS = {
    "reference": {"accuracy": 0.5, "seconds": 2.8, "name": "Published"}, "suffix": "", "milliseconds": 100,
}  # fmt: skip


def make_row(task, framework="genjax", parameters=None, **changes):
    values = {
        "study": "gol",
        "task": task,
        "framework": framework,
        "label": LABELS[framework],
        "color": "deepskyblue",
        "parameters": {**PARAMETERS, **(parameters or {})},
        "seed": 1,
        "device": "cpu",
        "status": "ok",
    }
    return Row(**{**values, **changes})


def chain_row(**changes):
    random = np.random.default_rng(0)
    problem = make_problem(PARAMETERS)
    frames = random.random((len(problem.truth["frame_sweeps"]), 30, 42)) < 0.5
    errors = np.linspace(600, 111, 10).astype(np.int32)
    values = {
        "arrays": {"frames": frames, "errors": errors},
        "diagnostics": {"accuracy": 1 - 111 / 1260, "errors": 111.0},
        "median_s": 0.123,
    }
    return make_row("reconstruction", **{**values, **changes})


def sweep_rows(device="cpu", milliseconds=2.0, **changes):
    random = np.random.default_rng(1)
    rows = []
    for height in (32, 64):
        for k in (5, 10, 20):
            for framework in LABELS:
                seconds = 1e-3 + k * 1e-3 * milliseconds * (height / 32) ** 2
                values = {"device": device, "samples_s": seconds * random.normal(1, 0.001, 20), **changes}
                parameters = {"height": height, "width": None, "n_sweeps": k}
                rows.append(make_row("sweeps", framework, parameters, **values))
    return rows


def accuracy_rows(**changes):
    errors = np.stack([np.linspace(600, 111, 10), np.linspace(600, 95, 10)]).astype(np.int32)
    arrays = {"errors": errors, "softness": np.full((2, 10), 0.05)}
    diagnostics = {"predecessor_errors": 30.0}
    return [
        make_row(task, framework, **{"arrays": arrays, "diagnostics": diagnostics, **changes})
        for task in ("accuracy", "known_predecessor", "unknown_softness")
        for framework in LABELS
    ]


def context(*rows, others=()):
    return FigureContext(Rows(rows), make_problem, PARAMETERS, SETTINGS, "cpu", "Example CPU 9000", Rows(list(others)))


def texts(drawing: Figure) -> str:
    FigureCanvasAgg(drawing).draw()
    found = [text.get_text() for text in drawing.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " ".join(" ".join(found).split())


def test_showcase_evolves_the_board_that_it_frames():
    row = chain_row()
    drawing = figures.showcase(context(row, make_row("reconstruction", "handcoded_jax")))
    boards = [np.asarray(axes.images[0].get_array()) == 0 for axes in drawing.axes if axes.images]
    target = make_problem(PARAMETERS).data["target"]
    assert np.array_equal(boards[0], target)
    evolved, *stages = boards[1:]
    assert len(stages) == 4 and np.array_equal(stages[-1], row.arrays["frames"][-1])
    assert np.array_equal(evolved, next_board(stages[-1]))
    shown = texts(drawing)
    for text in (
        "t=0",
        "t=3",
        "t=6",
        "t=9",
        "91.2% as observed, 111 cells are not",
        "30 × 42",
        "published: 50.0% in 2.8 s",
    ):
        assert text in shown, text


def test_timing_draws_the_slope_and_not_the_whole_time():
    drawing = figures.timing(context(*sweep_rows()))
    shown = texts(drawing)
    assert "2 ms" in shown and "8 ms" in shown.replace("8.01", "8").replace("7.99", "8")
    bars = [patch for patch in drawing.axes[0].patches if patch.get_width() > 0]
    ends = sorted(bar.get_x() + bar.get_width() for bar in bars)
    assert np.allclose(ends, [2.0, 8.0], rtol=0.01)
    assert "†" not in shown


@pytest.mark.parametrize("by_hand", [0.5, 1.0, 2.0])
def test_timing_gives_the_number_of_every_mark_behind_both(by_hand):
    rows = sweep_rows()
    for row in rows:
        if row.framework == "handcoded_jax":
            row.samples_s[:] *= by_hand
    (axes,) = figures.timing(context(*rows)).axes
    numbers = [text for text in axes.texts if "ms" in text.get_text()]
    assert len(numbers) == 2 and all("(by hand " in text.get_text() for text in numbers)
    diamonds = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert all(text.get_position()[0] >= max(diamonds[i], 1.98 * 4**i) for i, text in enumerate(numbers))


def test_timing_says_how_much_faster_the_other_device_is():
    drawing = figures.timing(context(*sweep_rows(), others=sweep_rows("cuda", 0.5)))
    shown = texts(drawing)
    assert shown.count("4.0×") == 2 and "CUDA" in shown


def test_timing_marks_flags_and_gaps():
    flagged = figures.timing(context(*sweep_rows(flags=("the load average was 9",))))
    assert "†" in texts(flagged)
    rows = sweep_rows()[:-6] + sweep_rows(status="invalid", reason="last sweep, wrong", samples_s=np.empty(0))[-6:]
    assert "invalid: last sweep, wrong" in texts(figures.timing(context(*rows)))


def test_sweep_cost_is_the_slope_with_an_interval_around_it():
    rows = [row for row in sweep_rows() if row.framework == "genjax" and row.parameters["height"] == 64]
    value, low, high = figures.sweep_cost(rows)
    assert low <= value <= high and value == pytest.approx(8e-3, rel=0.01)
    assert figures.sweep_cost(rows[:1]) is None


def test_accuracy_has_mean_and_range_of_the_chains():
    drawing = figures.accuracy(context(*accuracy_rows()))
    line = drawing.axes[0].lines[0]
    assert line.get_ydata()[-1] == pytest.approx(100 * (1 - 103 / 1260))
    shown = texts(drawing)
    assert "mean and range of 2 chains" in shown and "Published" in shown and "True predecessor" in shown


def test_animation_ends_with_the_last_board():
    row = chain_row()
    animation = figures.animation(context(row))
    assert isinstance(animation, Animation) and animation.n_frames == len(row.arrays["frames"])
    for index in (0, animation.n_frames - 1):
        animation.show(index)
        shown = texts(animation.figure)
        assert f"sweep {make_problem(PARAMETERS).truth['frame_sweeps'][index]}" in shown
        assert np.array_equal(
            np.asarray(animation.figure.axes[0].images[0].get_array()) == 0, row.arrays["frames"][index]
        )


def test_animation_as_a_file(tmp_path):
    from PIL import Image

    from pipelines.output.animation import write_gif

    animation = figures.animation(context(chain_row()))
    write_gif(animation, tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == animation.n_frames


@pytest.mark.parametrize("status", ["invalid", "skipped", "failed", "timeout", "oom"])
def test_what_is_missing_is_said(status):
    empty = {"status": status, "reason": "so it was", "arrays": {}, "diagnostics": {}, "median_s": None}
    assert "so it was" in texts(figures.showcase(context(chain_row(**empty))))
    assert "so it was" in texts(
        figures.timing(context(*sweep_rows(status=status, reason="so it was", samples_s=np.empty(0))))
    )
    assert "so it was" in texts(figures.accuracy(context(*accuracy_rows(status=status, reason="so it was", arrays={}))))
    with pytest.raises(ValueError, match="nothing to show"):
        figures.animation(context(chain_row(**empty)))
