"""Dual numbers: a value with its directional derivative."""

from __future__ import annotations

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.core.pytree import Pytree
from genjax.signatures import PyTree

#: A pytree whose leaves are `Dual`s.
DualTree: TypeAlias = PyTree


@Pytree.dataclass
class Dual(Pytree):
    """A value (`primal`) and its directional derivative (`tangent`), of the same structure and shape.

    The tangent of a value that is not floating-point (bool, int) is JAX's zero of dtype `float0`.
    """

    primal: PyTree
    tangent: PyTree

    @staticmethod
    def tree_pure(v: PyTree) -> DualTree:
        """Every leaf that is not a Dual becomes one with tangent zero."""
        return jax.tree.map(lambda x: x if _is_dual(x) else Dual(x, zero_tangent(x)), v, is_leaf=_is_dual)

    @staticmethod
    def dual_tree(primals: PyTree, tangents: PyTree) -> DualTree:
        """The tree of Duals of two trees of one structure."""
        return jax.tree.map(Dual, primals, tangents)

    @staticmethod
    def tree_primal(v: DualTree) -> PyTree:
        """The values; a leaf that is not a Dual is returned as it is."""
        return jax.tree.map(lambda x: x.primal if _is_dual(x) else x, v, is_leaf=_is_dual)

    @staticmethod
    def tree_tangent(v: DualTree) -> PyTree:
        """The tangents; zero for a leaf that is not a Dual."""
        return jax.tree.map(lambda x: x.tangent if _is_dual(x) else zero_tangent(x), v, is_leaf=_is_dual)

    @staticmethod
    def tree_leaves(v: DualTree) -> list[Dual]:
        """The Duals of a tree, in order."""
        return jax.tree.leaves(v, is_leaf=_is_dual)

    @staticmethod
    def tree_unzip(v: DualTree) -> tuple[tuple[ArrayLike, ...], tuple[ArrayLike, ...]]:
        """`(primals, tangents)`: the leaves of both, as tuples."""
        return tuple(jax.tree.leaves(Dual.tree_primal(v))), tuple(jax.tree.leaves(Dual.tree_tangent(v)))

    @staticmethod
    def static_check_is_dual(v: object) -> bool:
        """Whether `v` is a Dual."""
        return _is_dual(v)

    @staticmethod
    def static_check_dual_tree(v: PyTree) -> bool:
        """Whether every leaf of a tree is a Dual."""
        return all(map(_is_dual, Dual.tree_leaves(v)))


def _is_dual(v: object) -> bool:
    return isinstance(v, Dual)


def is_differentiable(value: ArrayLike) -> bool:
    """Whether a value is a floating or complex number, which has a tangent other than zero."""
    return bool(jnp.issubdtype(jnp.result_type(value), jnp.inexact))


def zero_tangent(value: ArrayLike) -> jax.Array | np.ndarray:
    """The tangent zero of a value: zeros, or `float0` where the value is not floating-point."""
    if is_differentiable(value):
        return jnp.zeros_like(value)
    return np.zeros(np.shape(value), jax.dtypes.float0)


def canonical(dual: Dual) -> tuple[jax.Array, jax.Array | np.ndarray]:
    """`(primal, tangent)` of one Dual as JAX wants them: arrays, the tangent in the dtype that belongs to the primal.

    Raises:
        ValueError: the tangent has another shape than the primal.
    """
    primal = jnp.asarray(dual.primal)
    if not is_differentiable(primal):
        return primal, zero_tangent(primal)
    if getattr(dual.tangent, "dtype", None) == jax.dtypes.float0:
        return primal, jnp.zeros_like(primal)
    tangent = jnp.asarray(dual.tangent, primal.dtype)
    if tangent.shape != primal.shape:
        raise ValueError(f"A Dual has a primal of shape {primal.shape} and a tangent of shape {tangent.shape}.")
    return primal, tangent
