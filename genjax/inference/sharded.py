"""`sharded`: a program whose particles or chains are divided among devices, with no change to the program.

The function is compiled once for all devices of a mesh (single program, multiple data). Its draws are divided along the
lanes, XLA's partitioner carries the division through what is computed of them, and inserts the communication that sums,
resampling and diagnostics need. Random bits are a function of the key and of the element's number (Threefry in counter
mode), so a lane draws the same numbers on whichever device it is.

Source: Xu et al., *GSPMD: general and scalable parallelization for ML computation graphs* (arXiv 2105.04663), the
partitioner; Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy as 1, 2, 3* (SC 2011), the generator.
"""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from genjax.pjax.partition import Partition, divided, partitioned
from genjax.signatures import Args, Kwargs, PyTree


def sharded(fn: Callable[..., PyTree], mesh: Mesh, *, axis: str | None = None, size: int | None = None) -> Sharded:
    """`sharded(fn, mesh)(key, ...)`: `fn(key, ...)` with its lanes divided among the devices of a mesh.

    Args:
        fn: a seeded function, such as `seed(f)`, whose particles or chains run side by side under `vmap`. Nothing in it
            knows of devices.
        mesh: of devices; `jax.make_mesh((4,), ("particles",))` takes four. With several processes, `jax.distributed`
            must be initialised, the mesh spans all processes, and each calls the function with the same arguments.
        axis: the mesh axis along which lanes are divided; may be left out where the mesh has one. Along others, every
            device computes the same.
        size: number of lanes. By default the length that most output arrays have in front; needed where no output has
            lanes, as for `log_evidence`.

    Returns:
        A compiled function of the same arguments. Outputs have the same values as those of `fn`: what is computed for
        each lane is the same whatever the number of devices; sums over lanes may differ in the last bits, since they
        are taken in another order. Outputs with lanes in front stay divided; `jax.device_get` collects them.

    Raises:
        TypeError: `mesh` is not a `jax.sharding.Mesh`.
        ValueError: an unknown axis, or none named where the mesh has several; lanes that the devices do not divide; no
            output from which the number of lanes can be told.
    """
    return Sharded(fn, *_checked(mesh, axis), size)


class Sharded:
    """What `sharded` makes: call it, or `lower` it for its memory and cost on one device."""

    def __init__(self, fn: Callable[..., PyTree], mesh: Mesh, axis: str, size: int | None):
        self._fn, self._mesh, self._axis, self._size = fn, mesh, axis, size
        self._compiled: dict[int, jax.stages.Wrapped] = {}
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> PyTree:
        partition = self._partition(args, kwargs)
        with partitioned(partition):
            return self._program(partition)(*args, **kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """JAX's `Lowered` for these arguments; after `compile()`, its `memory_analysis()` is that of one device."""
        partition = self._partition(args, kwargs)
        with partitioned(partition):
            return self._program(partition).lower(*args, **kwargs)

    def _program(self, partition: Partition) -> jax.stages.Wrapped:
        if partition.size not in self._compiled:

            def run(*args: Any, **kwargs: Any) -> PyTree:
                return jax.tree.map(_lanes_in_front(partition.size), self._fn(*args, **kwargs))

            self._compiled[partition.size] = jax.jit(run)
        return self._compiled[partition.size]

    def _partition(self, args: Args, kwargs: Kwargs) -> Partition:
        size = self._size if self._size is not None else _lanes(jax.eval_shape(self._fn, *args, **kwargs))
        n_devices = self._mesh.shape[self._axis]
        if size % n_devices:
            low, high = size // n_devices * n_devices, math.ceil(size / n_devices) * n_devices
            raise ValueError(
                f"sharded got {size} lanes and {n_devices} devices along the mesh axis {self._axis!r}; the devices "
                f"must divide them. Take {f'{low} or ' if low else ''}{high} lanes, or a mesh of another size."
            )
        return Partition(self._mesh, self._axis, size)


def _checked(mesh: object, axis: str | None) -> tuple[Mesh, str]:
    if not isinstance(mesh, Mesh):
        raise TypeError(
            f"sharded got a mesh of type {type(mesh).__name__}; it must be a jax.sharding.Mesh, such as "
            'jax.make_mesh((4,), ("particles",)).'
        )
    names = mesh.axis_names
    if axis is None and len(names) != 1:
        raise ValueError(
            f"sharded got a mesh with the axes {names} and shape {tuple(mesh.shape.values())}; lanes are divided along "
            f"one of them. Name it, as in sharded(fn, mesh, axis={names[0] if names else 'particles'!r})."
        )
    axis = names[0] if axis is None else axis
    if axis not in names:
        raise ValueError(f"sharded got axis={axis!r}, and the mesh has the axes {names}. Take one of these.")
    # The partitioner decides, whatever the axes were made for: types of arrays do not name their sharding.
    return Mesh(mesh.devices, names, axis_types=(AxisType.Auto,) * len(names)), axis


def _lanes_in_front(size: int) -> Callable[[PyTree], PyTree]:
    return lambda leaf: divided(leaf) if np.shape(leaf)[:1] == (size,) else leaf


def _lanes(outputs: PyTree) -> int:
    lengths = collections.Counter(leaf.shape[0] for leaf in jax.tree.leaves(outputs) if leaf.shape)
    if not lengths:
        raise ValueError(
            "sharded cannot tell the number of lanes: no output has an axis. Pass it, as in "
            "sharded(fn, mesh, size=n_particles)."
        )
    return lengths.most_common(1)[0][0]
