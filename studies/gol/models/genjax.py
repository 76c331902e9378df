"""Game of Life seen through noise, and chromatic Gibbs sampling of the board before, in GenJAX.

The model: every cell of `init` is alive with probability 1/2; every cell of the next board is what Conway's rule says
of its 3 by 3 window of `init`, wrong with probability `softness`. Cells beyond the edge are dead.

A cell influences the nine next cells whose windows contain it, so cells three apart, in both directions, share none:
given the rest of the board they are independent, and nine such classes cover the board. The sampler stores the board
as its nine classes, `(3, 3, ceil(H / 3) + 2, ceil(W / 3) + 2)`, where each class is an array of its own with a border
of one. What surrounds the cells of a class then lies in shifted slices of these arrays: no gather, and no work on
cells whose turn it is not.
"""

import jax
import jax.numpy as jnp

from frameworks.base import Program
from genjax import beta, distribution, flip, gen, modular_vmap, seed

OFFSETS = (-1, 0, 1)
CORNER = 16

# ---------------------------------------------------------------- model


def next_state(window):
    """Conway's rule for the centre of a window, three rows of three booleans."""
    rows = [sum(cell.astype(jnp.int8) for cell in row) for row in window]
    centre = window[1][1]
    alive_neighbours = rows[0] + rows[1] + rows[2] - centre.astype(jnp.int8)
    return (alive_neighbours == 3) | (centre & (alive_neighbours == 2))


def _draw_noisy_bit(intended, softness):
    return intended ^ flip.sample(softness)


def _log_noisy_bit_density(bit, intended, softness):
    # The density of flip(where(intended, 1 - softness, softness)), but with two logarithms in all, not two per cell.
    return jnp.where(bit == intended, jnp.log1p(-softness), jnp.log(softness))


noisy_bit = distribution(_draw_noisy_bit, _log_noisy_bit_density, name="NoisyBit")


@gen
def cell(window, softness):
    """The next state of one cell."""
    return noisy_bit(next_state(window), softness) @ "bit"


@gen
def step(board, softness):
    """The next board, (H, W), given this one: one cell per window."""
    row_of_cells = cell.vmap(in_axes=(0, None))
    return row_of_cells.vmap(in_axes=(0, None))(windows(board), softness) @ "cells"


def automaton(height, width):
    """The model of a board and its successor, given the softness."""

    @gen
    def automaton(softness):
        board = flip.repeat(width).repeat(height)(0.5) @ "init"
        return step(board, softness) @ "step"

    return automaton


def automaton_of_unknown_softness(height, width, prior):
    """The same model with softness ~ Beta(*prior)."""

    @gen
    def automaton():
        softness = beta(*prior) @ "softness"
        board = flip.repeat(width).repeat(height)(0.5) @ "init"
        return step(board, softness) @ "step"

    return automaton


def windows(board):
    """The window of every cell: three rows of three (H, W) slices of the board with dead cells around it."""
    height, width = board.shape
    padded = jnp.pad(board, 1)
    return [[padded[1 + i : 1 + i + height, 1 + j : 1 + j + width] for j in OFFSETS] for i in OFFSETS]


# ---------------------------------------------------------------- Gibbs sampling


def log_density_around(value, around, children, softness):
    """What of log p(board, next board) depends on one cell, were it `value`.

    Args:
        value: the cell's supposed state.
        around: five rows of five booleans, the cell's surroundings. The one in the middle is not read.
        children: three rows of three pairs (observed next state, whether such a cell is on the board).
    """
    around = [[value if (i, j) == (2, 2) else around[i][j] for j in range(5)] for i in range(5)]
    log_density, _ = flip.assess(value, 0.5)
    for i in range(3):
        for j in range(3):
            observed, is_on_board = children[i][j]
            window = [row[j : j + 3] for row in around[i : i + 3]]
            log_density_of_child, _ = cell.assess({"bit": observed}, window, softness)
            log_density += jnp.where(is_on_board, log_density_of_child, 0.0)
    return log_density


def log_odds(around, children, softness):
    """log p(alive | everything else) - log p(dead | everything else) of one cell."""
    alive = log_density_around(jnp.array(True), around, children, softness)
    dead = log_density_around(jnp.array(False), around, children, softness)
    return alive - dead


def draw_cell(around, children, softness):
    """One draw of a cell from its conditional given everything else."""
    return flip.sample(jax.nn.sigmoid(log_odds(around, children, softness)))


draw_class = modular_vmap(modular_vmap(draw_cell, in_axes=(0, 0, None)), in_axes=(0, 0, None))


def gibbs_sweep(classes, target_classes, inside_classes, softness):
    """Draw every cell once, one class after another.

    Args:
        classes: the board as its nine classes; see `split`.
        target_classes, inside_classes: the observed next board, and which cells are on the board, in the same form.
    """

    def draw(classes, index):
        row, column = index // 3, index % 3
        around, children = neighbourhood(classes, target_classes, inside_classes, row, column)
        drawn = draw_class(around, children, softness) & shifted(inside_classes, row, column)
        return jax.lax.dynamic_update_slice(classes, drawn[None, None], (row, column, 1, 1)), None

    # A loop over the classes compiles once what nine copies would compile nine times.
    return jax.lax.scan(draw, classes, jnp.arange(9))[0]


def neighbourhood(classes, target_classes, inside_classes, row, column):
    """What `log_density_around` needs of the cells of one class: the same rows, with an (h, w) slice in each place."""
    around = [[shifted(classes, row + i, column + j) for j in range(-2, 3)] for i in range(-2, 3)]
    children = [
        [(shifted(target_classes, row + i, column + j), shifted(inside_classes, row + i, column + j)) for j in OFFSETS]
        for i in OFFSETS
    ]
    return around, children


def split(board):
    """The board as its nine classes: `split(board)[a, b, 1 + i, 1 + j] = board[3 i + a, 3 j + b]`, else False."""
    height, width = board.shape
    padded = jnp.pad(board, ((3, 3 + -height % 3), (3, 3 + -width % 3)))
    return padded.reshape(padded.shape[0] // 3, 3, padded.shape[1] // 3, 3).transpose(1, 3, 0, 2)


def join(classes, height, width):
    """The inverse of `split`."""
    board = classes.transpose(2, 0, 3, 1).reshape(3 * classes.shape[2], 3 * classes.shape[3])
    return board[3 : 3 + height, 3 : 3 + width]


def corner(classes):
    """The classes of the board's corner, of at most `CORNER` rows and columns each: what the gate sees of a sweep."""
    return classes[:, :, 1 : min(classes.shape[2] - 1, 1 + CORNER), 1 : min(classes.shape[3] - 1, 1 + CORNER)]


def shifted(classes, row, column):
    """For every cell (i, j) of class (0, 0), the cell (i + row, j + column) of the board, as one slice of a class."""
    height, width = classes.shape[2] - 2, classes.shape[3] - 2
    # Unsigned and moved by 3, the border: division of signed numbers compiles to three times the code.
    row, column = (row + 3).astype(jnp.uint32), (column + 3).astype(jnp.uint32)
    start = (row % 3, column % 3, row // 3, column // 3)
    return jax.lax.dynamic_slice(classes, start, (1, 1, height, width))[0, 0]


# ---------------------------------------------------------------- tasks


def reconstruction(framework, data, parameters):
    """Program that runs the chain from a board drawn from the model, keeping summaries of every sweep and few boards.

    Outputs: `log_likelihoods`, `errors` and `softness`, (n_sweeps + 1,) each, from sweep 0, the initial board;
    `frames` (n_frames, H, W) at the sweeps of `data["frame_sweeps"]`; `previous` and `final`, the boards before and
    after the last sweep; `corner` (n_sweeps, 3, 3, h, w), after each sweep the corner of the board as its classes.
    """
    height, width = data["target"].shape
    n_frames, prior = len(data["frame_sweeps"]), parameters["softness_prior"]
    model = automaton(height, width) if prior is None else automaton_of_unknown_softness(height, width, prior)

    def chain(target, fixed_softness, slots):
        observed = {"step": {"cells": {"bit": target}}}
        trace, _ = model.generate(observed, *([fixed_softness] if prior is None else []))
        initial = trace.get_choices()["init"]
        softness = fixed_softness if prior is None else trace.get_choices()["softness"]
        target_classes, inside_classes = split(target), split(jnp.ones((height, width), bool))

        def summary(board, softness):
            log_likelihood, _ = step.assess(observed["step"], board, softness)
            errors = jnp.sum(next_state(windows(board)) != target, dtype=jnp.int32)
            return {"log_likelihoods": log_likelihood, "errors": errors, "softness": softness}

        def sweep(state, slot):
            classes, _, softness, frames = state
            new = gibbs_sweep(classes, target_classes, inside_classes, softness)
            board = join(new, height, width)
            if prior is not None:
                # Conjugate: an error counts for the first parameter of the Beta, an agreement for the second.
                errors = jnp.sum(next_state(windows(board)) != target)
                softness = beta.sample(prior[0] + errors, prior[1] + height * width - errors)
            # Sweeps that are not kept go to the last slot, which is dropped.
            frames = jax.lax.dynamic_update_slice(frames, board[None], (slot, 0, 0))
            return (new, classes, softness, frames), (summary(board, softness), corner(new))

        frames = jnp.zeros((n_frames + 1, height, width), bool)
        frames = jax.lax.dynamic_update_slice(frames, initial[None], (slots[0], 0, 0))
        state = (split(initial), split(initial), softness, frames)
        (final, previous, _, frames), (summaries, corners) = jax.lax.scan(sweep, state, slots[1:])
        summaries = jax.tree.map(
            lambda first, rest: jnp.concatenate([first[None], rest]), summary(initial, softness), summaries
        )
        boards = {"previous": join(previous, height, width), "final": join(final, height, width)}
        return {**summaries, **boards, "frames": frames[:n_frames], "corner": corners}

    return _program(seed(chain), (data["target"], jnp.float32(parameters["softness"]), data["frame_slots"]))


def accuracy(framework, data, parameters):
    """Several chains, one after another in one program."""
    return _several(reconstruction(framework, data, parameters), parameters["n_chains"])


def known_predecessor(framework, data, parameters):
    """Several chains on a target that the model itself drew."""
    return accuracy(framework, data, parameters)


def unknown_softness(framework, data, parameters):
    """Several chains with a prior on the softness."""
    return accuracy(framework, data, parameters)


def sweeps(framework, data, parameters):
    """Program of k sweeps in one scan and nothing else; its time over several k gives the cost of one sweep.

    Outputs: `previous` and `final`, the boards before and after the last sweep, (H, W) each; `corner`, see
    `reconstruction`.
    """
    height, width = data["target"].shape

    def chain(initial, target, softness):
        target_classes, inside_classes = split(target), split(jnp.ones((height, width), bool))

        def sweep(state, _):
            classes, _ = state
            new = gibbs_sweep(classes, target_classes, inside_classes, softness)
            return (new, classes), corner(new)

        state = (split(initial), split(initial))
        (final, previous), corners = jax.lax.scan(sweep, state, length=parameters["n_sweeps"])
        return {"previous": join(previous, height, width), "final": join(final, height, width), "corner": corners}

    return _program(seed(chain), (data["initial"], data["target"], jnp.float32(parameters["softness"])))


def _program(seeded, arguments):
    def prepare(seed_number):
        return {"key": jax.random.key(seed_number), "arguments": jax.device_put(arguments)}

    return Program(prepare, lambda inputs: seeded(inputs["key"], *inputs["arguments"]))


def _several(program, n_chains):
    def prepare(seed_number):
        inputs = program.prepare(seed_number)
        return {**inputs, "key": jax.random.split(inputs["key"], n_chains)}

    def run(inputs):
        return jax.lax.map(lambda key: program.run({**inputs, "key": key}), inputs["key"])

    return Program(prepare, run)
