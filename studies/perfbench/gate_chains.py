"""The gate of Hamiltonian Monte Carlo: does the chain move as this kernel moves, and is it where the posterior is?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem
from studies.chain_diagnostics import effective_sample_size, split_r_hat
from studies.hmc_transitions import check_transitions, oscillators, spread
from studies.perfbench.gate_importance import NAMES, check_form, log_joint, within
from studies.perfbench.reference import N_CHAINS, N_STEPS

R_HAT_LIMIT = 1.05
"""Largest split R-hat of a coefficient, where chains are long enough for chance to stay below; see `r_hat_limit`."""

LEAST_MOVES = 0.2
"""A chain of which fewer steps move counts as frozen: right ones move in 0.7 of their steps."""

DENSITY_TOLERANCE = 1e-3
"""Largest error of a log density that a system reports, in nats; float32 sums of 50 terms are right to 1e-4."""

SMALLEST_P_VALUE = 1e-7
"""Of the first states; also their false-alarm rate."""

REPORTED = ("log_density", "acceptance_probability")
"""What systems tell of each step besides its state, where their users can ask them for it."""


def check_chains(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Chains `a`, `b`, `c`, each ([n_calls,] n_chains, n_samples): the chains of all calls count.

    In order: form; no chain that stands still; where systems report it, `log_density` of every state, log p(theta, ys),
    against the recomputed one; every step against right steps from the same state, and `acceptance_probability`, where
    reported, against the exact trajectory between the states (`studies/hmc_transitions.py`); the first states, which
    warm-up must have brought from the distant start to the posterior; split R-hat; mean and mean square of every
    coefficient against the exact posterior. Standard errors of these include the autocorrelation of reference chains,
    not of the system's own, so a chain that hardly moves cannot excuse itself.
    """
    n_chains, n_samples = int(parameters["n_chains"]), int(parameters["n_samples"])
    is_stacked = "a" in outputs and np.ndim(outputs["a"]) == 3
    n_calls = len(outputs["a"]) if is_stacked else 1
    shape = (n_calls, n_chains, n_samples) if is_stacked else (n_chains, n_samples)
    told = [name for name in REPORTED if name in outputs]
    reason = check_form(outputs, dict.fromkeys((*NAMES, *told), shape))
    if reason is not None:
        return reason
    flat = {name: outputs[name].reshape(n_calls * n_chains, n_samples).astype(np.float64) for name in (*NAMES, *told)}
    chains = np.stack([flat[name] for name in NAMES], axis=-1)
    moves = (np.diff(chains, axis=1) != 0).any(axis=-1)
    diagnostics["acceptance_rate"] = float(moves.mean())
    diagnostics["effective_sample_size"] = float(effective_sample_size(chains).min()) / n_calls
    diagnostics["r_hat"] = float(split_r_hat(chains).max())
    frozen = int((moves.mean(axis=1) < LEAST_MOVES).sum())
    diagnostics["frozen_chains"] = frozen
    if frozen and n_samples >= 20:
        return f"{frozen:,} of {len(chains):,} chains stand still: fewer than {LEAST_MOVES:.0%} of their steps move"
    n_distinct = len(np.unique(chains[:, 0], axis=0))
    if n_distinct < 0.9 * len(chains):
        return f"only {n_distinct:,} of {len(chains):,} chains are distinct"
    reason = _check_density(problem, chains, flat.get("log_density"), diagnostics)
    reason = reason or _check_steps(problem, parameters, chains, flat.get("acceptance_probability"), diagnostics)
    reason = reason or _check_first_states(problem, chains, diagnostics)
    if reason is not None:
        return reason
    limit = r_hat_limit(problem, len(chains), n_samples)
    if not diagnostics["r_hat"] <= limit:
        return f"split R-hat is {diagnostics['r_hat']:.3f} (limit {limit:.3f})"
    return _check_moments(problem, chains, diagnostics)


def _check_density(
    problem: Problem, chains: np.ndarray, given: np.ndarray | None, diagnostics: dict[str, float]
) -> str | None:
    if given is None:
        return None
    chosen = spread(chains.reshape(-1, 3), given.reshape(-1))
    worst = float(np.abs(chosen[1] - log_joint(problem, chosen[0])).max())
    diagnostics["log_density_error"] = worst
    if worst <= DENSITY_TOLERANCE:
        return None
    return f"log_density differs from log p(theta, ys) of its own states by {worst:.2g} (limit {DENSITY_TOLERANCE:g})"


def _check_steps(
    problem: Problem,
    parameters: dict[str, Any],
    chains: np.ndarray,
    reported: np.ndarray | None,
    diagnostics: dict[str, float],
) -> str | None:
    posterior = problem.truth["posterior"]
    precision = np.linalg.inv(posterior.covariance)
    target = oscillators(posterior.mean, precision, float(parameters["step_size"]), int(parameters["n_leapfrog"]))
    before, after = spread(chains[:, :-1].reshape(-1, 3), chains[:, 1:].reshape(-1, 3))
    probability = None if reported is None else spread(reported[:, 1:].reshape(-1))[0]
    return check_transitions(target, before, after, diagnostics, probability)


def _check_first_states(problem: Problem, chains: np.ndarray, diagnostics: dict[str, float]) -> str | None:
    """The first states that are kept: independent draws from the posterior, after warm-up. Their squared distance."""
    posterior = problem.truth["posterior"]
    first = chains[:, 0] - posterior.mean
    squares = np.einsum("ci,ij,cj->c", first, np.linalg.inv(posterior.covariance), first)
    # The sum tells a warm-up that is missing everywhere; the largest, in some chains.
    p_value = min(
        float(stats.chi2.sf(squares.sum(), squares.size * 3)), float(squares.size * stats.chi2.sf(squares.max(), 3))
    )
    diagnostics["first_states_p_value"] = p_value
    if p_value >= SMALLEST_P_VALUE:
        return None
    return (
        f"the first states that are kept lie {np.sqrt(squares.mean() / 3):.2g} posterior standard deviations from the "
        f"mean: p = {p_value:.1e} after warm-up (limit {SMALLEST_P_VALUE:.0e})"
    )


def _check_moments(problem: Problem, chains: np.ndarray, diagnostics: dict[str, float]) -> str | None:
    facts, posterior = problem.truth["chain_facts"], problem.truth["posterior"]
    standard = (chains - posterior.mean) / posterior.sd
    n_steps = chains.shape[0] * chains.shape[1]
    reason = None
    for i, name in enumerate(NAMES):
        values = standard[:, :, i]
        mean_error = _standard_error(facts.mean_variance[i], n_steps)
        square_error = _standard_error(facts.square_variance[i], n_steps)
        reason = reason or within(diagnostics, f"standardised mean of {name}", values.mean(), 0.0, mean_error)
        reason = reason or within(diagnostics, f"standardised square of {name}", (values**2).mean(), 1.0, square_error)
    return reason


def _standard_error(variance: float, n_steps: int) -> float:
    """Of an average over `n_steps`, against a reference that is itself an average over many steps."""
    return float(np.sqrt(variance * (1 / n_steps + 1 / (N_CHAINS * N_STEPS))))


def r_hat_limit(problem: Problem, n_chains: int, n_samples: int) -> float:
    """`R_HAT_LIMIT`, or what right chains exceed once in a million where that is more.

    With m half chains of n states, R-hat^2 - 1 is about (v / n) chi^2(m - 1) / (m - 1), v the long-run variance.
    """
    m, n = 2 * n_chains, n_samples // 2
    worst = stats.chi2.isf(1e-6, m - 1) / (m - 1)
    return max(R_HAT_LIMIT, float(np.sqrt(1 + problem.truth["chain_facts"].mean_variance.max() / n * worst)))
