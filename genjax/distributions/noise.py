"""The draws of `jax.random` that cost one random number an element: the same values bit for bit, sooner on CPU.

JAX compiles its counter-based generator for the CPU as a loop of five turns, each of which passes the whole array
through memory; and XLA computes what surrounds it anew for every use of a draw. Here the rounds are written out, so
that they are one kernel with the transform of the bits, and a large draw is made in blocks that stay in the cache: a
loop, whose result is computed once however many read it. On other devices, large draws are `jax.random`'s own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from genjax.pjax import compat

__all__ = ["bernoulli", "gumbel", "normal", "normal_and_uniform", "uniform"]

#: Elements up to which a draw is `jax.random`'s own, which compiles sooner: written-out rounds are a larger program.
SMALL = 64
#: Elements of a block, whose intermediate values stay in the first-level cache; larger draws are made in blocks.
BLOCK = 512

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA

Shape = tuple[int, ...]


@jax.jit
def _threefry(key: Array, counts: Array) -> tuple[Array, Array]:
    """The two words of Threefry-2x32, 20 rounds, of each block of counters (0, count).

    Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    first, second = jnp.full_like(counts, keys[0]), counts + keys[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            first = first + second
            second = first ^ ((second << rotation) | (second >> (32 - rotation)))
        first, second = first + keys[(i + 1) % 3], second + keys[(i + 2) % 3] + jnp.uint32(i + 1)
    return first, second


def _random_bits(key: Array, bit_width: int, shape: Shape) -> Array:
    """Bits from a key of three words: those of a key of JAX, and the number of the first element."""
    if bit_width != 32:
        raise NotImplementedError(f"written-out Threefry got bit_width={bit_width}; draws of other widths use JAX's.")
    counts = key[2] + jax.lax.iota(jnp.uint32, math.prod(shape))
    first, second = _threefry(key[:2], counts)
    return (first ^ second).reshape(shape)


_WRITTEN_OUT = compat.threefry_with_bits("threefry2x32_written_out", _random_bits, n_words=3)


def _from_element(key: Array, start: Array) -> Array:
    """A key whose first element is element `start` of `key`."""
    return jax.random.wrap_key_data(
        jnp.concatenate([jax.random.key_data(key), start.reshape(1)]),
        impl=_WRITTEN_OUT,
    )


def _is_ours(key: Array, dtype: Any) -> bool:
    is_threefry = jax.random.key_impl(key) == "threefry2x32" and jax.config.jax_threefry_partitionable
    return is_threefry and jnp.dtype(dtype).itemsize == 4


def _draw(draw: Callable[[Array, Shape], Array], key: Array, shape: Shape, dtype: Any) -> Array:
    """`draw(key, shape)`, where `draw` asks for one number an element, in the elements' order."""
    size = math.prod(shape)
    if not _is_ours(key, dtype) or not SMALL < size < 2**32 - 2 * BLOCK:
        return draw(key, shape)

    def in_blocks(key: Array) -> Array:
        block = block_size(size)
        starts = jnp.arange(math.ceil(size / block), dtype=jnp.uint32) * jnp.uint32(block)
        blocks = jax.lax.map(lambda start: draw(_from_element(key, start), (block,)), starts)
        return blocks.reshape(-1)[:size].reshape(shape)

    if size <= BLOCK:
        return draw(_from_element(key, jnp.uint32(0)), shape)
    return jax.lax.platform_dependent(key, cpu=in_blocks, default=lambda key: draw(key, shape))


def block_size(size: int) -> int:
    """Elements of a block: about `BLOCK`, and a divisor of `size` where there is one, so that nothing is cut off."""
    divisors = [block for block in range(BLOCK // 2, 2 * BLOCK + 1) if size % block == 0 and block < size]
    return max(divisors, key=lambda block: (block % 16 == 0, block), default=BLOCK)


def uniform(key: Array, shape: Shape, dtype: Any, minval: Any = 0.0) -> Array:
    """`jax.random.uniform` on [minval, 1)."""
    return _draw(lambda key, shape: jax.random.uniform(key, shape, dtype, minval=minval), key, shape, dtype)


def normal(key: Array, shape: Shape, dtype: Any) -> Array:
    """`jax.random.normal`."""
    return _draw(lambda key, shape: jax.random.normal(key, shape, dtype), key, shape, dtype)


def gumbel(key: Array, shape: Shape, dtype: Any) -> Array:
    """`jax.random.gumbel`."""
    return _draw(lambda key, shape: jax.random.gumbel(key, shape, dtype), key, shape, dtype)


def bernoulli(key: Array, p: Array, shape: Shape) -> Array:
    """`jax.random.bernoulli`; `p` broadcasts against `shape`."""
    return uniform(key, shape, p.dtype) < p


def normal_and_uniform(key: Array, turn: Array, shape: Shape, dtype: Any) -> tuple[Array, Array]:
    """Standard normals, and uniforms on (0, 1), of one turn of a loop.

    Args:
        key: a key that is used for such turns only.
        turn: uint32, its number: other turns give other numbers.
        shape: of each; of at most `2 * BLOCK` elements, so that a million turns are not too many.
        dtype: of each.
    """
    if _is_ours(key, dtype):
        size = jnp.uint32(math.prod(shape))
        keys = _from_element(key, 2 * turn * size), _from_element(key, (2 * turn + 1) * size)
    else:
        keys = tuple(jax.random.split(jax.random.fold_in(key, turn)))
    tiny = jnp.finfo(dtype).tiny
    return jax.random.normal(keys[0], shape, dtype), jax.random.uniform(keys[1], shape, dtype, minval=tiny)
