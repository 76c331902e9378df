"""`seed`: give a function with random choices a key.

The function is staged once per argument shapes, its sites are given keys, and the result is compiled and cached; a
second call with the same shapes neither traces nor compiles, jitted by the user or not. Keys are threaded in program
order: a site takes `key, sub = split(key)` and draws with `sub`; a loop or branch that contains sites takes one such
`sub` and iteration i of a scan uses `fold_in(sub, i)`. Where there are many small draws, the `sub`s are one batched
split instead (module `draws`). Equations without sites consume no randomness.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.pjax import jax_internals
from genjax.pjax.draws import keys_and_draws
from genjax.pjax.evaluate import (
    Finder,
    close,
    evaluate,
    keyed_while,
    remat,
    rules_by_name,
    scan_parts,
    stage_flat,
    unsupported_message,
    while_parts,
)
from genjax.pjax.jax_internals import ClosedJaxpr, Equation
from genjax.pjax.partition import divided
from genjax.pjax.sites import SITE_PRIMITIVES
from genjax.signatures import Args, Kwargs, PyTree

_finder = Finder(SITE_PRIMITIVES)
jax_internals.keep_in_loops(_finder.in_jaxpr)


def seed(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """`seed(f)(key, *args, **kwargs)`: run `f` with every random choice drawn from `key`.

    Args:
        f: any function of JAX types. Its arguments are staged: Python numbers become traced scalars; wrap what
            must stay static in `Const`.

    Returns:
        A function of `(key, *args, **kwargs)`, deterministic given the key (typed or legacy uint32), that composes
        with `jit`, `vmap`, `grad`, `scan` and itself. It compiles on first use, per argument shapes.

    Raises:
        TypeError: an argument leaf is not a JAX type, or the first argument is not a key.
        ValueError: the first argument is an array of keys.
        NotImplementedError: a random choice occurs inside a transform that has no rule (named in the message).
    """
    # The arrays of a callable tree are arguments, and not part of the program.
    compiled = _with_tree(_compiled(type(f).__call__), f) if _is_tree(f) else _compiled(f)
    static_names = getattr(f, "__static_parameters__", ())
    check = getattr(f, "__check_arguments__", None)

    @functools.wraps(f)
    def seeded(key: jax.Array, /, *args: Any, **kwargs: Any) -> PyTree:
        if static_names:
            args, kwargs = _keep_static(f, static_names, args, kwargs)
        key = _as_typed_key(key)
        if check is not None:  # of values, which are not known any more once the function is staged
            check(*args, **kwargs)
        try:
            return compiled(key, *args, **kwargs)
        except (TypeError, ValueError) as error:
            _explain(f, args, kwargs, error)
            raise

    # What `wraps` copied says nothing about the key; JAX reads signatures to find static arguments by name.
    del seeded.__wrapped__
    with contextlib.suppress(TypeError, ValueError):  # some callables have no signature
        seeded.__signature__ = _with_key(inspect.signature(f))  # type: ignore[attr-defined]
    return seeded


def _is_tree(function: Callable[..., PyTree]) -> bool:
    """Whether a callable is a tree with leaves."""
    leaves = jax.tree.leaves(function)
    return bool(leaves) and leaves[0] is not function


def _with_tree(compiled: Callable[..., PyTree], function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    return lambda key, *args, **kwargs: compiled(key, function, *args, **kwargs)


def _with_key(signature: inspect.Signature) -> inspect.Signature:
    parameters = list(signature.parameters.values())
    name = "key" if "key" not in signature.parameters else "seed_key"
    return signature.replace(parameters=[inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY), *parameters])


def _explain(function: Callable[..., PyTree], args: Args, kwargs: Kwargs, error: Exception) -> None:
    """Say what to do about an error that `seed` is the reason for."""
    text = str(error)
    if isinstance(error, ValueError) and "out_axes" in text:
        error.add_note(
            "If this is jax.jacfwd or jax.hessian of a function that draws: each column would have a draw of its own. "
            "Differentiate with the key fixed, `jax.jacfwd(lambda x: seed(f)(key, x))(x)`, or use jax.jacrev."
        )
    if not isinstance(error, TypeError):
        return
    _explain_arguments(function, args, kwargs, error)
    labelled = jax.tree_util.tree_leaves_with_path((args, kwargs))
    integers = [(path, leaf) for path, leaf in labelled if isinstance(leaf, (int, np.integer))]
    if integers and ("oncrete" in text or "traced" in text.lower() or "tracer" in text.lower()):
        listing = ", ".join(
            f"{('args', 'kwargs')[path[0].idx]}{jax.tree_util.keystr(path[1:])} = {leaf!r}" for path, leaf in integers
        )
        error.add_note(
            f"seed({getattr(function, '__name__', 'function')}) made arrays of its integer arguments: {listing}. Pass "
            "what must stay a Python integer, such as a size, as `const(n)`, or close over it."
        )


def _explain_arguments(function: Callable[..., PyTree], args: Args, kwargs: Kwargs, error: TypeError) -> None:
    """Raise an error that names the argument, if one of them is no JAX type."""
    for path, leaf in jax.tree_util.tree_leaves_with_path((args, kwargs)):
        try:
            jax.typeof(leaf)
        except TypeError:
            label = "args" if path[0].idx == 0 else "kwargs"
            raise TypeError(
                f"seed({getattr(function, '__name__', 'function')}) got {leaf!r} ({type(leaf).__name__}) in "
                f"{label}{jax.tree_util.keystr(path[1:])}. Arguments become traced arrays; pass what must stay a "
                "Python value as `const(value)`, or close over it."
            ) from error


_cache: weakref.WeakKeyDictionary[Callable[..., PyTree], Callable[..., PyTree]] = weakref.WeakKeyDictionary()
_cache_by_value: dict[Hashable, Callable[..., PyTree]] = {}


def _compiled(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """One compiled wrapper per function, so that `seed(f)` written twice compiles once."""
    identity: Hashable = None
    if inspect.ismethod(function):
        identity = (function.__func__, function.__self__)  # a bound method is a new object at each access
    elif type(function).__eq__ is not object.__eq__:
        identity = (None, function)  # a callable that compares by value, such as a generative function
    if identity is not None:
        try:
            if identity not in _cache_by_value:
                if len(_cache_by_value) >= 1024:
                    _cache_by_value.pop(next(iter(_cache_by_value)))
                _cache_by_value[identity] = jax.jit(_interpreted(function))
            return _cache_by_value[identity]
        except TypeError:  # it has no hash
            return jax.jit(_interpreted(function))
    try:
        if function not in _cache:
            # The wrapper must not keep `function` alive from the cache's value: it looks it up weakly.
            _cache[function] = jax.jit(_interpreted(_weakly(function)))
        compiled = _cache[function]
    except TypeError:  # not hashable, or not weakly referable
        return jax.jit(_interpreted(function))
    return _holding(compiled, function)


def _weakly(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    reference = weakref.ref(function)

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> PyTree:
        target = reference()
        assert target is not None  # `_holding` keeps it alive while the compiled wrapper is callable
        return target(*args, **kwargs)

    del call.__wrapped__
    return call


def _holding(compiled: Callable[..., PyTree], function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    def call(*args: Any, **kwargs: Any) -> PyTree:
        return compiled(*args, **kwargs)

    call.function = function  # type: ignore[attr-defined]
    return call


def _interpreted(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    # A name that no argument of the function has: JAX wants the names of all of them to differ.
    def run(_key_of_seed: jax.Array, /, *args: Any, **kwargs: Any) -> PyTree:
        closed, flat, out_tree = stage_flat(function, *args, **kwargs)
        return jax.tree.unflatten(out_tree, _run_keyed(closed, _key_of_seed, flat))

    run.__name__ = f"seed({getattr(function, '__name__', 'function')})"
    return run


def _as_typed_key(key: jax.Array) -> jax.Array:
    if getattr(key, "dtype", None) == jnp.uint32 and getattr(key, "ndim", 0) >= 1:
        key = jax.random.wrap_key_data(key)
    if hasattr(key, "dtype") and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.ndim:
            raise ValueError(
                f"seed(f) takes one key, got an array of keys of shape {key.shape}. For a run per key write "
                "`jax.vmap(seed(f))(keys, ...)`."
            )
        return key
    raise TypeError(
        f"seed(f) takes a key as first argument, got {type(key).__name__}. Pass `jax.random.key(0)` "
        "(or a legacy `jax.random.PRNGKey(0)`), then the arguments of f."
    )


def _keep_static(
    function: Callable[..., PyTree], names: Sequence[str], args: Args, kwargs: Kwargs
) -> tuple[Args, Kwargs]:
    """Wrap plain values given for static parameters in `Const`, before staging makes them tracers or refuses them."""
    from genjax.core.const import Const

    bound = inspect.signature(function).bind(*args, **kwargs)
    arguments = bound.arguments
    for name in names:
        # A name that the signature lacks is in its `**kwargs`.
        home = arguments if name in bound.signature.parameters else arguments.get("kwargs", {})
        value = home.get(name)
        if isinstance(value, (tuple, list)) and all(isinstance(n, (int, np.integer)) for n in value):
            value = tuple(int(n) for n in value)
        elif isinstance(value, np.integer):
            value = int(value)
        elif not (isinstance(value, (int, float, str)) or callable(value)):
            continue
        home[name] = Const(value)
    return bound.args, bound.kwargs


# The interpreter


def _run_keyed(closed: ClosedJaxpr, key: jax.Array, args: Sequence[ArrayLike]) -> list[ArrayLike]:
    """Evaluate with every site keyed."""
    random_equations = [eqn for eqn in closed.jaxpr.eqns if _finder.in_equation(eqn)]
    key_of, draws = keys_and_draws(random_equations, key)
    order = itertools.count()

    def handle(eqn: Equation, values: list[ArrayLike]) -> Sequence[ArrayLike]:
        i = next(order)
        if i in draws:
            return [draws[i](values)]
        rule = _RULES.get(eqn.primitive.name)
        if rule is None:
            message = unsupported_message(f"A random choice under `seed`{_location(eqn)}", eqn.primitive.name)
            raise NotImplementedError(message)
        return rule(eqn, key_of(i), values)

    return evaluate(closed, args, _finder, handle)


def _location(eqn: Equation) -> str:
    """` (at <file>:<line>)` of the first site in an equation."""
    while eqn.primitive not in SITE_PRIMITIVES:
        eqn = next(e for body in jax_internals.sub_jaxprs(eqn) for e in body.eqns if _finder.in_equation(e))
    return "".join(f" (at {frame})" for frame in jax_internals.user_frames(eqn.source_info.traceback)[:1])


def _site(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    return [divided(eqn.params["sampler"].draw(key, *values, shape=eqn.params["shape"]))]


def _cond(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    index, *operands = values
    branches = [lambda key, *ops, b=branch: _run_keyed(b, key, ops) for branch in eqn.params["branches"]]
    return jax.lax.switch(index, branches, key, *operands)


def _scan(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    parts = scan_parts(eqn, values)
    n_carry = len(parts.carry)

    def body(carry: list[ArrayLike], step: PyTree) -> tuple[list[ArrayLike], list[ArrayLike]]:
        index, xs = step
        outputs = _run_keyed(parts.body, jax.random.fold_in(key, index), [*parts.constants, *carry, *xs])
        return outputs[:n_carry], outputs[n_carry:]

    steps = (jnp.arange(parts.length), parts.xs)
    carry, ys = jax.lax.scan(body, parts.carry, steps, length=parts.length, reverse=parts.reverse, unroll=parts.unroll)
    return [*carry, *ys]


def _apart(key: jax.Array) -> jax.Array:
    """A key for a second stream, beside the one that starts by splitting `key` in two.

    With threefry `fold_in(key, i)` is the i-th of the keys that `split` gives, so that 0 and 1 are taken.
    """
    return jax.random.fold_in(key, 2)


def _while(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    parts = while_parts(eqn, values)

    def condition(key: jax.Array, carry: list[ArrayLike]) -> ArrayLike:
        return _run_keyed(parts.condition, _apart(key), [*parts.condition_constants, *carry])[0]

    def advance(key: jax.Array, carry: list[ArrayLike]) -> tuple[jax.Array, list[ArrayLike]]:
        next_key, sub = jax.random.split(key)
        return next_key, _run_keyed(parts.body, sub, [*parts.body_constants, *carry])

    return keyed_while(parts, condition, advance, key)


def _jit(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    return _run_keyed(eqn.params["jaxpr"], key, values)


def _remat(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    closed = close(eqn.params["jaxpr"])
    return remat(eqn, lambda key, *args: _run_keyed(closed, key, args))(key, *values)


def _custom_jvp(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    rule = jax_internals.custom_jvp_rule(eqn)

    @jax.custom_jvp
    def call(key: jax.Array, *args: ArrayLike) -> list[ArrayLike]:
        return _run_keyed(eqn.params["call_jaxpr"], key, args)

    @call.defjvp
    def call_jvp(
        primals: Sequence[ArrayLike], tangents: Sequence[ArrayLike]
    ) -> tuple[list[ArrayLike], list[ArrayLike]]:
        closed, flat, _ = stage_flat(rule, *primals[1:], *tangents[1:])
        outputs = _run_keyed(closed, primals[0], flat)
        half = len(outputs) // 2
        return outputs[:half], outputs[half:]

    return call(key, *values)


def _custom_vjp(eqn: Equation, key: jax.Array, values: list[ArrayLike]) -> Sequence[ArrayLike]:
    rules = jax_internals.custom_vjp_rules(eqn)

    @jax.custom_vjp
    def call(key: jax.Array, *args: ArrayLike) -> list[ArrayLike]:
        return _run_keyed(eqn.params["call_jaxpr"], key, args)

    def forward(key: jax.Array, *args: ArrayLike) -> tuple[list[ArrayLike], PyTree]:
        closed, flat, out_tree = stage_flat(rules.forward, *args)
        residuals, outputs = jax.tree.unflatten(out_tree, _run_keyed(closed, key, flat))
        return outputs, (key, residuals)

    def backward(residuals: PyTree, cotangents: PyTree) -> tuple[ArrayLike | None, ...]:
        key, residuals = residuals
        closed, flat, out_tree = stage_flat(rules.backward, residuals, cotangents)
        return (None, *jax.tree.unflatten(out_tree, _run_keyed(closed, _apart(key), flat)))

    call.defvjp(forward, backward)
    return call(key, *values)


_RULES = rules_by_name(
    dict.fromkeys(SITE_PRIMITIVES, _site),
    cond=_cond,
    scan=_scan,
    while_loop=_while,
    jit=_jit,
    closed_call=lambda eqn, key, values: _run_keyed(close(eqn.params["call_jaxpr"]), key, values),
    checkpoint=_remat,
    custom_jvp=_custom_jvp,
    custom_vjp=_custom_vjp,
)
