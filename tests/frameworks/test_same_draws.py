"""Hand-coded JAX with "same draws" computes what GenJAX computes, particle by particle, from the same key."""

import jax
import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree, load_framework, load_module

TREE = Tree()


def outputs(study, name, seed, task="importance_sampling"):
    all_races = races(*configure([f"study={study}", "size=smoke"], TREE))
    race = next(race for race in all_races if race.cells[0].task == task)
    framework = load_framework(TREE.root, name)
    framework.start("cpu", "float32")
    parameters = dict(race.cells[0].parameters)
    data = TREE.problem_module(study).make_problem(parameters).data
    model = load_module(TREE.model_path(study, TREE.describe(name)), f"studies.{study}.models.{name}")
    program = getattr(model, task)(framework, data, parameters)
    built = framework.build(program, program.prepare(seed))
    return framework.to_numpy(built.run(program.prepare(seed)))


@pytest.mark.parametrize("study", ["faircoin", "perfbench"])
def test_particles_are_those_of_genjax(study):
    ours, by_hand = (outputs(study, name, 5) for name in ("genjax", "handcoded_same_draws"))
    assert ours.keys() == by_hand.keys()
    for name in ours.keys() - {"log_weights"}:
        np.testing.assert_array_equal(ours[name], by_hand[name])
    np.testing.assert_allclose(ours["log_weights"], by_hand["log_weights"], rtol=1e-4)


def test_chains_are_those_of_genjax():
    """The order of additions differs, so a step whose uniform is within rounding of its probability may differ."""
    ours, by_hand = (outputs("perfbench", name, 5, "hmc") for name in ("genjax", "handcoded_same_draws"))
    assert ours.keys() == by_hand.keys()
    for name in "abc":
        np.testing.assert_allclose(ours[name], by_hand[name], atol=1e-4)
    np.testing.assert_allclose(ours["log_density"], by_hand["log_density"], atol=1e-2)
    np.testing.assert_allclose(ours["acceptance_probability"], by_hand["acceptance_probability"], atol=1e-2)


def test_draws_of_many_chains_are_refused():
    framework = load_framework(TREE.root, "handcoded_same_draws")
    with pytest.raises(ValueError, match="2 chains"):
        framework.noise_of_chains(jax.random.key(0), {"x": np.zeros(3, np.float32)}, (5, 2))
