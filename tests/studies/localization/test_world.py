"""The world and its rays: values of the published sensor, an independent caster, and refusals."""

import numpy as np
import pytest

from studies.localization.problem import make_problem
from studies.localization.world import World, cast_rays, closed_loops, is_inside, make_world, scan

# From the published program, at heading 0. Three of these rays graze the end of a wall, where float32 decides.
PUBLISHED_RANGES = {
    (1.2, 1.2): [2.8, 8.202, 8.8, 1.697, 1.2, 1.697, 1.2, 1.697],
    (4.1, 4.0): [3.9, 5.515, 6.0, 5.798, 4.1, 5.657, 4.0, 5.515],
    (8.1, 5.0): [3.9, 5.515, 5.0, 2.828, 8.1, 5.798, 5.0, 5.515],
    (11.5, 9.5): [0.5, 0.707, 0.5, 0.707, 3.5, 10.0, 9.5, 0.707],
}
GRAZING = {((1.2, 1.2), 1), ((8.1, 5.0), 4), ((11.5, 9.5), 5)}


def basic(parameters):
    return make_problem(parameters()).truth["model"].world


@pytest.mark.parametrize("position", PUBLISHED_RANGES)
def test_published_ranges(parameters, position):
    ranges = scan(basic(parameters), *position, 0.0, 8, np.float32)
    np.testing.assert_allclose(ranges, PUBLISHED_RANGES[position], atol=6e-4)


@pytest.mark.parametrize("position", PUBLISHED_RANGES)
def test_double_precision_agrees_but_where_a_ray_grazes(parameters, position):
    exact = scan(basic(parameters), *position, 0.0, 8)
    for k, expected in enumerate(PUBLISHED_RANGES[position]):
        assert (position, k) in GRAZING or exact[k] == pytest.approx(expected, abs=6e-4)


def test_rays_end_where_marching_hits_something(parameters):
    """An independent caster: walk along the ray and see which step crosses a wall or leaves the world."""
    world, random = basic(parameters), np.random.default_rng(3)
    step = 1e-3
    for _ in range(60):
        x, y, angle = random.uniform(0.1, 11.9), random.uniform(0.1, 9.9), random.uniform(-np.pi, np.pi)
        along = np.arange(0, world.max_range, step)
        px, py = x + along * np.cos(angle), y + along * np.sin(angle)
        stops = (px < 0) | (px > world.width) | (py < 0) | (py > world.height)
        for x1, y1, x2, y2 in world.walls:
            side = (x2 - x1) * (py - y1) - (y2 - y1) * (px - x1)
            length = np.hypot(x2 - x1, y2 - y1)
            beside = ((px - x1) * (x2 - x1) + (py - y1) * (y2 - y1)) / length
            stops[1:] |= (np.sign(side[1:]) != np.sign(side[:-1])) & (beside[1:] >= 0) & (beside[1:] <= length)
        expected = along[stops.argmax()] if stops.any() else world.max_range
        assert cast_rays(world, x, y, angle) == pytest.approx(expected, abs=2 * step)


def test_crossing_walls_are_fine_and_the_nearest_counts():
    world = World(10.0, 10.0, np.array([[4.0, 0, 4, 10], [3.0, 4, 5, 6], [6.0, 0, 6, 10]]), 20.0)
    np.testing.assert_allclose(cast_rays(world, [1.0, 1.0, 9.0], [5.0, 4.5, 5.0], [0.0, 0.0, np.pi]), [3.0, 2.5, 3.0])


def test_range_is_limited_and_a_wall_seen_edge_on_is_not_seen():
    world = World(10.0, 10.0, np.array([[4.0, 5, 6, 5]]), 3.0)
    assert cast_rays(world, 9.5, 5.0, np.pi) == 3.0
    assert cast_rays(World(10.0, 10.0, world.walls, 20.0), 9.5, 5.0, 0.0) == 0.5


def test_loops_and_their_insides(parameters):
    (square,) = closed_loops(basic(parameters).walls)
    assert square.tolist() == [[9, 2], [10, 2], [10, 3], [9, 3]]
    assert is_inside(np.array([9.5, 2.5]), square)
    assert not is_inside(np.array([8.5, 2.5]), square)


def world_of(**changes):
    return {"width": 12.0, "height": 10.0, "walls": [[4, 0, 4, 3]], **changes}


@pytest.mark.parametrize(
    ("description", "start", "message"),
    [
        (world_of(walls=[]), (1, 1), "at least one wall"),
        (world_of(walls=None), (1, 1), "at least one wall"),
        (world_of(walls=[[1, 2, 3]]), (1, 1), "Wall 0 is .* four numbers"),
        (world_of(walls=[[1, 2, 3, "x"]]), (1, 1), "four numbers"),
        (world_of(walls=[[1, 2, 3, float("nan")]]), (1, 1), "four numbers"),
        (world_of(walls=[[4, 0, 4, 3], [2, 2, 2, 2]]), (1, 1), "Wall 1 has zero length"),
        (world_of(walls=[[4, 0, 4, 30]]), (1, 1), "Wall 0 leaves the 12 x 10 world"),
        (world_of(width=0), (1, 1), "needs a width above zero"),
        (world_of(height=-1.0), (1, 1), "needs a height above zero"),
        (world_of(), (4, 2), r"starts inside of a wall: \(4, 2\)"),
        (world_of(walls=[[1, 1, 3, 1], [3, 1, 3, 3], [3, 3, 1, 1]]), (2.5, 1.5), "starts inside of an obstacle"),
        (world_of(), (13, 2), "outside of the 12 x 10 world at step 0"),
    ],
)
def test_worlds_that_cannot_be_are_refused(description, start, message):
    with pytest.raises(ValueError, match=message):
        make_world(description, 10.0, np.array([[*start, 0.0]], float))


def test_every_fault_of_a_world_is_told_at_once():
    with pytest.raises(ValueError, match="width above zero.*zero length.*zero length"):
        make_world(world_of(width=-1, walls=[[1, 1, 1, 1], [2, 2, 2, 2]]), 10.0, np.zeros((1, 3)))
