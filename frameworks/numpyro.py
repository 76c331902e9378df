"""NumPyro: inference on models written with `numpyro.sample`."""

from collections.abc import Callable
from typing import Any

import jax
import numpyro
from numpyro.handlers import seed as seed_handler
from numpyro.handlers import trace as trace_handler
from numpyro.infer.hmc import hmc
from numpyro.infer.util import initialize_model, log_density, log_likelihood, unconstrain_fn

from frameworks.adaptive_base import AdaptiveChains
from frameworks.base import Program
from frameworks.jax_base import JaxFramework


class NumPyro(JaxFramework):
    """Generic inference on model and guide functions."""

    name = "numpyro"
    label = "NumPyro"
    color = "#FF7F50"
    distributions = (*JaxFramework.distributions, "numpyro")

    def importance_sampling(
        self, model: Callable[..., object], args: tuple[Any, ...], guide: Callable[[], Any], *, n_particles: int
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

    def prior_importance_sampling(
        self,
        model: Callable[..., object],
        args: tuple[Any, ...],
        prior: Callable[[], object],
        *,
        n_particles: int,
        batch_ndims: int = 1,
    ) -> Program:
        """Importance sampling of a model by its own prior, drawn under a plate of particles: one draw for each site.

        Prior and proposal cancel, so the weights are the likelihood alone, by NumPyro's `log_likelihood`.

        Args:
            model: model function; its observations are among its arguments.
            args: the model's arguments.
            prior: the model's latent sites, without arguments.
            n_particles: number of particles.
            batch_ndims: 1 for a model of one particle, which NumPyro maps over them; 0 for a model of all particles,
                along its last batch dimension.

        Returns:
            Program whose outputs are the prior's sites, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(data | latents_i).
        """

        def particles() -> None:
            with numpyro.plate("particles", n_particles):
                prior()

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "args": jax.device_put(args)}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            sites = trace_handler(seed_handler(particles, inputs["key"])).get_trace()
            latents = {name: site["value"] for name, site in sites.items() if site["type"] == "sample"}
            terms = log_likelihood(model, latents, *inputs["args"], parallel=True, batch_ndims=batch_ndims)
            log_weights = sum(
                term.reshape(-1, n_particles).sum(0) if batch_ndims == 0 else term.reshape(n_particles, -1).sum(-1)
                for term in terms.values()
            )
            return {**latents, "log_weights": log_weights}

        return Program(prepare, run)

    def hmc(
        self,
        model: Callable[..., object],
        args: tuple[Any, ...],
        start: dict[str, Any],
        *,
        step_size: float,
        n_leapfrog: int,
        n_samples: int,
        n_warmup: int,
        n_chains: int,
        vmap_one: bool = False,
    ) -> Program:
        """Hamiltonian Monte Carlo with unit mass, nothing adapted, through NumPyro's functional `hmc`.

        The latents of `model` must live on the whole real line, where NumPyro's transform is the identity.

        Args:
            model: model function; its observations are among its arguments.
            args: the model's arguments.
            start: the state from which every chain begins.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side, under `vmap`.
            vmap_one: whether a single chain runs under `vmap` too.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `log_density`
            log p(latents, data) at its end and `acceptance_probability`, (n_chains, n_samples) each.
        """
        potential = initialize_model(jax.random.key(0), model, model_args=args, dynamic_args=True).potential_fn

        def prepare(seed: int) -> dict[str, Any]:
            return {"key": jax.random.key(seed), "args": jax.device_put(args), "start": jax.device_put(start)}

        def chain(key: jax.Array, start: dict[str, jax.Array], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            initialize, transition = hmc(potential_fn_gen=potential, algo="HMC")
            state = initialize(
                start,
                n_warmup,
                step_size=step_size,
                num_steps=n_leapfrog,
                # Otherwise it stays 2 pi, and the step size that is asked for is replaced by 2 pi / num_steps.
                trajectory_length=None,
                adapt_step_size=False,
                adapt_mass_matrix=False,
                model_args=args,
                rng_key=key,
            )

            def step(state: Any, _: None) -> tuple[Any, dict[str, jax.Array]]:
                state = transition(state, args)
                told = {"log_density": -state.potential_energy, "acceptance_probability": state.accept_prob}
                return state, {**state.z, **told}

            state, _ = jax.lax.scan(lambda state, _: (step(state, None)[0], None), state, None, length=n_warmup)
            return jax.lax.scan(step, state, None, length=n_samples)[1]

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            if n_chains == 1 and not vmap_one:
                alone = chain(inputs["key"], inputs["start"], inputs["args"])
                return {name: values[None] for name, values in alone.items()}
            keys = jax.random.split(inputs["key"], n_chains)
            return jax.vmap(chain, in_axes=(0, None, None))(keys, inputs["start"], inputs["args"])

        # The gradient at the start of a trajectory is that of the last end.
        n_steps = n_chains * (n_warmup + n_samples)
        return Program(prepare, run, {"gradient_evaluations": n_steps * n_leapfrog + n_chains})

    def nuts(
        self, model: Callable[..., object], args: tuple[Any, ...], starts: dict[str, Any], chains: AdaptiveChains
    ) -> Program:
        """The No-U-Turn Sampler through NumPyro's functional `hmc`, each chain adapted by itself, under `vmap`.

        Args:
            model: model function; its observations are among its arguments.
            args: the model's arguments.
            starts: where chains begin: values of the latent sites in their supports, (n_chains, ...) each.
            chains: how many, how long, and what their warm-up aims at.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `n_gradients` and
            `diverging`, (n_chains, n_samples) each.
        """
        return self._adaptive("NUTS", {}, model, args, starts, chains)

    def adaptive_hmc(
        self, model: Callable[..., object], args: tuple[Any, ...], starts: dict[str, Any],
        chains: AdaptiveChains, *, n_leapfrog: int,
    ) -> Program:  # fmt: skip
        """Hamiltonian Monte Carlo with `n_leapfrog` steps, adapted likewise; see `nuts`."""
        options = {"num_steps": n_leapfrog, "trajectory_length": None}
        return self._adaptive("HMC", options, model, args, starts, chains)

    def _adaptive(
        self, algorithm: str, options: dict[str, Any], model: Callable[..., object], args: tuple[Any, ...],
        starts: dict[str, Any], chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        found = initialize_model(jax.random.key(0), model, model_args=args, dynamic_args=True)

        def prepare(seed: int) -> dict[str, Any]:
            begin = jax.vmap(lambda start: unconstrain_fn(model, args, {}, start))(jax.device_put(starts))
            return {"key": jax.random.key(seed), "args": jax.device_put(args), "starts": begin}

        def chain(key: jax.Array, start: dict[str, jax.Array], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            initialize, transition = hmc(potential_fn_gen=found.potential_fn, algo=algorithm)
            state = initialize(
                start,
                chains.n_warmup,
                target_accept_prob=chains.target_acceptance,
                model_args=args,
                rng_key=key,
                **options,
            )

            def step(state: Any, _: None) -> tuple[Any, dict[str, jax.Array]]:
                state = transition(state, args)
                told = {"n_gradients": state.num_steps, "diverging": state.diverging}
                return state, {**state.z, **told}

            warm = lambda state, _: (step(state, None)[0], None)
            state, _ = jax.lax.scan(warm, state, None, length=chains.n_warmup)
            kept = jax.lax.scan(step, state, None, length=chains.n_samples)[1]
            told = {name: kept.pop(name) for name in ("n_gradients", "diverging")}
            constrained = jax.vmap(found.postprocess_fn(*args))(kept)
            return {**{name: constrained[name] for name in starts}, **told}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], chains.n_chains)
            return jax.vmap(chain, in_axes=(0, 0, None))(keys, inputs["starts"], inputs["args"])

        return Program(prepare, run)
