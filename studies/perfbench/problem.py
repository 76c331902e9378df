"""The curve problem of the seven-system comparison: data, exact truth, and what every system must agree with.

Model: a, b, c ~ N(0, 1); y_i ~ N(a + b x_i + c x_i^2, noise_sd). Every system gets the same arrays, the starting point
of the chains included. Two data sets: "published" (the artifact's 50 points) leaves importance sampling from the prior
about one effective particle in 450,000; "weak" (5 points, noise 0.5) about one in 8.

Source: "Probabilistic Programming with Vectorized Programmable Inference" (POPL 2026), Figure 16(b).
"""

from functools import cache
from typing import Any

import numpy as np

from studies import threefry
from studies.base import Problem, Verdict
from studies.perfbench import gate_chains, gate_importance
from studies.perfbench.reference import ChainFacts, chain_facts
from studies.polynomial import CurvePosterior, curve_posterior, design, squared_weight_posterior

TRUE_COEFFICIENTS = (0.5, -1.25, 2.0)
DATA_SETS = {"published": (50, 0.05), "weak": (5, 0.5)}
"""Number of points and noise standard deviation; `n_points` and `noise_sd` replace them."""

START_DISTANCE = 10.0
"""Posterior standard deviations between the start of the chains and the posterior's mean."""

CHECKS = {
    "importance_sampling": gate_importance.check_particles,
    "importance_sweep": gate_importance.check_particles,
    "hmc": gate_chains.check_chains,
    "hmc_chains": gate_chains.check_chains,
    "importance_sampling_all_cores": gate_importance.check_particles,
    "importance_sweep_all_cores": gate_importance.check_particles,
    "hmc_chains_all_cores": gate_chains.check_chains,
}


def make_problem(parameters: dict[str, Any]) -> Problem:
    """Make the points and the exact answers.

    Args:
        parameters: `data_set` ("published" or "weak"), `n_points` and `noise_sd` (None for those of the data set),
            `data_seed`; and of the chains `step_size` and `n_leapfrog`.

    Returns:
        Problem: `data["xs"]`, `data["ys"]` (n_points,) float32, ys = the true curve + noise_sd N(0, 1);
        `data["noise_sd"]` () float64; `data["start"]` (3,) float32, where all chains begin; see `distant_start`.
        `truth`: `noise_sd`, `posterior`, `relative_variance` and `squared_weight_posterior` of the importance weights,
        `chain_facts` of the kernel.

    Raises:
        ValueError: a parameter is out of its range.
    """
    if parameters["data_set"] not in DATA_SETS:
        raise ValueError(f"perfbench got data_set={parameters['data_set']!r}. Allowed: {', '.join(DATA_SETS)}.")
    n_points, noise_sd = DATA_SETS[parameters["data_set"]]
    n_points = _positive(parameters, "n_points", int, n_points)
    noise_sd = float(_positive(parameters, "noise_sd", (int, float), noise_sd))
    seed = parameters["data_seed"]
    if not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ValueError(f"perfbench got data_seed={seed!r}. It must be a whole number, zero or larger.")
    step_size = float(_positive(parameters, "step_size", (int, float)))
    n_leapfrog = _positive(parameters, "n_leapfrog", int)
    xs, ys = make_points(n_points, noise_sd, seed)
    posterior, relative_variance, squared, facts = _truth(n_points, noise_sd, seed, step_size, n_leapfrog)
    return Problem(
        data={
            "xs": xs,
            "ys": ys,
            "noise_sd": np.array(noise_sd),
            "start": distant_start(posterior),
        },
        truth={
            "noise_sd": noise_sd,
            "posterior": posterior,
            "relative_variance": relative_variance,
            "squared_weight_posterior": squared,
            "chain_facts": facts,
        },
    )


def make_points(n_points: int, noise_sd: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(xs, ys) float32 on [0, 1], as the published artifact draws them: one key, not split."""
    xs = np.linspace(0, 1, n_points, dtype=np.float32)
    noise = threefry.normal(threefry.key(seed), (n_points,))
    return xs, (design(xs) @ np.array(TRUE_COEFFICIENTS) + noise_sd * noise).astype(np.float32)


def distant_start(posterior: CurvePosterior) -> np.ndarray:
    """(3,) float32, `START_DISTANCE` posterior standard deviations from the mean along the middle principal axis.

    So a chain without warm-up shows in its first state. At the published settings the chain forgets it in 20 steps.
    """
    variances, axes = np.linalg.eigh(posterior.covariance)
    # An eigenvector's sign is anybody's choice.
    axis = axes[:, 1] * np.sign(axes[0, 1])
    return (posterior.mean + START_DISTANCE * np.sqrt(variances[1]) * axis).astype(np.float32)


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """Judge a system's outputs in float64; see `gate_importance.check_particles` and `gate_chains.check_chains`.

    Args:
        task: one of `CHECKS`.
        problem: what `make_problem` returned.
        parameters: the cell's parameters.
        outputs: arrays of the program.
    """
    if task not in CHECKS:
        raise ValueError(f"perfbench.check got task {task!r}. Tasks: {', '.join(CHECKS)}.")
    diagnostics: dict[str, float] = {}
    return Verdict(CHECKS[task](problem, parameters, outputs, diagnostics), diagnostics)


@cache
def _truth(
    n_points: int, noise_sd: float, seed: int, step_size: float, n_leapfrog: int
) -> tuple[CurvePosterior, float, CurvePosterior, ChainFacts]:
    # Shared by all cells of a data set; the chain facts take a fraction of a second.
    xs, ys = make_points(n_points, noise_sd, seed)
    posterior = curve_posterior(xs, ys, noise_sd)
    return posterior, *squared_weight_posterior(xs, ys, noise_sd), chain_facts(posterior, step_size, n_leapfrog)


def _positive(parameters: dict[str, Any], name: str, kind: Any, default: Any = None) -> Any:
    value = parameters[name] if parameters[name] is not None else default
    if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < float("inf"):
        whole = "whole " if kind is int else ""
        raise ValueError(f"perfbench got {name}={value!r}. It must be a {whole}number above zero.")
    return value
