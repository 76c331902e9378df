"""`modular_vmap`: `jax.vmap`, under the name and signature that programs written for GenJAX use.

It differs in one thing. In staged programs, `jax.vmap` hands NumPy arrays that it maps on to derivatives written
by hand (`jax.custom_jvp`), as of `jax.nn.relu`, and JAX 0.10 ends there with "non-canonical constant of type ndarray".
Here they are JAX's arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.signatures import PyTree


def modular_vmap(
    f: Callable[..., PyTree],
    in_axes: PyTree = 0,
    axis_size: int | None = None,
    axis_name: str | None = None,
    spmd_axis_name: str | None = None,
    out_axes: PyTree = 0,
) -> Callable[..., PyTree]:
    """Map a function with random choices over leading axes; every lane draws independent values.

    Args:
        f: the function of one lane.
        in_axes: which axis of each positional argument is mapped, as in `jax.vmap`; `None` shares the argument.
            Keyword arguments are mapped over axis 0.
        axis_size: number of lanes; needed when nothing is mapped.
        axis_name: name for collectives inside.
        spmd_axis_name: forwarded to `jax.vmap`.
        out_axes: where the lane axis goes in the outputs.

    Returns:
        The mapped function. A site's draws gain a leading lane axis, also where its parameters are not mapped. Works
        eagerly without a key, and under `seed`.

    Raises:
        ValueError: from `jax.vmap`, for axes that do not fit the arguments or lanes of different sizes.
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> PyTree:
        return f(*args, **kwargs)

    mapped = jax.vmap(
        call,
        in_axes=in_axes,
        out_axes=out_axes,
        axis_size=axis_size,
        axis_name=axis_name,
        spmd_axis_name=spmd_axis_name,
    )

    @functools.wraps(mapped)
    def of_arrays(*args: Any, **kwargs: Any) -> PyTree:
        args, kwargs = jax.tree.map(_as_jax_array, (args, kwargs))
        return mapped(*args, **kwargs)

    return of_arrays


def _as_jax_array(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf
