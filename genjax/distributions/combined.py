"""Distributions made of others: mixtures of one family, inflated zeros, and densities that are flat on a support.

Each constructor returns a `Distribution`, which equals every other that was made of the same parts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.distribution import Distribution, distribution
from genjax.distributions import special
from genjax.distributions.discrete import categorical, flip
from genjax.distributions.own_derivative import own_derivative
from genjax.distributions.supports import Support
from genjax.signatures import Args

P = TypeVar("P")
M = TypeVar("M", bound="_Made")


def mixture(component: Distribution) -> Distribution:
    """Mixtures of one family: `mixture(normal)(probs, loc, scale)`.

    Args:
        component: a distribution of numbers.

    Returns:
        A distribution whose first parameter is `probs` (*batch, K), nonnegative weights of any sum; the others are the
        component's, whose last axis holds the K components, or numbers, which they share:
        `log p(x) = log sum_k w_k exp(component.logpdf(x, ..._k))`, w the weights over their sum. It is accurate where
        the component's density is, and resolves the probabilities that the component resolves. The component of a
        draw is not one of its choices, and a draw has no derivative in `probs`.
    """
    parts = _made(_Mixture, component)
    return distribution(parts.sample, parts.logpdf, f"Mixture({component!r})", _support_beneath(component, True))


@functools.lru_cache(maxsize=256)
def _made(kind: Callable[[P], M], part: P) -> M:
    return kind(part)


@dataclass(frozen=True)
class _BoundBeneath:
    """A bound of a component's support, as a function of the arguments of what is made of it: one more, in front.

    Attributes:
        bound: a function of the component's arguments.
        outermost: "min" or "max" over the components, which the last axis holds; "" where there is one.
    """

    bound: Callable[..., ArrayLike]
    outermost: str

    @property
    def label(self) -> str:
        return getattr(self.bound, "label", "a function of the parameters")

    def __call__(self, *args: Any, **kwargs: Any) -> ArrayLike:
        bound = self.bound(*args[1:], **kwargs)
        return getattr(jnp, self.outermost)(bound, axis=-1) if self.outermost and jnp.ndim(bound) else bound


def _support_beneath(component: Distribution, is_union: bool) -> Support | None:
    """The support of what is made of a component; of several with parameters of their own, where it is a union."""
    support: Support | None = component.support
    if support is None:
        return None
    ends = {"low": "min", "high": "max"} if is_union else {}
    bounds = {field.name: getattr(support, field.name) for field in dataclasses.fields(support)}
    return dataclasses.replace(
        support, **{name: _BoundBeneath(b, ends.get(name, "")) for name, b in bounds.items() if callable(b)}
    )


class _Made:
    """Something made of one part, of which there is one: copies and pickles are the thing itself."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _made, (type(self), *(getattr(self, f.name) for f in dataclasses.fields(self)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Mixture(_Made):
    component: Distribution

    def sample(self, probs: ArrayLike, *args: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        probs, args = _stacked(probs, args)
        chosen = categorical.sample(probs=probs, sample_shape=sample_shape)
        take = lambda a: jnp.take_along_axis(
            jnp.broadcast_to(a, (*chosen.shape, a.shape[-1])), chosen[..., None], axis=-1
        )[..., 0]
        return self.component.sample(*jax.tree.map(take, args))

    def logpdf(self, value: ArrayLike, probs: ArrayLike, *args: Any) -> Array:
        probs, args = _stacked(probs, args)
        log_terms = self.component.logpdf(jnp.asarray(value)[..., None], *args)
        return _log_weighted_sum(probs, log_terms) - jnp.log(probs.sum(-1))


def _log_weighted_sum(weights: Array, log_terms: Array) -> Array:
    """`log sum_k w_k exp(l_k)` over the last axis, with the right derivative also by a weight of 0."""
    if not jnp.issubdtype(weights.dtype, jnp.inexact):
        weights = weights.astype(log_terms.dtype)
    return _log_of_sum(*jnp.broadcast_arrays(weights, log_terms))


@own_derivative
def _log_of_sum(weights: Array, log_terms: Array) -> Array:
    _, total, largest = _relative_terms(weights, log_terms)
    return jnp.log(total) + largest


@_log_of_sum.defjvp
def _log_of_sum_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (weights, log_terms), (weights_dot, log_terms_dot) = primals, tangents
    terms, total, largest = _relative_terms(weights, log_terms)
    # Where the sum is 0 or infinite there is no derivative, and it is taken as 0.
    is_used = (total != 0) & (total != jnp.inf)
    inverse = jnp.where(is_used, 1 / jnp.where(is_used, total, 1), 0)[..., None]
    most = jnp.finfo(terms.dtype).max
    by_weight = jnp.minimum(jnp.minimum(terms, most) * inverse, most)
    tangent = (by_weight * weights_dot + weights * by_weight * log_terms_dot).sum(-1)
    return jnp.log(total) + largest, tangent


def _relative_terms(weights: Array, log_terms: Array) -> tuple[Array, Array, Array]:
    """Each exp(l - largest), the sum of these times the weights, and the largest l that has a weight."""
    is_weighed = weights != 0
    largest = jax.lax.stop_gradient(jnp.where(is_weighed, log_terms, -jnp.inf).max(-1))
    largest = jnp.where(jnp.abs(largest) < jnp.inf, largest, 0)
    terms = jnp.exp(log_terms - largest[..., None])
    return terms, (weights * jnp.where(is_weighed, terms, 0)).sum(-1), largest


def _stacked(probs: ArrayLike, args: Args) -> tuple[Array, Args]:
    """Weights and parameters, all with a last axis of K and of one batch shape."""
    probs = jnp.asarray(probs)
    if probs.ndim == 0:
        raise ValueError(
            "mixture() got scalar probs. The last axis of probs, (*batch, K), holds the components' weights."
        )
    arrays = [None if a is None else jnp.asarray(a) for a in args]
    for i, array in enumerate(arrays):
        if array is not None and array.ndim and array.shape[-1] not in (1, probs.shape[-1]):
            raise ValueError(
                f"mixture() got probs of {probs.shape[-1]} components, and parameter {i} of shape {array.shape}. The "
                "last axis of each parameter holds the components."
            )
    shape = jnp.broadcast_shapes(probs.shape, *(a.shape for a in arrays if a is not None))
    return jnp.broadcast_to(probs, shape), tuple(None if a is None else jnp.broadcast_to(a, shape) for a in arrays)


def zero_inflated(component: Distribution) -> Distribution:
    """Counts with more zeros: `zero_inflated(poisson)(gate, rate)`.

    Args:
        component: a distribution of counts.

    Returns:
        A distribution whose first parameter is `gate`, the probability of a zero that the component has no part in; the
        others are the component's: `p(0) = gate + (1 - gate) component(0)`, `p(k) = (1 - gate) component(k)`. It
        resolves the probabilities that the component resolves, and a zero of the gate down to 1e-30.
    """
    parts = _made(_ZeroInflated, component)
    return distribution(parts.sample, parts.logpdf, f"ZeroInflated({component!r})", _support_beneath(component, False))


@dataclass(frozen=True)
class _ZeroInflated(_Made):
    component: Distribution

    def sample(self, gate: ArrayLike, *args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any) -> Array:
        gate, args, kwargs = jax.tree.map(jnp.asarray, (gate, args, kwargs))
        shape = jnp.broadcast_shapes(*(jnp.shape(leaf) for leaf in jax.tree.leaves((gate, args, kwargs))))
        gate, args, kwargs = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), (gate, args, kwargs))
        count = self.component.sample(*args, sample_shape=sample_shape, **kwargs)
        return jnp.where(flip.sample(gate, sample_shape=sample_shape), jnp.zeros_like(count), count)

    def logpdf(self, value: ArrayLike, gate: ArrayLike, *args: Any, **kwargs: Any) -> Array:
        value, gate = jnp.asarray(value), jnp.asarray(gate)
        log_density = self.component.logpdf(value, *args, **kwargs)
        from_component = special.log_complement(gate) + log_density
        weights = jnp.stack([gate, 1 - gate], axis=-1)
        log_terms = jnp.stack([jnp.zeros_like(log_density), log_density], axis=-1)
        return jnp.where(value == 0, _log_weighted_sum(weights, log_terms), from_component)


def improper_uniform(support: Support) -> Distribution:
    """A density of 1 on a support: a flat prior, which has no draws.

    Args:
        support: the set, such as `genjax.distributions.supports.positive`.

    Returns:
        A distribution without parameters: log density 0 inside of the support and -inf outside. Give its choices in
        `generate`; drawing is a NotImplementedError.
    """
    parts = _made(_ImproperUniform, support)
    return distribution(parts.sample, parts.logpdf, f"ImproperUniform({support})", support)


@dataclass(frozen=True)
class _ImproperUniform(_Made):
    support: Support

    def sample(self, *, sample_shape: tuple[int, ...] = ()) -> Array:
        raise NotImplementedError(
            f"improper_uniform() on {self.support} has no draws: its mass is infinite. Give its choices to generate(), "
            "as a start for a kernel, or use a proper prior."
        )

    def logpdf(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        is_inside = self.support.contains(jax.lax.stop_gradient(value))
        return jnp.where(is_inside, 0.0, -jnp.inf).astype(jnp.result_type(float, value.dtype))
