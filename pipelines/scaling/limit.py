"""The most that memory holds, by bisection over runs that end well or out of memory."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.workers.protocol import MEMORY_BYTES

WITHIN = 1.1
"""Largest quotient of the ends of the bracket that is an answer."""


@dataclass(frozen=True)
class Bracket:
    """The largest size that ran and the smallest that did not; None where none did."""

    fits: int | None
    fails: int | None


def largest(fits: Callable[[int], bool], start: int, most: int, within: float = WITHIN) -> Bracket:
    """Where `fits` turns from true to false.

    The size doubles from `start` until it does not fit, or halves until it does; then the bracket is bisected at the
    geometric mean.

    Args:
        fits: whether a size runs; true below some size and false above.
        start: the first size, 1 or more.
        most: no larger size is tried.
        within: the search ends when the bracket is narrower than that quotient.
    """
    if not 1 <= start <= most:
        raise ValueError(f"largest got start={start} and most={most}; it needs 1 <= start <= most.")
    low: int | None = None
    high: int | None = None
    size = start
    while low is None or high is None:
        if fits(size):
            low = size
            if size == most:
                return Bracket(low, None)
            size = min(2 * size, most)
        else:
            high = size
            if size == 1:
                return Bracket(None, high)
            size = max(size // 2, 1)
    while high > within * low and high - low > 1:
        middle = min(max(round((low * high) ** 0.5), low + 1), high - 1)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return Bracket(low, high)


@contextmanager
def memory_limit(n_bytes: int | None) -> Iterator[None]:
    """Limits the memory of workers that start inside: each may map so many bytes for its data.

    None limits nothing. Linux counts anonymous memory for this limit; elsewhere it may have no effect.
    """
    if n_bytes is None:
        yield
        return
    before = os.environ.get(MEMORY_BYTES)
    os.environ[MEMORY_BYTES] = str(n_bytes)
    try:
        yield
    finally:
        os.environ.pop(MEMORY_BYTES)
        if before is not None:
            os.environ[MEMORY_BYTES] = before
