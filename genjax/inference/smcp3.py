"""Moves of particles with auxiliary choices: forward and backward kernels written as generative functions.

A move draws auxiliary choices u from a forward kernel and maps `(x, u)` to new choices and auxiliary choices `(x', v)`
that a backward kernel could have drawn on the way back. Its weight

    log p'(x') + log backward(v; x') - log p(x) - log forward(u; x) + log |det J|,

with J the Jacobian of the map in all floating-point numbers, keeps particles proper for every backward kernel, if the
map is one to one; the nearer it comes to the conditional distribution of v, the less weights vary.

Source: Lew, Matheos, Zhi-Xuan, Ghavamizadeh, Gothoskar, Russell and Mansinghka, *SMCP3: Sequential Monte Carlo with
probabilistic program proposals* (AISTATS 2023), algorithm 1 and theorem 3.1, with deterministic maps between traces as
in Cusumano-Towner, Saad, Lew and Mansinghka, *Gen* (PLDI 2019), trace translators.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core.choices import is_empty
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import stage_flat
from genjax.signatures import Args, Choices


def moved(
    caller: str,
    forward: AnyGFI | None,
    forward_args: Args,
    backward: AnyGFI | None,
    backward_args: Callable[[Choices], Args],
    mapping: Callable[[Choices, Choices], tuple[Choices, Choices]],
    old: Choices,
) -> tuple[Choices, Array]:
    """`(new choices, log backward(v) - log forward(u) + log |det J|)`.

    Args:
        caller: name for messages.
        forward: generative function of u, called with `forward_args`; None for no auxiliary choices.
        backward: generative function of v, called with `backward_args(new choices)`; None if there is no v.
        mapping: `(old, u) -> (new choices, v)`.
        old: what of the particle is mapped; `{}` if only u is.

    Raises:
        TypeError: the mapping returns no pair.
        ValueError: v without a backward kernel, or a map between different numbers of floating-point numbers.
    """
    u, log_weight = {}, jnp.zeros(())
    if forward is not None:
        trace = forward.simulate(*forward_args)
        u, log_weight = trace.get_choices(), trace.get_score()
    pair = mapping(old, u)
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise TypeError(
            f"The map of {caller}() returned {type(pair).__name__}. With kernels it returns a pair: the new choices, "
            "and the choices that the backward kernel is to have made, {} for none."
        )
    new, v = pair
    if backward is None and not is_empty(v):
        raise ValueError(
            f"The map of {caller}() returned choices of a backward kernel, but there is none. Pass backward=, or {{}}."
        )
    if backward is not None:
        log_weight = log_weight + scalar(backward.assess(v, *backward_args(new))[0])
    return new, log_weight + _log_determinant(caller, mapping, old, u)


def _log_determinant(
    caller: str, mapping: Callable[[Choices, Choices], tuple[Choices, Choices]], old: Choices, u: Choices
) -> Array:
    """`log |det J|` of what depends on floats of `(old, u)`, in these floats; 0 where there are none.

    Outputs that depend on none of them, such as new data, have no part. A number on which no output depends could not
    be recovered on the way back, which is an error.
    """
    inputs, structure = jax.tree.flatten((old, u))
    inputs = [jnp.asarray(x) for x in inputs]
    floats = [i for i, x in enumerate(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]
    if not floats:
        return jnp.zeros(())

    def outputs(values: list[Array]) -> list[Array]:
        leaves = list(inputs)
        for i, value in zip(floats, values, strict=True):
            leaves[i] = value
        found = [jnp.asarray(x) for x in jax.tree.leaves(mapping(*jax.tree.unflatten(structure, leaves)))]
        return [x for x in found if jnp.issubdtype(x.dtype, jnp.floating)]

    given = [inputs[i] for i in floats]
    n_outputs = len(jax.eval_shape(outputs, given))
    depends = [
        any(jax_internals.used_inputs(stage_flat(lambda v, i=i: outputs(v)[i], given)[0])) for i in range(n_outputs)
    ]

    def in_floats(vector: Array) -> Array:
        values, at = [], 0
        for x in given:
            values.append(vector[at : at + x.size].reshape(x.shape).astype(x.dtype))
            at += x.size
        used = [jnp.ravel(x) for x, does in zip(outputs(values), depends, strict=True) if does]
        return jnp.concatenate(used) if used else jnp.zeros(0)

    jacobian = jax.jacfwd(in_floats)(jnp.concatenate([jnp.ravel(x) for x in given]))
    if jacobian.shape[0] != jacobian.shape[1]:
        raise ValueError(
            f"The map of {caller}() takes {jacobian.shape[1]} floating-point numbers to {jacobian.shape[0]}. It must "
            "be one to one: what is not part of the new choices goes to the backward kernel, and nothing goes to both."
        )
    return jnp.linalg.slogdet(jacobian)[1]
