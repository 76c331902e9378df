"""PyTorch: hand-coded inference in batched tensor operations, eager or compiled by `torch.compile`."""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from frameworks.base import Inputs, Program, Unavailable, call_seeds
from frameworks.torch_base import TorchFramework

Tensors = dict[str, torch.Tensor]

LARGEST_BLOCK = 5
"""Leapfrog steps that are compiled as one function: twenty would take a minute to compile, and save little more."""


class Torch(TorchFramework):
    """Generic inference on hand-written samplers and log densities of tensors."""

    name = "torch"
    label = "Handcoded PyTorch"
    spellings = ("handcoded_torch", "handcoded-torch", "pytorch")
    color = "#2F4F4F"
    environment = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # no pool of compiling processes that idles during the race

    def start(self, device: str, dtype: str) -> None:
        """Sets what `TorchFramework` sets, and lets programs of one model, which share code, be compiled apart."""
        super().start(device, dtype)
        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 10_000

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`torch.compile` of a function, as one graph for the shapes that it is called with.

        Raises:
            Unavailable: it compiles through C++ on the CPU, and there is no compiler.
        """
        compilers = [os.environ.get("CXX"), "g++", "clang++"]
        if self._device.type == "cpu" and not any(name and shutil.which(name) for name in compilers):
            raise Unavailable("torch.compile needs a C++ compiler, and neither CXX, g++ nor clang++ is one here")
        return torch.compile(function, fullgraph=True, dynamic=False)

    def inputs_of_calls(self, program: Program, seed: int, calls: int) -> Sequence[Inputs]:
        """Inputs that share every tensor, each with a generator of its own; see `Framework.inputs_of_calls`."""
        first = program.prepare(seed)
        if not isinstance(first, dict) or "generator" not in first:
            return super().inputs_of_calls(program, seed, calls)
        generators = [torch.Generator(self._device).manual_seed(one) for one in call_seeds(seed, calls)[1:]]
        return [first, *({**first, "generator": generator} for generator in generators)]

    def importance_sampling(
        self,
        draw_prior: Callable[..., Tensors],
        log_likelihood: Callable[..., torch.Tensor],
        data: Sequence[Any],
        *,
        n_particles: int,
        compiled: bool = False,
    ) -> Program:
        """Importance sampling with the prior as proposal.

        Args:
            draw_prior: `(generator, shape) -> latents`, a dict of tensors that begin with `shape`, on the generator's
                device.
            log_likelihood: `(latents, *data) -> (n_particles,)` for all particles at once.
            data: arrays that are handed to `log_likelihood`; on the device before the clock starts.
            n_particles: number of particles.
            compiled: whether `log_likelihood` is compiled.

        Returns:
            Program whose outputs are the latents, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(data | latents_i).
        """

        weigh = self.compiled(log_likelihood) if compiled else log_likelihood

        def run(inputs: dict[str, Any]) -> Tensors:
            with torch.inference_mode():
                latents = draw_prior(inputs["generator"], (n_particles,))
                return {**latents, "log_weights": weigh(latents, *inputs["data"])}

        return Program(self._prepare(data), run)

    def hmc(
        self,
        log_density: Callable[..., torch.Tensor],
        data: Sequence[Any],
        start: dict[str, Any],
        *,
        step_size: float,
        n_leapfrog: int,
        n_samples: int,
        n_warmup: int,
        n_chains: int,
        compiled: bool = False,
        gradient: Callable[..., torch.Tensor] | None = None,
    ) -> Program:
        """Hamiltonian Monte Carlo with unit mass, nothing adapted; all chains in one batch of tensors.

        The state is one tensor (n_latents, n_chains), so that a leapfrog step is a few operations however many latents
        there are. Neighbouring half kicks of the momentum are one kick. Acceptance is a `torch.where`: no step waits
        for the device.

        Args:
            log_density: `(state, *data) -> (n_chains,)`, log p(latents, data) of states (n_latents, n_chains).
            data: arrays that are handed to `log_density`.
            start: the state from which every chain begins; scalars.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side.
            compiled: whether blocks of at most `LARGEST_BLOCK` leapfrog steps are compiled.
            gradient: `(state, *data) -> (n_latents, n_chains)`, of the log density; None for PyTorch's own.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples) each, and of each step `log_density`
            log p(latents, data) at its end and `acceptance_probability`, (n_chains, n_samples) each.
        """
        names, trajectory = list(start), _trajectory(log_density, gradient, step_size, n_leapfrog, compiled and self)
        value_and_gradient = _differentiated(log_density, gradient)
        point = np.stack([np.asarray(start[name]) for name in names])

        def run(inputs: dict[str, Any]) -> Tensors:
            generator, (*data, point) = inputs["generator"], inputs["data"]
            with torch.no_grad():
                state = point[:, None].repeat(1, n_chains)
                value, gradient = value_and_gradient(state, *data)
                kept, told = torch.empty(n_samples, *state.shape), torch.empty(n_samples, 2, n_chains)
                for step in range(n_warmup + n_samples):
                    first = torch.randn(state.shape, generator=generator)
                    new, momentum, new_value, new_gradient = trajectory(state, first, gradient, *data)
                    kinetic = 0.5 * (momentum.square().sum(0) - first.square().sum(0))
                    log_alpha = new_value - value - kinetic
                    accept = torch.rand(n_chains, generator=generator).log() < log_alpha
                    state = torch.where(accept, new, state)
                    gradient = torch.where(accept, new_gradient, gradient)
                    value = torch.where(accept, new_value, value)
                    if step >= n_warmup:
                        kept[step - n_warmup] = state
                        told[step - n_warmup, 0] = value
                        told[step - n_warmup, 1] = log_alpha.clamp(max=0).exp()
                every = torch.cat([kept, told], dim=1)
            outputs = [*names, "log_density", "acceptance_probability"]
            return {name: every[:, i].T.contiguous() for i, name in enumerate(outputs)}

        n_steps = n_chains * (n_warmup + n_samples)
        notes = {"gradient_evaluations": n_steps * n_leapfrog + n_chains, "threads": torch.get_num_threads()}
        return Program(self._prepare([*data, point]), run, notes)

    def _prepare(self, data: Sequence[Any]) -> Callable[[int], dict[str, Any]]:
        def prepare(seed: int) -> dict[str, Any]:
            generator = torch.Generator(self._device).manual_seed(seed)
            return {"generator": generator, "data": [torch.as_tensor(array, device=self._device) for array in data]}

        return prepare


def _differentiated(log_density: Callable[..., Any], gradient: Callable[..., Any] | None) -> Callable[..., Any]:
    """`(state, *data) -> (value, gradient)` of a log density."""

    def by_hand(state: torch.Tensor, *data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert gradient is not None
        return log_density(state, *data), gradient(state, *data)

    def total(state: torch.Tensor, *data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value = log_density(state, *data)
        return value.sum(), value

    def automatic(state: torch.Tensor, *data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slope, value = torch.func.grad(total, has_aux=True)(state, *data)
        return value, slope

    return automatic if gradient is None else by_hand


def _trajectory(
    log_density: Callable[..., Any],
    gradient: Callable[..., Any] | None,
    step_size: float,
    n_leapfrog: int,
    framework: "Torch | bool",
) -> Callable[..., Any]:
    """`(state, momentum, gradient, *data)` -> those at the end of `n_leapfrog` leapfrog steps, and the log density.

    In blocks of equally many steps, compiled where a framework is given to compile them.
    """
    value_and_gradient = _differentiated(log_density, gradient)
    size = max(size for size in range(1, LARGEST_BLOCK + 1) if n_leapfrog % size == 0)

    def block(state: torch.Tensor, momentum: torch.Tensor, *data: torch.Tensor) -> tuple[torch.Tensor, ...]:
        for _ in range(size):
            state = state + step_size * momentum
            value, slope = value_and_gradient(state, *data)
            momentum = momentum + step_size * slope
        return state, momentum, value, slope

    advance = framework.compiled(block) if isinstance(framework, Torch) else block

    def trajectory(
        state: torch.Tensor, momentum: torch.Tensor, slope: torch.Tensor, *data: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        momentum = torch.add(momentum, slope, alpha=0.5 * step_size)
        for _ in range(n_leapfrog // size):
            state, momentum, value, slope = advance(state, momentum, *data)
        return state, torch.sub(momentum, slope, alpha=0.5 * step_size), value, slope

    return trajectory
