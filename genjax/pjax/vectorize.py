"""`modular_vmap`: `jax.vmap`, under the name and signature that programs written for GenJAX use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

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

    return jax.vmap(
        call,
        in_axes=in_axes,
        out_axes=out_axes,
        axis_size=axis_size,
        axis_name=axis_name,
        spmd_axis_name=spmd_axis_name,
    )
