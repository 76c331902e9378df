"""The rules of the built-in estimators with continuations that are given from outside, for `prim_jvp_estimate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from genjax.adev.dual import Dual, DualTree, canonical
from genjax.adev.primitive import KDual, KPure, UnmappedSite, draw_key
from genjax.adev.rules import Rule


class _GivenRest:
    def __init__(self, dual: Callable[[jax.Array], jax.Array], pure: Callable[[jax.Array], jax.Array]):
        self._dual, self.pure, self.n_runs = dual, pure, 1

    def __call__(self, value: jax.Array, n_runs: int = 1) -> jax.Array:
        return self._dual(value)


def surrogate_jvp(
    rule: Rule,
    site_of: Callable[..., tuple[UnmappedSite, list[jax.Array]]],
    dual_args: tuple[DualTree, ...],
    konts: tuple[KPure, KDual],
) -> Dual:
    """Value and derivative of a rule's surrogate.

    Args:
        rule: the estimator's rule.
        site_of: `(args, kwargs) -> (site, parameters)`.
        dual_args, konts: as in `ADEVPrimitive.prim_jvp_estimate`.
    """
    kpure, kdual = konts

    # `kdual` depends on more than the value: a second argument, whose tangent is 1, keeps that derivative alive.
    @jax.custom_jvp
    def dual_rest(value: jax.Array, one: jax.Array) -> jax.Array:
        del one
        return kpure(value)

    @dual_rest.defjvp
    def dual_rest_jvp(primals: Sequence[jax.Array], tangents: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
        return canonical(kdual(Dual(primals[0], tangents[0])))

    leaves = [canonical(dual) for dual in Dual.tree_leaves(dual_args)]
    tree = jax.tree.structure(Dual.tree_primal(dual_args))
    key = draw_key()

    def surrogate(one: jax.Array, *primals: jax.Array) -> jax.Array:
        site, parameters = site_of(jax.tree.unflatten(tree, primals), {})
        shape = site.batch_shape(parameters)
        rest = _GivenRest(lambda value: dual_rest(value, one), kpure)
        if rule.needs_rest(shape, False):
            return rule.integrate(site, key, parameters, shape, rest)
        value, log_density = rule.direct(site, key, parameters, shape, False)
        result = rest(value)
        if log_density is not None:
            joint = jnp.sum(log_density)
            result = result * jnp.exp(joint - jax.lax.stop_gradient(joint))
        return result

    one = jnp.ones(())
    return Dual(*jax.jvp(surrogate, (one, *(p for p, _ in leaves)), (one, *(t for _, t in leaves))))
