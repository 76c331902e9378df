"""Every documented option acts, and the published settings are there."""

import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan.tree import Tree
from studies.gol.accuracy import BANDS, band


def configured(*arguments):
    (configuration,) = configure(list(arguments), Tree(), "gol")
    return configuration


@pytest.mark.parametrize(
    ("size", "name", "side", "n_sweeps"),
    [
        ("paper", "artifact", 512, 150), ("paper", "readme", 512, 250), ("published", "page", 1024, 500),
        ("smoke", "smoke", 32, 12),
    ],
)  # fmt: skip
def test_published_settings_have_their_bands(size, name, side, n_sweeps):
    chosen = ["study.configuration=readme"] if name == "readme" else []
    parameters = configured(f"size={size}", *chosen).parameters
    assert (parameters["height"], parameters["width"], parameters["n_sweeps"]) == (side, None, n_sweeps)
    assert band(parameters) == BANDS[side, side, n_sweeps]


def test_the_artifacts_flags():
    configuration = configured(
        "--mode", "showcase", "--chain-length", "40", "--flip-prob", "0.1", "--seed", "7", "--timing-repeats", "6",
        "--grid-sizes", "10", "50", "--device", "gpu",
    )  # fmt: skip
    assert configuration.parameters["n_sweeps"] == 40 and configuration.parameters["softness"] == 0.1
    assert configuration.seed == 7 and configuration.device == "cuda"
    assert configuration.timing.min_rounds == configuration.timing.max_rounds == 6
    assert configuration.tasks["sweeps"]["grid"]["height"] == [10, 50]
    assert set(configuration.figures) == {"showcase", "timing"}


@pytest.mark.parametrize("words", [["gol.target=glider"], ["--target", "glider"], ["study.parameters.target=glider"]])
def test_target(words):
    assert configured(*words).parameters["target"] == "glider"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--chain-length", "0"], "n_sweeps=0: must be above zero"),
        (["--device", "tpu"], "Unknown value of device 'tpu'"),
        (["--chain-lenght", "3"], "Did you mean --chain-length"),
    ],
)
def test_bad_options(words, message):
    with pytest.raises(ConfigurationFaults, match=message):
        configured(*words)


def test_band_is_only_of_what_was_measured():
    parameters = configured().parameters
    assert band(parameters) is not None
    for changes in (
        {"softness": 0.1},
        {"target": "glider"},
        {"n_sweeps": 149},
        {"softness_prior": [1, 9]},
        {"width": 500},
    ):
        assert band({**parameters, **changes}) is None
