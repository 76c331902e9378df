"""The checks that a particle filter must pass, from its outputs alone, in float64.

A step of a filter is made of four parts, and each is compared with its exact law, given what came before: the proposed
poses (`draws.py`), their weights (`weights.py`), the choice of ancestors (`draws.py`), and the moves of a kernel
(`moves.py`). Together they say that the whole filter is what it should be, on any data. What follows from them is
checked besides: means and evidence against the exact filter, and the published outcome.
"""

import numpy as np
from scipy import special

from studies.localization import scores
from studies.localization.density import POSE
from studies.localization.draws import check_proposals as check_proposals
from studies.localization.draws import check_resampling as check_resampling
from studies.localization.moves import check_moves as check_moves
from studies.localization.run import MOVED_METHODS
from studies.localization.run import Run as Run
from studies.localization.weights import check_weights as check_weights

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


def check_form(run: Run) -> str | None:
    """Names, shapes, NaN."""
    n_runs, n_steps, n_particles = run.shape
    last, is_moved = (n_steps, n_particles), run.method in MOVED_METHODS
    expected = {
        "mean": (n_runs, n_steps, 3),
        "effective_sample_size": (n_runs, n_steps),
        "log_marginal": (n_runs, n_steps),
        "acceptance_rate": (n_runs,),
        **dict.fromkeys((*POSE, "log_weights", "diagnostic_weights", "ancestors"), last),
        "log_marginal_estimate": (n_steps,),
        "proposed": (*last, 3),
        **({"moved": (n_steps, run.parameters["n_moves"], n_particles, 3)} if is_moved else {}),
        **({"energy": (n_steps, run.parameters["n_moves"], n_particles)} if "energy" in run.outputs else {}),
        **({"centre": (*last, 3)} if run.method == "grid_proposal" else {}),
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
