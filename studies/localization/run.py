"""What the checks of a particle filter look at: the problem, the outputs, and what they find on the way."""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studies.base import Problem
from studies.localization.density import POSE

MOST_PARTICLES = 4000
MOST_PROPOSALS = 40
"""Particles checked; those of a grid proposal cost a grid each."""

GRID_METHODS = ("grid_proposal", "locally_optimal")
MOVED_METHODS = ("smc_mh", "smc_hmc")


@dataclass
class Run:
    """One cell's outputs. Particles are numbered as they were before resampling, unless it says otherwise."""

    problem: Problem
    parameters: dict[str, Any]
    outputs: dict[str, np.ndarray]
    diagnostics: dict[str, float]
    _grids: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_runs, T, N)."""
        truth = self.problem.truth
        return int(self.problem.data["n_runs"]), len(truth["poses"]), truth["n_particles"]

    @property
    def method(self) -> str:
        """The filter."""
        return self.parameters["method"]

    @property
    def observations(self) -> np.ndarray:
        """(T, n_rays)."""
        return self.problem.data["observations"].astype(np.float64)

    def poses(self) -> np.ndarray:
        """(T, N, 3) of the last run, at the end of each step: resampled and moved."""
        return np.stack([self.outputs[name] for name in POSE], axis=-1).astype(np.float64)

    def proposed(self) -> np.ndarray:
        """(T, N, 3) of the last run, before resampling."""
        return self.outputs["proposed"].astype(np.float64)

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """Means (T, N, 3) and standard deviations (T, 1, 3) of the model's poses given those of the step before."""
        model, (_, n_steps, n_particles) = self.problem.truth["model"], self.shape
        first = np.broadcast_to(model.initial, (1, n_particles, 3))
        means = np.concatenate([first, model.clipped(self.poses()[:-1])])
        sds = np.stack([model.initial_sd] + [model.motion_sd] * (n_steps - 1))
        return means, sds[:, None]

    def random(self) -> np.random.Generator:
        """Numbers of the gate's own, independent of the program's: equal outputs get equal verdicts."""
        return np.random.default_rng(zlib.crc32(np.ascontiguousarray(self.outputs["proposed"]).tobytes()))

    def chosen(self) -> tuple[np.ndarray, np.ndarray]:
        """(step, particle) pairs to check, spread evenly."""
        _, n_steps, n_particles = self.shape
        most = MOST_PROPOSALS if self.method in GRID_METHODS else MOST_PARTICLES
        flat = np.unique(np.linspace(0, n_steps * n_particles - 1, min(most, n_steps * n_particles)).astype(int))
        return np.divmod(flat, n_particles)

    def log_density(self, step: int, particle: int) -> np.ndarray:
        """log p(pose, observation | parent) on the particle's grid, (n_cells, n_cells, n_cells), computed once."""
        if (step, particle) not in self._grids:
            truth, parent = self.problem.truth, self.poses()[step - 1, particle]
            grid = truth["grid"].log_density(truth["model"], parent, self.observations[step])
            self._grids[step, particle] = grid
        return self._grids[step, particle]
