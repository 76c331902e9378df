"""Evaluating a part of a staged program: what some outputs need, with some of its variables given.

Also which part of a loop's body can be drawn ahead: random choices that do not depend on the loop's state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from jax.typing import ArrayLike

from genjax.pjax import jax_internals
from genjax.pjax.evaluate import PRIMITIVES, Finder, read
from genjax.pjax.jax_internals import Atom, ClosedJaxpr, Equation, Jaxpr, Var, sub_jaxprs
from genjax.pjax.sites import adev_sample_p, sample_p

_sites = Finder((sample_p,))
_estimated = Finder((adev_sample_p,))  # its interpreter takes them one at a time: they stay where they are

# What is better computed for all draws at once, too. Cheap operations are not: they would only add values to store.
_COSTLY = frozenset({"exp", "exp2", "expm1", "log", "log1p", "sqrt", "convert_element_type"})

# Their derivative is that of what they hold.
_TRANSPARENT = frozenset(
    name for key in ("cond", "scan", "jit", "closed_call", "checkpoint") for name in PRIMITIVES[key]
)


def equations_of_part(
    closed: ClosedJaxpr, given: Collection[Var], wanted: Sequence[Atom], *, effects: bool = False
) -> list[Equation]:
    """The equations that `wanted` needs, in order; see `evaluate_part`.

    Args:
        closed: a closed jaxpr.
        given: variables whose equations are not to be evaluated.
        wanted: variables and literals.
        effects: also those with side effects.
    """
    known = {*closed.jaxpr.constvars, *given}

    def variables(atoms: Sequence[Atom]) -> set[Var]:
        return {atom for atom in atoms if not isinstance(atom, jax_internals.Literal)}

    needed = variables(wanted) - known
    equations = []
    for eqn in reversed(closed.jaxpr.eqns):
        if needed.isdisjoint(eqn.outvars) and not (effects and eqn.effects):
            continue
        equations.append(eqn)
        needed |= variables(eqn.invars)
        needed -= known
    return equations[::-1]


def can_run_in_any_order(equations: Sequence[Equation]) -> bool:
    """Whether equations draw nothing and have no side effects."""
    return not any(eqn.effects or _sites.in_equation(eqn) or _estimated.in_equation(eqn) for eqn in equations)


def has_open_loop(equations: Sequence[Equation]) -> bool:
    """Whether equations hold a loop of a number of turns that varies, so that they have no derivative in reverse.

    What a function with a derivative of its own does inside does not count.
    """
    return any(
        eqn.primitive.name in PRIMITIVES["while_loop"]
        or (eqn.primitive.name in _TRANSPARENT and any(has_open_loop(body.eqns) for body in sub_jaxprs(eqn)))
        for eqn in equations
    )


def evaluate_part(
    closed: ClosedJaxpr,
    given: Mapping[Var, ArrayLike],
    wanted: Sequence[Atom],
    *,
    effects: bool = False,
) -> list[ArrayLike]:
    """The values of `wanted`, by the equations that they need and no others.

    Args:
        closed: a closed jaxpr.
        given: values by variable: inputs, and variables whose equations are not to be evaluated.
        wanted: variables and literals.
        effects: also evaluate what has side effects, as printing.
    """
    environment = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True)) | dict(given)

    for eqn in equations_of_part(closed, given, wanted, effects=effects):
        with jax_internals.equation_context(eqn):
            outputs = jax_internals.bind_equation(eqn, [read(atom, environment) for atom in eqn.invars])
        for variable, value in zip(eqn.outvars, outputs, strict=True):
            environment.setdefault(variable, value)
    return [read(atom, environment) for atom in wanted]


def drawn_ahead(jaxpr: Jaxpr, state: Sequence[Var]) -> list[Var]:
    """The variables that are random, depend on none of `state`, and are used inside of the loop.

    They are outputs of sites, and of a costly function of such an output.

    Args:
        jaxpr: the body of a loop.
        state: its variables that differ between iterations.
    """
    varying: set[Var] = set(state)
    random: set[Var] = set()
    used: dict[Var, None] = {}
    for eqn in jaxpr.eqns:
        inputs = [atom for atom in eqn.invars if not isinstance(atom, jax_internals.Literal)]
        follows = not random.isdisjoint(inputs)
        free = not follows and varying.isdisjoint(inputs)
        stays = eqn.effects or _estimated.in_equation(eqn)
        if (free and not stays and _sites.in_equation(eqn)) or (follows and eqn.primitive.name in _COSTLY):
            random.update(eqn.outvars)
        elif stays or not free:
            varying.update(eqn.outvars)
            used.update(dict.fromkeys(atom for atom in inputs if atom in random))
    outputs = (atom for atom in jaxpr.outvars if not isinstance(atom, jax_internals.Literal))
    used.update(dict.fromkeys(atom for atom in outputs if atom in random))
    return list(used)
