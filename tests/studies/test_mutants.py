"""The cheap half of the programs that are wrong on purpose: each must come out invalid. `./run gates` runs them all."""

import re
from pathlib import Path

import pytest

from pipelines.plan.mutants import mutants_of
from pipelines.plan.tree import Tree
from pipelines.race import gates

TREE = Tree()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gates.md"


@pytest.mark.usefixtures("quick_programs")
@pytest.mark.parametrize("study", TREE.studies())
def test_cheap_mutants_are_invalid(study, capsys):
    status = gates.run([f"study={study}", "cheap=true", "runs=1"], TREE)
    assert status == 0, capsys.readouterr().out


MEASURED = [study for study in TREE.studies() if gates.MARKS[0].format(study=study) in PAGE.read_text(encoding="utf-8")]


def test_the_page_has_measured_gates():
    assert {"faircoin", "curvefit", "perfbench"} <= set(MEASURED)


@pytest.mark.parametrize("study", MEASURED)
def test_the_page_shows_every_mutant_and_no_other(study):
    """Its tables are written by `./run gates study=NAME runs=100 seconds=30 write=docs/gates.md`."""
    text, (begin, end) = PAGE.read_text(encoding="utf-8"), (mark.format(study=study) for mark in gates.MARKS)
    table = text.partition(begin)[2].partition(end)[0]
    shown = re.findall(rf"^\| {study} \| `(\w+)` \| (\w+) \| (.*?) \| (\w+) \| (\d+) of (\d+) \|", table, re.MULTILINE)
    measured = " (measures the gate)"
    expected = [(one.name, one.framework, one.effect) for one in mutants_of(TREE, study)]
    assert [(name, system, effect.removesuffix(measured)) for name, system, effect, *_ in shown] == expected
    escaped = [
        name
        for name, _, effect, _, caught, runs in shown
        if not effect.endswith(measured) and int(caught) < gates.CAUGHT * int(runs)
    ]
    assert escaped == []
