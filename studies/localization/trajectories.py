"""Each accepted trajectory of Hamiltonian Monte Carlo against the leapfrog steps that lead to the same end, in float64.

A trajectory's start q0 and end q1 tell its momentum: the p0 from which L leapfrog steps of size eps lead from q0 to q1,
found by Newton's method. These steps end with a momentum p1, and the program reports the energy at its end,
E = |p1|^2 / 2 - log p(q1). So |p1|^2 / 2 must be E + log p(q1), trajectory by trajectory: with another number of steps
or another step size it takes another momentum to get to the same place. No random numbers are compared, so few
trajectories say all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from studies.localization.moves import Target

MOST_TRAJECTORIES = 200
ITERATIONS = 8
SHIFT = 1e-4
"""Of a momentum, for derivatives by differences."""

LONGEST_STEP = 3.0
"""Of a momentum in one iteration, where the first guess is far from the momentum that is sought."""

CLOSE = 1e-6
"""Metres and radians between the end that is sought and the one that is found: the rounding of float32 poses."""

TOLERANCE = 0.02
"""Of a kinetic energy, in nats and relative: right float32 programs are within a tenth of that."""

FEWEST = 50
LEAST_SHARE = 0.4
"""Of the trajectories found whose kinetic energy is the reported one: 82% to 91% of right ones (around corners of
walls another momentum may lead to the same place), 9% of those with 9 leapfrog steps instead of 10."""


def kinetic_energies(
    target: Target, start: np.ndarray, end: np.ndarray, step_size: float, n_leapfrog: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kinetic energy at the end of the trajectories from `start` to `end`, (n,) each, and whether each was found.

    Args:
        target: of the n poses.
        start, end: (n, 3).
        step_size, n_leapfrog: of the trajectories.
    """
    four, momentum = target.tiled(4), np.zeros_like(start)
    nearest, kinetic = np.full(len(start), np.inf), np.zeros(len(start))
    shifts = SHIFT * np.concatenate([np.zeros((1, 3)), np.eye(3)])
    for _ in range(ITERATIONS):
        tried = (shifts[:, None] + momentum).reshape(-1, 3)
        ends, momenta = four.leapfrog(np.tile(start, (4, 1)), tried, step_size, n_leapfrog)
        reached = ends.reshape(4, -1, 3)
        miss = reached[0] - end
        distance = np.abs(miss).max(axis=1)
        is_nearer = distance < nearest
        nearest = np.where(is_nearer, distance, nearest)
        kinetic = np.where(is_nearer, 0.5 * (momenta.reshape(4, -1, 3)[0] ** 2).sum(axis=1), kinetic)
        slopes = np.stack([(one - reached[0]) / SHIFT for one in reached[1:]], axis=-1)
        correction = (np.linalg.pinv(slopes) @ miss[..., None])[..., 0]
        length = np.linalg.norm(correction, axis=1, keepdims=True)
        momentum = momentum - correction * np.minimum(1, LONGEST_STEP / np.maximum(length, SHIFT))
    return kinetic, nearest < CLOSE


def share_of_right_energies(
    target: Target, start: np.ndarray, end: np.ndarray, energy: np.ndarray, step_size: float, n_leapfrog: int
) -> tuple[float, int]:
    """The share of trajectories that were found whose kinetic energy is the reported one, and how many were found."""
    kinetic, is_found = kinetic_energies(target, start, end, step_size, n_leapfrog)
    reported = energy + target.log_density(end)
    is_right = np.abs(kinetic - reported) <= TOLERANCE * (1 + np.abs(reported))
    n_found = int(is_found.sum())
    return float(is_right[is_found].mean()) if n_found else 0.0, n_found
