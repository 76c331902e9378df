"""Keys and draws for the random equations of one jaxpr, made together where there are many.

XLA compiles each operation on its own, however many equal ones a program has: in a model of fifty sites, fifty key
splits and fifty draws are nearly all of the compile time. From `FEWEST` random equations on, all keys are one batched
split, and what equal sites compute from their keys alone (for normals, the standard normals) is one batched operation.
Below, and where draws are large, each equation splits the key in turn, as one would write by hand.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import jax
from jax.typing import ArrayLike, DTypeLike

from genjax.pjax import jax_internals
from genjax.pjax.evaluate import read
from genjax.pjax.jax_internals import Equation, Literal, Var
from genjax.pjax.sites import SITE_PRIMITIVES, SiteSampler

#: Number of random equations in one jaxpr from which on keys and draws are batched.
FEWEST = 8
#: Bytes of draws from which on running counts for more than compiling, and each draw is best made where it is used.
MOST_BYTES = 1 << 18

Kind = tuple[tuple[int, ...], DTypeLike]
"""Shape and dtype of a parameter."""
Draw = Callable[[Sequence[ArrayLike]], ArrayLike]


def keys_and_draws(equations: Sequence[Equation], key: jax.Array) -> tuple[Callable[[int], jax.Array], dict[int, Draw]]:
    """Keys of the random equations of a jaxpr, in order, and draws of those sites that are drawn together.

    Args:
        equations: the equations that contain sites.
        key: a key that is used for nothing else, except to fold in numbers of 2 and more.

    Returns:
        `(key_of, draws)`: equation i has the key `key_of(i)`; if i is in `draws`, `draws[i](parameters)` is its value.
    """
    sites = [eqn for eqn in equations if eqn.primitive in SITE_PRIMITIVES]
    if len(equations) < FEWEST or sum(_n_bytes(eqn.outvars) for eqn in sites) > MOST_BYTES:
        keys = []
        for _ in equations:
            key, sub = jax.random.split(key)
            keys.append(sub)
        return keys.__getitem__, {}
    keys = jax.random.split(jax.random.split(key)[0], len(equations))
    groups: dict[tuple[SiteSampler, tuple[int, ...], tuple[Kind, ...]], list[int]] = {}
    for i, eqn in enumerate(equations):
        if eqn.primitive in SITE_PRIMITIVES:
            kinds = tuple((atom.aval.shape, atom.aval.dtype) for atom in eqn.invars)
            groups.setdefault((eqn.params["sampler"], eqn.params["shape"], kinds), []).append(i)
    draws = {}
    for (sampler, shape, kinds), members in groups.items():
        if len(members) > 1:
            draws.update(_draw_together(sampler, shape, kinds, keys, members))
    return lambda i: _row(keys, i), draws


def _draw_together(
    sampler: SiteSampler, shape: tuple[int, ...], kinds: Sequence[Kind], keys: jax.Array, members: list[int]
) -> dict[int, Draw]:
    """Draws of the sites `members`, which differ in key and in the values of their parameters only."""
    structs = [jax.ShapeDtypeStruct(*kind) for kind in kinds]
    one_key = jax.ShapeDtypeStruct((), keys.dtype)
    closed = jax.make_jaxpr(lambda key, *parameters: sampler.draw(key, *parameters, shape=shape))(one_key, *structs)
    jaxpr = closed.jaxpr
    if jaxpr.effects:
        return {}
    key_var, *parameter_vars = jaxpr.invars
    # Every equation is constant, or depends on the key and no parameter, or on a parameter.
    from_parameters, from_key = set(parameter_vars), {key_var}
    constant_eqns, key_eqns, parameter_eqns = [], [], []
    for eqn in jaxpr.eqns:
        inputs = {atom for atom in eqn.invars if not isinstance(atom, Literal)}
        if inputs & from_parameters:
            from_parameters.update(eqn.outvars)
            parameter_eqns.append(eqn)
        elif inputs & from_key:
            from_key.update(eqn.outvars)
            key_eqns.append(eqn)
        else:
            constant_eqns.append(eqn)
    used = [atom for eqn in parameter_eqns for atom in eqn.invars] + list(jaxpr.outvars)
    noise_vars = list(dict.fromkeys(v for v in used if not isinstance(v, Literal) and v in from_key))
    if not key_eqns or _n_bytes(noise_vars) * len(members) > MOST_BYTES:
        return {}

    constants = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    _bind_all(constant_eqns, constants)

    def noise(key: jax.Array) -> list[ArrayLike]:
        environment = {**constants, key_var: key}
        _bind_all(key_eqns, environment)
        return [environment[v] for v in noise_vars]

    noises = jax.vmap(noise)(keys if len(members) == len(keys) else keys[jax.numpy.array(members)])

    def draw(row: int, parameters: Sequence[ArrayLike]) -> ArrayLike:
        environment = {**constants, **dict(zip(parameter_vars, parameters, strict=True))}
        environment.update(zip(noise_vars, [_row(value, row) for value in noises], strict=True))
        _bind_all(parameter_eqns, environment)
        return read(jaxpr.outvars[0], environment)

    return {i: functools.partial(draw, row) for row, i in enumerate(members)}


def _n_bytes(variables: Sequence[Var]) -> int:
    return sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in variables)


def _row(values: jax.Array, i: int) -> jax.Array:
    return jax.lax.index_in_dim(values, i, keepdims=False)


def _bind_all(equations: Sequence[Equation], environment: dict[Var, ArrayLike]) -> None:
    for eqn in equations:
        outputs = jax_internals.bind_equation(eqn, [read(atom, environment) for atom in eqn.invars])
        environment.update(zip(eqn.outvars, outputs, strict=True))
