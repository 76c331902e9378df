"""Random numbers for the turns of a rejection loop: each turn has its own, and so has each element in its own turn."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from genjax.distributions import noise
from genjax.distributions.words import Words

__all__ = [
    "fine_exponential_of_turn",
    "has_elements",
    "normal_and_uniform",
    "uniform_and_exponential",
    "words_of_elements",
    "words_of_turn",
]

Shape = tuple[int, ...]


def _turn_keys(key: Array, turn: Array, shape: Shape, dtype: DTypeLike) -> tuple[Array, Array]:
    if not noise.is_ours(key, dtype):
        first, second = jax.random.split(jax.random.fold_in(key, turn))
        return first, second
    size = jnp.uint32(math.prod(shape))
    return noise.from_element(key, 2 * turn * size), noise.from_element(key, (2 * turn + 1) * size)


def normal_and_uniform(key: Array, turn: Array, shape: Shape, dtype: DTypeLike) -> tuple[Array, Array]:
    """Standard normals, `jax.random`'s without refined tails, and uniforms on (0, 1), of one turn of a loop.

    Args:
        key: a key that is used for such turns only.
        turn: uint32, its number: other turns give other numbers.
        shape: of each; of at most `2 * noise.BLOCK` elements, so that a million turns are not too many.
        dtype: of each, of four bytes or more.
    """
    keys = _turn_keys(key, turn, shape, dtype)
    # Refined tails would cost gamma draws 13 to 20% on a CPU.
    return jax.random.normal(keys[0], shape, dtype), noise.uniform_of_words(noise.words_of(keys[1], shape, dtype))


def words_of_turn(key: Array, turn: Array, shape: Shape, dtype: DTypeLike) -> tuple[Words, Words]:
    """The words of which `normal_and_uniform` makes its numbers."""
    first, second = _turn_keys(key, turn, shape, dtype)
    return noise.words_of(first, shape, dtype), noise.words_of(second, shape, dtype)


def has_elements(key: Array, dtype: DTypeLike) -> bool:
    """Whether `words_of_elements` can tell the words of single elements."""
    return noise.is_ours(key, dtype)


def words_of_elements(key: Array, turn: Array, element: Array, size: int, dtype: DTypeLike) -> tuple[Words, Words]:
    """Of `words_of_turn(key, turn, (size,), dtype)` those of chosen elements in their own turns; if `has_elements`."""
    start = 2 * turn * jnp.uint32(size) + element
    return noise.words_at(key, start, dtype), noise.words_at(key, start + jnp.uint32(size), dtype)


def uniform_and_exponential(key: Array, turn: Array, shape: Shape, dtype: DTypeLike) -> tuple[Array, Array]:
    """Uniforms on (0, 1), and standard exponentials, of one turn of a loop: see `normal_and_uniform`."""
    first, second = _turn_keys(key, turn, shape, dtype)
    if not noise.has_words(dtype):
        floor = jnp.finfo(dtype).epsneg
        uniforms = [jnp.maximum(jax.random.uniform(k, shape, dtype), floor) for k in (first, second)]
    else:
        uniforms = [noise.uniform_of_words(noise.words_of(k, shape, dtype)) for k in (first, second)]
    return uniforms[0], -jnp.log(uniforms[1])


def fine_exponential_of_turn(key: Array, turn: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """The exponentials of `uniform_and_exponential`, refined near 0 too: small probabilities can be waited for."""
    if not noise.has_words(dtype):
        return uniform_and_exponential(key, turn, shape, dtype)[1]
    _, words = words_of_turn(key, turn, shape, dtype)
    return noise.exponential_of(noise.uniform_or_shortfall(words))
