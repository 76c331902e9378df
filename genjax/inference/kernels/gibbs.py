"""Gibbs sampling of finite choices by enumeration."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.core import CondTr, Trace, Vmap, sel
from genjax.core.addresses import Path, addresses, path_text, selected_paths
from genjax.core.observed import movable
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.sites import Site, Sites
from genjax.core.trace import AnyTrace
from genjax.distributions import categorical, supports
from genjax.inference.carry import plain
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import stage_flat
from genjax.signatures import Choices, PyTree

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class Gibbs(Kernel):
    """Gibbs sampling by enumeration; see `gibbs`.

    Attributes:
        selection: the choices to draw.
    """

    selection: Selectable

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))

    def init(self, trace: AnyTrace) -> TraceState:
        trace = plain(trace)
        for path in self._paths(trace):
            _values(trace, path)
        return TraceState(trace)

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        trace = state.trace
        for path in self._paths(trace):
            trace = _drawn(trace, path)
        return TraceState(trace), Info.of(True, 1.0, trace.get_score())

    def _paths(self, trace: AnyTrace) -> list[Path]:
        return selected_paths(movable(trace, self.selection, "gibbs", elements=False).selection, addresses(trace))


def _drawn(trace: AnyTrace, path: Path) -> AnyTrace:
    """The trace with the choice at a path drawn from its distribution given all others."""
    gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
    choices = trace.get_choices()
    old = _at(choices, path)
    values = jnp.asarray(_values(trace, path), old.dtype)
    lanes = _lanes(trace, path) if old.ndim else ()

    def densities(value: Array) -> tuple[Array, Array]:
        """What of the log density belongs to each lane, and the rest."""
        sites, _ = gen_fn.sites(_with(choices, path, value), *args, **kwargs)
        inside, outside = _split(sites, lanes)
        own = sum((jnp.sum(d.reshape(*old.shape, -1), axis=-1) for d in inside), start=jnp.zeros(old.shape))
        return own, sum((jnp.sum(d) for d in outside), start=jnp.zeros(()))

    if old.ndim:
        closed, _, _ = stage_flat(lambda value: densities(value)[1], old)
        if any(jax_internals.used_inputs(closed)):
            raise ValueError(
                f"gibbs was asked to move {path_text(path)}, whose lanes are not independent given the other "
                "choices: one outside of their vmap depends on them. Move them with mh."
            )
    log_weights = jax.vmap(lambda value: densities(jnp.full(old.shape, value))[0])(values)
    drawn = values[categorical.sample(jnp.moveaxis(log_weights, 0, -1))]
    return plain(gen_fn.update(trace, _with({}, path, drawn), *args, **kwargs)[0])


def _values(trace: AnyTrace, path: Path) -> np.ndarray:
    """All values that the choice at a path may have."""
    gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
    sites, _ = gen_fn.sites(trace.get_choices(), *args, **kwargs)
    site = _at(sites, path)
    support = site.known_support() if isinstance(site, Site) else None
    if isinstance(support, supports.Boolean):
        return np.array([False, True])
    if isinstance(support, supports.IntegerRange) and isinstance(support.low, int) and isinstance(support.high, int):
        return np.arange(support.low, support.high + 1)
    raise ValueError(
        f"gibbs was asked to move {path_text(path)}, of the support {support}. It enumerates choices of "
        "finitely many values, known before anything runs, such as flip and categorical. For others there are mh, "
        "slice_sample and nuts."
    )


def _lanes(trace: AnyTrace, path: Path) -> Path:
    """The path of the vmap whose lanes a choice has.

    Raises:
        ValueError: there is none, so that nothing says that elements are independent.
    """
    node: PyTree = trace
    prefix: tuple[Any, ...] = ()
    for addr in (*path, None):
        if isinstance(node, Trace) and isinstance(node.get_gen_fn(), Vmap):
            return prefix
        if isinstance(node, CondTr) or not isinstance(node, Trace) or not isinstance(node.raw_choices(), dict):
            break
        node, prefix = node.raw_choices().get(addr), (*prefix, addr)
    raise ValueError(
        f"gibbs was asked to move {path_text(path)}, an array whose elements are not declared to be independent. Write "
        "the choice with .vmap() or .repeat(n), or move it with mh."
    )


def _split(sites: Sites, lanes: Path) -> tuple[list[Array], list[Array]]:
    """The log densities of the sites beneath the vmap at `lanes`, and of the others."""
    pairs = jax.tree_util.tree_leaves_with_path(sites, is_leaf=lambda node: isinstance(node, Site))
    inside: list[Array] = []
    outside: list[Array] = []
    for path, site in pairs:
        if isinstance(site, Site):
            is_inside = tuple(getattr(key, "key", None) for key in path[: len(lanes)]) == lanes
            (inside if is_inside else outside).append(site.log_density)
    return inside, outside


def _at(tree: PyTree, path: Path) -> PyTree:
    for addr in path:
        tree = tree[addr]
    return tree


def _with(choices: Choices, path: Path, value: PyTree) -> Choices:
    if not path:
        return value
    return {**choices, path[0]: _with(choices.get(path[0], {}), path[1:], value)}


def gibbs(trace: T, selection: Selectable) -> T:
    """`new_trace = gibbs(trace, selection)`: draw finite choices from their distribution given all others.

    All values of a choice are enumerated side by side. The lanes of a vmapped choice are independent given what is
    outside of their vmap, so that they are enumerated together: K evaluations for n lanes of K values, not K^n.
    Several selected choices are drawn one after the other, in the order of the trace.

    Args:
        trace: the current state.
        selection: the choices to draw, `sel(...)`: of `flip`, `bernoulli`, `categorical` and others with finitely many
            values; numbers, or one axis of lanes. Missing elements of data that were observed in part stay where they
            are; `mh` moves them.

    Returns:
        The new state. Saves `accept`, true, for `state`.

    Raises:
        ValueError: a selected choice has infinitely many values, or elements that are not independent, or was observed,
            in part or in full.

    Source: Geman and Geman, *Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images*
    (IEEE PAMI 1984).
    """
    return apply(Gibbs(selection), trace)
