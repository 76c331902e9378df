"""PyTorch: inference written by hand, eagerly, in batched tensor operations."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from frameworks.base import Framework, Program, call_seeds

Tensors = dict[str, torch.Tensor]


class Torch(Framework):
    """Generic inference on hand-written samplers and log densities of tensors."""

    name = "torch"
    label = "Handcoded PyTorch"
    color = "darkslategray"
    distributions = ("torch",)

    def unavailable(self, device: str) -> str | None:
        """Why PyTorch cannot run on `device`, or None."""
        reason = super().unavailable(device)
        if reason is None and device == "cuda" and not torch.cuda.is_available():
            build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU build"
            reason = f"no CUDA device: PyTorch {torch.__version__} ({build}) sees none"
        return reason

    def start(self, device: str, dtype: str) -> None:
        """Sets the default float type and device, and as many threads as XLA uses: one for each usable core."""
        torch.set_default_dtype({"float32": torch.float32, "float64": torch.float64}[dtype])
        torch.set_default_device(device)
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        self._device = torch.device(device)

    def device_name(self) -> str:
        """The GPU's name; empty on CPU."""
        return torch.cuda.get_device_name() if self._device.type == "cuda" else ""

    def synchronize(self, values: Any) -> None:
        """Waits for the GPU's queue; operations on the CPU are done when they return."""
        del values
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def to_numpy(self, outputs: Tensors) -> dict[str, np.ndarray]:
        """Copies every output to the host."""
        return {name: value.detach().cpu().numpy() for name, value in outputs.items()}

    def inputs_of_calls(self, program: Program, seed: int, calls: int) -> Sequence[Any]:
        """Inputs that share every tensor, each with a generator of its own; see `Framework.inputs_of_calls`."""
        first = program.prepare(seed)
        if not isinstance(first, dict) or "generator" not in first:
            return super().inputs_of_calls(program, seed, calls)
        generators = [torch.Generator(self._device).manual_seed(one) for one in call_seeds(seed, calls)[1:]]
        return [first, *({**first, "generator": generator} for generator in generators)]

    def device_memory_bytes(self) -> int | None:
        """Peak bytes of the GPU's allocator; None on CPU."""
        return int(torch.cuda.max_memory_allocated()) if self._device.type == "cuda" else None

    def importance_sampling(
        self,
        draw_prior: Callable[..., Tensors],
        log_likelihood: Callable[..., torch.Tensor],
        data: Sequence[Any],
        *,
        n_particles: int,
    ) -> Program:
        """Importance sampling with the prior as proposal.

        Args:
            draw_prior: `(generator, shape) -> latents`, a dict of tensors that begin with `shape`, on the generator's
                device.
            log_likelihood: `(latents, *data) -> (n_particles,)` for all particles at once.
            data: arrays that are handed to `log_likelihood`; on the device before the clock starts.
            n_particles: number of particles.

        Returns:
            Program whose outputs are the latents, (n_particles, ...) each, and `log_weights` (n_particles,):
            log w_i = log p(data | latents_i).
        """

        def run(inputs: dict[str, Any]) -> Tensors:
            with torch.inference_mode():
                latents = draw_prior(inputs["generator"], (n_particles,))
                return {**latents, "log_weights": log_likelihood(latents, *inputs["data"])}

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
    ) -> Program:
        """Hamiltonian Monte Carlo with unit mass, nothing adapted; all chains in one batch of tensors.

        The state is one tensor (n_latents, n_chains), so that a leapfrog step is a few operations however many latents
        there are. Acceptance is a `torch.where`: no step waits for the device.

        Args:
            log_density: `(latents, *data) -> (n_chains,)`, log p(latents, data) of a batch of states.
            data: arrays that are handed to `log_density`.
            start: the state from which every chain begins; scalars.
            step_size: of a leapfrog step.
            n_leapfrog: leapfrog steps of a trajectory.
            n_samples: states kept of each chain, after `n_warmup` that are not.
            n_chains: chains side by side.

        Returns:
            Program whose outputs are the latents, (n_chains, n_samples) each, and of each step `log_density`
            log p(latents, data) at its end and `acceptance_probability`, (n_chains, n_samples) each.
        """
        names = list(start)
        point = np.stack([np.asarray(start[name]) for name in names])

        def run(inputs: dict[str, Any]) -> Tensors:
            generator, (*data, point) = inputs["generator"], inputs["data"]

            def value_and_gradient(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                state = state.detach().requires_grad_()
                value = log_density(dict(zip(names, state, strict=True)), *data)
                (gradient,) = torch.autograd.grad(value.sum(), state)
                return value.detach(), gradient

            state = point[:, None].expand(-1, n_chains)
            value, gradient = value_and_gradient(state)
            kept, told = torch.empty(n_samples, *state.shape), torch.empty(n_samples, 2, n_chains)
            for step in range(n_warmup + n_samples):
                first = torch.randn(state.shape, generator=generator)
                new, new_gradient, momentum = state, gradient, first
                for _ in range(n_leapfrog):
                    momentum = torch.add(momentum, new_gradient, alpha=0.5 * step_size)
                    new = torch.add(new, momentum, alpha=step_size)
                    new_value, new_gradient = value_and_gradient(new)
                    momentum = torch.add(momentum, new_gradient, alpha=0.5 * step_size)
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
