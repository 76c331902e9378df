"""Localization of a robot by its range sensor: data, exact filter, and the gate of the particle filters.

Source: "Probabilistic Programming with Vectorized Programmable Inference" (POPL 2026), Figure 19. The published data's
noise is half of what the model expects, and its path takes steps of up to six standard deviations of the motion: that
is what tells the methods apart. Data that fit the model are the control.
"""

from typing import Any

import numpy as np

from studies.base import Problem, Verdict
from studies.localization import gate
from studies.localization.data import make_track
from studies.localization.density import Grid, Model
from studies.localization.reference import exact_filter
from studies.localization.world import make_world

METHODS = ("bootstrap", "smc_mh", "smc_hmc", "grid_proposal", "locally_optimal")


def make_problem(parameters: dict[str, Any]) -> Problem:
    """Data for the workers, and the truth.

    Args:
        parameters: those of `configs/study/localization.yaml`. `method` and `effort` choose the number of particles,
            `particles[method][effort]`.

    Returns:
        Problem whose data are `observations` (T, n_rays), `initial` (5,), the constants of world, motion, sensor and
        grid, `n_particles` and `n_runs`; its truth has `poses` (T, 3), `distances` (T, n_rays), `model`, `grid`,
        `n_particles` and `reference`, a function without arguments that computes the exact filter when first called.

    Raises:
        ValueError: A parameter is out of range, or the world cannot be.
    """
    path, n_rays = _path(parameters), _whole_number(parameters, "n_rays", 1)
    world = make_world(parameters["world"], parameters["max_range"], path)
    model = _model(parameters, world)
    grid = _grid(parameters["grid"])
    n_particles, n_runs = n_particles_of(parameters), _whole_number(parameters, "n_runs", 1)
    noise_sd = _positive(parameters, "published_noise_sd")
    seed = _whole_number(parameters, "data_seed", 0)
    track = make_track(parameters["data_set"], model, path, n_rays, noise_sd, seed)
    spacings = {name: tuple(parameters["reference"][name]) for name in ("coarse", "fine")}
    data: dict[str, Any] = {
        "observations": track.observations,
        "initial": [*model.initial, model.initial_sd[0], model.initial_sd[2]],
        "world.walls": world.walls,
        "world.width": world.width,
        "world.height": world.height,
        "world.max_range": world.max_range,
        "motion.position_sd": model.motion_sd[0],
        "motion.heading_sd": model.motion_sd[2],
        "sensor.noise_sd": model.noise_sd,
        "sensor.margin": model.margin,
        "grid.low": [grid.margin, grid.margin],
        "grid.high": [world.width - grid.margin, world.height - grid.margin],
        "grid.radius": grid.radius,
        "grid.heading_radius": grid.heading_radius,
        "grid.proposal_sd": grid.proposal_sd,
        "grid.kernel_width": grid.kernel_width,
    }
    counts = {"n_particles": np.array(n_particles), "n_runs": np.array(n_runs)}
    truth = {
        "poses": track.poses,
        "distances": track.distances,
        "model": model,
        "grid": grid,
        "n_particles": n_particles,
        "reference": lambda: exact_filter(model, track.observations, **spacings),
    }
    return Problem({name: np.asarray(value, np.float32) for name, value in data.items()} | counts, truth)


def n_particles_of(parameters: dict[str, Any]) -> int:
    """The number of particles of a cell: `particles[method][effort]`."""
    method, effort, table = parameters["method"], parameters["effort"], parameters["particles"]
    if method not in METHODS:
        raise ValueError(f"localization got method={method!r}. Allowed: {', '.join(METHODS)}.")
    choices = table.get(method) or []
    if not isinstance(effort, int) or not 0 <= effort < len(choices):
        raise ValueError(f"localization got effort={effort!r} for {method}, whose numbers of particles are {choices}.")
    return _whole_number({f"particles.{method}": choices[effort]}, f"particles.{method}", 1)


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """Judge one cell's particle filters in float64.

    In order: names, shapes and finiteness; no step at which every particle has weight 0; the last run's weights and
    evidence against the densities of its own particles; its ancestors against the weights; its proposed poses and the
    moves of its kernel against their exact laws; its summaries against its particles; where
    the data are the model's, every run's mean and evidence against the exact filter; at the published settings, the
    published outcome.

    Args:
        task: any task of the study.
        problem: what `make_problem` returned.
        parameters: the cell's.
        outputs: those of `models/genjax.py`.
    """
    diagnostics: dict[str, float] = {}
    run = gate.Run(problem, parameters, outputs, diagnostics)
    for step in (
        gate.check_form, gate.check_degeneracy, gate.check_weights, gate.check_resampling, gate.check_proposals,
        gate.check_moves, gate.check_summaries, gate.score, gate.check_against_reference, gate.check_published_outcome,
    ):  # fmt: skip
        reason = step(run)
        if reason is not None:
            return Verdict(reason, diagnostics)
    return Verdict(None, diagnostics)


def _path(parameters: dict[str, Any]) -> np.ndarray:
    path, n_steps = parameters["path"], _whole_number(parameters, "n_steps", 1)
    try:
        poses = np.array(path, np.float64)
    except (TypeError, ValueError):
        poses = np.empty(0)
    if poses.ndim != 2 or poses.shape[1] != 3 or not np.isfinite(poses).all():
        raise ValueError("localization needs a path, a list of [x, y, heading]; every entry is three numbers.")
    if n_steps > len(poses) - 1:
        raise ValueError(
            f"localization got n_steps={n_steps}, but the path has {len(poses)} poses, so {len(poses) - 1} steps at "
            "most. Ask for fewer, or give a longer `path`."
        )
    return poses[: n_steps + 1]


def _model(parameters: dict[str, Any], world: Any) -> Model:
    initial, motion = parameters["initial"], parameters["motion"]
    margin = parameters["margin"]
    if not 0 <= margin < min(world.width, world.height) / 2:
        raise ValueError(
            f"localization got margin={margin!r}. It must be at least 0 and below half of the world's size."
        )
    first, step = (
        np.array([_positive(block, "position_sd"), _positive(block, "position_sd"), _positive(block, "heading_sd")])
        for block in (initial, motion)
    )
    mean = np.array([initial["x"], initial["y"], initial["heading"]], np.float64)
    return Model(world, mean, first, step, _positive(parameters, "noise_sd"), float(margin))


def _grid(block: dict[str, Any]) -> Grid:
    margin = block["margin"]
    if not margin >= 0:
        raise ValueError(f"localization got grid.margin={margin!r}. It must be a number, at least 0.")
    names = ("radius", "heading_radius", "proposal_sd", "kernel_width")
    return Grid(
        _whole_number(block, "n_cells", 2), margin=float(margin), **{name: _positive(block, name) for name in names}
    )


def _whole_number(parameters: dict[str, Any], name: str, least: int) -> int:
    value = parameters[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"localization got {name}={value!r}. It must be a whole number, at least {least}.")
    return value


def _positive(parameters: dict[str, Any], name: str) -> float:
    value = parameters[name]
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < np.inf:
        raise ValueError(f"localization got {name}={value!r}. It must be a number above zero.")
    return float(value)
