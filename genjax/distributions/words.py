"""Random words, whose bits draws are made of.

Numbers in [0, 1) take the bits that `jax.random` takes of them. Where a word is within 2^-18 of 0, of 1 or of the
middle, which transforms make rare draws of, all of its bits count, and further ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

__all__ = ["Words"]

#: Words of 32 bits below this, or as near to the largest, are extreme. (Of 64 bits: 2^18, a few times JAX's spacing.)
_EXTREME = 1 << 14


class Words(NamedTuple):
    """64 random bits for each element: the word that `jax.random` uses, and as many more; and some for all of them.

    Attributes:
        first: uint32 for four-byte floats, uint64 for eight-byte ones: the bits of `jax.random`.
        second: uint32; None for eight-byte floats, whose first word has 12 bits left.
        rest: scalar, at least 2^-49 and at most 1: digits that follow those of every element.
        dtype: of the numbers to be made.
    """

    first: Array
    second: Array | None
    rest: Array
    dtype: DTypeLike

    def unit(self) -> Array:
        """The uniforms of `jax.random`, multiples of 2^-23 (or 2^-52) in [0, 1)."""
        limits = jnp.finfo(self.dtype)
        one = np.array(1, self.dtype).view(self.first.dtype)
        bits = (self.first >> np.array(limits.bits - limits.nmant, self.first.dtype)) | one
        return jax.lax.bitcast_convert_type(bits, self.dtype) - jnp.ones((), self.dtype)

    def between(self, low: float) -> Array:
        """The uniforms of `jax.random` on [low, 1)."""
        low = jnp.asarray(low, self.dtype)
        return jnp.maximum(low, self.unit() * (1 - low) + low)

    def centred(self) -> Array:
        """The uniforms of `jax.random` on (-1, 1)."""
        return self.between(-1.0 + float(jnp.finfo(self.dtype).epsneg))

    def is_low(self) -> Array:
        """Whether the word is within 2^-18 of the smallest."""
        return self.first < self._extreme()

    def is_high(self) -> Array:
        """Whether the word is within 2^-18 of the largest."""
        return ~self.first < self._extreme()

    def above_zero(self) -> Array:
        """All bits as a number in (0, 1), where `is_low`."""
        return self._refined(self.first)

    def from_the_end(self, scale: float = 1.0) -> Array:
        """All bits as the distance from the nearer end, times a power of two, where `is_extreme`."""
        return self._refined(jnp.minimum(self.first, ~self.first), scale)

    def is_extreme(self) -> Array:
        """Whether `is_low` or `is_high`."""
        return jnp.minimum(self.first, ~self.first) < self._extreme()

    def is_in_the_middle(self) -> Array:
        """Whether the word is within 2^-18 of the middle one, whose uniform is a half."""
        return self._beside_the_middle() < self._extreme()

    def from_the_middle(self) -> Array:
        """All bits as the distance of the uniform from a half, where `is_in_the_middle`; not signed."""
        return self._refined(self._beside_the_middle())

    def below_the_unit(self) -> Array:
        """The bits that follow those of `unit`, as a number in [0, 1) of 24 bits. Four-byte floats only."""
        assert self.second is not None
        bits = ((self.first & 0x1FF) << 15) | (self.second >> 17)
        return bits.astype(jnp.int32).astype(self.dtype) * 2.0**-24

    def _extreme(self) -> Any:
        return np.array(_EXTREME if self.second is not None else 1 << 18, self.first.dtype)

    def _beside_the_middle(self) -> Array:
        """How many words lie between this one and the middle."""
        middle = np.array(1 << (self.first.dtype.itemsize * 8 - 1), self.first.dtype)
        return jnp.where(self.first >= middle, self.first - middle, ~self.first - middle)

    def _refined(self, word: Array, scale: float = 1.0) -> Array:
        if self.second is None:
            return (word.astype(self.dtype) + self.rest) * (scale * 2.0**-64)
        # As signed integers, and 24 bits of the second word: a float holds them, and processors convert them at once.
        fraction = ((self.second >> 8).astype(jnp.int32).astype(self.dtype) + self.rest) * (scale * 2.0**-56)
        return word.astype(jnp.int32).astype(self.dtype) * (scale * 2.0**-32) + fraction
