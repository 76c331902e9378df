"""One core and all cores side by side: every study repeats a race the other way, and its figure pairs the two."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipelines.config.configuration import configure
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree
from studies import figure_cores
from studies.base import FigureContext, Row, Rows

TREE = Tree()
STUDIES = ("curvefit", "faircoin", "gol", "localization", "perfbench")


def cells(study, *words):
    (configuration,) = configure([f"study={study}", *words], TREE)
    return configuration, [cell for race in races(configuration) for cell in race.cells]


@pytest.mark.parametrize("size", ["smoke", "small", "paper", "published"])
@pytest.mark.parametrize("study", STUDIES)
def test_every_repeated_cell_has_its_like_on_the_other_number_of_cores(study, size):
    _, planned = cells(study, f"size={size}")
    repeated = [cell for cell in planned if figure_cores.stem(cell.task) != cell.task]
    assert repeated or (size == "smoke" and study != "perfbench")
    on_all = [cell for cell in repeated if cell.task.endswith("_all_cores")]
    if on_all:
        assert planned[planned.index(on_all[0]) :] == on_all, "processes of other races end once"
    for cell in repeated:
        wanted = (figure_cores.stem(cell.task), cell.framework, cell.parameters, cell.seed)
        (like,) = [one for one in planned if (one.task, one.framework, one.parameters, one.seed) == wanted]
        both = {"one": 1, "all": None}
        mine = "one" if cell.task.endswith("_one_core") else "all"
        other = "all" if mine == "one" else "one"
        assert cell.timing.get("cores") == both[mine] and like.timing.get("cores") == both[other]
        assert (like.function, like.stages) == (cell.function, cell.stages)


@pytest.mark.parametrize("study", STUDIES)
def test_nothing_is_confined_on_a_gpu_so_nothing_is_measured_twice(study):
    _, planned = cells(study, "device=cuda")
    assert planned and not [cell for cell in planned if figure_cores.stem(cell.task) != cell.task]


def rows_of(study):
    """Rows as the study's own cells would give: 10 ms on one core, 6 ms on all."""
    configuration, planned = cells(study)
    repeated = {figure_cores.stem(cell.task) for cell in planned if figure_cores.stem(cell.task) != cell.task}
    for cell in planned:
        if figure_cores.stem(cell.task) not in repeated:
            continue
        seconds = 0.010 if cell.timing.get("cores") == 1 else 0.006
        yield configuration, Row(
            study=study, task=cell.task, framework=cell.framework, label=TREE.describe(cell.framework).label,
            color="#0173B2", marker="o", parameters=dict(cell.parameters), seed=cell.seed, device="cpu", status="ok",
            reason=None,
            samples_s=np.full(25, seconds), n_processes=5, cores=cell.timing.get("cores"), median_s=seconds,
            interval_s=(0.98 * seconds, 1.02 * seconds), record={"provenance": {"cpu": "x", "usable_cores": 2}},
        )  # fmt: skip


@pytest.mark.parametrize("study", STUDIES)
def test_the_figure_of_each_study_shows_every_factor_inside_its_panel(study):
    given = list(rows_of(study))
    configuration, rows = given[0][0], Rows([row for _, row in given])
    draw = TREE.figures_module(study).cores
    assert draw.figure_specification.tasks and set(rows.values("task")) <= set(draw.figure_specification.tasks)
    context = FigureContext(
        rows=rows, problem=lambda parameters: None, parameters=configuration.parameters, settings={}, device="cpu",
        device_name="a machine", other_device_rows=Rows([]),
    )  # fmt: skip
    drawing = draw(context)
    renderer = FigureCanvasAgg(drawing).get_renderer()
    words = " ".join(text.get_text() for text in drawing.texts).replace("\n", " ")
    assert "Time on all 2 usable cores / time on one core" in words and "a machine" in words
    factors = 0
    for axes in drawing.axes:
        inside = axes.get_window_extent(renderer)
        for text in axes.texts:
            factors += text.get_text() == "0.60× (10 → 6 ms)"
            box = text.get_window_extent(renderer)
            assert inside.x0 - 1 <= box.x0 and box.x1 <= inside.x1 + 1, text.get_text()
        for label in axes.get_yticklabels():
            assert label.get_window_extent(renderer).x0 >= 0, label.get_text()
        head = axes.title.get_window_extent(renderer)
        assert head.x0 >= 0 and head.x1 <= drawing.bbox.width and head.y1 <= drawing.bbox.height, axes.get_title()
    for text in drawing.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= -1 and box.x1 <= drawing.bbox.width + 1, text.get_text()
    repeated = [row for row in rows if figure_cores.stem(row.task) != row.task]
    assert factors == len(repeated) > 0


def test_a_cell_asked_for_one_way_only_is_left_out():
    rows = [row for _, row in rows_of("faircoin")]
    alone = [row for row in rows if row.framework != "numpyro" or figure_cores.stem(row.task) == row.task]
    found = figure_cores.pairs(Rows(alone), lambda row: "t", ("genjax",))
    assert [pair.all.framework for pair in found["t"]][0] == "genjax"
    assert "numpyro" not in {pair.all.framework for pair in found["t"]}
    other = [dataclasses.replace(row, seed=1) if row.task == "importance_sampling" else row for row in rows]
    assert figure_cores.pairs(Rows(other), lambda row: "t") == {}
