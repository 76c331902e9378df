"""What a model says once its parameters have been drawn: predictions, and the likelihood of each observation."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core import Trace, get_choices, sel
from genjax.core.addresses import Path
from genjax.core.arguments import as_args, is_shared, raw_args
from genjax.core.choices import choice_path, is_empty
from genjax.core.const import Size, count
from genjax.core.gfi import AnyGFI
from genjax.core.observed import observed_paths
from genjax.core.selection import Selectable
from genjax.core.sites import Site
from genjax.core.trace import AnyTrace
from genjax.pjax.vectorize import modular_vmap
from genjax.signatures import Args, Choices, Kwargs


def prior_predictive(model: AnyGFI, args: Args, n_draws: Size) -> Choices:
    """n_draws independent draws of all choices of a model: a tree with leading axis (n_draws,).

    Args:
        model: a generative function.
        args: its arguments, a tuple.
        n_draws: an int or `Const`.

    Raises:
        ValueError: n_draws < 1.
    """
    args = as_args(args)
    n = count(n_draws, "n_draws", least=1)
    return jax.vmap(lambda: model.simulate(*args).get_choices(), in_axes=(), axis_size=n)()


prior_predictive.__static_parameters__ = ("n_draws",)  # type: ignore[attr-defined]


def predictive(
    model: AnyGFI, draws: AnyTrace | Choices, args: Args | None = None, *, given: Selectable = None
) -> Choices:
    """Choices drawn from the model given posterior draws of its parameters.

    Args:
        model: a generative function, with the addresses of the one that was fitted; it may have others.
        draws: what to condition on: a batch of traces, or a tree of choices with leading axes such as (chains, steps).
        args: the arguments to predict at, a tuple; by default those of the traces.
        given: selection of those choices of `draws` that are held; the others are drawn again. By default, what was
            inferred: with traces all that was not marked as observed, with a tree of choices all of it.

    Returns:
        All choices of the model, with the leading axes of the draws.

    Raises:
        TypeError: choices without `args`.
        ValueError: nothing is held.
    """
    args, kwargs, n_axes = _arguments(draws, args)
    choices = get_choices(draws)
    held = ~sel(*_observed(draws), strict=False) if given is None else sel(given)
    held_choices, _ = model.filter(choices, held)
    if is_empty(held_choices):
        raise ValueError(
            "predictive() got draws of which nothing is held, so it would draw from the prior. Pass draws of the "
            "parameters, or `given=sel(...)` to say which choices are parameters; for the prior see prior_predictive()."
        )

    def one(held: Choices) -> Choices:
        return model.generate(held, *args, **kwargs)[0].get_choices()

    for _ in range(n_axes if n_axes is not None else jnp.ndim(jax.tree.leaves(held_choices)[0])):
        one = modular_vmap(one)
    return one(held_choices)


def log_likelihood(
    model: AnyGFI, draws: AnyTrace, observed: Selectable = None, args: Args | None = None
) -> dict[str, Array]:
    """The log density of each observation at each posterior draw, as leave-one-out cross-validation needs it.

    Args:
        model: the generative function that was fitted.
        draws: a batch of traces.
        observed: selection of the observations; by default what was marked as observed.
        args: the model's arguments, a tuple; those of the traces by default.

    Returns:
        `{address path: log p(observation | parents)}` with the leading axes of the draws, then those of the address:
        one number for each lane or step of it.

    Raises:
        ValueError: nothing is observed.
    """
    args, kwargs, n_axes = _arguments(draws, args)
    wanted = sel(*_observed(draws), strict=False) if observed is None else sel(observed)

    def one(choices: Choices) -> dict[str, Array]:
        sites, _ = model.sites(choices, *args, **kwargs)
        densities = jax.tree.map(lambda site: site.log_density, sites, is_leaf=lambda node: isinstance(node, Site))
        chosen, _ = model.filter(densities, wanted)
        return {choice_path(path): value for path, value in jax.tree_util.tree_leaves_with_path(chosen)}

    choices = get_choices(draws)
    for _ in range(n_axes):
        one = modular_vmap(one)
    found = one(choices)
    if not found:
        raise ValueError(
            "log_likelihood() got draws without marks of what was observed. Pass `observed=sel(...)`, the addresses of "
            "the data."
        )
    return found


def _arguments(draws: AnyTrace | Choices, args: Args | None) -> tuple[Args, Kwargs, Any]:
    """The model's arguments, and the number of axes of a batch of traces (None for choices)."""
    if not isinstance(draws, Trace):
        if args is None:
            raise TypeError("Draws that are not traces do not hold the model's arguments: pass args=(...), a tuple.")
        return as_args(args), {}, None
    n_axes = jnp.ndim(draws.raw_score())
    if args is not None:
        return as_args(args), {}, n_axes
    stored = jax.tree.leaves(raw_args(draws)[:2], is_leaf=is_shared)
    if n_axes and not all(map(is_shared, stored)):
        raise ValueError("The traces have arguments that differ between them: pass args=(...), a tuple.")
    one = draws
    for _ in range(n_axes):
        one = jax.tree.map(lambda leaf: leaf[0], one)
    args, kwargs = one.get_args()
    return args, kwargs, n_axes


def _observed(draws: AnyTrace | Choices) -> list[Path]:
    """The paths that a batch of traces marks as observed, in full or in part."""
    if not isinstance(draws, Trace):
        return []
    return [path or () for path in observed_paths(draws)]
