"""The exact filter, by sums over a grid of poses: what the particle filters estimate.

Motion is independent in x, y and heading, and clipping acts on each alone, so prediction is three matrix products.
Coarse grids find the box where the posterior is at each step; fine ones over these boxes give the answer.
Convergence in the spacing is tested; the settings are the study's parameters `reference`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from studies.localization.density import Model, log_normal
from studies.localization.world import World

NEGLIGIBLE = 1e-14
"""Relative density below which a cell of the coarse grid is left out of the boxes. Steps of six standard deviations
weight the tail of the step before at up to 3 of its own standard deviations, far inside."""

REACH = 8.0
"""How far the next pose is looked for, in standard deviations of a step; the published path takes steps of six."""


class Reference(NamedTuple):
    """The exact filter.

    Args:
        mean: (T, 3) float64, posterior mean of the pose given the observations up to each step.
        sd: (T, 3) posterior standard deviations.
        log_marginal: (T,) log p(y_0 .. y_t).
        n_cells: (T,) cells of the fine grid.
    """

    mean: np.ndarray
    sd: np.ndarray
    log_marginal: np.ndarray
    n_cells: np.ndarray


Axes = list[np.ndarray]


def exact_filter(
    model: Model, observations: np.ndarray, coarse: tuple[float, float], fine: tuple[float, float]
) -> Reference:
    """The exact filter of a model.

    Args:
        model: the model.
        observations: (T, n_rays).
        coarse: spacing in metres and in radians of the grid that finds the boxes.
        fine: those of the grid inside.
    """
    key = (model.world.width, model.world.height, model.world.max_range, model.noise_sd, model.margin)
    arrays = (model.world.walls, model.initial, model.initial_sd, model.motion_sd, observations.astype(np.float64))
    shapes = tuple(array.shape for array in arrays)
    return _exact_filter(key, tuple(array.tobytes() for array in arrays), shapes, tuple(coarse), tuple(fine))


@functools.lru_cache(maxsize=16)
def _exact_filter(key: tuple, contents: tuple, shapes: tuple, coarse: tuple, fine: tuple) -> Reference:
    # Many cells share a problem, and the answer takes seconds: it is kept by value.
    width, height, max_range, noise_sd, margin = key
    walls, initial, initial_sd, motion_sd, observations = (
        np.frombuffer(content).reshape(shape) for content, shape in zip(contents, shapes, strict=True)
    )
    model = Model(World(width, height, walls, max_range), initial, initial_sd, motion_sd, noise_sd, margin)

    def log_likelihood(axes: Axes, step: int) -> np.ndarray:
        return _log_likelihood(model, axes, observations[step])

    boxes = _boxes(model, log_likelihood, len(observations), coarse)
    return filter_on_boxes(model, log_likelihood, [_axes(box, np.array([fine[0], fine[0], fine[1]])) for box in boxes])


def filter_on_boxes(
    model: Model, log_likelihood: Callable[[Axes, int], np.ndarray], grids: Sequence[Axes]
) -> Reference:
    """The filter by Riemann sums over one grid of poses per step.

    Args:
        model: for its motion.
        log_likelihood: `log_likelihood(axes, step)` at the points of a grid, the shape of the grid.
        grids: the axes of each step's grid, equally spaced.
    """
    means, sds, log_marginals, log_total = [], [], [], 0.0
    probability: np.ndarray | None = None
    for step, axes in enumerate(grids):
        predicted = _predicted(model, probability, grids[step - 1] if step else None, axes)
        values = log_likelihood(axes, step)
        highest = values.max()
        joint = predicted * np.exp(values - highest)
        total = joint.sum()
        probability = joint / total
        log_total += float(np.log(total) + highest)
        marginals = [probability.sum(axis=tuple({0, 1, 2} - {i})) for i in range(3)]
        mean = np.array([points @ weights for points, weights in zip(axes, marginals, strict=True)])
        square = np.array([points**2 @ weights for points, weights in zip(axes, marginals, strict=True)])
        means.append(mean)
        sds.append(np.sqrt(np.maximum(square - mean**2, 0)))
        log_marginals.append(log_total)
    n_cells = np.array([np.prod([len(points) for points in axes]) for axes in grids])
    return Reference(np.array(means), np.array(sds), np.array(log_marginals), n_cells)


def _predicted(model: Model, probability: np.ndarray | None, before: Axes | None, axes: Axes) -> np.ndarray:
    """Probability of each cell before its observation."""
    if probability is None or before is None:
        first = [
            np.exp(log_normal(points, model.initial[i], model.initial_sd[i])) * (points[1] - points[0])
            for i, points in enumerate(axes)
        ]
        return first[0][:, None, None] * first[1][:, None] * first[2]
    highs = (model.world.width - model.margin, model.world.height - model.margin, np.inf)
    lows = (model.margin, model.margin, -np.inf)
    for i, points in enumerate(axes):
        start = np.clip(before[i], lows[i], highs[i])
        move = np.exp(log_normal(points, start[:, None], model.motion_sd[i])) * (points[1] - points[0])
        probability = np.moveaxis(np.tensordot(probability, move, axes=(i, 0)), -1, i)
    return probability


def _boxes(model: Model, log_likelihood: Callable, n_steps: int, coarse: tuple[float, float]) -> list[np.ndarray]:
    """(3, 2) bounds at each step of where the posterior is not negligible, found on coarse grids."""
    spacing = np.array([coarse[0], coarse[0], coarse[1]])
    reachable = np.stack([model.initial, model.initial], axis=1) + np.outer(model.initial_sd, [-REACH, REACH])
    probability, before, boxes = None, None, []
    for step in range(n_steps):
        axes = _axes(reachable, spacing)
        predicted = _predicted(model, probability, before, axes)
        values = log_likelihood(axes, step)
        joint = predicted * np.exp(values - values.max())
        probability, before = joint / joint.sum(), axes
        kept = probability > NEGLIGIBLE * probability.max()
        inside = [np.flatnonzero(kept.any(axis=tuple({0, 1, 2} - {i}))) for i in range(3)]
        bounds = [(axes[i][inside[i][0]], axes[i][inside[i][-1]]) for i in range(3)]
        boxes.append(np.array(bounds) + np.outer(spacing, [-1, 1]))
        # Clipping brings what is outside of the world back to its margin.
        reachable = model.clipped(np.array(bounds).T).T + np.outer(model.motion_sd, [-REACH, REACH])
    return boxes


def _axes(box: np.ndarray, spacing: np.ndarray) -> Axes:
    return [
        np.linspace(low, high, max(2, 1 + int(np.ceil((high - low) / h))))
        for (low, high), h in zip(box, spacing, strict=True)
    ]


def _log_likelihood(model: Model, axes: Axes, observation: np.ndarray) -> np.ndarray:
    """log p(observation | pose) on a grid, one heading after the other to keep memory small."""
    x, y = np.meshgrid(axes[0], axes[1], indexing="ij")
    found = np.empty((len(axes[0]), len(axes[1]), len(axes[2])))
    for index, heading in enumerate(axes[2]):
        pose = np.stack([x, y, np.full_like(x, heading)], axis=-1)
        found[..., index] = model.log_likelihood(pose, observation)
    return found
