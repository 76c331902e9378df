"""Is each step of a chain a step of the Hamiltonian Monte Carlo that was asked for? In float64 NumPy, for the gates.

On a Gaussian target a trajectory of leapfrog steps is a linear map, the same rotation in each eigendirection of the
precision. So two neighbouring states of a chain tell the momentum between them, and with it the energy error, without
the chain's help. From every state the gate makes right steps of its own: in expectation they agree with the chain's,
wherever the chain is and however its states depend on each other. A chain that follows another number of leapfrog
steps, another step size, density or acceptance rule shows other momenta, even where it has the right stationary law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STANDARD_ERRORS = 5.0
"""Width of every check: about 6e-7 false alarms each."""

MOST = 20_000
"""Steps that are judged, evenly spread over those that there are."""

REPLICATES = 8
SIMULATED = 4
"""Right steps from each state: on a Gaussian, and where each leapfrog step has to be made."""

ENERGY_LIMIT = 5e-4
"""Largest root mean square error of reported acceptance probabilities. Float32 trajectories reach 1e-5 on fifty points,
gradients in bfloat16 5e-3."""


@dataclass(frozen=True)
class Oscillators:
    """A Gaussian target in its eigendirections, and L leapfrog steps of size eps on it with unit mass.

    Args:
        mean: (..., k) of the target.
        basis: (..., k, k) whose columns are the eigendirections of the precision, steepest last.
        precision: (..., k) its eigenvalues w.
        trajectory: (..., k, 2, 2), (x, r) at the start to (x, r) at the end, in each direction.
    """

    mean: np.ndarray
    basis: np.ndarray
    precision: np.ndarray
    trajectory: np.ndarray

    def coordinates(self, states: np.ndarray) -> np.ndarray:
        """(n, k) states as coordinates along the eigendirections, from the mean."""
        return np.einsum("...i,...ij->...j", states - self.mean, self.basis)

    def end(self, position: np.ndarray, momentum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position and momentum, both (..., k), at the end of a trajectory."""
        t = self.trajectory
        return (
            t[..., 0, 0] * position + t[..., 0, 1] * momentum,
            t[..., 1, 0] * position + t[..., 1, 1] * momentum,
        )

    def acceptance(self, position: np.ndarray, momentum: np.ndarray) -> np.ndarray:
        """min(1, exp(H(start) - H(end))), H = (w x^2 + r^2) / 2 summed over directions."""
        end, end_momentum = self.end(position, momentum)
        before, after = (self.precision * x**2 + r**2 for x, r in ((position, momentum), (end, end_momentum)))
        return np.exp(np.minimum(0.0, 0.5 * (before - after).sum(axis=-1)))

    def momentum(self, position: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The momentum that leads from one position to the other."""
        t = self.trajectory
        return (end - t[..., 0, 0] * position) / t[..., 0, 1]

    def resolved(self) -> np.ndarray:
        """(..., k) where the end tells the momentum: not next to a multiple of half a turn."""
        return np.abs(self.trajectory[..., 0, 1]) * np.sqrt(self.precision) > 0.1


def oscillators(mean: np.ndarray, precision: np.ndarray, step_size: float, n_leapfrog: int) -> Oscillators:
    """Trajectories on the Gaussian of mean (..., k) and precision (..., k, k).

    One step in a direction with precision w: [[1 - eps^2 w / 2, eps], [-eps w (1 - eps^2 w / 4), 1 - eps^2 w / 2]].
    """
    w, basis = np.linalg.eigh(precision)
    half = 1 - 0.5 * step_size**2 * w
    step = np.stack(
        [np.stack([half, np.full_like(w, step_size)], -1), np.stack([-step_size * w * (0.5 + 0.5 * half), half], -1)],
        -2,
    )
    return Oscillators(mean, basis, w, np.linalg.matrix_power(step, n_leapfrog))


def spread(*arrays: np.ndarray, most: int = MOST) -> list[np.ndarray]:
    """At most so many entries of arrays of one length, evenly spread."""
    stride = -(-len(arrays[0]) // most)
    return [array[::stride] for array in arrays]


def check_transitions(
    target: Oscillators,
    before: np.ndarray,
    after: np.ndarray,
    diagnostics: dict[str, float],
    reported: np.ndarray | None = None,
    seed: int = 0,
) -> str | None:
    """Why steps (n, k) `before` to `after` are not those of the kernel, or None.

    Compared with `REPLICATES` right steps from each state, averaged over acceptance: how often it moves, the square of
    the momentum that a move tells, and its product with the position, in every eigendirection. Each difference has
    mean zero given the chain's past, so their sum scatters as independent ones would. With `reported` acceptance
    probabilities (n,), besides: `_check_reported`.

    Args:
        target: of each transition, or of all.
        before: states.
        after: the next states; equal where the chain did not move.
        diagnostics: gets the z scores.
        reported: acceptance probabilities min(1, exp(-energy error)) that the system itself computed.
        seed: of the right steps.
    """
    moved = (before != after).any(axis=-1)
    x, end = target.coordinates(before), target.coordinates(after)
    scale = np.sqrt(target.precision)
    known = target.resolved()
    momentum = np.where(known, target.momentum(x, end), 0.0)
    random = np.random.default_rng(seed)
    drawn = random.standard_normal((REPLICATES, *x.shape))
    accepted = target.acceptance(x, drawn)
    found = moved[:, None] * _features(momentum, x * scale, known)
    reason = _compare(_names(x.shape[-1]), found, accepted, _features(drawn, x * scale, known), diagnostics)
    if reason is not None:
        return reason
    if reported is None:
        return None
    exact = target.acceptance(x, momentum)
    told = moved & np.broadcast_to(known, x.shape).all(axis=-1)
    return _check_reported(reported, exact, moved, told, diagnostics)


def _features(momentum: np.ndarray, position: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(..., 1 + 2 k): 1, r^2 and x r in each direction; 0 in directions whose momentum is not known."""
    one = np.ones((*momentum.shape[:-1], 1))
    product = np.broadcast_to(position, momentum.shape) * momentum
    return np.concatenate([one, np.where(known, momentum**2, 0.0), np.where(known, product, 0.0)], axis=-1)


def _names(k: int, what: str = "squared momentum", product: str = "position times momentum") -> list[str]:
    squares = [f"{what} of accepted steps in direction {i + 1}" for i in range(k)]
    products = [f"{product} of accepted steps in direction {i + 1}" for i in range(k)]
    return ["acceptance rate", *squares, *products]


def _compare(
    names: list[str], found: np.ndarray, accepted: np.ndarray, right: np.ndarray, diagnostics: dict[str, float]
) -> str | None:
    """Sums of features found (n, m) against those of right steps (replicates, n, m), weighted by their acceptance."""
    replicates = len(right)
    expected = (accepted[..., None] * right).mean(axis=0)
    variance = np.maximum((accepted[..., None] * right**2).mean(axis=0) - expected**2, 0.0)
    errors = np.sqrt(variance.sum(axis=0) * (replicates + 1) / (replicates - 1))
    for index, name in enumerate(names):
        if not errors[index] > 0:
            continue
        score = float((found[:, index] - expected[:, index]).sum() / errors[index])
        diagnostics[f"{name.replace(' ', '_')}_z_score"] = score
        if not abs(score) <= STANDARD_ERRORS:
            return (
                f"{name} is {found[:, index].mean():.4g}, {expected[:, index].mean():.4g} by right steps from the same "
                f"states: {abs(score):.1f} standard errors off (limit {STANDARD_ERRORS:g})"
            )
    return None


def _check_reported(
    reported: np.ndarray,
    exact: np.ndarray,
    moved: np.ndarray,
    told: np.ndarray,
    diagnostics: dict[str, float],
) -> str | None:
    """Acceptance probabilities against the energy error of each move, and against what the chain did with them.

    Where the chain moved, the states tell the momentum and so the exact energy error of the trajectory. Elsewhere: a
    step of probability 1 is never refused, and the share of moves is the mean probability.
    """
    if not ((reported >= 0) & (reported <= 1)).all():
        return "acceptance_probability has values outside of [0, 1]"
    error = float(np.sqrt(np.mean((reported - exact)[told] ** 2))) if told.any() else 0.0
    diagnostics["acceptance_probability_error"] = error
    if not error <= ENERGY_LIMIT:
        return (
            f"acceptance_probability differs from that of exact trajectories between the same states by {error:.2g} "
            f"(root mean square; limit {ENERGY_LIMIT:g})"
        )
    refused = int((~moved & (reported == 1)).sum())
    if refused:
        return f"{refused:,} steps with acceptance probability 1 did not move"
    variance = (reported * (1 - reported)).sum()
    score = float((moved - reported).sum() / np.sqrt(variance)) if variance > 0 else 0.0
    diagnostics["moves_z_score"] = score
    if not abs(score) <= STANDARD_ERRORS:
        return (
            f"{moved.mean():.4g} of the steps move, their acceptance probabilities average {reported.mean():.4g}: "
            f"{abs(score):.1f} standard errors off (limit {STANDARD_ERRORS:g})"
        )
    return None


def check_simulated(
    density: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    before: np.ndarray,
    after: np.ndarray,
    step_size: float,
    n_leapfrog: int,
    scale: np.ndarray,
    diagnostics: dict[str, float],
    seed: int = 0,
) -> str | None:
    """The same for a target that is not Gaussian, whose momenta the states do not tell: by how far its steps lead.

    Args:
        density: states (m, k) to log densities (m,) and gradients (m, k).
        before: states (n, k).
        after: the next states.
        step_size: eps.
        n_leapfrog: L.
        scale: (k, k) that turns states into coordinates of about unit variance, `states @ scale`.
        diagnostics: gets the z scores.
        seed: of the right steps.
    """
    random = np.random.default_rng(seed)
    position = np.tile(before, (SIMULATED, 1))
    momentum = random.standard_normal(position.shape)
    value, gradient = density(position)
    log_alpha = -value + 0.5 * (momentum**2).sum(axis=-1)
    for _ in range(n_leapfrog):
        momentum = momentum + 0.5 * step_size * gradient
        position = position + step_size * momentum
        value, gradient = density(position)
        momentum = momentum + 0.5 * step_size * gradient
    log_alpha = log_alpha + value - 0.5 * (momentum**2).sum(axis=-1)
    accepted = np.exp(np.minimum(0.0, np.nan_to_num(log_alpha, nan=-np.inf))).reshape(SIMULATED, -1)
    moved = (before != after).any(axis=-1)
    x = (before - before.mean(axis=0)) @ scale

    def features(jump: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((*jump.shape[:-1], 1)), jump**2, x * jump], axis=-1)

    right = features((position - np.tile(before, (SIMULATED, 1))).reshape(SIMULATED, *before.shape) @ scale)
    found = moved[:, None] * features((after - before) @ scale)
    names = _names(before.shape[-1], "squared jump", "position times jump")
    return _compare(names, found, accepted, right, diagnostics)
