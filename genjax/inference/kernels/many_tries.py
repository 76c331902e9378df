"""Iterated sampling importance resampling: the current choices among many new draws of them, one chosen by weight."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp

from genjax.core import sel
from genjax.core.arguments import raw_args, with_args, without_args
from genjax.core.const import count, unwrap
from genjax.core.observed import movable, redraw
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.distributions import categorical
from genjax.inference.carry import plain, select_trace
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply
from genjax.signatures import PyTree

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class ManyTries(Kernel):
    """Iterated sampling importance resampling; see `many_tries`.

    Attributes:
        selection: the choices to redraw.
        n_tries: N, new draws in each step.
    """

    selection: Selectable
    n_tries: int = Pytree.static(default=10)

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))
        n = count(unwrap(self.n_tries), "The n_tries of ManyTries")
        if not n:
            raise ValueError(f"ManyTries got n_tries={n}. A step makes at least one new draw.")
        object.__setattr__(self, "n_tries", n)

    def init(self, trace: AnyTrace) -> TraceState:
        movable(trace, self.selection, "many_tries")
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        trace = state.trace
        selection, held = movable(trace, self.selection, "many_tries")

        def lane() -> PyTree:
            proposal, log_weight = redraw(trace, selection, held)
            return without_args(plain(proposal)), log_weight

        proposals, log_weights = jax.vmap(lane, in_axes=(), axis_size=self.n_tries)()
        log_weights = jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)
        logits = jnp.concatenate([jnp.zeros_like(log_weights[:1]), log_weights])  # relative to the current choices
        drawn = categorical.sample(logits)
        proposal = jax.tree.map(lambda leaf: leaf[jnp.maximum(drawn - 1, 0)], proposals)
        new = select_trace(drawn > 0, with_args(proposal, raw_args(trace)), trace)
        return TraceState(new), Info.of(drawn > 0, 1 - jax.nn.softmax(logits)[0], new.get_score())


def many_tries(trace: T, selection: Selectable, n_tries: int = 10) -> T:
    """`new_trace = many_tries(trace, selection, n_tries)`: one of many draws, by weight.

    With x_0 the selected choices and y the others, x_1 .. x_N are drawn from the model given their parents, and the new
    choices are x_i with probability proportional to `p(y | x_i)`, the product over sites of y of
    `p(site | parents in (x_i, y))`. This is a particle Gibbs step of one time step. The draws are made side by side.

    Args:
        trace: the current state. Its model and arguments do not change.
        selection: the choices to redraw, as for `mh`: what was observed is never redrawn.
        n_tries: N, at least 1.

    Returns:
        The new state. Saves `accept`, () bool, for `state`: whether a new draw was chosen.

    Raises:
        ValueError: n_tries < 1, or a selection of addresses that the trace does not have or that were observed.

    Source: Andrieu, Doucet and Holenstein, *Particle Markov chain Monte Carlo methods* (JRSS B 2010), section 4.5, for
    one step; Andrieu, Lee and Vihola, *Uniform ergodicity of the iterated conditional SMC* (Bernoulli 2018).
    """
    return apply(ManyTries(selection, n_tries), trace)
