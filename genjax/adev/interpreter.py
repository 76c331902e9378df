"""The interpreter behind `expectation`: a staged program into one expression with unbiased derivatives.

Equations without random choices are bound as they are. Choices with direct rules (pathwise, score function) are
evaluated in place, in any control flow but `while`; the score function's log densities add up, and multiply the
program's result at its end. The other rules get the rest of the program as a continuation: of the equations that
follow, of the branch of a `cond` that the choice is in (and then of what follows the `cond`, once per branch), and of
the remaining steps of a `scan`, which is unrolled step by step.

All keys come from one, in program order; so the continuations of one choice share their randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.adev.choices import check, jaxpr_needs_rest, needs_rest, rule_of
from genjax.adev.dual import is_differentiable
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import (
    Finder,
    ScanParts,
    close,
    entered,
    keyed_while,
    read,
    remat,
    rules_by_name,
    scan_parts,
    walk,
    while_parts,
)
from genjax.pjax.jax_internals import ClosedJaxpr, Equation, Jaxpr, Var
from genjax.pjax.sites import SITE_PRIMITIVES, adev_sample_p, sample_p
from genjax.signatures import PyTree

T = TypeVar("T")

#: The most steps of a `scan` that is unrolled because choices in it need the rest of the program.
LARGEST_UNROLLED_SCAN = 64
#: The most runs of the rest of a program that nested exact enumerations may ask for.
LARGEST_ENUMERATION = 2**16

Continuation = Callable[[list[ArrayLike], "ADEV"], T]
"""What is done with outputs and the state after them."""


@dataclass(frozen=True)
class ADEV:
    """The state of one evaluation, passed from equation to equation.

    Attributes:
        key: for the choices that follow.
        log_factor: the sum of `log p - stop_gradient(log p)` so far; scalar, or (n,) for n separate expectations.
        is_pure: whether only the value is wanted, and no derivative.
        n_runs: number of runs of the rest of the program that the enumerations so far have asked for.
    """

    key: jax.Array
    log_factor: jax.Array
    is_pure: bool
    n_runs: int = 1

    def split(self) -> tuple[ADEV, jax.Array]:
        """The state with the next key, and a key to use."""
        key, sub = jax.random.split(self.key)
        return replace(self, key=key), sub


def surrogate(
    closed: ClosedJaxpr, args: Sequence[ArrayLike], key: jax.Array, is_pure: bool, shape: tuple[int, ...] = ()
) -> jax.Array:
    """A scalar whose expectation is the program's; so is its derivative's, unless `is_pure`.

    Args:
        closed: the staged program, of one output.
        args: its arguments.
        key: a random key.
        is_pure: only the value is wanted.
        shape: of the output. (n,) stands for n independent runs of one program, mapped over the leading axis of every
            choice: each has its own expectation. All rules must be direct then.
    """
    check(closed.jaxpr)

    def finish(outputs: list[ArrayLike], state: ADEV) -> jax.Array:
        (result,) = outputs
        if not is_differentiable(result):
            result = result.astype(jnp.result_type(float))
        if state.is_pure:
            return result
        # The factor's value is 1; its derivative is that of the log density.
        return result * jnp.exp(state.log_factor).astype(result.dtype)

    return run(closed, args, ADEV(key, jnp.zeros(shape), is_pure), finish)


# Evaluation

_finder = Finder(SITE_PRIMITIVES)


def run(closed: ClosedJaxpr, args: Sequence[ArrayLike], state: ADEV, then: Continuation[T]) -> T:
    """Evaluate a closed jaxpr and give its outputs to `then`, whose result is returned."""
    return _resume(closed.jaxpr, 0, entered(closed, args), state, then)


def _resume(jaxpr: Jaxpr, start: int, environment: dict[Var, ArrayLike], state: ADEV, then: Continuation[T]) -> T:
    for position, eqn, values in walk(jaxpr, environment, _finder, start):
        name = eqn.primitive.name
        if not needs_rest(eqn, state.is_pure):
            with jax_internals.equation_context(eqn):
                outputs, state = _lookup(_DIRECT, name)(eqn, values, state)
            environment.update(zip(eqn.outvars, outputs, strict=True))
            continue
        return _lookup(_WITH_REST, name)(eqn, values, state, _rest(jaxpr, position, environment, state.is_pure, then))
    return then([read(atom, environment) for atom in jaxpr.outvars], state)


def _rest(
    jaxpr: Jaxpr, position: int, environment: dict[Var, ArrayLike], was_pure: bool, then: Continuation[T]
) -> Continuation[T]:
    """What follows the equation at `position`, as a function of its outputs; it may be called several times."""

    def rest(outputs: Sequence[ArrayLike], state: ADEV) -> T:
        becomes_pure = state.is_pure and not was_pure
        kept = {variable: _constant(v) if becomes_pure else v for variable, v in environment.items()}
        kept.update(zip(jaxpr.eqns[position].outvars, outputs, strict=True))
        return _resume(jaxpr, position + 1, kept, state, then)

    return rest


def _constant(value: ArrayLike) -> ArrayLike:
    is_key = jax.dtypes.issubdtype(getattr(value, "dtype", float), jax.dtypes.extended)
    return value if is_key else jax.lax.stop_gradient(value)


def _lookup(rules: dict[str, Callable[..., T]], name: str) -> Callable[..., T]:
    if name not in rules:
        raise NotImplementedError(
            f"A random choice of an expectation stands inside `{name}`, which has no rule. Supported around it: jit, "
            f"vmap, cond, switch, scan, map, checkpoint, and fori_loop of static length. Move it outside `{name}`."
        )
    return rules[name]


def _pair(outputs: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    return outputs, state


def _evaluate(
    closed: ClosedJaxpr, args: Sequence[ArrayLike], key: jax.Array, log_factor: jax.Array, is_pure: bool
) -> tuple[list[ArrayLike], jax.Array]:
    """Outputs and log factor of a jaxpr whose choices are all direct."""
    outputs, state = run(closed, args, ADEV(key, log_factor, is_pure), _pair)
    return outputs, state.log_factor


# Direct rules: (eqn, values, state) -> (outputs, state)


def _site(eqn: Equation, values: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    state, key = state.split()
    site, shape = eqn.params["sampler"], eqn.params["shape"]
    if eqn.primitive is sample_p:  # the key of an expectation within this one
        return [site.draw(key, *values, shape=shape)], state
    value, log_density = rule_of(site.primitive).direct(site, key, values, shape, state.is_pure)
    if log_density is not None:
        joint = jnp.sum(log_density, axis=tuple(range(state.log_factor.ndim, jnp.ndim(log_density))))
        factor = (joint - jax.lax.stop_gradient(joint)).astype(state.log_factor.dtype)
        state = replace(state, log_factor=state.log_factor + factor)
    return [value], state


def _cond(eqn: Equation, values: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    state, key = state.split()
    index, *operands = values
    branches = [
        lambda key, factor, *ops, b=branch: _evaluate(b, ops, key, factor, state.is_pure)
        for branch in eqn.params["branches"]
    ]
    outputs, factor = jax.lax.switch(index, branches, key, state.log_factor, *operands)
    return outputs, replace(state, log_factor=factor)


def _scan(eqn: Equation, values: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    state, key = state.split()
    parts = scan_parts(eqn, values)
    carry, ys, factor = _scan_steps(parts, key, parts.carry, 0, state)
    return [*carry, *ys], replace(state, log_factor=factor)


def _scan_steps(
    parts: ScanParts, key: jax.Array, carry: list[ArrayLike], done: int, state: ADEV
) -> tuple[list[ArrayLike], list[ArrayLike], jax.Array]:
    """The steps of a scan after the first `done`, in order of execution: `(carry, ys, log factor)`."""
    n_left = parts.length - done
    xs = [x[:n_left] if parts.reverse else x[done:] for x in parts.xs]
    indices = jnp.arange(n_left) if parts.reverse else jnp.arange(done, parts.length)

    def body(loop: PyTree, step: PyTree) -> tuple[PyTree, list[ArrayLike]]:
        carry, factor = loop
        index, xs = step
        step_key = jax.random.fold_in(key, index)
        outputs, factor = _evaluate(parts.body, [*parts.constants, *carry, *xs], step_key, factor, state.is_pure)
        return (outputs[: len(carry)], factor), outputs[len(carry) :]

    (carry, factor), ys = jax.lax.scan(
        body, (carry, state.log_factor), (indices, xs), length=n_left, reverse=parts.reverse, unroll=parts.unroll
    )
    return carry, ys, factor


def _while(eqn: Equation, values: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    if not state.is_pure:
        raise NotImplementedError(
            "A random choice of an expectation stands inside a `while_loop` (or a `fori_loop` of unknown length), "
            "whose gradient JAX cannot take in reverse mode. Use `lax.scan` with a static length; `estimate` works "
            "as it is."
        )
    state, key = state.split()
    parts = while_parts(eqn, values)

    def condition(key: jax.Array, carry: list[ArrayLike]) -> ArrayLike:
        args = [*parts.condition_constants, *carry]
        return _evaluate(parts.condition, args, jax.random.fold_in(key, 0), state.log_factor, True)[0][0]

    def advance(key: jax.Array, carry: list[ArrayLike]) -> tuple[jax.Array, list[ArrayLike]]:
        next_key, sub = jax.random.split(jax.random.fold_in(key, 1))
        return next_key, _evaluate(parts.body, [*parts.body_constants, *carry], sub, state.log_factor, True)[0]

    return keyed_while(parts, condition, advance, key), state


def _inline(eqn: Equation, values: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    return run(_body(eqn), values, state, _pair)


def _remat(eqn: Equation, values: list[ArrayLike], state: ADEV) -> tuple[list[ArrayLike], ADEV]:
    state, key = state.split()
    body = _body(eqn)
    function = remat(eqn, lambda key, factor, *args: _evaluate(body, args, key, factor, state.is_pure))
    outputs, factor = function(key, state.log_factor, *values)
    return outputs, replace(state, log_factor=factor)


def _body(eqn: Equation) -> ClosedJaxpr:
    return close(eqn.params["call_jaxpr"] if "call_jaxpr" in eqn.params else eqn.params["jaxpr"])


_DIRECT = rules_by_name(
    dict.fromkeys(SITE_PRIMITIVES, _site),
    cond=_cond,
    scan=_scan,
    while_loop=_while,
    jit=_inline,
    closed_call=_inline,
    checkpoint=_remat,
)


# Rules with the rest of the program: (eqn, values, state, rest) -> the program's result


class _RestOfProgram:
    """What a rule of `genjax.adev.rules` sees of the rest."""

    def __init__(self, state: ADEV, rest: Continuation[jax.Array]):
        self._state, self._rest = state, rest
        self.n_runs = state.n_runs

    def __call__(self, value: jax.Array, n_runs: int = 1) -> jax.Array:
        total = self.n_runs * n_runs
        if total > LARGEST_ENUMERATION:
            raise ValueError(
                f"The nested enumerations of this expectation take more than {LARGEST_ENUMERATION} runs of its rest "
                "(the product of the numbers of values). Use measure-valued (*_mvd) or score function (*_reinforce) "
                "estimators, or one choice under vmap, whose lanes are taken one at a time."
            )
        return self._rest([value], replace(self._state, n_runs=total))

    def pure(self, value: jax.Array) -> jax.Array:
        return self._rest([value], replace(self._state, is_pure=True))


def _site_with_rest(eqn: Equation, values: list[ArrayLike], state: ADEV, rest: Continuation[jax.Array]) -> jax.Array:
    state, key = state.split()
    site = eqn.params["sampler"]
    return rule_of(site.primitive).integrate(site, key, values, eqn.params["shape"], _RestOfProgram(state, rest))


def _cond_with_rest(eqn: Equation, values: list[ArrayLike], state: ADEV, rest: Continuation[jax.Array]) -> jax.Array:
    index, *operands = values
    branches = [lambda *ops, b=branch: run(b, ops, state, rest) for branch in eqn.params["branches"]]
    return jax.lax.switch(index, branches, *operands)


def _scan_with_rest(eqn: Equation, values: list[ArrayLike], state: ADEV, rest: Continuation[jax.Array]) -> jax.Array:
    state, key = state.split()
    parts = scan_parts(eqn, values)
    if parts.length > LARGEST_UNROLLED_SCAN:
        raise NotImplementedError(
            f"A scan of {parts.length} steps inside an expectation has choices whose estimator needs the rest of the "
            f"program (enumeration, measure-valued, or a primitive of your own); such a scan is unrolled, up to "
            f"{LARGEST_UNROLLED_SCAN} steps. Use *_reparam or *_reinforce in it, or draw all choices before the scan "
            "with one estimator under vmap, whose lanes are independent."
        )
    if parts.length == 0:
        ys = [jnp.zeros(v.aval.shape, v.aval.dtype) for v in eqn.outvars[len(parts.carry) :]]
        return rest([*parts.carry, *ys], state)
    next_key = state.key

    def from_step(done: int, carry: list[ArrayLike], outputs: list[list[ArrayLike]], state: ADEV) -> jax.Array:
        if done == parts.length:
            return finish(carry, outputs, [], state)
        if not jaxpr_needs_rest(parts.body.jaxpr, state.is_pure):
            carry, ys, factor = _scan_steps(parts, key, carry, done, state)
            return finish(carry, outputs, ys, replace(state, log_factor=factor))
        index = parts.length - 1 - done if parts.reverse else done
        xs = [x[index] for x in parts.xs]

        def after(outs: list[ArrayLike], state: ADEV) -> jax.Array:
            return from_step(done + 1, outs[: len(carry)], [*outputs, outs[len(carry) :]], state)

        step_state = replace(state, key=jax.random.fold_in(key, index))
        return run(parts.body, [*parts.constants, *carry, *xs], step_state, after)

    def finish(carry: list[ArrayLike], outputs: list[list[ArrayLike]], last: list[ArrayLike], state: ADEV) -> jax.Array:
        ordered = outputs[::-1] if parts.reverse else outputs
        columns = [jnp.stack(column) for column in zip(*ordered, strict=True)]
        if last:  # the steps that were not unrolled
            pairs = zip(last, columns, strict=True) if parts.reverse else zip(columns, last, strict=True)
            columns = [jnp.concatenate(pair) for pair in pairs] if columns else last
        return rest([*carry, *columns], replace(state, key=next_key))

    return from_step(0, parts.carry, [], state)


def _while_with_rest(eqn: Equation, values: list[ArrayLike], state: ADEV, rest: Continuation[jax.Array]) -> jax.Array:
    raise NotImplementedError(
        "A random choice whose estimator needs the rest of the program (enumeration, measure-valued, or a primitive of "
        "your own) stands inside a `while_loop` (or a `fori_loop` of unknown length). Use `lax.scan` with a static "
        "length."
    )


def _inline_with_rest(eqn: Equation, values: list[ArrayLike], state: ADEV, rest: Continuation[jax.Array]) -> jax.Array:
    return run(_body(eqn), values, state, rest)


_WITH_REST = rules_by_name(
    {adev_sample_p: _site_with_rest},
    cond=_cond_with_rest,
    scan=_scan_with_rest,
    while_loop=_while_with_rest,
    jit=_inline_with_rest,
    closed_call=_inline_with_rest,
    checkpoint=_inline_with_rest,
)
