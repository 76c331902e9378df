"""A chromatic Gibbs sampler in NumPy, right or with one fault, whose outputs the gate must tell apart."""

import numpy as np

from studies.gol import posterior

FAULTS = ("tempered", "one_draw_for_all", "all_at_once", "transposed_edge", "frozen", "children_forgotten")
"""Half the log odds; one uniform per class; no colour classes; the in-range check of rows and columns exchanged, as in
the published artifact; no move at all; only the cell's own next state counts."""


def sweep(board, target, softness, random, fault=None):
    """The board after one sweep."""
    if fault == "frozen":
        return board.copy()
    board, start = board.copy(), board.copy()
    scale = np.log1p(-softness) - np.log(softness)
    for row, column in np.ndindex(3, 3):
        seen = start if fault == "all_at_once" else board
        gained = posterior.gained_agreements(seen, target, row, column)
        if fault == "children_forgotten":
            alive, dead = board.copy(), board.copy()
            alive[row::3, column::3], dead[row::3, column::3] = True, False
            agreements = [posterior.next_board(one) == target for one in (alive, dead)]
            gained = (agreements[0].astype(int) - agreements[1])[row::3, column::3]
        if fault == "transposed_edge":
            gained = gained * (np.arange(board.shape[1])[column::3] < board.shape[0] - 1)
        odds = gained * scale * (0.5 if fault == "tempered" else 1.0)
        uniforms = random.random(odds.shape) if fault != "one_draw_for_all" else np.full(odds.shape, random.random())
        board[row::3, column::3] = uniforms < 1 / (1 + np.exp(-odds))
    return board


def run(problem, parameters, seed, fault=None):
    """Outputs as those of the task "reconstruction"."""
    random = np.random.default_rng(seed)
    target, prior = problem.data["target"], parameters["softness_prior"]
    softness = parameters["softness"] if prior is None else random.beta(*prior)
    boards, softnesses = [random.random(target.shape) < 0.5], [softness]
    for index in range(parameters["n_sweeps"]):
        is_last = index == parameters["n_sweeps"] - 1
        boards.append(sweep(boards[-1], target, softness, random, fault if is_last else None))
        if prior is not None:
            errors = posterior.n_errors(boards[-1], target)
            softness = random.beta(prior[0] + errors, prior[1] + target.size - errors)
        softnesses.append(softness)
    errors = np.array([posterior.n_errors(board, target) for board in boards], np.int32)
    return {
        "errors": errors,
        "softness": np.array(softnesses, np.float32),
        "log_likelihoods": posterior.log_likelihood(errors, target.size, softnesses).astype(np.float32),
        "frames": np.array([boards[sweep] for sweep in problem.truth["frame_sweeps"]]),
        "previous": boards[-2],
        "final": boards[-1],
        "corner": np.array([corner(board) for board in boards[1:]]),
    }


def corner(board):
    """The corner of a board, at most 48 by 48, as its classes, each padded with dead cells to one shape."""
    part = board[:48, :48]
    padded = np.pad(part, [(0, -side % 3) for side in part.shape])
    return padded.reshape(len(padded) // 3, 3, -1, 3).transpose(1, 3, 0, 2)
