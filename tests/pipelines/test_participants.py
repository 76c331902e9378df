"""Frameworks by presence: who takes part in a task, who does not and why, and which colours they get."""

import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan.cells import races
from pipelines.plan.descriptions import PALETTE, describe, distinct
from pipelines.plan.tree import FrameworkDescription, Tree

LIST = "    frameworks: [first, second, third]\n"


@pytest.fixture
def free(toy):
    """The toy checkout with a task that names no frameworks."""
    text = (toy.root / "configs/study/toy.yaml").read_text()
    toy.write("configs/study/toy.yaml", text.replace(LIST, ""))
    return toy


def resolved(toy, *words):
    (found,) = configure(["size=smoke", *words], toy.tree)
    return found


def test_a_file_and_a_model_are_all(free):
    free.framework("newcomer")
    free.model("newcomer")
    found = resolved(free)
    assert found.tasks["total"]["frameworks"] == ["first", "newcomer", "second", "third"], "the baseline first"
    assert [cell.framework for race in races(found) for cell in race.cells] == found.tasks["total"]["frameworks"]


def test_a_task_may_exclude_with_a_reason_and_a_run_may_choose(free):
    text = (free.root / "configs/study/toy.yaml").read_text()
    excluded = text.replace("  total:\n", "  total:\n    exclude: {third: it sums twice}\n")
    free.write("configs/study/toy.yaml", excluded)
    found = resolved(free)
    assert found.tasks["total"]["frameworks"] == ["first", "second"]
    assert found.tasks["total"]["absent"] == {"third": "left out: it sums twice"}
    chosen = resolved(free, "study.tasks.total.frameworks=[second]", "frameworks=[second,first]")
    assert chosen.tasks["total"]["frameworks"] == ["second"]
    assert chosen.tasks["total"]["absent"] == {"first": "not among study.tasks.total.frameworks"}
    with pytest.raises(ConfigurationFaults, match="Unknown framework 'thrid'. Did you mean third"):
        free.write("configs/study/toy.yaml", excluded.replace("{third", "{thrid"))
        resolved(free)


def test_asked_for_by_name_and_taking_part_in_nothing(free, capsys):
    free.framework("newcomer")
    assert free.run("stages=[plan]", "frameworks=[first,newcomer]") == 2
    assert "newcomer was asked for and takes part in nothing: no model of toy." in capsys.readouterr().err
    free.write("studies/toy/models/newcomer.py", "def other(framework, data, parameters):\n    return None\n")
    assert free.run("stages=[plan]", "frameworks=[first,newcomer]") == 2
    assert "newcomer was asked for and takes part in nothing: no model of toy/total." in capsys.readouterr().err


def test_a_program_of_another_name(free):
    text = (free.root / "configs/study/toy.yaml").read_text()
    free.write(
        "configs/study/toy.yaml", text.replace("figures:", "  again: {program: total, parameters: {}}\nfigures:")
    )
    cells = [cell for race in races(resolved(free)) for cell in race.cells if cell.task == "again"]
    assert [cell.framework for cell in cells] == ["first", "second", "third"]
    assert {cell.function for cell in cells} == {"total"}


def test_misspelled_model_file_and_function_are_errors(free):
    free.write("studies/toy/models/secnod.py", "")
    with pytest.raises(ConfigurationFaults, match=r"models/secnod.py is named after no framework.*mean second"):
        resolved(free)
    (free.root / "studies/toy/models/secnod.py").unlink()
    free.write("studies/toy/models/second.py", "def totel(framework, data, parameters):\n    return None\n")
    with pytest.raises(ConfigurationFaults, match=r"second.py, line 1: totel is a program of no task.*mean total\?"):
        resolved(free)


def test_free_colours_and_markers_are_unlike_those_that_are_taken():
    taken = [FrameworkDescription("a", "A", "#E69F00", "s"), FrameworkDescription("b", "B", "#56B4E9")]
    found = {one.name: one for one in distinct([*taken, *(FrameworkDescription(name, name) for name in "cdefgh")])}
    assert (found["a"].color, found["a"].marker, found["b"].color) == ("#E69F00", "s", "#56B4E9")
    given = [found[name].color for name in "cdefgh"]
    assert set(given) <= set(PALETTE) - {"#E69F00", "#56B4E9"} and len(set(given)) == 6
    assert len({one.marker for one in found.values()}) == 8


def test_every_framework_here_has_its_own_colour_and_marker():
    found = [describe(name, Tree()) for name in Tree().frameworks()]
    assert len({one.color for one in found}) == len({one.marker for one in found}) == len(found) >= 8


def test_describing_many_frameworks_lists_their_files_a_few_times_each(toy, monkeypatch):
    names = [f"newcomer_{index:02}" for index in range(20)]
    for name in names:
        toy.framework(name)
        file = toy.root / "frameworks" / f"{name}.py"
        file.write_text(file.read_text().replace('    color = "#0173B2"\n', ""))  # to be given a free one
    listed = []
    frameworks = Tree.frameworks
    monkeypatch.setattr(Tree, "frameworks", lambda tree: listed.append(tree) or frameworks(tree))
    found = [describe(name, toy.tree) for name in names]
    assert len({one.color for one in found if one.color != "#0173B2"}) > 10
    assert len(listed) <= 3 * len(names), "each would list them again for every other one"


def test_a_changed_colour_of_another_framework_counts_at_once(toy):
    toy.framework("newcomer")
    file = toy.root / "frameworks" / "newcomer.py"
    file.write_text(file.read_text().replace('    color = "#0173B2"\n', ""))
    before = describe("newcomer", toy.tree).color
    toy.write("configs/framework/second.yaml", f'color: "{before}"\n')
    assert describe("second", toy.tree).color == before != describe("newcomer", toy.tree).color
