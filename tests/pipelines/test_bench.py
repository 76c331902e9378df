"""Benchmarks: found by presence, judged by intervals, run through the same races."""

import io

import pytest
from rich.console import Console

from pipelines.bench import false_alarms, self_check
from pipelines.bench.__main__ import run
from pipelines.bench.base import Context, benchmarks, faults_of, judge_at_most
from pipelines.errors import ConfigurationFaults
from pipelines.output.progress import Reporter
from pipelines.testing.toy import FAST


def test_benchmarks_are_found_by_presence():
    assert {"faircoin_importance", "import_time", "self_check"} <= benchmarks().keys()


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.98, 1.01, "met"),
        (1.0, 1.02, "met"),
        (1.01, 1.03, "met"),  # narrow, and includes the limit
        (1.01, 1.05, "cannot tell"),
        (1.03, 1.04, "missed"),
        (0.8, 1.4, "cannot tell"),
        (float("nan"), float("nan"), "cannot tell"),
    ],
)
def test_verdicts(low, high, verdict):
    assert judge_at_most(low, high, 1.02) == verdict


def test_unknown_benchmark_names_the_nearest():
    with pytest.raises(ConfigurationFaults, match="Unknown benchmark 'selfcheck'. Did you mean self_check?"):
        run(["selfcheck"])


def test_self_check_races_two_workers_of_one_framework(toy):
    output = io.StringIO()
    context = Context(toy.tree, (*FAST, "study=toy", "timing.interval_width=0.5"), Reporter(Console(file=output)))
    (finding,) = self_check.run(context)
    assert finding.what == "toy/total: first against itself"
    low, high = finding.facts["interval"]
    assert low <= finding.facts["ratio"] <= high and finding.verdict in ("met", "missed", "cannot tell")
    records = [path.read_text() for path in (toy.root / "results/bench/toy/total").glob("*/record.json")]
    assert sorted('"instance":1' in text for text in records) == [False, True]
    assert not (toy.root / "results/toy").exists(), "rows of benchmarks are kept apart"


def test_false_alarms_are_counted_over_races_of_processes_dealt_anew(toy, monkeypatch):
    monkeypatch.setattr(false_alarms, "RACES", 4)
    monkeypatch.setattr(false_alarms, "PROCESSES", 2)
    context = Context(toy.tree, (*FAST[:1], *FAST[2:], "study=toy"), Reporter(Console(file=io.StringIO())))
    (finding,) = false_alarms.run(context)
    assert finding.what == "toy/total: first against itself, 4 races"
    assert finding.facts["races"] == 4 and 0 <= finding.facts["alarms"] <= 4
    assert finding.verdict == ("met" if finding.facts["alarms"] == 0 else "missed")
    assert 0 <= finding.facts["interval"][0] <= finding.facts["alarms"] / 4 <= finding.facts["interval"][1]


def test_false_alarms_of_a_broken_program_have_no_number(toy):
    toy.model("first", wrong=1.0)
    context = Context(toy.tree, (*FAST, "study=toy"), Reporter(Console(file=io.StringIO())))
    (finding,) = false_alarms.run(context)
    assert finding.verdict == "missed" and "invalid: total is off by 1" in finding.value


def test_self_check_of_a_broken_program_has_no_number(toy):
    toy.model("first", wrong=1.0)
    context = Context(toy.tree, (*FAST, "study=toy"), Reporter(Console(file=io.StringIO())))
    findings = self_check.run(context)
    assert [finding.verdict for finding in findings] == ["missed", "missed"]
    assert "invalid: total is off by 1" in findings[0].value


def test_faults_of_good_rows_are_none():
    assert faults_of([]) == []
