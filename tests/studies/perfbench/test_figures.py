"""Figures and tables of the comparison on synthetic rows: what is shown equals what is stored, and gaps are marked."""

import csv
import dataclasses
import io
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipelines.plan.tree import Tree
from studies import figure_cores
from studies.base import EARLIER_SOURCES, FigureContext, NothingToDrawError, Row, Rows
from studies.perfbench import export, figures
from studies.perfbench.figures_facts import cores_title
from studies.perfbench.problem import make_problem

TREE = Tree()
PARAMETERS = {
    "data_set": "published", "n_points": None, "noise_sd": None, "data_seed": 42, "n_particles": 10000,
    "step_size": 0.01, "n_leapfrog": 20, "n_samples": 100, "n_warmup": 50, "n_chains": 1,
}  # fmt: skip
SPEEDS = {"handcoded_jax": 1.0, "genjax": 1.012, "numpyro": 2.6, "tfp": 1.3, "pyro": 41.0, "torch": 12.0}
GRIDS = {
    "importance": ("importance_sampling", "n_particles", (1000, 5000, 10000)),
    "hmc": ("hmc", "n_samples", (100, 500, 1000)),
    "effective": ("hmc_chains", "n_chains", (1, 10, 100, 1000, 10000)),
    "sweep": ("importance_sweep", "n_particles", (1000, 10000, 100000, 1000000)),
}


def make_row(task, framework, parameter, size, **changes):
    description = TREE.describe(framework)
    speed = SPEEDS.get(framework, 100.0)
    seconds = 1e-6 * size * speed
    values = {
        "study": "perfbench", "task": task, "framework": framework, "label": description.label,
        "color": description.color, "parameters": {**PARAMETERS, parameter: size}, "seed": 1, "device": "cpu",
        "status": "ok", "median_s": seconds, "interval_s": (0.97 * seconds, 1.05 * seconds),
        "ratio": speed, "ratio_interval": (0.98 * speed, 1.02 * speed),
        "samples_s": np.full(12, seconds), "is_baseline": framework == "handcoded_jax",
        "diagnostics": {"effective_sample_size": 0.5 * size},
        "record": {"provenance": {"cpu": "Example CPU 9000 & sons"}, "notes": {"gradient_evaluations": 21 * 150}},
    }  # fmt: skip
    return Row(**{**values, **changes})


def absent(status, reason):
    return {
        "status": status, "reason": reason, "median_s": None, "interval_s": None, "ratio": None,
        "ratio_interval": None, "samples_s": np.empty(0), "diagnostics": {}, "record": {},
    }  # fmt: skip


def make_rows(name, **spoiled):
    task, parameter, grid = GRIDS[name]
    skipped = absent("skipped", "julia is not installed")
    rows = []
    for size in grid:
        for framework in [*SPEEDS, "genjl", "genjl_static"]:
            changes = skipped if framework.startswith("genjl") else spoiled.get(framework, {})
            rows.append(make_row(task, framework, parameter, size, **changes))
    return rows


def make_context(rows):
    return FigureContext(Rows(rows), make_problem, {}, {}, "cpu", "Example CPU 9000, 2 cores", Rows([]))


def draw(name, rows):
    drawing = getattr(figures, name)(make_context(rows))
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    return drawing, canvas.get_renderer()


def bars(axes):
    """(middle, height of the upper end, colour) of every bar that is drawn, left to right."""
    found = [
        (p.get_x() + p.get_width() / 2, p.get_y() + p.get_height(), p.get_facecolor())
        for p in axes.patches
        if p.get_height() > 0
    ]
    return sorted(found)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(
    "spoiled",
    [
        {},
        {"tfp": absent("invalid", "log_weights differ by 7.5e-01 relative")},
        {"torch": absent("timeout", "no answer to the request `time` within 600 seconds: the worker was killed")},
    ],
)
def test_everything_lies_inside_the_page(name, spoiled):
    drawing, renderer = draw(name, make_rows(name, **spoiled))
    page = drawing.bbox
    texts = [
        text for axes in drawing.axes for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label)
    ] + drawing.texts
    for text in texts:
        box = text.get_window_extent(renderer)
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()
    for axes in drawing.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        assert not any(box.overlaps(other) for index, box in enumerate(boxes) for other in boxes[index + 1 :])


@pytest.mark.parametrize("name", ["importance", "hmc"])
def test_bars_are_the_medians_in_the_same_order_in_every_group(name):
    rows = make_rows(name)
    axes = draw(name, rows)[0].axes[0]
    task, parameter, grid = GRIDS[name]
    expected = [
        (1e3 * row.median_s, matplotlib.colors.to_rgba(row.color))
        for size in grid
        for framework in figures.ORDER
        for row in Rows(rows).where(framework=framework, **{parameter: size})
        if row.status == "ok"
    ]
    assert [height for _, height, _ in bars(axes)] == pytest.approx([height for height, _ in expected])
    assert [color for _, _, color in bars(axes)] == [color for _, color in expected]


@pytest.mark.parametrize("name", ["importance", "hmc"])
def test_no_bar_or_interval_is_clipped_whatever_its_size(name):
    extreme = make_row(*GRIDS[name][:1], "torch", GRIDS[name][1], GRIDS[name][2][0])
    seconds = 4e4
    changed = {"median_s": seconds, "interval_s": (0.5 * seconds, 2 * seconds), "ratio": seconds / 1e-3}
    rows = [
        make_row(row.task, row.framework, GRIDS[name][1], row.parameters[GRIDS[name][1]], **changed)
        if row.framework == extreme.framework
        else row
        for row in make_rows(name)
    ]
    low, high = draw(name, rows)[0].axes[0].get_ylim()
    assert low < 1e3 * min(row.interval_s[0] for row in rows if row.interval_s)
    assert high > 1e3 * 2 * seconds


def test_factors_are_the_paired_ratios_with_a_dagger_where_flagged():
    rows = make_rows("importance", numpyro={"flags": ("load average 3.1",)})
    texts = [text.get_text() for text in draw("importance", rows)[0].axes[0].texts]
    assert texts.count("1.01×") == 3
    assert texts.count("1×") == 3
    assert texts.count("†\n2.6×") == 3
    assert texts.count("41×") == 3
    assert sum("Gen.jl skipped: julia is not installed" in text for text in texts) == 3


@pytest.mark.parametrize("name", ["importance", "hmc"])
def test_marks_of_neighbours_do_not_overlap(name):
    """All bars of like heights and flagged twice: the widest labels side by side."""
    task, parameter, grid = GRIDS[name]
    flags = {"flags": ("95% interval is 5% wide", EARLIER_SOURCES), "ratio": 1.78}
    rows = [make_row(task, one, parameter, size, **flags) for size in grid for one in [*SPEEDS, "handcoded_same_draws"]]
    rows = [dataclasses.replace(row, median_s=1e-3, interval_s=(9e-4, 1.1e-3)) for row in rows]
    rows += [row for row in make_rows(name) if row.framework.startswith("genjl")]
    drawing, renderer = draw(name, rows)
    texts = [text for text in drawing.axes[0].texts if "×" in text.get_text()]
    assert [text.get_text() for text in texts].count("†‡\n1.78×") == 18
    boxes = [text.get_window_extent(renderer) for text in texts]
    assert not any(box.overlaps(other) for index, box in enumerate(boxes) for other in boxes[index + 1 :])


def test_checked_rows_without_times_are_named():
    rows = [
        make_row("hmc", name, "n_samples", 100, median_s=None, interval_s=None, ratio=None, samples_s=np.empty(0))
        for name in SPEEDS
    ]
    texts = [text.get_text() for text in draw("hmc", rows)[0].axes[0].texts]
    assert "Ours not timed" in texts and "NumPyro not timed" in texts


def test_lines_are_times_and_effective_samples_per_second():
    drawing, _ = draw("effective", make_rows("effective", tfp=absent("oom", None)))
    left, right = drawing.axes
    ours = {line.get_color(): line for line in right.lines if line.get_marker() == "o"}
    assert ours["#00BFFF"].get_ydata() == pytest.approx(np.full(5, 0.5e6 / 1.012))
    assert "#9370DB" not in ours
    note = drawing.texts[0].get_text()
    assert "TFP on JAX: out of memory" in note
    assert "Gen.jl: skipped: julia is not installed" in note


def test_figures_say_what_a_reader_must_know_of_a_form():
    rows = make_rows("hmc", torch={"record": {"notes": {"form": "eager", "form_mark": "eager"}}})
    drawing, _ = draw("hmc", rows)
    note = " ".join(text.get_text() for text in drawing.texts)
    assert ": eager" in note.replace("\n", " ")


def test_summary_has_a_line_per_row_and_says_what_is_missing():
    rows = Rows([row for name in GRIDS for row in make_rows(name)])
    files = export.files(rows, make_problem)
    lines = list(csv.DictReader(io.StringIO(files["benchmark_summary_cpu.csv"])))
    assert len(lines) == len(rows)
    found = {(one["task"], one["framework"], one["n_samples"], one["n_chains"]): one for one in lines}
    one = found["hmc", "genjax", "500", "1"]
    assert float(one["median_s"]) == pytest.approx(500e-6 * 1.012)
    assert float(one["effective_samples_per_s"]) == pytest.approx(0.5e6 / 1.012)
    assert one["gradient_evaluations"] == "3150"
    assert found["hmc", "genjl", "500", "1"]["reason"] == "julia is not installed"
    assert export.files(Rows([]), make_problem) == {}


def test_table_states_device_baseline_and_numbers_of_the_rows():
    rows = Rows([row for name in GRIDS for row in make_rows(name, tfp=absent("invalid", "x"))])
    text = export.files(rows, make_problem)["benchmark_table.tex"]
    assert r"Ours & 1.01 (1.01$\times$) & 5.06 (1.01$\times$)" in text
    assert text.count(r"\emph{invalid}") == 6
    assert text.count(r"\emph{skipped}") == 12
    assert r"Example CPU 9000 \& sons" in text
    assert "factor to Handcoded JAX" in text
    assert text.count("&") - text.count(r"\&") == 8 * 6 + 6 + 2  # eight systems, sizes, spans


def balanced(text):
    """Whether every brace of LaTeX has its partner, escaped ones aside."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace("\\\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_table_is_latex_whatever_the_names():
    nasty = {"provenance": {"cpu": r"R9_7950 {X} 100% #1 ~4^2 C:\new"}, "notes": {}}
    rows = Rows([row for name in GRIDS for row in make_rows(name, pyro={"label": "A_b&c", "record": nasty})])
    text = export.table(Rows([*rows.where(framework="pyro"), *rows.where(framework="handcoded_jax")]))
    assert balanced(text)
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        ("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table"),
    ]  # fmt: skip
    plain = re.sub(r"\\[a-z]+(\{[^{}]*\})*|\\[&%$#_{}]|\$[^$]*\$", "", text)
    assert set("%#_~^$") & set(plain) == set()
    (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert len(body) == 2
    for line in body:
        assert line.endswith(r" \\")
        assert len(re.split(r"(?<!\\)&", line)) == len(columns) == 7
    assert r"R9\_7950 \{X\} 100\% \#1 \textasciitilde{}4\textasciicircum{}2 C:\textbackslash{}new" in text


def both_ways(**spoiled):
    """Rows of three races on one core and on two; torch takes 0.6 of the time, all others 1.1."""
    rows = []
    for task, parameter, size, data_set in (
        ("importance_sampling", "n_particles", 10000, "published"),
        ("importance_sweep", "n_particles", 100000, "weak"),
        ("hmc_chains", "n_chains", 1000, "published"),
    ):
        for framework in [*SPEEDS, *(["genjl", "genjl_static"] if task != "hmc_chains" else [])]:
            where = {"provenance": {"cpu": "x", "usable_cores": 2}, "notes": {}}
            one = make_row(task, framework, parameter, size, cores=1, record=where)
            one.parameters["data_set"] = data_set
            seconds = one.median_s * (0.6 if framework == "torch" else 1.1)
            changes = {"median_s": seconds, "interval_s": (0.96 * seconds, 1.04 * seconds), "record": where}
            changes |= absent("skipped", "julia is not installed") if framework.startswith("genjl") else {}
            every = make_row(f"{task}_all_cores", framework, parameter, size, **{**changes, **spoiled})
            rows += [one, dataclasses.replace(every, parameters=one.parameters)]
    return rows


def test_cores_are_side_by_side_with_the_factor_and_its_interval():
    drawing, renderer = draw("cores", both_ways())
    assert [axes.get_title() for axes in drawing.axes] == [
        "Importance sampling\n10,000 particles, published data",
        "Importance sampling\n100,000 particles, weak data",
        "HMC\n1,000 chains, published data",
    ]
    for axes in drawing.axes:
        texts = [text.get_text() for text in axes.texts]
        assert sum(text.startswith("1.10×") for text in texts) == 5
        assert sum(text.startswith("0.60×") for text in texts) == 1
        gaps = ("takes no part", "on all cores: skipped: julia is not installed")
        assert sum(texts.count(gap) for gap in gaps) == 2
        for text in axes.texts:
            box, inside = text.get_window_extent(renderer), axes.get_window_extent(renderer)
            assert inside.x0 - 1 <= box.x0 and box.x1 <= inside.x1 + 1, text.get_text()
    words = " ".join(text.get_text() for text in drawing.texts).replace("\n", " ")
    assert "Time on all 2 usable cores / time on one core" in words and "on 1 core or all cores" in words
    # Independent half widths add as squares: log(1.04), and log(1/0.97) or log(1.05) of the other.
    pair = figure_cores.pairs(Rows(both_ways()), cores_title)["HMC\n1,000 chains, published data"][0]
    value, low, high = pair.factor
    assert value == pytest.approx(1.1)
    assert np.log(value / low) == pytest.approx(np.hypot(np.log(1 / 0.96), np.log(1.05)))
    assert np.log(high / value) == pytest.approx(np.hypot(np.log(1.04), np.log(1 / 0.97)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"record": {"provenance": {"usable_cores": 1}}}, "this machine has one usable core"),
        (absent("timeout", "no answer"), "on all cores: timed out: no answer"),
    ],
)
def test_cores_of_a_small_machine_and_gaps_are_told(changes, reason):
    drawing, _ = draw("cores", both_ways(**changes))
    found = [text.get_text() for axes in drawing.axes for text in axes.texts] + [t.get_text() for t in drawing.texts]
    assert reason in " ".join(found)


def test_cores_without_a_confined_row_or_without_pairs():
    rows = [dataclasses.replace(row, cores=None) for row in both_ways()]
    texts = [text.get_text() for text in draw("cores", rows)[0].axes[0].texts]
    assert texts.count("not on one core and on all") == 6
    with pytest.raises(NothingToDrawError, match="with the same parameters"):
        draw("cores", make_rows("importance"))


def test_helper_counts_braces():
    assert balanced(r"\a{b}\{{c}") and not balanced("}{") and not balanced("{{}")


def test_other_precision_is_named_in_figure_caption_and_summary():
    double = {"record": {"notes": {"dtype": "float64"}, "provenance": {"cpu": "x", "dtype": "float32"}}}
    single = {"record": {"notes": {}, "provenance": {"cpu": "x", "dtype": "float32"}}}
    rows = [
        make_row("importance_sampling", name, "n_particles", 1000, **(double if name == "genjl" else single))
        for name in ("handcoded_jax", "genjax", "genjl")
    ]
    notes = [text.get_text() for text in draw("importance", rows)[0].texts]
    assert any("Gen.jl in float64" in note for note in notes)
    assert "Gen.jl in float64" in export.caption(Rows(rows))
    lines = list(csv.DictReader(io.StringIO(export.summary(Rows(rows), make_problem))))
    assert [line["dtype"] for line in lines] == ["float32", "float32", "float64"]
    assert export.other_precision(rows[:2]) is None
