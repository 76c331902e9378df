"""Importance sampling of more particles than memory holds: blocks of them in one loop, nothing kept but sums and draws.

The loop carries the log of the sum of the weights, of their squares, and a reservoir of draws. A block is an ordinary
batch of weighted traces; memory is that of one block, whatever the number of particles.

Reservoir: each of `n_draws` slots holds a particle of those seen so far, drawn with probability proportional to its
weight. When a block of total weight b follows particles of total weight a, a slot takes a new draw from the block with
probability b / (a + b), independently of the others. So at the end the slots hold independent draws from all weighted
particles: multinomial resampling in one pass.

Source: Chao, *A general purpose unequal probability sampling plan* (Biometrika 1982), the reservoir of one slot; sums
of exponentials with a running maximum as in Milakov and Gimelshein, *Online normalizer calculation for softmax* (2018).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core import get_choices
from genjax.core.arguments import as_args
from genjax.core.const import Const, Size, count
from genjax.core.gfi import AnyGFI
from genjax.core.pytree import Pytree
from genjax.distributions import uniform
from genjax.inference.importance import weighted_traces
from genjax.inference.resampling import resample_ancestors
from genjax.shapes import Float
from genjax.signatures import Args, Choices, Constraints

#: Particles of a block, unless told otherwise: large enough that a loop costs nothing, small enough for the cache.
BLOCK = 1 << 14


@Pytree.dataclass
class StreamedResult(Pytree):
    """What streaming importance sampling found.

    Attributes:
        n_samples: number of particles.
        log_total: () float, `log(sum_i w_i)`.
        log_total_of_squares: () float, `log(sum_i w_i^2)`.
        draws: choices of `n_draws` particles resampled by weight, leading axis n_draws, in no particular order; zeros
            when every weight is 0. None if none were asked for.
    """

    n_samples: Const[int]
    log_total: Float[Array, "*batch"]
    log_total_of_squares: Float[Array, "*batch"]
    draws: Choices = None

    def log_evidence(self) -> Float[Array, "..."]:
        """`log(sum_i w_i / n)`: the log of an unbiased estimate of p(constraints)."""
        return self.log_total - jnp.log(float(self.n_samples.value))

    def effective_sample_size(self) -> Float[Array, "..."]:
        """`(sum_i w_i)^2 / sum_i w_i^2`; 0 when every weight is 0."""
        return jnp.where(self.log_total == -jnp.inf, 0.0, jnp.exp(2 * self.log_total - self.log_total_of_squares))


def streaming_importance_sampling(
    target_gf: AnyGFI,
    target_args: Args,
    n_samples: Size,
    constraints: Constraints,
    proposal_gf: AnyGFI | None = None,
    *,
    n_draws: Size | None = None,
    block_size: Size = BLOCK,
) -> StreamedResult:
    """Log evidence, effective sample size and posterior draws from any number of particles, in the memory of one block.

    Under `seed`, block i draws what `importance_sampling` of `block_size` particles draws under a key of the block; the
    weights are those of `weighted_trace`.

    Args:
        target_gf: the model.
        target_args: its arguments, shared by all particles.
        n_samples: number of particles, int or `Const`; `block_size` need not divide it.
        constraints: observed choices.
        proposal_gf: see `weighted_trace`.
        n_draws: number of resampled draws, at most `block_size`; none by default.
        block_size: particles that are in memory at the same time, int or `Const`.

    Raises:
        ValueError: fewer than one particle, draw or element of a block, or more draws than a block holds.
    """
    n, block = count(n_samples, "n_samples", least=1), count(block_size, "block_size", least=1)
    n_slots = 0 if n_draws is None else count(n_draws, "n_draws", least=1)
    args, block = as_args(target_args), min(block, n)
    if n_slots > block:
        raise ValueError(
            f"streaming_importance_sampling got n_draws={n_slots} and blocks of {block} particles; a block must hold "
            "as many particles as there are draws. Take a larger block_size, or fewer draws."
        )
    whole, rest = divmod(n, block)

    def step(state: _Streamed, size: int) -> _Streamed:
        traces, log_weights = weighted_traces(target_gf, args, size, constraints, proposal_gf)
        log_weights = jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)
        return _joined(state, get_choices(traces) if n_slots else None, log_weights, n_slots)

    def slots() -> Choices:
        return get_choices(weighted_traces(target_gf, args, n_slots, constraints, proposal_gf)[0])

    empty = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(slots)) if n_slots else None
    nothing = jnp.full((), -jnp.inf)
    state = _Streamed(nothing, nothing, empty)
    state, _ = jax.lax.scan(lambda state, _: (step(state, block), None), state, None, length=whole)
    if rest:
        state = step(state, rest)
    return StreamedResult(Const(n), *state)


streaming_importance_sampling.__static_parameters__ = ("n_samples", "n_draws", "block_size")  # type: ignore[attr-defined]


class _Streamed(NamedTuple):
    log_total: Array
    log_total_of_squares: Array
    draws: Choices


def _joined(state: _Streamed, choices: Choices, log_weights: Array, n_slots: int) -> _Streamed:
    """The state after one more block."""
    of_block = jax.nn.logsumexp(log_weights)
    total = jnp.logaddexp(state.log_total, of_block)
    squares = jnp.logaddexp(state.log_total_of_squares, jax.nn.logsumexp(2 * log_weights))
    if not n_slots:
        return _Streamed(total, squares, None)
    # Multinomial draws come sorted by particle; which slots take theirs is drawn apart, so that what they take is a
    # random subset of independent draws, which is as many independent draws.
    candidates = resample_ancestors(log_weights, n_slots)
    takes = jnp.log(uniform.sample(0.0, 1.0, sample_shape=(n_slots,))) < of_block - total
    takes = takes & (of_block > -jnp.inf)

    def slot(old: Array, new: Array) -> Array:
        return jnp.where(takes.reshape((n_slots,) + (1,) * (old.ndim - 1)), new[candidates], old)

    return _Streamed(total, squares, jax.tree.map(slot, state.draws, choices))
