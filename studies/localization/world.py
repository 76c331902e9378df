"""The robot's world and its range sensor in float64: rectangle, interior walls, and rays to the first of them.

Walls have no thickness and two sides; they may touch and cross, and the nearest one counts. Lengths are in metres,
angles in radians. Source: the world of Figure 19 of "Probabilistic Programming with Vectorized Programmable Inference".
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

PARALLEL = 1e-10
"""A ray and a wall whose cross product is below this are parallel: the ray sees a wall edge-on as nothing."""

CLEARANCE = 1e-6
"""Closest distance of the robot's start to a wall, in metres."""


@dataclass(frozen=True)
class World:
    """A rectangle [0, width] x [0, height] with walls.

    Args:
        width: metres.
        height: metres.
        walls: (n_walls, 4) float64, `x1, y1, x2, y2` of each wall.
        max_range: farthest distance that the sensor reports.
    """

    width: float
    height: float
    walls: np.ndarray
    max_range: float


def make_world(description: dict[str, Any], max_range: float, path: np.ndarray) -> World:
    """A checked world.

    Args:
        description: `width`, `height` and `walls`, a list of `[x1, y1, x2, y2]`.
        max_range: farthest distance that the sensor reports.
        path: (n, 2 or more) positions of the robot, which must be inside of the rectangle; the first one must stand
            clear of every wall and outside of every closed loop of consecutive walls.

    Raises:
        ValueError: with everything that is wrong, one sentence each.
    """
    faults: list[str] = []
    width, height = (_positive(description, name, faults) for name in ("width", "height"))
    if not max_range > 0:
        faults.append(f"max_range={max_range!r} must be a number above zero.")
    walls = _walls(description.get("walls"), width, height, faults)
    if faults:
        raise ValueError(" ".join(faults))
    outside = (path[:, :2] < 0).any(axis=1) | (path[:, :2] > (width, height)).any(axis=1)
    if outside.any():
        step = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"The robot is outside of the {width:g} x {height:g} world at step {step}, {_point(path[step])}."
        )
    start = path[0, :2]
    distances = distances_to_segments(start, walls)
    if distances.min() < CLEARANCE:
        nearest = walls[distances.argmin()]
        raise ValueError(f"The robot starts inside of a wall: {_point(start)} lies on the wall {nearest.tolist()}.")
    for loop in closed_loops(walls):
        if is_inside(start, loop):
            raise ValueError(f"The robot starts inside of an obstacle: {_point(start)} lies in {loop.tolist()}.")
    return World(width, height, walls, float(max_range))


def _positive(description: dict[str, Any], name: str, faults: list[str]) -> float:
    value = description.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < np.inf:
        faults.append(f"A world needs a {name} above zero, got {value!r}.")
        return 1.0
    return float(value)


def _walls(walls: Any, width: float, height: float, faults: list[str]) -> np.ndarray:
    if not isinstance(walls, list | tuple) or not walls:
        faults.append(f"A world needs at least one wall [x1, y1, x2, y2], got walls={walls!r}.")
        return np.zeros((1, 4))
    for index, wall in enumerate(walls):
        numbers = isinstance(wall, list | tuple) and all(
            isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value) for value in wall
        )
        if not numbers or len(wall) != 4:
            faults.append(f"Wall {index} is {wall!r}; a wall is four numbers [x1, y1, x2, y2].")
            return np.zeros((1, 4))
    array = np.asarray(walls, np.float64)
    lengths = np.hypot(array[:, 2] - array[:, 0], array[:, 3] - array[:, 1])
    faults.extend(
        f"Wall {index} has zero length: {array[index].tolist()}." for index in np.flatnonzero(lengths < CLEARANCE)
    )
    beyond = (array < 0).any(axis=1) | (array[:, ::2] > width).any(axis=1) | (array[:, 1::2] > height).any(axis=1)
    faults.extend(
        f"Wall {index} leaves the {width:g} x {height:g} world: {array[index].tolist()}."
        for index in np.flatnonzero(beyond)
    )
    return array


def _point(pose: np.ndarray) -> str:
    return f"({pose[0]:g}, {pose[1]:g})"


def cast_rays(world: World, x: np.ndarray, y: np.ndarray, angle: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Distance from a point to the first boundary or wall in a direction, at most `max_range`.

    The boundary is at (W - x)/dx for dx > 0, -x/dx for dx < 0, and the same in y. For a wall from w1 to w2 = w1 + e,
    p + t d = w1 + s e gives t = ((w1 - p) x e) / (d x e) and s = ((w1 - p) x d) / (d x e); it is hit if t >= 0 and
    0 <= s <= 1.

    Args:
        world: the world.
        x, y, angle: broadcastable; points inside of the rectangle and directions.
        dtype: of the arithmetic. It decides which way a ray goes that grazes the end of a wall.

    Returns:
        Of the broadcast shape.
    """
    x, y, angle = (np.asarray(value, dtype) for value in (x, y, angle))
    width, height = dtype(world.width), dtype(world.height)
    walls: np.ndarray = world.walls.astype(dtype)
    dx, dy = np.cos(angle), np.sin(angle)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.minimum(
            np.where(dx == 0, np.inf, np.where(dx > 0, width - x, x) / np.abs(dx)),
            np.where(dy == 0, np.inf, np.where(dy > 0, height - y, y) / np.abs(dy)),
        )
        for x1, y1, x2, y2 in walls:
            ex, ey = x2 - x1, y2 - y1
            cross = dx * ey - dy * ex
            t = ((x1 - x) * ey - (y1 - y) * ex) / cross
            s = ((x1 - x) * dy - (y1 - y) * dx) / cross
            is_hit = (np.abs(cross) >= PARALLEL) & (t >= 0) & (s >= 0) & (s <= 1)
            distance = np.where(is_hit, np.minimum(distance, t), distance)
    return np.minimum(distance, dtype(world.max_range))


def ray_angles(n_rays: int, dtype: type = np.float64) -> np.ndarray:
    """Directions of the rays relative to the heading, 2 pi k / n for k = 0..n-1."""
    return dtype(2 * np.pi) * np.arange(n_rays).astype(dtype) / dtype(n_rays)


def scan(
    world: World, x: np.ndarray, y: np.ndarray, heading: np.ndarray, n_rays: int, dtype: type = np.float64
) -> np.ndarray:
    """The sensor's true distances at poses of any shape: (..., n_rays). See `cast_rays`."""
    x, y, heading = (np.asarray(value, dtype)[..., None] for value in (x, y, heading))
    return cast_rays(world, x, y, heading + ray_angles(n_rays, dtype), dtype)


def distances_to_segments(point: np.ndarray, walls: np.ndarray) -> np.ndarray:
    """Distance of a point to each wall, (n_walls,)."""
    first, along = walls[:, :2], walls[:, 2:] - walls[:, :2]
    fraction = np.clip(((point - first) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return np.linalg.norm(first + fraction[:, None] * along - point, axis=1)


def closed_loops(walls: np.ndarray) -> list[np.ndarray]:
    """Polygons (n, 2) formed by consecutive walls, each of which begins where the one before ends."""
    loops, start = [], 0
    for index, wall in enumerate(walls):
        if index > start and not np.allclose(walls[index - 1, 2:], wall[:2]):
            start = index
        if index >= start + 2 and np.allclose(wall[2:], walls[start, :2]):
            loops.append(walls[start : index + 1, :2])
            start = index + 1
    return loops


def is_inside(point: np.ndarray, polygon: np.ndarray) -> bool:
    """Whether a point is in a polygon, by the number of its edges to the right of it."""
    x, y = point
    x1, y1 = polygon.T
    x2, y2 = np.roll(polygon, -1, axis=0).T
    with np.errstate(divide="ignore", invalid="ignore"):
        crosses = ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return bool(crosses.sum() % 2)
