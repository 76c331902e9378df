"""Kernels made of functions `trace -> trace`, such as `lambda trace: hmc(trace, sel("x"), 0.1, 10)`."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp

from genjax.core.const import Const
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.carry import as_observed, plain
from genjax.inference.kernels.kernel import Info, Kernel, Move
from genjax.inference.kernels.memory import remembering
from genjax.inference.parts import evaluate_part
from genjax.pjax.evaluate import stage_flat
from genjax.signatures import PyTree
from genjax.state import state as collecting


@Pytree.dataclass
class FunctionState(Pytree):
    """The trace, and what the moves of the function handed on about it."""

    trace: AnyTrace
    known: list[PyTree]
    names: tuple[Hashable, ...] = Pytree.static(default=())


@Pytree.dataclass
class Function(Kernel):
    """The kernel of a function `trace -> trace` that leaves the density invariant.

    What is asked for at the start of the function and known at its end, such as a gradient, is handed on to the next
    step; see `memory`. `info` has `accept`, the last one saved (false if none is); the other fields say nothing.

    Attributes:
        function: the function, or a `Const` of it.
    """

    function: Any

    def __post_init__(self) -> None:
        if not isinstance(self.function, Const):
            object.__setattr__(self, "function", Const(self.function))

    def init(self, trace: AnyTrace) -> FunctionState:
        trace = plain(trace)
        names: list[Hashable] = []

        def starts(trace: AnyTrace) -> list[PyTree]:
            with remembering() as memory:
                moved = as_observed(plain(self.function.value(trace)), trace)
            at_start, at_end = memory.about(trace), memory.about(moved)
            names.extend(name for name in at_start if name in at_end)
            return [at_start[name] for name in names]

        # Only what leads to the facts at the start is evaluated, and no random choice.
        closed, flat, tree = stage_flat(starts, trace)
        given = dict(zip(closed.jaxpr.invars, flat, strict=True))
        known = jax.tree.unflatten(tree, evaluate_part(closed, given, closed.jaxpr.outvars))
        return FunctionState(trace, known, tuple(names))

    def step(self, state: FunctionState) -> tuple[FunctionState, Info]:
        def run(state: FunctionState) -> FunctionState:
            with remembering() as memory:
                for name, value in zip(state.names, state.known, strict=True):
                    memory.put(state.trace, name, value)
                moved = as_observed(plain(self.function.value(state.trace)), state.trace)
            at_end = memory.about(moved)
            known = [_like(at_end[name], value) for name, value in zip(state.names, state.known, strict=True)]
            return FunctionState(moved, known, state.names)

        new, saved = collecting(run)(state)
        accept = jnp.asarray(saved.get("accept", False), bool)
        return new, Info.of(accept, accept, new.trace.get_score())


def _like(new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda new, old: jnp.asarray(new, jnp.result_type(old)), new, old)


def as_kernel(kernel: Kernel | Move) -> Kernel:
    """A kernel as it is; a function `trace -> trace` as a `Function`."""
    if isinstance(kernel, Kernel):
        return kernel
    if not callable(kernel):
        raise TypeError(
            f"A kernel is a Kernel, such as NUTS(sel('x'), 0.1), or a function from trace to trace, got "
            f"{type(kernel).__name__} {kernel!r}."
        )
    return Function(kernel)
