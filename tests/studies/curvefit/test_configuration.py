"""The configuration of the curves: grids, published flags, tasks, and clear refusals of bad particle lists."""

import pytest

from pipelines.config.configuration import configure
from pipelines.config.resolvers import counts_up_to
from pipelines.errors import ConfigurationFaults
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree

PUBLISHED_SIZES = [
    10, 20, 50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000, 7000, 10_000, 15_000, 20_000, 30_000,
    40_000, 50_000, 70_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 700_000, 1_000_000,
]  # fmt: skip


def configured(*words):
    (configuration,) = configure(list(words), Tree(), study="curvefit")
    return configuration


def cells(configuration, task):
    return [cell for race in races(configuration) for cell in race.cells if cell.task == task]


def sizes(configuration, task="scaling"):
    return [cell.parameters["n_particles"] for cell in cells(configuration, task)]


def test_default_is_the_published_grid_with_replicates():
    configuration = configured()
    assert sizes(configuration) == PUBLISHED_SIZES
    assert sizes(configuration, "evidence") == PUBLISHED_SIZES
    assert {cell.parameters["n_trials"] for cell in cells(configuration, "evidence")} == {20}
    assert len(configuration.figures) == 8


def test_robust_tasks_share_one_model_and_one_data_set():
    configuration = configured()
    names = ("data_set", "n_points", "noise_sd", "outlier_bound", "rate_alpha", "rate_beta")
    found = {
        tuple(cell.parameters[name] for name in names)
        for task in ("robust_importance_sampling", "robust_marginal_importance_sampling", "gibbs_hmc")
        for cell in cells(configuration, task)
    }
    assert found == {("outliers", 18, 0.1, 2.0, 1.0, 3.0)}


def test_fixed_rate_tasks_share_one_model_and_one_data_set():
    configuration = configured()
    tasks = ("fixed_rate_importance_sampling", "fixed_rate_marginal_importance_sampling", "fixed_rate_gibbs_hmc",
             "fixed_rate_marginal_hmc")  # fmt: skip
    names = ("data_set", "n_points", "noise_sd", "outlier_bound", "outlier_rate")
    found = {tuple(cell.parameters[n] for n in names) for task in tasks for cell in cells(configuration, task)}
    assert found == {("outliers", 18, 0.1, 2.0, 0.1)}
    assert {cell.parameters["n_particles"] for cell in cells(configuration, tasks[0])} == {1000, 100_000}


def test_published_flags_reach_the_cells():
    words = ["--scaling-max-samples", "20000", "--scaling-trials", "7", "--scaling-max-large-trials", "2"]
    configuration = configured(*words)
    assert max(sizes(configuration)) == 20_000
    assert {cell.parameters["n_trials"] for cell in cells(configuration, "evidence")} == {7}
    assert {cell.parameters["n_large_trials"] for cell in cells(configuration, "evidence")} == {2}
    assert sizes(configured("--scaling-particle-counts", "300,10,1000")) == [10, 300, 1000]
    plain, extended = (races(configured(*words)) for words in ((), ("--scaling-extended-timing",)))
    share = {race.cells[0].task: race.budget_share for race in plain}
    assert {race.cells[0].task: race.budget_share for race in extended}["scaling"] > share["scaling"]
    assert configured("--scaling-extended-timing").timing.interval_width < configured().timing.interval_width


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study.scaling.particle_counts=[]"], "at least one; got []"),
        (["--scaling-particle-counts", "10,100,10"], "[10] are in the list more than once"),
        (["--scaling-particle-counts", "0,100"], "whole numbers above zero"),
        (["--scaling-particle-counts", "-5,100"], "whole numbers above zero"),
        (["--scaling-max-samples", "5"], "no count is left: the smallest is 10 and the largest allowed 5"),
        (["--scaling-trials", "0"], "study.scaling.n_trials=0: must be above zero"),
        (["--scaling-trails", "5"], "Did you mean --scaling-trials"),
        (["study.parameters.noise_sd=much"], "expected a number"),
        (["study.parameters.noise_sd=nan"], "study.parameters.noise_sd=nan: must be a finite number"),
        (["study.parameters.xs=[0.5,nan]"], "study.parameters.xs[1]=nan: must be a finite number"),
        (["study.parameters.ys=[-inf,0.5]"], "study.parameters.ys[0]=-inf: must be a finite number"),
        (["--scaling-particle-counts", ""], "at least one; got []"),
        (["--scaling-particle-counts", "1e3,10"], "whole numbers above zero"),
        (["--scaling-max-samples", "many"], "expected a whole number"),
        (["--scaling-trials", "2.5"], "expected a whole number"),
        (["study.chains.n_chains=0"], "n_chains=0: must be above zero"),
        (["study.chains.n_steps=[]"], "a list of at least one value"),
    ],
)
def test_bad_requests_are_refused_by_name(words, message):
    with pytest.raises(ConfigurationFaults) as caught:
        configured(*words)
    assert message in str(caught.value)


def test_counts_are_sorted_and_limited():
    assert counts_up_to([300, 10, 1000], 500) == [10, 300]
    with pytest.raises(ValueError, match="whole numbers"):
        counts_up_to([10, 2.5], 100)
    with pytest.raises(ValueError, match="whole numbers"):
        counts_up_to("many", 100)
