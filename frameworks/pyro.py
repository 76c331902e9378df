"""Pyro: inference on models written with `pyro.sample`, vectorised over particles by plates."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.infer import HMC, MCMC, NUTS
from pyro.infer.importance import vectorized_importance_weights
from pyro.infer.mcmc.util import initialize_model
from pyro.ops.jit import trace as jit_trace

from frameworks.adaptive_base import AdaptiveChains
from frameworks.base import Inputs, Program
from frameworks.torch_base import TorchFramework


class Pyro(TorchFramework):
    """Generic inference on model and guide functions."""

    name = "pyro"
    label = "Pyro"
    color = "#3CB371"
    distributions = (*TorchFramework.distributions, "pyro-ppl")
    repeatable = False  # its calls draw from PyTorch's global generator

    def start(self, device: str, dtype: str) -> None:
        """Sets what `TorchFramework` sets, and leaves out checks of arguments: no other system's time has any."""
        super().start(device, dtype)
        pyro.enable_validation(False)

    def inputs_of_calls(self, program: Program, seed: int, calls: int) -> Sequence[Inputs]:
        """The same tensors for all calls: each call draws on from where the last one left the global generator."""
        return [program.prepare(seed)] * calls

    def importance_sampling(
        self, model: Callable[..., object], args: tuple[Any, ...], guide: Callable[..., Any], *, n_particles: int
    ) -> Program:
        """Importance sampling of a model by a guide with Pyro's own vectorised weights.

        Args:
            model: model function whose plates leave the dimensions left of -1 free; its observations are among its
                arguments.
            args: arguments of model and guide.
            guide: proposal over the model's latent sites, of the same arguments.
            n_particles: number of particles.

        Returns:
            Program whose outputs are the guide's sites, (n_particles,) each, and `log_weights` (n_particles,):
            log w_i = log p(latents_i, data) - log q(latents_i).
        """

        def run(inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
            with torch.inference_mode():
                log_weights, _, guide_trace = vectorized_importance_weights(
                    model, guide, *inputs, num_samples=n_particles, max_plate_nesting=1, normalized=False
                )
                latents = {name: guide_trace.nodes[name]["value"].reshape(-1) for name in guide_trace.stochastic_nodes}
            return {**latents, "log_weights": log_weights}

        return Program(self._prepare(args), run)

    def prior_importance_sampling(
        self,
        model: Callable[..., object],
        args: tuple[Any, ...],
        prior: Callable[[], object],
        *,
        n_particles: int,
        jit_compile: bool,
    ) -> Program:
        """Importance sampling of a model of all particles at once by its own prior; the weights are the likelihood.

        Args:
            model: model function with a plate of `n_particles` as its last batch dimension; its observations are among
                its arguments.
            args: the model's arguments.
            prior: the model's latent sites, under that plate.
            n_particles: number of particles.
            jit_compile: whether the likelihood is compiled by `pyro.ops.jit`, as Pyro's own `JitTrace_ELBO` is.

        Returns:
            Program whose outputs are the prior's sites, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(data | latents_i).
        """

        def draw() -> dict[str, torch.Tensor]:
            drawn = poutine.trace(prior).get_trace()
            sites = {name: drawn.nodes[name] for name in drawn.stochastic_nodes}
            return {name: site["value"] for name, site in sites.items() if not is_subsample(site)}

        names = list(draw())

        def log_likelihood(*values: torch.Tensor) -> torch.Tensor:
            latents, given = dict(zip(names, values, strict=False)), values[len(names) :]
            nodes = poutine.trace(poutine.condition(model, latents)).get_trace(*given).nodes
            sites = [nodes[name] for name in nodes if nodes[name]["type"] == "sample" and name not in names]
            observed = [site for site in sites if site["is_observed"] and not is_subsample(site)]
            terms = [site["fn"].log_prob(site["value"]).reshape(-1, n_particles).sum(0) for site in observed]
            return torch.stack(terms).sum(0)

        weigh = jit_trace(log_likelihood, ignore_warnings=True) if jit_compile else log_likelihood

        def run(inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
            with torch.inference_mode():
                latents = draw()
                return {**latents, "log_weights": weigh(*latents.values(), *inputs)}

        return Program(self._prepare(args), run)

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
    ) -> Program:
        """Pyro's `HMC` in `MCMC`: unit mass, neither step size nor mass adapted, the potential compiled by Pyro's jit.

        The latents of `model` must live on the whole real line. The potential is made and compiled once, when the
        program is made: `MCMC.run` would otherwise trace it again in every call.

        Args:
            model: model function; its observations are among its arguments.
            args: the model's arguments.
            start: the state from which the chain begins.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept, after `n_warmup` that are not.
            n_chains: one. Pyro runs several chains in several processes, one after the other, or not at all.

        Returns:
            Program whose outputs are the latents, (1, n_samples) each, and of each step `log_density`
            log p(latents, data) at its end and `acceptance_probability`, (1, n_samples) each.

        Raises:
            ValueError: more than one chain.
        """
        if n_chains != 1:
            raise ValueError(f"pyro's hmc got n_chains={n_chains}. Pyro does not run chains side by side: pass 1.")
        point = {name: torch.as_tensor(value, device=self._device) for name, value in start.items()}
        given = [torch.as_tensor(argument, device=self._device) for argument in args]
        _, potential, _, _ = initialize_model(
            model,
            tuple(given),
            jit_compile=True,
            jit_options={"check_trace": False},
            skip_jit_warnings=True,
            initial_params=point,
        )

        def run(inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
            del inputs  # the potential holds the arguments
            kernel = HMC(
                potential_fn=potential,
                step_size=step_size,
                num_steps=n_leapfrog,
                adapt_step_size=False,
                adapt_mass_matrix=False,
            )
            densities: list[Any] = []
            means: list[float] = [0.0]

            def note(kernel: HMC, _: Any, stage: str, __: int) -> None:
                if not stage.startswith("Warmup"):
                    densities.append(-kernel._fetch_from_cache()[1])
                    means.append(kernel._mean_accept_prob)

            chain = MCMC(
                kernel, num_samples=n_samples, warmup_steps=n_warmup, initial_params=point, disable_progbar=True,
                hook_fn=note,
            )  # fmt: skip
            chain.run()
            # Pyro keeps the running mean of its acceptance probabilities, which tells each of them.
            probabilities = np.diff(np.arange(n_samples + 1) * np.asarray(means)).round(9).clip(0, 1)
            told = {
                "log_density": torch.stack(densities),
                "acceptance_probability": torch.as_tensor(probabilities, dtype=torch.get_default_dtype()),
            }
            return {**chain.get_samples(group_by_chain=True), **{name: value[None] for name, value in told.items()}}

        n_steps = n_warmup + n_samples
        notes = {"gradient_evaluations": n_steps * n_leapfrog + 1, "threads": torch.get_num_threads()}
        return Program(self._prepare(args), run, notes)

    def nuts(
        self, model: Callable[..., object], args: tuple[Any, ...], starts: dict[str, Any], chains: AdaptiveChains
    ) -> Program:
        """Pyro's `NUTS` in `MCMC`, the potential compiled by Pyro's jit; chains one after the other.

        The potential is made once, when the program is made, and compiled in the first call: `MCMC.run` would otherwise
        trace it again in every call and for every chain.

        Args:
            model: model function; its observations are among its arguments.
            args: the model's arguments.
            starts: where chains begin: values of the latent sites in their supports, (n_chains, ...) each.
            chains: how many, how long, and what their warm-up aims at.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples, ...) each, and of each step `n_gradients` and
            `diverging`, (n_chains, n_samples) each.
        """
        given = tuple(torch.as_tensor(argument, device=self._device) for argument in args)
        # The starts are given, so an empty dict keeps Pyro from looking for some.
        _, potential, transforms, _ = initialize_model(
            model, given, jit_compile=True, jit_options={"check_trace": False}, skip_jit_warnings=True,
            initial_params={},
        )  # fmt: skip
        begin = {name: transforms[name](torch.as_tensor(start, device=self._device)) for name, start in starts.items()}

        def chain(start: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            n_evaluations = 0
            ends: list[int] = []
            diverging: list[bool] = []

            def counted(point: dict[str, torch.Tensor]) -> torch.Tensor:
                nonlocal n_evaluations
                n_evaluations += 1
                return potential(point)

            def note(kernel: NUTS, _: Any, stage: str, index: int) -> None:
                ends.append(n_evaluations)
                if not stage.startswith("Warmup"):
                    diverging.append(index in kernel.diagnostics()["divergences"])

            kernel = NUTS(potential_fn=counted, target_accept_prob=chains.target_acceptance)
            sampler = MCMC(
                kernel, num_samples=chains.n_samples, warmup_steps=chains.n_warmup, initial_params=start,
                transforms=transforms, disable_progbar=True, hook_fn=note,
            )  # fmt: skip
            sampler.run()
            # NUTS evaluates the potential once for each gradient, and nowhere else after the warm-up.
            told = {"n_gradients": np.diff(ends)[-chains.n_samples :], "diverging": np.array(diverging)}
            return {**sampler.get_samples(), **{name: torch.as_tensor(values) for name, values in told.items()}}

        def run(inputs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
            del inputs  # the potential holds the arguments
            kept = [chain({name: start[index] for name, start in begin.items()}) for index in range(chains.n_chains)]
            return {name: torch.stack([one[name] for one in kept]) for name in kept[0]}

        return Program(self._prepare(args), run, {"threads": torch.get_num_threads()})

    def _prepare(self, args: tuple[Any, ...]) -> Callable[[int], list[torch.Tensor]]:
        def prepare(seed: int) -> list[torch.Tensor]:
            # Pyro draws from PyTorch's global generator.
            pyro.set_rng_seed(seed)
            return [torch.as_tensor(argument, device=self._device) for argument in args]

        return prepare


def is_subsample(site: dict[str, Any]) -> bool:
    """Whether a site of a trace is the numbering of a plate, which Pyro keeps beside the choices."""
    return type(site["fn"]).__name__ == "_Subsample"
