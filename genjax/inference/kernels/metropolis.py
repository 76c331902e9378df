"""The accept step of Metropolis and Hastings, which most kernels share."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from genjax.distributions import uniform
from genjax.shapes import Bool, Float


def accepts(log_alpha: Float[jax.Array, ""]) -> Bool[jax.Array, ""]:
    """True with probability `min(1, exp(log_alpha))`, () bool.

    Accepts where `log u < min(0, log_alpha)` with u ~ Uniform(0, 1), which is false for NaN and -inf. A uniform draw is
    never 0, so that log u is at least -45: what should be accepted less often than once in 2^64 never is.
    """
    return jnp.log(uniform.sample(0.0, 1.0)) < jnp.minimum(0.0, log_alpha)


def acceptance_probability(log_alpha: Float[jax.Array, "*lanes"]) -> Float[jax.Array, "*lanes"]:
    """`min(1, exp(log_alpha))`; 0 for NaN, which is never accepted."""
    return jnp.where(jnp.isnan(log_alpha), 0.0, jnp.exp(jnp.minimum(0.0, log_alpha)))
