"""`./run race-forms`: which races it makes, how it compares forms, and the table of the page."""

import dataclasses
import math

import pytest

from pipelines.bench import race_forms
from pipelines.bench.race_forms import Measured, ahead, contest, quotient, with_tables
from pipelines.plan.cells import Cell, Race
from pipelines.plan.tree import Tree

MODEL = """
@form("batch", "one draw")
def task(framework, data, parameters): ...

@form("loop", "one after the other")
def task__loop(framework, data, parameters): ...
"""


@pytest.fixture
def tree(tmp_path):
    for name in ("fast", "slow", "single"):
        path = tmp_path / "frameworks" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'class A:\n    name = "{name}"\n')
        model = tmp_path / "studies" / "study" / "models" / f"{name}.py"
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_text("def task(framework, data, parameters): ...\n" if name == "single" else MODEL)
    (tmp_path / "configs" / "framework").mkdir(parents=True)
    return Tree(tmp_path)


def race_of(*frameworks):
    cells = tuple(Cell("study", "task", name, {"n": 1}, 0, "cpu", "float32") for name in frameworks)
    return Race(cells, cells[0], ("n",))


def test_forms_race_against_the_baseline_and_the_published_form(tree):
    race = contest(race_of("fast", "slow"), "slow", tree)
    assert [(cell.framework, cell.form) for cell in race.cells] == [("fast", None), ("slow", None), ("slow", "loop")]
    assert race.baseline == race.cells[0]


def test_forms_of_the_baseline_race_against_its_published_form(tree):
    race = contest(race_of("fast", "slow"), "fast", tree)
    assert [(cell.framework, cell.form) for cell in race.cells] == [("fast", None), ("fast", "loop")]
    assert race.baseline == race.cells[0]


def test_a_system_with_one_form_has_nothing_to_compare(tree):
    assert contest(race_of("fast", "single"), "single", tree) is None
    assert contest(race_of("fast", "slow"), "single", tree) is None


def test_quotient_of_intervals():
    assert quotient((2.0, 1.0, 4.0), (1.0, 1.0, 1.0)) == pytest.approx((2.0, 1.0, 4.0))
    value, low, high = quotient((2.0, 1.8, 2.2), (1.0, 0.9, 1.1))
    half = math.hypot(math.log(2.2 / 1.8), math.log(1.1 / 0.9)) / 2
    assert (value, low, high) == pytest.approx((2.0, 2.0 * math.exp(-half), 2.0 * math.exp(half)))


def of(form, to_published, size=1, status="ok"):
    return Measured("slow", "study", "task", form, "text", {"n": size}, status, None, to_published, to_published)


@pytest.mark.parametrize(
    ("forms", "n"),
    [
        ([of("loop", (0.90, 0.88, 0.92))], 1),
        ([of("loop", (0.96, 0.95, 0.97))], 0),  # less than 5%
        ([of("loop", (0.90, 0.78, 1.04))], 0),  # the interval holds 1: cannot tell
        ([of("loop", (0.80, 0.79, 0.81)), of("loop", (1.2, 1.19, 1.21), 2)], 0),  # slower at the other size
        ([of("loop", (0.70, 0.69, 0.71)), of("loop", (1.1, 1.09, 1.11), 2)], 1),
        ([of("loop", None, status="failed")], 0),
    ],
)
def test_a_form_that_beats_the_published_one_is_found(forms, n):
    found = ahead(forms)
    assert len(found) == n
    assert all("task__loop" in line for line in found)


def test_a_form_that_is_set_aside_beats_nothing():
    one = dataclasses.replace(of("loop", (0.2, 0.19, 0.21)), aside="users do not write that")
    assert ahead([one]) == []


def test_the_table_shows_every_form_and_size():
    content = {
        "forms": [
            {"framework": "slow", "study": "s", "task": "t", "form": "batch", "idiom": "one draw",
             "parameters": {"n": 1000}, "status": "ok", "reason": None, "ratio": [1.0, 0.9, 1.1], "to_published": None},
            {"framework": "slow", "study": "s", "task": "t", "form": "loop", "idiom": "turns",
             "parameters": {"n": 1000}, "status": "failed", "reason": "no compiler", "ratio": None,
             "to_published": None},
        ],
        "measured": {"slow": {"date": "2026-01-02", "cpu": "A CPU", "cores": 2}},
    }  # fmt: skip
    page = with_tables("a\n<!-- forms slow -->\nold\n<!-- end -->\nb\n<!-- forms fast -->\n<!-- end -->\n", content)
    assert "| s/t | **`batch`**, published | one draw | 1,000: 1.00 [0.90, 1.10] |" in page
    assert "| s/t | `loop` | turns | 1,000: failed (no compiler) |" in page
    assert "Measured on 2026-01-02: A CPU, 2 cores" in page
    assert "old" not in page and page.count("Not measured yet.") == 1
    assert with_tables(page, content) == page


def test_unknown_systems_are_named():
    with pytest.raises(Exception, match="framework"):
        race_forms.run(["framework=numpyrow"])
