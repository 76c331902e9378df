"""The Game of Life backwards: a board that turns into a given picture, by Gibbs sampling in nine colours."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from genjax import flip, gen, seed

SIZE, SOFTNESS = 16, 0.02


def next_board(board):
    """Conway's rule, with dead cells around the board."""
    padded = jnp.pad(board.astype(jnp.int32), 1)
    neighbours = sum(jnp.roll(padded, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1))[1:-1, 1:-1] - board
    return (neighbours == 3) | (board & (neighbours == 2))


@gen
def life():
    """A board, and its successor seen with errors."""
    board = flip(jnp.full((SIZE, SIZE), 0.5)) @ "before"
    return flip(jnp.where(next_board(board), 1.0 - SOFTNESS, SOFTNESS)) @ "picture"


def agreement(board, picture):
    """Log likelihood of each 3 by 3 neighbourhood of the picture: what a cell's own value can change."""
    each = flip.logpdf(picture, jnp.where(next_board(board), 1.0 - SOFTNESS, SOFTNESS))
    return sum(jnp.roll(jnp.pad(each, 1), (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1))[1:-1, 1:-1]


def draw_colour(trace, colour):
    """Cells three apart share no neighbourhood: they are independent, and drawn all at once."""
    rows, columns = jnp.indices((SIZE, SIZE))
    chosen = (rows % 3 == colour // 3) & (columns % 3 == colour % 3)
    board, picture = trace["before"], trace["picture"]
    log_odds = agreement(board | chosen, picture) - agreement(board & ~chosen, picture)
    drawn = flip.sample(jax.nn.sigmoid(log_odds))
    return trace.update({"before": jnp.where(chosen, drawn, board)})[0], None


def sweep(trace, _):
    """Every cell once, colour by colour."""
    trace, _ = jax.lax.scan(draw_colour, trace, jnp.arange(9))
    return trace, jnp.mean(next_board(trace["before"]) == trace["picture"])


rows, columns = np.indices((SIZE, SIZE)) - 7.5
ring = jnp.asarray(np.abs(np.hypot(rows, columns) - 5) < 1.2)
trace, _ = seed(life.generate)(jax.random.key(0), {"picture": ring})
trace, accuracy = jax.jit(seed(lambda trace: jax.lax.scan(sweep, trace, None, length=300)))(jax.random.key(1), trace)
print(
    "cells explained after 300 sweeps: more than 90%:", bool(accuracy[-1] > 0.9)
)  # cells explained after 300 sweeps: more than 90%: True

figure = Figure(figsize=(6, 2.3), layout="constrained")
for axes, title, board in zip(
    figure.subplots(1, 3),
    ("picture", "inferred board before", "its successor"),
    (ring, trace["before"], next_board(trace["before"])),
    strict=True,
):
    axes.imshow(board, cmap="Blues")
    axes.set(title=title, xticks=[], yticks=[])
if __name__ == "__main__":
    figure.savefig(Path(__file__).parent / "pictures" / "game_of_life.png", dpi=80)
