"""The schema of settings: every setting of a run is in it with a type, a range and a unit."""

from dataclasses import fields

import pytest
import yaml
from omegaconf import OmegaConf

from pipelines.config import schema
from pipelines.config.configuration import Limits, configure
from pipelines.config.validation import dotted_keys
from pipelines.errors import ConfigurationFaults
from pipelines.plan.tree import Tree
from pipelines.race.timing import TimingSettings

CHOSEN_BY_NAME = {"stages", "frameworks", "tasks", "figures", "defaults", "figs_folder", "size"}
"""Lists of names that exist, which `pipelines.config.validation` compares with what is there."""


def test_every_setting_of_the_configuration_is_in_the_schema():
    tree = Tree()
    keys = set()
    for path in [tree.configs / "config.yaml", *(tree.configs / "size").glob("*.yaml")]:
        keys |= set(dotted_keys(OmegaConf.to_container(OmegaConf.load(path), resolve=False)))
    groups = {key.rpartition(".")[0] for key in keys}
    missing = {key for key in keys - groups if not schema.covers(key)} - CHOSEN_BY_NAME
    assert missing == set()


def test_the_schema_has_what_the_program_uses_and_says_what_is_allowed():
    assert set(schema.Timing.model_fields) == {field.name for field in fields(TimingSettings)}
    assert set(schema.Limits.model_fields) == {field.name for field in fields(Limits)}
    for model in (schema.Timing, schema.Limits, schema.Worker, schema.Skip, schema.Task):
        for name in model.model_fields:
            assert schema.described(model, [name]) != "a mapping", f"{model.__name__}.{name} says nothing"


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("timing.budget_seconds=0.4", 0.4),
        ("timing.budget_seconds=4", 4.0),
        ("timing.calls=3", 3),
        ("timing.calls=null", None),
    ],
)
def test_possible_values_are_taken(toy, word, value):
    (configuration,) = configure([word, "size=smoke"], toy.tree, study="toy")
    assert getattr(configuration.timing, word.partition("=")[0].removeprefix("timing.")) == value


def test_the_baseline_cannot_race_with_itself():
    with pytest.raises(ConfigurationFaults, match="1000 is in the list more than once"):
        configure(["size=smoke", "--particles", "1000", "1000"], Tree(), study="perfbench")


def test_the_settings_of_a_task_are_judged_by_the_same_schema(toy):
    text = (toy.root / "configs/study/toy.yaml").read_text()
    own = "    timing: {calls: -5, budget_seconds: x}\n    replicates: 0\n    budget_share: -1\n"
    own += "    grid: {n_points: []}\n"
    toy.write("configs/study/toy.yaml", text.replace("    baseline: first\n", f"    baseline: first\n{own}"))
    with pytest.raises(ConfigurationFaults) as caught:
        configure(["size=smoke"], toy.tree, study="toy")
    said = "\n".join(caught.value.faults)
    for part in (
        *("timing.calls=-5: must be a whole", "timing.budget_seconds='x': must be a number of seconds"),
        *("total.replicates=0: must be a whole", "total.budget_share=-1: must be a number", "at least one value"),
    ):
        assert part in said


def test_wrong_settings_are_all_said_at_once(toy):
    words = ["seed=1e20", "timing.calls=0", "limits.gate_seconds=-1", "results=null", "dtype=half", "skip.run=2"]
    with pytest.raises(ConfigurationFaults) as caught:
        configure([*words, "size=smoke"], toy.tree, study="toy")
    assert len(caught.value.faults) == len(words)


@pytest.mark.parametrize("size", Tree().choices("size"))
def test_what_a_size_says_of_timing_is_what_its_runs_do(toy, size):
    """And nothing else: `config.yaml` is merged after the size and would replace it without a word."""
    told = yaml.safe_load((toy.tree.configs / "size" / f"{size}.yaml").read_text())["timing"]
    (configuration,) = configure([f"size={size}"], toy.tree, study="toy")
    assert told == {name: getattr(configuration.timing, name) for name in told}
    assert {"processes", "min_rounds", "max_rounds", "budget_seconds"} <= told.keys()
