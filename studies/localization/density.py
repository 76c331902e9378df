"""Densities of the localization model and of its proposals in float64, from the formulas alone.

Model: x_0, y_0 ~ N(initial, initial position sd), heading_0 ~ N(initial heading, its sd); then x_t ~ N(clip(x_{t-1}),
position sd), the same for y, heading_t ~ N(heading_{t-1}, heading sd); range k ~ N(distance k at the clipped pose,
noise sd). The chain itself is not clipped.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from studies.localization.world import World, scan

POSE = ("x", "y", "heading")


@dataclass(frozen=True)
class Model:
    """World, motion and sensor.

    Args:
        world: the world.
        initial: (3,) mean of the first pose.
        initial_sd: (3,) its standard deviations.
        motion_sd: (3,) standard deviations of a step.
        noise_sd: of a measured range.
        margin: how far inside of the boundary poses are clipped to, in metres.
    """

    world: World
    initial: np.ndarray
    initial_sd: np.ndarray
    motion_sd: np.ndarray
    noise_sd: float
    margin: float

    def clipped(self, pose: np.ndarray) -> np.ndarray:
        """Poses (..., 3) moved into the rectangle less its margin."""
        low = np.array([self.margin, self.margin, -np.inf])
        high = np.array([self.world.width - self.margin, self.world.height - self.margin, np.inf])
        return np.clip(pose, low, high)

    def distances(self, pose: np.ndarray, n_rays: int) -> np.ndarray:
        """(..., n_rays) true distances at clipped poses (..., 3)."""
        inside = self.clipped(pose)
        return scan(self.world, inside[..., 0], inside[..., 1], inside[..., 2], n_rays)

    def log_likelihood(self, pose: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """log p(observation | pose), (...,), for poses (..., 3) and ranges (..., n_rays)."""
        return log_normal(observation, self.distances(pose, observation.shape[-1]), self.noise_sd).sum(axis=-1)

    def log_transition(self, pose: np.ndarray, previous: np.ndarray | None) -> np.ndarray:
        """log p(pose | previous), (...,); of the first pose if there is no previous one."""
        if previous is None:
            return log_normal(pose, self.initial, self.initial_sd).sum(axis=-1)
        return log_normal(pose, self.clipped(previous), self.motion_sd).sum(axis=-1)


def log_normal(value: np.ndarray, mean: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
    """log N(value; mean, sd), elementwise."""
    return -0.5 * ((value - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Grid:
    """The grid around a particle's last pose on which proposals rest.

    Args:
        n_cells: points on each axis.
        radius: half its width in x and y, cut at `margin` from the boundary.
        heading_radius: half its width in heading.
        margin: metres.
        proposal_sd: of the arg-max proposal in x and y; half of it in heading.
        kernel_width: sd of the smoothing kernel of the locally optimal proposal, in cells.
    """

    n_cells: int
    radius: float
    heading_radius: float
    margin: float
    proposal_sd: float
    kernel_width: float

    def axes(self, model: Model, previous: np.ndarray) -> list[np.ndarray]:
        """Three arrays (n_cells,) around a pose (3,)."""
        limits = (model.world.width, model.world.height)
        axes = [
            np.linspace(
                max(self.margin, previous[i] - self.radius),
                min(limits[i] - self.margin, previous[i] + self.radius),
                self.n_cells,
            )
            for i in range(2)
        ]
        return [*axes, previous[2] + np.linspace(-1, 1, self.n_cells) * self.heading_radius]

    def log_density(self, model: Model, previous: np.ndarray, observation: np.ndarray) -> np.ndarray:
        """log p(pose, observation | previous) at the points of the grid, (n_cells, n_cells, n_cells)."""
        poses = np.stack(np.meshgrid(*self.axes(model, previous), indexing="ij"), axis=-1)
        return model.log_transition(poses, previous) + model.log_likelihood(poses, observation)

    def log_argmax_proposal(self, pose: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """log q(pose) of the Gaussian at a point of the grid."""
        return log_normal(pose, centre, self.proposal_sd * np.array([1.0, 1.0, 0.5])).sum(axis=-1)

    def log_locally_optimal_proposal(
        self, model: Model, pose: np.ndarray, previous: np.ndarray, log_density: np.ndarray
    ) -> float:
        """log q(pose) of the mixture of Gaussians at all points of the grid, weighted by the normalised density."""
        kernels = [
            log_normal(value, points, self.kernel_width * (points[1] - points[0]))
            for value, points in zip(pose, self.axes(model, previous), strict=True)
        ]
        kernel = kernels[0][:, None, None] + kernels[1][:, None] + kernels[2]
        return float(special.logsumexp(log_density + kernel) - special.logsumexp(log_density))

    def locally_optimal_uniforms(
        self, model: Model, pose: np.ndarray, previous: np.ndarray, log_density: np.ndarray
    ) -> np.ndarray:
        """(3,) P(x' <= x), P(y' <= y | x), P(heading' <= heading | x, y) of that mixture: uniform if it was drawn."""
        weights, uniforms = np.exp(log_density - log_density.max()), []
        for value, points in zip(pose, self.axes(model, previous), strict=True):
            sd = self.kernel_width * (points[1] - points[0])
            own = weights.sum(axis=tuple(range(1, weights.ndim)))
            uniforms.append(own @ special.ndtr((value - points) / sd) / own.sum())
            weights = np.tensordot(np.exp(log_normal(value, points, sd)), weights, axes=1)
        return np.array(uniforms)
