"""Conway's rule on a board with dead cells around it, and well-known patterns, in NumPy."""

import numpy as np

PATTERNS = {
    "blinker": """
        OOO
    """,
    "glider": """
        .O.
        ..O
        OOO
    """,
    "gosper_gun": """
        ........................O...........
        ......................O.O...........
        ............OO......OO............OO
        ...........O...O....OO............OO
        OO........O.....O...OO..............
        OO........O...O.OO....O.O...........
        ..........O.....O.......O...........
        ...........O...O....................
        ............OO......................
    """,
}
"""O is a living cell. The blinker has period 2, the glider moves by (1, 1) in 4 steps, the gun fires every 30 steps."""


def alive_neighbours(board: np.ndarray) -> np.ndarray:
    """Number of living cells among the eight neighbours of each cell: (H, W) bool in, (H, W) int8 out."""
    height, width = board.shape
    padded = np.pad(board.astype(np.int8), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :width] + rows[:, 1 : width + 1] + rows[:, 2:] - padded[1 : height + 1, 1 : width + 1]


def next_board(board: np.ndarray) -> np.ndarray:
    """One step: a cell lives with three living neighbours, or with two if it is alive. (H, W) bool in and out."""
    count = alive_neighbours(board)
    return (count == 3) | (board.astype(bool) & (count == 2))


def pattern(name: str, height: int, width: int) -> np.ndarray:
    """The pattern in the middle of an empty board, (height, width) bool.

    Raises:
        ValueError: The pattern with a rim of one dead cell does not fit on the board.
    """
    lines = PATTERNS[name].split()
    rows, columns = len(lines), len(lines[0])
    if rows + 2 > height or columns + 2 > width:
        raise ValueError(
            f"The pattern {name} is {rows} by {columns} cells and needs a rim of one; the board is {height} by "
            f"{width}. Use one of at least {rows + 2} by {columns + 2}."
        )
    board = np.zeros((height, width), bool)
    top, left = (height - rows) // 2, (width - columns) // 2
    board[top : top + rows, left : left + columns] = [[letter == "O" for letter in line] for line in lines]
    return board
