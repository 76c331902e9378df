"""The exact model in float64: log densities, conditionals of single cells, and the posterior of tiny boards.

x is a board, (H, W) bool, and y the observed next board. p(x) = 2^-HW; y differs from what the rule says of x in each
cell with probability epsilon, the softness. With E errors, log p(y | x) = (HW - E) log(1 - epsilon) + E log(epsilon).
"""

import numpy as np
from scipy import special

from studies.gol.rule import next_board

MAX_ENUMERATED_CELLS = 16


def n_errors(board: np.ndarray, target: np.ndarray) -> int:
    """In how many cells the board's successor differs from the target."""
    return int(np.sum(next_board(board) != target))


def log_likelihood(errors: np.ndarray | int, n_cells: int, softness: np.ndarray | float) -> np.ndarray:
    """log p(y | x, softness) in nats, elementwise over arrays of errors and softnesses."""
    errors, softness = np.asarray(errors, np.float64), np.asarray(softness, np.float64)
    return (n_cells - errors) * np.log1p(-softness) + errors * np.log(softness)


def log_joint(board: np.ndarray, target: np.ndarray, softness: float) -> float:
    """log p(x, y | softness) in nats."""
    return float(log_likelihood(n_errors(board, target), board.size, softness) - board.size * np.log(2))


def log_odds_brute_force(board: np.ndarray, target: np.ndarray, softness: float) -> np.ndarray:
    """log p(x_ij = 1 | rest, y) - log p(x_ij = 0 | rest, y) of every cell, from two whole joint densities each."""
    odds = np.empty(board.shape)
    for index in np.ndindex(board.shape):
        alive, dead = board.copy(), board.copy()
        alive[index], dead[index] = True, False
        odds[index] = log_joint(alive, target, softness) - log_joint(dead, target, softness)
    return odds


def gained_agreements(board: np.ndarray, target: np.ndarray, row: int, column: int) -> np.ndarray:
    """How many more next cells agree with the target if a cell is alive, for the cells of one colour class.

    Args:
        row, column: the class: cells (row + 3 i, column + 3 j).

    Returns:
        Integers from -9 to 9, one per cell of the class; their product with log((1 - epsilon) / epsilon) is the log
        odds of the cell given all others.
    """
    height, width = board.shape
    agreements = []
    for value in (True, False):
        supposed = board.copy()
        supposed[row::3, column::3] = value
        padded = np.pad((next_board(supposed) == target).astype(np.int64), 1)
        rows = padded[:-2] + padded[1:-1] + padded[2:]
        around = rows[:, :width] + rows[:, 1 : width + 1] + rows[:, 2:]
        agreements.append(around[row::3, column::3])
    return agreements[0] - agreements[1]


def enumerate_posterior(
    target: np.ndarray, softness: float | None = None, prior: tuple[float, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Every board and its exact posterior probability.

    Args:
        target: (H, W) bool with at most `MAX_ENUMERATED_CELLS` cells.
        softness: the known softness; or
        prior: the parameters of its Beta prior, over which it is integrated:
            p(x, y) = 2^-HW B(a + E, b + HW - E) / B(a, b).

    Returns:
        Boards (2^HW, H, W) bool and probabilities (2^HW,); board k has the bits of k, lowest first, in row-major order.
    """
    if target.size > MAX_ENUMERATED_CELLS:
        raise ValueError(f"enumerate_posterior got {target.size} cells. It can do at most {MAX_ENUMERATED_CELLS}.")
    codes = np.arange(2**target.size)
    boards = ((codes[:, None] >> np.arange(target.size)) & 1).astype(bool).reshape(-1, *target.shape)
    errors = np.array([n_errors(board, target) for board in boards])
    if softness is not None and prior is None:
        log_weights = log_likelihood(errors, target.size, softness)
    elif prior is not None and softness is None:
        log_weights = special.betaln(prior[0] + errors, prior[1] + target.size - errors)
    else:
        raise ValueError("enumerate_posterior needs either the softness or its prior.")
    return boards, special.softmax(log_weights)
