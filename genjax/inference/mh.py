"""Metropolis-Hastings with the model's own conditional as proposal, and the accept step that every kernel shares."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from genjax.core import Trace
from genjax.core.observed import movable, redraw
from genjax.distributions import uniform
from genjax.inference.carry import select_trace
from genjax.state import save

T = TypeVar("T", bound=Trace[Any, Any])


def mh(trace: T, selection: Any) -> T:
    """`new_trace = mh(trace, selection)`: redraw the selected choices from the model, accept or reject.

    With x the selected choices and y the others, the proposal draws x' from the model given its parents, and

        log alpha = sum over sites of y of log p(site | parents in (x', y)) - log p(site | parents in (x, y)),

    which is the weight of `regenerate`: the densities of x and x' cancel against those of the proposal.

    Args:
        trace: the current state. Model and arguments stay what they are.
        selection: the choices to redraw, `sel(...)`; others are kept. What was observed is never redrawn; elements
            that are missing from a partly observed address are redrawn along with the selected ones. See
            `genjax.core.observed`.

    Returns:
        The new state, or `trace` where the proposal is rejected. Saves `accept`, () bool, for `state`. A log alpha
        that is NaN rejects.

    Raises:
        ValueError: the selection names an address that the trace does not have, or nothing but observed ones.

    Source: Hastings, *Monte Carlo sampling methods using Markov chains and their applications* (1970), equation 1.
    """
    proposal, log_alpha = redraw(trace, *movable(trace, selection, "mh"))
    return accept_or_reject(trace, proposal, log_alpha)


def accept_or_reject(trace: T, proposal: T, log_alpha: jax.Array) -> T:
    """`proposal` with probability `min(1, exp(log_alpha))`, else `trace`; saves `accept`, () bool."""
    return select_trace(accepts(log_alpha), proposal, trace)  # type: ignore[return-value]


def accepts(log_alpha: jax.Array) -> jax.Array:
    """True with probability `min(1, exp(log_alpha))`, () bool; saved as `accept`.

    Accepts where `log u < min(0, log_alpha)` with u ~ Uniform(0, 1), which is false for NaN and -inf. A uniform draw is
    never 0, so that log u is at least -45: what should be accepted less often than once in 2^64 never is.
    """
    accept = jnp.log(uniform.sample(0.0, 1.0)) < jnp.minimum(0.0, log_alpha)
    save(accept=accept)
    return accept


def keep(trace: T) -> T:
    """The move that has nothing to move: `trace` itself; saves `accept` as true."""
    save(accept=jnp.array(True))
    return trace
