"""Which lanes of a program are divided among devices, while the program is staged.

`genjax.inference.sharded` sets it; `seed` marks every draw with it, and XLA's partitioner does the rest. The mesh is
also set by `jax.set_mesh`, so that JAX keeps what it staged for a mesh apart from what it staged without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax.signatures import PyTree


class Partition(NamedTuple):
    """`size` lanes, divided among the devices along `axis` of `mesh`."""

    mesh: Mesh
    axis: str
    size: int


_current: ContextVar[Partition | None] = ContextVar("partition", default=None)


@contextlib.contextmanager
def partitioned(partition: Partition) -> Iterator[None]:
    """Stages what is inside for a partition."""
    token = _current.set(partition)
    try:
        with jax.set_mesh(partition.mesh):
            yield
    finally:
        _current.reset(token)


def is_partitioned() -> bool:
    """Whether a program is staged for several devices: XLA cannot divide the turns of a loop over blocks."""
    return not jax.sharding.get_abstract_mesh().empty


def divided(value: jax.Array) -> jax.Array:
    """`value` with its first axis of as many elements as there are lanes divided among the devices."""
    partition = _current.get()
    if partition is None or partition.size not in value.shape:
        return value
    place = value.shape.index(partition.size)
    spec = PartitionSpec(*[PartitionSpec.UNCONSTRAINED] * place, partition.axis)
    return jax.lax.with_sharding_constraint(value, NamedSharding(partition.mesh, spec))


def take_lanes(values: jax.Array, lanes: jax.Array) -> jax.Array:
    """`values[lanes]`, where both are divided among the devices: the lanes of resampling.

    XLA would gather all of `values` on every device. Here the devices pass their parts around in a ring and pick what
    they need from each, so that none holds more than two parts.

    Args:
        values: an array with an axis of lanes in front.
        lanes: (n,) int32, which of them; in range.
    """
    partition = _current.get()
    n_devices = 1 if partition is None else partition.mesh.shape[partition.axis]
    if partition is None or n_devices == 1 or values.shape[0] != partition.size or lanes.shape[0] % n_devices:
        return values[lanes]
    axis, length = partition.axis, partition.size // n_devices
    ring = [(device, (device + 1) % n_devices) for device in range(n_devices)]

    def of_one_device(part: jax.Array, lanes: jax.Array) -> jax.Array:
        def turn(step: jax.Array, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            part, taken = state
            within = lanes - (jax.lax.axis_index(axis) - step) % n_devices * length
            is_here = ((within >= 0) & (within < length)).reshape((-1,) + (1,) * (part.ndim - 1))
            taken = jnp.where(is_here, part[jnp.clip(within, 0, length - 1)], taken)
            return jax.lax.ppermute(part, axis, ring), taken

        # In a loop, or XLA would start all of the exchanges at once and hold what they bring.
        return jax.lax.fori_loop(0, n_devices, turn, (part, part[jnp.clip(lanes, 0, length - 1)]))[1]

    spec = PartitionSpec(axis)
    return jax.shard_map(of_one_device, mesh=partition.mesh, in_specs=(spec, spec), out_specs=spec)(values, lanes)


def on_every_device(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`function`, computed from whole arrays on every device.

    For sums whose last bit decides something, such as the ancestors of resampling: divided among devices, they would be
    taken in another order.
    """
    partition = _current.get()
    if partition is None or partition.mesh.shape[partition.axis] == 1:
        return function
    whole = PartitionSpec()
    return jax.shard_map(function, mesh=partition.mesh, in_specs=whole, out_specs=whole, check_vma=False)
