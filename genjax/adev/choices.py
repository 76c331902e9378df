"""What the random choices of a staged program ask of the interpreter: their rules, and whether they have any."""

from __future__ import annotations

import weakref

from genjax.adev.primitive import EXPECTATION_KEY, ADEVPrimitive
from genjax.adev.rules import JVP_ESTIMATE, PATHWISE, Rule
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import Finder
from genjax.pjax.jax_internals import Equation, Jaxpr
from genjax.pjax.sites import LaneSampler, SiteSampler, adev_sample_p, sample_p


def check(jaxpr: Jaxpr) -> None:
    """Refuse a program with choices that have no estimator.

    Raises:
        NotImplementedError: the program has such a choice.
    """
    for eqn in jaxpr.eqns:
        if eqn.primitive is sample_p and not _is_expectation_key(eqn.params["sampler"]):
            frames = jax_internals.user_frames(eqn.source_info.traceback)
            place = f", at {frames[0]}" if frames else ""
            raise NotImplementedError(
                "ADEV encountered pjax.sample site without ADEV semantics. Use ADEV estimator primitives (flip_enum, "
                "normal_reparam, normal_reinforce, ...) for every random choice of an expectation; this one is "
                f"`{eqn.params['sampler'].name}`{place}. (`key` is a choice that is differentiated within the "
                "expectation, by jax.grad or jax.jvp: take derivatives of the expectation instead.)"
            )
        for body in jax_internals.sub_jaxprs(eqn):
            check(body)


def _is_expectation_key(sampler: SiteSampler) -> bool:
    while isinstance(sampler, LaneSampler):
        sampler = sampler.inner
    return sampler == EXPECTATION_KEY


_known: dict[bool, weakref.WeakKeyDictionary[Jaxpr, bool]] = {
    False: weakref.WeakKeyDictionary(),
    True: weakref.WeakKeyDictionary(),
}


def rule_of(primitive: ADEVPrimitive) -> Rule:
    """The rule of a primitive: built in, unless the user's class defines `prim_jvp_estimate`."""
    method = type(primitive).prim_jvp_estimate
    return primitive.rule if getattr(method, "is_built_in", False) else JVP_ESTIMATE  # type: ignore[attr-defined]


def needs_rest(eqn: Equation, is_pure: bool) -> bool:
    """Whether an equation has a choice, at any depth, whose rule needs the rest of the program."""
    if eqn.primitive is adev_sample_p:
        return rule_of(eqn.params["sampler"].primitive).needs_rest(eqn.params["shape"], is_pure)
    return any(jaxpr_needs_rest(body, is_pure) for body in jax_internals.sub_jaxprs(eqn))


def jaxpr_needs_rest(jaxpr: Jaxpr, is_pure: bool) -> bool:
    """`needs_rest` of any equation of a jaxpr; remembered."""
    known = _known[is_pure].get(jaxpr)
    if known is None:
        known = _known[is_pure][jaxpr] = any(needs_rest(eqn, is_pure) for eqn in jaxpr.eqns)
    return known


def is_pathwise(jaxpr: Jaxpr) -> bool:
    """Whether all choices of a program, at any depth, are differentiated through their draws."""
    return all(
        rule_of(eqn.params["sampler"].primitive) is PATHWISE
        if eqn.primitive is adev_sample_p
        else all(map(is_pathwise, jax_internals.sub_jaxprs(eqn)))
        for eqn in jaxpr.eqns
    )


def is_direct(jaxpr: Jaxpr) -> bool:
    """Whether all choices of a program have direct rules, and none is in a `cond` or `while`.

    Then its choices may be drawn for many runs at once. Mapped over runs, a `cond` would draw in both of its branches,
    and the scores of the branch that a run does not take would be noise.
    """
    return all(
        not needs_rest(eqn, False)
        if eqn.primitive is adev_sample_p
        else eqn.primitive.name not in ("cond", "while")
        if _finder.in_equation(eqn)
        else True
        for eqn in jaxpr.eqns
    ) and all(is_direct(body) for eqn in jaxpr.eqns for body in jax_internals.sub_jaxprs(eqn))


_finder = Finder((adev_sample_p,))
