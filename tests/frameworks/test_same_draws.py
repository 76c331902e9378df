"""Hand-coded JAX with "same draws" computes what GenJAX computes, particle by particle, from the same key."""

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree, load_framework, load_module

TREE = Tree()


def outputs(study, name, seed):
    race = next(
        race
        for race in races(*configure([f"study={study}", "size=smoke"], TREE))
        if race.cells[0].task == "importance_sampling"
    )
    framework = load_framework(TREE.root, name)
    framework.start("cpu", "float32")
    parameters = dict(race.cells[0].parameters)
    data = TREE.problem_module(study).make_problem(parameters).data
    model = load_module(TREE.model_path(study, TREE.describe(name)), f"studies.{study}.models.{name}")
    program = model.importance_sampling(framework, data, parameters)
    built = framework.build(program, program.prepare(seed))
    return framework.to_numpy(built.run(program.prepare(seed)))


@pytest.mark.parametrize("study", ["faircoin", "perfbench"])
def test_particles_are_those_of_genjax(study):
    ours, by_hand = (outputs(study, name, 5) for name in ("genjax", "handcoded_same_draws"))
    assert ours.keys() == by_hand.keys()
    for name in ours.keys() - {"log_weights"}:
        np.testing.assert_array_equal(ours[name], by_hand[name])
    np.testing.assert_allclose(ours["log_weights"], by_hand["log_weights"], rtol=1e-4)
