"""What a model says about each of its random choices at given values: density and support."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp

from genjax.core.choices import select_where
from genjax.core.const import Const
from genjax.core.pytree import Pytree
from genjax.signatures import Args, Kwargs, PyTree

if TYPE_CHECKING:
    from genjax.distributions.supports import Support

#: Stands for the support of a choice whose distributions in the branches of a `Cond` have different ones.
DIFFERS = "a support that differs between branches"


@Pytree.dataclass
class Site(Pytree):
    """One random choice, or a batch of them along leading axes.

    Attributes:
        value: the choice.
        log_density: `log p(value | parents)`, elementwise over the batch axes of the distribution.
        bounds: of the support, by name, where they are functions of the distribution's arguments: arrays that align
            with the leading axes of the value.
        support: a `Const` of the support without these bounds; of None where it is unknown.
    """

    value: PyTree
    log_density: jax.Array
    bounds: dict[str, jax.Array]
    support: Const[Any]

    def known_support(self) -> Any:
        """The support with its bounds filled in."""
        support = self.support.value
        return dataclasses.replace(support, **self.bounds) if self.bounds else support


Sites: TypeAlias = "dict[str, Sites] | Site | None"
"""What a model says about its choices: a `Site` for each, at its address; None where it says nothing."""


def site_of(support: Support | None, value: PyTree, log_density: jax.Array, args: Args, kwargs: Kwargs) -> Site:
    """The site of a distribution called with these arguments."""
    bounds, known = {}, {}
    if support is not None:
        for field in dataclasses.fields(support):
            bound = getattr(support, field.name)
            if callable(bound):
                shape = jnp.shape(value)[: jnp.ndim(value) - support.event_rank]
                found = bound(*args, **kwargs)
                if isinstance(found, int):  # a number of categories, which a shape tells
                    known[field.name] = found
                else:
                    bounds[field.name] = jnp.broadcast_to(jnp.asarray(found), shape)
        if known:
            support = dataclasses.replace(support, **known)
    return Site(value, log_density, bounds, Const(support))


def choose_sites(check: jax.Array, true: Sites, false: Sites) -> Sites:
    """The sites of a `Cond` from those of its branches: a density counts where its branch is taken.

    An address that both branches have takes the site of the one taken.
    """
    if isinstance(true, dict) and isinstance(false, dict):
        both = {addr: choose_sites(check, true[addr], false[addr]) for addr in true if addr in false}
        only = {addr: _counted(check, sites) for addr, sites in true.items() if addr not in false}
        other = {addr: _counted(~check, sites) for addr, sites in false.items() if addr not in true}
        return {**only, **other, **both}
    if not (isinstance(true, Site) and isinstance(false, Site)):
        return None
    value, log_density = (
        jax.tree.map(lambda a, b: select_where(check, a, b), getattr(true, name), getattr(false, name))
        for name in ("value", "log_density")
    )
    if true.support != false.support:
        return Site(value, log_density, {}, Const(DIFFERS))
    bounds = {name: select_where(check, bound, false.bounds[name]) for name, bound in true.bounds.items()}
    return Site(value, log_density, bounds, true.support)


def _counted(check: jax.Array, sites: Sites) -> Sites:
    """Sites whose densities are 0 where the branch is not taken."""

    def count(site: Site | None) -> Site | None:
        if not isinstance(site, Site):
            return site
        zero = jnp.zeros_like(site.log_density)
        return dataclasses.replace(site, log_density=select_where(check, site.log_density, zero))

    return jax.tree.map(count, sites, is_leaf=lambda node: isinstance(node, Site))
