"""The configuration of the fair coin: priors and data sets by name, published flags, and clear refusals."""

import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree
from studies.faircoin.problem import make_problem


def configured(*words):
    (configuration,) = configure(list(words), Tree(), study="faircoin")
    return configuration


def test_default_is_the_published_figure():
    configuration = configured()
    race, again = races(configuration)
    assert [cell.task for cell in again.cells] == ["importance_sampling_all_cores"] * 4
    assert {"handcoded_jax", "handcoded_same_draws", "genjax", "numpyro"} == {cell.framework for cell in race.cells}
    assert race.baseline.framework == "handcoded_jax"
    assert list(configuration.figures) == ["combined", "cores"]
    parameters = race.cells[0].parameters
    assert (parameters["n_observations"], parameters["n_particles"]) == (50, 2000)
    assert make_problem(parameters).truth["log_marginal"] == pytest.approx(-28.548691, abs=5e-7)


@pytest.mark.parametrize(
    ("words", "posterior", "suffix"),
    [
        ([], (50, 20), ""),
        (["study.parameters.prior=uniform"], (41, 11), "_uniform_prior"),
        (["study.parameters.data_set=all_heads"], (60, 10), "_all_heads"),
    ],
)
def test_prior_and_data_set_are_chosen_by_name_and_named_in_the_file(words, posterior, suffix):
    configuration = configured(*words)
    truth = make_problem(configuration.parameters).truth
    assert (truth["posterior_alpha"], truth["posterior_beta"]) == posterior
    assert configuration.figures["combined"]["suffix"] == suffix


def test_published_flags_reach_the_timing_and_the_figure():
    configuration = configured("--combined", "--num-obs", "20", "--num-samples", "700", "--repeats", "10")
    assert configuration.parameters["n_observations"] == 20
    assert configuration.parameters["n_particles"] == 700
    assert (configuration.timing.min_rounds, configuration.timing.max_rounds) == (10, 10)
    assert list(configured("--all", "--repeats", "10").figures) == ["combined", "posterior", "timing"]
    assert configured("--all", "--repeats", "10").figures["timing"]["repeats"] == 10


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study.parameters.prior=unifrom", "Unknown entry of study.priors 'unifrom'. Did you mean uniform?"),
        ("study.parameters.data_set=x", "Unknown entry of study.data_sets 'x'. Valid: all_heads, eighty_twenty."),
        ("study.parameters.n_particles=0", "study.parameters.n_particles=0: must be above zero"),
        ("study.parameters.n_observations=-1", "study.parameters.n_observations=-1: must be above zero"),
    ],
)
def test_bad_values_are_refused_by_name(word, message):
    with pytest.raises(ConfigurationFaults) as caught:
        configured(word)
    assert message in str(caught.value)
