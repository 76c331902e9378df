"""Plain `jax.random` and `jax.numpy`: the baseline that a probabilistic language must not be slower than.

Written as a JAX user without any probabilistic system would write it. It shares no code with the systems that it is
compared with, other than JAX.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class HandcodedJax(JaxFramework):
    """Generic inference on hand-written samplers and log densities."""

    name = "handcoded_jax"
    label = "Handcoded JAX"
    color = "gold"
    distributions = ("jax", "jaxlib")

    def importance_sampling(
        self,
        draw_prior: Callable[..., dict[str, jax.Array]],
        log_likelihood: Callable[..., jax.Array],
        data: Sequence[Any],
        *,
        n_particles: int,
    ) -> Program:
        """Importance sampling with the prior as proposal.

        Args:
            draw_prior: `(key, shape) -> latents`, a dict of arrays that begin with `shape`: one batched draw.
            log_likelihood: `(latents, *data) -> scalar` for the latents of one particle.
            data: arrays that are handed to `log_likelihood`.
            n_particles: number of particles.

        Returns:
            Program whose outputs are the latents, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(data | latents_i).
        """

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "data": jax.device_put(tuple(data))}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            latents = draw_prior(inputs["key"], (n_particles,))
            log_weights = jax.vmap(lambda particle: log_likelihood(particle, *inputs["data"]))(latents)
            return {**latents, "log_weights": log_weights}

        return Program(prepare, run)
