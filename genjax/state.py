"""`state`: collect named values from anywhere inside a function.

`save(x=value)` inside `f` shows up in the dictionary that `state(f)` returns beside the result. Outside of any `state`
saving does nothing at all: no equation, no cost. Inside, saves are collected out of every control flow of JAX.

Where a value was saved decides its shape:

- in a `scan` (also `map`, and `fori_loop` with static bounds): stacked along a new leading axis;
- in a `while_loop`: that of the last iteration;
- in branches of `cond` or `switch`: that of the branch taken; a name that this branch does not save keeps the value
  saved before at the same level, or is zeros (False);
- under `jax.vmap`: with the lanes as leading axis, but behind the axis of a `scan` inside of the `vmap`.

One exception is JAX's: inside `vmap`, a `cond` on a lane's own predicate runs both branches, and so both save. Put
`state` inside of such a `vmap`, or save the result of the `cond`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jax

from genjax.pjax.collect import Path, Saved, collect, current_namespace, record
from genjax.pjax.evaluate import stage_flat
from genjax.signatures import PyTree

T = TypeVar("T")

# Saving


def save(*values: PyTree, **named: PyTree) -> PyTree:
    """Name values of the running function, for `state` to collect.

    Args:
        values: leaf mode: one value is stored at the current namespace itself, several as a tuple.
        named: stored under their names in the current namespace. Values are pytrees of arrays.

    Returns:
        What was passed: a dict of the named values, or in leaf mode the value or the tuple of values.

    Raises:
        ValueError: positional and keyword values at once, or leaf mode outside a namespace (when collected).
        TypeError: a leaf of a value is not an array (when collected).
    """
    if values and named:
        raise ValueError(
            "save() got both: Cannot use both positional args (leaf mode) and keyword args (named mode). "
            "Write save(x=x, y=y), or save(x) inside a namespace."
        )
    if not values:
        for name, value in named.items():
            record((name,), value)
        return named
    value = values[0] if len(values) == 1 else values
    if current_namespace.value == ():
        raise ValueError(
            "Leaf mode save() requires being inside a namespace: save(value) stores the value at the namespace itself. "
            'Write save(name=value), or namespace(f, "name") around the function that saves.'
        )
    record((), value)
    return value


def tag_state(*values: PyTree, name: str) -> PyTree:
    """Store values under one name and return them: `x = tag_state(x, name="x")`. Several are stored as a tuple.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("tag_state requires at least one value, as in `x = tag_state(x, name='x')`.")
    value = values[0] if len(values) == 1 else values
    record((name,), value)
    return value


def namespace(f: Callable[..., T], ns: str) -> Callable[..., T]:
    """`f` with its saves in a separate dictionary under `ns`. Namespaces nest."""

    @functools.wraps(f)
    def inside(*args: Any, **kwargs: Any) -> T:
        outer = current_namespace.value
        if outer is None:
            return f(*args, **kwargs)
        with current_namespace((*outer, ns)):
            return f(*args, **kwargs)

    return inside


# Collecting


@dataclass
class State:
    """Runs functions and collects what they save; one instance accumulates over its runs.

    Attributes:
        collected_state: nested dict of what was saved.
        namespace_stack: names of the namespaces around everything that is run.
    """

    collected_state: dict[str, PyTree] = field(default_factory=dict)
    namespace_stack: list[str] = field(default_factory=list)

    def eval(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """`function(*args, **kwargs)`; its saves are added to `collected_state`."""
        with current_namespace(tuple(self.namespace_stack)):
            closed, flat, out_tree = stage_flat(function, *args, **kwargs)
        saved: Saved = {}
        outputs = collect(closed, flat, saved)
        for path, value in saved.items():
            _store(self.collected_state, path, value)
        return jax.tree.unflatten(out_tree, outputs)


def state(f: Callable[..., T]) -> Callable[..., tuple[T, dict[str, PyTree]]]:
    """`result, saved = state(f)(*args, **kwargs)`: run `f`, and collect what it saves.

    Returns:
        A function that returns the result of `f` and a dict from name to saved value, with a dict per `namespace`. A
        name saved twice has its last value. Composes with `jit`, `vmap`, `grad` and `seed`, inside and outside. An
        inner `state` keeps its saves to itself.

    Raises:
        ValueError: branches of one `cond` save values of different structure, shape or dtype under one name.
        NotImplementedError: a save occurs inside a transform that has no rule (named in the message).
    """

    @functools.wraps(f)
    def collecting(*args: Any, **kwargs: Any) -> tuple[T, dict[str, PyTree]]:
        run = State()
        return run.eval(f, *args, **kwargs), run.collected_state

    return collecting


def _store(tree: dict[str, PyTree], path: Path, value: PyTree) -> None:
    *outer, last = path
    for name in outer:
        if not isinstance(tree.get(name), dict):
            tree[name] = {}
        tree = tree[name]
    tree[last] = value
