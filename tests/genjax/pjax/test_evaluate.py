"""The one walk over equations, and the one table of JAX's names of its higher-order primitives."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from genjax import normal
from genjax.adev import interpreter
from genjax.pjax import collect
from genjax.pjax.evaluate import PRIMITIVES, Finder, entered, rules_by_name, stage_flat, walk
from genjax.pjax.sites import SITE_PRIMITIVES


@jax.custom_vjp
def doubled(x):
    return 2 * x


@jax.custom_jvp
def tripled(x):
    return 3 * x


tripled.defjvp(lambda primals, tangents: (3 * primals[0], 3 * tangents[0]))
doubled.defvjp(lambda x: (2 * x, None), lambda _, cotangent: (2 * cotangent,))
USES = {
    "cond": lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x),
    "scan": lambda x: lax.scan(lambda c, _: (jnp.sin(c), None), x, None, length=3)[0],
    "while_loop": lambda x: lax.while_loop(lambda c: c < 3, lambda c: c + 1, x),
    "jit": lambda x: jax.jit(lambda x: jnp.sin(x) + 1)(x),
    "checkpoint": jax.checkpoint(lambda x: jnp.sin(x) + 1),
    "custom_jvp": tripled,
    "custom_vjp": doubled,
}


@pytest.mark.parametrize("kind", USES)
def test_jax_uses_one_of_these_names(kind):
    names = {eqn.primitive.name for eqn in jax.make_jaxpr(USES[kind])(1.0).eqns}
    assert names & set(PRIMITIVES[kind]), names


def test_tables_are_made_of_this_one():
    known = {name for names in PRIMITIVES.values() for name in names}
    seed = importlib.import_module("genjax.pjax.seed")  # the package has a function of this name
    for table in (seed._RULES, collect._RULES, interpreter._DIRECT, interpreter._WITH_REST):
        own = {name for name in table if name not in known}
        assert own and all(name.startswith(("genjax", "pjax")) for name in own), own
    with pytest.raises(KeyError, match="shard"):
        rules_by_name({}, shard=lambda: None)


def test_a_walk_stops_at_what_is_found_and_can_start_anywhere():
    def program(x):
        y = jnp.sin(x)
        z = normal.sample(y, 1.0)
        return jnp.exp(z) + y

    closed, flat, _ = stage_flat(program, 0.5)
    finder = Finder(SITE_PRIMITIVES)
    environment = entered(closed, flat)
    found = []
    for position, eqn, values in walk(closed.jaxpr, environment, finder):
        found.append((position, float(values[0])))
        environment.update(zip(eqn.outvars, [jnp.array(2.0)], strict=True))
    ((position, mean),) = found
    np.testing.assert_allclose(mean, np.sin(0.5), rtol=1e-6)
    np.testing.assert_allclose(environment[closed.jaxpr.outvars[0]], np.exp(2.0) + np.sin(0.5), rtol=1e-6)
    again = entered(closed, flat) | {eqn: environment[eqn] for eqn in environment if eqn not in closed.jaxpr.outvars}
    assert list(walk(closed.jaxpr, again, finder, position + 1)) == []
    np.testing.assert_allclose(again[closed.jaxpr.outvars[0]], np.exp(2.0) + np.sin(0.5), rtol=1e-6)
