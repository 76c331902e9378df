"""Gradients that outlive the move that computed them.

A move along gradients needs that of the state it starts from, which the move before it had at its end. A trace has no
place for it, so moves leave notes: "at these leaves, the gradient is this". `chain` reads the notes of the kernel that
it stages. Where the leaves at the start of a move are those at the end of an earlier one, or those at the start of a
step are those at the end of the step before, the gradient is taken over, and its computation falls away. Leaves are
compared as variables of the staged program, never by value: a state that anything else has touched (another move, new
arguments) is made of other variables, and its gradient is computed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax

from genjax.inference.carry import lean, plain
from genjax.pjax import compat
from genjax.pjax.collect import Saved, current_namespace, record

#: The outermost namespace of a kernel that `chain` stages. Moves leave notes directly inside of it, nowhere else.
CHAIN = "genjax.chain"
_NOTE = "genjax.gradient"
_serial_number = itertools.count()


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Note:
    """That `gradient` is the gradient of the log density at the trace made of `leaves`.

    Attributes:
        leaves: the trace's.
        gradient: list of arrays.
        of: the trace's structure, and that of the choices with respect to which the density is differentiated.
        at_start: whether the gradient is computed at the start of a move, where an earlier note may replace it.
    """

    leaves: list[Any]
    gradient: list[Any]
    of: Any = dataclasses.field(metadata={"static": True})
    at_start: bool = dataclasses.field(metadata={"static": True})


def note_gradient(trace: Any, chosen: Any, gradient: list[Any], *, at_start: bool) -> None:
    """Leave a note that `gradient` is that at `trace`, by the choices `chosen`. Outside of `chain` nothing happens."""
    if (current_namespace.value or ("",))[0] == CHAIN:
        leaves, structure = jax.tree.flatten(lean(plain(trace)))
        of = structure, jax.tree.structure(chosen)
        record((_NOTE, str(next(_serial_number))), Note(leaves, gradient, of, at_start))


def take_notes(saved: Saved) -> list[Note]:
    """Remove the notes from what a kernel saved in the namespace `CHAIN`, in the order in which they were left."""
    return [saved.pop(path) for path in list(saved) if path[1:2] == (_NOTE,)]


class Carried(NamedTuple):
    """How a staged step hands gradients on.

    Attributes:
        starts: the variables of the gradients at the start of the step, to be given by the step before.
        ends: of those at its end, in the same order.
        same: variables of gradients that the step would compute a second time, and those that hold them already.
    """

    starts: list[Any]
    ends: list[Any]
    same: dict[Any, Any]


def carried_gradients(jaxpr: Any, n_state: int, notes: Sequence[Note]) -> Carried:
    """Where a staged step `(*state) -> (*state, ...)` can take its gradients from.

    Args:
        jaxpr: the step.
        n_state: number of the state's leaves.
        notes: the step's, of variables of `jaxpr`.
    """

    def place(leaves: Iterable[Any], of: Any) -> Any:
        return tuple(map(id, leaves)), of

    carried = Carried([], [], {})
    at_the_end = {place(note.leaves, note.of): note.gradient for note in notes}
    known: dict[Any, list[Any]] = {}
    for note in notes:
        if any(isinstance(gradient, compat.Literal) for gradient in note.gradient):  # known to everybody
            continue
        here = place(note.leaves, note.of)
        end = at_the_end.get(place(jaxpr.outvars[:n_state], note.of))
        if here in known:
            if note.at_start:
                carried.same.update(zip(note.gradient, known[here], strict=True))
            continue
        known[here] = note.gradient
        if note.at_start and here == place(jaxpr.invars, note.of) and end is not None:
            carried.starts.extend(note.gradient)
            carried.ends.extend(end)
    return carried
