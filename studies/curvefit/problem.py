"""The curve problems: data sets, exact truth, and the gate of every task.

Basic model: a, b, c ~ N(0, 1); y_i ~ N(a + b x_i + c x_i^2, noise_sd). Robust model: besides, z_i ~ Bernoulli(rate),
and y_i ~ Uniform(-outlier_bound, outlier_bound) where z_i = 1. The rate is `outlier_rate`, or else rate ~
Beta(rate_alpha, rate_beta).

Source: "Probabilistic Programming with Vectorized Programmable Inference" (POPL 2026), Figures 4 to 6.
"""

from functools import cache
from typing import Any

import numpy as np

from studies.base import Problem, Verdict
from studies.curvefit import data as data_sets
from studies.curvefit import gate_chains, gate_hmc, gate_importance, gate_traces
from studies.curvefit.truth import RobustPosterior, basic_posterior, basic_relative_variance, robust_posterior

DATA_SETS = ("reference", "outliers", "trace_points", "given")
LARGEST_COUNT = 2**31 - 1
"""Arrays are indexed by 32-bit integers."""

ROBUST_PARAMETERS = ("outlier_bound", "outlier_rate", "rate_alpha", "rate_beta")

CHECKS = {
    "single_trace": gate_traces.check_traces,
    "prior_traces": gate_traces.check_traces,
    "importance_sampling": gate_importance.check_particles,
    "importance_sampling_one_core": gate_importance.check_particles,
    "scaling": gate_importance.check_particles,
    "evidence": gate_importance.check_evidence,
    "posterior_draws": gate_importance.check_draws,
    "misspecified_draws": gate_importance.check_draws,
    "robust_importance_sampling": gate_importance.check_draws,
    "robust_marginal_importance_sampling": gate_importance.check_draws,
    "fixed_rate_importance_sampling": gate_importance.check_draws,
    "fixed_rate_marginal_importance_sampling": gate_importance.check_draws,
    "gibbs_hmc": gate_chains.check_chains,
    "fixed_rate_gibbs_hmc": gate_chains.check_chains,
    "basic_hmc": gate_hmc.check_hmc,
    "fixed_rate_marginal_hmc": gate_hmc.check_hmc,
}


def make_problem(parameters: dict[str, Any]) -> Problem:
    """Make the points and the exact answers.

    Args:
        parameters: `data_set`: `"reference"` (the true curve with noise), `"outliers"` (five points replaced),
            `"trace_points"` (locations alone) or `"given"` (the lists `xs` and `ys`); `n_points` and `data_noise_sd`
            of the first three; `noise_sd` of the model; and for the robust model `outlier_bound`, and either
            `outlier_rate` or `rate_alpha` and `rate_beta`.

    Returns:
        Problem: `data["xs"]` and `data["ys"]` (n_points,) float32; `truth` holds `noise_sd`, `posterior`
        (`CurvePosterior` or `RobustPosterior`), for the basic model `relative_variance` of the weights, and
        `true_coefficients` where the data were made from a curve. Without observations (`"trace_points"`) only
        `noise_sd`.

    Raises:
        ValueError: a parameter is out of its range, points are not finite, or there are too many to enumerate.
    """
    _check_numbers(parameters)
    noise_sd = float(parameters["noise_sd"])
    xs, ys = _points(parameters)
    if ys is None:
        return Problem({"xs": xs}, {"noise_sd": noise_sd})
    truth: dict[str, Any] = {"noise_sd": noise_sd}
    if "outlier_bound" in parameters:
        truth |= {name: float(parameters[name]) for name in ROBUST_PARAMETERS if name in parameters}
        points = (tuple(xs.tolist()), tuple(ys.tolist()))
        truth["posterior"] = _robust_posterior(*points, noise_sd, *(truth.get(name) for name in ROBUST_PARAMETERS))
    else:
        truth["posterior"] = basic_posterior(xs, ys, noise_sd)
        truth["relative_variance"] = basic_relative_variance(xs, ys, noise_sd)
    if parameters["data_set"] != "given":
        truth["true_coefficients"] = data_sets.TRUE_COEFFICIENTS
    return Problem({"xs": xs, "ys": ys}, truth)


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """Judge a task's outputs in float64 against recomputed densities and the exact posterior.

    Args:
        task: one of `CHECKS`; the check of each says what it accepts.
        problem: what `make_problem` returned.
        parameters: the cell's parameters.
        outputs: arrays of the program.
    """
    if task not in CHECKS:
        raise ValueError(f"curvefit.check got task {task!r}. Tasks: {', '.join(CHECKS)}.")
    diagnostics: dict[str, float] = {}
    return Verdict(CHECKS[task](problem, parameters, outputs, diagnostics), diagnostics)


@cache
def _robust_posterior(
    xs: tuple[float, ...], ys: tuple[float, ...], noise_sd: float, bound: float,
    rate: float | None, alpha: float | None, beta: float | None,
) -> RobustPosterior:  # fmt: skip
    # The cells of several tasks share it, and it sums 2^n terms.
    prior = None if alpha is None or beta is None else (alpha, beta)
    return robust_posterior(np.array(xs), np.array(ys), noise_sd, bound, rate=rate, rate_prior=prior)


def _points(parameters: dict[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    data_set, n_points = parameters["data_set"], parameters["n_points"]
    if data_set == "trace_points":
        return ((np.arange(n_points) + 0.5) / n_points).astype(np.float32), None
    if data_set == "reference":
        return data_sets.reference(n_points, parameters["data_noise_sd"])
    if data_set == "outliers":
        return data_sets.with_outliers(n_points, parameters["data_noise_sd"])
    if data_set != "given":
        raise ValueError(f"curvefit got data_set={data_set!r}. Allowed: {', '.join(DATA_SETS)}.")
    given: list[Any] = [parameters.get(name) for name in ("xs", "ys")]
    if not all(isinstance(values, list | tuple) and values for values in given) or len(given[0]) != len(given[1]):
        raise ValueError(
            f"curvefit with data_set=given needs xs and ys, two lists of one length, at least one point; "
            f"got xs={given[0]}, ys={given[1]}."
        )
    try:
        xs, ys = (np.asarray(values, np.float32) for values in given)
    except (ValueError, TypeError) as error:
        raise ValueError(f"curvefit got points that are not numbers: xs={given[0]}, ys={given[1]}.") from error
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        raise ValueError(f"curvefit got points that are not finite: xs={given[0]}, ys={given[1]}.")
    return xs, ys


def _check_numbers(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name.startswith("n_") and not (is_number and isinstance(value, int) and 0 < value <= LARGEST_COUNT):
            raise ValueError(f"curvefit got {name}={value!r}. It must be a whole number from 1 to {LARGEST_COUNT:,}.")
        positive = name.endswith(("noise_sd", "_bound", "_alpha", "_beta")) or name in ("step_size", "batch_size")
        if positive and not (is_number and 0 < value < np.inf):
            raise ValueError(f"curvefit got {name}={value!r}. It must be a finite number greater than zero.")
        if name == "outlier_rate" and not (is_number and 0 < value < 1):
            raise ValueError(f"curvefit got {name}={value!r}. It must be a probability between 0 and 1.")
    if "outlier_bound" in parameters and ("outlier_rate" in parameters) == ("rate_alpha" in parameters):
        raise ValueError(
            "curvefit needs, for the robust model, either outlier_rate or both rate_alpha and rate_beta; "
            f"got {sorted(parameters.keys() & set(ROBUST_PARAMETERS))}."
        )
