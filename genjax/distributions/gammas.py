"""Gamma draws, and what is made of them: all elements of a batch propose side by side until each has accepted.

On CPU, `jax.random.gamma` draws one element after the other, in a loop of scalars. Here a loop over a block of
elements draws a normal and a uniform for each, and goes on until all are accepted: more than nineteen of twenty are at
the first proposal, so a block takes three turns or so.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from genjax.distributions import noise

__all__ = ["beta", "dirichlet", "log_gamma", "student_t"]

Shape = tuple[int, ...]


def log_gamma(key: Array, concentration: Array, shape: Shape) -> Array:
    """Logarithms of draws from Gamma(concentration, 1), which itself underflows for small concentrations.

    Args:
        key: a typed key.
        concentration: floats that broadcast against `shape`; NaN is returned for what is negative or NaN.
        shape: of the draws.

    Returns:
        Draws of the concentration's dtype. Their derivative in the concentration is the implicit one: that of the
        inverse of the cumulative distribution.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000), section 4, and
    for concentrations below 1 section 6. Derivative: Figurnov, Mohamed and Mnih, "Implicit reparameterization
    gradients", NeurIPS 2018, equation 5.
    """
    drawn = _in_blocks(key, jax.lax.stop_gradient(concentration), shape)
    return _with_derivative(jnp.broadcast_to(concentration, shape), drawn)


def _in_blocks(key: Array, concentration: Array, shape: Shape) -> Array:
    size = math.prod(shape)
    if size <= noise.BLOCK:
        return _draw_block(key, jnp.broadcast_to(concentration, shape))
    block = noise.block_size(size)
    n_blocks = math.ceil(size / block)
    # The last block may reach beyond the end.
    elements = jnp.broadcast_to(concentration, shape).reshape(-1)
    if n_blocks * block > size:
        elements = jnp.pad(elements, (0, n_blocks * block - size), constant_values=1)
    blocks = jax.random.split(key, n_blocks), elements.reshape(n_blocks, block)
    drawn = jax.lax.platform_dependent(
        *blocks,
        cpu=lambda keys, concentrations: jax.lax.map(lambda block: _draw_block(*block), (keys, concentrations)),
        default=jax.vmap(_draw_block),
    )
    return drawn.reshape(-1)[:size].reshape(shape)


def _draw_block(key: Array, concentration: Array) -> Array:
    """One draw for each concentration."""
    shape, dtype = concentration.shape, concentration.dtype
    is_valid = (concentration >= 0) & (concentration < jnp.inf)
    is_small = concentration < 1
    shifted = jnp.where(is_valid, jnp.where(is_small, concentration + 1, concentration), 1)
    d = shifted - 1 / 3
    c = 1 / jnp.sqrt(9 * d)

    def propose(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, log_v, is_done = state
        x, uniform = noise.normal_and_uniform(key, turn, shape, dtype)
        y = jnp.maximum(c * x, -1 + jnp.finfo(dtype).epsneg)  # v = (1 + c x)^3 must be positive
        proposed = 3 * jnp.log1p(y)
        # d (1 - v + log v), with v - 1 written out, so that it does not cancel for large d.
        is_accepted = jnp.log(uniform) < 0.5 * x * x + d * (proposed - y * (3 + y * (3 + y)))
        is_accepted &= c * x > -1
        return turn + 1, jnp.where(is_done, log_v, proposed), is_done | is_accepted

    initial = jnp.uint32(1), jnp.zeros(shape, dtype), ~is_valid
    _, log_v, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), propose, initial)
    drawn = jnp.log(d) + log_v

    def lowered() -> Array:
        # Gamma(a) = Gamma(a + 1) U^(1 / a).
        _, uniform = noise.normal_and_uniform(key, jnp.uint32(0), shape, dtype)
        return drawn + jnp.where(is_small, jnp.log(uniform) / jnp.where(is_small, concentration, 1), 0)

    drawn = jax.lax.cond(jnp.any(is_small & is_valid), lowered, lambda: drawn)
    return jnp.where(is_valid, drawn, jnp.where(concentration == jnp.inf, jnp.inf, jnp.nan))


@jax.custom_jvp
def _with_derivative(concentration: Array, drawn: Array) -> Array:
    return drawn


@_with_derivative.defjvp
def _differentiate(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    concentration, drawn = primals
    draw = jnp.maximum(jnp.exp(drawn), jnp.finfo(drawn.dtype).tiny)
    return drawn, tangents[0] * jax.lax.random_gamma_grad(concentration, draw) / draw


def beta(key: Array, concentration1: Array, concentration0: Array, shape: Shape) -> Array:
    """Draws from Beta(concentration1, concentration0): the share of one gamma draw in the sum of two."""
    key1, key0 = jax.random.split(key)
    return jax.nn.sigmoid(log_gamma(key1, concentration1, shape) - log_gamma(key0, concentration0, shape))


def dirichlet(key: Array, concentration: Array, shape: Shape) -> Array:
    """Draws from Dirichlet(concentration): shares of gamma draws in their sum. `shape` is without the last axis."""
    return jax.nn.softmax(log_gamma(key, concentration, (*shape, concentration.shape[-1])), axis=-1)


def student_t(key: Array, df: Array, shape: Shape) -> Array:
    """Draws from Student's t: a normal over the root of a gamma draw of mean 1."""
    normal_key, gamma_key = jax.random.split(key)
    log_mean_one = log_gamma(gamma_key, df / 2, shape) - jnp.log(df / 2)
    return noise.normal(normal_key, shape, df.dtype) * jnp.exp(-log_mean_one / 2)
