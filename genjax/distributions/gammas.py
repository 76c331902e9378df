"""Gamma draws, and what is made of them.

On CPU, `jax.random.gamma` draws one element after the other, in a loop of scalars. Here a loop over a block of
elements draws a normal and a uniform for each, and goes on until all are accepted: `marsaglia_tsang` has that loop.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import digamma

from genjax.distributions import marsaglia_tsang, noise, turns
from genjax.distributions.blocks import draw_in_blocks
from genjax.distributions.own_derivative import own_derivative

__all__ = ["beta", "dirichlet", "gamma", "log_gamma", "student_t"]

Shape = tuple[int, ...]


def gamma(key: Array, concentration: Array, shape: Shape) -> tuple[Array, Array]:
    """Draws from Gamma(concentration, 1) and their logarithms.

    Args:
        key: a typed key.
        concentration: floats that broadcast against `shape`; NaN is returned for what is negative or NaN.
        shape: of the draws.

    Returns:
        (draws, logarithms), of the concentration's dtype. Where the concentration is at least 1, a draw has all of its
        digits; for small ones it underflows, and the logarithm has. Derivatives in the concentration are the implicit
        ones: those of the inverse of the cumulative distribution.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000), section 4, and
    for concentrations below 1 section 6. Derivative: Figurnov, Mohamed and Mnih, "Implicit reparameterization
    gradients", NeurIPS 2018, equation 5.
    """
    centre, log_ratio = _centre_and_log_ratio(key, concentration, shape)
    # Not an exponential of the logarithm, which has seven digits, not enough for the spread of large concentrations.
    return centre + centre * jnp.expm1(log_ratio), jnp.log(centre) + log_ratio


def log_gamma(key: Array, concentration: Array, shape: Shape) -> Array:
    """The logarithms of `gamma`."""
    return gamma(key, concentration, shape)[1]


def _centre_and_log_ratio(key: Array, concentration: Array, shape: Shape) -> tuple[Array, Array]:
    """A number near the mean, a constant; and the logarithm of draw over centre, which is differentiable."""
    concentration = jnp.asarray(concentration)
    fixed = jax.lax.stop_gradient(concentration)
    centre = marsaglia_tsang.centre_of(fixed)
    stages = (marsaglia_tsang.draw_first, _finish_block) if turns.has_elements(key, fixed.dtype) else None
    log_ratio = draw_in_blocks(_draw_block, key, [fixed], shape, stages)
    return centre, _with_derivative(jnp.broadcast_to(concentration, shape), log_ratio, jnp.log(centre) + log_ratio)


def _draw_block(key: Array, concentration: Array) -> Array:
    """One draw for each concentration: the logarithm of its ratio to `centre_of`."""
    return _lowered(key, concentration, marsaglia_tsang.draw_together(key, concentration))


def _finish_block(key: Array, concentration: Array, first: Array) -> Array:
    """`_draw_block` of a vector, after `draw_first`."""
    return _lowered(key, concentration, marsaglia_tsang.draw_rest(key, concentration, first))


def _lowered(key: Array, concentration: Array, drawn: Array) -> Array:
    """Draws of concentrations below 1 from those of 1 more; NaN where the concentration is not valid."""
    shape, dtype = concentration.shape, concentration.dtype
    is_valid = (concentration >= 0) & (concentration < jnp.inf)
    is_small = concentration < 1

    def with_uniform() -> Array:
        # Gamma(a) = Gamma(a + 1) U^(1 / a).
        exponential = turns.fine_exponential_of_turn(key, jnp.uint32(0), shape, dtype)
        return drawn - jnp.where(is_small, exponential / jnp.where(is_small, concentration, 1), 0)

    drawn = jax.lax.cond(jnp.any(is_small & is_valid), with_uniform, lambda: drawn)
    return jnp.where(is_valid, drawn, jnp.where(concentration == jnp.inf, 0, jnp.nan))


@own_derivative
def _with_derivative(concentration: Array, log_ratio: Array, log_draw: Array) -> Array:
    return log_ratio


@_with_derivative.defjvp
def _differentiate(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    concentration, log_ratio, log_draw = primals
    # For small x the cumulative distribution is x^a / Gamma(a + 1), which also holds where x is 0 in floating point.
    is_small = log_draw < jnp.log(jnp.asarray(1e-5, log_draw.dtype))
    draw = jnp.exp(jnp.where(is_small, 0, log_draw))
    of_small = (digamma(concentration + 1) - log_draw) / concentration
    slope = jnp.where(is_small, of_small, jax.lax.random_gamma_grad(concentration, draw) / draw)
    return log_ratio, tangents[0] * slope


def beta(key: Array, concentration1: Array, concentration0: Array, shape: Shape) -> Array:
    """Draws from Beta(concentration1, concentration0): the share of one gamma draw in the sum of two."""
    key1, key0 = jax.random.split(key)
    centre1, log_ratio1 = _centre_and_log_ratio(key1, concentration1, shape)
    centre0, log_ratio0 = _centre_and_log_ratio(key0, concentration0, shape)
    return jax.nn.sigmoid(jnp.log(centre1 / centre0) + (log_ratio1 - log_ratio0))


def dirichlet(key: Array, concentration: Array, shape: Shape) -> Array:
    """Draws from Dirichlet(concentration): shares of gamma draws in their sum. `shape` is without the last axis."""
    centre, log_ratio = _centre_and_log_ratio(key, concentration, (*shape, concentration.shape[-1]))
    return jax.nn.softmax(jnp.log(centre / jnp.max(centre, axis=-1, keepdims=True)) + log_ratio, axis=-1)


def student_t(key: Array, df: Array, shape: Shape) -> Array:
    """Draws from Student's t: a normal over the root of a gamma draw of mean 1."""
    normal_key, gamma_key = jax.random.split(key)
    centre, log_ratio = _centre_and_log_ratio(gamma_key, df / 2, shape)
    # The mean's derivative in df is part of the draw's.
    log_mean_one = jnp.log(centre / (df / 2)) + log_ratio
    return noise.normal(normal_key, shape, df.dtype) * jnp.exp(-log_mean_one / 2)
