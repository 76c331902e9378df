"""Real systems made wrong on purpose, as the published artifact had them wrong, run and judged by the real gate.

Each is the shipped adapter with one change; `None` as the change shows that the adapter itself passes. Seeds are fixed.
"""

import importlib.metadata

import numpy as np
import pytest

from pipelines.config.configuration import configure
from pipelines.plan.tree import Tree, load_framework, load_module

TREE = Tree()


def judge(name, task, monkeypatch, change, data_changes, n_calls=4):
    """Runs `n_calls` calls of a system's program and returns the gate's reason."""
    distribution = {"pyro": "pyro-ppl", "handcoded_jax": "jax"}.get(name, name)
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")
    (configuration,) = configure(["size=smoke"], TREE, study="perfbench")
    function, task = task, task.partition("__")[0]  # the published program, or another form of it
    grid = {key: values[0] for key, values in configuration.tasks[task]["grid"].items()}
    parameters = {**configuration.parameters, **grid}
    problems = TREE.problem_module("perfbench")
    problem = problems.make_problem(parameters)
    framework = load_framework(TREE.root, name)
    framework.start("cpu", "float32")
    if change is not None:
        change(load_module(TREE.root / "frameworks" / f"{name}.py", f"frameworks.{name}"), monkeypatch)
    model = load_module(TREE.root / "studies" / "perfbench" / "models" / f"{name}.py", f"perfbench_{name}")
    program = getattr(model, function)(framework, {**problem.data, **data_changes}, parameters)
    built = framework.build(program, program.prepare(0))
    calls = [framework.to_numpy(built.run(program.prepare(seed))) for seed in range(n_calls)]
    outputs = calls[0] if n_calls == 1 else {key: np.stack([call[key] for call in calls]) for key in calls[0]}
    return problems.check(task, problem, parameters, outputs).reason


def keep_trajectory_length(module, monkeypatch):
    """NumPyro as published: the step size is replaced by 2 pi / num_steps, and no proposal is ever accepted."""
    functional = module.hmc

    def hmc(**options):
        initialize, transition = functional(**options)

        def published(*arguments, trajectory_length, **settings):
            return initialize(*arguments, **settings)

        return published, transition

    monkeypatch.setattr(module, "hmc", hmc)


def adapt(module, monkeypatch):
    """Pyro as published: the library's defaults, which adapt step size and mass."""
    kernel = module.HMC

    def adapting(**options):
        return kernel(**{**options, "adapt_step_size": True, "adapt_mass_matrix": True})

    monkeypatch.setattr(module, "HMC", adapting)


def count_the_prior(module, monkeypatch):
    """NumPyro as published: the joint density as weight, though the prior is the proposal."""
    log_density = module.log_density

    def joint(model, args, kwargs, values):
        log_joint, trace = log_density(model, args, kwargs, values)
        return (log_joint if args else 0.0 * log_joint), trace

    monkeypatch.setattr(module, "log_density", joint)


def leave_the_data_out(module, monkeypatch):
    """Pyro as published: the log prior as weight."""
    weights = module.vectorized_importance_weights

    def prior(model, guide, *args, **options):
        _, model_trace, guide_trace = weights(model, guide, *args, **options)
        return guide_trace.log_prob_sum() * 0 + sum(
            guide_trace.nodes[name]["log_prob"].reshape(-1) for name in guide_trace.stochastic_nodes
        ), model_trace, guide_trace  # fmt: skip

    monkeypatch.setattr(module, "vectorized_importance_weights", prior)


CASES = {
    "numpyro": ("numpyro", "hmc", None, {}, None),
    "numpyro frozen": ("numpyro", "hmc", keep_trajectory_length, {}, "4 of 4 chains stand still"),
    "pyro": ("pyro", "hmc", None, {}, None),
    "pyro adapting": ("pyro", "hmc", adapt, {}, "stand still|acceptance rate|squared momentum"),
    "hand-coded": ("handcoded_jax", "hmc", None, {}, None),
    "hand-coded, another density": ("handcoded_jax", "hmc", None, {"noise_sd": np.array(0.08)}, "log_density differs"),
    "numpyro weights": ("numpyro", "importance_sampling", None, {}, None),
    "numpyro, prior counted": ("numpyro", "importance_sampling__vmap", count_the_prior, {}, "log_weights differ"),
    "pyro weights": ("pyro", "importance_sampling", None, {}, None),
    "pyro, data left out": ("pyro", "importance_sampling__library", leave_the_data_out, {}, "log_weights differ"),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_adapters_are_invalid_and_right_ones_pass(case, monkeypatch):
    name, task, change, data_changes, message = CASES[case]
    n_calls = 4 if task.startswith("hmc") else 1
    reason = judge(name, task, monkeypatch, change, data_changes, n_calls)
    if message is None:
        assert reason is None
    else:
        assert any(part in reason for part in message.split("|")), reason
