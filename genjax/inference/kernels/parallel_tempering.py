"""Parallel tempering: copies of the choices at several powers of the likelihood, which swap places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from genjax.core.const import Const
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.carry import plain
from genjax.inference.kernels.kernel import Info, Kernel
from genjax.inference.kernels.metropolis import acceptance_probability, accepts
from genjax.inference.tempered import data_log_density, temper, untemper


@Pytree.dataclass
class ParallelState(Pytree):
    """One tempered trace per temperature.

    Attributes:
        traces: a batch of them, leading axis k; the first is at b = 1.
        index: () int32, steps made, which decides whose turn it is to swap.
        swap_acceptance: (k - 1,) float, mean acceptance probability of swaps of neighbours; 0 before the first.
    """

    traces: AnyTrace
    index: ArrayLike
    swap_acceptance: jax.Array

    @property
    def trace(self) -> AnyTrace:
        """The trace of the model itself, at b = 1."""
        return untemper(jax.tree.map(lambda leaf: leaf[0], self.traces))


@Pytree.dataclass
class ParallelTempering(Kernel):
    """Moves of tempered copies, and swaps between neighbours; the chain is that of the copy at b = 1.

    With `L` the log likelihood of what was observed, copy i has the density `prior(x) p(y | x)^b_i`. In each step all
    copies move by the kernel side by side, then neighbours i and i + 1, those of even i in one step and those of odd i
    in the next, swap their choices with probability `min(1, exp((b_i - b_{i+1}) (L_{i+1} - L_i)))`.

    All copies start where the chain does, so the first steps are to be left out. `info` is that of the copy at b = 1,
    with the gradients of all; its `accept` does not count swaps. The state's `swap_acceptance` shows whether
    temperatures are close enough: rates between 0.2 and 0.6 serve well.

    Attributes:
        kernel: a `Kernel`, or a function from b, () float, to one: steps may be larger where the density is flatter.
        temperatures: (k,) float, the inverse temperatures b, k >= 2, from 1 downwards: `jnp.geomspace(1.0, 0.01, 8)`.

    Source: Geyer, *Markov chain Monte Carlo maximum likelihood* (1991); Syed, Bouchard-Cote, Deligiannidis and Doucet,
    *Non-reversible parallel tempering* (JRSS B 2022), for why swaps take turns instead of being drawn at random.
    """

    kernel: Any
    temperatures: ArrayLike

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, (Kernel, Const)):
            object.__setattr__(self, "kernel", Const(self.kernel))
        if isinstance(self.temperatures, jax.core.Tracer):
            return
        values = np.asarray(self.temperatures, float)
        is_ladder = values.ndim == 1 and len(values) > 1 and np.all(np.diff(values) < 0)
        if not is_ladder or values[0] != 1 or values[-1] < 0:
            raise ValueError(
                f"ParallelTempering got the inverse temperatures {values.tolist()}. They are two or more, from 1 "
                "downwards and at least 0, such as jnp.geomspace(1.0, 0.01, 8)."
            )
        object.__setattr__(self, "temperatures", jnp.asarray(values, float))

    def init(self, trace: AnyTrace) -> ParallelState:
        trace = plain(trace)
        jax.eval_shape(lambda trace: self._at(1.0).init(temper(trace, 1.0)), trace)  # its complaints come first
        traces = jax.vmap(lambda b: plain(temper(trace, b)))(self.temperatures)
        zero = jnp.zeros((), jnp.int32)
        return ParallelState(traces, zero, jnp.zeros(self.temperatures.shape[0] - 1))

    def step(self, state: ParallelState) -> tuple[ParallelState, Info]:
        b = jnp.asarray(self.temperatures, float)

        def move(trace: AnyTrace, b: Array) -> tuple[AnyTrace, Array, Info]:
            own = self._at(b)
            moved, info = own.step(own.init(trace))
            return plain(moved.trace), data_log_density(untemper(moved.trace)), info

        traces, likelihoods, infos = jax.vmap(move)(state.traces, b)
        log_alphas = (b[:-1] - b[1:]) * (likelihoods[1:] - likelihoods[:-1])
        pairs = jnp.arange(b.shape[0] - 1)
        has_turn = pairs % 2 == state.index % 2
        swaps = jax.vmap(accepts)(log_alphas) & has_turn
        source = jnp.arange(b.shape[0])
        source = source + jnp.pad(swaps, (0, 1)).astype(source.dtype) - jnp.pad(swaps, (1, 0)).astype(source.dtype)
        swapped = jax.tree.map(lambda leaf: leaf[source], traces)
        traces = jax.vmap(lambda trace, b: plain(temper(untemper(trace), b)))(swapped, b)
        n_turns = (state.index + 2 - pairs % 2) // 2  # of each pair, with this step if it is its turn
        change = (acceptance_probability(log_alphas) - state.swap_acceptance) / jnp.maximum(n_turns, 1)
        rates = jnp.where(has_turn, state.swap_acceptance + change, state.swap_acceptance)
        first = jax.tree.map(lambda leaf: leaf[0], infos)
        energy = jnp.where(source[0] == 0, first.energy, traces.raw_score()[0])
        gradients = jnp.sum(infos.n_gradients)
        info = Info.of(first.accept, first.acceptance, energy, first.is_divergent, first.tree_depth, gradients)
        return ParallelState(traces, state.index + 1, rates), info

    def _at(self, b: float | Array) -> Kernel:
        return kernel_at(self.kernel, b, "ParallelTempering")


def kernel_at(
    kernel: Kernel | Const[Callable[[Array], Kernel]] | Callable[[Array], Kernel], b: float | Array, caller: str
) -> Kernel:
    """The kernel for an inverse temperature: a `Kernel` as it is, or what the function of b makes.

    Raises:
        TypeError: it is neither.
    """
    kernel = kernel.value if isinstance(kernel, Const) else kernel
    made = kernel if isinstance(kernel, Kernel) or not callable(kernel) else kernel(b)
    if not isinstance(made, Kernel):
        raise TypeError(
            f"{caller} takes a Kernel, such as HMC(sel('x'), 0.1, 10), or a function from the inverse temperature to "
            f"one, got {type(made).__name__}. A function from trace to trace is a kernel as "
            "`genjax.inference.kernels.Function(function)`."
        )
    return made
