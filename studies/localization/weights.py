"""Weights and evidence of a particle filter against the densities of its own particles.

Particle i, proposed at step t from particle i of the step before, has weight before resampling known up to
normalisation. So for every particle

    previous log weight + log p(y_t | x) + [log p(x | parent) - log q(x | parent, y_t)] - diagnostic weight

must be one number, the log of the step's total weight, and that total must be the filter's own evidence increment.
"""

import numpy as np
from scipy import special

from studies.localization.run import GRID_METHODS, Run

WEIGHT_TOLERANCE = 0.01
"""Nats by which a float32 log weight may be off, beside `RELATIVE_TOLERANCE` of the numbers that it is made of."""

RELATIVE_TOLERANCE = 2e-5
NEARBY = 3e-5
"""Metres and radians. Where a ray grazes the end of a wall, float32 and float64 may see different walls; a weight that
differs must lie between those of poses this near."""


def check_weights(run: Run) -> str | None:
    """Weights and evidence of the last run."""
    _, n_steps, n_particles = run.shape
    out = run.outputs
    ancestors, diagnostic = out["ancestors"], out["diagnostic_weights"].astype(np.float64)
    total = special.logsumexp(diagnostic, axis=1)
    if np.abs(total).max() > 1e-3:
        return f"diagnostic_weights are not normalised: log of their sum is {total[np.abs(total).argmax()]:.3g}"
    estimates = out["log_marginal_estimate"].astype(np.float64)
    before = np.concatenate([[0.0], estimates[:-1]])
    evidence = out["log_marginal"][-1].astype(np.float64)
    is_resampled = estimates != before
    put_aside = np.where(is_resampled, evidence, before)
    if np.abs(estimates - put_aside).max() > WEIGHT_TOLERANCE + RELATIVE_TOLERANCE * np.abs(evidence).max():
        return "log_marginal_estimate is not the evidence up to the last resampling"
    is_copied = (ancestors != np.arange(n_particles)).any(axis=1)
    if (is_copied & ~is_resampled).any():
        return f"particles were copied at step {(is_copied & ~is_resampled).argmax()} without a resampling"
    if np.abs(out["log_weights"][is_resampled]).max(initial=0.0) > 0:
        return "weights were not made equal by resampling"
    steps, indices = run.chosen()
    pose, parent = run.proposed()[steps, indices], run.poses()[np.maximum(steps - 1, 0), indices]
    previous = np.where(steps > 0, out["log_weights"][np.maximum(steps - 1, 0), indices], 0.0).astype(np.float64)
    increment = _increments(run, steps, indices, pose, parent)
    if isinstance(increment, str):
        return increment
    expected = evidence[steps] - before[steps] + np.log(n_particles)
    error = previous + increment - diagnostic[steps, indices] - expected
    scale = np.abs(increment) + np.abs(evidence[steps]) + np.abs(previous)
    tolerance = WEIGHT_TOLERANCE + RELATIVE_TOLERANCE * scale
    for index in np.flatnonzero(np.abs(error) > tolerance):
        low, high = _nearby(run, pose[index], steps[index])
        if not low - tolerance[index] <= -error[index] <= high + tolerance[index]:
            return (
                f"the weight of particle {indices[index]} at step {steps[index]} differs by {error[index]:.3g} nats "
                f"from that of its own pose and ancestor (limit {tolerance[index]:.2g})"
            )
    run.diagnostics["log_weight_error"] = float(np.median(np.abs(error)))
    run.diagnostics["weights_checked"] = float(len(steps))
    return None


def _increments(
    run: Run, steps: np.ndarray, indices: np.ndarray, pose: np.ndarray, parent: np.ndarray
) -> np.ndarray | str:
    """log p(y | x) + log p(x | parent) - log q(x | parent, y), where q is the prior except for the grid proposals."""
    truth, observations = run.problem.truth, run.observations
    model, grid = truth["model"], truth["grid"]
    increment = model.log_likelihood(pose, observations[steps])
    if run.method not in GRID_METHODS:
        return increment
    for index in np.flatnonzero(steps > 0):
        step, own, previous = steps[index], pose[index], parent[index]
        increment[index] += model.log_transition(own, previous)
        log_density = run.log_density(step, indices[index])
        if run.method == "locally_optimal":
            increment[index] -= grid.log_locally_optimal_proposal(model, own, previous, log_density)
            continue
        centre = run.outputs["centre"][step, indices[index]].astype(np.float64)
        axes = grid.axes(model, previous)
        nearest = [int(np.abs(points - value).argmin()) for points, value in zip(axes, centre, strict=True)]
        distance = max(abs(points[i] - value) for points, i, value in zip(axes, nearest, centre, strict=True))
        # The float32 arg-max may see another wall where a ray grazes its end: neighbours of the best point will do.
        highest = log_density.max()
        if distance > 1e-3 or log_density[tuple(nearest)] < highest - WEIGHT_TOLERANCE:
            low, high = _nearby(run, np.array([points[i] for points, i in zip(axes, nearest, strict=True)]), step)
            if distance > 1e-3 or log_density[tuple(nearest)] + high < highest - WEIGHT_TOLERANCE:
                return (
                    f"the proposal of particle {indices[index]} at step {step} is not centred at the best point of its "
                    f"grid: {highest - log_density[tuple(nearest)]:.3g} nats below, {distance:.2g} from a point"
                )
        increment[index] -= grid.log_argmax_proposal(own, centre)
    return increment


def _nearby(run: Run, pose: np.ndarray, step: int) -> tuple[float, float]:
    """Lowest and highest log likelihood around a pose, relative to its own."""
    model, observation = run.problem.truth["model"], run.observations[step]
    shifts = NEARBY * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    values = model.log_likelihood(pose + shifts, observation) - model.log_likelihood(pose, observation)
    return float(values.min()), float(values.max())
