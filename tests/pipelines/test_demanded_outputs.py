"""Outputs that a task's gate demands beside the answer: who leaves one out without a reason is invalid."""

import json

import pytest

from pipelines.config.configuration import configure
from pipelines.plan.cells import races
from pipelines.plan.mutants import mutants_of
from pipelines.plan.tree import Tree
from pipelines.race import gate

HIDES = """
from frameworks.base import Program, mutant

def without(data):
    return Program(lambda seed: data["values"], lambda values: {"total": values.sum()})

@mutant(task="total", effect="right, and silent")
def silent(framework, data, parameters):
    return without(data)

@mutant(task="total", effect="right, silent, excused", not_reported=("energy",))
def excused(framework, data, parameters):
    return without(data)
"""


@pytest.fixture
def demanding(toy):
    path = toy.root / "configs" / "study" / "toy.yaml"
    path.write_text(path.read_text().replace("    baseline: first\n", "    baseline: first\n    reports: [energy]\n"))
    model = toy.root / "studies" / "toy" / "models" / "first.py"
    model.write_text(model.read_text().replace('return {"total"', 'return {"energy": np.float32(0.0), "total"'))
    toy.framework("second", extra='not_reported = {"energy": "it has none"}\n')
    return toy


def test_a_demanded_output_is_returned_or_excused_with_a_reason_or_the_cell_is_invalid(demanding, capsys):
    assert demanding.run() == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "the outputs lack energy, by which the gate of total judges each step" in printed
    assert "`not_reported` of its framework file" in printed
    stored = [json.loads(path.read_text()) for path in demanding.records()]
    statuses = {record["identity"]["framework"]: record["status"] for record in stored}
    assert statuses == {"first": "ok", "second": "ok", "third": "invalid"}


def test_mutants_are_held_to_the_same_unless_they_measure_an_excused_system(demanding):
    path = demanding.root / "studies" / "toy" / "mutants" / "first.py"
    path.parent.mkdir()
    path.write_text(HIDES)
    assert [one.mutation.not_reported for one in mutants_of(demanding.tree, "toy")] == [(), ("energy",)]


def test_the_demand_is_part_of_what_a_gate_gets(demanding):
    cells = races(configure(["size=smoke"], demanding.tree)[0])[0].cells
    named = {cell.framework: gate.demanded(cell, demanding.tree.describe(cell.framework)) for cell in cells}
    assert named == {"first": ["energy"], "second": [], "third": ["energy"]}


def test_every_task_of_hamiltonian_monte_carlo_demands_energies_and_only_gen_is_excused():
    tree = Tree()
    wanted = ("log_density", "acceptance_probability")
    judged = {"perfbench": ("hmc", "hmc_chains"), "curvefit": ("basic_hmc", "fixed_rate_marginal_hmc")}
    for study, tasks in judged.items():
        (found,) = configure([f"study={study}"], tree)
        cells = [cell for race in races(found) for cell in race.cells if cell.task in tasks]
        assert cells and {cell.reports for cell in cells} == {wanted}
    excused = {name for name in tree.frameworks() if tree.describe(name).not_reported}
    assert excused == {"genjl", "genjl_static"}
