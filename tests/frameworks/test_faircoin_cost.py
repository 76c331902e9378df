"""XLA's own count of what GenJAX's importance sampling costs against hand-written JAX. Counts, never clocks."""

import jax
import pytest

from pipelines.config.configuration import configure
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree, load_framework, load_module

TREE = Tree()


def cost(name, **changes):
    """Flops, bytes accessed and temporary bytes of one call of a framework's faircoin program."""
    (race,) = races(*configure(["study=faircoin", "size=smoke"], TREE))
    parameters = {**race.cells[0].parameters, **changes}
    framework = load_framework(TREE.root, name)
    framework.start("cpu", "float32")
    data = TREE.problem_module("faircoin").make_problem(parameters).data
    path = TREE.model_path("faircoin", TREE.describe(name))
    model = load_module(path, f"studies.faircoin.models.{name}")
    program = model.importance_sampling(framework, data, parameters)
    return framework.build(program, jax.eval_shape(program.prepare, 0)).cost


@pytest.mark.parametrize("n_particles", [2_000, 100_000, 1_000_000])
def test_genjax_costs_at_most_two_percent_more_than_handcoded_jax(n_particles):
    ours, theirs = (cost(name, n_particles=n_particles) for name in ("genjax", "handcoded_jax"))
    for count in ("flops", "bytes_accessed", "temporary_bytes"):
        assert ours[count] <= 1.02 * theirs[count], count


@pytest.mark.parametrize("name", ["genjax", "handcoded_jax"])
def test_no_matrix_of_particles_by_observations_is_kept(name):
    """Ten thousand more observations for each of 10,000 particles add no more than the observations themselves."""
    few, many = (cost(name, n_particles=10_000, n_observations=n) for n in (10, 10_010))
    assert many["temporary_bytes"] - few["temporary_bytes"] < 1_000_000  # the matrix would be 400 MB
