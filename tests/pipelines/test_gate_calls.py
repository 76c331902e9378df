"""Several calls at the gate, timing settings of a task, skipped tasks and stages: on the small checkout."""

import json

import numpy as np

from pipelines.config.configuration import configure
from pipelines.plan.tree import Tree
from pipelines.race.timing import gate_seed, round_seed


def edited(toy, **changes):
    """Adds lines to the toy's task."""
    path = toy.root / "configs" / "study" / "toy.yaml"
    text = path.read_text()
    block = "".join(f"    {name}: {value}\n" for name, value in changes.items())
    path.write_text(text.replace("    baseline: first\n", f"    baseline: first\n{block}", 1))


def test_the_gate_gets_the_outputs_of_all_calls_stacked(toy):
    problem = toy.root / "studies" / "toy" / "problem.py"
    text = problem.read_text()
    start = text.index("def check(")
    problem.write_text(
        text[:start]
        + "def check(task, problem, parameters, outputs):\n"
        + "    total = outputs['total']\n"
        + "    return Verdict(None, {'calls': float(total.shape[0]), 'axes': float(total.ndim)})\n"
    )
    edited(toy, gate_calls=3)
    assert toy.run("stages=[run]", "frameworks=[first]") == 0
    (record,) = [json.loads(path.read_text()) for path in (toy.root / "results").glob("toy/*/*/record.json")]
    assert record["diagnostics"] == {"calls": 3.0, "axes": 1.0}
    assert record["inputs"]["calls at the gate"] == "3"


def test_seeds_of_the_gate_are_none_of_the_rounds():
    assert len({gate_seed(7, index) for index in range(1, 50)} | {round_seed(7, index) for index in range(50)}) == 99


def test_a_task_has_timing_settings_of_its_own(toy):
    edited(toy, timing="{max_rounds: 9, min_rounds: 9, calls: 2}")
    own = ("study.tasks.total.timing.max_rounds=4", "study.tasks.total.timing.min_rounds=4")
    assert toy.run("stages=[run]", "frameworks=[first]", *own) == 0
    (path,) = (toy.root / "results").glob("toy/*/*/record.json")
    record = json.loads(path.read_text())
    assert (record["timing"]["rounds"], record["timing"]["calls"]) == (4, 2)
    assert '"calls":2' in record["inputs"]["timing settings"]
    assert len(np.load(path.with_name("arrays.npz"))["samples_s"]) == 4


def test_unknown_timing_settings_are_refused(toy, capsys):
    edited(toy, timing="{budget_secnds: 4}")
    assert toy.run("stages=[plan]") == 2
    assert "Did you mean budget_seconds" in capsys.readouterr().err


def test_skipped_tasks_and_stages_are_left_out(toy):
    edited(toy, skip="true")
    (configuration,) = configure(["skip.figures=true"], Tree(toy.root), study="toy")
    # Where every task is left out there is nothing to run, and what is stored is still read.
    assert configuration.stages == ("export", "report")
