"""A family of distributions: its parameters by name, its sampler and its log density.

A family has one *form* per set of parameters that determines it: Bernoulli has a form in logits and one in probs, each
with the arithmetic that is accurate for it. `Family.sample` and `Family.logpdf` bind the caller's arguments to
parameter names, pick the form, and bring the parameters to arrays of one floating dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from genjax.core.distribution import Distribution, distribution
from genjax.distributions.supports import Support
from genjax.pjax import Sampler, sample_site
from genjax.pjax.jax_internals import ShapedArray
from genjax.signatures import Args, Kwargs

#: Default of a parameter that has none.
REQUIRED = object()

#: The built-in families by name, filled when their modules are imported.
FAMILIES: dict[str, Family] = {}


def _no_event(*_shapes: tuple[int, ...]) -> tuple[int, ...]:
    return ()


def _dtype_of_parameters(*dtypes: DTypeLike) -> DTypeLike:
    return jnp.result_type(*dtypes)


@dataclass(frozen=True)
class Form:
    """One parametrisation of a family.

    Attributes:
        parameters: names, in the order in which `draw` and `log_density` take them.
        draw: `draw(key, *parameters, shape=batch_shape) -> (*batch_shape, *event)`; parameters broadcast.
        log_density: `log_density(value, *parameters) -> (*batch,)`, elementwise over batch axes.
        event_ranks: number of trailing event axes of each parameter; none by default.
        event_shape: from the parameters' shapes to the shape of one draw.
        dtype: from the parameters' dtypes to the dtype of a draw.
        value_rank: number of trailing event axes of a value.
        is_continuous: whether draws are differentiable functions of the parameters.
        refuse: `refuse(*parameters)`, which raises where there is no such distribution. It is asked outside of compiled
            code only, where the parameters' values are known.
        is_value_converted: whether `log_density` gets the value in the parameters' dtype, or as it was given.
    """

    parameters: tuple[str, ...]
    draw: Callable[..., Array]
    log_density: Callable[..., Array]
    event_ranks: tuple[int, ...] = ()
    event_shape: Callable[..., tuple[int, ...]] = _no_event
    dtype: Callable[..., DTypeLike] = _dtype_of_parameters
    value_rank: int = 0
    is_continuous: bool = True
    is_value_converted: bool = True
    refuse: Callable[..., None] | None = None

    def __post_init__(self) -> None:
        if not self.event_ranks:
            object.__setattr__(self, "event_ranks", (0,) * len(self.parameters))


@dataclass(frozen=True, eq=False)
class Family:
    """A named family of distributions; see the module's docstring.

    Attributes:
        name: TFP's class name, shown in jaxprs and errors.
        parameters: parameter names in positional order with their defaults; `REQUIRED` for none.
        forms: the parametrisations, each a set of the parameters.
        support: the set of its values.
        is_polynomial: whether the log density takes no logarithm of a value; see `genjax.core.lanes`.
    """

    name: str
    parameters: Mapping[str, Any]
    forms: Sequence[Form]
    support: Support
    is_polynomial: bool = False
    samplers: dict[frozenset[str], tuple[Form, Sampler]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = {
            frozenset(form.parameters): (
                form,
                Sampler(self.name, _aligned_draw(form), form.event_ranks, form.event_shape, form.dtype),
            )
            for form in self.forms
        }
        object.__setattr__(self, "samplers", table)

    def sample(self, *args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any) -> Array:
        """Draw at a site: `(*sample_shape, *batch, *event)`, where batch is the parameters' broadcast batch shape.

        Raises:
            TypeError: an unknown, repeated or missing parameter.
            ValueError: alternative parameters, such as logits and probs, given together or not at all.
        """
        sampler, arrays = self.sampler_and_parameters(args, kwargs)
        return sample_site(sampler, arrays, sample_shape)

    def sampler_and_parameters(self, args: Args, kwargs: Kwargs) -> tuple[Sampler, list[Array]]:
        """The sampler that these arguments call for, and its parameters: arrays of one floating dtype."""
        _, sampler, arrays = self._bind(args, kwargs)
        dtype = _floating_dtype(arrays)
        return sampler, [a.astype(dtype) for a in arrays]

    def drawn(self, *args: Any, **kwargs: Any) -> ShapedArray:
        """Shape and dtype of what `sample` would draw; nothing is drawn."""
        _, sampler, arrays = self._bind(args, kwargs)
        dtype = _floating_dtype(arrays)
        parameters = [jax.ShapeDtypeStruct(a.shape, dtype) for a in arrays]
        return sampler.abstract(parameters, sampler.batch_shape(arrays))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _named, (self.name,)  # there is one of each: copies and pickles are the family itself

    def logpdf(self, value: ArrayLike, *args: Any, **kwargs: Any) -> Array:
        """Log density (log probability where the family is discrete) of `value`, elementwise: `(*batch,)`.

        -inf outside the support, possibly NaN where a parameter is invalid; never an exception for a value.

        Raises:
            TypeError, ValueError: as `sample`.
        """
        form, _, arrays = self._bind(args, kwargs)
        try:
            value = jnp.asarray(_float_of_int(value))
        except TypeError as error:
            raise TypeError(
                f"{self.name} got the value {value!r} ({type(value).__name__}), which is neither a number nor an array."
            ) from error
        dtype = _floating_dtype([value, *arrays] if form.is_value_converted else arrays)
        arrays = [a.astype(dtype) for a in arrays]
        if form.is_value_converted:
            value = value.astype(dtype)
        if value.ndim < form.value_rank:
            value = value.reshape((1,) * (form.value_rank - value.ndim) + value.shape)
        value, *arrays = _align_ranks([value, *arrays], (form.value_rank, *form.event_ranks))
        return form.log_density(value, *arrays)

    def _bind(self, args: Args, kwargs: Kwargs) -> tuple[Form, Sampler, list[Array]]:
        if len(args) > len(self.parameters):
            raise TypeError(f"{self._signature()} got {len(args)} positional arguments.")
        given = dict(zip(self.parameters, args, strict=False))
        for name, argument in kwargs.items():
            if name not in self.parameters:
                raise TypeError(f"{self._signature()} got an unknown keyword argument {name!r}.")
            if name in given:
                raise TypeError(f"{self._signature()} got {name!r} both by position and by keyword.")
            given[name] = argument
        for name, default in self.parameters.items():
            if name not in given:
                if default is REQUIRED:
                    raise TypeError(f"{self._signature()} is missing {name!r}.")
                given[name] = default
        # None stands for "not given" where there are alternatives; anywhere else it is a mistake.
        given = {name: argument for name, argument in given.items() if argument is not None}
        entry = self.samplers.get(frozenset(given))
        if entry is None:
            forms = " or ".join(f"({', '.join(form.parameters)})" for form in self.forms)
            raise ValueError(f"{self._signature()} got ({', '.join(given)}). Give exactly one of {forms}; not None.")
        form, sampler = entry
        arrays = _to_arrays(self.name, form, [given[name] for name in form.parameters])
        form.event_shape(*(a.shape for a in arrays))  # says which event axes do not fit together
        if form.refuse is not None and not any(isinstance(a, jax.core.Tracer) for a in arrays):
            form.refuse(*arrays)
        return form, sampler, arrays

    def _signature(self) -> str:
        shown = [n if d is REQUIRED else f"{n}={d}" for n, d in self.parameters.items()]
        return f"{self.name}({', '.join(shown)})"


def _named(name: str) -> Family:
    return FAMILIES[name]


def define(family: Family) -> Distribution:
    """Register a family and make it a distribution."""
    FAMILIES[family.name] = family
    return distribution(family.sample, family.logpdf, family.name, family.support, is_polynomial=family.is_polynomial)


# From arguments to arrays


def _float_of_int(argument: ArrayLike) -> ArrayLike:
    # A Python int beyond int32 would overflow in asarray; every int parameter becomes floating anyway.
    return float(argument) if type(argument) is int else argument


def _to_arrays(name: str, form: Form, parameters: Sequence[ArrayLike]) -> list[Array]:
    arrays = []
    for label, argument, event_rank in zip(form.parameters, parameters, form.event_ranks, strict=True):
        if isinstance(argument, (tuple, list)):
            # Vectorising over a tuple of parameters leaves 1-tuples: the one leaf is the parameter.
            leaves = jax.tree.leaves(argument)
            if len(leaves) == 1 and jnp.ndim(leaves[0]) >= event_rank:
                argument = leaves[0]
        array = jnp.asarray(_float_of_int(argument))
        if array.ndim < event_rank:
            if array.ndim > 0:
                raise ValueError(f"{name} got {label} of shape {array.shape}. It needs at least {event_rank} axes.")
            array = array.reshape((1,) * event_rank)
        arrays.append(array)
    return arrays


def _floating_dtype(arrays: Sequence[Array]) -> DTypeLike:
    """The common dtype of the floating arrays (Python scalars are weak), or JAX's default float."""
    floating = [a for a in arrays if jnp.issubdtype(a.dtype, jnp.inexact)]
    return jnp.result_type(*floating) if floating else jnp.result_type(float)


def _align_ranks(arrays: Sequence[Array], event_ranks: Sequence[int]) -> list[Array]:
    """Pad batch axes in front, so that event axes meet event axes, also where implicit rank promotion is forbidden."""
    batch_rank = max(a.ndim - rank for a, rank in zip(arrays, event_ranks, strict=True))
    missing = [batch_rank - (a.ndim - rank) for a, rank in zip(arrays, event_ranks, strict=True)]
    return [a.reshape((1,) * n + a.shape) if n and a.ndim else a for a, n in zip(arrays, missing, strict=True)]


def _aligned_draw(form: Form) -> Callable[..., Array]:
    def draw(key: Array, *parameters: Array, shape: tuple[int, ...]) -> Array:
        if not form.is_continuous:  # some discrete samplers loop, which has no derivative; the true one is zero
            parameters = tuple(jax.lax.stop_gradient(p) for p in parameters)
        missing = [len(shape) + rank - p.ndim for p, rank in zip(parameters, form.event_ranks, strict=True)]
        aligned = [
            p.reshape((1,) * n + p.shape) if n and p.ndim else p for p, n in zip(parameters, missing, strict=True)
        ]
        return form.draw(key, *aligned, shape=shape)

    return draw
