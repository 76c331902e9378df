"""The moves of a kernel against moves of the same kernel made here, in float64, from the same starts.

Given where a move starts, the program's end and an independent end have one law if the program is right. So the
difference of any statistic of the two is symmetric around zero, and sums of differences are compared with the root of
their sum of squares: that ratio exceeds `LIMIT` with probability at most 2 exp(-LIMIT^2 / 2) (Hoeffding, given how
large the differences are).

Kernels: Metropolis-Hastings redraws x, y and heading in turn from the motion and accepts by the ratio of likelihoods;
Hamiltonian Monte Carlo moves the pose with unit mass.
"""

from typing import Any

import numpy as np

from studies.localization.density import POSE, Model, log_normal
from studies.localization.run import MOVED_METHODS, Run
from studies.localization.trajectories import FEWEST, LEAST_SHARE, MOST_TRAJECTORIES, share_of_right_energies

LIMIT = 6.0
"""3e-8 for each of eleven statistics."""

MOST_MOVES = {"smc_mh": 4000, "smc_hmc": 2000}
DIFFERENCE = 1e-5
"""Metres and radians, of the gradient by central differences."""

LARGEST_GAIN = 20.0
"""Nats at which the gain in log density is cut, so that no single move rules the sum."""


def check_moves(run: Run) -> str | None:
    """Acceptance rates recomputed, and how far and where the moves lead."""
    if run.method not in MOVED_METHODS:
        return None
    moved = run.outputs["moved"].astype(np.float64)
    start = np.take_along_axis(run.proposed(), run.outputs["ancestors"][..., None], axis=1)
    starts = np.concatenate([start[:, None], moved[:, :-1]], axis=1)
    reason = _check_acceptance(run, starts != moved)
    if reason is not None:
        return reason
    if "energy" in run.outputs:
        reason = _check_energies(run, starts, moved)
        if reason is not None:
            return reason
    flat = np.unique(np.linspace(0, moved[..., 0].size - 1, MOST_MOVES[run.method]).astype(int))
    steps, moves, particles = np.unravel_index(flat, moved.shape[:3])
    target = _target(run, steps, particles)
    begin, end = starts[steps, moves, particles], moved[steps, moves, particles]
    other = target.moved(begin, run.method, run.parameters["hmc"], run.random())
    names, differences = _differences(target, begin, end, other)
    spread = np.sqrt((differences**2).sum(axis=0))
    ratio = np.abs(differences.sum(axis=0)) / np.where(spread > 0, spread, 1.0)
    run.diagnostics["largest_deviation_of_moves"] = float(ratio.max())
    if not ratio.max() <= LIMIT:
        worst = int(ratio.argmax())
        theirs, ours = (_statistics(target, begin, one)[1][:, worst].mean() for one in (end, other))
        return (
            f"moves do not follow the kernel: {names[worst]} is {theirs:.3g} on average, and {ours:.3g} for the kernel "
            f"from the same starts, {ratio.max():.1f} standard errors away (limit {LIMIT:g})"
        )
    return None


def _check_acceptance(run: Run, is_changed: np.ndarray) -> str | None:
    rates = run.outputs["acceptance_rate"]
    found = is_changed.mean() if run.method == "smc_mh" else is_changed.any(axis=-1).mean()
    run.diagnostics["acceptance_rate"] = float(rates.mean())
    # A redrawn coordinate equals the old one in float32 once in a million times.
    if not abs(rates[-1] - found) <= 1e-3:
        return f"acceptance_rate is {rates[-1]:.4f}, but {found:.4f} of the moves of the last run changed anything"
    if not ((rates > 0) & (rates < 1)).all():
        return f"acceptance rates are {rates.min():.3g} to {rates.max():.3g}: moves are never or always accepted"
    return None


def _check_energies(run: Run, starts: np.ndarray, moved: np.ndarray) -> str | None:
    """The reported energies of accepted trajectories; see `trajectories.py`."""
    accepted = np.argwhere((starts != moved).any(axis=-1))
    if len(accepted) < FEWEST:
        return None
    chosen = np.unique(np.linspace(0, len(accepted) - 1, MOST_TRAJECTORIES).astype(int))
    steps, moves, particles = where = tuple(accepted[chosen].T)
    settings, energy = run.parameters["hmc"], run.outputs["energy"].astype(np.float64)
    share, n_found = share_of_right_energies(
        _target(run, steps, particles), starts[where], moved[where], energy[where],
        settings["step_size"], settings["n_leapfrog"],
    )  # fmt: skip
    run.diagnostics |= {"right_energies": share, "trajectories_found": float(n_found)}
    if n_found >= FEWEST and not share >= LEAST_SHARE:
        return (
            f"{share:.0%} of {n_found} accepted trajectories end with the energy of {settings['n_leapfrog']} leapfrog "
            f"steps of {settings['step_size']:g} between the same poses (limit {LEAST_SHARE:.0%})"
        )
    return None


def _target(run: Run, steps: np.ndarray, particles: np.ndarray) -> "Target":
    """What moves of these particles, numbered as they are after resampling, leave invariant."""
    means, sds = run.expected()
    where = means[steps, run.outputs["ancestors"][steps, particles]]
    return Target(run.problem.truth["model"], where, sds[steps, 0], run.observations[steps])


class Target:
    """log p(pose, observation | parent) of many poses at once.

    Args:
        model: the model.
        means, sds: (n, 3), of the poses given their parents.
        observations: (n, n_rays).
    """

    def __init__(self, model: Model, means: np.ndarray, sds: np.ndarray, observations: np.ndarray):
        self.model, self.means, self.sds, self.observations = model, means, sds, observations

    def log_likelihood(self, pose: np.ndarray) -> np.ndarray:
        """(n,) for poses (n, 3)."""
        return self.model.log_likelihood(pose, self.observations)

    def log_density(self, pose: np.ndarray) -> np.ndarray:
        """(n,) for poses (n, 3)."""
        return log_normal(pose, self.means, self.sds).sum(axis=-1) + self.log_likelihood(pose)

    def gradient(self, pose: np.ndarray) -> np.ndarray:
        """(n, 3) of the log density, that of the motion by its formula and that of the likelihood by differences."""
        slopes = [
            (self.log_likelihood(pose + shift) - self.log_likelihood(pose - shift)) / (2 * DIFFERENCE)
            for shift in DIFFERENCE * np.eye(3)
        ]
        return np.stack(slopes, axis=-1) - (pose - self.means) / self.sds**2

    def tiled(self, n: int) -> "Target":
        """The same poses n times, one set after the other."""
        parts = (np.tile(part, (n, 1)) for part in (self.means, self.sds, self.observations))
        return Target(self.model, *parts)

    def leapfrog(
        self, position: np.ndarray, momentum: np.ndarray, step_size: float, n_leapfrog: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Position and momentum, (n, 3) each, after leapfrog steps."""
        kick = 0.5 * step_size * self.gradient(position)
        for step in range(n_leapfrog):
            momentum = momentum + kick
            position = position + step_size * momentum
            kick = step_size * self.gradient(position) * (0.5 if step == n_leapfrog - 1 else 1.0)
        return position, momentum + kick

    def moved(self, pose: np.ndarray, method: str, settings: dict[str, Any], random: np.random.Generator) -> np.ndarray:
        """One move of every pose, (n, 3)."""
        if method == "smc_mh":
            return self._redrawn(pose, random)
        return self._trajectory(pose, settings["step_size"], settings["n_leapfrog"], random)

    def _redrawn(self, pose: np.ndarray, random: np.random.Generator) -> np.ndarray:
        pose, value = pose.copy(), self.log_likelihood(pose)
        for index in range(3):
            proposal = pose.copy()
            noise = random.standard_normal(len(pose))
            proposal[:, index] = self.means[:, index] + self.sds[:, index] * noise
            new = self.log_likelihood(proposal)
            accept = np.log(random.random(len(pose))) < new - value
            pose, value = np.where(accept[:, None], proposal, pose), np.where(accept, new, value)
        return pose

    def _trajectory(
        self, pose: np.ndarray, step_size: float, n_leapfrog: int, random: np.random.Generator
    ) -> np.ndarray:
        momentum = random.standard_normal(pose.shape)
        energy = self.log_density(pose) - 0.5 * (momentum**2).sum(axis=-1)
        position, momentum = self.leapfrog(pose, momentum, step_size, n_leapfrog)
        end = self.log_density(position) - 0.5 * (momentum**2).sum(axis=-1)
        accept = np.log(random.random(len(pose))) < end - energy
        return np.where(accept[:, None], position, pose)


def _differences(target: Target, start: np.ndarray, end: np.ndarray, other: np.ndarray) -> tuple[list[str], np.ndarray]:
    names, theirs = _statistics(target, start, end)
    return names, theirs - _statistics(target, start, other)[1]


def _statistics(target: Target, start: np.ndarray, end: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names of statistics of a move, and their values (n, n_statistics)."""
    change = end - start
    gain = np.clip(target.log_density(end) - target.log_density(start), -LARGEST_GAIN, LARGEST_GAIN)
    names = [
        *(f"the share of moves that change {name}" for name in POSE),
        *(f"the distance moved in {name}" for name in POSE),
        *(f"the displacement in {name}" for name in POSE),
        "the gain in log density",
        "the gain in log likelihood",
    ]
    likelihood = target.log_likelihood(end) - target.log_likelihood(start)
    values = [change != 0, np.abs(change), change, gain[:, None]]
    values.append(np.clip(likelihood, -LARGEST_GAIN, LARGEST_GAIN)[:, None])
    return names, np.concatenate([value.astype(np.float64) for value in values], axis=1)
