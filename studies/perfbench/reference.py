"""The Markov chain that every system should run, in NumPy and float64: Hamiltonian Monte Carlo on the exact posterior.

The posterior is Gaussian, so a trajectory of leapfrog steps is one linear map of position and momentum. That makes a
long reference run cheap, and with it how far a right chain's averages scatter. Whether a step is one of the right
kernel is judged by `studies/hmc_transitions.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studies.hmc_transitions import oscillators
from studies.polynomial import CurvePosterior

N_CHAINS = 400
N_STEPS = 400


@dataclass(frozen=True)
class ChainFacts:
    """What averages of a stationary chain of the right kernel do; each variance is that which one step contributes.

    The standard error of an average over n steps in all is sqrt(variance / n), autocorrelation included.

    Attributes:
        mean_variance: (3,), of the average of theta - mean, in posterior standard deviations.
        square_variance: (3,), of the average of its square; the average itself is 1.
    """

    mean_variance: np.ndarray
    square_variance: np.ndarray


def chain_facts(posterior: CurvePosterior, step_size: float, n_leapfrog: int, seed: int = 0) -> ChainFacts:
    """Facts of the kernel from `N_CHAINS` stationary chains of `N_STEPS` steps."""
    chains = reference_chains(posterior, step_size, n_leapfrog, N_CHAINS, N_STEPS, np.random.default_rng(seed))
    standard = (chains - posterior.mean) / posterior.sd
    return ChainFacts(mean_variance=_long_run_variance(standard), square_variance=_long_run_variance(standard**2))


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
    target = oscillators(posterior.mean, np.linalg.inv(posterior.covariance), step_size, n_leapfrog)
    position = random.standard_normal((n_chains, 3)) / np.sqrt(target.precision)
    if start is not None:
        position = np.tile(target.coordinates(start), (n_chains, 1))
    states = np.empty((n_chains, n_steps, 3))
    for step in range(n_steps):
        momentum = random.standard_normal((n_chains, 3))
        accept = random.random(n_chains) < target.acceptance(position, momentum)
        position = np.where(accept[:, None], target.end(position, momentum)[0], position)
        states[:, step] = position
    return states @ target.basis.T + posterior.mean
