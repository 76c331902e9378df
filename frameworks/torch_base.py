"""What every system on PyTorch shares: device selection, threads, synchronisation, memory. No probabilistic system."""

import os
from typing import ClassVar

import numpy as np
import torch

from frameworks.base import Framework, Inputs, Outputs


class TorchFramework(Framework):
    """Base of the systems on PyTorch. A subclass adds its name, colour, packages and inference."""

    distributions: ClassVar[tuple[str, ...]] = ("torch",)

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

    def synchronize(self, values: Inputs | Outputs) -> None:
        """Waits for the GPU's queue; operations on the CPU are done when they return."""
        del values
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def to_numpy(self, outputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
        """Copies every output to the host."""
        return {name: value.detach().cpu().numpy() for name, value in outputs.items()}

    def device_memory_bytes(self) -> int | None:
        """Peak bytes of the GPU's allocator; None on CPU."""
        return int(torch.cuda.max_memory_allocated()) if self._device.type == "cuda" else None
