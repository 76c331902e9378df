"""The gate of Hamiltonian Monte Carlo: does the chain move as this kernel moves, and is it where the posterior is?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem
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


def split_r_hat(chains: np.ndarray) -> np.ndarray:
    """(k,) split R-hat of chains (n_chains, n_samples, k): every chain counts as two.

    With m half chains of n states, within-chain variance W and variance B / n of the half chains' means:
    sqrt(((n - 1) / n W + B / n) / W). Infinite where nothing moves.

    Source: Gelman et al., *Bayesian Data Analysis* (2013), section 11.4.
    """
    half = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :half], chains[:, half : 2 * half]])
    within_variance = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((half - 1) / half + between / within_variance)
    return np.where(within_variance > 0, ratio, np.inf)


def effective_sample_size(chains: np.ndarray) -> np.ndarray:
    """(k,) effective sample size of all chains (n_chains, n_samples, k) together, for the mean.

    n_chains n_samples / (1 + 2 sum of autocorrelations), pooled over chains, the sum cut at the first negative pair
    (Geyer's initial monotone sequence), and the variance including that between chains.

    Source: Vehtari et al., *Rank-normalization, folding, and localization* (2021), section 3.2.
    """
    n_chains, n_samples, n_values = chains.shape
    centred = chains - chains.mean(axis=1, keepdims=True)
    size = 2 ** int(np.ceil(np.log2(2 * n_samples)))
    # By chain, so that memory stays that of a few chains.
    covariance = np.zeros((n_samples, n_values))
    for block in np.array_split(centred, max(1, n_chains // 256)):
        spectrum = np.fft.rfft(block, size, axis=1)
        covariance += np.fft.irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :n_samples].sum(axis=0)
    covariance /= n_chains * n_samples
    within_variance = covariance[0] * n_samples / (n_samples - 1)
    total = covariance[0] + (chains.mean(axis=1).var(axis=0, ddof=1) if n_chains > 1 else 0.0)
    sizes = np.empty(n_values)
    for i in range(n_values):
        if not total[i] > 0:
            sizes[i] = 0.0
            continue
        correlation = 1 - (within_variance[i] - covariance[:, i]) / total[i]
        correlation[0] = 1.0
        n_pairs = n_samples // 2
        pairs = correlation[: 2 * n_pairs].reshape(n_pairs, 2).sum(axis=1)
        negative = np.flatnonzero(pairs < 0)
        pairs = np.minimum.accumulate(pairs[: negative[0] if len(negative) else n_pairs])
        time = max(2 * pairs.sum() - 1, 1 / np.log10(n_chains * n_samples))
        sizes[i] = n_chains * n_samples / time
    return sizes
