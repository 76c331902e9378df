"""Selected choices of a trace in coordinates that fill R^n, and back with the log determinant."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core import CondTr, Distribution, Trace
from genjax.core.choices import choice_path
from genjax.core.gfi import AnyGFI
from genjax.core.observed import Marks, hold, movable
from genjax.core.selection import Selectable
from genjax.core.sites import DIFFERS, Site, Sites
from genjax.core.trace import AnyTrace
from genjax.distributions.supports import Support
from genjax.inference.bijectors import Bijector, Identity, bijector_of
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import stage_flat
from genjax.signatures import Choices, PyTree


class Unconstrained(NamedTuple):
    """Coordinates of the selected choices in R^n.

    Attributes:
        choices: the selected choices, a tree of float arrays.
        position: their coordinates: a list of arrays in the order of that tree.
        bijectors: from coordinates to choices, one per array.
        addresses: of the arrays, as paths `a/b`.
        held: the elements of partly observed choices that stay as they are; see `genjax.core.observed`.
    """

    choices: Choices
    position: list[Array]
    bijectors: list[Bijector]
    addresses: list[str]
    held: Marks

    @property
    def is_identity(self) -> bool:
        """Whether all choices are their own coordinates."""
        return all(type(bijector) is Identity for bijector in self.bijectors)

    @property
    def vector(self) -> Array:
        """The coordinates as one vector (n,)."""
        return self.join(self.position)

    def constrain(self, position: PyTree) -> tuple[Choices, Array]:
        """`(choices, log_determinant)`: from coordinates to choices, and `log |det d choices / d coordinates|`, ().

        Args:
            position: a list like `position`, or one vector (n,).
        """
        parts = list(position) if isinstance(position, (list, tuple)) else self.split(position)
        structure = jax.tree.structure(self.choices)
        if self.held:  # their coordinates count for nothing, in the determinant either
            own, given = (jax.tree.unflatten(structure, z) for z in (self.position, parts))
            parts = jax.tree.leaves(hold(self.held, given, own))
        pairs = [bijector.forward(z) for bijector, z in zip(self.bijectors, parts, strict=True)]
        total = sum((log_determinant for _, log_determinant in pairs), start=jnp.zeros(()))
        choices = jax.tree.unflatten(structure, [x for x, _ in pairs])
        return hold(self.held, choices, self.choices), total

    def unconstrain(self, choices: Choices) -> list[Array]:
        """The coordinates of choices of the same addresses; the inverse of `constrain`."""
        values = jax.tree.leaves(choices)
        return [bijector.inverse(jnp.asarray(x)) for bijector, x in zip(self.bijectors, values, strict=True)]

    def join(self, position: list[Array]) -> Array:
        """A list of coordinates as one vector (n,)."""
        return jnp.concatenate([jnp.ravel(z) for z in position]) if position else jnp.zeros(0)

    def split(self, vector: Array) -> list[Array]:
        """The inverse of `join`."""
        parts, at = [], 0
        for z in self.position:
            parts.append(jax.lax.slice_in_dim(vector, at, at + z.size).reshape(z.shape).astype(z.dtype))
            at += z.size
        return parts

    def __str__(self) -> str:
        """One line per address: how its coordinates become its value."""
        pairs = zip(self.addresses, self.bijectors, strict=True)
        return "\n".join(f"{address or 'the choice'}: {bijector.words}" for address, bijector in pairs)


def unconstrained(
    trace: AnyTrace, selection: Selectable, *, transform: bool = True, kernel: str = "unconstrained"
) -> Unconstrained:
    """Coordinates of the selected choices in R^n, by the supports of their distributions.

    `str(...)` of the result says which transform each address has. Choices of unknown support, as of a user's own
    density, are their own coordinates.

    Args:
        trace: a trace.
        selection: its choices to look at, `sel(...)`; what was observed stays out, as for every kernel.
        transform: False takes all choices for their own coordinates.
        kernel: name of the caller, for messages.

    Raises:
        TypeError: a selected choice is discrete; the message names its address.
        ValueError: the selection names an address that the trace does not have, or nothing but observed ones; the
            support of a selected choice depends on other selected choices, or differs between the branches
            of a `Cond`.
    """
    selection, held = movable(trace, selection, kernel, continuous=True)
    chosen, _ = trace.get_gen_fn().filter(trace.get_choices(), selection)
    pairs = jax.tree_util.tree_leaves_with_path(chosen)
    addresses = [choice_path(path) for path, _ in pairs]
    values = [_as_float(address, value, kernel) for address, (_, value) in zip(addresses, pairs, strict=True)]
    chosen = jax.tree.unflatten(jax.tree.structure(chosen), values)
    if not transform or not values:
        return Unconstrained(chosen, values, [Identity()] * len(values), addresses, held)
    known = _supports(trace)
    supports = [_at(known, path) for path, _ in pairs]
    if any(_has_open_bounds(support) for support in supports):
        sites = _sites_given(trace, chosen, addresses, kernel)
        supports = [
            _at(sites, path) if _has_open_bounds(support) else support
            for support, (path, _) in zip(supports, pairs, strict=True)
        ]
    bijectors = [_bijector(address, support, kernel) for address, support in zip(addresses, supports, strict=True)]
    position = [bijector.inverse(x) for bijector, x in zip(bijectors, values, strict=True)]
    return Unconstrained(chosen, position, bijectors, addresses, held)


def _as_float(address: str, value: PyTree, kernel: str) -> Array:
    dtype = jnp.result_type(value)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise _discrete(address, f"of dtype {dtype}", kernel)
    return jnp.asarray(value, dtype)


def _discrete(address: str, what: str, kernel: str) -> TypeError:
    return TypeError(
        f"{kernel} was asked to move the choice {address or 'the choice itself'!r} {what}. It follows gradients, which "
        "only continuous (floating-point) choices have. Leave it out of the selection and move it with mh or gibbs; if "
        "it is continuous, constrain it with floats."
    )


def _bijector(address: str, support: Support, kernel: str) -> Bijector:
    if support is DIFFERS:
        raise ValueError(
            f"{kernel} was asked to move the choice {address!r}, whose support differs between the branches of a Cond. "
            "Give the branches' choices different addresses, or pass transform=False to move it in its own coordinates."
        )
    bijector = bijector_of(support)
    if bijector is None:
        raise _discrete(address, f"of the support {support}", kernel)
    return bijector


# Supports by address


def _supports(trace: AnyTrace) -> PyTree:
    """The supports of a trace's choices, a tree like them, as far as they are known without running the model."""
    if not isinstance(trace, Trace):
        return None
    gen_fn = trace.get_gen_fn()
    if isinstance(gen_fn, Distribution):
        return gen_fn.support
    if isinstance(trace, CondTr):
        return _of_branches(*map(_supports, trace.trs))
    inner = trace.raw_choices()
    if isinstance(inner, dict):
        return {addr: _supports(sub) for addr, sub in inner.items()}
    return _supports(inner)


def distribution_at(trace: AnyTrace | None, path: Sequence[str]) -> AnyGFI | None:
    """The distribution of a choice, by its key path; None where there is no single one."""
    for key in (*path, None):
        while isinstance(trace, Trace) and not isinstance(trace.get_gen_fn(), Distribution):
            if isinstance(trace, CondTr):
                return None
            inner = trace.raw_choices()
            if isinstance(inner, dict):
                trace = inner.get(getattr(key, "key", key))
                break
            trace = inner
    return trace.get_gen_fn() if isinstance(trace, Trace) else None


def _of_branches(true: PyTree, false: PyTree) -> PyTree:
    if isinstance(true, dict) and isinstance(false, dict):
        shared = {addr: _of_branches(true[addr], false[addr]) for addr in true if addr in false}
        return {**true, **false, **shared}
    return true if true == false else DIFFERS


def _at(tree: PyTree, path: Sequence[str]) -> PyTree:
    """What a tree says at a path, or at the nearest address above: a choice may itself be a tree."""
    for key in path:
        if not isinstance(tree, dict):
            break
        tree = tree.get(getattr(key, "key", key))
    return tree


def _has_open_bounds(support: Support) -> bool:
    return dataclasses.is_dataclass(support) and any(
        callable(getattr(support, field.name)) for field in dataclasses.fields(support)
    )


def _sites_given(trace: AnyTrace, chosen: Choices, addresses: list[str], kernel: str) -> Sites:
    """The supports with their bounds, which must not depend on the selected choices."""
    gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()

    def run(chosen: Choices) -> PyTree:
        choices, _ = gen_fn.merge(trace.get_choices(), chosen) if isinstance(chosen, dict) else (chosen, None)
        return gen_fn.sites(choices, *args, **kwargs)[0]

    sites = run(chosen)
    bounds = lambda chosen: [leaf for site in _sites(run(chosen)) for leaf in jax.tree.leaves(site.bounds)]
    closed, _, _ = stage_flat(bounds, chosen)
    used = jax_internals.used_inputs(closed)
    if any(used):
        raise ValueError(
            f"{kernel} was asked to move choices together, of which the support of one depends on "
            f"{', '.join(repr(a) for a, is_used in zip(addresses, used, strict=True) if is_used)}. Move them one at a "
            "time, or pass transform=False to move them in their own coordinates."
        )
    return jax.tree.map(lambda site: site.known_support(), sites, is_leaf=lambda node: isinstance(node, Site))


def _sites(tree: PyTree) -> list[Site]:
    return [n for n in jax.tree.leaves(tree, is_leaf=lambda n: isinstance(n, Site)) if isinstance(n, Site)]
