"""Functions that a model makes at each of its runs, and what a trace remembers of them.

`@gen` in the body of a model, or a lambda in `Cond(gen(lambda ...), ...)`, is a new function at every run. Subtraces
need no function, because the next run passes its own, but traces of two runs must have equal structures. So a subtrace
holds `Made` in place of such a function: where it is written, which is the same at every run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from genjax.core.const import Const
from genjax.core.handlers import current_handler
from genjax.signatures import PyTree

if TYPE_CHECKING:
    from genjax.core.gfi import AnyGFI
    from genjax.core.trace import AnyTrace

F = TypeVar("F")

Gate: TypeAlias = Callable[[PyTree], PyTree]
"""What each leaf of a branch's inputs passes; see `gate_of`."""

_MARK = "__genjax_made_in_a_model__"


@dataclasses.dataclass(frozen=True)
class Made:
    """A function that a model made while it ran: module, qualified name, and the line and column of its code."""

    module: str
    name: str
    line: int
    column: int

    @property
    def __name__(self) -> str:
        return self.name.rsplit(".", 1)[-1]

    def __call__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError(
            f"{self.name} (line {self.line} of {self.module}) was made inside a model, at a run that is over. Run the "
            "model that makes it."
        )


def mark(function: F) -> F:
    """The function, marked if a running model makes it."""
    if current_handler() is not None and isinstance(function, FunctionType):
        setattr(function, _MARK, True)
    return function


def remembered(trace: AnyTrace, gen_fn: AnyGFI) -> AnyTrace:
    """A subtrace of the callee `gen_fn` as stored: functions made by the model are `Made`."""
    if not _has_made(gen_fn):
        return trace
    return jax.tree.map(
        lambda node: _as_made(node) if isinstance(node, Const) else node,
        trace,
        is_leaf=lambda node: isinstance(node, Const),
    )


def _has_made(node: object) -> bool:
    if isinstance(node, Const):
        return getattr(node.value, _MARK, False) is True
    fields = getattr(node, "__dynamic_fields__", ())
    return any(_has_made(getattr(node, name)) for name in fields)


def _as_made(node: Const[Any]) -> Const[Any]:
    function = node.value
    if getattr(function, _MARK, False) is not True:
        return node
    code = function.__code__
    column = next((column for _, _, column, _ in code.co_positions() if column), 0)
    return Const(Made(function.__module__, function.__qualname__, code.co_firstlineno, column))


def gated(gen_fn: AnyGFI, gate: Gate) -> AnyGFI:
    """The callee with `gate` applied to what functions that the model made have closed over."""
    if not _has_made(gen_fn):
        return gen_fn

    def rebuilt(node: PyTree) -> PyTree:
        if isinstance(node, Const) and getattr(node.value, _MARK, False) is True:
            return Const(_gated_function(node.value, gate))
        return node

    return jax.tree.map(rebuilt, gen_fn, is_leaf=lambda node: isinstance(node, Const))


def _gated_function(function: FunctionType, gate: Gate) -> FunctionType:
    def contents(cell: CellType) -> CellType:
        try:
            value = cell.cell_contents
        except ValueError:  # assigned later
            return cell
        leaves = jax.tree.leaves(value)
        return CellType(jax.tree.map(gate, value)) if any(isinstance(leaf, jax.Array) for leaf in leaves) else cell

    closure = tuple(map(contents, function.__closure__ or ()))
    made = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__, made.__qualname__, made.__module__ = (
        function.__kwdefaults__,
        function.__qualname__,
        function.__module__,
    )
    setattr(made, _MARK, True)
    return made


def gate_of(check: jax.Array) -> Gate:
    """`value -> value`, whose derivative is zero where `check` is false, even if what follows is not differentiable."""

    def gate(value: PyTree) -> PyTree:
        if not isinstance(value, jax.Array) or not jnp.issubdtype(value.dtype, jnp.inexact):
            return value
        return jnp.where(check, value, jax.lax.stop_gradient(value))

    return gate
