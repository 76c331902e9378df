"""The interpreter behind `state`: takes saves out of a staged function, through every control flow of JAX.

A save is an equation without outputs, kept by its effect until this interpreter takes it out. It exists only while
`state` stages a function: `current_namespace` is None outside, and then saving adds no equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike, DTypeLike

from genjax.pjax import jax_internals
from genjax.pjax.evaluate import (
    Finder,
    close,
    evaluate,
    keep_finished_lanes,
    remat,
    rules_by_name,
    scan_parts,
    unsupported_message,
    while_parts,
)
from genjax.pjax.jax_internals import AxisData, ClosedJaxpr, Equation
from genjax.signatures import PyTree

Path = tuple[str, ...]
Saved = dict[Path, PyTree]

#: The namespace of the code being staged by `state`; None outside of any `state`. JAX keys its caches by it, so a
#: jitted function is staged again for each namespace, and never loses its saves to an earlier compilation.
current_namespace = jax.make_user_context(None)

# The primitive

state_p = jax_internals.Primitive("genjax.save")
state_p.multiple_results = True
_saving = jax_internals.make_effect("Save")


def record(name: Path, value: PyTree) -> None:
    """Save a value as `name` in the current namespace; outside of any `state`, do nothing.

    Raises:
        TypeError: a leaf of the value is not an array.
    """
    outer = current_namespace.value
    if outer is not None:
        leaves, tree = jax.tree.flatten(value)
        path = (*outer, *name)
        state_p.bind(*(_as_array(leaf, path) for leaf in leaves), path=path, tree=tree)


def _as_array(leaf: ArrayLike, path: Path) -> jax.Array:
    try:
        dtype = jnp.result_type(leaf)
    except TypeError as error:
        raise TypeError(
            f"save() got a {type(leaf).__name__} in {'/'.join(path)!r}. Values are arrays or pytrees of arrays."
        ) from error
    if jax.dtypes.issubdtype(dtype, jax.dtypes.extended):  # a random key
        return leaf
    return jnp.asarray(leaf, dtype)  # the dtype given, so that it is not weak: loops carry it


def _batch(
    axis_data: AxisData, arguments: Sequence[ArrayLike], dims: Sequence[int | None], *, path: Path, tree: PyTreeDef
) -> tuple[list[ArrayLike], list[int]]:
    lanes = [
        jnp.broadcast_to(value, (axis_data.size, *value.shape)) if dim is None else jnp.moveaxis(value, dim, 0)
        for value, dim in zip(arguments, dims, strict=True)
    ]
    state_p.bind(*lanes, path=path, tree=tree)
    return [], []


def _differentiate(
    primals: Sequence[ArrayLike], tangents: Sequence[ArrayLike], *, path: Path, tree: PyTreeDef
) -> tuple[list[ArrayLike], list[ArrayLike]]:
    del tangents
    state_p.bind(*primals, path=path, tree=tree)
    return [], []


state_p.def_impl(lambda *_values, **_params: [])
state_p.def_effectful_abstract_eval(lambda *_values, **_params: ([], {_saving}))
jax_internals.register_batching(state_p, _batch)
jax_internals.register_jvp(state_p, _differentiate)


# The interpreter. `saved` is what the level being evaluated has saved so far; rules add to it.

_finder = Finder((state_p,))


def collect(closed: ClosedJaxpr, args: Sequence[ArrayLike], saved: Saved) -> list[ArrayLike]:
    """Evaluate a closed jaxpr; what it saves is added to `saved`, by path."""

    def handle(eqn: Equation, values: list[ArrayLike]) -> Sequence[ArrayLike]:
        rule = _RULES.get(eqn.primitive.name)
        if rule is None:
            raise NotImplementedError(unsupported_message("A save under `state`", eqn.primitive.name))
        return rule(eqn, values, saved)

    return evaluate(closed, args, _finder, handle)


def _collect_apart(closed: ClosedJaxpr, args: Sequence[ArrayLike], before: Saved) -> tuple[list[ArrayLike], Saved]:
    """Outputs, and what is newly saved to a level that starts with `before`."""
    level = dict(before)
    outputs = collect(closed, args, level)
    return outputs, {path: value for path, value in level.items() if value is not before.get(path, _NOTHING)}


_NOTHING = object()


def _save(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    saved[eqn.params["path"]] = jax.tree.unflatten(eqn.params["tree"], values)
    return []


def _before_or_zeros(shapes: Saved, saved: Saved) -> Saved:
    """For each path, the value saved before if it is alike, and zeros otherwise."""

    def default(path: Path) -> PyTree:
        if path in saved and _kind(saved[path]) == _kind(shapes[path]):
            return saved[path]
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes[path])

    return {path: default(path) for path in shapes}


def _kind(value: PyTree) -> tuple[PyTreeDef, list[tuple[tuple[int, ...], DTypeLike]]]:
    leaves, tree = jax.tree.flatten(value)
    return tree, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _cond(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    index, *operands = values
    branches = eqn.params["branches"]
    shapes: Saved = {}
    for branch in branches:
        new = jax.eval_shape(lambda *ops, b=branch: _collect_apart(b, ops, saved), *operands)[1]
        for path, shape in new.items():
            if _kind(shapes.setdefault(path, shape)) != _kind(shape):
                raise ValueError(
                    f"Branches of a cond or switch save different things as {'/'.join(path)!r}: {shapes[path]} and "
                    f"{shape}. Save values of one structure, shape and dtype, or use different names."
                )
    defaults = _before_or_zeros(shapes, saved)

    def with_all_saves(branch: ClosedJaxpr) -> Callable[..., PyTree]:
        def run(*operands: ArrayLike) -> tuple[list[ArrayLike], Saved]:
            outputs, new = _collect_apart(branch, operands, saved)
            return outputs, {**defaults, **new}

        return run

    outputs, new = jax.lax.switch(index, [with_all_saves(branch) for branch in branches], *operands)
    saved.update(new)
    return outputs


def _scan(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    parts = scan_parts(eqn, values)
    n_carry = len(parts.carry)

    def body(carry: list[ArrayLike], xs: list[ArrayLike]) -> tuple[list[ArrayLike], PyTree]:
        outputs, new = _collect_apart(parts.body, [*parts.constants, *carry, *xs], {})
        return outputs[:n_carry], (outputs[n_carry:], new)

    carry, (ys, stacked) = jax.lax.scan(
        body, parts.carry, parts.xs, length=parts.length, reverse=parts.reverse, unroll=parts.unroll
    )
    saved.update(stacked)
    return [*carry, *ys]


def _while(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    parts = while_parts(eqn, values)

    def check(carry: list[ArrayLike], current: Saved) -> tuple[ArrayLike, Saved]:
        (go_on,), new = _collect_apart(parts.condition, [*parts.condition_constants, *carry], {**saved, **current})
        return go_on, {**current, **new}

    def advance(carry: list[ArrayLike], current: Saved) -> tuple[list[ArrayLike], Saved]:
        carry, new = _collect_apart(parts.body, [*parts.body_constants, *carry], {**saved, **current})
        return carry, {**current, **new}

    _, in_body = jax.eval_shape(lambda carry: advance(carry, {}), parts.carry)
    _, in_check = jax.eval_shape(lambda carry: check(carry, {}), parts.carry)
    current = _before_or_zeros({**in_check, **in_body}, saved)
    # A condition cannot hand out values, so it is evaluated ahead: once before the loop and once per iteration.
    go_on, current = check(parts.carry, current)

    def body(loop: PyTree) -> PyTree:
        go_on, *old = loop
        new = advance(*old)
        new_leaves, tree = jax.tree.flatten(new)
        carry, current = jax.tree.unflatten(tree, keep_finished_lanes(go_on, new_leaves, jax.tree.leaves(tuple(old))))
        go_on_next, current_next = check(carry, current)
        current = jax.tree.unflatten(
            jax.tree.structure(current),
            keep_finished_lanes(go_on, jax.tree.leaves(current_next), jax.tree.leaves(current)),
        )
        return go_on & go_on_next, carry, current  # a condition that draws must not wake a lane that has stopped

    _, carry, current = jax.lax.while_loop(lambda loop: jnp.any(loop[0]), body, (go_on, parts.carry, current))
    saved.update(current)
    return carry


def _jit(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    return collect(eqn.params["jaxpr"], values, saved)


def _closed_call(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    return collect(close(eqn.params["call_jaxpr"]), values, saved)


def _remat(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    closed = close(eqn.params["jaxpr"])
    outputs, new = remat(eqn, lambda *args: _collect_apart(closed, args, {}))(*values)
    saved.update(new)
    return outputs


def _custom_jvp(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    rule, closed = jax_internals.custom_jvp_rule(eqn), eqn.params["call_jaxpr"]

    @jax.custom_jvp
    def call(*args: ArrayLike) -> tuple[list[ArrayLike], Saved]:
        return _collect_apart(closed, args, {})

    @call.defjvp
    def call_jvp(primals: Sequence[ArrayLike], tangents: Sequence[ArrayLike]) -> PyTree:
        _, new = _collect_apart(closed, primals, {})
        outputs = rule(*primals, *tangents)
        half = len(outputs) // 2
        return (outputs[:half], new), (outputs[half:], jax.tree.map(_zero_tangent, new))

    outputs, new = call(*values)
    saved.update(new)
    return outputs


def _zero_tangent(value: jax.Array) -> jax.Array | np.ndarray:
    if jnp.issubdtype(value.dtype, jnp.inexact):
        return jnp.zeros_like(value)
    return np.zeros(value.shape, jax.dtypes.float0)


def _custom_vjp(eqn: Equation, values: list[ArrayLike], saved: Saved) -> Sequence[ArrayLike]:
    rules, closed = jax_internals.custom_vjp_rules(eqn), eqn.params["call_jaxpr"]

    @jax.custom_vjp
    def call(*args: ArrayLike) -> tuple[list[ArrayLike], Saved]:
        return _collect_apart(closed, args, {})

    def forward(*args: ArrayLike) -> PyTree:
        residuals, outputs = rules.forward(*args)
        return (outputs, _collect_apart(closed, args, {})[1]), residuals

    def backward(residuals: PyTree, cotangents: PyTree) -> tuple[ArrayLike, ...]:
        return tuple(rules.backward(residuals, cotangents[0]))

    call.defvjp(forward, backward)
    outputs, new = call(*values)
    saved.update(new)
    return outputs


_RULES = rules_by_name(
    {state_p: _save},
    cond=_cond,
    scan=_scan,
    while_loop=_while,
    jit=_jit,
    closed_call=_closed_call,
    checkpoint=_remat,
    custom_jvp=_custom_jvp,
    custom_vjp=_custom_vjp,
)
