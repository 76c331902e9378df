"""Evaluating a jaxpr with some equations handled differently: what `seed`, `state` and `adev` share.

An interpreter is a set of primitives it looks for and a table of rules, made by `rules_by_name`. Equations that
contain none of the primitives, at any depth, are bound as they are; so control flow that does not concern an
interpreter is left exactly as JAX staged it. `walk` is the one loop over equations; the `*_parts` functions read the
parameters of JAX's higher-order primitives once, for every interpreter.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike

from genjax.pjax import jax_internals
from genjax.pjax.jax_internals import Atom, ClosedJaxpr, Equation, Jaxpr, Literal, Primitive, Var
from genjax.signatures import PyTree

Rule = TypeVar("Rule", bound=Callable[..., Any])


def stage_flat(
    function: Callable[..., PyTree], *args: Any, **kwargs: Any
) -> tuple[ClosedJaxpr, list[ArrayLike], PyTreeDef]:
    """Stage `function` at these arguments: `(closed jaxpr, flat arguments, output tree)`."""
    flat, in_tree = jax.tree.flatten((args, kwargs))
    out_tree = None

    def flat_function(*leaves: ArrayLike) -> list[ArrayLike]:
        nonlocal out_tree
        call_args, call_kwargs = jax.tree.unflatten(in_tree, leaves)
        outputs, out_tree = jax.tree.flatten(function(*call_args, **call_kwargs))
        return outputs

    closed = jax.make_jaxpr(flat_function)(*flat)
    return closed, flat, out_tree


# Which equations concern an interpreter


class Finder:
    """Tells whether an equation or a jaxpr contains one of `primitives`, at any depth. Remembers jaxprs."""

    def __init__(self, primitives: Sequence[Primitive]):
        self.primitives = frozenset(primitives)
        self._known: weakref.WeakKeyDictionary[Jaxpr, bool] = weakref.WeakKeyDictionary()

    def in_equation(self, eqn: Equation) -> bool:
        return eqn.primitive in self.primitives or any(self.in_jaxpr(body) for body in jax_internals.sub_jaxprs(eqn))

    def in_jaxpr(self, jaxpr: Jaxpr) -> bool:
        known = self._known.get(jaxpr)
        if known is None:
            known = self._known[jaxpr] = any(self.in_equation(eqn) for eqn in jaxpr.eqns)
        return known


def evaluate(
    closed: ClosedJaxpr,
    args: Sequence[ArrayLike],
    finder: Finder,
    handle: Callable[[Equation, list[ArrayLike]], Sequence[ArrayLike]],
) -> list[ArrayLike]:
    """Evaluate a closed jaxpr; `handle(eqn, values) -> outputs` takes the equations that `finder` finds."""
    environment = entered(closed, args)
    for _, eqn, values in walk(closed.jaxpr, environment, finder):
        with jax_internals.equation_context(eqn):
            outputs = handle(eqn, values)
        environment.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom, environment) for atom in closed.jaxpr.outvars]


def entered(closed: ClosedJaxpr, args: Sequence[ArrayLike]) -> dict[Var, ArrayLike]:
    """The values of a closed jaxpr's constants and inputs, by variable."""
    environment = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    environment.update(zip(closed.jaxpr.invars, args, strict=True))
    return environment


def read(atom: Atom, environment: Mapping[Var, ArrayLike]) -> ArrayLike:
    """The value of a variable or literal."""
    return atom.val if isinstance(atom, Literal) else environment[atom]


def walk(
    jaxpr: Jaxpr, environment: dict[Var, ArrayLike], finder: Finder, start: int = 0
) -> Iterator[tuple[int, Equation, list[ArrayLike]]]:
    """Evaluate the equations from number `start` on, all but those that `finder` finds.

    Yields `(position, eqn, values)` for each of these; its outputs must be in the environment before the walk goes on.
    """
    for position in range(start, len(jaxpr.eqns)):
        eqn = jaxpr.eqns[position]
        values = [read(atom, environment) for atom in eqn.invars]
        if finder.in_equation(eqn):
            yield position, eqn, values
        else:
            environment.update(zip(eqn.outvars, jax_internals.bind_equation(eqn, values), strict=True))


#: JAX's names of its higher-order primitives, by what they are called here.
PRIMITIVES = {
    "cond": ("cond",),
    "scan": ("scan",),
    "while_loop": ("while",),
    "jit": ("jit", "pjit"),
    "closed_call": ("closed_call",),
    "checkpoint": ("remat2", "checkpoint"),
    "custom_jvp": ("custom_jvp_call",),
    "custom_vjp": ("custom_vjp_call",),
}


def rules_by_name(own: Mapping[Primitive, Rule], **rules: Rule) -> dict[str, Rule]:
    """A table of rules by the names that primitives have in JAX.

    Args:
        own: rules of the interpreter's own primitives.
        rules: those of JAX's higher-order primitives, by the keys of `PRIMITIVES`.
    """
    named = {name: rule for key, rule in rules.items() for name in PRIMITIVES[key]}
    return {primitive.name: rule for primitive, rule in own.items()} | named


# What JAX's higher-order primitives are made of


class ScanParts(NamedTuple):
    """`body(*constants, *carry, *x) -> (*carry, *y)`, and the operands split accordingly."""

    body: ClosedJaxpr
    constants: list[ArrayLike]
    carry: list[ArrayLike]
    xs: list[ArrayLike]
    length: int
    reverse: bool
    unroll: int | bool


def scan_parts(eqn: Equation, values: Sequence[ArrayLike]) -> ScanParts:
    n_constants, n_carry = jax_internals.scan_counts(eqn.params)
    return ScanParts(
        body=eqn.params["jaxpr"],
        constants=list(values[:n_constants]),
        carry=list(values[n_constants : n_constants + n_carry]),
        xs=list(values[n_constants + n_carry :]),
        length=eqn.params["length"],
        reverse=eqn.params["reverse"],
        unroll=eqn.params["unroll"],
    )


class WhileParts(NamedTuple):
    """`condition(*condition_constants, *carry) -> [bool]` and `body(*body_constants, *carry) -> carry`."""

    condition: ClosedJaxpr
    body: ClosedJaxpr
    condition_constants: list[ArrayLike]
    body_constants: list[ArrayLike]
    carry: list[ArrayLike]


def while_parts(eqn: Equation, values: Sequence[ArrayLike]) -> WhileParts:
    n_condition, n_body = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    return WhileParts(
        condition=eqn.params["cond_jaxpr"],
        body=eqn.params["body_jaxpr"],
        condition_constants=list(values[:n_condition]),
        body_constants=list(values[n_condition : n_condition + n_body]),
        carry=list(values[n_condition + n_body :]),
    )


def keyed_while(
    parts: WhileParts,
    condition: Callable[[jax.Array, list[ArrayLike]], ArrayLike],
    advance: Callable[[jax.Array, list[ArrayLike]], tuple[jax.Array, list[ArrayLike]]],
    key: jax.Array,
) -> list[ArrayLike]:
    """The final carry of a while loop whose condition and body may draw.

    Args:
        parts: the loop.
        condition: `(key, carry) -> go on`, one bool, or one per lane.
        advance: `(key, carry) -> (next key, next carry)`, for all lanes.
        key: of the first iteration.
    """
    if not parts.condition.out_avals[0].shape:
        return jax.lax.while_loop(lambda loop: condition(*loop), lambda loop: advance(*loop), (key, parts.carry))[1]

    # A condition that draws would tell some finished lanes to go on. So the verdict is carried: each lane is asked once
    # per iteration, and a lane that has stopped stays stopped.
    def body(loop: PyTree) -> PyTree:
        go_on, key, carry = loop
        key, new = advance(key, carry)
        carry = keep_finished_lanes(go_on, new, carry)
        return go_on & condition(key, carry), key, carry

    start = (condition(key, parts.carry), key, parts.carry)
    return jax.lax.while_loop(lambda loop: jax.numpy.any(loop[0]), body, start)[2]


def keep_finished_lanes(go_on: jax.Array, new: Sequence[ArrayLike], old: Sequence[ArrayLike]) -> list[ArrayLike]:
    """The carry of a loop that goes on for some lanes only.

    `vmap` of a loop whose condition differs between lanes gives a while equation with an array of conditions. It runs
    while any is true, and lanes whose own is false keep their carry. Carry leaves begin with the lanes' axes.
    """

    def select(new: ArrayLike, old: ArrayLike) -> jax.Array:
        return jax.numpy.where(go_on.reshape(go_on.shape + (1,) * (new.ndim - go_on.ndim)), new, old)

    return [select(*pair) for pair in zip(new, old, strict=True)] if go_on.ndim else list(new)


def close(jaxpr: Jaxpr | ClosedJaxpr) -> ClosedJaxpr:
    """A closed jaxpr from the body of an equation, open (remat) or closed (the others)."""
    if isinstance(jaxpr, ClosedJaxpr):
        return jaxpr
    return ClosedJaxpr(jaxpr, ())


def remat(eqn: Equation, function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`jax.checkpoint` of `function` with the settings of a remat equation."""
    return jax.checkpoint(function, prevent_cse=eqn.params["prevent_cse"], policy=eqn.params["policy"])


@functools.cache
def unsupported_message(what: str, primitive: str) -> str:
    return (
        f"{what} stands inside `{primitive}`, which is not supported. Supported around it: jit, vmap, cond, switch, "
        f"scan, while_loop, fori_loop, map, checkpoint, custom_jvp and custom_vjp. Move it outside `{primitive}`."
    )
