"""The checks that a particle filter must pass, from its outputs alone, in float64.

A stored particle j after step t is the copy of particle a = ancestors[t, j] of that step, whose weight before
resampling is known up to normalisation, and which extends particle a of the step before. So for every survivor

    previous log weight + log p(y_t | x) + [log p(x | parent) - log q(x | parent, y_t)] - diagnostic weight

must be one number, the log of the step's total weight, and that total must be the filter's own evidence increment.
Particles are checked where they were before rejuvenation moved them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from studies.base import Problem
from studies.localization import scores
from studies.localization.density import POSE

WEIGHT_TOLERANCE = 0.01
"""Nats by which a float32 log weight may be off, beside `RELATIVE_TOLERANCE` of the numbers that it is made of."""

RELATIVE_TOLERANCE = 2e-5
NEARBY = 3e-5
"""Metres and radians. Where a ray grazes the end of a wall, float32 and float64 may see different walls; a weight that
differs must lie between those of poses this near."""

MOST_WEIGHTS = 4000
MOST_PROPOSALS = 40
"""Particles checked; those of a grid proposal cost a grid each."""

STANDARD_ERRORS = 6.0
GRID_ERROR = {"metres": 0.02, "nats": 0.2}
"""What the exact filter's grid may be off, by its convergence at the default spacing."""

SCORED_RUNS = 10
"""Runs below which no statistics are judged."""

PUBLISHED = {"world_type": "basic", "data_set": "published", "data_seed": 42, "n_steps": 16, "n_rays": 8}
PUBLISHED_OUTCOMES = {
    # (method, particles): range of the 20 runs' position RMSE in metres, fraction lost. A median lies inside the range.
    ("bootstrap", 200): ((3.78, 4.79), 1.0),
    ("grid_proposal", 5): ((0.28, 0.53), 0.0),
}
"""What the published program does over 20 keys."""


@dataclass
class Run:
    """What the checks look at."""

    problem: Problem
    parameters: dict[str, Any]
    outputs: dict[str, np.ndarray]
    diagnostics: dict[str, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_runs, T, N)."""
        truth = self.problem.truth
        return int(self.problem.data["n_runs"]), len(truth["poses"]), truth["n_particles"]

    def poses(self, prefix: str = "") -> np.ndarray:
        """(T, N, 3) of the last run."""
        return np.stack([self.outputs[prefix + name] for name in POSE], axis=-1).astype(np.float64)


def check_form(run: Run) -> str | None:
    """Names, shapes, NaN."""
    n_runs, n_steps, n_particles = run.shape
    last, method = (n_steps, n_particles), run.parameters["method"]
    expected = {
        "mean": (n_runs, n_steps, 3),
        "effective_sample_size": (n_runs, n_steps),
        "log_marginal": (n_runs, n_steps),
        "acceptance_rate": (n_runs,),
        **dict.fromkeys((*POSE, "log_weights", "diagnostic_weights", "ancestors"), last),
        "log_marginal_estimate": (n_steps,),
        **({f"resampled_{name}": last for name in POSE} if method in ("smc_mh", "smc_hmc") else {}),
        **({"centre": (*last, 3)} if method == "grid_proposal" else {}),
    }
    for name, shape in expected.items():
        if name not in run.outputs:
            return f"outputs lack {name!r}: got {sorted(run.outputs)}"
        if run.outputs[name].shape != shape:
            return f"{name} has shape {run.outputs[name].shape}, expected {shape}"
        if name != "acceptance_rate" and np.isnan(run.outputs[name]).any():
            return f"{name} has {int(np.isnan(run.outputs[name]).sum())} NaN of {run.outputs[name].size}"
    ancestors = run.outputs["ancestors"]
    if ancestors.dtype.kind not in "iu" or ancestors.min() < 0 or ancestors.max() >= n_particles:
        return f"ancestors must be indices of {n_particles} particles, got {ancestors.min()} to {ancestors.max()}"
    return None


def check_degeneracy(run: Run) -> str | None:
    """Whether there are steps at which every particle has weight 0."""
    lost = ~np.isfinite(run.outputs["log_marginal"])
    run.diagnostics["degenerate_runs"] = float(lost.any(axis=1).sum())
    if lost.any():
        which, step = np.argwhere(lost)[0]
        return (
            f"every particle has weight 0 at step {step} of run {which} ({int(lost.any(axis=1).sum())} of {len(lost)} "
            "runs): the filter is degenerate from there on, its particles no longer say anything"
        )
    return None


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
    steps, indices = _survivors(run)
    chosen = ancestors[steps, indices]
    if not np.isfinite(diagnostic[steps, chosen]).all():
        return "a particle of weight 0 has descendants"
    prefix = "resampled_" if "resampled_x" in out else ""
    pose, parent = run.poses(prefix)[steps, indices], run.poses()[np.maximum(steps - 1, 0), chosen]
    previous = np.where(steps > 0, out["log_weights"][np.maximum(steps - 1, 0), chosen], 0.0).astype(np.float64)
    increment = _increments(run, steps, indices, pose, parent)
    if isinstance(increment, str):
        return increment
    expected = evidence[steps] - before[steps] + np.log(n_particles)
    error = previous + increment - diagnostic[steps, chosen] - expected
    scale = np.abs(increment) + np.abs(evidence[steps]) + np.abs(previous) + np.abs(diagnostic[steps, chosen])
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


def _survivors(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """(step, particle) pairs to check, spread evenly."""
    _, n_steps, n_particles = run.shape
    most = MOST_PROPOSALS if run.parameters["method"] in ("grid_proposal", "locally_optimal") else MOST_WEIGHTS
    flat = np.unique(np.linspace(0, n_steps * n_particles - 1, min(most, n_steps * n_particles)).astype(int))
    return np.divmod(flat, n_particles)


def _increments(
    run: Run, steps: np.ndarray, indices: np.ndarray, pose: np.ndarray, parent: np.ndarray
) -> np.ndarray | str:
    """log p(y | x) + log p(x | parent) - log q(x | parent, y), where q is the prior but for the grid proposals."""
    truth, method = run.problem.truth, run.parameters["method"]
    model, grid, observations = truth["model"], truth["grid"], run.problem.data["observations"].astype(np.float64)
    increment = model.log_likelihood(pose, observations[steps])
    if method not in ("grid_proposal", "locally_optimal"):
        return increment
    for index in np.flatnonzero(steps > 0):
        step, own, previous, observation = steps[index], pose[index], parent[index], observations[steps[index]]
        increment[index] += model.log_transition(own, previous)
        if method == "locally_optimal":
            increment[index] -= grid.log_locally_optimal_proposal(model, own, previous, observation)
            continue
        centre = run.outputs["centre"][step, run.outputs["ancestors"][step, indices[index]]].astype(np.float64)
        axes = grid.axes(model, previous)
        nearest = [int(np.abs(points - value).argmin()) for points, value in zip(axes, centre, strict=True)]
        distance = max(abs(points[i] - value) for points, i, value in zip(axes, nearest, centre, strict=True))
        log_density = grid.log_density(model, previous, observation)
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
    model, observation = run.problem.truth["model"], run.problem.data["observations"][step].astype(np.float64)
    shifts = NEARBY * np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    values = model.log_likelihood(pose + shifts, observation) - model.log_likelihood(pose, observation)
    return float(values.min()), float(values.max())


def check_summaries(run: Run) -> str | None:
    """Mean and effective sample size of the last run against its particles."""
    out = run.outputs
    weights = special.softmax(out["log_weights"].astype(np.float64), axis=1)
    mean = np.einsum("tn,tnd->td", weights, run.poses())
    error = np.abs(mean - out["mean"][-1]).max()
    if not error <= 1e-3:
        return f"mean differs from the weighted mean of the particles by {error:.2g} (limit 1e-3)"
    effective = np.exp(-special.logsumexp(2 * out["diagnostic_weights"].astype(np.float64), axis=1))
    error = np.abs(effective / out["effective_sample_size"][-1] - 1).max()
    limit = 1e-3 + run.shape[2] * np.finfo(np.float32).eps / 2  # a float32 sum of n numbers is right to n eps / 2
    if not error <= limit:
        return (
            f"effective_sample_size differs from that of diagnostic_weights by {error:.2g} relative (limit {limit:.2g})"
        )
    if run.parameters["method"] in ("smc_mh", "smc_hmc"):
        rate = out["acceptance_rate"]
        run.diagnostics["acceptance_rate"] = float(rate.mean())
        if not ((rate > 0) & (rate < 1)).all():
            return f"acceptance rates are {rate.min():.3g} to {rate.max():.3g}: moves are never or always accepted"
    return None


def score(run: Run) -> None:
    """Errors of every run, as diagnostics."""
    poses, out = run.problem.truth["poses"], run.outputs
    position, percent = scores.position_rmse(out["mean"], poses), 100 * out["effective_sample_size"] / run.shape[2]
    evidence = out["log_marginal"][:, -1]
    run.diagnostics |= {
        "n_particles": float(run.shape[2]),
        "position_rmse_median": float(np.median(position)),
        "position_rmse_low": float(position.min()),
        "position_rmse_high": float(position.max()),
        "heading_rmse_median": float(np.median(scores.heading_rmse(out["mean"], poses))),
        "lost_fraction": scores.lost_fraction(out["mean"], poses),
        "effective_percent_median": float(np.median(percent)),
        "effective_percent_low": float(percent.min()),
        "effective_percent_high": float(percent.max()),
        "log_marginal_median": float(np.median(evidence)),
        "log_marginal_sd": float(evidence.std(ddof=1)) if len(evidence) > 1 else float("nan"),
    }


def check_against_reference(run: Run) -> str | None:
    """Means and evidence of all runs against the exact filter; judged where the data are the model's own.

    On the published data a filter that loses the robot is right, and far from the exact answer: there the distance is a
    result, kept as a diagnostic.
    """
    n_runs = run.shape[0]
    if n_runs < SCORED_RUNS:
        return None
    reference = run.problem.truth["reference"]()
    mean, evidence = run.outputs["mean"].astype(np.float64), run.outputs["log_marginal"][:, -1].astype(np.float64)
    gap = evidence - reference.log_marginal[-1]
    run.diagnostics |= {
        "exact_log_marginal": float(reference.log_marginal[-1]),
        "exact_position_rmse": float(scores.position_rmse(reference.mean[None], run.problem.truth["poses"])[0]),
        "log_marginal_gap": float(special.logsumexp(gap) - np.log(n_runs)),
    }
    if run.parameters["data_set"] != "model":
        return None
    offset, spread = mean.mean(axis=0) - reference.mean, mean.std(axis=0, ddof=1) / np.sqrt(n_runs)
    excess = np.abs(offset) / (spread + GRID_ERROR["metres"] / STANDARD_ERRORS)
    run.diagnostics["mean_z_score"] = float(excess.max())
    if excess.max() > STANDARD_ERRORS:
        step, coordinate = np.unravel_index(excess.argmax(), excess.shape)
        return (
            f"the mean {POSE[coordinate]} at step {step} is {offset[step, coordinate]:.3g} off the exact filter, "
            f"{excess.max():.1f} standard errors of {n_runs} runs (limit {STANDARD_ERRORS:g})"
        )
    if gap.std(ddof=1) < 1.0:  # beyond, the mean of exp(gap) is ruled by runs that were not drawn
        ratio = np.exp(gap)
        error = abs(run.diagnostics["log_marginal_gap"])
        limit = STANDARD_ERRORS * ratio.std(ddof=1) / np.sqrt(n_runs) / ratio.mean() + GRID_ERROR["nats"]
        if error > limit:
            return f"log of the mean evidence is {error:.3g} nats off the exact one (limit {limit:.2g})"
    return None


def check_published_outcome(run: Run) -> str | None:
    """At the published settings, the published outcome: who loses the robot, and by how much."""
    parameters = run.parameters
    outcome = PUBLISHED_OUTCOMES.get((parameters["method"], run.shape[2]))
    settings = {name: parameters[name] for name in PUBLISHED}
    grid = parameters["grid"]
    is_published_grid = (grid["n_cells"], grid["radius"], grid["proposal_sd"]) == (25, 3.0, 0.1)
    if outcome is None or settings != PUBLISHED or not is_published_grid or run.shape[0] < SCORED_RUNS:
        return None
    (low, high), lost = outcome
    found, found_lost = run.diagnostics["position_rmse_median"], run.diagnostics["lost_fraction"]
    if not low <= found <= high or found_lost != lost:
        return (
            f"median position RMSE {found:.2f} m with {found_lost:.0%} lost; the published program's runs have "
            f"{low} to {high} m and {lost:.0%}"
        )
    return None
