"""How much likelier boards are under a named fault than under the sampler that was asked for: test martingales.

Let p be the exact probability, given everything drawn before, that a right sampler draws a cell as it was drawn, and q
the same probability under a fault. The product of q / p over all draws of all sweeps has expectation 1 under a right
sampler, whatever the board, and so has any weighted mean of such products over faults. By Markov's inequality a right
sampler exceeds 1 / `FALSE_ALARM` with probability at most `FALSE_ALARM`, exactly, at every size; and by Neyman and
Pearson's lemma no test tells these faults apart from fewer draws. Ratios of independent calls are multiplied.

Source: Shafer, "Testing by betting" (JRSS A 2021), sections 2 and 3.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import special

FALSE_ALARM = 1e-4
"""Highest probability with which a right cell is refused by these ratios, all of its calls and chains together."""

SCALES = (0.0, 0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25, 2.0)
"""What the log odds may have been multiplied by. 0.95 and 1.05 are a softness of 0.036 and of 0.025 instead of 0.03."""

LAZY = 0.9
"""Probability with which a cell whose turn was left out keeps its state."""


class Draws(NamedTuple):
    """The draws of some sweeps over one board or over a corner of it.

    Args:
        before, after: (k, H, W) bool, boards before and after each sweep.
        gained: (k, H, W) int, gained agreements (`posterior.gained_agreements`) when the cell's turn came.
        gained_if_alive_beyond: the same if all cells beyond the edge lived.
        log_odds_of_one: (k,) log((1 - softness) / softness) of each sweep.
        is_judged: (H, W) bool, the cells whose surroundings are known.
    """

    before: np.ndarray
    after: np.ndarray
    gained: np.ndarray
    gained_if_alive_beyond: np.ndarray
    log_odds_of_one: np.ndarray
    is_judged: np.ndarray


def draws_of(
    boards: np.ndarray, target: np.ndarray, softness: np.ndarray | float, is_judged: np.ndarray | None = None
) -> Draws:
    """The draws that lead from each board to the next.

    Args:
        boards: (k + 1, H, W) bool, consecutive boards.
        target: (H, W) bool.
        softness: (k,) or a number, that of each sweep.
        is_judged: (H, W) bool; all cells by default.
    """
    before, after = boards[:-1], boards[1:]
    odds = np.broadcast_to(np.log1p(-np.asarray(softness, np.float64)) - np.log(softness), len(before))
    gains = [gains_of_sweeps(before, after, target, beyond) for beyond in (False, True)]
    judged = np.ones(target.shape, bool) if is_judged is None else is_judged
    return Draws(before, after, gains[0], gains[1], odds, judged)


def gains_of_sweeps(before: np.ndarray, after: np.ndarray, target: np.ndarray, beyond: bool = False) -> np.ndarray:
    """Gained agreements of every cell when its turn came, (k, H, W) int8, for boards (k, H, W) and a target (H, W).

    Classes (a + 3 i, b + 3 j) take turns in the order (0, 0), (0, 1), ... (2, 2). `beyond` is the state of cells
    beyond the edge.
    """
    n, height, width = before.shape
    board = np.full((n, height + 4, width + 4), beyond, np.int8)
    board[:, 2:-2, 2:-2] = before
    wanted = np.zeros((height + 2, width + 2), np.int8)
    wanted[1:-1, 1:-1] = np.where(target, 1, -1)
    gained = np.empty(before.shape, np.int8)
    for row, column in np.ndindex(3, 3):
        around = [[board[:, row + i : row + i + height - row : 3, column + j : column + j + width - column : 3]
                   for j in range(5)] for i in range(5)]  # fmt: skip
        centre, around[2][2] = around[2][2], np.zeros_like(around[2][2])
        triples = [[line[j] + line[j + 1] + line[j + 2] for j in range(3)] for line in around]
        total = np.zeros_like(centre)
        for i, j in np.ndindex(3, 3):
            count, own = triples[i][j] + triples[i + 1][j] + triples[i + 2][j], around[i + 1][j + 1]
            if_dead = (count == 3) | ((count == 4) & (own == 1))
            if_alive = (count == 2) | ((count == 3) & ((own == 1) | (i == j == 1)))
            sign = wanted[row + i : row + i + height - row : 3, column + j : column + j + width - column : 3]
            total += (if_alive.astype(np.int8) - if_dead) * sign
        gained[:, row::3, column::3] = total
        board[:, 2 + row : 2 + height : 3, 2 + column : 2 + width : 3] = after[:, row::3, column::3]
    return gained


class Counts(NamedTuple):
    """How many judged draws there are of each kind; what a sum over draws needs of millions of cells.

    Args:
        n: (k, 19, 9, 2, 2) int, by sweep, gained agreements from -9 to 9, class, state after and state before.
        log_probability: (k, 19, 1, 2, 1) of a cell of this gain to become dead, or alive.
    """

    n: np.ndarray
    log_probability: np.ndarray


SIGNS = np.array([-1.0, 1.0])[:, None]
GAINS = np.arange(-9, 10)


def counts_of(draws: Draws) -> Counts:
    """The draws, counted."""
    n_sweeps, height, width = draws.after.shape
    classes = 3 * (np.arange(height) % 3)[:, None] + np.arange(width) % 3
    sweeps = np.arange(n_sweeps)[:, None, None]
    kinds = ((sweeps * 19 + draws.gained + 9) * 9 + classes) * 4 + 2 * draws.after + draws.before
    n = np.bincount(kinds[:, draws.is_judged].ravel(), minlength=n_sweeps * 19 * 9 * 4)
    return Counts(n.reshape(n_sweeps, 19, 9, 2, 2), _log_probability(draws.log_odds_of_one))


def _log_probability(log_odds_of_one: np.ndarray, scale: float = 1.0) -> np.ndarray:
    odds = scale * log_odds_of_one[:, None, None, None, None] * GAINS[:, None, None, None]
    return special.log_expit(SIGNS * odds)


def log_ratios(draws: Draws, sweeps: Iterable[int]) -> dict[str, float]:
    """Log likelihood ratio of each fault, in nats, over all draws of `sweeps`, the numbers of the draws' sweeps."""
    n, right = counts_of(draws)
    found = {}
    for scale in SCALES:
        wrong = _log_probability(draws.log_odds_of_one, scale)
        found[f"log odds {scale:g} times what the softness says"] = float((n * (wrong - right)).sum())
    at_edge = np.nonzero((draws.gained != draws.gained_if_alive_beyond) & draws.is_judged)
    odds = np.where(draws.after[at_edge], 1.0, -1.0) * draws.log_odds_of_one[at_edge[0]]
    alive, dead = (special.log_expit(odds * gains[at_edge]) for gains in (draws.gained_if_alive_beyond, draws.gained))
    found["living cells beyond the edge"] = float((alive - dead).sum())
    is_kept = np.eye(2)  # state after, state before
    kept = n * np.log(1 - LAZY + LAZY * is_kept / np.exp(right))
    for index, total in enumerate(kept.sum(axis=(0, 1, 3, 4))):
        found[f"cells of class {divmod(index, 3)} left out"] = float(total)
    for sweep, total in zip(sweeps, kept.sum(axis=(1, 2, 3, 4)), strict=True):
        found[f"sweep {sweep} left out"] = float(total)
    return found


def add(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """Ratios of independent draws; a fault that only one of them names is judged by that one."""
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in {**first, **second}}


def verdict(ratios: dict[str, float]) -> tuple[float, str | None]:
    """The log of the mean ratio, and why the draws are refused.

    Half of the weight is on the scales, a quarter on single sweeps, the rest on the others.
    """
    families = list(_families(ratios))
    logs = np.concatenate([np.array(list(family.values())) + np.log(share / len(family)) for share, family in families])
    names = [name for _, family in families for name in family]
    total = float(special.logsumexp(logs))
    if total < -np.log(FALSE_ALARM):
        return total, None
    best = int(np.argmax(logs))
    return total, f"the boards are e^{ratios[names[best]]:.0f} times as likely with {names[best]}"


def _families(ratios: dict[str, float]) -> Iterator[tuple[float, dict[str, float]]]:
    scales = {name: value for name, value in ratios.items() if name.startswith("log odds")}
    sweeps = {name: value for name, value in ratios.items() if name.startswith("sweep")}
    others = {name: value for name, value in ratios.items() if name not in scales and name not in sweeps}
    yield from ((0.5, scales), (0.25, sweeps), (0.25, others))
