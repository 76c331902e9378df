"""GenJAX, the language of this repository: inference through the generative function interface."""

from typing import Any

import jax

import genjax
from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class GenJax(JaxFramework):
    """Generic inference on generative functions."""

    name = "genjax"
    label = "Ours"
    color = "deepskyblue"
    distributions = ("jax", "jaxlib")
    sources = ("genjax/**/*.py",)

    def importance_sampling(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any], *, n_particles: int
    ) -> Program:
        """Importance sampling with the model's internal proposal, the prior.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments; arrays among them are inputs of the compiled program.
            constraints: observed values by address.
            n_particles: number of particles.

        Returns:
            Program whose outputs are the unconstrained choices by address, (n_particles, ...) each, and `log_weights`
            (n_particles,): log w_i = log p(constraints | latents_i), the weight of `generate`.
        """

        def particle(constraints: dict[str, Any], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            trace, log_weight = model.generate(constraints, *args)
            choices = trace.get_choices()
            latents = {address: value for address, value in choices.items() if address not in constraints}
            return {**latents, "log_weights": log_weight}

        particles = genjax.seed(genjax.modular_vmap(particle, in_axes=None, axis_size=n_particles))

        def prepare(seed: int) -> dict[str, Any]:
            return {
                "key": jax.random.key(seed),
                "constraints": jax.device_put(constraints),
                "args": jax.device_put(args),
            }

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            return particles(inputs["key"], inputs["constraints"], inputs["args"])

        return Program(prepare, run)
