"""The cheap half of the programs that are wrong on purpose: each must come out invalid. `./run gates` runs them all."""

import re
from pathlib import Path

import pytest

from pipelines.plan.mutants import mutants_of
from pipelines.plan.tree import Tree
from pipelines.race import gates

TREE = Tree()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "gates.md"


@pytest.mark.parametrize("study", TREE.studies())
def test_cheap_mutants_are_invalid(study, capsys):
    status = gates.run([f"study={study}", "cheap=true", "runs=1"], TREE)
    assert status == 0, capsys.readouterr().out


@pytest.mark.parametrize("study", TREE.studies())
def test_the_page_shows_every_mutant_and_no_other(study):
    """The table of docs/gates.md is written by `./run gates runs=100 write=docs/gates.md`."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition(gates.MARKS[0])[2].partition(gates.MARKS[1])[0]
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
