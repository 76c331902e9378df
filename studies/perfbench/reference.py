"""The Markov chain that every system should run, in NumPy and float64: Hamiltonian Monte Carlo on the exact posterior.

The posterior is Gaussian, so a trajectory of leapfrog steps is one linear map of position and momentum. That makes a
long reference run cheap, and with it everything that a right chain shows by itself: how often it accepts, how far it
jumps, and how far its averages scatter. A chain with another step size, another number of steps, or with adaptation has
other values even where its stationary distribution is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studies.polynomial import CurvePosterior

N_CHAINS = 400
N_STEPS = 400


@dataclass(frozen=True)
class ChainFacts:
    """What a stationary chain of the right kernel shows; each with the variance that one step contributes.

    The standard error of an average over n steps in all is sqrt(variance / n), autocorrelation included.

    Attributes:
        acceptance_rate: share of steps that move; `acceptance_variance` of one step.
        mean_variance: (3,), of the average of theta - mean, in posterior standard deviations.
        square_variance: (3,), of the average of its square; the average itself is 1.
        squared_jump: (3,) mean squared change per step, in posterior variances; `squared_jump_variance` (3,).
    """

    acceptance_rate: float
    acceptance_variance: float
    mean_variance: np.ndarray
    square_variance: np.ndarray
    squared_jump: np.ndarray
    squared_jump_variance: np.ndarray


def chain_facts(posterior: CurvePosterior, step_size: float, n_leapfrog: int, seed: int = 0) -> ChainFacts:
    """Facts of the kernel from `N_CHAINS` stationary chains of `N_STEPS` steps."""
    chains = reference_chains(posterior, step_size, n_leapfrog, N_CHAINS, N_STEPS, np.random.default_rng(seed))
    standard = (chains - posterior.mean) / posterior.sd
    jumps = np.diff(standard, axis=1)
    moved = (jumps != 0).any(axis=-1).astype(np.float64)
    square, squared_jumps = standard**2, jumps**2
    return ChainFacts(
        acceptance_rate=float(moved.mean()),
        acceptance_variance=float(_long_run_variance(moved)),
        mean_variance=_long_run_variance(standard),
        square_variance=_long_run_variance(square),
        squared_jump=squared_jumps.mean(axis=(0, 1)),
        squared_jump_variance=_long_run_variance(squared_jumps),
    )


def _long_run_variance(values: np.ndarray) -> np.ndarray:
    """n Var(average over n steps), from the scatter of independent chains; never below that of independent steps."""
    n_steps = values.shape[1]
    between = n_steps * values.mean(axis=1).var(axis=0, ddof=1)
    return np.maximum(between, values.var(axis=(0, 1)))


def reference_chains(
    posterior: CurvePosterior,
    step_size: float,
    n_leapfrog: int,
    n_chains: int,
    n_steps: int,
    random: np.random.Generator,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """(n_chains, n_steps, 3) states of chains with unit mass that begin at `start`, or at draws from the posterior.

    One step: r ~ N(0, I), `n_leapfrog` leapfrog steps of size `step_size`, accept with min(1, exp(H(start) - H(end))).
    """
    precision = np.linalg.inv(posterior.covariance)
    trajectory = np.linalg.matrix_power(_leapfrog(precision, step_size), n_leapfrog)
    root = np.linalg.cholesky(posterior.covariance)
    position = (
        random.standard_normal((n_chains, 3)) @ root.T
        if start is None
        else np.tile(start - posterior.mean, (n_chains, 1))
    )

    def energy(position: np.ndarray, momentum: np.ndarray) -> np.ndarray:
        return 0.5 * (np.einsum("ci,ij,cj->c", position, precision, position) + (momentum**2).sum(axis=1))

    states = np.empty((n_chains, n_steps, 3))
    for step in range(n_steps):
        momentum = random.standard_normal((n_chains, 3))
        end = np.concatenate([position, momentum], axis=1) @ trajectory.T
        log_alpha = energy(position, momentum) - energy(end[:, :3], end[:, 3:])
        accept = np.log(random.random(n_chains)) < log_alpha
        position = np.where(accept[:, None], end[:, :3], position)
        states[:, step] = position
    return states + posterior.mean


def _leapfrog(precision: np.ndarray, step_size: float) -> np.ndarray:
    """One leapfrog step on the potential x' P x / 2 as a (6, 6) map of (position, momentum)."""
    identity, zero = np.eye(3), np.zeros((3, 3))
    half_kick = np.block([[identity, zero], [-0.5 * step_size * precision, identity]])
    drift = np.block([[identity, step_size * identity], [zero, identity]])
    return half_kick @ drift @ half_kick
