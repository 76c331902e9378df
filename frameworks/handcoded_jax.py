"""Plain `jax.random` and `jax.numpy`: the baseline that a probabilistic language must not be slower than.

Written as a JAX user without any probabilistic system would write it. It shares no code with the systems that it is
compared with, other than JAX.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class HandcodedJax(JaxFramework):
    """Generic inference on hand-written samplers and log densities."""

    name = "handcoded_jax"
    label = "Handcoded JAX"
    color = "#FFD700"

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

        def of_all(latents: dict[str, jax.Array], *data: jax.Array) -> jax.Array:
            return jax.vmap(lambda particle: log_likelihood(particle, *data))(latents)

        return self.batched_importance_sampling(draw_prior, of_all, data, n_particles=n_particles)

    def batched_importance_sampling(
        self,
        draw_prior: Callable[..., dict[str, jax.Array]],
        log_likelihoods: Callable[..., jax.Array],
        data: Sequence[Any],
        *,
        n_particles: int,
    ) -> Program:
        """The same, of a likelihood `(latents, *data) -> (n_particles,)` that is written for all particles at once."""

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "data": jax.device_put(tuple(data))}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            latents = draw_prior(inputs["key"], (n_particles,))
            return {**latents, "log_weights": log_likelihoods(latents, *inputs["data"])}

        return Program(prepare, run)

    def hmc(
        self,
        log_density: Callable[..., jax.Array],
        data: Sequence[Any],
        start: dict[str, Any],
        *,
        step_size: float,
        n_leapfrog: int,
        n_samples: int,
        n_warmup: int,
        n_chains: int,
    ) -> Program:
        """Hamiltonian Monte Carlo with unit mass, nothing adapted; all chains in one batch of arrays.

        As fast as we know how to write it without touching the model: neighbouring half kicks of the momentum are one
        kick; the gradient at the end of a trajectory serves the next one; the log density, which only acceptance
        reads, is computed at the end of a trajectory alone; and momenta and uniforms of all steps are drawn in one
        batch before the loop, where a step of its own would pay for a dozen tiny kernels.

        Args:
            log_density: `(latents, *data) -> scalar`, log p(latents, data) of one state.
            data: arrays that are handed to `log_density`.
            start: the state from which every chain begins.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory, 1 or more.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `log_density`
            log p(latents, data) at its end and `acceptance_probability`, (n_chains, n_samples) each.
        """
        n_steps = n_warmup + n_samples

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "data": jax.device_put(tuple(data)), "start": jax.device_put(start)}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            value_and_gradient = jax.value_and_grad(lambda state: log_density(state, *inputs["data"]))

            def transition(at: tuple, noise: tuple) -> tuple[tuple, jax.Array]:
                state, value, gradient = at
                momentum, log_uniform = noise

                def leapfrog(_: Any, at: tuple) -> tuple:
                    state, momentum = at
                    state = _add(state, step_size, momentum)
                    return state, _add(momentum, step_size, value_and_gradient(state)[1])

                # The last step ends with half a kick, and is the only one whose density is wanted.
                first = state, _add(momentum, 0.5 * step_size, gradient)
                new, end = jax.lax.fori_loop(0, n_leapfrog - 1, leapfrog, first)
                new = _add(new, step_size, end)
                new_value, new_gradient = value_and_gradient(new)
                end = _add(end, 0.5 * step_size, new_gradient)
                kinetic = sum(jnp.sum(end[n] ** 2) - jnp.sum(momentum[n] ** 2) for n in state) / 2
                log_alpha = new_value - value - kinetic
                at = jax.tree.map(
                    lambda a, b: jnp.where(log_uniform < log_alpha, a, b), (new, new_value, new_gradient), at
                )
                return at, jnp.exp(jnp.minimum(log_alpha, 0.0))

            def step(chains: tuple, noise: tuple) -> tuple[tuple, dict[str, jax.Array]]:
                chains, probability = jax.vmap(transition)(chains, noise)
                return chains, {**chains[0], "log_density": chains[1], "acceptance_probability": probability}

            momenta, uniforms = self.noise_of_chains(inputs["key"], inputs["start"], (n_steps, n_chains))
            first = inputs["start"], *value_and_gradient(inputs["start"])
            chains = jax.tree.map(lambda value: jnp.broadcast_to(value, (n_chains, *value.shape)), first)
            _, states = jax.lax.scan(step, chains, (momenta, jnp.log(uniforms)))
            return {name: values[n_warmup:].swapaxes(0, 1) for name, values in states.items()}

        return Program(prepare, run, {"gradient_evaluations": n_chains * n_steps * n_leapfrog + 1})

    def noise_of_chains(
        self, key: jax.Array, start: dict[str, jax.Array], shape: tuple[int, int]
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """Momenta of the names and shapes of `start`, and uniforms, each with `shape` (steps, chains) in front."""
        momentum_key, uniform_key = jax.random.split(key)
        keys = jax.random.split(momentum_key, len(start))
        momenta = {
            name: jax.random.normal(key, (*shape, *value.shape), value.dtype)
            for key, (name, value) in zip(keys, start.items(), strict=True)
        }
        return momenta, jax.random.uniform(uniform_key, shape)


def _add(values: dict[str, jax.Array], scale: float, steps: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: value + scale * steps[name] for name, value in values.items()}
