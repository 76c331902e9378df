"""The notebooks in examples/ run cell by cell, draw a picture each, and are stored without outputs."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

from tests.compilation import optimisation_disabled
from tests.tiers import tier

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.ipynb"))


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


@pytest.fixture(autouse=True)
def without_a_screen(monkeypatch):
    backend = matplotlib.get_backend()
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda: None)
    yield
    plt.close("all")
    plt.switch_backend(backend)


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["clustering_with_gibbs", "regression", "tracking_with_smc"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_draws(path, pytestconfig):
    namespace = {"__name__": path.stem}
    with optimisation_disabled(tier(pytestconfig) != "thorough"):
        for number, cell in enumerate(cells_of(path)):
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [] and cell["execution_count"] is None, "clear the outputs before committing"
                exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), namespace)
    (figure,) = map(plt.figure, plt.get_fignums())
    assert all(axes.has_data() for axes in figure.axes)
