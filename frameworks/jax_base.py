"""What every system on JAX shares: device selection, ahead-of-time compilation, XLA's own cost count, synchronisation.

The worker sets `JAX_PLATFORMS` before this file is imported; it imports no probabilistic system.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

from frameworks.base import Built, Framework, Inputs, Outputs, Program, phase


class JaxFramework(Framework):
    """Base of the systems that compile through XLA. A subclass adds its name, colour, packages and inference."""

    distributions: ClassVar[tuple[str, ...]] = ("jax", "jaxlib")

    def unavailable(self, device: str) -> str | None:
        """Why JAX cannot run on `device`, or None."""
        reason = super().unavailable(device)
        if reason is not None:
            return reason
        backend = {"cpu": "cpu", "cuda": "gpu"}[device]
        try:
            devices = jax.devices(backend)
        except RuntimeError as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return f"no {device} device: JAX {jax.__version__} says: {lines[0]}"
        return None if devices else f"no {device} device: JAX {jax.__version__} lists none"

    def start(self, device: str, dtype: str) -> None:
        """Sets the default float type and the default device. See `Framework.start`."""
        jax.config.update("jax_enable_x64", dtype == "float64")
        self._device = jax.devices({"cpu": "cpu", "cuda": "gpu"}[device])[0]
        jax.config.update("jax_default_device", self._device)

    def device_name(self) -> str:
        """The device kind that XLA reports."""
        return str(self._device.device_kind)

    def inputs_of_calls(self, program: Program, seed: int, calls: int) -> Sequence[Inputs]:
        """Inputs that share every array but the typed keys, which are new for each call; see `Framework`.

        Inputs without a typed key are prepared one by one.
        """
        leaves, tree = jax.tree.flatten(program.prepare(seed))
        places = [index for index, leaf in enumerate(leaves) if _is_key(leaf)]
        if calls == 1 or not places:
            return [jax.tree.unflatten(tree, leaves), *super().inputs_of_calls(program, seed, calls)[1:]]
        keys = {}
        for place in places:
            data, implementation = jax.random.key_data(leaves[place]), jax.random.key_impl(leaves[place])
            generator = np.random.default_rng([seed, place])  # of its own, or a call's keys would depend on `calls`
            bits = generator.integers(0, 2**32, (calls - 1, *data.shape), dtype=np.uint32)
            # One by one, 20 microseconds each. Taking apart one array of all keys would be compiled, in seconds, once
            # for every number of calls and in every process.
            keys[place] = [jax.random.wrap_key_data(row, impl=implementation) for row in bits]
        found = [jax.tree.unflatten(tree, leaves)]
        for call in range(calls - 1):
            own = [keys[place][call] if place in keys else leaf for place, leaf in enumerate(leaves)]
            found.append(jax.tree.unflatten(tree, own))
        return found

    def build(self, program: Program, inputs: Inputs) -> Built:
        """Traces, lowers and compiles `program.run` for the shapes of `inputs`, each phase on its own clock."""
        phases: dict[str, float] = {}
        with phase(phases, "trace"):
            lowered = jax.jit(program.run).trace(inputs).lower()
        with phase(phases, "compile"):
            compiled = lowered.compile()
        self._require_memory(compiled)
        return Built(run=compiled, phases=phases, cost=compiled_cost(compiled))

    def _require_memory(self, compiled: Any) -> None:
        """Refuse a program that this machine cannot hold, before Linux ends a process of its own choosing.

        Raises:
            MemoryError: XLA's count of scratch space and results exceeds the available memory of the host. A GPU's
                allocator refuses by itself.
        """
        analysis, available = compiled.memory_analysis(), available_memory_bytes()
        if self._device.platform != "cpu" or analysis is None or available is None:
            return
        needed = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
        if needed > available:
            raise MemoryError(
                f"out of memory: the program needs {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are available"
            )

    def synchronize(self, values: Inputs | Outputs) -> None:
        """Blocks on every array in the tree."""
        jax.block_until_ready(values)

    def to_numpy(self, outputs: Outputs) -> dict[str, np.ndarray]:
        """Copies every output to the host."""
        return {name: np.asarray(value) for name, value in outputs.items()}

    def device_memory_bytes(self) -> int | None:
        """Peak bytes that the allocator of a GPU has had in use; None on CPU, which does not count them."""
        statistics = self._device.memory_stats()
        return int(statistics["peak_bytes_in_use"]) if statistics and "peak_bytes_in_use" in statistics else None


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def available_memory_bytes() -> int | None:
    """Host memory that a new allocation can have, or None where the system does not say (elsewhere than Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def compiled_cost(compiled: Any) -> dict[str, float]:
    """XLA's count of one call of a compiled program.

    Returns:
        `flops` and `bytes_accessed` from the cost analysis; `temporary_bytes` (the scratch space that the program
        needs beside its arguments and results) and `output_bytes` (the results) from the memory analysis. A count that
        the back end lacks is left out.
    """
    cost: dict[str, float] = {}
    analysis = compiled.cost_analysis() or {}
    for name, key in (("flops", "flops"), ("bytes_accessed", "bytes accessed")):
        if key in analysis:
            cost[name] = float(analysis[key])
    memory = compiled.memory_analysis()
    if memory is not None:
        cost["temporary_bytes"] = float(memory.temp_size_in_bytes)
        cost["output_bytes"] = float(memory.output_size_in_bytes)
    return cost
