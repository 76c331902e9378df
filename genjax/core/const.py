"""`Const`: a Python value that crosses JAX transforms as structure instead of data."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Generic, TypeAlias, TypeVar

import jax

from genjax.core.pytree import Pytree

A = TypeVar("A")


def _raw(value: Any) -> Any:
    return value.value if isinstance(value, Const) else value


def _arithmetic(verb: str, function: Callable[[Any, Any], Any], reflected: bool = False) -> Callable[..., Any]:
    def method(self: Const[Any], other: Any) -> Const[Any]:
        left, right = (_raw(other), self.value) if reflected else (self.value, _raw(other))
        try:
            return Const(function(left, right))
        except TypeError:
            raise TypeError(f"Cannot {verb} {type(left).__name__} and {type(right).__name__}") from None

    return method


def _comparison(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    return lambda self, other: bool(function(self.value, _raw(other)))


@Pytree.dataclass
class Const(Pytree, Generic[A]):
    """A static value: no leaves, so `jit`, `vmap` and `seed` leave it a plain Python value.

    Arithmetic with another `Const` or a raw value gives a `Const`; comparisons compare the values and give a bool.
    """

    value: A = Pytree.static()

    __add__, __radd__ = _arithmetic("add", operator.add), _arithmetic("add", operator.add, True)
    __sub__, __rsub__ = _arithmetic("subtract", operator.sub), _arithmetic("subtract", operator.sub, True)
    __mul__, __rmul__ = _arithmetic("multiply", operator.mul), _arithmetic("multiply", operator.mul, True)
    __truediv__, __rtruediv__ = _arithmetic("divide", operator.truediv), _arithmetic("divide", operator.truediv, True)
    __floordiv__ = _arithmetic("floor-divide", operator.floordiv)
    __rfloordiv__ = _arithmetic("floor-divide", operator.floordiv, True)
    __mod__, __rmod__ = _arithmetic("take the remainder of", operator.mod), _arithmetic("mod", operator.mod, True)
    __pow__, __rpow__ = _arithmetic("raise to a power", operator.pow), _arithmetic("raise", operator.pow, True)
    __eq__ = _comparison(operator.eq)
    __ne__ = _comparison(operator.ne)
    __lt__, __le__ = _comparison(operator.lt), _comparison(operator.le)
    __gt__, __ge__ = _comparison(operator.gt), _comparison(operator.ge)

    def __neg__(self) -> Const[Any]:
        return Const(-self.value)  # type: ignore[operator]

    def __pos__(self) -> Const[Any]:
        return Const(+self.value)  # type: ignore[operator]

    def __abs__(self) -> Const[Any]:
        return Const(abs(self.value))  # type: ignore[arg-type]

    def __index__(self) -> int:
        return operator.index(self.value)  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return hash(self.value)  # equal to a raw value, so hashed like it

    def __repr__(self) -> str:
        return f"Const({self.value!r})"


def const(a: A) -> Const[A]:
    """`Const(a)`."""
    return Const(a)


Size: TypeAlias = int | Const[int]
"""A number on which shapes depend, so that it is known when a program is traced."""


def count(value: Any, what: str, least: int = 0) -> int:
    """A static count from an int or a `Const` of one.

    Raises:
        TypeError: it is traced, or not an integer; True and False are not integers here.
        ValueError: it is below `least`.
    """
    value = _raw(value)
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{what} must be a Python int, got a traced value. Under `seed`, `jit` or `vmap` integers become traced: "
            "pass `const(n)`, or close over it."
        )
    try:
        n = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        n = None
    if n is None:
        raise TypeError(f"{what} must be a Python int or `const(int)`, got {type(value).__name__} {value!r}.")
    if n < least:
        raise ValueError(f"{what} must {'not be negative' if least == 0 else f'be at least {least}'}, got {n}.")
    return n


def count_or_none(value: object, what: str) -> int | None:
    """The same where None says that the count is inferred."""
    return None if _raw(value) is None else count(value, what)


def unwrap(value: Any) -> Any:
    """The raw value of a `Const`; anything else unchanged."""
    return _raw(value)
