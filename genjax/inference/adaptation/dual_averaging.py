"""Dual averaging of the log step size, so that the mean acceptance probability becomes a target.

Source: Hoffman and Gelman, *The No-U-Turn Sampler* (JMLR 2014), section 3.2, equation 6, with their constants.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.pytree import Pytree

_SHRINKAGE, _DELAY, _DECAY = 0.05, 10.0, 0.75  # gamma, t0, kappa


@Pytree.dataclass
class DualAveraging(Pytree):
    """The state of dual averaging.

    Attributes:
        log_step_size: of the next step, x_t.
        log_average: of all steps, later ones weighted more: what to use when adaptation ends.
        error: running mean of target - acceptance, H_t.
        centre: where x is shrunk towards, mu.
        n_updates: t.
    """

    log_step_size: Array
    log_average: Array
    error: Array
    centre: Array
    n_updates: Array

    @staticmethod
    def start(step_size: ArrayLike) -> DualAveraging:
        """From a first guess; shrunk towards ten times that, since large steps are cheap to try."""
        log_step_size = jnp.log(jnp.asarray(step_size, float))
        zero = jnp.zeros_like(log_step_size)
        return DualAveraging(log_step_size, log_step_size, zero, log_step_size + jnp.log(10.0), zero)

    def update(self, acceptance: Array, target: float) -> DualAveraging:
        """After a step with this acceptance probability, () float."""
        t = self.n_updates + 1
        share = 1 / (t + _DELAY)
        error = (1 - share) * self.error + share * (target - acceptance)
        log_step_size = self.centre - jnp.sqrt(t) / _SHRINKAGE * error
        weight = t**-_DECAY
        log_average = weight * log_step_size + (1 - weight) * self.log_average
        return DualAveraging(log_step_size, log_average, error, self.centre, t)
