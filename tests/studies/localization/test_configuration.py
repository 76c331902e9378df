"""The study's configuration: sizes, published flags, worlds by name, and refusals."""

import pytest

from pipelines.errors import ConfigurationFaults
from pipelines.plan.cells import races
from studies.localization.problem import METHODS, make_problem, n_particles_of


def comparison(configuration):
    return [cell for race in races(configuration) for cell in race.cells if cell.task == "comparison"]


def test_default_is_the_published_comparison(configured):
    cells = comparison(configured())
    assert [cell.parameters["method"] for cell in cells] == list(METHODS)
    assert [n_particles_of(cell.parameters) for cell in cells] == [200, 200, 200, 5, 5]
    assert all(cell.parameters["n_moves"] == 25 and cell.parameters["grid"]["n_cells"] == 25 for cell in cells)
    assert list(configured().figures) == ["problem", "comprehensive", "error_against_time", "cores"]


def test_accuracy_takes_a_hundred_runs_and_the_particles_of_the_comparison(configured):
    cells = [cell for race in races(configured()) for cell in race.cells]
    judged = [cell for cell in cells if cell.task == "accuracy"]
    assert {cell.parameters["n_runs"] for cell in judged} == {100}
    arms = {(cell.parameters["method"], n_particles_of(cell.parameters)) for cell in judged}
    timed = {
        (cell.parameters["method"], n_particles_of(cell.parameters))
        for cell in cells
        if cell.task in ("comparison", "speed")
    }
    assert arms == timed


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["--n-rays", "4"], {"n_rays": 4}),
        (["--n-particles", "300"], {"n_particles": 300}),
        (["--n-particles-big-grid", "7"], {"n_particles_big_grid": 7}),
        (["--k-rejuv", "20"], {"n_moves": 20}),
        (["--n-steps", "8"], {"n_steps": 8}),
        (["--seed", "7"], {"data_seed": 7}),
        (["--world-type", "complex"], {"world_type": "complex"}),
    ],
)
def test_published_flags_reach_every_cell(configured, words, changes):
    for race in races(configured(*words)):
        for cell in race.cells:
            assert {name: cell.parameters[name] for name in changes} == changes


def test_flags_of_particles_reach_the_filters(configured):
    cells = comparison(configured("--n-particles", "300", "--n-particles-big-grid", "7"))
    assert [n_particles_of(cell.parameters) for cell in cells] == [300, 300, 300, 7, 7]


def test_other_published_flags_act(configured):
    repeats = configured("--timing-repeats", "20").timing
    assert (repeats.min_rounds, repeats.max_rounds) == (20, 20)
    assert list(configured("--include-smc-comparison").figures) == ["problem", "comprehensive"]
    assert configured("--seed", "7").seed == 7
    assert str(configured("--output-dir", "elsewhere").figs).endswith("elsewhere")


def test_complex_world_has_its_walls(configured):
    problem = make_problem(configured("--world-type", "complex").parameters)
    assert problem.data["world.walls"].shape == (15, 4)


def test_a_figure_of_other_data_has_another_name(configured):
    assert configured("study.parameters.data_set=model").figures["problem"]["suffix"] == "_model_data"


def test_a_world_of_ones_own(configured):
    words = "study.parameters.world={width: 12.0, height: 10.0, walls: [[2, 4, 3, 4]]}"
    assert make_problem(configured(words).parameters).data["world.walls"].shape == (1, 4)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study.parameters.world_type=maze", "Unknown entry of study.worlds 'maze'. Valid: basic, complex."),
        ("study.parameters.data_set=real", "Unknown entry of study.data_sets 'real'"),
        ("study.parameters.n_rays=0", "study.parameters.n_rays=0: must be above zero"),
        ("study.parameters.n_particles=0", "study.parameters.n_particles=0: must be above zero"),
    ],
)
def test_bad_values_are_refused_by_name(configured, word, message):
    with pytest.raises(ConfigurationFaults) as caught:
        configured(word)
    assert message in str(caught.value)
