"""Likelihood ratios of named faults: exact conditionals, expectation one under a right sampler, and power.

A right sampler is refused with probability 1e-4 at most, by Markov's inequality; the seeds are fixed.
"""

import numpy as np
import pytest

from studies.gol import evidence, posterior
from tests.studies.gol import sampler

SHAPES = [(3, 3), (7, 4), (6, 9), (11, 8)]


def chain(target, n_sweeps, softness, seed, fault=None):
    random = np.random.default_rng(seed)
    boards = [random.random(target.shape) < 0.5]
    for _ in range(n_sweeps):
        boards.append(sampler.sweep(boards[-1], target, softness, random, fault))
    return np.array(boards)


def verdict(boards, target, softness=0.03):
    draws = evidence.draws_of(boards, target, softness)
    return evidence.verdict(evidence.log_ratios(draws, range(1, len(boards))))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beyond", [False, True])
def test_gains_of_sweeps_are_those_of_every_class_in_turn(shape, beyond):
    random = np.random.default_rng(0)
    before, after = (random.random((2, *shape)) < 0.5 for _ in range(2))
    target = random.random(shape) < 0.5
    found = evidence.gains_of_sweeps(before, after, target, beyond)
    # Cells beyond the edge are a rim of three, whose next states are as many on both sides of the difference.
    rim = 3
    for index in range(2):
        board = np.pad(before[index], rim, constant_values=beyond)
        wanted = np.pad(target, rim)
        for row, column in np.ndindex(3, 3):
            expected = np.zeros(shape, int)
            for cell in np.ndindex(shape):
                if (cell[0] % 3, cell[1] % 3) == (row, column):
                    place = (cell[0] + rim, cell[1] + rim)
                    expected[cell] = _gain(board, wanted, place, rim)
                    assert found[index][cell] == expected[cell]
            inside = board[rim:-rim, rim:-rim]
            inside[row::3, column::3] = after[index][row::3, column::3]


def _gain(board, wanted, place, rim):
    agreements = []
    for value in (True, False):
        supposed = board.copy()
        supposed[place] = value
        agrees = posterior.next_board(supposed) == wanted
        agreements.append(agrees[rim:-rim, rim:-rim].sum())
    return agreements[0] - agreements[1]


def test_every_ratio_has_expectation_one_under_a_right_sampler():
    """All 512 boards that one sweep can lead to, weighted by their exact probabilities."""
    random = np.random.default_rng(1)
    target, before = random.random((3, 3)) < 0.5, random.random((3, 3)) < 0.5
    codes = np.arange(512)
    after = ((codes[:, None] >> np.arange(9)) & 1).astype(bool).reshape(-1, 3, 3)
    gained = evidence.gains_of_sweeps(np.broadcast_to(before, after.shape), after, target)
    probabilities = 1 / (1 + np.exp(-np.where(after, 1, -1) * gained * np.log(0.8 / 0.2)))
    probability = probabilities.prod(axis=(1, 2))
    assert probability.sum() == pytest.approx(1)
    ratios = [evidence.log_ratios(evidence.draws_of(np.stack([before, one]), target, 0.2), [1]) for one in after]
    for name in ratios[0]:
        mean = probability @ np.exp([one[name] for one in ratios])
        # A cell that was left out keeps its state with `LAZY`, and is drawn otherwise: a mixture of two densities.
        assert mean == pytest.approx(1), name


def test_the_verdict_is_markovs_inequality():
    total, reason = evidence.verdict({"log odds 0.9 times": 0.0, "sweep 1 left out": 0.0, "living": 0.0})
    assert total == pytest.approx(0) and reason is None
    limit = -np.log(evidence.FALSE_ALARM) + np.log(4)
    low = {"log odds 0.9 times": -50.0, "sweep 1 left out": limit - 0.01, "living": -50.0}
    assert evidence.verdict(low)[1] is None
    high = {**low, "sweep 1 left out": limit + 0.01}
    assert "times as likely with sweep 1 left out" in evidence.verdict(high)[1]
    assert evidence.verdict({**low, "living": np.nan})[1] is not None


def test_right_samplers_pass_and_evidence_adds_up_over_calls():
    target = np.random.default_rng(2).random((32, 32)) < 0.5
    for seed in range(20):
        assert verdict(chain(target, 5, 0.03, seed), target)[1] is None
    one = {"a": 1.0, "b": 2.0}
    assert evidence.add(one, {"b": 0.5, "c": 4.0}) == {"a": 1.0, "b": 2.5, "c": 4.0}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda boards: np.insert(boards, 3, boards[3], axis=0), "sweep 4 left out"),
        (lambda boards: boards[[0, 0, 1, 1, 2, 2]], "left out"),
    ],
)
def test_sweeps_that_do_nothing_are_found(spoil, message):
    target = np.random.default_rng(3).random((12, 12)) < 0.5
    assert message in verdict(spoil(chain(target, 6, 0.03, 4)), target)[1]


@pytest.mark.parametrize(("softness", "scale"), [(0.036, "0.95"), (0.024, "1.05")])
def test_a_softness_a_fifth_off_is_named(softness, scale):
    target = np.random.default_rng(5).random((96, 96)) < 0.5
    assert f"log odds {scale} times" in verdict(chain(target, 60, softness, 6), target)[1]
