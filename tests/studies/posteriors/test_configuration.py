"""Where the study takes part, and who takes part in it."""

from pipelines.config.configuration import configure
from pipelines.plan.tree import Tree

TREE = Tree()


def test_runs_of_all_studies_have_it_at_the_smallest_size_only():
    chosen = {size: {one.study for one in configure([f"size={size}"], TREE)} for size in ("smoke", "paper")}
    assert chosen["smoke"] == set(TREE.studies())
    assert chosen["paper"] == set(TREE.studies()) - {"posteriors"}


def test_it_runs_by_name_at_every_size():
    for size in TREE.choices("size"):
        (configuration,) = configure([f"size={size}"], TREE, study="posteriors")
        assert configuration.study == "posteriors" and configuration.tasks


def test_every_posterior_has_its_task_in_every_system_of_the_study():
    (configuration,) = configure(["study=posteriors"], TREE)
    problem = TREE.problem_module("posteriors")
    assert {task["parameters"]["posterior"] for task in configuration.tasks.values()} == set(problem.TARGETS)
    for task in configuration.tasks.values():
        assert {"genjax", "numpyro", "blackjax", "tfp"} <= set(task["frameworks"])
