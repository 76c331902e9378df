"""What a kernel is: `init(trace) -> state` and `step(state) -> (state, info)`, both pytrees.

A kernel leaves the density of its trace invariant. Its state carries the trace and what the next step would otherwise
compute a second time: density, gradient, a counter. Kernels are keyless: random choices are seeded at the edge, by
`seed`. `chain(kernel)` runs one for many steps; `apply(kernel, trace)` makes a single step from a bare trace, and is
what the published forms `mh(trace, selection)`, `mala` and `hmc` are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.kernels.memory import note
from genjax.shapes import Bool, Float, Int32
from genjax.signatures import PyTree
from genjax.state import save

T = TypeVar("T", bound=AnyTrace)

Move: TypeAlias = Callable[[AnyTrace], AnyTrace]
"""A kernel as a function, from one trace of a model to the next."""

Collect: TypeAlias = Callable[[AnyTrace], PyTree]
"""What is kept of a trace."""


class State(Protocol):
    """A kernel's state: a pytree whose attribute `trace` is the current trace."""

    @property
    def trace(self) -> AnyTrace:
        """The trace that the chain is at."""


@Pytree.dataclass
class TraceState(Pytree):
    """The state of a kernel that remembers nothing but the trace."""

    trace: AnyTrace


@Pytree.dataclass
class Info(Pytree):
    """What happened in one step. Every kernel fills every field.

    Attributes:
        accept: () bool, whether the proposal was accepted; true for kernels that always move.
        acceptance: () float, the probability with which it was, between 0 and 1. For NUTS the mean over the trajectory.
        energy: () float, `-log density` of the new state, plus the kinetic energy for Hamiltonian kernels, in nats.
        is_divergent: () bool, whether a simulated trajectory left the level set of its energy.
        tree_depth: () int32, number of doublings of a NUTS trajectory; 0 for other kernels.
        n_gradients: () int32, gradients of the log density evaluated in the step.
    """

    accept: Bool[Array, "..."]  # of the shape that was saved, for a function that moves several traces
    acceptance: Float[Array, "..."]
    energy: Float[Array, "*steps"]
    is_divergent: Bool[Array, "*steps"] = Pytree.field(default=False)
    tree_depth: Int32[Array, "*steps"] = Pytree.field(default=0)
    n_gradients: Int32[Array, "*steps"] = Pytree.field(default=0)

    @staticmethod
    def of(
        accept: ArrayLike,
        acceptance: ArrayLike,
        energy: ArrayLike,
        is_divergent: ArrayLike = False,
        tree_depth: ArrayLike = 0,
        n_gradients: ArrayLike = 0,
    ) -> Info:
        """The fields as arrays of their dtypes, so that infos of different kernels can stand for each other."""
        return Info(
            jnp.asarray(accept, bool),
            jnp.asarray(acceptance, float),
            jnp.asarray(energy, float),
            jnp.asarray(is_divergent, bool),
            jnp.asarray(tree_depth, jnp.int32),
            jnp.asarray(n_gradients, jnp.int32),
        )

    @staticmethod
    def of_sequence(infos: Sequence[Info]) -> Info:
        """One info for several moves made one after the other.

        `accept` and `energy` are those of the last, `acceptance` the mean, `is_divergent` whether any was, `tree_depth`
        the largest, `n_gradients` the sum.
        """
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *infos)
        return Info.of_steps(stacked)

    @staticmethod
    def of_steps(stacked: Info) -> Info:
        """The same for infos with a leading axis."""
        return Info(
            stacked.accept[-1],
            jnp.mean(stacked.acceptance, axis=0),
            stacked.energy[-1],
            jnp.any(stacked.is_divergent, axis=0),
            jnp.max(stacked.tree_depth, axis=0),
            jnp.sum(stacked.n_gradients, axis=0),
        )


class Kernel(Pytree):
    """Base of kernels. Parameters that are arrays, such as a step size, are leaves: they may be traced and adapted."""

    def init(self, trace: AnyTrace) -> PyTree:
        """`state = init(trace)`: the state at a trace."""
        raise TypeError(f"{type(self).__name__} does not define `init(trace) -> state`, which every kernel must.")

    def step(self, state: PyTree) -> tuple[PyTree, Info]:
        """`(state, info) = step(state)`: one move that leaves the density invariant."""
        raise TypeError(
            f"{type(self).__name__} does not define `step(state) -> (state, info)`, which every kernel must."
        )

    def memory(self, state: PyTree) -> tuple[Hashable, PyTree] | None:
        """`(name, value)` of what the state knows about its trace beyond it, for `apply`; None if nothing."""
        return None


def no_move(state: PyTree) -> tuple[PyTree, Info]:
    """The step of a kernel that has nothing to move: the same state, accepted."""
    return state, Info.of(True, 1.0, state.trace.get_score())


def apply(kernel: Kernel, trace: T) -> T:
    """One step of a kernel from a bare trace: the published form of a move.

    Args:
        kernel: any kernel.
        trace: the current trace.

    Returns:
        The new trace. Saves `accept`, () bool, for `state`.
    """
    state, info = kernel.step(kernel.init(trace))
    save(accept=info.accept)
    note_state(kernel, state)
    return state.trace


def note_state(kernel: Kernel, state: PyTree) -> None:
    """Put what a state knows about its trace into the memory in use, for the next move."""
    known = kernel.memory(state)
    if known is not None:
        note(state.trace, *known)
