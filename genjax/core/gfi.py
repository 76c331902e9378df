"""The generative function interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from genjax.core import display
from genjax.core.choices import filter_choices, merge_choices
from genjax.core.handlers import Thunk, current_handler
from genjax.core.lanes import scalar
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase
from genjax.core.sites import Sites
from genjax.core.trace import Trace
from genjax.shapes import Float
from genjax.signatures import PyTree

if TYPE_CHECKING:
    from genjax.core.cond import Cond
    from genjax.core.vmap import Vmap

X = TypeVar("X")
R = TypeVar("R")

Weight: TypeAlias = Float[jax.Array, ""]
"""A log weight, in nats."""
Density: TypeAlias = Float[jax.Array, "..."]
"""A log density, in nats: a scalar, or of the batch shape where a distribution is elementwise."""


class GFI(Pytree, Generic[X, R]):
    """A probabilistic program as an object with a density and ways to sample from, condition and change it.

    Write `P(x; args)` for the density of choices x, and `Q` for sampling whatever is unconstrained from the model
    itself, ancestors first. All weights and densities are logarithms. Model arguments come last, positionally or by
    keyword. A trace's score is `-log P`.

    Subclasses define the six methods below, and `merge` and `filter` if their choices are not nested dicts.
    Source: the interface of Cusumano-Towner et al., *Gen* (PLDI 2019), section 3, with `regenerate` as its MH ratio.
    """

    def simulate(self, *args: Any, **kwargs: Any) -> Trace[X, R]:
        """`trace = simulate(*args)`: draw x ~ P(.; args). `trace.get_score() = -log P(x; args)`."""
        raise TypeError(_undefined(self, "simulate"))

    def assess(self, x: X, *args: Any, **kwargs: Any) -> tuple[Density, R]:
        """`(log_density, retval) = assess(x, *args)`: `log P(x; args)` and the return value at x.

        Raises:
            KeyError: an address of the model is missing from x.
        """
        raise TypeError(_undefined(self, "assess"))

    def generate(self, x: X | None, *args: Any, **kwargs: Any) -> tuple[Trace[X, R], Weight]:
        """`(trace, log_weight) = generate(x, *args)`: constrain some choices, draw the others from the model.

        `log_weight = sum over constrained sites of log p(site | parents)`: 0 for no constraints, `log P(x; args)` when
        all are constrained. `E[exp(log_weight)]` is the marginal density of the constraints.
        """
        raise TypeError(_undefined(self, "generate"))

    def update(self, tr: Trace[X, R], x: X | None, *args: Any, **kwargs: Any) -> tuple[Trace[X, R], Weight, X]:
        """`(trace, log_weight, discard) = update(tr, x, *args)`: replace choices, keep the others, new arguments.

        `log_weight = log P(new; args) - log P(old; old args)`. `discard` holds the old values.
        """
        raise TypeError(_undefined(self, "update"))

    def regenerate(
        self, tr: Trace[X, R], selection: SelectionBase, *args: Any, **kwargs: Any
    ) -> tuple[Trace[X, R], Weight, X | None]:
        """`(trace, log_weight, discard) = regenerate(tr, selection, *args)`: redraw the selected choices.

        Selected sites are drawn from the model given their (possibly new) parents.
        `log_weight = sum over unselected sites of log p_new(site) - log p_old(site)`, which is the log acceptance
        ratio of Metropolis-Hastings with that proposal. `discard` holds old values of selected sites.
        """
        raise TypeError(_undefined(self, "regenerate"))

    def project(self, tr: Trace[X, R], selection: SelectionBase) -> Density:
        """`log_density = project(tr, selection)`: the sum of `log p(site | parents)` over the selected sites."""
        raise TypeError(_undefined(self, "project"))

    def sites(self, x: X, *args: Any, **kwargs: Any) -> tuple[Sites, R]:
        """`(sites, retval) = sites(x, *args)`: what the model says about each choice of x; retval as of `assess`.

        `sites` is a tree like x with a `Site` for each choice, of its density and support: elementwise where `assess`
        sums. Leading axes are those of x. A generative function that does not define this says nothing: None.
        """
        return None, self.assess(x, *args, **kwargs)[1]

    def merge(self, x: X, x_: X, check: jax.Array | None = None) -> tuple[X, X | None]:
        """`(merged, discarded) = merge(x, x_)`: union of two choice maps; x_ wins, or `where(check, x, x_)`."""
        return merge_choices(x, x_, check)

    def filter(self, x: X, selection: SelectionBase) -> tuple[X | None, X | None]:
        """`(selected, unselected) = filter(x, selection)`: split a choice map; None for an empty side."""
        return filter_choices(x, selection)

    def log_density(self, x: X, *args: Any, **kwargs: Any) -> Density:
        """`log P(x; args)`, summed to a scalar."""
        return scalar(self.assess(x, *args, **kwargs)[0])

    # Combinators as methods

    def vmap(
        self,
        in_axes: PyTree = 0,
        axis_size: int | None = None,
        axis_name: str | None = None,
        spmd_axis_name: str | None = None,
    ) -> Vmap[Any, Any]:
        """Independent copies along a new leading axis; arguments are mapped as in `jax.vmap`."""
        from genjax.core.vmap import Vmap

        return Vmap(self, in_axes, axis_size, axis_name, spmd_axis_name)

    def repeat(self, n: int) -> Vmap[Any, Any]:
        """n independent copies that share their arguments."""
        from genjax.core.vmap import Vmap

        return Vmap(self, None, n)

    def cond(self, other: AnyGFI) -> Cond[Any, Any]:
        """`Cond(self, other)`: self where the check is true."""
        from genjax.core.cond import Cond

        return Cond(self, other)

    def _repr_html_(self) -> str:
        return display.gen_fn_html(self)

    # Calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside a model: a call that waits for `@ "address"`. Outside: simulate and return the return value."""
        handler = current_handler()
        if handler is None:
            return self.simulate(*args, **kwargs).get_retval()
        thunk = Thunk(self, args, kwargs)
        handler.made(thunk)
        return thunk

    def T(self, *args: Any, **kwargs: Any) -> Thunk:
        """A call that waits for its address, both inside and outside a running model."""
        return Thunk(self, args, kwargs)


AnyGFI: TypeAlias = GFI[Any, Any]
"""Any generative function."""


def _undefined(gen_fn: AnyGFI, method: str) -> str:
    return f"{type(gen_fn).__name__} does not define `{method}`, which every generative function must."


def total(values: list[jax.Array]) -> jax.Array:
    """The sum of a list of scalars, as an array; 0.0 for none."""
    if not values:
        return jnp.array(0.0)
    result = jnp.asarray(values[0])
    for value in values[1:]:
        result = result + value
    return result
