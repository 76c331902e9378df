"""Many chains in blocks that stay in the cache.

A step of ten thousand chains on a data set works on arrays of chains x data points, which leave the cache between one
operation and the next. On CPU, what is computed of the draws of a step then runs block by block; the draws themselves
are made for all chains at once, so they are the same bits whatever the blocks; sums over data points may differ in the
last bits, where XLA takes them in another order. Accelerators get one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from genjax.pjax import jax_internals
from genjax.pjax.jax_internals import Equation
from genjax.pjax.partition import is_partitioned

#: Bytes that the largest array of a block has, about: a quarter of the second-level cache of the smaller processors.
BLOCK_BYTES = 1 << 18
#: Blocks pay from about this number on: with fewer, the arrays of all lanes are hardly larger than the cache.
FEWEST_BLOCKS = 4


def number_of_blocks(equations: Iterable[Equation], size: int) -> int:
    """In how many blocks `size` lanes should run; 1 where blocks would not pay, or the lanes are divided among devices.

    Args:
        equations: what is computed for one lane.
        size: number of lanes.
    """
    if is_partitioned():  # XLA divides one array among devices, but not the turns of a loop
        return 1
    wanted = _largest_bytes(equations) * size // BLOCK_BYTES
    if wanted < FEWEST_BLOCKS:
        return 1
    # A number of blocks that divides the lanes, if there is one nearby: otherwise some lanes are computed twice.
    return next((n for n in range(wanted, min(2 * wanted, size) + 1) if size % n == 0), min(wanted, size))


def in_blocks(function: Callable[..., Any], n_blocks: int, *lanes: Any) -> Any:
    """`function(*lanes)`, one block of lanes after the other on CPU, all at once elsewhere.

    Args:
        function: of pytrees of arrays with lanes in front, any number of them; its outputs have lanes in front too, and
            each lane depends on the same lane only. It makes no random choices.
        n_blocks: 1 or more.
        lanes: the arguments.
    """
    if n_blocks == 1:
        return function(*lanes)
    size = jax.tree.leaves(lanes)[0].shape[0]
    length = math.ceil(size / n_blocks)
    n_more = n_blocks * length - size

    def part(values: Any) -> Any:
        if n_more:  # the last block is filled up with lanes that are computed for nothing
            values = jnp.concatenate([values, values[:n_more]])
        return values.reshape(n_blocks, length, *values.shape[1:])

    def blocks(*lanes: Any) -> Any:
        found = jax.lax.map(lambda block: function(*block), jax.tree.map(part, lanes))
        return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:size], found)

    return jax.lax.platform_dependent(*lanes, cpu=blocks, default=function)


def _largest_bytes(equations: Iterable[Equation]) -> int:
    """Bytes of the largest array that the equations, and those inside of them, compute."""
    most = 0
    for eqn in equations:
        for out in eqn.outvars:
            shape, dtype = getattr(out.aval, "shape", ()), getattr(out.aval, "dtype", None)
            most = max(most, math.prod(shape) * getattr(dtype, "itemsize", 0))
        most = max([most, *(_largest_bytes(body.eqns) for body in jax_internals.sub_jaxprs(eqn))])
    return most
