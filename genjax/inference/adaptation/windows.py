"""The windows of a warm-up.

A fast window finds the typical set, slow windows that double estimate the mass matrix, a last fast one settles the step
size. Source: the Stan reference manual, *Automatic parameter tuning*.
"""

from __future__ import annotations

import numpy as np

_FIRST, _LAST, _SLOW = 75, 50, 25


def windows(n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """`(is_slow, ends)`, (n_steps,) bool each: which steps count for a mass matrix, after which it is renewed.

    Short warm-ups give 15% and 10% of their steps to the first and the last window; below 20 there is no slow one.
    """
    is_slow, ends = np.zeros(n_steps, bool), np.zeros(n_steps, bool)
    if n_steps < 20:
        return is_slow, ends
    if n_steps >= _FIRST + _LAST + _SLOW:
        first, last, size = _FIRST, _LAST, _SLOW
    else:
        first, last = int(0.15 * n_steps), int(0.1 * n_steps)
        size = n_steps - first - last
    stop = n_steps - last
    is_slow[first:stop] = True
    at = first
    while at < stop:
        # The window that would leave too little for one of twice its size takes all of the rest.
        end = at + size if at + 3 * size <= stop else stop
        ends[end - 1] = True
        at, size = end, 2 * size
    return is_slow, ends
