"""Metropolis-Hastings with the model's own conditional as proposal."""

from __future__ import annotations

from typing import TypeVar

from genjax.core import sel
from genjax.core.observed import movable, redraw
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable
from genjax.core.trace import AnyTrace
from genjax.inference.carry import plain, select_trace
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply
from genjax.inference.kernels.metropolis import acceptance_probability, accepts

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class MH(Kernel):
    """Metropolis-Hastings that redraws the selected choices from the model given their parents; see `mh`.

    Attributes:
        selection: the choices to redraw.
    """

    selection: Selectable

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))

    def init(self, trace: AnyTrace) -> TraceState:
        movable(trace, self.selection, "mh")
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        trace = state.trace
        proposal, log_alpha = redraw(trace, *movable(trace, self.selection, "mh"))
        accept = accepts(log_alpha)
        new = select_trace(accept, proposal, trace)
        return TraceState(new), Info.of(accept, acceptance_probability(log_alpha), new.get_score())


def mh(trace: T, selection: Selectable) -> T:
    """`new_trace = mh(trace, selection)`: redraw the selected choices from the model, then accept or reject.

    With x the selected choices and y the others, the proposal draws x' from the model given its parents, and

        log alpha = sum over sites of y of log p(site | parents in (x', y)) - log p(site | parents in (x, y)),

    which is the weight of `regenerate`: the densities of x and x' cancel against those of the proposal.

    Args:
        trace: the current state. Its model and arguments do not change.
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
    return apply(MH(selection), trace)
