"""TensorFlow Probability on JAX: inference with its distributions and transition kernels."""

from collections.abc import Callable
from typing import Any

import jax
import tensorflow_probability.substrates.jax as tfp

from frameworks.adaptive_base import AdaptiveChains
from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class TensorFlowProbability(JaxFramework):
    """Generic inference on a prior and a likelihood made of `tfp.distributions`."""

    name = "tfp"
    label = "TFP on JAX"
    color = "#9370DB"
    distributions = (*JaxFramework.distributions, "tfp-nightly")

    def importance_sampling(
        self,
        prior: Callable[[], Any],
        likelihood: Callable[..., Any],
        args: tuple[Any, ...],
        observations: Any,
        *,
        n_particles: int,
        event_axis: int | None = None,
    ) -> Program:
        """Importance sampling with the prior as proposal: one batched draw, one batched density.

        Args:
            prior: `() -> joint distribution` whose draws are a dict.
            likelihood: `(latents, *args) -> distribution` of the observations, batched as the latents are.
            args: arrays that the likelihood depends on.
            observations: its value.
            n_particles: number of particles.
            event_axis: the axis of the batch along which independent observations lie; None where they are an event.

        Returns:
            Program whose outputs are the latents, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(observations | latents_i).
        """

        def prepare(seed: int) -> dict[str, Any]:
            given = jax.device_put((args, observations))
            return {"key": jax.random.key(seed), "args": given[0], "observations": given[1]}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            latents = prior().sample(n_particles, seed=inputs["key"])
            log_weights = likelihood(latents, *inputs["args"]).log_prob(inputs["observations"])
            log_weights = log_weights if event_axis is None else log_weights.sum(event_axis)
            return {**latents, "log_weights": log_weights}

        return Program(prepare, run)

    def hmc(
        self,
        prior: Callable[[], Any],
        likelihood: Callable[..., Any],
        args: tuple[Any, ...],
        observations: Any,
        start: dict[str, Any],
        *,
        step_size: float,
        n_leapfrog: int,
        n_samples: int,
        n_warmup: int,
        n_chains: int,
    ) -> Program:
        """`tfp.mcmc.HamiltonianMonteCarlo` in `tfp.mcmc.sample_chain`: unit mass, nothing adapted, chains as a batch.

        Args:
            prior, likelihood, args, observations: as for `importance_sampling`.
            start: the state from which every chain begins.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `log_density`
            log p(latents, data) at its end and `acceptance_probability`, (n_chains, n_samples) each.
        """
        names = list(start)

        def prepare(seed: int) -> dict[str, Any]:
            given = jax.device_put((args, observations, start))
            return {"key": jax.random.key(seed), "args": given[0], "observations": given[1], "start": given[2]}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            def log_density(*state: jax.Array) -> jax.Array:
                latents = dict(zip(names, state, strict=True))
                log_likelihood = likelihood(latents, *inputs["args"]).log_prob(inputs["observations"])
                return prior().log_prob(latents) + log_likelihood

            kernel = tfp.mcmc.HamiltonianMonteCarlo(log_density, step_size=step_size, num_leapfrog_steps=n_leapfrog)

            def told(_: Any, results: Any) -> dict[str, jax.Array]:
                probability = jax.numpy.exp(jax.numpy.minimum(results.log_accept_ratio, 0.0))
                return {
                    "log_density": results.accepted_results.target_log_prob, "acceptance_probability": probability,
                }  # fmt: skip

            states, traced = tfp.mcmc.sample_chain(
                num_results=n_samples,
                num_burnin_steps=n_warmup,
                current_state=[
                    jax.numpy.broadcast_to(inputs["start"][name], (n_chains, *inputs["start"][name].shape))
                    for name in names
                ],
                kernel=kernel,
                trace_fn=told,
                seed=inputs["key"],
            )
            kept = {**dict(zip(names, states, strict=True)), **traced}
            return {name: jax.numpy.swapaxes(values, 0, 1) for name, values in kept.items()}

        # The gradient at the start of a trajectory is that of the last end.
        n_steps = n_chains * (n_warmup + n_samples)
        return Program(prepare, run, {"gradient_evaluations": n_steps * n_leapfrog + n_chains})

    def nuts(
        self, model: Callable[..., Any], args: tuple[Any, ...], observed: dict[str, Any], starts: dict[str, Any],
        chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        """`tfp.experimental.mcmc.windowed_adaptive_nuts`: chains as a batch, one step size and mass matrix for all.

        Args:
            model: `(*args) -> joint distribution` with named parts, batched by itself.
            args: arrays that it depends on.
            observed: values of its observed parts.
            starts: where chains begin: values of the other parts in their supports, (n_chains, ...) each.
            chains: how many, how long, and what their warm-up aims at.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `n_gradients` and
            `diverging`, (n_chains, n_samples) each.
        """
        told = lambda trace: {"n_gradients": trace["n_steps"], "diverging": trace["diverging"]}
        sampler = tfp.experimental.mcmc.windowed_adaptive_nuts
        return self._adaptive(sampler, {}, told, model, args, observed, starts, chains)

    def adaptive_hmc(
        self, model: Callable[..., Any], args: tuple[Any, ...], observed: dict[str, Any], starts: dict[str, Any],
        chains: AdaptiveChains, *, n_leapfrog: int,
    ) -> Program:  # fmt: skip
        """`tfp.experimental.mcmc.windowed_adaptive_hmc` with `n_leapfrog` steps, adapted likewise; see `nuts`."""

        def told(trace: Any) -> dict[str, jax.Array]:
            # TFP calls a change of energy by more than 500 nats a divergence, other systems one by 1,000.
            count = jax.numpy.full(trace["accept_ratio"].shape, n_leapfrog, jax.numpy.int32)
            return {"n_gradients": count, "diverging": trace["diverging"]}

        options = {"num_leapfrog_steps": n_leapfrog}
        sampler = tfp.experimental.mcmc.windowed_adaptive_hmc
        return self._adaptive(sampler, options, told, model, args, observed, starts, chains)

    def _adaptive(
        self, sampler: Callable[..., Any], options: dict[str, Any], told: Callable[[Any], dict[str, jax.Array]],
        model: Callable[..., Any], args: tuple[Any, ...], observed: dict[str, Any], starts: dict[str, Any],
        chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        def prepare(seed: int) -> dict[str, Any]:
            given = jax.device_put((args, observed, starts))
            return {"key": jax.random.key(seed), "args": given[0], "observed": given[1], "starts": given[2]}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            joint = model(*inputs["args"])
            state = joint.experimental_pin(**inputs["observed"]).event_shape._replace(**inputs["starts"])
            draws, trace = sampler(
                chains.n_samples,
                joint,
                n_chains=chains.n_chains,
                num_adaptation_steps=chains.n_warmup,
                current_state=state,
                # Its own aims are 0.85 for NUTS and 0.75 for HMC.
                dual_averaging_kwargs={"target_accept_prob": chains.target_acceptance},
                seed=inputs["key"],
                **options,
                **inputs["observed"],
            )
            kept = {**{name: getattr(draws, name) for name in starts}, **told(trace)}
            return {name: jax.numpy.swapaxes(values, 0, 1) for name, values in kept.items()}

        return Program(prepare, run)
