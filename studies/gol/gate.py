"""The gate of the Game of Life run backwards: it proves a sampler right from its outputs.

Nothing is assumed of how the boards were drawn but the order of the classes: cells (a + 3 i, b + 3 j), for
(a, b) = (0, 0), (0, 1), ... (2, 2). From the boards before and after one sweep the exact conditional of every draw
follows, because the cells of earlier classes have their new values and those of later classes their old ones.
"""

from typing import Any

import numpy as np
from scipy import stats

from studies.base import Problem, Verdict
from studies.gol import posterior
from studies.gol.accuracy import band

STANDARD_ERRORS = 6.0
"""Bounds hold with probability at least 1 - 2 exp(-STANDARD_ERRORS^2 / 2) = 1 - 3e-8 each."""

SEVERAL_CHAINS = ("accuracy", "known_predecessor", "unknown_softness")
"""Tasks whose outputs begin with an axis of `n_chains` chains, each like that of "reconstruction"."""

TASKS = ("reconstruction", *SEVERAL_CHAINS, "sweeps")

LIKELIHOOD_TOLERANCE = 1e-4
P_VALUE_LIMIT = 1e-7


def check(task: str, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    """Judge one sampler's outputs in float64, from its boards alone.

    In order: names, shapes and types; errors and log likelihoods recomputed from every kept board, and consistent in
    every sweep; the first board against its prior; the last sweep against the exact conditionals; draws of neighbours
    in a class uncorrelated; the softness, if it is inferred, against its exact conditional; the accuracy within the
    band that several seeds span, where one is known (`accuracy.band`).

    Args:
        task: one of `TASKS`; of "sweeps" only the types and the last sweep are judged.
        problem: what `make_problem` returned.
        parameters: the cell's parameters.
        outputs: see `models/genjax.py`.
    """
    if task not in TASKS:
        raise ValueError(f"gol.check got task {task!r}. The study's tasks are: {', '.join(TASKS)}.")
    if task not in SEVERAL_CHAINS:
        return _check_one(task == "sweeps", problem, parameters, outputs)
    for name, array in outputs.items():
        if array.shape[:1] != (parameters["n_chains"],):
            return Verdict(
                f"{name} has shape {array.shape}; the first axis should be the {parameters['n_chains']} chains"
            )
    verdicts = []
    for chain in range(parameters["n_chains"]):
        verdict = _check_one(False, problem, parameters, {name: array[chain] for name, array in outputs.items()})
        if verdict.reason is not None:
            return Verdict(f"chain {chain}: {verdict.reason}", verdict.diagnostics)
        verdicts.append(verdict.diagnostics)
    if len({board.tobytes() for board in outputs["final"]}) < len(verdicts) and outputs["final"][0].size > 64:
        return Verdict("two chains end in the same board", {})
    diagnostics = {name: float(np.mean([one[name] for one in verdicts])) for name in verdicts[0]}
    accuracies = [one["accuracy"] for one in verdicts]
    return Verdict(None, diagnostics | {"lowest_accuracy": min(accuracies), "highest_accuracy": max(accuracies)})


def _check_one(is_bare: bool, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]) -> Verdict:
    diagnostics: dict[str, float] = {}
    of_chains = (
        _check_summaries,
        _check_likelihoods,
        _check_start,
        _check_last_sweep,
        _check_softness,
        _check_accuracy,
    )
    reason = _check_form(is_bare, problem, parameters, outputs)
    for step in (_check_last_sweep,) if is_bare else of_chains:
        if reason is None:
            reason = step(problem, parameters, outputs, diagnostics)
    return Verdict(reason, diagnostics)


def _check_form(
    is_bare: bool, problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray]
) -> str | None:
    board, n_summaries = problem.data["target"].shape, (parameters["n_sweeps"] + 1,)
    expected = {"previous": (board, "b"), "final": (board, "b")}
    if not is_bare:
        expected["frames"] = ((len(problem.truth["frame_sweeps"]), *board), "b")
        expected |= {
            "log_likelihoods": (n_summaries, "f"),
            "errors": (n_summaries, "iu"),
            "softness": (n_summaries, "f"),
        }
    for name, (shape, kinds) in expected.items():
        if name not in outputs:
            return f"outputs lack {name!r}: got {sorted(outputs)}"
        if outputs[name].shape != shape:
            return f"{name} has shape {outputs[name].shape}, expected {shape}"
        if outputs[name].dtype.kind not in kinds:
            return f"{name} has dtype {outputs[name].dtype}, expected kind {' or '.join(kinds)}"
    return None


def _check_summaries(problem: Problem, parameters: dict, outputs: dict, diagnostics: dict) -> str | None:
    target = problem.data["target"]
    boards = [*zip(problem.truth["frame_sweeps"], outputs["frames"], strict=True), (-1, outputs["final"])]
    for sweep, board in boards:
        errors = posterior.n_errors(board, target)
        if errors != outputs["errors"][sweep]:
            return f"errors[{sweep}] is {outputs['errors'][sweep]}, but the board kept at that sweep has {errors}"
    errors = posterior.n_errors(outputs["final"], target)
    softness = float(outputs["softness"][-1])
    diagnostics["errors"] = float(errors)
    diagnostics["accuracy"] = 1 - errors / target.size
    diagnostics["log_likelihood"] = float(posterior.log_likelihood(errors, target.size, softness))
    diagnostics["log_joint"] = posterior.log_joint(outputs["final"], target, softness)
    diagnostics["distinct_boards"] = float(len({board.tobytes() for _, board in boards[:-1]}))
    if "predecessor" in problem.truth:
        diagnostics["predecessor_agreement"] = float(np.mean(outputs["final"] == problem.truth["predecessor"]))
        diagnostics["predecessor_errors"] = float(problem.truth["predecessor_errors"])
    return None


def _check_likelihoods(problem: Problem, parameters: dict, outputs: dict, diagnostics: dict) -> str | None:
    expected = posterior.log_likelihood(outputs["errors"], problem.data["target"].size, outputs["softness"])
    difference = np.abs(outputs["log_likelihoods"] - expected) / np.maximum(1.0, np.abs(expected))
    diagnostics["log_likelihood_relative_error"] = float(difference.max())
    if not difference.max() <= LIKELIHOOD_TOLERANCE:
        return (
            f"log_likelihoods differ from log p(target | board) by {difference.max():.1e} relative "
            f"(limit {LIKELIHOOD_TOLERANCE:.0e})"
        )
    return None


def _check_start(problem: Problem, parameters: dict, outputs: dict, diagnostics: dict) -> str | None:
    first = outputs["frames"][0].astype(np.float64) - 0.5
    sums = {
        "density": (first.sum(), 0.25 * first.size, 0.5),
        "correlation": (4 * (first[1:] * first[:-1]).sum(), first[1:].size, 1.0),
    }
    for name, (total, variance, largest) in sums.items():
        if not abs(total) <= bound(variance, largest):
            return f"the {name} of the initial board is not that of independent Bernoulli(1/2) cells"
    return None


def _check_last_sweep(problem: Problem, parameters: dict, outputs: dict, diagnostics: dict) -> str | None:
    previous, final, target = outputs["previous"], outputs["final"], problem.data["target"]
    if parameters["n_sweeps"] == 1:
        before = outputs["frames"][0] if "frames" in outputs else problem.data["initial"]
        if not np.array_equal(previous, before):
            return "previous is not the board from which the only sweep began"
    # The softness that the last sweep used is that of the sweep before.
    softness = float(outputs["softness"][-2] if "softness" in outputs else parameters["softness"])
    residuals, variances, gained = sweep_residuals(previous, final, target, softness)
    classes = 3 * (np.arange(target.shape[0]) % 3)[:, None] + np.arange(target.shape[1]) % 3
    sums = []
    for gain in range(-9, 10):
        chosen = gained == gain
        what = f"of {chosen.sum()} cells for which living agrees with {gain:+d} more next cells, the number alive"
        sums.append((what, residuals[chosen], variances[chosen]))
        # Draws that are shared within a class show in its own sum.
        for index in range(9):
            inside = chosen & (classes == index)
            sums.append((f"{what} in class {index}", residuals[inside], variances[inside]))
    # A chain that stands still at a likely board has the right number alive, but too few cells that changed.
    sums.append(("the number of cells that changed", np.where(previous, -residuals, residuals), variances))
    sums.append(
        ("the product of neighbours in a class", residuals[:-3] * residuals[3:], variances[:-3] * variances[3:])
    )
    sums.append(
        (
            "the product of neighbours in a class",
            residuals[:, :-3] * residuals[:, 3:],
            variances[:, :-3] * variances[:, 3:],
        )
    )
    largest = 0.0
    for what, differences, their_variances in sums:
        total, limit = differences.sum(), bound(their_variances.sum())
        largest = max(largest, abs(total) / limit)
        if not abs(total) <= limit:
            return f"last sweep, {what} is {total:+.1f} off what the exact conditionals say (limit {limit:.1f})"
    diagnostics["largest_deviation_of_last_sweep"] = float(largest)
    diagnostics["changed_fraction_of_last_sweep"] = float(np.mean(previous != final))
    return None


def sweep_residuals(
    previous: np.ndarray, final: np.ndarray, target: np.ndarray, softness: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of one sweep less their exact conditional probabilities p, p (1 - p), and the gained agreements; (H, W)."""
    board = previous.copy()
    gained = np.zeros(board.shape, np.int64)
    for row in range(3):
        for column in range(3):
            gained[row::3, column::3] = posterior.gained_agreements(board, target, row, column)
            board[row::3, column::3] = final[row::3, column::3]
    probability = 1 / (1 + np.exp(-gained * (np.log1p(-softness) - np.log(softness))))
    return final - probability, probability * (1 - probability), gained


def bound(variance: float, largest: float = 1.0) -> float:
    """What the sum of martingale differences below `largest` with this variance exceeds with probability <= 3e-8.

    Solves t^2 / (2 (variance + largest t / 3)) = STANDARD_ERRORS^2 / 2 (Bernstein, Freedman).
    """
    k = STANDARD_ERRORS**2
    return k * largest / 6 + float(np.sqrt((k * largest / 6) ** 2 + k * variance))


def _check_softness(problem: Problem, parameters: dict, outputs: dict, diagnostics: dict) -> str | None:
    softness, prior = outputs["softness"].astype(np.float64), parameters["softness_prior"]
    diagnostics["softness"] = float(softness[-1])
    if prior is None:
        if not np.allclose(softness, parameters["softness"], rtol=1e-6):
            return f"softness should be {parameters['softness']} throughout, and ranges to {softness.max():.6g}"
        return None
    errors = outputs["errors"][1:]
    n_cells = problem.data["target"].size
    uniforms = stats.beta.cdf(softness[1:], prior[0] + errors, prior[1] + n_cells - errors)
    p_value = float(stats.kstest(uniforms, "uniform").pvalue)
    diagnostics["softness_p_value"] = p_value
    if not p_value >= P_VALUE_LIMIT:
        return (
            f"softness does not follow its conditional Beta distribution: p = {p_value:.1e} (limit {P_VALUE_LIMIT:.0e})"
        )
    return None


def _check_accuracy(problem: Problem, parameters: dict, outputs: dict, diagnostics: dict) -> str | None:
    limits = band(parameters)
    if limits is None:
        return None
    low, high = limits
    diagnostics["accuracy_low"], diagnostics["accuracy_high"] = low, high
    if not low <= diagnostics["accuracy"] <= high:
        return (
            f"accuracy is {diagnostics['accuracy']:.4f}, outside of the band of several seeds [{low:.4f}, {high:.4f}]"
        )
    return None
