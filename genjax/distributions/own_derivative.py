"""Functions whose derivative is written by hand, `jax.custom_jvp` for what every density calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import jax
from jax import Array

R = TypeVar("R")
Rule = TypeVar("Rule", bound=Callable[..., tuple[object, object]])


class OwnDerivative(Generic[R]):
    """A function of arrays with a derivative of its own, called like the function.

    Inside of a program it is staged once for arguments of the same shapes and dtypes, and its equations become the
    program's own. A bare `jax.custom_jvp` would be staged at every call. It would also refuse NumPy arrays that
    `jax.vmap` maps inside of `jax.jit` ("non-canonical constant of type ndarray", JAX 0.10).
    """

    def __init__(self, function: Callable[..., R]):
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self._function = jax.custom_jvp(function)
        self._staged = jax.jit(self._function, inline=True)

    def __call__(self, *args: Array) -> R:
        return self._staged(*args)

    def defjvp(self, rule: Rule, symbolic_zeros: bool = False) -> Rule:
        """Set `rule(primals, tangents) -> (outputs, output tangents)`, as for `jax.custom_jvp`."""
        self._function.defjvp(rule, symbolic_zeros)
        return rule


def own_derivative(function: Callable[..., R]) -> OwnDerivative[R]:
    """Decorator: `function.defjvp(rule)` gives its derivative."""
    return OwnDerivative(function)
