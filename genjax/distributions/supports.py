"""Supports: the set of values that a distribution can take, in words and as objects.

`normal.support` is `real`, `uniform.support` an `Interval` whose bounds are functions of the distribution's arguments:
`uniform.support.at(0.0, 3.0)` is `Interval(0.0, 3.0)`. Kernels that move in R^n choose their bijectors by the class.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

Bound: TypeAlias = ArrayLike | Callable[..., ArrayLike] | None
"""A number, an array, or a function of the distribution's arguments; None for no bound."""


def _words(bound: Bound) -> str:
    return getattr(bound, "label", None) or ("a function of the parameters" if callable(bound) else str(bound))


@dataclass(frozen=True)
class Support:
    """The set of values of a distribution.

    Attributes:
        words: the set in words.
        event_rank: number of trailing axes of one value.
        is_discrete: whether the set is countable.
    """

    words: ClassVar[str]
    event_rank: ClassVar[int] = 0
    is_discrete: ClassVar[bool] = False

    def at(self, *args: Any, **kwargs: Any) -> Support:
        """This support for the distribution's arguments `args, kwargs`: bounds that are functions become arrays."""
        bounds = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        known = {name: b(*args, **kwargs) if callable(b) else b for name, b in bounds.items()}
        return dataclasses.replace(self, **known)

    def contains(self, value: ArrayLike) -> Array:
        """Whether each value is in the set, `(*batch,)` bool; false for NaN. Bounds must be known: see `at`."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it contains.")

    def __str__(self) -> str:
        return self.words


def _is_finite(value: Array) -> Array:
    return jnp.abs(value) < jnp.inf  # false for NaN


# Continuous, one number


@dataclass(frozen=True)
class Real(Support):
    """All finite numbers."""

    words = "real numbers"

    def contains(self, value: ArrayLike) -> Array:
        return _is_finite(jnp.asarray(value))


@dataclass(frozen=True)
class Positive(Support):
    """x > 0."""

    words = "x > 0"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return (value > 0) & _is_finite(value)


@dataclass(frozen=True)
class NonNegative(Support):
    """x >= 0."""

    words = "x >= 0"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return (value >= 0) & _is_finite(value)


@dataclass(frozen=True)
class Interval(Support):
    """low <= x <= high.

    Attributes:
        low, high: numbers, arrays that broadcast against values, or functions of the distribution's arguments. An
            infinite bound, or None, bounds nothing.
    """

    low: Bound
    high: Bound

    @property
    def words(self) -> str:  # type: ignore[override]
        below = "" if self.low is None else f"{_words(self.low)} <= "
        above = "" if self.high is None else f" <= {_words(self.high)}"
        return f"{below}x{above}"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        low, high = (-jnp.inf if self.low is None else self.low), (jnp.inf if self.high is None else self.high)
        return (value >= low) & (value <= high) & _is_finite(value)


@dataclass(frozen=True)
class UnitInterval(Support):
    """0 < x < 1: draws are strictly inside; a density may have a limit at an end."""

    words = "0 < x < 1"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return (value > 0) & (value < 1)


@dataclass(frozen=True)
class Circle(Support):
    """Angles in radians, -pi <= x <= pi; densities have the period 2 pi."""

    words = "angles, -pi <= x <= pi"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return jnp.abs(value) <= jnp.asarray(math.pi, value.dtype)


# Discrete, one number


@dataclass(frozen=True)
class Boolean(Support):
    """False and True."""

    words = "False, True"
    is_discrete = True

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return (value == 0) | (value == 1)


@dataclass(frozen=True)
class IntegerRange(Support):
    """The whole numbers low, ..., high, stored as integers or floats.

    Attributes:
        low, high: as in `Interval`; `high=None` means that there is no largest.
    """

    low: Bound = 0
    high: Bound = None

    is_discrete = True

    @property
    def words(self) -> str:  # type: ignore[override]
        if self.high is None:
            return f"integers >= {_words(self.low)}"
        return f"integers {_words(self.low)}..{_words(self.high)}"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        is_inside = (value >= self.low) & (value == jnp.floor(value)) & _is_finite(value)
        return is_inside if self.high is None else is_inside & (value <= self.high)


# Vectors and matrices


def _is_one(total: Array) -> Array:
    """Whether a sum is 1 up to half of the dtype's digits."""
    return jnp.abs(total - 1) <= math.sqrt(jnp.finfo(total.dtype).eps)


@dataclass(frozen=True)
class RealVector(Support):
    """Vectors of finite numbers."""

    words = "real vectors"
    event_rank = 1

    def contains(self, value: ArrayLike) -> Array:
        return jnp.all(_is_finite(jnp.asarray(value)), axis=-1)


@dataclass(frozen=True)
class Simplex(Support):
    """Vectors of positive numbers whose sum is 1."""

    words = "vectors, x_i > 0, sum 1"
    event_rank = 1

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return jnp.all(value > 0, axis=-1) & _is_one(value.sum(-1))


@dataclass(frozen=True)
class Ordered(Support):
    """Vectors x_1 < x_2 < ... of finite numbers."""

    words = "vectors, x_1 < x_2 < ..."
    event_rank = 1

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return jnp.all(value[..., 1:] > value[..., :-1], axis=-1) & jnp.all(_is_finite(value), axis=-1)


@dataclass(frozen=True)
class Counts(Support):
    """Vectors of counts 0, 1, ... whose sum is `total`, a number, an array, or a function of the arguments."""

    total: Bound

    event_rank = 1
    is_discrete = True

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"vectors of counts, sum {_words(self.total)}"

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        return jnp.all((value >= 0) & (value == jnp.floor(value)), axis=-1) & (value.sum(-1) == self.total)


@dataclass(frozen=True)
class CorrelationCholesky(Support):
    """Lower triangular matrices with positive diagonal and rows of length 1: Cholesky factors of correlations."""

    words = "Cholesky factors of correlation matrices"
    event_rank = 2

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        is_lower = jnp.all(value == jnp.tril(value), axis=(-2, -1))
        is_positive = jnp.all(jnp.diagonal(value, axis1=-2, axis2=-1) > 0, axis=-1)
        return is_lower & is_positive & jnp.all(_is_one(jnp.square(value).sum(-1)), axis=-1)


@dataclass(frozen=True)
class PositiveDefinite(Support):
    """Symmetric positive definite matrices."""

    words = "symmetric positive definite matrices"
    event_rank = 2

    def contains(self, value: ArrayLike) -> Array:
        value = jnp.asarray(value)
        slack = math.sqrt(jnp.finfo(value.dtype).eps) * jnp.max(jnp.abs(value), axis=(-2, -1), keepdims=True)
        is_symmetric = jnp.all(jnp.abs(value - jnp.swapaxes(value, -1, -2)) <= slack, axis=(-2, -1))
        factor = jnp.linalg.cholesky(value)
        return is_symmetric & jnp.all(jnp.isfinite(factor), axis=(-2, -1))


real = Real()
positive = Positive()
nonnegative = NonNegative()
unit_interval = UnitInterval()
circle = Circle()
boolean = Boolean()
counts = IntegerRange()
real_vector = RealVector()
simplex = Simplex()
ordered = Ordered()
correlation_cholesky = CorrelationCholesky()
positive_definite = PositiveDefinite()


def interval(low: Bound, high: Bound) -> Interval:
    """`Interval(low, high)`: low <= x <= high."""
    return Interval(low, high)


def integer_range(low: Bound, high: Bound = None) -> IntegerRange:
    """`IntegerRange(low, high)`: low, low + 1, ..., high; unbounded for `high=None`."""
    return IntegerRange(low, high)


@dataclass(frozen=True)
class Argument:
    """A bound that is an argument of the distribution, by its place and name.

    Attributes:
        label: the name, also shown in words.
        position: its place among the positional arguments.
        default: its value where it is not given.
        transform: from the argument to the bound; the argument itself by default.
    """

    label: str
    position: int = 0
    default: ArrayLike | None = None
    transform: Callable[[Array], ArrayLike] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> ArrayLike:
        given = args[self.position] if self.position < len(args) else kwargs.get(self.label, self.default)
        array = jnp.asarray(given)
        return array if self.transform is None else self.transform(array)
