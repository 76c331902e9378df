"""What was observed: marks of the choices of a trace that came from data, at the grain of lanes and steps.

`generate` marks what it was given, if that was not everything: a trace all of whose choices were given is a starting
point, and says nothing about data. Marks are a nested dict from address to `Whole()`, or to a bool array with the
leading axes of the choice where only some elements were observed. They are stored with the arguments, and moves of a
trace keep them. Kernels ask `movable` what they may move:

- addresses observed in full stay as they are. To name one, or to select nothing else, is an error;
- elements that are missing from a partly observed address move along with whatever is selected, because they are
  unknown like any latent choice, and nobody else would move them. Kernels that can only move a choice as a whole leave
  them where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from genjax.core.addresses import Addresses, Path, addresses, check_selection, path_text, selected_paths
from genjax.core.arguments import raw_args, stored_marks, unshare, with_args
from genjax.core.choices import is_empty, without_strict
from genjax.core.lanes import scalar
from genjax.core.partial import Indexed, Masked, select_where
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable, Selection, SelectionBase, is_forced, named, sel
from genjax.signatures import Args, Choices, Constraints, Kwargs, PyTree

if TYPE_CHECKING:
    from genjax.core.trace import AnyTrace


@Pytree.dataclass
class Whole(Pytree):
    """Mark of an address that was observed in full."""


Marks: TypeAlias = "dict[str, Marks] | Whole | jax.Array"
"""`Whole()`, or a bool array, beneath the address of each choice of which something was observed."""


# Marking


def observed_by(constraints: Constraints, trace: AnyTrace, *, is_start: bool = True) -> tuple[Marks, ...]:
    """`(marks,)` of a trace that was made with these constraints, or `()` where there is nothing to mark.

    Args:
        constraints: what `generate` was given.
        trace: the trace; only its structure and shapes are looked at.
        is_start: leave a trace without marks where all of its choices were given.
    """
    marks = _marks(constraints, trace, 0)
    if isinstance(marks, dict) and not marks:
        return ()
    return () if is_start and _covers(marks, addresses(trace)) else (marks,)


def _marks(x: Constraints, node: AnyTrace | Choices, n_outer: int) -> Marks:
    """Marks by constraints `x` beneath a node of a trace, whose leaves have `n_outer` axes of lanes in front."""
    x = without_strict(x)
    if hasattr(x, "get_choices"):
        x = x.get_choices()
    if is_empty(x):
        return {}
    inner = node.inner() if hasattr(node, "inner") else node
    if hasattr(inner, "raw_score"):  # lanes or steps
        if isinstance(x, Indexed):
            *sizes, n = inner.raw_score().shape[: n_outer + 1]
            x = _expanded(x, n, tuple(sizes))
        return _marks(x, inner, n_outer + 1)
    if isinstance(inner, tuple):
        return _union(*(_marks(x, branch, n_outer) for branch in inner))
    if isinstance(inner, dict) and isinstance(x, dict):
        found = {addr: _marks(x.get(addr), beneath, n_outer) for addr, beneath in inner.items()}
        return {addr: mark for addr, mark in found.items() if not (isinstance(mark, dict) and not mark)}
    return jnp.asarray(x.mask, bool) if isinstance(x, Masked) else Whole()


def _expanded(x: Indexed, n: int, sizes: tuple[int, ...]) -> Constraints:
    n_outer = len(sizes)

    def expand(x: Indexed) -> Constraints:
        return x.expand(n)

    for depth in range(n_outer, 0, -1):  # what is shared by the lanes has no axis for them
        axes = jax.tree.map(lambda leaf, depth=depth: 0 if jnp.ndim(leaf) >= depth else None, x)
        expand = jax.vmap(expand, in_axes=(axes,), axis_size=sizes[depth - 1])
    return expand(x)


def _union(mine: Marks, other: Marks) -> Marks:
    if not isinstance(mine, dict):
        return mine
    if not isinstance(other, dict):
        return other
    return {**other, **{addr: _union(mark, other.get(addr, {})) for addr, mark in mine.items()}}


def _covers(marks: Marks, known: Addresses) -> bool:
    """Whether every address is marked as observed in full."""
    if isinstance(known, dict):
        return all(_covers(marks.get(addr, {}) if isinstance(marks, dict) else marks, k) for addr, k in known.items())
    return isinstance(marks, Whole)


def observed_marks(trace: AnyTrace) -> Marks:
    """The marks of a trace without a batch axis; `{}` where nothing is marked."""
    stored = stored_marks(trace)
    return unshare(stored[0], trace.raw_score()) if stored else {}


def observed_paths(trace: AnyTrace) -> list[Path]:
    """The paths of a trace, or batch of traces, that are marked as observed, in full or in part."""
    stored = stored_marks(trace)
    whole, partial = _split(stored[0]) if stored and stored[0] != {} else ([], [])
    return [*whole, *partial]


def observed_whole(trace: AnyTrace) -> list[Path]:
    """The paths of a trace, or batch of traces, that are marked as observed in full."""
    stored = stored_marks(trace)
    return _split(stored[0])[0] if stored and stored[0] != {} else []


def like(args: Args, kwargs: Kwargs, trace: AnyTrace) -> tuple[Any, ...]:
    """What a move of `trace` to new arguments stores: the arguments, and the trace's own marks."""
    return args, kwargs, *stored_marks(trace)


# What kernels may move


class Movable(NamedTuple):
    """What a kernel moves.

    Attributes:
        selection: of addresses.
        held: nested dict from address to the elements that stay, as a bool array with leading axes of the choice;
            addresses that move as a whole are not in it.
    """

    selection: Selection
    held: Marks


def movable(
    trace: AnyTrace, selection: Selectable, kernel: str, *, continuous: bool = False, elements: bool = True
) -> Movable:
    """What a kernel that was asked to move `selection` moves; see the module's docstring.

    Args:
        trace: the current state.
        selection: what the user selected, in any form that `sel` takes.
        kernel: its name, for messages.
        continuous: leave discrete missing elements where they are unless they are selected: the kernel follows
            gradients.
        elements: whether the kernel can hold some elements of a choice and move the others. If not, missing elements
            of what is not selected stay where they are.

    Raises:
        ValueError: the selection names an address that the trace does not have, or only addresses that were observed,
            or one that was observed in part where the kernel moves whole choices only.
    """
    written = sel(selection)
    selection = check_selection(written, trace, kernel)
    marks = observed_marks(trace)
    if (isinstance(marks, dict) and not marks) or is_forced(selection):
        return Movable(selection, {})
    wanted = selected_paths(selection, addresses(trace))
    if not wanted:
        return Movable(selection, {})
    whole, partial = _split(marks)
    left = [path for path in wanted if not _within(path, whole)]
    refused = [path for path in wanted if path not in left and (not left or _is_named(written, path))]
    if refused:
        raise ValueError(
            f"{kernel} was asked to move {', '.join(map(path_text, refused))}, which generate() was given as data. "
            "Select choices that are to be inferred. Where it was only a starting value, say what the data are: "
            "`trace = trace.observe({address: value, ...})`. To move data all the same, write sel(..., force=True)."
        )
    if not elements:
        partial = [path for path in partial if path in left]
        if partial:
            raise ValueError(
                f"{kernel} was asked to move {', '.join(map(path_text, partial))}, some elements of which generate() "
                "was given as data, and it moves choices as a whole. Move the others with mh."
            )
    if continuous:
        choices = trace.get_choices()
        partial = [path for path in partial if path in left or _is_continuous(trace, _at(choices, path), path)]
    moved = dict.fromkeys([*left, *partial])
    chosen = sel(*(path if path else () for path in moved), strict=False)
    return Movable(chosen, _nested({path: _at(marks, path) for path in moved if path in partial}))


def hold(held: Marks, new: Choices, old: Choices) -> Choices:
    """Choices `new` with the elements that `held` names as in `old`."""
    if isinstance(held, dict):
        if not held:
            return new
        return {addr: hold(held[addr], value, old[addr]) if addr in held else value for addr, value in new.items()}
    return jax.tree.map(lambda a, b: select_where(held, b, a), new, old)


def redraw(trace: AnyTrace, selection: SelectionBase, held: Marks) -> tuple[AnyTrace, jax.Array]:
    """`(proposal, log_alpha)`: draw the selected choices from the model, all but the elements that `held` names.

    With y everything that stays, `log_alpha = log p(y | x', args) - log p(y | x, args)`, each the sum of the log
    densities of its sites: the weight of `regenerate`, at the grain of elements.
    """
    gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
    if isinstance(held, dict) and not held:
        proposal, log_weight, _ = gen_fn.regenerate(trace, selection, *args, **kwargs)
        return proposal, scalar(log_weight)
    choices = trace.get_choices()
    kept, old = (staying(choices, selection, held, drop) for drop in (True, False))
    proposal, log_new = gen_fn.generate(kept, *args, **kwargs)
    log_old, _ = gen_fn.assess(old, *args, **kwargs)
    return with_args(proposal, unshare(raw_args(trace), trace.raw_score())), scalar(log_new) - scalar(log_old)


def staying(choices: Choices, selection: SelectionBase, held: Marks, drop: bool) -> Constraints:
    """Constraints that hold what stays. What moves is dropped, or masked: there, but without a density."""
    if isinstance(choices, dict):
        found = {
            addr: staying(value, selection.match(addr)[1], held.get(addr, {}) if isinstance(held, dict) else held, drop)
            for addr, value in choices.items()
        }
        return {addr: beneath for addr, beneath in found.items() if beneath is not None}
    if not selection.match(())[0]:
        return choices
    if not isinstance(held, dict):
        return Masked(held, choices)
    return None if drop else Masked(jnp.array(False), choices)


def _split(marks: Marks, path: Path = ()) -> tuple[list[Path], list[Path]]:
    """The paths that were observed in full, and those that were in part."""
    if isinstance(marks, Whole):
        return [path], []
    if not isinstance(marks, dict):
        return [], [path]
    whole: list[Path] = []
    partial: list[Path] = []
    for addr, beneath in marks.items():
        w, p = _split(beneath, (*path, addr))
        whole, partial = whole + w, partial + p
    return whole, partial


def _is_named(selection: SelectionBase, path: Path) -> bool:
    """Whether a selection names this very path, and not only something above it."""
    for addr in path[:-1]:
        selection = selection.match(addr)[1]
    return bool(path) and path[-1] in named(selection)


def _within(path: Path, tops: list[Path]) -> bool:
    return any(path[: len(top)] == top for top in tops)


def _at(tree: PyTree, path: Path) -> PyTree:
    for addr in path:
        tree = tree[addr]
    return tree


def _is_continuous(trace: AnyTrace, choice: Choices, path: Path) -> bool:
    """Whether gradients move a choice: its numbers are floating-point, and its support is not a set of integers."""
    floats = all(jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in jax.tree.leaves(choice))
    return floats and not _is_counting(trace, path)


def _is_counting(node: AnyTrace | Choices, path: Path) -> bool:
    """Whether a distribution at this path has a discrete support, in any branch of a `Cond`."""
    if not hasattr(node, "raw_score"):
        return False
    support = getattr(node.get_gen_fn(), "support", None)
    if support is not None:
        return bool(support.is_discrete)
    inner = node.inner()
    if isinstance(inner, tuple):
        return any(_is_counting(branch, path) for branch in inner)
    if isinstance(inner, dict):
        return bool(path) and path[0] in inner and _is_counting(inner[path[0]], path[1:])
    return _is_counting(inner, path)


def _nested(by_path: dict[Path, Marks]) -> Marks:
    if () in by_path:
        return by_path[()]
    tree: dict[str, Any] = {}
    for (*outer, last), value in by_path.items():
        level = tree
        for addr in outer:
            level = level.setdefault(addr, {})
        level[last] = value
    return tree
