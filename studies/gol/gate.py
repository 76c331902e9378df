"""The gate of the Game of Life run backwards: it proves a sampler right from its outputs.

A program returns the whole board before and after its last sweep, and a corner of at most 48 by 48 cells after every
sweep. All of their draws are compared with the exact conditionals: sums of residuals against any fault
(`residuals.py`), likelihood ratios against named ones (`evidence.py`). A program that makes fewer sweeps than it was
told cannot return the corners.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem, Verdict
from studies.gol import evidence, posterior, residuals
from studies.gol.accuracy import band, band_of_sweeps

SEVERAL_CHAINS = ("accuracy", "known_predecessor", "unknown_softness")
"""Tasks whose outputs begin with an axis of `n_chains` chains, each like that of "reconstruction"."""

TASKS = ("reconstruction", "reconstruction_one_core", *SEVERAL_CHAINS, "sweeps")

CORNER = 16
"""Rows and columns of each class that the corner has, at most."""

LIKELIHOOD_TOLERANCE = 1e-4
P_VALUE_LIMIT = 1e-7


@dataclass
class Chain:
    """One chain's outputs, and what the checks find on the way."""

    problem: Problem
    parameters: dict[str, Any]
    outputs: dict[str, np.ndarray]
    is_bare: bool
    diagnostics: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)

    @property
    def target(self) -> np.ndarray:
        """(H, W) bool."""
        return self.problem.data["target"]

    @property
    def initial(self) -> np.ndarray:
        """The board before the first sweep: of "sweeps" it is given."""
        return self.problem.data["initial"] if self.is_bare else self.outputs["frames"][0]


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """Judge samplers' outputs in float64, from their boards alone.

    In order, for each chain: names, shapes and types; errors and log likelihoods recomputed from every kept board, and
    consistent in every sweep; the first board against its prior; the softness, if it is inferred, against its exact
    conditional; kept boards and corners as parts of one chain; the last sweep and the corner's sweeps against the exact
    conditionals; draws of neighbours in a class uncorrelated; the accuracy within the band that several seeds span,
    where one is known (`accuracy.band`). Then, for all chains together, the likelihood ratios of named faults.

    Args:
        task: one of `TASKS`; of "sweeps" the outputs are boards alone, and those of several calls may be stacked.
        problem: what `make_problem` returned.
        parameters: the cell's parameters.
        outputs: see `models/genjax.py`.
    """
    if task not in TASKS:
        raise ValueError(f"gol.check got task {task!r}. The study's tasks are: {', '.join(TASKS)}.")
    is_bare, n_chains = task == "sweeps", None
    if task in SEVERAL_CHAINS:
        n_chains = parameters["n_chains"]
    elif is_bare and "final" in outputs and outputs["final"].ndim == 3:
        n_chains = len(outputs["final"])
    if n_chains is None:
        chain = Chain(problem, parameters, outputs, is_bare)
        return _verdict([chain], _reason(chain))
    for name, array in outputs.items():
        if array.shape[:1] != (n_chains,):
            return Verdict(f"{name} has shape {array.shape}; the first axis should be the {n_chains} chains")
    chains = []
    for index in range(n_chains):
        one = {name: array[index] for name, array in outputs.items()}
        chains.append(Chain(problem, parameters, one, is_bare))
        reason = _reason(chains[-1])
        if reason is not None:
            return Verdict(f"chain {index}: {reason}", chains[-1].diagnostics)
    if len({board.tobytes() for board in outputs["final"]}) < n_chains and outputs["final"][0].size > 64:
        return Verdict("two chains end in the same board", {})
    return _verdict(chains, None)


def _verdict(chains: list[Chain], reason: str | None) -> Verdict:
    """The verdict of all chains: means of their diagnostics, and the ratios of all their draws."""
    first, *rest = chains
    if reason is not None:
        return Verdict(reason, first.diagnostics)
    diagnostics = {name: float(np.mean([chain.diagnostics[name] for chain in chains])) for name in first.diagnostics}
    if rest and not first.is_bare:
        accuracies = [chain.diagnostics["accuracy"] for chain in chains]
        diagnostics |= {"lowest_accuracy": min(accuracies), "highest_accuracy": max(accuracies)}
    ratios = first.ratios
    for chain in rest:
        ratios = evidence.add(ratios, chain.ratios)
    diagnostics["log_ratio_of_faults"], reason = evidence.verdict(ratios)
    if reason is None and first.is_bare:
        reason = _outside(diagnostics["accuracy"], band_of_sweeps(first.parameters, len(chains)))
    return Verdict(reason, diagnostics)


def _reason(chain: Chain) -> str | None:
    """Why one chain is wrong by itself, or None."""
    steps = [_check_form, _check_parts, _check_sweeps, _check_accuracy]
    if not chain.is_bare:
        steps = [_check_form, _check_summaries, _check_likelihoods, _check_start, _check_softness, _check_parts,
                 _check_sweeps, _check_accuracy]  # fmt: skip
    return next((reason for step in steps if (reason := step(chain)) is not None), None)


def _check_form(chain: Chain) -> str | None:
    board, n_sweeps, outputs = chain.target.shape, chain.parameters["n_sweeps"], chain.outputs
    corner = (n_sweeps, 3, 3, *(min(CORNER, -(-side // 3)) for side in board))
    expected = {"previous": (board, "b"), "final": (board, "b"), "corner": (corner, "b")}
    if not chain.is_bare:
        expected["frames"] = ((len(chain.problem.truth["frame_sweeps"]), *board), "b")
        expected |= {"log_likelihoods": ((n_sweeps + 1,), "f"), "errors": ((n_sweeps + 1,), "iu")}
        expected |= {"softness": ((n_sweeps + 1,), "f")}
    for name, (shape, kinds) in expected.items():
        if name not in outputs:
            return f"outputs lack {name!r}: got {sorted(outputs)}"
        if outputs[name].shape != shape:
            return f"{name} has shape {outputs[name].shape}, expected {shape}"
        if outputs[name].dtype.kind not in kinds:
            return f"{name} has dtype {outputs[name].dtype}, expected kind {' or '.join(kinds)}"
    return None


def _check_summaries(chain: Chain) -> str | None:
    target, outputs, truth = chain.target, chain.outputs, chain.problem.truth
    boards = [*zip(truth["frame_sweeps"], outputs["frames"], strict=True), (-1, outputs["final"])]
    for sweep, board in boards:
        errors = posterior.n_errors(board, target)
        if errors != outputs["errors"][sweep]:
            return f"errors[{sweep}] is {outputs['errors'][sweep]}, but the board kept at that sweep has {errors}"
    errors = posterior.n_errors(outputs["final"], target)
    softness = float(outputs["softness"][-1])
    chain.diagnostics["errors"] = float(errors)
    chain.diagnostics["log_likelihood"] = float(posterior.log_likelihood(errors, target.size, softness))
    chain.diagnostics["log_joint"] = posterior.log_joint(outputs["final"], target, softness)
    chain.diagnostics["distinct_boards"] = float(len({board.tobytes() for _, board in boards[:-1]}))
    if "predecessor" in truth:
        chain.diagnostics["predecessor_agreement"] = float(np.mean(outputs["final"] == truth["predecessor"]))
        chain.diagnostics["predecessor_errors"] = float(truth["predecessor_errors"])
    return None


def _check_likelihoods(chain: Chain) -> str | None:
    outputs = chain.outputs
    expected = posterior.log_likelihood(outputs["errors"], chain.target.size, outputs["softness"])
    difference = np.abs(outputs["log_likelihoods"] - expected) / np.maximum(1.0, np.abs(expected))
    chain.diagnostics["log_likelihood_relative_error"] = float(difference.max())
    if not difference.max() <= LIKELIHOOD_TOLERANCE:
        return (
            f"log_likelihoods differ from log p(target | board) by {difference.max():.1e} relative "
            f"(limit {LIKELIHOOD_TOLERANCE:.0e})"
        )
    return None


def _check_start(chain: Chain) -> str | None:
    first = chain.initial.astype(np.float64) - 0.5
    sums = {
        "density": (first.sum(), 0.25 * first.size, 0.5),
        "correlation": (4 * (first[1:] * first[:-1]).sum(), first[1:].size, 1.0),
    }
    for name, (total, variance, largest) in sums.items():
        if not abs(total) <= residuals.bound(variance, largest):
            return f"the {name} of the initial board is not that of independent Bernoulli(1/2) cells"
    return None


def _check_parts(chain: Chain) -> str | None:
    """Whole boards and corners are of one chain that makes the sweeps it was told."""
    outputs, n_sweeps = chain.outputs, chain.parameters["n_sweeps"]
    corners = _corners(chain)
    kept = [("previous", n_sweeps - 1, outputs["previous"]), ("final", n_sweeps, outputs["final"])]
    if not chain.is_bare:
        kept += [("frames", *pair) for pair in zip(chain.problem.truth["frame_sweeps"], outputs["frames"], strict=True)]
    for name, sweep, board in kept:
        if not np.array_equal(board[: corners.shape[1], : corners.shape[2]], corners[sweep]):
            return f"{name} should be the board after {sweep} sweeps, but its corner then was another"
    if n_sweeps == 1 and not np.array_equal(outputs["previous"], chain.initial):
        return "previous is not the board from which the only sweep began"
    return None


def _check_sweeps(chain: Chain) -> str | None:
    """The last sweep over the whole board and all sweeps over its corner, against the exact conditionals."""
    outputs, target, n_sweeps = chain.outputs, chain.target, chain.parameters["n_sweeps"]
    corners = _corners(chain)
    rows, columns = corners.shape[1:]
    # The surroundings of the last two rows and columns are not in the corner, unless the board ends there.
    inside = np.ones((rows, columns), bool)
    inside[rows - 2 if rows < target.shape[0] else rows :] = False
    inside[:, columns - 2 if columns < target.shape[1] else columns :] = False
    # A sweep uses the softness that the one before left behind.
    softness = np.full(n_sweeps, chain.parameters["softness"]) if chain.is_bare else outputs["softness"][:-1]
    last = evidence.draws_of(np.stack([outputs["previous"], outputs["final"]]), target, softness[-1:])
    swept = evidence.draws_of(corners, target[:rows, :columns], softness, inside)
    chain.diagnostics["changed_fraction_of_last_sweep"] = float(np.mean(outputs["previous"] != outputs["final"]))
    for what, name, draws in (("last sweep", "last_sweep", last), ("corner, all sweeps", "corner", swept)):
        chain.diagnostics[f"largest_deviation_of_{name}"], reason = residuals.largest_deviation(draws)
        if reason is not None:
            return f"{what}, {reason}"
    # Draws of the last sweep that the corner has too count once.
    outside = np.ones(target.shape, bool)
    outside[:rows, :columns] = ~inside
    chain.ratios = evidence.add(
        evidence.log_ratios(swept, range(1, n_sweeps + 1)),
        evidence.log_ratios(last._replace(is_judged=outside), [n_sweeps]),
    )
    return None


def _corners(chain: Chain) -> np.ndarray:
    """(n_sweeps + 1, R, C), the corner of the board at first and after every sweep.

    The program returns its classes: `corner[k, a, b, i, j]` is cell (3 i + a, 3 j + b).
    """
    classes, board = chain.outputs["corner"], chain.target.shape
    n_sweeps, _, _, rows, columns = classes.shape
    joined = classes.transpose(0, 3, 1, 4, 2).reshape(n_sweeps, 3 * rows, 3 * columns)[:, : board[0], : board[1]]
    return np.concatenate([chain.initial[None, : joined.shape[1], : joined.shape[2]], joined])


def _check_softness(chain: Chain) -> str | None:
    softness, parameters = chain.outputs["softness"].astype(np.float64), chain.parameters
    prior = parameters["softness_prior"]
    chain.diagnostics["softness"] = float(softness[-1])
    if prior is None:
        if not np.allclose(softness, parameters["softness"], rtol=1e-6):
            return f"softness should be {parameters['softness']} throughout, and ranges to {softness.max():.6g}"
        return None
    errors, n_cells = chain.outputs["errors"][1:], chain.target.size
    uniforms = stats.beta.cdf(softness[1:], prior[0] + errors, prior[1] + n_cells - errors)
    p_value = float(stats.kstest(uniforms, "uniform").pvalue)
    chain.diagnostics["softness_p_value"] = p_value
    if not p_value >= P_VALUE_LIMIT:
        return (
            f"softness does not follow its conditional Beta distribution: p = {p_value:.1e} (limit {P_VALUE_LIMIT:.0e})"
        )
    return None


def _check_accuracy(chain: Chain) -> str | None:
    accuracy = 1 - posterior.n_errors(chain.outputs["final"], chain.target) / chain.target.size
    chain.diagnostics["accuracy"] = accuracy
    limits = None if chain.is_bare else band(chain.parameters)
    if limits is not None:
        chain.diagnostics["accuracy_low"], chain.diagnostics["accuracy_high"] = limits
    return _outside(accuracy, limits)


def _outside(accuracy: float, limits: tuple[float, float] | None) -> str | None:
    if limits is None or limits[0] <= accuracy <= limits[1]:
        return None
    return f"accuracy is {accuracy:.4f}, outside of the band of several seeds [{limits[0]:.4f}, {limits[1]:.4f}]"
