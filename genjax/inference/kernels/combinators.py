"""Kernels made of kernels: one after the other, in turn, at random, several times.

Each leaves the density invariant if its parts do. The parts may move different choices of the same trace.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core.const import Const, Size, count
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.distributions import categorical
from genjax.inference.carry import plain
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, note_state
from genjax.inference.kernels.memory import remembering
from genjax.signatures import PyTree


@Pytree.dataclass
class Compose(Kernel):
    """All kernels in order, as one step; see `compose`."""

    kernels: tuple[Kernel, ...]

    def init(self, trace: AnyTrace) -> PyTree:
        return ComposeState(plain(trace), self.kernels[0].init(trace))

    def step(self, state: PyTree) -> tuple[PyTree, Info]:
        own, infos = state.first, []
        # What one kernel knows at its end may be what another asks for at its start.
        with remembering():
            for i, kernel in enumerate(self.kernels):
                own, info = kernel.step(own if i == 0 else kernel.init(own.trace))
                note_state(kernel, own)
                infos.append(info)
            return ComposeState(plain(own.trace), self.kernels[0].init(own.trace)), Info.of_sequence(infos)


@Pytree.dataclass
class ComposeState(Pytree):
    """The trace, and the state of the first kernel at it."""

    trace: AnyTrace
    first: PyTree


def compose(*kernels: Kernel) -> Kernel:
    """One step of each kernel in order, as one step.

    `info.accept` and `info.energy` are the last kernel's, `acceptance` the mean, `is_divergent` whether any was,
    `n_gradients` the sum, with the gradients that a kernel needs because another has moved the trace since.

    Raises:
        ValueError: no kernels.
    """
    return Compose(_some(kernels, "compose"))


@Pytree.dataclass
class CycleState(Pytree):
    """The trace, and the number of the kernel whose turn it is."""

    trace: AnyTrace
    turn: jax.Array


@Pytree.dataclass
class Cycle(Kernel):
    """Kernels in turn, one per step; see `cycle`."""

    kernels: tuple[Kernel, ...]

    def init(self, trace: AnyTrace) -> CycleState:
        for kernel in self.kernels:
            jax.eval_shape(kernel.init, trace)  # a fault of any shows at once
        return CycleState(plain(trace), jnp.zeros((), jnp.int32))

    def step(self, state: CycleState) -> tuple[CycleState, Info]:
        trace, info = _switch(state.turn, self.kernels, state.trace)
        return CycleState(trace, (state.turn + 1) % len(self.kernels)), info


def cycle(*kernels: Kernel) -> Kernel:
    """The kernels in turn: one per step, beginning with the first. `len(kernels)` steps make a round.

    Raises:
        ValueError: no kernels.
    """
    return Cycle(_some(kernels, "cycle"))


@Pytree.dataclass
class Mix(Kernel):
    """One kernel per step, drawn at random; see `mix`."""

    kernels: tuple[Kernel, ...]
    probabilities: ArrayLike

    def init(self, trace: AnyTrace) -> TraceState:
        for kernel in self.kernels:
            jax.eval_shape(kernel.init, trace)
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        drawn = categorical.sample(jnp.log(jnp.asarray(self.probabilities, float)))
        trace, info = _switch(drawn, self.kernels, state.trace)
        return TraceState(trace), info


def mix(*kernels: Kernel, probabilities: ArrayLike | None = None) -> Kernel:
    """One of the kernels per step, drawn independently of the trace.

    Args:
        kernels: the kernels.
        probabilities: (n,) of their choice, not necessarily normalised; equal by default.

    Raises:
        ValueError: no kernels, or another number of probabilities.
    """
    kernels = _some(kernels, "mix")
    probabilities = jnp.ones(len(kernels)) if probabilities is None else jnp.asarray(probabilities, float)
    if probabilities.shape != (len(kernels),):
        raise ValueError(
            f"mix got {len(kernels)} kernels and probabilities of shape {probabilities.shape}. Give one for each."
        )
    return Mix(kernels, probabilities)


@Pytree.dataclass
class Repeat(Kernel):
    """Several steps of a kernel as one; see `repeat`."""

    kernel: Kernel
    n: Const[int]

    def init(self, trace: AnyTrace) -> PyTree:
        return self.kernel.init(trace)

    def step(self, state: PyTree) -> tuple[PyTree, Info]:
        if self.n.value == 1:
            return self.kernel.step(state)
        state, infos = jax.lax.scan(lambda state, _: self.kernel.step(state), state, None, length=self.n.value)
        return state, Info.of_steps(infos)


def repeat(kernel: Kernel, n: Size) -> Kernel:
    """n steps of a kernel as one step. Its state, with density and gradient, goes on from one to the next.

    Args:
        kernel: the kernel.
        n: number of steps, an int or `Const`, at least 1.

    Raises:
        ValueError: n < 1.
    """
    n = count(n, "The number of steps of repeat()")
    if not n:
        raise ValueError(f"repeat got n={n}. A kernel is repeated at least once.")
    return Repeat(kernel, Const(n))


def _some(kernels: tuple[Kernel, ...], what: str) -> tuple[Kernel, ...]:
    if not kernels:
        raise ValueError(f"{what} got no kernels. Pass at least one: {what}(MH(sel('x')), HMC(sel('y'), 0.1, 10)).")
    return kernels


def _switch(index: ArrayLike, kernels: tuple[Kernel, ...], trace: AnyTrace) -> tuple[AnyTrace, Info]:
    """One step of the kernel of this number, from a bare trace."""

    def step_of(kernel: Kernel) -> Callable[[AnyTrace], tuple[AnyTrace, Info]]:
        def step(trace: AnyTrace) -> tuple[AnyTrace, Info]:
            state, info = kernel.step(kernel.init(trace))
            return plain(state.trace), info

        return step

    if len(kernels) == 1:
        return step_of(kernels[0])(trace)
    return jax.lax.switch(index, [step_of(kernel) for kernel in kernels], trace)
