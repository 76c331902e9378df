"""The configuration of the seven-system comparison: published sizes, every published flag, and names of systems."""

import pytest

from pipelines.config.configuration import configure
from pipelines.errors import ConfigurationFaults
from pipelines.plan.cells import races
from pipelines.plan.tree import Tree

SYSTEMS = {"handcoded_jax", "genjax", "numpyro", "tfp", "pyro", "torch", "genjl", "genjl_static"}
ONE_CHAIN = {"pyro", "genjl", "genjl_static"}
IMPORTANCE = ["importance_sampling", "importance_sweep", "importance_sampling_all_cores", "importance_sweep_all_cores"]
HMC = ["hmc", "hmc_chains", "hmc_chains_all_cores"]


def configured(*words):
    (configuration,) = configure(list(words), Tree(), study="perfbench")
    return configuration


def sizes(configuration, task, parameter):
    return list(
        dict.fromkeys(c.parameters[parameter] for race in races(configuration) for c in race.cells if c.task == task)
    )


def test_defaults_are_the_published_sizes():
    configuration = configured()
    assert sizes(configuration, "importance_sampling", "n_particles") == [1000, 5000, 10000]
    assert sizes(configuration, "importance_sweep", "n_particles") == [1000, 10000, 100000, 1000000]
    assert sizes(configuration, "hmc", "n_samples") == [100, 500, 1000]
    assert sizes(configuration, "hmc_chains", "n_chains") == [1, 10, 100, 1000, 10000]
    for race in races(configuration):
        cell = race.cells[0]
        named = [one.framework for one in race.cells]
        assert named[0] == "handcoded_jax" and len(set(named)) == len(named)
        assert set(named) >= (SYSTEMS - ONE_CHAIN if cell.published == "hmc_chains" else SYSTEMS)
        assert cell.published != "hmc_chains" or not set(named) & ONE_CHAIN
        assert race.baseline.framework == "handcoded_jax"
        settings = {name: cell.parameters[name] for name in ("step_size", "n_leapfrog", "n_warmup")}
        assert settings == {"step_size": 0.01, "n_leapfrog": 20, "n_warmup": 50}
        assert (cell.gate_calls or 1) > 1 or not cell.task.startswith("hmc")


def test_figures_are_named_as_the_artifact_names_them():
    assert configured().figures["importance"]["prefix"] == "perfbench_cpu"
    assert configured("device=cuda").figures["importance"]["prefix"] == "perfbench"
    names = {"importance": "is", "hmc": "hmc"}
    module = Tree().figures_module("perfbench")
    for name, short in names.items():
        file = getattr(module, name).figure_specification.file.format(prefix="perfbench_cpu")
        assert file == f"perfbench_cpu_benchmark_timings_{short}_all_frameworks"


@pytest.mark.parametrize(
    "words",
    [
        ["--frameworks", "genjax", "numpyro", "handcoded_jax"],
        ["--frameworks", "genjax", "numpyro", "handcoded-jax"],
        ["frameworks=[genjax,numpyro,handcoded-jax,handcoded_jax]"],
        ["pipeline", "--frameworks", "genjax", "numpyro", "handcoded_jax"],
    ],
)
def test_frameworks_go_by_every_published_spelling(words):
    assert configured(*words).tasks["hmc"]["frameworks"] == ["genjax", "numpyro", "handcoded_jax"]


def test_published_names_of_the_other_systems():
    words = ["--frameworks", "torch", "handcoded_torch", "genjl", "genjl_dynamic", "genjl-static", "pyro"]
    assert configured(*words).tasks["hmc"]["frameworks"] == ["torch", "genjl", "genjl_static", "pyro"]
    apart = configured("--is-frameworks", "handcoded-jax", "genjax", "--hmc-frameworks", "handcoded_torch")
    assert apart.tasks["importance_sampling"]["frameworks"] == ["handcoded_jax", "genjax"]
    assert apart.tasks["hmc"]["frameworks"] == ["torch"]
    with pytest.raises(ConfigurationFaults, match="Unknown framework 'numpiro'. Did you mean numpyro"):
        configured("--frameworks", "numpiro")


@pytest.mark.parametrize(
    ("words", "read", "expected"),
    [
        (["--inference", "is"], lambda c: list(c.tasks), IMPORTANCE),
        (["inference=hmc"], lambda c: list(c.figures), ["hmc", "effective", "cores"]),
        (["--inference", "all"], lambda c: len(c.tasks), 7),
        (["--mode", "cuda"], lambda c: c.device, "cuda"),
        (["--particles", "7", "9"], lambda c: c.tasks["importance_sampling"]["grid"]["n_particles"], [7, 9]),
        (["--hmc-chain-lengths", "7"], lambda c: c.tasks["hmc"]["grid"]["n_samples"], [7]),
        (["--hmc-warmup", "5"], lambda c: c.parameters["n_warmup"], 5),
        (["--hmc-step-size", "0.02"], lambda c: c.parameters["step_size"], 0.02),
        (["--hmc-n-leapfrog", "7"], lambda c: c.parameters["n_leapfrog"], 7),
        (["--data-n-points", "20"], lambda c: c.parameters["n_points"], 20),
        (["--data-seed", "1"], lambda c: c.parameters["data_seed"], 1),
        (["--fig-prefix", "mine"], lambda c: c.figures["hmc"]["prefix"], "mine"),
        (["--export-dest", "elsewhere"], lambda c: c.figs.name, "elsewhere"),
        (["--data-output", "elsewhere"], lambda c: c.results.name, "elsewhere"),
        (["--skip-is"], lambda c: list(c.tasks), HMC),
        (["--skip-hmc"], lambda c: list(c.tasks), IMPORTANCE),
        (["--skip-plots", "--skip-export"], lambda c: c.stages, ("run", "report")),
        (["--skip-generate"], lambda c: c.stages, ("run", "figures", "export", "report")),
        (["export"], lambda c: c.stages, ("figures", "export", "report")),
        (["--skip-is", "--skip-hmc"], lambda c: (len(c.tasks), c.stages), (7, ("figures", "export", "report"))),
        (["--stages", "generate,is,plots"], lambda c: list(c.tasks), IMPORTANCE),
        (["--stages", "generate,is,plots"], lambda c: c.stages, ("run", "figures", "report")),
        (["--stages", "generate", "is", "hmc", "plots", "export"], lambda c: len(c.tasks), 7),
        (["--stages=hmc"], lambda c: (list(c.tasks), c.stages), (HMC, ("run", "report"))),
        (["--stages", "plots,export"], lambda c: (len(c.tasks), c.stages), (7, ("figures", "export", "report"))),
        (["genjl-hmc"], lambda c: c.tasks["hmc"]["frameworks"], ["genjl", "genjl_static"]),
    ],
)
def test_published_flags_act(words, read, expected):
    assert read(configured(*words)) == expected


def test_unknown_published_stage_is_refused():
    with pytest.raises(ConfigurationFaults, match="Unknown value of stages 'plot'. Did you mean plots"):
        configured("--stages", "is,plot")


def test_repeats_set_the_rounds_of_their_task_alone():
    configuration = configured("--is-repeats", "9", "--is-inner-repeats", "3", "--hmc-repeats", "5")
    timing = {race.cells[0].task: configuration.timing.updated(race.cells[0].timing) for race in races(configuration)}
    found = {task: (one.min_rounds, one.max_rounds, one.calls) for task, one in timing.items()}
    assert found["importance_sampling"] == (9, 9, 3)
    assert found["hmc"] == (5, 5, None)
    assert found["hmc_chains"][1] == configuration.timing.max_rounds


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study.tasks.hmc.timing.budget_secnds=3", "budget_seconds"),
        ("study.tasks.hmc.gate_calls=0", "must be a whole number of calls"),
        ("study.parameters.n_leapfrog=0", "must be above zero"),
        ("study.prefixes.gpu=x", "Unknown override"),
    ],
)
def test_bad_values_are_refused_by_name(word, message):
    with pytest.raises(ConfigurationFaults, match=message):
        configured(word)
