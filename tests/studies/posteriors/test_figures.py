"""Figures of the posteriors from made-up rows: what is drawn is what the rows say; what is missing has its reason."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from studies.base import FigureContext, Row, Rows
from studies.posteriors import figures

PARAMETERS = {"posterior": "logistic", "n_chains": 4, "n_warmup": 500, "n_leapfrog": 16}
DIAGNOSTICS = {
    "effective_sample_size": 900.0, "gradients": 30_000.0, "divergences": 2.0,
    **{f"error_at_{fraction:g}": 0.2 / np.sqrt(fraction * 10) for fraction in figures.FRACTIONS},
}  # fmt: skip


def row(framework, n_samples, seconds, status="ok"):
    return Row(
        "posteriors", "logistic", framework, framework.title(), "#123456", {**PARAMETERS, "n_samples": n_samples}, 1,
        "cpu", status, None if status == "ok" else "wrong", seconds, (seconds, seconds) if seconds else None,
        diagnostics=DIAGNOSTICS if status == "ok" else {}, samples_s=np.full(5, seconds or 0.0), n_processes=1,
    )  # fmt: skip


ROWS = Rows(
    [
        row("genjax", 200, 1.2),
        row("genjax", 1000, 2.0),
        row("numpyro", 200, 1.5),
        row("numpyro", 1000, None, "invalid"),
        row("blackjax", 1000, 2.5),
    ]
)
CONTEXT = FigureContext(ROWS, lambda parameters: None, PARAMETERS, {}, "cpu", "a processor", Rows([]))


def test_two_lengths_tell_the_warm_up():
    runs = figures.runs_of(ROWS)["logistic"]
    assert list(runs) == ["genjax", "numpyro", "blackjax"]
    # 1.2 = a + 200 b and 2.0 = a + 1000 b
    assert runs["genjax"].warmup_s == pytest.approx(1.0) and runs["genjax"].draws_s == pytest.approx(1.0)
    assert figures.draws_per_second(runs["genjax"]) == pytest.approx(900.0)
    assert figures.draws_per_gradient(runs["genjax"]) == pytest.approx(30.0)
    assert runs["blackjax"].warmup_s is None
    assert figures.draws_per_second(runs["blackjax"]) is None, "a rate with the warm-up is not drawn beside one without"


def test_a_longest_run_that_is_invalid_is_not_replaced_by_a_shorter_one():
    assert figures.runs_of(ROWS)["logistic"]["numpyro"].row.status == "invalid"


def texts(drawing):
    return [text.get_text() for axes in drawing.axes for text in axes.texts]


def test_every_system_has_a_bar_or_its_reason():
    drawing = figures.effective(CONTEXT)
    assert [axes.get_ylabel() for axes in drawing.axes][2] == "Warm-up (s)"
    told = texts(drawing)
    assert told.count("Numpyro: invalid") == 3 and told.count("Blackjax: not measured") == 2
    assert {"900", "30", "1"} <= set(told)


@pytest.mark.parametrize("longer_s", [1.0, 7.0])
def test_times_that_no_warm_up_explains_are_called_uneven_rather_than_not_measured(longer_s):
    """Of 200 and 1,000 draws in 1.2 s: the draws would take less than no time, or the warm-up."""
    uneven = Rows([row("genjax", 200, 1.2), row("genjax", 1000, longer_s)])
    told = texts(figures.effective(dataclasses.replace(CONTEXT, rows=uneven)))
    assert told.count("Genjax: times too uneven") == 2


def test_labels_are_inside_of_the_figure_and_numbers_are_short():
    drawing = figures.effective(CONTEXT)
    canvas = FigureCanvasAgg(drawing)
    canvas.draw()
    for axes in drawing.axes:
        assert axes.yaxis.label.get_window_extent(canvas.get_renderer()).x0 >= 0
    assert [figures.short(number) for number in (33_297.0, 9_999.0, 473.4, 0.67)] == ["33k", "9,999", "473", "0.67"]


def test_errors_begin_after_the_warm_up():
    drawing = figures.error_against_time(CONTEXT)
    (line,) = [line for line in drawing.axes[0].lines if line.get_label() == "Genjax"]
    assert line.get_xdata() == pytest.approx(1.0 + np.array(figures.FRACTIONS))
    assert list(line.get_ydata()) == [DIAGNOSTICS[f"error_at_{fraction:g}"] for fraction in figures.FRACTIONS]
    (point,) = [line for line in drawing.axes[0].lines if line.get_label() == "Blackjax"]
    assert list(point.get_xdata()) == [2.5]


def test_axes_have_numbers_where_they_span_less_than_a_decade():
    drawing = figures.error_against_time(CONTEXT)
    FigureCanvasAgg(drawing).draw()
    axes = drawing.axes[0]
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        assert high / low < 10
        ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
        assert len([text for place, text in ticks if low <= place <= high and text.get_text()]) >= 2


def test_divergences_are_told_by_task_and_system():
    (told,) = figures.divergences(figures.runs_of(ROWS))
    assert told == "divergences in logistic regression: Genjax 2, Blackjax 2"
    calm = Rows([dataclasses.replace(one, diagnostics={**DIAGNOSTICS, "divergences": 0.0}) for one in ROWS])
    assert figures.divergences(figures.runs_of(calm)) == ["no divergences"]


def test_many_posteriors_have_panels_in_rows():
    rows = Rows([dataclasses.replace(one, task=f"posterior_{index}") for index in range(7) for one in ROWS])
    drawing = figures.error_against_time(dataclasses.replace(CONTEXT, rows=rows))
    shown = [axes.get_title() for axes in drawing.axes if axes.axison]
    assert shown == [f"posterior_{index}" for index in range(7)]
    assert len({round(axes.get_position().y0, 3) for axes in drawing.axes}) == 2


def test_flags_are_counted_and_facts_belong_to_their_figure():
    flagged = Rows([dataclasses.replace(one, flags=("load average 3.1",)) for one in ROWS[:1]] + list(ROWS[1:]))
    context = dataclasses.replace(CONTEXT, rows=flagged)
    notes = {
        draw.__name__: draw(context).texts[-1].get_text() for draw in (figures.effective, figures.error_against_time)
    }
    assert all("1 of 5 measurements flagged as unstable" in note for note in notes.values())
    assert all("200 or 1,000 draws each" in note for note in notes.values())
    assert "worst unknown" in notes["effective"] and "worst unknown" not in notes["error_against_time"]
    assert "unstable" not in figures.effective(CONTEXT).texts[-1].get_text()


def test_a_panel_without_a_number_has_no_scale():
    drawing = figures.effective(dataclasses.replace(CONTEXT, rows=Rows([row("genjax", 200, 1.2)])))
    assert [len(axes.get_yticks()) > 0 for axes in drawing.axes] == [False, True, False]
