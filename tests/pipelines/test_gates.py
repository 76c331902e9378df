"""`./run gates`: what is read of mutants without importing them, how they are run and judged, and what fails."""

import subprocess
import sys

import pytest

from pipelines.errors import ConfigurationFaults
from pipelines.plan.mutants import mutants_of
from pipelines.race import gates

MUTANTS = """
import numpy as np
from frameworks.base import Program, mutant

def shifted(framework, data, parameters, shift):
    return Program(lambda seed: data["values"], lambda values: {"total": np.asarray(values.sum() + np.float32(shift))})

@mutant(task="total", effect="{strength:.0%} more", cheap=True, strengths=(0.5, -0.3, 0.1, 0.0))
def more(framework, data, parameters):
    return shifted(framework, data, parameters, parameters["strength"])

@mutant(task="total", effect="nothing at all", parameters={"n_points": 7})
def harmless(framework, data, parameters):
    return shifted(framework, data, parameters, 0.0)

@mutant(task="total", effect="breaks")
def broken(framework, data, parameters):
    raise RuntimeError("no such thing")
"""


@pytest.fixture
def with_mutants(toy):
    path = toy.root / "studies" / "toy" / "mutants" / "first.py"
    path.parent.mkdir()
    path.write_text(MUTANTS)
    return toy.tree


def test_mutants_are_read_from_the_text_and_each_strength_is_one(with_mutants):
    found = mutants_of(with_mutants, "toy")
    assert [(one.name, one.effect, one.must_be_caught) for one in found] == [
        ("more", "50% more", True), ("more", "-30% more", False), ("more", "10% more", False),
        ("more", "0% more", False),
        ("harmless", "nothing at all", True), ("broken", "breaks", True),
    ]  # fmt: skip
    assert found[0].parameters == {"strength": 0.5}
    assert found[4].parameters == {"n_points": 7}


def test_mutants_that_are_not_python_are_one_line(with_mutants):
    (with_mutants.root / "studies" / "toy" / "mutants" / "first.py").write_text("def (")
    with pytest.raises(ConfigurationFaults, match="first.py is not valid Python"):
        mutants_of(with_mutants, "toy")


def test_arguments_that_are_not_literals_are_refused(with_mutants):
    path = with_mutants.root / "studies" / "toy" / "mutants" / "first.py"
    path.write_text('@mutant(task=TASK, effect="x")\ndef wrong(framework, data, parameters):\n    pass\n')
    with pytest.raises(ConfigurationFaults, match="literal arguments"):
        mutants_of(with_mutants, "toy")


def test_a_mutant_that_escapes_or_does_not_run_fails_and_power_is_told(with_mutants, capsys):
    assert gates.run(["runs=2", "study=toy"], with_mutants) == 1
    printed = capsys.readouterr().out
    assert "| toy | `more` | first | 50% more | invalid | 2 of 2 | total is off by 0.5 (limit 1e-6) |" in printed
    assert "| toy | `more` | first | 0% more (measures the gate) | ok | 0 of 2 |" in printed
    assert "| toy | `harmless` | first | nothing at all | ok | 0 of 2 |" in printed
    assert "| toy | `broken` | first | breaks | failed | 0 of 1 | RuntimeError: no such thing |" in printed
    assert "the smallest effect that is caught is: 10% more (2 of 2)" in printed
    assert "2 mutants that escape" in printed


def test_the_cheap_half_leaves_out_what_only_measures(with_mutants, capsys):
    assert gates.run(["runs=1", "cheap=true"], with_mutants) == 0
    assert "1 judged, 0 mutants that escape" in capsys.readouterr().out


def test_right_programs_are_judged_for_false_alarms(with_mutants, capsys):
    assert gates.run(["false_alarms=3", "framework=first"], with_mutants) == 0
    assert "| refused | reason |" in capsys.readouterr().out


def test_the_table_goes_between_the_marks_of_a_file(with_mutants, tmp_path):
    page = tmp_path / "page.md"
    begin, end = (mark.format(study="toy") for mark in gates.MARKS)
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    gates.run(["runs=1", "mutant=more", f"write={page}"], with_mutants)
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\n| study |")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text


def test_a_study_without_marks_gets_a_section(with_mutants, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n")
    for _ in range(2):
        gates.run(["runs=1", "mutant=more", f"write={page}"], with_mutants)
    assert page.read_text().startswith("before\n\n### toy\n\n<!-- gates of toy: begin -->\n| study |")
    assert page.read_text().count("### toy") == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [("mutant=mroe", "'mroe'"), ("runs=0", "'0' is not a value of runs"), ("studdy=toy", "Unknown option"),
     ("study=tony", "Unknown study"), ("cheap=maybe", "not a value of cheap")],
)  # fmt: skip
def test_wrong_words_are_refused(with_mutants, word, message):
    with pytest.raises(ConfigurationFaults, match=message):
        gates.run([word], with_mutants)


def test_as_many_false_alarms_are_allowed_as_chance_makes_of_one_in_a_thousand():
    # P(more than k) under a Poisson law of mean n / 1000 is below one in a thousand.
    assert [gates.allowed_alarms(runs) for runs in (1, 40, 100, 2000)] == [0, 1, 2, 8]


def test_the_command_says_what_it_can():
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.race.gates", "--help"], capture_output=True, text=True, check=True
    )
    assert "false_alarms=N" in done.stdout
