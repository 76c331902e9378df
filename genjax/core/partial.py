"""Constraints of a part of an address: some lanes of a `Vmap`, some steps of a `Scan`, some elements of an array."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.core.pytree import Pytree
from genjax.signatures import Choices, Constraints, PyTree


@Pytree.dataclass
class Filled(Pytree):
    """One value for every element of a choice; see `filled`."""

    value: ArrayLike


def filled(value: ArrayLike) -> Filled:
    """A constraint that gives every element of a choice the same value, whatever its shape and number of lanes.

    Args:
        value: a scalar, or an array that broadcasts to the shape of one draw.
    """
    return Filled(value)


@Pytree.dataclass
class Masked(Pytree):
    """A constraint that holds where `mask` is true; elsewhere the choice is left to the model."""

    mask: ArrayLike
    value: Constraints


def masked(mask: ArrayLike, choices: Choices) -> Constraints:
    """Constrain some lanes of a vmapped, or some steps of a scanned, address.

    Args:
        mask: bool, with the leading axes of every leaf of `choices`: `(n,)` for one `Vmap` or `Scan`.
        choices: values for all lanes; those where `mask` is false are ignored. Constraints in it that are
            partial themselves hold where both do.
    """
    return _restricted(jnp.asarray(mask, bool), choices)


@Pytree.dataclass
class Indexed(Pytree):
    """Constraints of those lanes `indices` of a vmapped address where `where` is true; see `indexed`."""

    indices: ArrayLike
    choices: Choices
    where: ArrayLike = True

    def expand(self, n: int) -> Constraints:
        """The same constraint over all `n` lanes, as `Masked` leaves.

        Raises:
            ValueError: an index that is known while tracing is out of range, or is given twice. Traced indices cannot
                be checked then: instead, the values become NaN (the smallest integer where they are integers), and the
                weight NaN or -inf. Bools have no such value; there, a traced index out of range has no effect.
        """
        is_traced = isinstance(self.indices, jax.core.Tracer)
        if not is_traced:
            _check_indices(self.indices, n)
        indices = jnp.atleast_1d(jnp.asarray(self.indices))

        def scatter(value: ArrayLike) -> jax.Array:
            value = jnp.asarray(value)
            if value.ndim == 0 or value.shape[0] != indices.size:
                value = jnp.broadcast_to(value, (indices.size, *value.shape))
            return jnp.zeros((n, *value.shape[1:]), value.dtype).at[indices].set(value)

        mask = jnp.zeros(n, bool).at[indices].set(self.where)
        constraints = _restricted(mask, self.choices, scatter)
        return _spoiled(constraints, _is_fault(indices, n)) if is_traced else constraints


def indexed(indices: ArrayLike, choices: Choices) -> Indexed:
    """Constrain the lanes `indices` of a vmapped address, or those steps of a scanned one.

    Args:
        indices: an int or an int array `(k,)`, each in `range(-n, n)` and all different. Beneath other lanes or
            steps, an int is shared by them; an array has their axis in front.
        choices: values for those lanes, with leading axis k (or without it, to give every one the same value).
    """
    return Indexed(indices, choices)


def _restricted(
    mask: ArrayLike, choices: Choices, spread: Callable[[PyTree], PyTree] = lambda value: value
) -> Constraints:
    """Constraints that hold where `mask` is true; partial ones hold where both do. `spread` is applied to leaves."""

    def restrict(value: Constraints) -> Constraints:
        if isinstance(value, Masked):
            return Masked(_both(mask, spread(value.mask)), jax.tree.map(spread, value.value))
        if isinstance(value, Indexed):
            beneath = jax.tree.map(spread, value.choices)
            indices = spread(value.indices) if jnp.ndim(value.indices) else value.indices  # an int is for all lanes
            return Indexed(indices, beneath, _both(mask, spread(value.where)))
        if isinstance(value, Filled):
            return Masked(mask, value)
        return Masked(mask, spread(value))

    return jax.tree.map(restrict, choices, is_leaf=lambda node: isinstance(node, (Masked, Indexed, Filled)))


def _both(mask: ArrayLike, other: ArrayLike) -> jax.Array:
    """`mask & other`, with leading axes aligned."""
    masks = [jnp.asarray(mask), jnp.asarray(other)]
    rank = max(m.ndim for m in masks)
    first, second = (m.reshape(m.shape + (1,) * (rank - m.ndim)) for m in masks)
    return first & second


def _check_indices(indices: ArrayLike, n: int) -> None:
    given = np.atleast_1d(np.asarray(indices))
    if not given.size:
        return
    if not np.issubdtype(given.dtype, np.integer):
        raise TypeError(f"indexed() got indices of dtype {given.dtype}. They are integers; for a mask write masked().")
    if not (-n <= given.min() <= given.max() < n):
        raise ValueError(
            f"indexed() got indices {given.tolist()} for an address with {n} lanes or steps. They go from {-n} to "
            f"{n - 1}."
        )
    if np.unique(given % n).size < given.size:
        raise ValueError(
            f"indexed() got indices {given.tolist()} for an address with {n} lanes or steps: one is given twice, and a "
            "choice has one value. Give each index once."
        )


def _is_fault(indices: jax.Array, n: int) -> jax.Array:
    """Whether traced indices are out of range or not distinct, ()."""
    is_outside = jnp.any((indices < -n) | (indices >= n))
    return is_outside | jnp.any(jnp.diff(jnp.sort(indices % n)) == 0)


def _spoiled(constraints: Constraints, is_fault: jax.Array) -> Constraints:
    """`Masked` constraints; where `is_fault`, they hold everywhere, with values that have no density."""

    def spoil(node: Constraints) -> Constraints:
        if not isinstance(node, Masked) or isinstance(node.value, Filled):
            return node
        dtype = node.value.dtype
        if jnp.issubdtype(dtype, jnp.floating):
            return Masked(node.mask | is_fault, jnp.where(is_fault, jnp.nan, node.value))
        if jnp.issubdtype(dtype, jnp.integer):
            return Masked(node.mask | is_fault, jnp.where(is_fault, jnp.iinfo(dtype).min, node.value))
        return node

    return jax.tree.map(spoil, constraints, is_leaf=lambda node: isinstance(node, (Masked, Indexed)))


def with_lanes(constraints: Constraints, n: int) -> Constraints:
    """Constraints of `n` lanes, each leaf with the axis of lanes: masks and indices that lanes share get it."""

    def give_axis(value: ArrayLike) -> ArrayLike:
        return jnp.broadcast_to(jnp.asarray(value), (n,)) if jnp.ndim(value) == 0 else value

    def give(node: Constraints) -> Constraints:
        if isinstance(node, Masked):
            return Masked(give_axis(node.mask), with_lanes(node.value, n))
        if isinstance(node, Filled):
            return Filled(jnp.broadcast_to(jnp.asarray(node.value), (n, *jnp.shape(node.value))))
        if isinstance(node, Indexed):
            return Indexed(give_axis(node.indices), with_lanes(node.choices, n), give_axis(node.where))
        return node

    return jax.tree.map(give, constraints, is_leaf=lambda node: isinstance(node, (Masked, Indexed, Filled)))


def select_where(mask: ArrayLike, new: ArrayLike, old: ArrayLike) -> jax.Array:
    """`where(mask, new, old)`, with the mask's axes aligned to the leading axes of the values."""
    rank = max(jnp.ndim(new), jnp.ndim(old))
    mask = jnp.asarray(mask)
    return jnp.where(mask.reshape(mask.shape + (1,) * max(0, rank - mask.ndim)), new, old)
