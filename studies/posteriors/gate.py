"""The gate of chains that adapt: are they where the posterior is, and do they agree with each other?"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem
from studies.chain_diagnostics import effective_sample_size, split_r_hat
from studies.posteriors.reference import Moments

STANDARD_ERRORS = 4.0
"""Of one number. Of k numbers, the limit that all of them together exceed as seldom: 4.8 of 50; see `limit_of`."""

R_HAT_LIMIT = 1.01
"""Largest split R-hat of an unknown, where chains are long enough for chance to stay below; see `r_hat_limit`."""

LEAST_SIZE = 40.0
"""Effective draws, of all chains together, below which their standard errors say too little."""

LEAST_MOVES = 0.5
"""A chain of which fewer steps move stands still: right ones move in 0.8 of their steps or more."""

FRACTIONS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Of the draws, after which the error of the means is told."""


def check_chains(
    task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray],
    diagnostics: dict[str, float],
) -> str | None:  # fmt: skip
    """Draws of every unknown, ([n_calls,] n_chains, n_samples, ...), and of each step `n_gradients` and `diverging`.

    In order: form and support; chains that move and differ; the number of gradients, where it is fixed; split R-hat of
    every unknown; its effective sample size; mean and standard deviation of every unknown against the reference. The
    standard errors are those of the chains and of the reference together. Chains that hardly move would have large
    ones, which R-hat and the effective sample size do not excuse.
    """
    unknowns = problem.truth["unknowns"]
    n_chains, n_samples = parameters["n_chains"], parameters["n_samples"]
    steps = np.shape(outputs.get("n_gradients", np.empty(0)))
    n_calls = steps[0] if len(steps) == 3 else 1
    lead = (n_calls, n_chains, n_samples) if len(steps) == 3 else (n_chains, n_samples)
    shapes = {
        **{name: (*lead, *shape) for name, (shape, _) in unknowns.items()},
        "n_gradients": lead,
        "diverging": lead,
    }
    reason = _check_form(unknowns, shapes, outputs)
    if reason is not None:
        return reason
    chains = np.concatenate(
        [outputs[name].reshape(n_calls * n_chains, n_samples, -1).astype(np.float64) for name in unknowns], axis=-1
    )
    gradients = outputs["n_gradients"].reshape(n_calls * n_chains, n_samples)
    diagnostics["divergences"] = float(outputs["diverging"].sum()) / n_calls
    diagnostics["gradients"] = float(gradients.sum()) / n_calls
    if gradients.min() < 1:
        return f"n_gradients is {gradients.min()} in a step; every step takes at least one"
    if task.endswith("hmc") and (gradients != parameters["n_leapfrog"]).any():
        return f"n_gradients is {gradients[0, 0]} in a step, not n_leapfrog = {parameters['n_leapfrog']}"
    moves = (np.diff(chains, axis=1) != 0).any(axis=-1).mean(axis=1)
    if moves.min() < LEAST_MOVES:
        return f"a chain moves in {moves.min():.0%} of its steps only (limit {LEAST_MOVES:.0%})"
    if len(np.unique(chains[:, 0], axis=0)) < len(chains):
        return "some chains are copies of others"
    return _check_moments(problem, chains, n_calls, diagnostics)


def _check_form(unknowns: dict[str, Any], shapes: dict[str, tuple], outputs: dict[str, np.ndarray]) -> str | None:
    for name, shape in shapes.items():
        if name not in outputs:
            return f"{name} is missing from the outputs"
        if outputs[name].shape != shape:
            return f"{name} has shape {outputs[name].shape}, not {shape}"
    for name, (_, support) in unknowns.items():
        if not np.isfinite(outputs[name]).all():
            return f"{name} is not finite everywhere"
        values = outputs[name]
        if support in ("positive", "unit") and values.min() <= 0:
            return f"{name} is {values.min():.2g} somewhere, and should be positive"
        if support == "unit" and values.max() >= 1:
            return f"{name} is {values.max():.9g} somewhere, and should be below 1"
        if support == "ordered" and np.diff(values, axis=-1).min() <= 0:
            return f"{name} should increase along its last axis, and does not somewhere"
    return None


def _check_moments(problem: Problem, chains: np.ndarray, n_calls: int, diagnostics: dict[str, float]) -> str | None:
    names, (mean, sd, mean_error, sd_error, square_sd) = flat_reference(problem)
    standard = (chains - mean) / sd
    sizes, square_sizes = effective_sample_size(standard), effective_sample_size(standard**2)
    diagnostics["effective_sample_size"] = float(sizes.min()) / n_calls
    diagnostics["mean_effective_sample_size"] = float(sizes.mean()) / n_calls
    r_hat = split_r_hat(chains)
    diagnostics["r_hat"] = float(r_hat.max())
    n_draws = chains.shape[1]
    for fraction in FRACTIONS:
        # Of each call by itself, then averaged: what a user of that many draws would be off by.
        means = standard[:, : max(1, round(fraction * n_draws))].mean(axis=1)
        by_call = means.reshape(n_calls, -1, standard.shape[-1]).mean(axis=1)
        diagnostics[f"error_at_{fraction:g}"] = float(np.sqrt((by_call**2).mean()))
    # Effective draws of each chain by itself: a difference between chains must not widen its own limit.
    limit = r_hat_limit(len(standard), np.sum([effective_sample_size(chain[None]) for chain in standard], axis=0))
    if not (r_hat <= limit).all():
        worst = int(np.argmax(r_hat / limit))
        return f"split R-hat of {names[worst]} is {r_hat[worst]:.4f} (limit {limit[worst]:.4f})"
    least = min(sizes.min(), square_sizes.min())
    if not least >= LEAST_SIZE:
        fewest = names[int(np.argmin(np.minimum(sizes, square_sizes)))]
        return f"{fewest} has {least:.0f} effective draws (limit {LEAST_SIZE:.0f})"
    # In units of the reference's standard deviations, everywhere.
    found_mean, variance = standard.mean(axis=(0, 1)), standard.var(axis=(0, 1))
    # At least the reference's: draws that happen to lack a long tail have too small a sd, and too small an error of it.
    spread = np.maximum(((standard - found_mean) ** 2).var(axis=(0, 1)) / variance, square_sd**2)
    error_of_mean = np.sqrt(np.maximum(variance, 1) / sizes + (mean_error / sd) ** 2)
    error_of_sd = np.sqrt(spread / square_sizes / 4 + (sd_error / sd) ** 2)
    far_mean, far_sd = np.abs(found_mean) / error_of_mean, np.abs(np.sqrt(variance) - 1) / error_of_sd
    diagnostics["mean_in_standard_errors"], diagnostics["sd_in_standard_errors"] = far_mean.max(), far_sd.max()
    bound = limit_of(2 * len(names))
    for what, far, value, error in (
        ("mean", far_mean, found_mean, error_of_mean),
        ("standard deviation", far_sd, np.sqrt(variance) - 1, error_of_sd),
    ):
        if not (far <= bound).all():
            worst = int(np.argmax(far))
            return (
                f"{what} of {names[worst]} is off by {value[worst]:.3f} posterior sd, {far[worst]:.1f} standard errors "
                f"of {error[worst]:.3f} (limit {bound:.1f})"
            )
    return None


def flat_reference(problem: Problem) -> tuple[list[str], list[np.ndarray]]:
    """Names `theta[3]` of all numbers, and the fields of their `Moments`, (k,) each."""
    names: list[str] = []
    for name, (shape, _) in problem.truth["unknowns"].items():
        names += [name if not shape else f"{name}{list(index)}" for index in np.ndindex(*shape)]
    known = problem.truth["reference"].moments
    return names, [
        np.concatenate([np.ravel(getattr(known[name], field.name)) for name in problem.truth["unknowns"]])
        for field in fields(Moments)
    ]


def limit_of(count: int) -> float:
    """Standard errors that the largest of `count` normal numbers exceeds as seldom as one exceeds `STANDARD_ERRORS`."""
    return float(stats.norm.isf(stats.norm.sf(STANDARD_ERRORS) / count))


def r_hat_limit(n_chains: int, sizes: np.ndarray) -> np.ndarray:
    """(k,) `R_HAT_LIMIT`, or what right chains of `sizes` effective draws exceed once in 10^6 where that is more.

    With m half chains and S effective draws of all chains together, R-hat^2 - 1 is about m / S chi^2(m - 1) / (m - 1).
    """
    m = 2 * n_chains
    worst = stats.chi2.isf(1e-6 / len(sizes), m - 1) / (m - 1)
    return np.maximum(R_HAT_LIMIT, np.sqrt(1 + m / sizes * worst))
