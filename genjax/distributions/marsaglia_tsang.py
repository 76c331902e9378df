"""The rejection loop of gamma draws: which proposals are made of which random words, and which are accepted.

A proposal takes a normal and a uniform, and nineteen of twenty are accepted. In a large draw on a CPU, the first turn
proposes for all elements at once, with the normals of `jax.random`, in one kernel that uses all cores; it leaves out
what was rejected, and the few proposals that need more digits than those normals have. The turns that follow take one
block after the other, and work on an eighth of it: one element of each column of eight, until no column has any left.
Their proposals are right in both tails.

An element's numbers depend on the key, its place and its turn, so that all ways to do this give the same draws.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.distributions import noise, turns
from genjax.distributions.normal_quantile import LOG_SCALE, SCALE, normal_of
from genjax.distributions.words import Words

__all__ = ["centre_of", "draw_first", "draw_rest", "draw_together"]

#: Elements that share a place in the later turns.
_ROWS = 8
#: Normals beyond this, in either direction, may be made of an extreme word.
_FAR = 4.46
#: Where the root of a proposal's ratio is below this, it needs more digits than its normal has.
_NEAR = 2.0**-3
#: What these digits may change it by, at most.
_MARGIN = 2.0**-8
#: Where it is below this, rounding has left no digits: further bits take their place.
_CELL = 2.0**-18
_FIRST = np.uint32(1)  # turn 0 belongs to the uniform of concentrations below 1


def centre_of(concentration: Array) -> Array:
    """d of Marsaglia and Tsang, of the concentration plus 1 where that is below 1."""
    return jnp.where(concentration < 1, concentration + 1, concentration) - 1 / 3


class _Constants(NamedTuple):
    """d, c = 1 / sqrt(9 d), and a step of the normal's 23 bits near -1 / c, times c."""

    d: Array
    c: Array
    step: Array


def _is_valid(concentration: Array) -> Array:
    return (concentration >= 0) & (concentration < jnp.inf)


def _constants(concentration: Array) -> _Constants:
    d = centre_of(jnp.where(_is_valid(concentration), concentration, 1))
    c = 1 / jnp.sqrt(9 * d)
    # 2^-23 / phi(1 / c). Where the exponent is cut, all words near -1 / c are extreme.
    return _Constants(d, c, c * jnp.exp(jnp.minimum(4.5 * d, 20)) * (math.sqrt(2 * math.pi) * 2.0**-23))


def _is_accepted(x: Array, uniform: Array, d: Array, y: Array, log_v: Array) -> Array:
    # d (1 - v + log v), with v - 1 written out, so that it does not cancel for large d.
    return jnp.log(uniform) < 0.5 * x * x + d * (log_v - y * (3 + y * (3 + y)))


def _once(value: Array, turn: Array) -> Array:
    """`value`, which XLA computes once.

    It deems the rounds of a generator cheap, and would compute them again in each of the ten kernels that read what is
    made of them. A division it does not repeat; and it cannot tell that this one is by 1.
    """
    return value / (1 + (turn >> 31)).astype(value.dtype)


def _propose(words: tuple[Words, Words], turn: Array, constants: _Constants) -> Array:
    """The logarithm of draw / d where it is accepted, and -inf elsewhere: right down to probabilities of 1e-30.

    With v = y^3 and y = 1 + c x, densities near 0 are those of y, whose digits 1 + c x has lost, and x has never had.
    There y is made of the bits of the normal's word that the normal has not used.
    """
    of_normal, of_uniform = words
    uniform = _once(noise.uniform_of_words(of_uniform), turn)
    d, c, step = constants
    if of_normal.dtype != jnp.float32:
        x = _once(noise.normal_of_words(of_normal), turn)
        y = c * x
        log_v = 3 * jnp.log1p(y)
    else:
        centred = _once(of_normal.centred(), turn)
        further = jnp.where(of_normal.is_extreme(), of_normal.from_the_end(SCALE), -of_normal.below_the_unit())
        further = _once(further, turn)
        is_extreme = further > 0
        x = normal_of(centred, further, is_extreme)
        root = 1 + c * x
        is_near = (root < _NEAR) & ~is_extreme
        # Steps shrink by exp(-9 d root), about. Normals are those of a quarter of a step above their words' lower end.
        shrinkage = 9 * d * root
        finer = root - step / (1 + shrinkage * (1 + 0.5 * shrinkage)) * (further + 0.25)
        digits = further * 256
        finer = jnp.where((finer >= 0) & (finer < _CELL), _CELL * (digits - jnp.floor(digits) + 2.0**-17), finer)
        y = jnp.where(is_near, finer - 1, c * x)
        log_root = jnp.log1p(jnp.where(is_near, finer * SCALE, y))
        log_v = 3 * (log_root - jnp.where(is_near, np.float32(LOG_SCALE), np.float32(0)))
    # Where y is below -1, the logarithm is NaN, and nothing is accepted.
    return jnp.where(_is_accepted(x, uniform, d, y, log_v), log_v, -jnp.inf)


def draw_together(key: Array, concentration: Array) -> Array:
    """Logarithms of draws over `centre_of`: all elements propose in each turn, until the last one has accepted.

    What the tails cost: nothing for one draw in a loop, and 1 to 16% of many such draws under `vmap`.
    """
    if concentration.dtype.itemsize < 4:
        return draw_together(key, concentration.astype(jnp.float32)).astype(concentration.dtype)
    shape, dtype = concentration.shape, concentration.dtype
    constants = _constants(concentration)

    def propose(state: tuple[Array, Array]) -> tuple[Array, Array]:
        turn, log_v = state
        proposed = _propose(turns.words_of_turn(key, turn, shape, dtype), turn, constants)
        return turn + 1, jnp.where(log_v == -jnp.inf, proposed, log_v)

    initial = jnp.asarray(_FIRST), jnp.where(_is_valid(concentration), -jnp.inf, jnp.zeros(shape, dtype))
    return jax.lax.while_loop(lambda state: jnp.any(state[1] == -jnp.inf), propose, initial)[1]


def draw_first(key: Array, concentration: Array) -> Array:
    """The first turn: -inf where it was rejected, and inf where it has to be made again, with all digits."""
    shape, dtype = concentration.shape, concentration.dtype
    d, c, _ = _constants(concentration)
    x, uniform = turns.normal_and_uniform(key, _FIRST, shape, dtype)
    y = jnp.maximum(c * x, _NEAR - 1)
    log_v = 3 * jnp.log1p(y)
    is_accepted = _is_accepted(x, uniform, d, y, log_v)  # where y is raised to its bound, this is too lenient
    is_coarse = (jnp.abs(x) > _FAR) | (is_accepted & (c * x < _NEAR - 1) & (c * x > -1 - _MARGIN))
    drawn = jnp.where(is_accepted & (c * x > -1), log_v, -jnp.inf)
    return jnp.where(_is_valid(concentration), jnp.where(is_coarse, jnp.inf, drawn), 0)


def draw_rest(key: Array, concentration: Array, first: Array) -> Array:
    """The numbers of `draw_together`: the later turns of what `draw_first` has left, of a vector and `has_elements`."""
    size, dtype = first.size, first.dtype
    n_columns = -(-size // _ROWS)
    padding = (0, _ROWS * n_columns - size)
    concentrations = jnp.pad(concentration, padding, constant_values=1).reshape(_ROWS, n_columns)
    places = jnp.arange(n_columns, dtype=jnp.uint32)
    rows = jnp.arange(_ROWS, dtype=jnp.uint32)[:, None]

    def is_left(drawn: Array) -> Array:
        return ~(jnp.abs(drawn) < jnp.inf)

    def propose(state: tuple[Array, Array]) -> tuple[Array, Array]:
        turn, drawn = state
        chosen = jnp.full(n_columns, _ROWS, jnp.uint32)
        of_chosen, is_coarse = jnp.ones(n_columns, dtype), jnp.zeros(n_columns, bool)
        for row in reversed(range(_ROWS)):
            is_here = is_left(drawn[row])
            chosen = jnp.where(is_here, jnp.uint32(row), chosen)
            of_chosen = jnp.where(is_here, concentrations[row], of_chosen)
            is_coarse = jnp.where(is_here, drawn[row] == jnp.inf, is_coarse)
        turn = jnp.where(turn == 0, jnp.where(is_coarse, _FIRST, _FIRST + 1), turn)
        words = turns.words_of_elements(key, turn, chosen * n_columns + places, size, dtype)
        proposed = _once(_propose(words, turn, _constants(of_chosen)), turn)
        is_accepted = proposed > -jnp.inf
        return jnp.where(is_accepted, 0, turn + 1), jnp.where((rows == chosen) & is_accepted, proposed, drawn)

    initial = jnp.zeros(n_columns, jnp.uint32), jnp.pad(first, padding).reshape(_ROWS, n_columns)
    drawn = jax.lax.while_loop(lambda state: jnp.any(is_left(state[1])), propose, initial)[1]
    return drawn.reshape(-1)[:size]
