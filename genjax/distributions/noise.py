"""The draws of `jax.random` that cost one random number an element: the same values, sooner on CPU, with right tails.

JAX compiles its counter-based generator for the CPU as a loop of five turns, each of which passes the whole array
through memory; and XLA computes what surrounds it again for every use of a draw. Here the rounds are written out, so
that they are one kernel with the transform of the bits, which XLA divides among all cores; and a large draw is the
branch of a conditional, whose result is computed once however many read it. Other devices get no conditional.

A float32 uniform of `jax.random` is a multiple of 2^-23, so it cannot tell rarer events apart: it is exactly 0 once in
2^23 draws, and the logarithm of that is an exponential draw of any size. Threefry, however, makes 64 bits for each
element, of which `jax.random` uses 23. Where those are extreme, that is within 2^-18 of 0 or 1, 56 bits count, and
below them the bits of one more block, which all elements of a draw share: it decides something only where the 56 bits
of an element are all zeros or all ones, and that two elements of a draw are such at once is rarer than 1e-30. So draws
go down to 2^-104 (5e-32). All other draws are `jax.random`'s bit for bit. There is no branch: a few operations per
element, which hold under `vmap` too. Half precision keeps JAX's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri
from jax.typing import DTypeLike

from genjax.distributions.normal_quantile import SCALE, normal_of
from genjax.distributions.words import Words
from genjax.pjax import jax_internals
from genjax.pjax.partition import is_partitioned

__all__ = [
    "bernoulli",
    "bernoulli_logits",
    "cauchy",
    "computed_once",
    "exponential",
    "exponential_of",
    "from_element",
    "gumbel",
    "half_cauchy",
    "half_normal",
    "has_words",
    "is_ours",
    "laplace",
    "normal",
    "normal_of_words",
    "uniform",
    "uniform_of_words",
    "uniform_or_shortfall",
    "words_at",
    "words_of",
]

#: Elements up to which a draw is `jax.random`'s own, which compiles sooner: written-out rounds are a larger program.
SMALL = 64
#: Elements of a block of draws by rejection, whose intermediate values stay in the first-level cache. Draws of more
#: elements are computed once, whatever reads them.
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


_WRITTEN_OUT = jax_internals.threefry_with_bits("threefry2x32_written_out", _random_bits, n_words=3)


def from_element(key: Array, start: Array) -> Array:
    """A key whose first element is element `start` of `key`."""
    return jax.random.wrap_key_data(
        jnp.concatenate([jax.random.key_data(key), start.reshape(1)]),
        impl=_WRITTEN_OUT,
    )


def is_ours(key: Array, dtype: DTypeLike) -> bool:
    """Whether numbers of this type have the bits of `_threefry`, whose elements can be drawn one by one."""
    is_threefry = jax.random.key_impl(key) == "threefry2x32" and jax.config.jax_threefry_partitionable
    return is_threefry and jnp.dtype(dtype).itemsize == 4


def _draw(draw: Callable[[Array, Shape], Array], key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """`draw(key, shape)`, where `draw` asks for one number an element, in the elements' order."""
    size = math.prod(shape)
    if not is_ours(key, dtype) or not SMALL < size < 2**32 - 2 * BLOCK:
        return draw(key, shape)

    def whole(key: Array) -> Array:
        return draw(from_element(key, jnp.uint32(0)), shape)

    def kept(key: Array) -> Array:
        # Flat, because XLA's code for consumers that slice a row of an array of several axes is ten times slower.
        return computed_once(lambda key: whole(key).reshape(-1), key).reshape(shape)

    if size <= BLOCK:
        return whole(key)
    on_cpu = whole if is_partitioned() else kept  # a partitioner divides arrays, not branches
    return jax.lax.platform_dependent(key, cpu=on_cpu, default=lambda key: draw(key, shape))


def computed_once(function: Callable[..., Array], *arguments: Array) -> Array:
    """`function(*arguments)`, which XLA:CPU would otherwise compute again inside each of its consumers.

    It does not fuse across the border of a conditional, and it cannot tell that this one is always true: barriers are
    only removed after conditionals are simplified. The predicate is data of nobody, so under `vmap` it stays one
    conditional.
    """
    always = jax.lax.optimization_barrier(jnp.array(True))
    result = jax.eval_shape(function, *arguments)
    return jax.lax.cond(always, function, lambda *_: jnp.zeros(result.shape, result.dtype), *arguments)


def block_size(size: int) -> int:
    """Elements of a block: about `BLOCK`, and a divisor of `size` where there is one, so that nothing is cut off."""
    divisors = [block for block in range(BLOCK // 2, 2 * BLOCK + 1) if size % block == 0 and block < size]
    return max(divisors, key=lambda block: (block % 16 == 0, block), default=BLOCK)


# Words, and numbers made of them

#: What `jax.random.fold_in` is given for the second words of generators that make one word per element.
_SECOND_WORDS = 0x7A115


def _rest(key: Array, dtype: DTypeLike) -> Array:
    """49 bits of a key's words as a number in (0, 1): 48, and a half, which keeps the smallest one in its cell.

    A hash is enough, where one more block of Threefry would double the cost of a draw of one element: keys are random
    words already, unless they were made of a number; and a hash makes these differ as well.
    """
    data = jax.random.key_data(key)
    high = ((data[0] ^ data[1]) + jnp.uint32(0x7A115)) * jnp.uint32(0x9E3779B1)
    low = (data[0] ^ high) * jnp.uint32(0x85EBCA6B)
    high, low = ((word >> 8).astype(jnp.int32).astype(dtype) for word in (high, low))
    return (high + (low + 0.5) * 2.0**-24) * 2.0**-24


def words_of(key: Array, shape: Shape, dtype: DTypeLike) -> Words:
    rest = _rest(key, dtype)
    if jnp.dtype(dtype).itemsize == 8:
        return Words(jax.random.bits(key, shape, jnp.uint64), None, rest, dtype)
    size = math.prod(shape)
    if jax.random.key_impl(key) == _WRITTEN_OUT:
        data = jax.random.key_data(key)
        first, second = _threefry(data[:2], data[2] + jax.lax.iota(jnp.uint32, size).reshape(shape))
        return Words(first ^ second, first, rest, dtype)
    if is_ours(key, dtype) and size < 2**32:
        first, second = jax_internals.threefry_words(key, jax.lax.iota(jnp.uint32, size).reshape(shape))
        return Words(first ^ second, first, rest, dtype)
    seconds = jax.random.bits(jax.random.fold_in(key, _SECOND_WORDS), shape, jnp.uint32)
    return Words(jax.random.bits(key, shape, jnp.uint32), seconds, rest, dtype)


def words_at(key: Array, elements: Array, dtype: DTypeLike) -> Words:
    """`words_of` chosen elements of a draw, of four bytes each; where `is_ours`."""
    first, second = _threefry(jax.random.key_data(key), elements)
    return Words(first ^ second, first, _rest(key, dtype), dtype)


def _draw_words(number: Callable[[Words], Array], key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    return _draw(lambda key, shape: number(words_of(key, shape, dtype)), key, shape, dtype)


def has_words(dtype: DTypeLike) -> bool:
    """Whether numbers of this type are made of `Words`: those of four bytes and of eight."""
    return jnp.dtype(dtype).itemsize >= 4


def uniform(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """`jax.random.uniform` on (0, 1), refined near 0: no draw is 0, and the smallest has probability 2^-104."""
    if not has_words(dtype):
        return jax.random.uniform(key, shape, dtype)
    return _draw_words(uniform_of_words, key, shape, dtype)


def uniform_of_words(words: Words) -> Array:
    """The uniforms of `uniform`."""
    return jnp.where(words.is_low(), words.above_zero(), words.unit())


def exponential(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """-log of `jax.random.uniform`, refined in both tails: draws reach from 5e-32 to 72."""
    if not has_words(dtype):
        return -jnp.log(jnp.maximum(uniform(key, shape, dtype), jnp.finfo(dtype).tiny))
    # The logarithm is taken outside of the blocks, where XLA makes better code of it.
    return exponential_of(_draw_words(uniform_or_shortfall, key, shape, dtype))


def uniform_or_shortfall(words: Words) -> Array:
    """The uniform of `uniform`, or where it is within 2^-18 of 1, what it lacks to 1, refined, as a negative number."""
    return jnp.where(words.is_high(), -words.from_the_end(), uniform_of_words(words))


def exponential_of(drawn: Array) -> Array:
    """-log u of `uniform_or_shortfall`'s u."""
    # -log(1 - c) = c + c^2 / 2 to working precision, for c below 2^-18.
    is_shortfall = drawn < 0
    return jnp.where(is_shortfall, drawn * (0.5 * drawn - 1), -jnp.log(jnp.where(is_shortfall, 0.5, drawn)))


def gumbel(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """`jax.random.gumbel`, refined in both tails: draws reach from -4.3 to 72."""
    if not has_words(dtype):
        return jax.random.gumbel(key, shape, dtype)
    return -jnp.log(exponential(key, shape, dtype))


def laplace(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """`jax.random.laplace`, refined in both tails: draws reach from -72 to 72."""
    if not has_words(dtype):
        return jax.random.laplace(key, shape, dtype)

    def centred_or_far(words: Words) -> Array:
        """JAX's uniform on (-1, 1), or where that is extreme, 1 over its distance from the nearer end, signed."""
        centred = words.between(-1.0 + float(jnp.finfo(dtype).epsneg))
        is_extreme = words.is_extreme()
        return jnp.where(is_extreme, jnp.sign(centred) / (2 * words.from_the_end()), centred)

    drawn = _draw_words(centred_or_far, key, shape, dtype)
    magnitude = jnp.abs(drawn)
    is_far = magnitude > 1
    log_distance = jnp.where(
        is_far, -jnp.log(jnp.where(is_far, magnitude, 1)), jnp.log1p(-jnp.where(is_far, 0, magnitude))
    )
    return jnp.sign(drawn) * log_distance


def cauchy(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """`jax.random.cauchy`, refined in both tails: draws reach 1e31 on either side."""
    if not has_words(dtype):
        return jax.random.cauchy(key, shape, dtype)

    return _cauchy_of(_draw_words(_turn_or_draw, key, shape, dtype))


def half_cauchy(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """The absolute value of `cauchy`, refined near 0 too: draws reach from 2e-31 to 6e30."""
    if not has_words(dtype):
        return jnp.abs(cauchy(key, shape, dtype))

    def turn_or_draw(words: Words) -> Array:
        return jnp.where(words.is_in_the_middle(), words.from_the_middle(), jnp.abs(_turn_or_draw(words)))

    return _cauchy_of(_draw_words(turn_or_draw, key, shape, dtype))


def _turn_or_draw(words: Words) -> Array:
    """JAX's uniform on (-1/2, 1/2), or where that is extreme, the Cauchy draw itself."""
    turn = words.between(float(jnp.finfo(words.dtype).eps)) - 0.5
    # tan(pi (1/2 - t)) = 1 / (pi t) to working precision, for t below 2^-18.
    return jnp.where(words.is_extreme(), jnp.sign(turn) / (math.pi * words.from_the_end()), turn)


def _cauchy_of(drawn: Array) -> Array:
    is_far = jnp.abs(drawn) > 1
    return jnp.where(is_far, drawn, jnp.tan(math.pi * jnp.where(is_far, 0, drawn)))


def normal(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """`jax.random.normal`, refined in both tails: draws reach from -11.7 to 11.7."""
    if not has_words(dtype):
        return _draw(lambda key, shape: jax.random.normal(key, shape, dtype), key, shape, dtype)
    return _draw_words(normal_of_words, key, shape, dtype)


def half_normal(key: Array, shape: Shape, dtype: DTypeLike) -> Array:
    """The absolute value of `normal`, refined near 0 too: draws reach from 1e-31 to 11.7."""
    if not has_words(dtype):
        return jnp.abs(normal(key, shape, dtype))

    def magnitude(words: Words) -> Array:
        # The density is 1 / sqrt(2 pi) near 0: to working precision, for d below 2^-18.
        near_zero = math.sqrt(2 * math.pi) * words.from_the_middle()
        return jnp.where(words.is_in_the_middle(), near_zero, jnp.abs(normal_of_words(words)))

    return _draw_words(magnitude, key, shape, dtype)


def normal_of_words(words: Words) -> Array:
    """The normals of `normal`, of four bytes or eight."""
    centred = words.centred()
    if words.second is not None:
        return normal_of(centred, words.from_the_end(SCALE), words.is_extreme())
    is_extreme = words.is_extreme()
    distance = jnp.where(is_extreme, words.from_the_end(), 0.25)
    return jnp.where(is_extreme, -jnp.sign(centred) * ndtri(distance), math.sqrt(2) * jax.lax.erf_inv(centred))


def bernoulli(key: Array, p: Array, shape: Shape) -> Array:
    """`jax.random.bernoulli`, right for probabilities down to 2^-104; `p` broadcasts against `shape`."""
    return uniform(key, shape, p.dtype) < p


def bernoulli_logits(key: Array, logits: Array, shape: Shape) -> Array:
    """`jax.random.bernoulli` of probability sigmoid(logits), right for both outcomes down to 2^-104."""
    dtype = logits.dtype
    is_likely, rarer = logits > 0, jax.nn.sigmoid(-jnp.abs(logits))
    if not has_words(dtype):
        return jax.random.uniform(key, shape, dtype) < jax.nn.sigmoid(logits)
    # The distance from 0, and from 1, of one uniform u; in the sign bit of the draw, since a draw is one array.
    signed = _draw_words(_signed_distance_of, key, shape, dtype)
    from_zero = jnp.where(signed > 0, signed, 1 + signed)
    from_one = jnp.where(signed > 0, 1 - signed, -signed)
    return jnp.where(jnp.isnan(logits), False, jnp.where(is_likely, from_one >= rarer, from_zero < rarer))


def _signed_distance_of(words: Words) -> Array:
    """The uniform u where it is below a half, and u - 1 elsewhere, each refined near 0."""
    unit = words.unit()
    is_upper, is_extreme = unit >= 0.5, words.is_extreme()
    near = jnp.where(is_extreme, words.from_the_end(), jnp.where(is_upper, 1 - unit, unit))
    return jnp.where(is_upper, -near, near)
