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
        """Hamiltonian Monte Carlo with unit mass, nothing adapted.

        Args:
            log_density: `(latents, *data) -> scalar`, log p(latents, data) of one state.
            data: arrays that are handed to `log_density`.
            start: the state from which every chain begins.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each.
        """

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "data": jax.device_put(tuple(data)), "start": jax.device_put(start)}

        def chain(key: jax.Array, start: dict[str, jax.Array], data: tuple[Any, ...]) -> dict[str, jax.Array]:
            value_and_gradient = jax.value_and_grad(lambda state: log_density(state, *data))

            def transition(carry: tuple, key: jax.Array) -> tuple[tuple, dict[str, jax.Array]]:
                state, value = carry
                momentum_key, accept_key = jax.random.split(key)
                keys = jax.random.split(momentum_key, len(state))
                momentum = {
                    n: jax.random.normal(k, x.shape, x.dtype) for k, (n, x) in zip(keys, state.items(), strict=True)
                }

                def leapfrog(_: Any, at: tuple) -> tuple:
                    state, momentum, gradient, _value = at
                    momentum = {n: r + 0.5 * step_size * gradient[n] for n, r in momentum.items()}
                    state = {n: x + step_size * momentum[n] for n, x in state.items()}
                    value, gradient = value_and_gradient(state)
                    momentum = {n: r + 0.5 * step_size * gradient[n] for n, r in momentum.items()}
                    return state, momentum, gradient, value

                _, gradient = value_and_gradient(state)
                new, end, _, new_value = jax.lax.fori_loop(0, n_leapfrog, leapfrog, (state, momentum, gradient, value))
                kinetic = sum(jnp.sum(end[n] ** 2) - jnp.sum(momentum[n] ** 2) for n in state) / 2
                accept = jnp.log(jax.random.uniform(accept_key)) < new_value - value - kinetic
                kept = {n: jnp.where(accept, new[n], state[n]) for n in state}
                return (kept, jnp.where(accept, new_value, value)), kept

            keys = jax.random.split(key, n_warmup + n_samples)
            _, states = jax.lax.scan(transition, (start, log_density(start, *data)), keys)
            return {n: values[n_warmup:] for n, values in states.items()}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], n_chains)
            return jax.vmap(chain, in_axes=(0, None, None))(keys, inputs["start"], inputs["data"])

        n_steps = n_chains * (n_warmup + n_samples)
        return Program(prepare, run, {"gradient_evaluations": n_steps * (n_leapfrog + 1)})
