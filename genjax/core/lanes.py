"""The sum over a short last axis, as of the log densities of a few points, for very many particles at once.

Summing n log densities of each of N particles reduces the last axis of an (N, n) array. XLA for CPU compiles that as a
scalar loop per particle. Written as n - 1 additions of columns, the sum is one vectorised kernel with the densities
that it adds: fifteen times faster, and the (N, n) array never exists. A primitive of its own, because only when it is
compiled is it known whether a `vmap` outside made many sums of this one.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from genjax.pjax import jax_internals

#: Terms up to which the sum is written out. XLA for CPU copies what computes the terms once for each, 15 times at most;
#: from 16 on it would write the (N, n) array to memory instead.
MOST_TERMS = 15
#: Sums from which on there is something to vectorise.
FEWEST_SUMS = 512


def sum_lanes(values: Array) -> Array:
    """The sum of all elements; of a vector of floats that many lanes of a `vmap` may share, fast on CPU.

    Args:
        values: any shape.

    Returns:
        A scalar, equal to `jnp.sum(values)` up to the order of additions.
    """
    values = jnp.asarray(values)
    if values.ndim != 1 or not 1 < values.size <= MOST_TERMS or not jnp.issubdtype(values.dtype, jnp.floating):
        return jnp.sum(values)
    return sum_lanes_p.bind(values, axis=0)


def scalar(value: Any) -> Any:
    """The sum of an array; a scalar as it is."""
    return sum_lanes(value) if jnp.ndim(value) else value


def _reduce(values: Array, *, axis: int) -> Array:
    return jnp.sum(values, axis=axis)


def _add_columns(values: Array, *, axis: int) -> Array:
    n_terms = values.shape[axis]
    if math.prod(values.shape) < FEWEST_SUMS * n_terms:
        return _reduce(values, axis=axis)
    columns = [jax.lax.index_in_dim(values, i, axis, keepdims=False) for i in range(n_terms)]
    return functools.reduce(jnp.add, columns)


def _shape(shape: tuple[int, ...], *, axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _transpose(cotangent: Array, values: Any, *, axis: int) -> list[Array]:
    return [jnp.broadcast_to(jnp.expand_dims(cotangent, axis), values.aval.shape)]


def _batch(arguments: tuple[Array], dims: tuple[int], *, axis: int) -> tuple[Array, int]:
    (values,), (dim,) = arguments, dims
    axis = axis if axis < dim else axis + 1
    return sum_lanes_p.bind(values, axis=axis), dim if dim < axis else dim - 1


sum_lanes_p = jax_internals.linear_primitive("sum_lanes", _reduce, _shape, _transpose, _batch, on_cpu=_add_columns)
