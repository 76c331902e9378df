"""Where the study takes part, and who takes part in it."""

import re

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


def test_pyro_takes_part_or_the_study_says_what_a_call_takes():
    """Those that are left out have a reason with a measured time, as the page about fairness has it."""
    (configuration,) = configure(["study=posteriors"], TREE)
    tasks = {name: task for name, task in configuration.tasks.items() if task["program"] == "nuts"}
    excluded = {name: task["exclude"]["pyro"] for name, task in tasks.items() if "pyro" in (task.get("exclude") or {})}
    assert excluded.keys() == {"eight_schools_centred", "poisson", "stochastic_volatility"}
    page = (TREE.root / "docs" / "fairness.md").read_text(encoding="utf-8")
    for reason in excluded.values():
        (seconds,) = re.findall(r"(\d+) s\b", reason)
        assert f"| {seconds} |" in page
    for name in tasks.keys() - excluded.keys():
        assert tasks[name]["timing"]["min_rounds"] < 5
