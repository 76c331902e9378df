"""Proposed poses and ancestors of a particle filter against the laws that they are drawn from.

Given the particles of the step before, every proposed coordinate becomes a standard normal number: (x - mean) / sd for
the motion and for the arg-max proposal, and by its distribution function for the locally optimal one. Weights see none
of this: a motion of half the width has the right weights.
"""

from collections.abc import Iterator

import numpy as np
from scipy import special, stats

from studies.localization.density import POSE
from studies.localization.run import Run

P_VALUE_LIMIT = 1e-6
"""A right filter fails one test with this probability; there are at most 60."""

RESAMPLED_BELOW = 0.5
"""Share of the particles below which the effective sample size calls for resampling."""

MOST_SORTED = 20_000


def check_proposals(run: Run) -> str | None:
    """Poses before resampling: mean, spread, shape, and independence between particles, steps and coordinates."""
    smallest = 1.0
    for source, numbers in _standardised(run):
        for what, p_value in normal_tests(numbers):
            smallest = min(smallest, p_value)
            if not p_value >= P_VALUE_LIMIT:
                return (
                    f"poses drawn from {source} do not follow it: {what}, p = {p_value:.1e} (limit {P_VALUE_LIMIT:.0e})"
                )
    run.diagnostics["proposal_p_value"] = smallest
    return None


def _standardised(run: Run) -> Iterator[tuple[str, np.ndarray]]:
    """Name of a source and its draws as standard normal numbers, (steps, particles, 3)."""
    proposed, (means, sds) = run.proposed(), run.expected()
    if run.method not in ("grid_proposal", "locally_optimal"):
        yield "the motion", (proposed - means) / sds
        return
    yield "the first pose's prior", ((proposed - means) / sds)[:1]
    if run.method == "grid_proposal":
        sd = run.problem.truth["grid"].proposal_sd * np.array([1.0, 1.0, 0.5])
        yield "the arg-max proposal", (proposed[1:] - run.outputs["centre"][1:]) / sd
        return
    truth, poses = run.problem.truth, run.poses()
    uniforms = [
        truth["grid"].locally_optimal_uniforms(
            truth["model"], proposed[step, index], poses[step - 1, index], run.log_density(step, index)
        )
        for step, index in zip(*run.chosen(), strict=True)
        if step > 0
    ]
    # Infinite where float64 has no number left: such a draw is beyond eight standard deviations.
    yield "the locally optimal proposal", special.ndtri(np.reshape(uniforms, (1, -1, 3)))


def normal_tests(numbers: np.ndarray) -> Iterator[tuple[str, float]]:
    """Exact tests that numbers (steps, particles, 3) are independent and standard normal, by name, with p-values."""
    for index, name in enumerate(POSE):
        own = numbers[..., index].ravel()
        n = own.size
        if n == 0:
            continue
        yield f"mean of {name}", 2 * special.ndtr(-abs(own.sum()) / np.sqrt(n))
        total = (own**2).sum()
        chance = 2 * min(stats.chi2.cdf(total, n), stats.chi2.sf(total, n))
        yield f"{name} spreads {np.sqrt(total / n):.3f} times as wide as it should", chance
        some = own[:: -(-n // MOST_SORTED)]
        yield f"shape of {name}", float(stats.kstest(some, "norm").pvalue)
        half = numbers.shape[1] // 2
        whole = numbers[:, : 2 * half, index]
        yield f"{name} of neighbouring particles", _pairs(whole[:, ::2], whole[:, 1::2])
        yield f"{name} of both halves of the particles", _pairs(whole[:, :half], whole[:, half:])
        even = numbers[: len(numbers) // 2 * 2, :, index]
        yield f"{name} of neighbouring steps", _pairs(even[::2], even[1::2])
        yield f"{name} and {POSE[index - 1]}", _pairs(numbers[..., index], numbers[..., index - 1])


def _pairs(first: np.ndarray, second: np.ndarray) -> float:
    """P-value of disjoint pairs: given the first ones, sum(first * second) ~ N(0, sum(first^2)) if independent."""
    scale = np.sqrt((first**2).sum())
    return float(2 * special.ndtr(-abs((first * second).sum()) / scale)) if scale > 0 else 1.0


def check_resampling(run: Run) -> str | None:
    """When particles are resampled, which ones are, and where they then are.

    Ancestors are independent draws by weight. Ordered by weight, the distribution function at an ancestor, uniform
    inside of its step, is a uniform number.
    """
    out, n_particles = run.outputs, run.shape[2]
    log_weights, ancestors = out["diagnostic_weights"].astype(np.float64), out["ancestors"]
    effective = np.exp(-special.logsumexp(2 * log_weights, axis=1))
    threshold = np.floor(RESAMPLED_BELOW * n_particles)
    before = np.concatenate([[0.0], out["log_marginal_estimate"][:-1]])
    is_resampled, is_due = out["log_marginal_estimate"] != before, effective < threshold
    is_clear = np.abs(effective - threshold) > 1e-3 * n_particles
    for step in np.flatnonzero((is_resampled != is_due) & is_clear)[:1]:
        was = "was" if is_resampled[step] else "was not"
        return (
            f"step {step} {was} resampled; its effective sample size is {effective[step]:.3g}, and resampling is due "
            f"below {threshold:.0f}"
        )
    start = np.take_along_axis(run.proposed(), ancestors[..., None], axis=1)
    end = out["moved"][:, -1] if "moved" in out else start
    if not np.array_equal(run.poses(), end):
        return "particles are not where their ancestors, and the moves since then, have brought them"
    uniforms, random = [], run.random()
    for step in np.flatnonzero(is_resampled):
        order = np.argsort(-log_weights[step], kind="stable")
        weights = np.exp(log_weights[step][order])
        rank = np.argsort(order)[ancestors[step]]
        uniforms.append(np.cumsum(weights)[rank] - weights[rank] * random.random(n_particles))
    p_value = float(stats.kstest(np.concatenate(uniforms), "uniform").pvalue) if uniforms else 1.0
    run.diagnostics["resampling_p_value"] = p_value
    run.diagnostics["resampled_steps"] = float(is_resampled.sum())
    if not p_value >= P_VALUE_LIMIT:
        return f"ancestors are not drawn by weight: p = {p_value:.1e} (limit {P_VALUE_LIMIT:.0e})"
    return None
