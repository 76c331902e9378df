"""A worker that says in its hello that it cannot run here: a skip with its reason, as of a system not installed."""

import json

import pytest

from pipelines.config.configuration import configure
from pipelines.contract.answers import NotHere
from pipelines.contract.conversation import ask_worker
from pipelines.output import claims
from pipelines.plan.cells import races
from pipelines.plan.plan import Problems
from pipelines.race import gates
from pipelines.results.store import Store
from pipelines.testing.scripted_worker import scripted
from tests.pipelines.test_claims import TOY_CLAIMS
from tests.pipelines.test_gates import MUTANTS

REASON = "no device: the library sees none"
FRAMEWORKS = "frameworks=[first,second]"


def unavailable(operation, line):
    """The honest reply, but for the hello's `unavailable`."""
    reply = json.loads(line)
    return json.dumps(reply | {"unavailable": REASON}).encode() if operation == "hello" else line


def status_of(toy, framework):
    (found,) = (
        one for one in Store(toy.root / "results").records("toy", "total") if one["identity"]["framework"] == framework
    )
    return found["status"], found["reason"]


def test_a_run_goes_on_without_it_and_says_why_everywhere(toy, capsys):
    toy.write("configs/claims.yaml", TOY_CLAIMS)
    with scripted({"second": unavailable}):
        assert toy.run(FRAMEWORKS) == 0
    out = capsys.readouterr().out
    assert f"skipped  total second: {REASON}" in out and "toy: 1 ok, 1 skipped of 2 cells" in out
    assert status_of(toy, "second") == ("skipped", REASON) and status_of(toy, "first")[0] == "ok"
    assert f"| skipped |  |  |  |  |  |  |  | {REASON} |" in (toy.root / "results/report.md").read_text()
    assert REASON in (toy.root / "figs/smoke/report/index.html").read_text()
    (configuration,) = configure(["size=smoke", FRAMEWORKS], toy.tree, study="toy")
    rows = claims.stored_rows(configuration, Store(toy.root / "results"))
    assert [(row.framework, row.status, row.reason) for row in rows] == [
        ("first", "ok", None),
        ("second", "skipped", REASON),
    ]
    judged = claims.judge_all([configuration], Store(toy.root / "results"), {"toy": rows})
    assert "all rows are skipped" in judged[0].why, "the claim about the second system"


def test_it_is_tried_again_and_what_it_measured_before_stays(toy, capsys):
    assert toy.run(FRAMEWORKS, "stages=[run]") == 0
    toy.model("second", before="pass; pass")
    with scripted({"second": unavailable}):
        assert toy.run(FRAMEWORKS, "stages=[run]") == 0
    assert "1 ok, 1 skipped" in capsys.readouterr().out
    assert toy.run(FRAMEWORKS, "stages=[figures]") == 0
    newest = Store(toy.root / "results").newest("toy", "total").values()
    assert {one["status"] for one in newest} == {"ok"}, "a skip says nothing of the program"
    assert toy.run(FRAMEWORKS, "stages=[run]") == 0
    out = capsys.readouterr().out
    assert f"skipped last time: {REASON}" in out and "2 ok of 2 cells (1 measured now)" in out


def test_a_run_in_which_no_system_is_available_is_no_success(toy, capsys):
    with scripted({"second": unavailable}):
        assert toy.run("frameworks=[second]") == 1
    assert f"Nothing was measured: second: {REASON}" in capsys.readouterr().out


def test_its_mutants_are_skipped(toy, capsys):
    toy.write("studies/toy/mutants/first.py", MUTANTS)
    toy.write("studies/toy/mutants/second.py", MUTANTS)
    with scripted({"second": unavailable}):
        assert gates.run(["runs=1", "mutant=more", "cheap=true"], toy.tree) == 0
        out = capsys.readouterr().out
        assert f"toy/more: skipped, second: {REASON}" in out and "1 judged, 0 mutants that escape, 1 skipped" in out
        assert gates.run(["runs=1", "mutant=more", "framework=second"], toy.tree) == 1, "nothing was judged"
        assert gates.run(["false_alarms=1"], toy.tree) == 0


def test_the_contract_does_not_examine_it(toy, tmp_path):
    (configuration,) = configure(["size=smoke"], toy.tree, study="toy")
    cells = [cell for race in races(configuration) for cell in race.cells if cell.framework == "second"]
    problem = Problems(toy.tree).get("toy", cells[0].parameters)
    with scripted({"second": unavailable}), pytest.raises(NotHere, match=REASON):
        ask_worker(configuration, "second", cells, [problem], tmp_path)
