"""Threefry 2x32 random numbers in NumPy, equal to those of `jax.random` with its default settings.

The published artifact made its data with `jax.random`. Study data must not depend on a framework under test, nor on the
version of JAX, so the generator is written out here: Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy
as 1, 2, 3* (SC 2011), 20 rounds; and the way JAX maps counters to words ("partitionable").
"""

from __future__ import annotations

import numpy as np
from scipy.special import erfinv

Key = np.ndarray
"""(2,) uint32."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def key(seed: int) -> Key:
    """The key of a seed in [0, 2**64), as `jax.random.key(seed)`."""
    return np.array([seed >> 32, seed & 0xFFFFFFFF], np.uint32)


def split(key: Key, n: int = 2) -> np.ndarray:
    """(n, 2) new keys, as `jax.random.split`."""
    return np.stack(_words(key, (n,)), axis=-1)


def fold_in(key: Key, data: int) -> Key:
    """A new key from a key and an integer, as `jax.random.fold_in`."""
    high, low = _threefry(key, *(np.array([word], np.uint32) for word in (data >> 32, data & 0xFFFFFFFF)))
    return np.array([high[0], low[0]], np.uint32)


def uniform(key: Key, shape: tuple[int, ...] = (), low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """float32 draws from [low, high), as `jax.random.uniform`: 23 random bits each."""
    first, second = _words(key, shape)
    mantissa = (first ^ second) >> np.uint32(9)
    unit = (mantissa | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    least, most = np.float32(low), np.float32(high)
    return np.maximum(least, unit * (most - least) + least).astype(np.float32)


def normal(key: Key, shape: tuple[int, ...] = ()) -> np.ndarray:
    """float32 standard normal draws, as `jax.random.normal` except for the last bits of its inverse error function."""
    draws = uniform(key, shape, float(np.nextafter(np.float32(-1), np.float32(0))), 1.0)
    return (np.sqrt(2.0) * erfinv(draws.astype(np.float64))).astype(np.float32)


def _words(key: Key, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two uint32 words for each element: the block cipher applied to the element's 64-bit index."""
    counts = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64).reshape(shape)
    return _threefry(key, (counts >> np.uint64(32)).astype(np.uint32), counts.astype(np.uint32))


def _threefry(key: Key, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    schedule = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    with np.errstate(over="ignore"):  # addition is modulo 2**32
        x0, x1 = x0 + schedule[0], x1 + schedule[1]
        for block in range(5):
            for rotation in _ROTATIONS[block % 2]:
                x0 = x0 + x1
                x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
                x1 = x0 ^ x1
            x0 = x0 + schedule[(block + 1) % 3]
            x1 = x1 + schedule[(block + 2) % 3] + np.uint32(block + 1)
    return x0, x1
