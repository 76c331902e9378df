"""Figures are drawn again when anything that decides them has changed, and only then."""

import json
import subprocess
import sys

import pytest

from pipelines.output import drawing, sidecars
from pipelines.plan.tree import REPOSITORY
from pipelines.testing.toy import CONFIG, FAST, FIGURES

NAME = "toy_times_points3"
DRAW = "stages=[run,figures]"
SECOND = """
@figure(file="toy_second", tasks=TASKS)
def second(context):
    raise RuntimeError("no ink")
"""


@pytest.fixture
def drawn(monkeypatch):
    """The names of the figures that were drawn, in order."""
    names, real = [], drawing.write_picture

    def write_picture(specification, *rest):
        names.append(specification.name)
        return real(specification, *rest)

    monkeypatch.setattr(drawing, "write_picture", write_picture)
    return names


@pytest.fixture
def once(measured):
    """The content of the figures' files after one run."""
    return {path.name: path.read_bytes() for path in (measured.root / "figs" / "smoke").iterdir() if path.is_file()}


def files(toy, names):
    return {name: (toy.root / "figs" / "smoke" / name).read_bytes() for name in names}


def test_a_first_run_draws(toy, drawn):
    assert toy.run(DRAW) == 0
    assert drawn == ["times"]


def test_nothing_is_drawn_again_where_nothing_has_changed(measured, drawn, once, capsys):
    assert measured.run(DRAW) == 0
    assert measured.run("stages=[figures]") == 0
    assert drawn == []
    assert f"figure   times: {measured.root / 'figs/smoke' / NAME}.pdf (unchanged)" in capsys.readouterr().out
    assert files(measured, once) == once


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{}")])
def test_a_file_that_is_gone_or_edited_is_drawn_again_as_it_was(measured, drawn, once, spoil):
    for name in once:
        spoil(measured.root / "figs" / "smoke" / name)
        assert measured.run("stages=[figures]") == 0
        assert drawn == ["times"], name
        assert files(measured, once) == once
        drawn.clear()


@pytest.mark.parametrize(
    "change",
    [
        lambda toy: toy.write("studies/toy/figures.py", FIGURES.replace("(2, 2)", "(3, 2)")),
        lambda toy: toy.write("studies/toy/figures_shared.py", "WIDTH = 2"),
        lambda toy: toy.write("studies/toy/places.json", "[1, 2]"),
        lambda toy: toy.write("configs/study/toy.yaml", CONFIG.replace("times: {}", "times: {title: short}")),
        lambda toy: toy.write("configs/framework/second.yaml", "label: The second"),
    ],
    ids=["its function", "a module beside it", "a data file", "its settings", "a label"],
)
def test_a_figure_whose_code_or_settings_have_changed_is_drawn_again(measured, drawn, once, change):
    change(measured)
    assert measured.run(DRAW) == 0
    assert drawn == ["times"]
    drawn.clear()
    assert measured.run(DRAW) == 0
    assert drawn == []


def test_a_figure_whose_record_has_changed_is_drawn_again(measured, drawn, once):
    assert measured.run(DRAW, "remeasure=[second]") == 0
    assert drawn == ["times"]
    sidecar = json.loads((measured.root / "figs" / "smoke" / f"{NAME}.json").read_text())
    before = json.loads(once[f"{NAME}.json"])
    assert sidecar["inputs"].pop("rows") != before["inputs"].pop("rows")
    assert sidecar["inputs"] == before["inputs"]


def test_another_version_of_a_package_draws_again(measured, drawn, once, monkeypatch):
    monkeypatch.setattr(sidecars, "computing_versions", lambda: {"matplotlib": "0.1"})
    assert measured.run(DRAW) == 0
    assert drawn == ["times"]


def test_an_edited_model_draws_again_only_what_was_measured_again(measured, drawn, once):
    measured.write(
        "studies/toy/models/third.py", (measured.root / "studies/toy/models/third.py").read_text() + "\n# a comment\n"
    )
    assert measured.run(DRAW) == 0
    assert drawn == []


def test_a_figure_that_fails_stops_no_other_and_is_tried_again(measured, drawn, once, capsys):
    measured.write("configs/study/toy.yaml", CONFIG.replace("times: {}", "times: {}\n  second: {}"))
    measured.write("studies/toy/figures.py", FIGURES + SECOND)
    for _ in range(2):
        assert measured.run(DRAW) == 1
        shown = capsys.readouterr().out
        assert "FAILED figure second: RuntimeError: no ink" in shown and "figure   times:" in shown
    assert drawn == ["times", "second", "second"]


def test_a_run_with_nothing_to_measure_or_draw_loads_no_matplotlib(measured):
    program = (
        "import sys; from pathlib import Path; from pipelines.cli import main; from pipelines.plan.tree import Tree; "
        "status = main(sys.argv[2:], tree=Tree(Path(sys.argv[1]))); "
        "sys.exit(status or ' '.join({'matplotlib', 'pandas', 'jax'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", program, str(measured.root), *FAST]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "(unchanged)" in ended.stdout and "page: " in ended.stdout
