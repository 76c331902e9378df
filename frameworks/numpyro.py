"""NumPyro: inference on models written with `numpyro.sample`."""

from collections.abc import Callable
from typing import Any

import jax
from numpyro.handlers import seed as seed_handler
from numpyro.infer.util import log_density

from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class NumPyro(JaxFramework):
    """Generic inference on model and guide functions."""

    name = "numpyro"
    label = "NumPyro"
    color = "coral"
    distributions = ("jax", "jaxlib", "numpyro")

    def importance_sampling(
        self, model: Callable[..., Any], args: tuple[Any, ...], guide: Callable[[], Any], *, n_particles: int
    ) -> Program:
        """Importance sampling of a model by a guide, vectorised over particles as NumPyro's own ELBO estimators are.

        Args:
            model: model function; its observations are among its arguments.
            args: the model's arguments.
            guide: proposal over the model's latent sites, without arguments.
            n_particles: number of particles.

        Returns:
            Program whose outputs are the guide's sites, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(latents_i, data) - log q(latents_i).
        """

        def particle(key: jax.Array, args: tuple[Any, ...]) -> dict[str, jax.Array]:
            log_guide, sites = log_density(seed_handler(guide, key), (), {}, {})
            latents = {name: site["value"] for name, site in sites.items() if site["type"] == "sample"}
            log_model, _ = log_density(model, args, {}, latents)
            return {**latents, "log_weights": log_model - log_guide}

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "args": jax.device_put(args)}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], n_particles)
            return jax.vmap(particle, in_axes=(0, None))(keys, inputs["args"])

        return Program(prepare, run)
