"""Models that return what nobody expects: each fails alone, or works, and the message names the output."""

import pytest

from pipelines.results.rows import Newest
from pipelines.results.store import Store
from pipelines.testing.toy import FIGURES
from tests.pipelines.test_faults import reason, statuses
from tests.pipelines.test_store import record

RETURNS = """
import numpy as np
from frameworks.base import Program
CALLS = 0

def total(framework, data, parameters):
    def run(inputs):
        global CALLS
        CALLS += 1
        return {returned}
    return Program(lambda seed: {{"values": data["values"], "seed": seed}}, run)
"""
RIGHT = "np.asarray(inputs['values'].sum(dtype=np.float32))"


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("{'total': np.zeros(1, dtype=[('a', 'f4')])}", "an output is an array of numbers"),
        ("{'total': np.array([{}], dtype=object)}", "an output is an array of numbers"),
        ("{'total': np.array('three')}", "an output is an array of numbers"),
        ("{'total': np.array('2026-01-01', dtype='datetime64[D]')}", "an output is an array of numbers"),
        ("None", "NoneType"),
        ("{}", "KeyError"),
        ("[1]", "list"),
        ("{'total': 3.0}", "float"),
    ],
)
def test_output_that_is_no_array_of_numbers_fails_alone(toy, returned, said):
    toy.write("studies/toy/models/second.py", RETURNS.format(returned=returned))
    assert toy.run("stages=[run]", "frameworks=[first,second]") == 1
    assert statuses(toy) == {"first": "ok", "second": "failed"}
    assert said in reason(toy, "second")


def test_bfloat16_is_judged_like_any_other_number(toy):
    pytest.importorskip("ml_dtypes")
    returned = f"{{'total': {RIGHT}.astype(__import__('ml_dtypes').bfloat16)}}"
    toy.write("studies/toy/models/second.py", RETURNS.format(returned=returned))
    assert toy.run("stages=[run]", "frameworks=[first,second]") == 0
    assert statuses(toy) == {"first": "ok", "second": "ok"}


def test_shapes_that_vary_between_calls_at_the_gate_fail_alone(toy):
    path = toy.root / "configs/study/toy.yaml"
    toy.write("configs/study/toy.yaml", path.read_text().replace("baseline: first", "gate_calls: 3"))
    toy.write("studies/toy/models/second.py", RETURNS.format(returned="{'total': np.zeros(CALLS, np.float32)}"))
    assert toy.run("stages=[run]", "frameworks=[second]") == 1
    assert "call 2 at the gate returned another shape or type of total" in reason(toy, "second")


def test_a_fault_of_the_harness_itself_while_a_cell_is_admitted_is_that_cells(toy, monkeypatch):
    from pipelines.race import gate

    real = gate.judge
    seen = []

    def judge(*given):
        seen.append(given)
        if len(seen) == 2:
            raise RuntimeError("a fault of our own")
        return real(*given)

    monkeypatch.setattr(gate, "judge", judge)
    assert toy.run("stages=[run]") == 1
    assert statuses(toy) == {"first": "ok", "second": "failed", "third": "ok"}
    assert "RuntimeError while it was measured: a fault of our own" in reason(toy, "second")


def test_records_of_this_machine_come_before_those_of_another(tmp_path, monkeypatch):
    """And a record dated 2099 decides nothing."""
    from pipelines.results import rows

    monkeypatch.setattr(rows, "machine", lambda device: "this one")
    store = Store(tmp_path, print)
    for key, where, order, started in [
        ("k1", "this one", 1, "2026-01-01"),
        ("k2", "this one", 2, "2025-01-01"),
        ("k3", "another", 9, "2026-06-01"),
        ("k4", "another", 1, "2099-01-01"),
    ]:
        store.save(record(key, inputs={"machine": where}, order=order, provenance={"started": started}), {})
    assert Newest(store).get(record()["identity"])[0]["key"] == "k2"
    monkeypatch.setattr(rows, "machine", lambda device: "a third")
    assert Newest(store).get(record()["identity"])[0]["key"] == "k3"


def test_figures_that_cannot_be_loaded_are_one_line_and_the_cells_have_their_rows(toy, capsys):
    toy.write("studies/toy/figures.py", "import no_such_library\n" + FIGURES)
    assert toy.run() == 1
    shown = capsys.readouterr()
    line = "studies/toy/figures.py, line 1 cannot be loaded: ModuleNotFoundError: No module named 'no_such_library'"
    assert f"FAILED figure times: {line}" in shown.out
    assert "Traceback" not in shown.out + shown.err
    assert {record["status"] for record in Store(toy.root / "results").records("toy", "total")} == {"ok"}
