"""The sum over a short last axis, as of the log densities of some points, for very many particles at once.

Summing n log densities of each of N particles reduces the last axis of an (N, n) array, which XLA for CPU does not
vectorise over particles. Two other ways to write the sum are one vectorised kernel with the densities that it adds, and
the (N, n) array never exists:

- n - 1 additions of columns, for few terms: up to fifteen times faster;
- the product of a vector of ones with the transposed array, two to four times faster. The transpose matters: without
  it, XLA computes all densities first and then calls a library for the product. Terms that are logarithms are slower
  this way, so only sums of polynomial terms, such as log densities of normals, are products.

A primitive of its own, because only when it is compiled is it known whether a `vmap` outside made many sums of this
one.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array

from genjax.pjax import jax_internals
from genjax.pjax.partition import divided
from genjax.shapes import Num

#: Terms up to which the sum is written out. XLA for CPU copies what computes the terms once for each, 15 times at most;
#: with 16 or more it would write the (N, n) array to memory instead.
MOST_TERMS = 15
#: Terms up to which polynomial ones are summed by a product: with many more, what they are computed from does not stay
#: in the cache.
MOST_PRODUCT_TERMS = 1024
#: Sums from which on there is something to vectorise.
FEWEST_SUMS = 512


def sum_lanes(values: Num[Array, "..."] | float, is_polynomial: bool = False) -> Num[Array, ""]:
    """The sum of all elements; of a vector of floats that many lanes of a `vmap` may share, fast on CPU.

    Args:
        values: any shape.
        is_polynomial: whether the terms are additions and products of what they are made of, without logarithms.

    Returns:
        A scalar, equal to `jnp.sum(values)` up to the order of additions.
    """
    values = jnp.asarray(values)
    most = MOST_PRODUCT_TERMS if is_polynomial and values.dtype.itemsize >= 4 else MOST_TERMS
    if values.ndim != 1 or not 1 < values.size <= most or not jnp.issubdtype(values.dtype, jnp.floating):
        return jnp.sum(values)
    return sum_lanes_p.bind(values, axis=0)


def scalar(value: Array, is_polynomial: bool = False) -> Array:
    """The sum of an array, as by `sum_lanes`; a scalar as it is."""
    return sum_lanes(value, is_polynomial) if jnp.ndim(value) else value


def _reduce(values: Array, *, axis: int) -> Array:
    return jnp.sum(values, axis=axis)


def _reduce_on_cpu(values: Array, *, axis: int) -> Array:
    n_terms = values.shape[axis]
    if math.prod(values.shape) < FEWEST_SUMS * n_terms:
        return _reduce(values, axis=axis)
    if n_terms <= MOST_TERMS:
        columns = [jax.lax.index_in_dim(values, i, axis, keepdims=False) for i in range(n_terms)]
        return functools.reduce(jnp.add, columns)
    # Said once more for the terms and their sums: the partitioner would compute a product's terms on every device.
    terms_first = divided(jnp.moveaxis(values, axis, 0))
    ones = jnp.ones(n_terms, values.dtype)
    return divided(jnp.tensordot(ones, terms_first, 1, precision=jax.lax.Precision.HIGHEST))


def _shape(shape: tuple[int, ...], *, axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _transpose(cotangent: Array, values: jax.interpreters.ad.UndefinedPrimal, *, axis: int) -> list[Array]:
    return [jnp.broadcast_to(jnp.expand_dims(cotangent, axis), values.aval.shape)]


def _batch(arguments: tuple[Array], dims: tuple[int], *, axis: int) -> tuple[Array, int]:
    (values,), (dim,) = arguments, dims
    axis = axis if axis < dim else axis + 1
    return sum_lanes_p.bind(values, axis=axis), dim if dim < axis else dim - 1


sum_lanes_p = jax_internals.linear_primitive("sum_lanes", _reduce, _shape, _transpose, _batch, on_cpu=_reduce_on_cpu)
