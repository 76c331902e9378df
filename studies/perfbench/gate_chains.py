"""The gate of Hamiltonian Monte Carlo: does the chain move as this kernel moves, and is it where the posterior is?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem
from studies.chain_diagnostics import effective_sample_size, split_r_hat
from studies.perfbench.gate_importance import NAMES, check_form, within
from studies.perfbench.reference import N_CHAINS, N_STEPS

R_HAT_LIMIT = 1.05
"""Largest split R-hat of a coefficient, where chains are long enough for chance to stay below; see `r_hat_limit`."""

LEAST_MOVES = 0.2
"""A chain of which fewer steps move counts as frozen: right ones move in 0.7 of their steps."""


def check_chains(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Chains `a`, `b`, `c`, each ([n_calls,] n_chains, n_samples): the chains of all calls count.

    In order: form; no chain that stands still; the share of steps that move (0.70 for the published data and
    settings) and the mean squared jump of every coefficient against a NumPy reference of the same kernel; split R-hat;
    mean and mean square of every coefficient against the exact posterior. Standard errors include the autocorrelation
    of the reference chains, not the system's own, so a chain that hardly moves cannot excuse itself.
    """
    n_chains, n_samples = int(parameters["n_chains"]), int(parameters["n_samples"])
    is_stacked = "a" in outputs and np.ndim(outputs["a"]) == 3
    n_calls = len(outputs["a"]) if is_stacked else 1
    shape = (n_calls, n_chains, n_samples) if is_stacked else (n_chains, n_samples)
    reason = check_form(outputs, dict.fromkeys(NAMES, shape))
    if reason is not None:
        return reason
    chains = np.stack([outputs[name] for name in NAMES], axis=-1).astype(np.float64)
    chains = chains.reshape(n_calls * n_chains, n_samples, 3)
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
    reason = _check_kernel(problem, chains, moves, diagnostics)
    if reason is not None:
        return reason
    limit = r_hat_limit(problem, len(chains), n_samples)
    if not diagnostics["r_hat"] <= limit:
        return f"split R-hat is {diagnostics['r_hat']:.3f} (limit {limit:.3f})"
    return _check_moments(problem, chains, diagnostics)


def _check_kernel(problem: Problem, chains: np.ndarray, moves: np.ndarray, diagnostics: dict[str, float]) -> str | None:
    facts = problem.truth["chain_facts"]
    # The reference has an error of its own, of about a tenth of the standard error of 1,600 steps.
    reason = within(
        diagnostics,
        "acceptance rate",
        diagnostics["acceptance_rate"],
        facts.acceptance_rate,
        _standard_error(facts.acceptance_variance, moves.size),
    )
    jumps = (np.diff(chains, axis=1) / problem.truth["posterior"].sd) ** 2
    for i, name in enumerate(NAMES):
        error = _standard_error(facts.squared_jump_variance[i], moves.size)
        estimate = jumps[:, :, i].mean()
        reason = reason or within(diagnostics, f"squared jump of {name}", estimate, facts.squared_jump[i], error)
    return reason


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
