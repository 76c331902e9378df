"""Conway's rule and the patterns, against independent implementations and known facts."""

import itertools

import numpy as np
import pytest
from scipy.signal import convolve2d

from studies.gol.rule import PATTERNS, alive_neighbours, next_board, pattern


def next_by_convolution(board):
    count = convolve2d(board.astype(int), [[1, 1, 1], [1, 0, 1], [1, 1, 1]], mode="same")
    return np.where(board, (count == 2) | (count == 3), count == 3)


@pytest.mark.parametrize("shape", [(3, 3), (3, 7), (8, 5), (1, 4), (40, 41)])
def test_rule_agrees_with_a_convolution(shape):
    random = np.random.default_rng(0)
    for density in (0.2, 0.5, 0.8):
        board = random.random(shape) < density
        assert np.array_equal(next_board(board), next_by_convolution(board))


def test_rule_on_every_window():
    for bits in itertools.product((False, True), repeat=9):
        window = np.array(bits).reshape(3, 3)
        others = sum(bits) - bits[4]
        assert alive_neighbours(window)[1, 1] == others
        assert next_board(window)[1, 1] == (others == 3 or (bits[4] and others == 2))


def test_the_edge_is_dead_and_not_a_torus():
    board = np.zeros((5, 5), bool)
    board[0, :3] = True  # on a torus row 4 would come alive
    assert np.array_equal(np.argwhere(next_board(board)), [[0, 1], [1, 1]])


def test_blinker_has_three_cells_and_period_two():
    board = pattern("blinker", 7, 9)
    assert board.sum() == 3
    assert not np.array_equal(next_board(board), board)
    assert np.array_equal(next_board(next_board(board)), board)


def test_glider_moves_by_one_cell_down_and_right_in_four_steps():
    board = pattern("glider", 12, 13)
    later = board
    for _ in range(4):
        later = next_board(later)
    assert np.array_equal(later, np.roll(board, (1, 1), (0, 1)))


def test_gosper_gun_fires_a_glider_every_thirty_steps():
    # Far from the edge for the 60 steps that the first two gliders need.
    board = pattern("gosper_gun", 60, 80)
    boards = [board]
    for _ in range(60):
        boards.append(next_board(boards[-1]))
    assert [boards[t].sum() for t in (0, 30, 60)] == [36, 41, 46]
    # The gun itself is as at the start; the five new cells are a glider below it.
    rows, columns = np.nonzero(board)
    gun = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    assert np.array_equal(boards[30][gun], board[gun])


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_pattern_that_does_not_fit(name):
    with pytest.raises(ValueError, match=f"The pattern {name} is .* needs a rim of one; the board is 3 by 3"):
        pattern(name, 3, 3)
