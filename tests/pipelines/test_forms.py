"""Forms of a program: read from the text of a model file, in Python and in Julia, and recorded with the row."""

import pytest

from frameworks.base import Form, form
from pipelines.errors import ConfigurationFaults
from pipelines.plan.cells import Cell
from pipelines.plan.forms import forms_of, function_name, notes_of
from pipelines.plan.tree import Tree

PYTHON = """
import a_system_that_is_not_installed
from frameworks.base import form

@form("batch", "one batched draw", source="its manual", mark="eager")
def sampling(framework, data, parameters): ...

@form("loop", "a loop over particles")
def sampling__loop(framework, data, parameters): ...

def hmc(framework, data, parameters): ...
"""
JULIA = """
using Gen

# One distribution over all points.
# form("batch", "one distribution over all points",
#      source="its manual", mark="gradient written out")
function sampling(inference, framework, data, parameters)
    return 1
end

# form("loop", "an address per point")
sampling__loop(inference, framework, data, parameters) = 2
"""


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_forms_are_read_without_importing_the_system(tmp_path):
    path = written(tmp_path, "system.py", PYTHON)
    assert forms_of(path, "sampling") == {
        "sampling": Form("batch", "one batched draw", "its manual", "eager"),
        "sampling__loop": Form("loop", "a loop over particles"),
    }
    assert forms_of(path, "hmc") == {}
    assert forms_of(tmp_path / "absent.py", "hmc") == {}


def test_a_form_may_be_set_aside(tmp_path):
    text = '@form("own", "an own sampler", aside="users do not write that")\ndef sampling(framework): ...\n'
    (found,) = forms_of(written(tmp_path, "system.py", text), "sampling").values()
    assert found == Form("own", "an own sampler", aside="users do not write that")


def test_forms_of_a_julia_file_stand_in_comments(tmp_path):
    path = written(tmp_path, "system.jl", JULIA)
    assert forms_of(path, "sampling") == {
        "sampling": Form("batch", "one distribution over all points", "its manual", "gradient written out"),
        "sampling__loop": Form("loop", "an address per point"),
    }


def test_the_record_says_which_form_was_timed(tmp_path):
    path = written(tmp_path, "system.py", PYTHON)
    assert notes_of(path, "sampling") == {"form": "batch", "form_idiom": "one batched draw", "form_mark": "eager"}
    assert notes_of(path, function_name("sampling", "loop")) == {
        "form": "loop",
        "form_idiom": "a loop over particles",
    }
    assert notes_of(path, "hmc") == {}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("def sampling__loop", "def sampling__turn", "sampling__turn is registered as the form 'loop'"),
        ('"loop", "a', '"batch", "a', "two forms of sampling are named 'batch'"),
        ("def sampling(", "def sampling__batch(", "the published one, is not among them"),
        ('"a loop over particles"', "TEXT", "must be literals"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(tmp_path, old, new, fault):
    path = written(tmp_path, "system.py", PYTHON.replace(old, new))
    with pytest.raises(ConfigurationFaults, match=fault):
        forms_of(path, "sampling")


def test_a_form_above_no_function_is_said(tmp_path):
    with pytest.raises(ConfigurationFaults, match="line 2, but no function"):
        forms_of(written(tmp_path, "system.jl", '\n# form("loop", "text")\n\nf(x) = x\n'), "f")


def test_the_decorator_leaves_the_function_as_it_is():
    @form("name", "idiom", mark="eager")
    def program(x):
        return x + 1

    assert program(1) == 2
    assert program.form == Form("name", "idiom", mark="eager")


def test_a_form_is_another_cell_with_the_same_gate():
    cell = Cell("study", "sampling", "system", {}, 0, "cpu", "float32")
    loop = Cell("study", "sampling", "system", {}, 0, "cpu", "float32", form="loop")
    assert (cell.function, loop.function, loop.task) == ("sampling", "sampling__loop", "sampling")
    assert loop.identity == {**cell.identity, "form": "loop"}
    assert loop.name == "study/sampling system (loop)"


def test_every_form_in_the_tree_can_be_read_and_says_where_it_is_written():
    tree, found = Tree(), 0
    for framework in tree.frameworks():
        for study in tree.studies():
            path = tree.model_path(study, tree.describe(framework))
            tasks = {line.split("(")[0].removeprefix("def ") for line in _definitions(path)}
            for task in tasks:
                forms = forms_of(path, task)
                found += len(forms)
                assert all(one.idiom and "\n" not in one.idiom for one in forms.values()), path
    assert found >= 0


def _definitions(path):
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line for line in lines if line.startswith("def ") and "__" not in line]
