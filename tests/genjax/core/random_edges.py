"""Random models at the edges: made inside models, empty axes, odd shapes, extreme parameters; and partial constraints.

As `random_models`, whose nodes these use, but densities keep their elements: `reference(choices, *args)` returns the
return value and `{path: log p}` with the axes of lanes, of steps and of elements in front, so that a constraint of a
part of an address has a sum to be compared with. Models are small, and each has one or two of these oddities.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax import categorical, exponential, filled, flip, gen, indexed, masked, normal, poisson, uniform
from tests.genjax.core import random_models
from tests.genjax.core.random_models import Branch, Mapped, Steps, at, pick, stack, summary, take


@dataclass(frozen=True)
class Choice(random_models.Choice):
    def reference(self, choice, *args, **kwargs):
        return choice, {(): self.distribution.logpdf(choice, *args, **kwargs)}


class Function(random_models.Function):
    """A `@gen` function that closes over its body directly, as one written in a model's body does."""

    def __init__(self, body):
        super().__init__(body)
        call = self._call
        self.gen_fn = gen(lambda *args, **kwargs: body(call, *args, **kwargs))

    def reference(self, choices, *args, **kwargs):
        densities = {}

        def call(node, addr, *args, **kwargs):
            retval, beneath = node.reference(choices.get(addr, {}), *args, **kwargs)
            densities.update({(addr, *path): value for path, value in beneath.items()})
            return retval

        return self.body(call, *args, **kwargs), densities


def none_of(results, choices):
    """What no lanes return: the results of one lane, with an axis of size 0 in front."""
    del choices
    return jax.tree.map(lambda leaf: jnp.zeros((0, *jnp.shape(leaf)), jnp.asarray(leaf).dtype), results)


def lane_of(choices, i, n):
    """Lane i; of no lanes, one of zeros, whose shapes are looked at."""
    return take(choices, i) if n else jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), choices)


class Lanes(Mapped):
    """`callee.vmap(in_axes, axis_size=n)`, or `callee.repeat(n)`."""

    def build(self):
        if self.in_axes is None:
            return self.callee.build().repeat(self.n)
        return self.callee.build().vmap(in_axes=self.in_axes, axis_size=self.n)

    def reference(self, choices, *args, **kwargs):
        axes = self.in_axes if isinstance(self.in_axes, tuple) else (self.in_axes,) * len(args)

        def run(i):
            empty = self.n == 0
            lane = [
                arg if axis is None else jnp.zeros(np.delete(arg.shape, axis)) if empty else take(arg, i, axis)
                for arg, axis in zip(args, axes, strict=True)
            ]
            return self.callee.reference(lane_of(choices, i, self.n), *lane, **kwargs)

        return none_of(run(0), choices) if self.n == 0 else stack([run(i) for i in range(self.n)])


class Times(Steps):
    """`Scan(callee, n)`, also of no steps."""

    def reference(self, choices, carry, xs, **kwargs):
        if self.n == 0:
            x = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], leaf.dtype), xs)
            (_, out), densities = self.callee.reference(lane_of(choices, 0, 0), carry, x, **kwargs)
            return (carry, none_of(out, choices)), none_of(densities, choices)
        outs, densities = [], []
        for i in range(self.n):
            (carry, out), beneath = self.callee.reference(take(choices, i), carry, take(xs, i), **kwargs)
            outs.append(out)
            densities.append(beneath)
        return (carry, stack(outs)), stack(densities)


# Sites: shapes of size 0 and 1, and parameters far out. The support of none depends on its parameters.

SITES = {
    "scalar": lambda call, addr, x: call(Choice(normal), addr, x, 1.2),
    "none": lambda call, addr, x: call(Choice(normal), addr, x, jnp.ones(0)),
    "no rows": lambda call, addr, x: call(Choice(normal), addr, x * jnp.ones((2, 0)), 1.0),
    "no columns": lambda call, addr, x: call(Choice(flip), addr, jnp.full((0, 2), 0.5)),
    "one": lambda call, addr, x: call(Choice(normal), addr, x, jnp.ones(1)),
    "one by one": lambda call, addr, x: call(Choice(normal), addr, x, jnp.ones((1, 1))),
    "matrix": lambda call, addr, x: call(Choice(normal), addr, x, jnp.array([[0.5, 1.0], [1.0, 2.0]])),
    "narrow": lambda call, addr, x: call(Choice(normal), addr, x, 1e-6),
    "wide": lambda call, addr, x: call(Choice(normal), addr, x, 1e6),
    # A whole number, which float32 holds exactly: the last bit of x would move its rounded sum by 0.008.
    "far": lambda call, addr, x: call(Choice(normal), addr, jnp.round(x) + 1e5, 1.0),
    "slow": lambda call, addr, x: call(Choice(exponential), addr, 1e-6 * jnp.exp(jnp.tanh(x))),
    "bounded": lambda call, addr, x: call(Choice(uniform), addr, -1.0, 1.0 + 0 * x),
    "never": lambda call, addr, x: call(Choice(flip), addr, 0.0 * x),
    "always": lambda call, addr, x: call(Choice(flip), addr, jnp.ones(2)),
    "flip": lambda call, addr, x: call(Choice(flip), addr, jax.nn.sigmoid(x)),
    "one class": lambda call, addr, x: call(Choice(categorical), addr, x * jnp.ones(1)),
    "impossible class": lambda call, addr, x: call(Choice(categorical), addr, jnp.stack([x, -jnp.inf, 0.3 + 0 * x])),
    "no counts": lambda call, addr, x: call(Choice(poisson), addr, 0.0 * x),
}


def squashed(value):
    """`summary` of what a callee returned, 0 where nothing did."""
    leaves = [leaf for leaf in jax.tree.leaves(value) if jnp.size(leaf)]
    return summary(leaves) if leaves else jnp.zeros(())


def site(rng):
    make = SITES[pick(rng, list(SITES))]
    return lambda call, addr, x: make(call, addr, x)


def pair(rng):
    """A body with one or two sites, each of which depends on the one before; sometimes with none."""
    made = [site(rng) for _ in range(pick(rng, [0, 1, 1, 1, 2, 2]))]

    def body(call, x):
        for i, make in enumerate(made):
            x = 0.5 * x + squashed(make(call, "st"[i], x))
        return x

    return body


# Statements: `(call, addr, x) -> value`. Each makes its callees when it runs, and they close over x.


def made_inside(rng):
    """`@gen` in the body of a model, over a latent."""
    body = pair(rng)
    return lambda call, addr, x: call(Function(lambda call, y: body(call, x + y)), addr, 0.3)


def made_inside_twice(rng):
    """The same within another such function."""
    inner = made_inside(rng)
    return lambda call, addr, x: call(Function(lambda call: inner(call, "in", 2 * x)), addr)


def inline_branches(rng):
    """`Cond(gen(lambda ...), gen(lambda ...))` over a latent, with one shared address."""
    shared, own = pick(rng, ["scalar", "flip", "one", "none"]), site(rng)

    def statement(call, addr, x):
        true = Function(lambda call, y: squashed((SITES[shared](call, "z", x + y), own(call, "own", x))))
        false = Function(lambda call, y: squashed(SITES[shared](call, "z", x - y)))
        return call(Branch(true, false), addr, x > 0.1, 0.5)

    return statement


def lanes_inside(rng):
    """`vmap` or `repeat` of a function that closes over a latent, of 0 to 2 lanes, along a first or a last axis."""
    body, n, axis = pair(rng), int(rng.integers(3)), pick(rng, [0, -1, None])

    def statement(call, addr, x):
        each = Function(lambda call, y: body(call, x + squashed(y)))
        argument = 0.7 if axis is None else jnp.ones((n, 2) if axis == 0 else (2, n)) * 0.1
        return call(Lanes(each, n, axis), addr, argument)

    return statement


def grid_inside(rng):
    """A vmap in a vmap, over different axes of one argument."""
    body, n, m = pair(rng), int(rng.integers(3)), int(rng.integers(1, 3))

    def statement(call, addr, x):
        each = Function(lambda call, y: body(call, x + y))
        return call(Lanes(Lanes(each, m, 0), n, 1), addr, 0.1 * jnp.arange(float(m * n)).reshape(m, n))

    return statement


def steps_inside(rng):
    """A `Scan` over a closure of a latent, of 0 to 2 steps."""
    body, n = pair(rng), int(rng.integers(3))

    def statement(call, addr, x):
        def step(call, carry, y):
            out = body(call, carry + 0.1 * x + y)
            return jnp.tanh(carry + squashed(out)), out

        return call(Times(Function(step), n), addr, x, 0.2 * jnp.arange(float(n)))

    return statement


def branches_in_lanes(rng):
    branches, n = inline_branches(rng), int(rng.integers(3))

    def statement(call, addr, x):
        each = Function(lambda call, y: branches(call, "if", y))
        return call(Lanes(each, n, 0), addr, x + jnp.arange(float(n)) - 0.5)

    return statement


STATEMENTS = [
    site,
    made_inside,
    made_inside_twice,
    inline_branches,
    lanes_inside,
    grid_inside,
    steps_inside,
    branches_in_lanes,
]


def random_edge_model(rng):
    """`(node, args, new_args)` of a model of one scalar argument, sometimes beneath a combinator."""
    statements = [pick(rng, STATEMENTS)(rng) for _ in range(int(rng.integers(1, 3)))]

    def body(call, x):
        latent = call(Choice(normal), "latent", x, 1.0)
        for i, statement in enumerate(statements):
            latent = 0.5 * latent + squashed(statement(call, "ab"[i], latent))
        return latent

    function, x, y = Function(body), float(rng.normal()), float(rng.normal())
    top = pick(rng, ["function"] * 5 + ["repeat", "map", "scan"])
    n = int(rng.integers(3))
    if top == "repeat":
        return Lanes(function, n, None), (x,), (y,)
    if top == "map":
        return Lanes(function, n, 0), (x + jnp.arange(float(n)),), (y + jnp.arange(float(n)),)
    if top == "scan":

        def step(call, carry, u):
            out = call(function, "step", carry + u)
            return jnp.tanh(out), out

        return Times(Function(step), n), (jnp.asarray(x), jnp.arange(float(n))), (jnp.asarray(y), jnp.ones(n))
    return function, (x,), (y,)


# Constraints of a part


def partial_constraints(rng, paths, values, ranks):
    """Constraints at some paths, in whole or in part, and which elements they hold.

    Args:
        rng: NumPy's generator.
        paths: of the choices.
        values: choices, whose values the constraints take.
        ranks: `{path: number of leading axes that a mask may have}`.

    Returns:
        `(constraints, {path: bool array with leading axes of the density})`.
    """
    constraints, held = {}, {}
    for path in paths:
        value, form = at(values, path), pick(rng, ["nothing", "whole", "masked", "masked", "indexed", "filled"])
        if form == "nothing":
            continue
        shape = jnp.shape(value)
        mask = np.ones((), bool)
        if form == "masked" and ranks[path]:
            mask = rng.random(shape[: int(rng.integers(1, ranks[path] + 1))]) < 0.5
            value = masked(mask, value)
        elif form == "filled":
            value = filled(jnp.ravel(value)[0]) if jnp.size(value) else value
        held[path] = mask
        level = constraints
        for addr in path[:-1]:
            level = level.setdefault(addr, {})
        level[path[-1]] = value
    return constraints, held


def indexed_lanes(rng, n, values):
    """Constraints of one or two of n lanes or steps, and which."""
    chosen = rng.permutation(n)[: int(rng.integers(0, min(n, 2) + 1))]
    written = np.where(rng.random(chosen.shape) < 0.5, chosen, chosen - n)
    return indexed(written, jax.tree.map(lambda leaf: leaf[chosen], values)), np.isin(np.arange(n), chosen)


def lanes_of(choices: Any, densities: Any) -> Any:
    """`{path: number of axes that a choice shares with its density}`."""
    return {path: min(np.ndim(at(choices, path)), np.ndim(value)) for path, value in densities.items()}
