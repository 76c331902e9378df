"""Chromatic Gibbs sampling of the board before, written by hand in JAX.

The board is stored as its nine classes of cells three apart, `(3, 3, ceil(H / 3) + 2, ceil(W / 3) + 2)`, each with a
border of one, so that the surroundings of a class are slices. The log odds of a cell count next cells: each of the nine
that it influences agrees with the target if the cell lives, if it is dead, in both cases or in neither. The target is
+1 for alive, -1 for dead and 0 beyond the edge, all in eight bits.
"""

import jax
import jax.numpy as jnp

from frameworks.base import Program

CORNER = 16


def _alive_next(total, alive):
    """The rule, from the number of living cells in the 3 by 3 window, its centre included."""
    return (total == 3) | ((total == 4) & alive)


def _shifted(classes, row, column):
    """For every cell (i, j) of class (0, 0), the cell (i + row, j + column); `row` and `column` are unsigned."""
    size = (1, 1, classes.shape[2] - 2, classes.shape[3] - 2)
    row, column = row + 3, column + 3
    return jax.lax.dynamic_slice(classes, (row % 3, column % 3, row // 3, column // 3), size)[0, 0]


def _gained_agreements(classes, targets, row, column):
    """Next cells that agree if a cell of class (row, column) lives, less those if it is dead: -9 to 9, int8."""
    around = {
        (i, j): _shifted(classes, row + i, column + j).astype(jnp.int8) for i in range(-2, 3) for j in range(-2, 3)
    }
    around[0, 0] = jnp.zeros_like(around[0, 0])
    rows = {(i, j): around[i, j - 1] + around[i, j] + around[i, j + 1] for i in range(-2, 3) for j in (-1, 0, 1)}
    gained = jnp.zeros_like(around[0, 0])
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            total = rows[i - 1, j] + rows[i, j] + rows[i + 1, j]
            if_dead = _alive_next(total, around[i, j] == 1)
            if_alive = _alive_next(total + 1, (around[i, j] == 1) | (i == j == 0))
            gained += (if_alive.astype(jnp.int8) - if_dead.astype(jnp.int8)) * _shifted(targets, row + i, column + j)
    return gained


def _sweep(key, classes, targets, softness):
    log_odds_of_one = jnp.log1p(-softness) - jnp.log(softness)

    def draw(classes, step):
        key, index = step
        row, column = index // 3, index % 3
        gained = _gained_agreements(classes, targets, row, column)
        drawn = jax.random.bernoulli(key, jax.nn.sigmoid(gained.astype(jnp.float32) * log_odds_of_one))
        drawn &= _shifted(targets, row, column) != 0
        start = (row, column, jnp.uint32(1), jnp.uint32(1))
        return jax.lax.dynamic_update_slice(classes, drawn[None, None], start), None

    steps = (jax.random.split(key, 9), jnp.arange(9, dtype=jnp.uint32))
    return jax.lax.scan(draw, classes, steps)[0]


def _split(board):
    height, width = board.shape
    padded = jnp.pad(board, ((3, 3 + -height % 3), (3, 3 + -width % 3)))
    return padded.reshape(padded.shape[0] // 3, 3, padded.shape[1] // 3, 3).transpose(1, 3, 0, 2)


def _join(classes, height, width):
    board = classes.transpose(2, 0, 3, 1).reshape(3 * classes.shape[2], 3 * classes.shape[3])
    return board[3 : 3 + height, 3 : 3 + width]


def _corner(classes):
    """The classes of the board's corner, of at most `CORNER` rows and columns each: what the gate sees of a sweep."""
    return classes[:, :, 1 : min(classes.shape[2] - 1, 1 + CORNER), 1 : min(classes.shape[3] - 1, 1 + CORNER)]


def _signed(target):
    return _split(2 * target.astype(jnp.int8) - 1)


def _n_errors(board, target):
    height, width = board.shape
    padded = jnp.pad(board.astype(jnp.int8), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    total = rows[:, :width] + rows[:, 1 : width + 1] + rows[:, 2:]
    return jnp.sum(_alive_next(total, board) != target, dtype=jnp.int32)


def reconstruction(framework, data, parameters, sweep_once=_sweep):
    """Program that runs the chain from independent coin flips; outputs as in the GenJAX model of this study."""
    height, width = data["target"].shape
    n_frames, prior = len(data["frame_sweeps"]), parameters["softness_prior"]

    def run(inputs):
        first_key, chain_key = jax.random.split(inputs["key"])
        board_key, softness_key = jax.random.split(first_key)
        target, softness = inputs["target"], inputs["softness"]
        targets = _signed(target)
        initial = jax.random.bernoulli(board_key, 0.5, (height, width))
        if prior is not None:
            softness = jax.random.beta(softness_key, *prior)

        def summary(errors, softness):
            log_likelihood = (height * width - errors) * jnp.log1p(-softness) + errors * jnp.log(softness)
            return {"log_likelihoods": log_likelihood, "errors": errors, "softness": softness}

        def sweep(state, step):
            classes, _, softness, frames = state
            key, slot = step
            cell_key, softness_key = jax.random.split(key)
            new = sweep_once(cell_key, classes, targets, softness)
            board = _join(new, height, width)
            errors = _n_errors(board, target)
            if prior is not None:
                softness = jax.random.beta(softness_key, prior[0] + errors, prior[1] + height * width - errors)
            frames = jax.lax.dynamic_update_slice(frames, board[None], (slot, 0, 0))
            return (new, classes, softness, frames), (summary(errors, softness), _corner(new))

        slots = inputs["slots"]
        frames = jnp.zeros((n_frames + 1, height, width), bool)
        frames = jax.lax.dynamic_update_slice(frames, initial[None], (slots[0], 0, 0))
        state = (_split(initial), _split(initial), softness, frames)
        steps = (jax.random.split(chain_key, parameters["n_sweeps"]), slots[1:])
        (final, previous, _, frames), (rest, corner) = jax.lax.scan(sweep, state, steps)
        first = summary(_n_errors(initial, target), softness)
        summaries = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), first, rest)
        boards = {"previous": _join(previous, height, width), "final": _join(final, height, width)}
        return {**summaries, **boards, "frames": frames[:n_frames], "corner": corner}

    return _program(data, parameters, run)


def accuracy(framework, data, parameters):
    """Several chains, one after another in one program."""
    return _several(reconstruction(framework, data, parameters), parameters["n_chains"])


def known_predecessor(framework, data, parameters):
    """Several chains on a target that the model itself drew."""
    return accuracy(framework, data, parameters)


def unknown_softness(framework, data, parameters):
    """Several chains with a prior on the softness."""
    return accuracy(framework, data, parameters)


def sweeps(framework, data, parameters, sweep_once=_sweep):
    """Program of k sweeps in one scan; outputs the boards around the last sweep, and the corner after each."""
    height, width = data["target"].shape

    def run(inputs):
        targets = _signed(inputs["target"])

        def sweep(state, key):
            classes, _ = state
            new = sweep_once(key, classes, targets, inputs["softness"])
            return (new, classes), _corner(new)

        keys = jax.random.split(inputs["key"], parameters["n_sweeps"])
        state = (_split(inputs["initial"]), _split(inputs["initial"]))
        (final, previous), corner = jax.lax.scan(sweep, state, keys)
        return {"previous": _join(previous, height, width), "final": _join(final, height, width), "corner": corner}

    return _program(data, parameters, run)


def _program(data, parameters, run):
    arrays = {"target": data["target"], "initial": data["initial"], "slots": data["frame_slots"]}

    def prepare(seed):
        softness = jnp.float32(parameters["softness"])
        return {"key": jax.random.key(seed), "softness": softness, **jax.device_put(arrays)}

    return Program(prepare, run)


def _several(program, n_chains):
    def prepare(seed):
        inputs = program.prepare(seed)
        return {**inputs, "key": jax.random.split(inputs["key"], n_chains)}

    def run(inputs):
        return jax.lax.map(lambda key: program.run({**inputs, "key": key}), inputs["key"])

    return Program(prepare, run)
