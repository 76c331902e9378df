"""Draws by rejection, in blocks: all elements of a block propose side by side until each has accepted.

On CPU, the samplers of `jax.random` that reject draw one element after the other, or loop over the whole array until
its last element has accepted. A block stays in the cache, and is done when its own last element is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from genjax.distributions import noise
from genjax.pjax.partition import is_partitioned

#: Fewer blocks than this begin one by one, in the cache, where one kernel for all costs a tenth more.
FEW = 8

Shape = tuple[int, ...]


def draw_in_blocks(
    draw_block: Callable[..., Array],
    key: Array,
    parameters: Sequence[Array],
    shape: Shape,
    stages: tuple[Callable[..., Array], Callable[..., Array]] | None = None,
) -> Array:
    """Draws of `shape`, one for each element of the parameters.

    Args:
        draw_block: `draw_block(key, *parameters) -> draws`, for parameters of one shape. It must end also for
            parameters that are not valid.
        key: a typed key.
        parameters: arrays that broadcast against `shape`.
        shape: of the draws.
        stages: `begin(key, *parameters) -> begun` without a loop, and `finish(key, *parameters, begun) -> draws`, which
            make the numbers of `draw_block` sooner where one block is drawn after the other. Many blocks begin in
            one kernel, which XLA divides among the cores.
    """
    parameters = [jnp.broadcast_to(parameter, shape) for parameter in parameters]
    size = math.prod(shape)
    if size <= noise.BLOCK:
        return draw_block(key, *parameters)
    block = noise.block_size(size)
    n_blocks = math.ceil(size / block)
    # The last block may reach beyond the end.
    flat = [parameter.reshape(-1) for parameter in parameters]
    if n_blocks * block > size:
        flat = [jnp.pad(elements, (0, n_blocks * block - size), constant_values=1) for elements in flat]
    blocks = jax.random.split(key, n_blocks), *(elements.reshape(n_blocks, block) for elements in flat)
    side_by_side = jax.vmap(draw_block)

    def in_turn(*blocks: Array) -> Array:
        if stages is None:
            return jax.lax.map(lambda one: draw_block(*one), blocks)
        begin, finish = stages
        if n_blocks < FEW:
            return jax.lax.map(lambda one: finish(*one, noise.computed_once(begin, *one)), blocks)
        begun = noise.computed_once(lambda *blocks: jax.vmap(begin)(*blocks).reshape(-1), *blocks)
        return jax.lax.map(lambda one: finish(*one), (*blocks, begun.reshape(n_blocks, block)))

    drawn = jax.lax.platform_dependent(
        *blocks,
        cpu=side_by_side if is_partitioned() else in_turn,
        default=side_by_side,
    )
    return drawn.reshape(-1)[:size].reshape(shape)
