"""Gate of Hamiltonian Monte Carlo on coefficients alone: from the start of the chains to the exact posterior."""

from __future__ import annotations

from typing import Any

import numpy as np

from studies.base import Problem
from studies.chain_diagnostics import split_r_hat
from studies.curvefit.densities import log_likelihoods, log_normal, marginal_density, outlier_probabilities
from studies.curvefit.gate_chains import ACCEPTANCE_BAND, SPREAD_LIMIT, note_arrival
from studies.curvefit.gate_form import STANDARD_ERRORS, check_densities, check_form, curve_shapes
from studies.curvefit.gate_importance import COEFFICIENT_LIMIT, PROBABILITY_LIMIT
from studies.hmc_transitions import check_simulated, check_transitions, oscillators, spread

R_HAT_LIMIT = 1.05
"""Largest split R-hat of a coefficient."""

WINDOW = 10
"""Iterations over which chains are averaged when they are compared with the truth; 500 chains give 5,000 states."""

SIMULATED_STEPS = 4_000
"""Steps that are judged where right ones are simulated leapfrog by leapfrog."""

LEAST_UNIQUE = 0.2
"""Smallest share of a chain's states that differ from the one before."""


def check_hmc(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Chains `a`, `b`, `c` (n_chains, n_steps), all from one start and with every state: nothing is thrown away.

    Acceptance, the share of steps that move, between 0.3 and 0.999, in no chain below 0.2. Every step against right
    steps from the same state (`studies/hmc_transitions.py`); `log_density` and `acceptance_probability` of each step,
    where a system reports them, against the recomputed density and exact trajectories. Over the later half: split
    R-hat at most 1.05; coefficient means within 0.1 posterior standard deviations and within 4 Monte Carlo standard
    errors, which come from the means of the chains, independent of each other; their spread within 15%. Where
    indicators are summed out, P(outlier) given each state, averaged: within 0.03.

    Args:
        problem: with its exact `posterior`.
        parameters: `n_chains`, at least 10, and `n_steps`, at least 20.
        outputs: of the program.
        diagnostics: filled with what was measured; `iterations_to_truth` as in `gate_chains`, by windows of 10.
    """
    n_chains, n_steps = parameters["n_chains"], parameters["n_steps"]
    if n_chains < 10 or n_steps < 20:
        return f"{n_chains} chains of {n_steps} steps cannot be judged: it takes 10 chains of 20 steps"
    reason = check_form(outputs, curve_shapes(n_chains, n_steps))
    if reason is not None:
        return reason
    posterior = problem.truth["posterior"]
    chains = np.stack([outputs[name] for name in "abc"], axis=-1).astype(np.float64)
    moves = (np.diff(chains, axis=1) != 0).any(axis=-1)
    diagnostics["acceptance_rate"] = float(moves.mean())
    diagnostics["least_unique_share"] = float(moves.mean(axis=1).min())
    note_arrival(diagnostics, problem, outputs, WINDOW)
    later = chains[:, n_steps // 2 :]
    diagnostics["r_hat"] = float(split_r_hat(later).max())
    means = later.mean(axis=1)
    errors = np.abs(means.mean(axis=0) - posterior.mean) / posterior.sd
    standard_errors = means.std(axis=0, ddof=1) / np.sqrt(n_chains) / posterior.sd
    diagnostics["coefficient_error"] = float(errors.max())
    diagnostics["standard_errors"] = float(standard_errors.max())
    diagnostics["spread_error"] = float(np.abs(later.reshape(-1, 3).std(axis=0) / posterior.sd - 1).max())
    if not ACCEPTANCE_BAND[0] <= diagnostics["acceptance_rate"] <= ACCEPTANCE_BAND[1]:
        return f"HMC accepts {diagnostics['acceptance_rate']:.3g} of its moves, outside of {ACCEPTANCE_BAND}"
    if diagnostics["least_unique_share"] < LEAST_UNIQUE:
        return (
            f"a chain stands still: {diagnostics['least_unique_share']:.3g} of its steps move (limit {LEAST_UNIQUE:g})"
        )
    if len(np.unique(chains[:, -1], axis=0)) < n_chains:
        return "chains repeat each other: they are not independent"
    if not diagnostics["r_hat"] <= R_HAT_LIMIT:
        return f"split R-hat is {diagnostics['r_hat']:.3f} over the later half (limit {R_HAT_LIMIT:g})"
    limit = min(COEFFICIENT_LIMIT, STANDARD_ERRORS * diagnostics["standard_errors"])
    if not (errors <= np.minimum(COEFFICIENT_LIMIT, STANDARD_ERRORS * standard_errors)).all():
        return f"a coefficient's mean is {errors.max():.2g} posterior sd off over the later half (limit {limit:.2g})"
    if not diagnostics["spread_error"] <= SPREAD_LIMIT:
        return f"a coefficient's spread is {diagnostics['spread_error']:.2g} off, relative (limit {SPREAD_LIMIT:g})"
    if "outlier_bound" in problem.truth:
        half = {name: outputs[name][:, n_steps // 2 :].reshape(-1) for name in "abc"}
        given = outlier_probabilities(half, problem.data, problem.truth).mean(axis=0)
        error = float(np.abs(given - posterior.outlier_probability).max())
        diagnostics["outlier_probability_error"] = error
        if not error <= PROBABILITY_LIMIT:
            return f"P(outlier) is {error:.2g} off over the later half of the chains (limit {PROBABILITY_LIMIT:g})"
    reason = check_reports(problem, outputs, (n_chains, n_steps), diagnostics)
    return reason or _check_steps(problem, parameters, chains, outputs.get("acceptance_probability"), diagnostics)


def check_reports(
    problem: Problem, outputs: dict[str, np.ndarray], shape: tuple[int, int], diagnostics: dict[str, float]
) -> str | None:
    """Why what a system reports of each step is of another form, or `log_density` not log p(ys, state); None if not."""
    told = [name for name in ("log_density", "acceptance_probability") if name in outputs]
    reason = check_form(outputs, dict.fromkeys(told, shape))
    if reason is not None or "log_density" not in told:
        return reason
    chosen = dict(zip("abc", spread(*(outputs[name].reshape(-1) for name in "abc")), strict=True))
    likelihood = log_likelihoods(chosen, problem.data, problem.truth)
    expected = likelihood + sum(log_normal(values, 0.0, 1.0) for values in chosen.values())
    given = spread(outputs["log_density"].reshape(-1))[0]
    return check_densities("log_density", given, expected, diagnostics, "log p(ys, curve) of their own states")


def _check_steps(
    problem: Problem,
    parameters: dict[str, Any],
    chains: np.ndarray,
    reported: np.ndarray | None,
    diagnostics: dict[str, float],
) -> str | None:
    """The steps one by one; the target is Gaussian unless indicators are summed out."""
    kernel = float(parameters["step_size"]), int(parameters["n_leapfrog"])
    before, after = chains[:, :-1].reshape(-1, 3), chains[:, 1:].reshape(-1, 3)
    posterior = problem.truth["posterior"]
    if "outlier_bound" in problem.truth:
        before, after = spread(before, after, most=SIMULATED_STEPS)
        scale = np.linalg.inv(np.linalg.cholesky(posterior.covariance)).T
        density = marginal_density(problem.data, problem.truth)
        return check_simulated(density, before, after, *kernel, scale, diagnostics)
    before, after = spread(before, after)
    probability = None if reported is None else spread(reported[:, 1:].reshape(-1))[0]
    target = oscillators(posterior.mean, np.linalg.inv(posterior.covariance), *kernel)
    return check_transitions(target, before, after, diagnostics, probability)
