"""GenJAX, the language of this repository: inference through the generative function interface."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import genjax
from frameworks.adaptive_base import AdaptiveChains
from frameworks.base import Program
from frameworks.jax_base import JaxFramework
from genjax.inference import chain, importance
from genjax.inference.kernels import HMC, NUTS, Kernel


class GenJax(JaxFramework):
    """Generic inference on generative functions."""

    name = "genjax"
    label = "Ours"
    color = "#00BFFF"
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
            Program whose outputs are the `latents`, (n_particles, ...) each, and `log_weights`
            (n_particles,): log w_i = log p(constraints | latents_i), the weight of `generate`.
        """

        def particle(constraints: dict[str, Any], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            trace, log_weight = model.generate(constraints, *args)
            return {**latents(trace.get_choices(), constraints), "log_weights": log_weight}

        particles = genjax.seed(genjax.modular_vmap(particle, in_axes=None, axis_size=n_particles))

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            return particles(inputs["key"], inputs["constraints"], inputs["args"])

        return Program(_prepare(constraints, args), run)

    def simulation(self, model: genjax.GFI, args: tuple[Any, ...], *, n_traces: int | None = None) -> Program:
        """Traces drawn from the model, nothing constrained.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments.
            n_traces: how many, side by side under `vmap`; None for one without a batch axis.

        Returns:
            Program whose outputs are all choices, (n_traces, ...) each, and `log_density` (n_traces,): log p(choices),
            which is minus the score of the trace.
        """

        def one(args: tuple[Any, ...]) -> dict[str, jax.Array]:
            trace = model.simulate(*args)
            return {**latents(trace.get_choices()), "log_density": -trace.get_score()}

        batched = one if n_traces is None else genjax.modular_vmap(one, in_axes=None, axis_size=n_traces)
        batch = genjax.seed(batched)
        return Program(_prepare({}, args), lambda inputs: batch(inputs["key"], inputs["args"]))

    def log_evidence(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any],
        *, n_particles: int, n_replicates: int, batch_size: int,
    ) -> Program:  # fmt: skip
        """Replicates of the log evidence estimated by importance sampling from the prior, and nothing else.

        Particles live in batches, one after the other, so that memory does not grow with their number.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments.
            constraints: observed values by address.
            n_particles: of one estimate.
            n_replicates: independent estimates, one after the other.
            batch_size: most particles at a time.

        Returns:
            Program whose output is `log_evidence` (n_replicates,): log((1/n_particles) sum_i w_i) each.
        """
        n_batches, rest = divmod(n_particles, batch_size)

        def log_sum(key: jax.Array, size: int, inputs: dict[str, Any]) -> jax.Array:
            def mean(constraints: dict[str, Any], args: tuple[Any, ...]) -> jax.Array:
                return importance.log_evidence(model, args, size, constraints)

            return genjax.seed(mean)(key, inputs["constraints"], inputs["args"]) + jnp.log(float(size))

        def estimate(key: jax.Array, inputs: dict[str, Any]) -> jax.Array:
            keys = jax.random.split(key, n_batches + 1)
            parts = [jax.lax.map(lambda one: log_sum(one, batch_size, inputs), keys[1:])] if n_batches else []
            if rest:
                parts.append(log_sum(keys[0], rest, inputs)[None])
            return jax.nn.logsumexp(jnp.concatenate(parts)) - jnp.log(float(n_particles))

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], n_replicates)
            return {"log_evidence": jax.lax.map(lambda key: estimate(key, inputs), keys)}

        return Program(_prepare(constraints, args), run)

    def posterior_draws(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any],
        *, n_particles: int, n_draws: int,
    ) -> Program:  # fmt: skip
        """Independent importance samplers, one after the other, and one draw by weight from each.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments.
            constraints: observed values by address.
            n_particles: of each sampler.
            n_draws: number of samplers.

        Returns:
            Program whose outputs are the `latents` of the draws, (n_draws, ...) each, `log_weights` (n_draws,) of the
            drawn particles, and of each sampler `log_evidence` and `effective_sample_size` (n_draws,):
            (sum_i w_i)^2 / sum_i w_i^2.
        """

        def one(constraints: dict[str, Any], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            result = importance.importance_sampling(model, args, n_particles, constraints)
            drawn = importance.resample_ancestors(result.log_weights, 1)[0]
            return {
                **jax.tree.map(lambda leaf: leaf[drawn], latents(result.traces.get_choices(), constraints)),
                "log_weights": result.log_weights[drawn],
                "log_evidence": result.log_evidence(),
                "effective_sample_size": result.effective_sample_size(),
            }

        sampler = genjax.seed(one)

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            keys = jax.random.split(inputs["key"], n_draws)
            return jax.lax.map(lambda key: sampler(key, inputs["constraints"], inputs["args"]), keys)

        return Program(_prepare(constraints, args), run)

    def chains(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any],
        kernel: Callable[[genjax.Trace], genjax.Trace], *, n_chains: int, n_steps: int,
        start: dict[str, Any] | None = None, **notes: Any,
    ) -> Program:  # fmt: skip
        """Markov chains side by side, each from a trace of its own, generated from the prior.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments.
            constraints: observed values by address.
            kernel: `trace -> trace`, leaves the posterior invariant.
            n_chains: number of chains.
            n_steps: steps of each; all states are kept.
            start: choices in which all chains begin; the others are drawn from the prior. None: all are drawn.
            notes: facts about the kernel for the record.

        Returns:
            Program whose outputs are the `latents`, (n_chains, n_steps, ...) each, and `accepts` (n_chains, n_steps).
        """

        def begin(constraints: dict[str, Any], args: tuple[Any, ...]) -> genjax.Trace:
            return model.generate({**constraints, **(start or {})}, *args)[0].observe(constraints)

        starts = genjax.seed(genjax.modular_vmap(begin, in_axes=None, axis_size=n_chains))
        loop = genjax.seed(chain(kernel, collect=lambda trace: latents(trace.get_choices(), constraints)))

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            start_key, loop_key = jax.random.split(inputs["key"])
            initial = starts(start_key, inputs["constraints"], inputs["args"])
            result = loop(loop_key, initial, genjax.const(n_steps), n_chains=genjax.const(n_chains))
            return {**result.traces, "accepts": result.accepts}

        return Program(_prepare(constraints, args), run, notes)

    def hmc(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any], start: dict[str, Any],
        *, step_size: float, n_leapfrog: int, n_samples: int, n_warmup: int, n_chains: int,
    ) -> Program:  # fmt: skip
        """Hamiltonian Monte Carlo with unit mass on all choices that are not constrained, nothing adapted.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments.
            constraints: observed values by address.
            start: the other choices, from which every chain begins.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `log_density`
            log p(latents, constraints) at its end and `acceptance_probability`, (n_chains, n_samples) each.
        """
        moved = genjax.sel(*start)
        loop = chain(
            HMC(moved, step_size, n_leapfrog),
            collect=lambda trace: {**latents(trace.get_choices(), constraints), "log_density": -trace.get_score()},
        )

        @genjax.seed
        def chains(constraints: dict[str, Any], start: dict[str, Any], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            trace, _ = model.generate({**constraints, **start}, *args)
            result = loop(trace.observe(constraints), n_warmup + n_samples, burn_in=n_warmup, n_chains=n_chains)
            kept = {**result.traces, "acceptance_probability": result.info.acceptance}
            return kept if n_chains > 1 else {name: values[None] for name, values in kept.items()}

        inputs = _prepare(constraints, args)

        def prepare(seed: int) -> dict[str, Any]:
            return {**inputs(seed), "start": jax.device_put(start)}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            return chains(inputs["key"], inputs["constraints"], inputs["start"], inputs["args"])

        n_steps = n_chains * (n_warmup + n_samples)
        return Program(prepare, run, {"gradient_evaluations": n_steps * n_leapfrog + 1})

    def nuts(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any], starts: dict[str, Any],
        chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        """The No-U-Turn Sampler on all choices that are not constrained, after a warm-up of each chain.

        Args:
            model: generative function whose choices are a dict.
            args: its arguments.
            constraints: observed values by address.
            starts: where chains begin: the other choices, (n_chains, ...) each.
            chains: how many, how long, and what their warm-up aims at.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `n_gradients` and
            `diverging`, (n_chains, n_samples) each.
        """
        return self._adaptive(NUTS(genjax.sel(*starts)), model, args, constraints, starts, chains)

    def adaptive_hmc(
        self, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any], starts: dict[str, Any],
        chains: AdaptiveChains, *, n_leapfrog: int,
    ) -> Program:  # fmt: skip
        """Hamiltonian Monte Carlo with `n_leapfrog` steps after a warm-up; see `nuts`."""
        return self._adaptive(HMC(genjax.sel(*starts), 0.1, n_leapfrog), model, args, constraints, starts, chains)

    def _adaptive(
        self, kernel: Kernel, model: genjax.GFI, args: tuple[Any, ...], constraints: dict[str, Any],
        starts: dict[str, Any], chains: AdaptiveChains,
    ) -> Program:  # fmt: skip
        loop = chain(kernel, collect=lambda trace: latents(trace.get_choices(), constraints))

        @genjax.seed
        def sample(constraints: dict[str, Any], starts: dict[str, Any], args: tuple[Any, ...]) -> dict[str, jax.Array]:
            def begin(start: dict[str, Any]) -> Any:
                return model.generate({**constraints, **start}, *args)[0].observe(constraints)

            traces = genjax.modular_vmap(begin)(starts)
            result = loop(
                traces, chains.n_samples, n_warmup=chains.n_warmup, n_chains=chains.n_chains,
                target_acceptance=chains.target_acceptance,
            )  # fmt: skip
            return {**result.traces, "n_gradients": result.info.n_gradients, "diverging": result.info.is_divergent}

        inputs = _prepare(constraints, args)

        def prepare(seed: int) -> dict[str, Any]:
            return {**inputs(seed), "starts": jax.device_put(starts)}

        def run(inputs: dict[str, Any]) -> dict[str, jax.Array]:
            return sample(inputs["key"], inputs["constraints"], inputs["starts"], inputs["args"])

        return Program(prepare, run)


def latents(choices: dict[str, Any], constraints: Any = None) -> dict[str, jax.Array]:
    """The choices that are not constrained, as a flat dict from the last part of the address to the value.

    Raises:
        ValueError: two addresses end alike.
    """
    found: dict[str, jax.Array] = {}
    for name, value in choices.items():
        given = constraints.get(name) if isinstance(constraints, dict) else None
        if isinstance(value, dict):
            inner = latents(value, given)
        else:
            inner = {} if given is not None else {name: value}
        if found.keys() & inner.keys():
            raise ValueError(f"latents got several addresses that end in {sorted(found.keys() & inner.keys())}.")
        found |= inner
    return found


def _prepare(constraints: dict[str, Any], args: tuple[Any, ...]) -> Callable[[int], dict[str, Any]]:
    def prepare(seed: int) -> dict[str, Any]:
        return {
            "key": jax.random.key(seed),
            "constraints": jax.device_put(constraints),
            "args": jax.device_put(args),
        }

    return prepare
