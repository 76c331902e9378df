"""Long runs: running moments in place of draws, and runs that continue after they were stopped.

`resumable` runs a step function many times, in compiled segments, and writes the state to a file between them. The key
of step i is `fold_in(key, i)`, and segments begin at multiples of their length, so a run that was killed and started
again gives the same bits as one that was not.

Source: Welford, *Note on a method for calculating corrected sums of squares and products* (Technometrics 1962); Chan,
Golub and LeVeque, *Updating formulae and a pairwise algorithm for computing sample variances* (1979).
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.core.const import Size, count
from genjax.core.pytree import Pytree
from genjax.pjax import seed
from genjax.signatures import PyTree


@Pytree.dataclass
class Moments(Pytree):
    """Mean and variance of a stream of values, in the memory of one value.

    Attributes:
        n: () int32, number of values.
        mean: pytree of float arrays, `sum_i x_i / n`.
        squares: likewise, `sum_i (x_i - mean)^2`.
    """

    n: Array
    mean: PyTree
    squares: PyTree

    @staticmethod
    def empty(like: PyTree) -> Moments:
        """Moments of no values; `like` is a value or its shapes."""
        zeros = jax.tree.map(lambda leaf: jnp.zeros(jnp.shape(leaf), jnp.result_type(leaf, float)), like)
        return Moments(jnp.int32(0), zeros, zeros)

    def add(self, value: PyTree) -> Moments:
        """The moments with one more value."""
        n = self.n + 1
        mean = jax.tree.map(lambda mean, x: mean + (x - mean) / n, self.mean, value)
        squares = jax.tree.map(
            lambda squares, x, old, new: squares + (x - old) * (x - new), self.squares, value, self.mean, mean
        )
        return Moments(n, mean, squares)

    def variance(self) -> PyTree:
        """`sum_i (x_i - mean)^2 / (n - 1)`, the shape of a value; NaN for fewer than two values."""
        return jax.tree.map(lambda squares: jnp.where(self.n > 1, squares / (self.n - 1), jnp.nan), self.squares)


def resumable(
    step: Callable[[PyTree, Array], PyTree], *, path: str | os.PathLike[str], segment: Size = 1000
) -> Callable[[Array, PyTree, Size], PyTree]:
    """`run(key, start, n_steps)`: `step` applied `n_steps` times, with the state on disk between segments.

    A chain is `lambda state, i: kernel.step(state)[0]`; with `Moments` in the state it keeps no draws. A filter is a
    step that reads observation i: `lambda particles, i: extend(particles, model, args, {"y": ys[i]})`.

    Args:
        step: `(state, i) -> state`, with random choices; i is () int32, counted from 0. The state is a pytree of arrays
            whose structure, shapes and dtypes stay as they are.
        path: the checkpoint, one file. It is written to another name and renamed, so a kill leaves the old or the new.
        segment: steps between two checkpoints, int or `Const`.

    Returns:
        `run`. It continues from the checkpoint if there is one, and leaves one at the end: a later call with more steps
        continues from there. Results are the same bits whether a run was interrupted or not.

    Raises:
        ValueError: the checkpoint belongs to another program, start or key, has more steps than are asked for, or is
            damaged. It is left as it is.
    """
    length, file = count(segment, "segment", least=1), Path(path)

    def steps(state: PyTree, first: Array, key: Array, n: int) -> PyTree:
        def once(state: PyTree, i: Array) -> tuple[PyTree, None]:
            return seed(step)(jax.random.fold_in(key, i), state, i), None

        return jax.lax.scan(once, state, first + jnp.arange(n, dtype=jnp.int32))[0]

    compiled = jax.jit(steps, static_argnums=3)

    def run(key: Array, start: PyTree, n_steps: Size) -> PyTree:
        n, state = count(n_steps, "n_steps", least=0), jax.tree.map(jnp.asarray, start)
        mark = _mark(steps, key, state, length)
        done = 0
        if file.exists():
            done, state = _read(file, state, mark)
        if done > n:
            raise ValueError(f"{file} holds {done} steps, and {n} were asked for. Ask for at least {done}.")
        while done < n:
            size = min(length - done % length, n - done)
            state = jax.block_until_ready(compiled(state, jnp.int32(done), key, size))
            done += size
            _write(file, done, state, mark)
        return state

    return run


def _mark(steps: Callable[..., PyTree], key: jax.Array, state: PyTree, length: int) -> str:
    """What a checkpoint must agree in: the program of a step, with its constants, the key, and where it started."""
    # The lowered text holds the constants, and is the same in another process, which names in a jaxpr are not.
    text = jax.jit(steps, static_argnums=3).lower(state, jnp.int32(0), key, 1).as_text()
    known = hashlib.sha256(text.encode())
    data = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    for value in (data, *jax.tree.leaves(state)):
        known.update(np.asarray(value).tobytes())
    known.update(str(length).encode())
    return known.hexdigest()


def _write(file: Path, done: int, state: PyTree, mark: str) -> None:
    arrays = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez(stream, done=done, mark=mark, **arrays)  # type: ignore[arg-type]
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def _read(file: Path, like: PyTree, mark: str) -> tuple[int, PyTree]:
    leaves, structure = jax.tree.flatten(like)
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            found, done = str(stored["mark"]), int(stored["done"])
            arrays = [stored[f"leaf_{i}"] for i in range(len(leaves))] if found == mark else []
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{file} is not a checkpoint that can be read ({error}). Move it away to start again."
        ) from error
    if found != mark:
        raise ValueError(
            f"{file} is the checkpoint of another run: its step function, start, key or segment length differs from "
            "this one's. Take another path, or move it away to start again."
        )
    return done, jax.tree.unflatten(structure, [jnp.asarray(array) for array in arrays])
