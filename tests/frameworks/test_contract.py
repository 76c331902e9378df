"""Every framework on every task that it has a model for, at the smoke size, in this process, through the real gate.

Cells are found by presence: a new framework or a new model is tested by its existence. The seed is fixed, so a passing
cell stays passing; with a fresh seed a study's gate refuses a right answer at the rate which that study states.
"""

import functools
import importlib.metadata

import numpy as np
import pytest

from pipelines.plan.tree import load_framework, load_module
from tests.frameworks.cells import TREE, smoke_cells

pytestmark = pytest.mark.usefixtures("unoptimised")


def first_cells():
    """The first cell of each (study, task, framework) at the smoke size."""
    found = {}
    for cell in smoke_cells():
        found.setdefault((cell.study, cell.task, cell.framework), cell)
    return found


CELLS = first_cells()
SHAPES = {}
"""Of the outputs of each cell, by its key in `CELLS`, once a test has run it."""


def missing(name):
    """Why a framework cannot be tested in this process, or None."""
    if name not in TREE.frameworks():
        return f"frameworks/{name}.py does not exist"
    description = TREE.describe(name)
    if description.command:
        return f"{name} runs in its own process: {description.command[0]}"
    for distribution in description.distributions:
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            return f"{distribution} is not installed"
    return None


class Prepared:
    """One cell built in this process."""

    def __init__(self, cell):
        self.cell = cell
        self.framework = load_framework(TREE.root, cell.framework)
        unavailable = self.framework.unavailable("cpu")
        if unavailable is not None:
            pytest.skip(unavailable)
        self.framework.start("cpu", cell.dtype)
        self.problem_module = TREE.problem_module(cell.study)
        self.problem = self.problem_module.make_problem(cell.parameters)
        path = TREE.model_path(cell.study, TREE.describe(cell.framework))
        model = load_module(path, f"studies.{cell.study}.models.{cell.framework}")
        self.program = getattr(model, cell.function)(self.framework, self.problem.data, dict(cell.parameters))
        self.built = self.framework.build(self.program, self.program.prepare(cell.seed))

    def outputs(self, seed):
        outputs = self.built.run(self.program.prepare(seed))
        self.framework.synchronize(outputs)
        found = self.framework.to_numpy(outputs)
        key = self.cell.study, self.cell.task, self.cell.framework
        SHAPES[key] = {name: value.shape for name, value in found.items()}
        return found

    @functools.cached_property
    def first_outputs(self):
        """Those of the cell's own seed, in the first call."""
        return self.outputs(self.cell.seed)


@pytest.fixture(scope="module", params=CELLS, ids="-".join)
def prepared(request):
    cell = CELLS[request.param]
    reason = missing(cell.framework)
    if reason is None and not TREE.has_task(cell.study, cell.function, TREE.describe(cell.framework)):
        reason = f"no model of {cell.study}/{cell.function} for {cell.framework}"
    if reason is not None:
        pytest.skip(reason)
    return Prepared(cell)


def test_gate_finds_the_answer_right(prepared):
    cell = prepared.cell
    verdict = prepared.problem_module.check(cell.task, prepared.problem, cell.parameters, prepared.first_outputs)
    assert verdict.reason is None


def test_outputs_are_arrays_of_the_asked_precision(prepared):
    assert prepared.first_outputs
    for name, value in prepared.first_outputs.items():
        assert isinstance(value, np.ndarray), name
        if value.dtype.kind == "f":
            assert value.dtype == prepared.cell.dtype, name


def test_outputs_are_a_function_of_the_seed(prepared):
    seed = prepared.cell.seed
    first, again, other = prepared.first_outputs, prepared.outputs(seed), prepared.outputs(seed + 1)
    assert all(same(first[name], again[name]) for name in first)
    assert any(not same(first[name], other[name]) for name in first)


def same(first, second):
    """Equal in every bit; a number that does not exist (an acceptance rate without moves) equals itself."""
    return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


def test_notes_are_json_and_phases_are_durations(prepared):
    assert all(isinstance(value, str | int | float | bool | None) for value in prepared.program.notes.values())
    assert all(seconds >= 0 for seconds in prepared.built.phases.values())
    assert all(count >= 0 for count in prepared.built.cost.values())


@pytest.mark.parametrize("name", sorted(TREE.frameworks()))
def test_description_names_itself_and_has_a_colour(name):
    colors = pytest.importorskip("matplotlib.colors")
    description = TREE.describe(name)
    assert description.name == name
    assert description.label
    assert colors.is_color_like(description.color)


def test_every_framework_returns_the_same_outputs_of_the_same_shape():
    """Otherwise one system would be timed on more, or less, than another."""
    compared = 0
    for study, task in dict.fromkeys(key[:2] for key in CELLS):
        shapes = {}
        for key, cell in CELLS.items():
            if key[:2] != (study, task) or missing(cell.framework) is not None:
                continue
            if TREE.has_task(study, cell.function, TREE.describe(cell.framework)):
                if key not in SHAPES:  # this test runs alone
                    Prepared(cell).outputs(cell.seed)
                shapes[cell.framework] = SHAPES[key]
        assert all(shape == next(iter(shapes.values())) for shape in shapes.values()), shapes
        compared += len(shapes)
    assert compared > 0
