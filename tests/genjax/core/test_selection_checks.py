"""Selections of addresses that a trace does not have: an error that names the nearest one that it has."""

import jax
import jax.numpy as jnp
import pytest

from genjax import Cond, Scan, chain, const, flip, gen, mh, normal, seed, sel, state
from genjax.inference import hmc, mala

TRACE_XS = jnp.arange(3.0)


@gen
def point(x, slope):
    return normal(slope * x, 0.5) @ "y"


left, right = gen(lambda m: normal(m, 1.0) @ "left"), gen(lambda m: normal(m, 1.0) @ "right")
step = gen(lambda c, x: (normal(c, 1.0) @ "z", x))


@gen
def model(xs):
    slope = normal(0.0, 1.0) @ "slope"
    check = flip(0.5) @ "check"
    Cond(left, right)(check, slope) @ "branch"
    Scan(step, 3)(slope, xs) @ "steps"
    return point.vmap(in_axes=(0, None))(xs, slope) @ "points"


TRACE = seed(model.simulate)(jax.random.key(0), TRACE_XS)
ARGS = (TRACE_XS,)

USES = {
    "mh": lambda s: mh(TRACE, s),
    "hmc": lambda s: hmc(TRACE, s, 0.1, 2),
    "mala": lambda s: mala(TRACE, s, 0.1),
    "chain": lambda s: chain(lambda t: hmc(t, s, 0.1, 2))(TRACE, const(2)),
    "regenerate": lambda s: model.regenerate(TRACE, s, *ARGS),
    "project": lambda s: model.project(TRACE, s),
}
TYPOS = {
    "'slpe' (nearest: 'slope'": sel("slpe"),
    "'typo'": sel("slope", "typo"),
    "('points', 'yy') (nearest: ('points', 'y'))": sel(("points", "yy")),
    "('branch', 'lft') (nearest: ('branch', 'left'))": sel({"branch": "lft"}),
    "'y' (nearest: ('points', 'y'))": ~sel("y"),
    "('steps', 'z', 'w')": sel(("steps", "z", "w")),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("typo", TYPOS)
def test_error_names_the_nearest_address(use, typo):
    with pytest.raises(ValueError) as raised:
        seed(lambda: USES[use](TYPOS[typo]))(jax.random.key(0))
    assert typo in str(raised.value) and use in str(raised.value) + "chain"


def test_empty_selections_and_what_is_written_as_lenient_are_legal():
    for selection in (sel(), sel(None), sel({}), sel("typo", strict=False), sel(("points", "typo"), strict=False)):
        moved, saved = state(seed(lambda t, s=selection: mala(t, s, 0.1)))(jax.random.key(0), TRACE)
        assert bool(saved["accept"])
        assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), moved, TRACE))
    _, weight, _ = seed(model.regenerate)(jax.random.key(1), TRACE, sel("typo", strict=False) | sel("slope"), *ARGS)
    assert weight != 0
    # An intersection of addresses that exist is empty, not misspelled.
    assert float(model.project(TRACE, sel("slope") & sel("check"))) == 0.0


def test_addresses_of_either_branch_may_be_selected():
    for selection in (sel(("branch", "left")), sel(("branch", "right")), sel("branch")):
        assert jnp.isfinite(model.project(TRACE, selection))
        seed(lambda s=selection: mh(TRACE, s))(jax.random.key(0))


def test_a_single_choice_has_no_addresses():
    trace = normal.simulate(0.0, 1.0)
    with pytest.raises(ValueError, match=r"'x'\. The trace has no addresses"):
        mh(trace, sel("x"))
    assert mh(trace, sel(())).get_choices().shape == ()
