"""Mistakes that would change what is measured, or measure nothing, are told with the nearest name that is valid."""

import json

import pytest

from pipelines.race import gate

FIRST = "    baseline: first"
CONFIG = "configs/study/toy.yaml"


def text_of(toy):
    return (toy.root / CONFIG).read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (FIRST, "    grids: {n_points: [3]}", "Unknown setting of a task 'grids'. Did you mean grid"),
        (FIRST, "    gate_call: 3", "Unknown setting of a task 'gate_call'. Did you mean gate_calls"),
        (FIRST, "    baseline: frist", "Unknown baseline 'frist'. Did you mean first?"),
        (FIRST, "    baseline: {n_point: 3}", "Unknown parameter of the baseline 'n_point'. Did you"),
        (FIRST, "    grid: {n_point: [3]}", "Unknown parameter 'n_point'. Did you mean n_points?"),
        (FIRST, "    parameters: {n_pionts: 3}", "Unknown parameter 'n_pionts'. Did you mean n_points?"),
        (FIRST, "    keep: [total, total]", "study.tasks.total.keep: total is in the list more than once"),
        (FIRST, "    stages: [gate, tiem]", "Unknown stage 'tiem'. Did you mean time"),
        (FIRST, "    race_over: [n_pints]", "Unknown parameter 'n_pints'. Did you mean n_points?"),
        (FIRST, "\tbaseline: first", "toy.yaml, line 7: a tab; YAML is indented by spaces."),
        (FIRST, "    baseline: [first", "toy.yaml, line "),
    ],
)  # fmt: skip
def test_misspelled_settings_of_tasks(toy, capsys, old, new, message):
    toy.write(CONFIG, text_of(toy).replace(old, new))
    assert toy.run("stages=[plan]") == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_a_misspelled_package(toy, capsys):
    toy.framework("third", 'distributions = ("nunpy",)\nrequirements = ("numpy==2.0",)')
    assert toy.run("stages=[plan]") == 2
    error = capsys.readouterr().err
    assert "frameworks/third.py: Unknown package in distributions 'nunpy'. Did you mean numpy" in error


def test_data_that_differ_between_two_calls(toy, capsys):
    problem = (toy.root / "studies/toy/problem.py").read_text()
    toy.write(
        "studies/toy/problem.py", problem.replace("np.arange(parameters", "np.random.rand() + np.arange(parameters")
    )
    assert toy.run("stages=[plan]") == 2
    assert "studies/toy/problem.py: two calls of make_problem" in capsys.readouterr().err


def reasons(toy):
    records = [json.loads(path.read_text()) for path in toy.records()]
    return {one["identity"]["framework"]: (one["status"], one["reason"]) for one in records}


def test_outputs_of_another_precision_and_models_without_a_program(toy):
    model = (toy.root / "studies/toy/models/second.py").read_text()
    toy.write("studies/toy/models/second.py", model.replace(f"np.float32({0.0}", "np.float64(0.0"))
    toy.write("studies/toy/models/third.py", "def total(framework, data, parameters):\n    return None\n")
    assert toy.run("stages=[run]") == 1
    found = reasons(toy)
    assert found["first"][0] == "ok"
    assert found["second"] == ("invalid", "outputs are not float32: total is float64")
    assert "total of third.py returned NoneType, not a Program" in found["third"][1]


class OldFashioned:
    """A study whose check returns a bool."""

    @staticmethod
    def check(task, problem, parameters, outputs):
        return True


def test_a_check_that_returns_a_bool():
    judged = gate.judge(OldFashioned, "total", None, {}, {})
    assert judged.status == "failed" and "it returned bool, not Verdict(reason, diagnostics)" in judged.reason
