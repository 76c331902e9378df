"""Random models with an independent reading of each: loops over lanes and steps, one density per site.

A model is a tree of nodes. A node builds a generative function, and evaluates the same program without GenJAX's
combinators: `reference(choices, *args)` returns the return value and `{path: log p(site | parents)}`, where lanes and
time steps are Python loops. Combinators are built anew at each call of a model's body, as users write them.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from genjax import (
    Cond,
    Scan,
    bernoulli,
    categorical,
    dirichlet,
    exponential,
    flip,
    gamma,
    gen,
    multivariate_normal,
    normal,
    uniform,
)


def take(tree, i, axes=0):
    """Lane i of a pytree of arguments, with axes as in `jax.vmap`."""
    if axes is None:
        return tree
    if isinstance(axes, dict):
        return {name: take(tree[name], i, axis) for name, axis in axes.items()}
    return jax.tree.map(lambda leaf: jnp.take(leaf, i, axis=axes), tree)


def stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def add(totals, densities, prefix=()):
    for path, value in densities.items():
        totals[prefix + path] = totals.get(prefix + path, 0.0) + value


@dataclass(frozen=True)
class Choice:
    """One site."""

    distribution: Any

    def build(self):
        return self.distribution

    def reference(self, choice, *args, **kwargs):
        return choice, {(): jnp.sum(self.distribution.logpdf(choice, *args, **kwargs))}


class Function:
    """A `@gen` function; `body(call, *args, **kwargs)` where `call(node, address, *args, **kwargs)` runs a callee."""

    def __init__(self, body):
        self.body = body
        self.gen_fn = gen(lambda *args, **kwargs: body(self._call, *args, **kwargs))

    @staticmethod
    def _call(node, addr, *args, **kwargs):
        return node.build()(*args, **kwargs) @ addr

    def build(self):
        return self.gen_fn

    def reference(self, choices, *args, **kwargs):
        densities = {}

        def call(node, addr, *args, **kwargs):
            retval, beneath = node.reference(choices.get(addr, {}), *args, **kwargs)
            add(densities, beneath, (addr,))
            return retval

        return self.body(call, *args, **kwargs), densities


@dataclass(frozen=True)
class Mapped:
    """`callee.vmap(in_axes)`, or `callee.repeat(n)` where `in_axes` is None."""

    callee: Any
    n: int
    in_axes: Any = 0

    def build(self):
        if self.in_axes is None:
            return self.callee.build().repeat(self.n)
        return self.callee.build().vmap(in_axes=self.in_axes)

    def reference(self, choices, *args, **kwargs):
        axes = self.in_axes if isinstance(self.in_axes, tuple) else (self.in_axes,) * len(args)
        retvals, densities = [], {}
        for i in range(self.n):
            lane = [take(arg, i, axis) for arg, axis in zip(args, axes, strict=True)]
            retval, beneath = self.callee.reference(take(choices, i), *lane, **kwargs)
            retvals.append(retval)
            add(densities, beneath)
        return stack(retvals), densities


@dataclass(frozen=True)
class Steps:
    """`Scan(callee, n)`."""

    callee: Any
    n: int

    def build(self):
        return Scan(self.callee.build(), self.n)

    def reference(self, choices, carry, xs, **kwargs):
        outs, densities = [], {}
        for i in range(self.n):
            (carry, out), beneath = self.callee.reference(take(choices, i), carry, take(xs, i), **kwargs)
            outs.append(out)
            add(densities, beneath)
        return (carry, stack(outs)), densities


@dataclass(frozen=True)
class Branch:
    """`Cond(true, false)`."""

    true: Any
    false: Any

    def build(self):
        return Cond(self.true.build(), self.false.build())

    def reference(self, choices, check, *args, **kwargs):
        true, densities_true = self.true.reference(choices, *args, **kwargs)
        false, densities_false = self.false.reference(choices, *args, **kwargs)
        paths = densities_true | densities_false
        densities = {p: jnp.where(check, densities_true.get(p, 0.0), densities_false.get(p, 0.0)) for p in paths}
        return jax.tree.map(lambda a, b: jnp.where(check, a, b), true, false), densities


# The generator. Every generated function takes (x, v, shift=0.0): a scalar, a vector of two, a scalar.


def summary(value):
    """A number in (-1, 1) that depends on everything a callee returned."""
    return jnp.tanh(sum(jnp.mean(jnp.asarray(leaf, float)) for leaf in jax.tree.leaves(value)) / 3)


CONTINUOUS = {
    "normal": lambda call, addr, x, v: call(Choice(normal), addr, x, 1.2),
    "vector": lambda call, addr, x, v: call(Choice(normal), addr, v, 0.7 + x**2),
    "matrix": lambda call, addr, x, v: call(Choice(normal), addr, v + x, jnp.ones((3, 2))),
    "keyword": lambda call, addr, x, v: call(Choice(normal), addr, scale=1.1, loc=x),
    "joint": lambda call, addr, x, v: call(Choice(multivariate_normal), addr, v, jnp.eye(2) * 2 + 0.3),
    "gamma": lambda call, addr, x, v: call(Choice(gamma), addr, 2.0 + x**2, 1.5),
    "dirichlet": lambda call, addr, x, v: call(Choice(dirichlet), addr, jnp.exp(jnp.tanh(v)) + 1),
    "exponential": lambda call, addr, x, v: call(Choice(exponential), addr, jnp.exp(jnp.tanh(x))),
    "uniform": lambda call, addr, x, v: call(Choice(uniform), addr, x - 1.0, x + 5.0),
}
DISCRETE = {
    "flip": lambda call, addr, x, v: call(Choice(flip), addr, jax.nn.sigmoid(x)),
    "flips": lambda call, addr, x, v: call(Choice(flip), addr, jax.nn.sigmoid(v)),
    "bernoulli": lambda call, addr, x, v: call(Choice(bernoulli), addr, x),
    "probs": lambda call, addr, x, v: call(Choice(bernoulli), addr, probs=0.2 + 0.6 * jax.nn.sigmoid(x)),
    "categorical": lambda call, addr, x, v: call(Choice(categorical), addr, jnp.stack([x, v[0], v[1]])),
}
SITES = {**CONTINUOUS, **DISCRETE}


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def random_function(rng, depth, sites=SITES):
    """A random `@gen` function of (x, v, shift) which returns a scalar, tuple or dict, with `depth` levels beneath."""
    statements = []
    for position in range(int(rng.integers(1, 3))):
        kinds = [random_site] if depth == 0 else [random_site, *COMBINATORS]
        statements.append((f"{'abcde'[position]}{depth}", pick(rng, kinds)(rng, depth - 1, sites)))
    form = pick(rng, ["scalar", "tuple", "dict", "none"])

    def body(call, x, v, shift=0.0):
        state = x + shift
        for addr, statement in statements:
            # The next site depends on this one.
            state = 0.5 * x + summary(statement(call, addr, state, v)) + 0.1 * shift
        return {"scalar": state, "tuple": (state, v), "dict": {"state": state, "v": v * state}, "none": None}[form]

    return Function(body)


def random_site(rng, depth, sites):
    make = sites[pick(rng, list(sites))]
    return lambda call, addr, x, v: make(call, addr, x, v)


def nested(rng, depth, sites):
    callee, with_keyword = random_function(rng, depth, sites), rng.random() < 0.5
    keywords = {"shift": 0.3} if with_keyword else {}
    return lambda call, addr, x, v: call(callee, addr, x, v, **keywords)


def repeated(rng, depth, sites):
    node = Mapped(random_function(rng, depth, sites), 2, None)
    return lambda call, addr, x, v: call(node, addr, x, v)


def mapped(rng, depth, sites):
    """`.vmap` with an int, a tuple, another axis, or a pytree of axes; sometimes with a keyword argument."""
    callee, n = random_function(rng, depth, sites), int(rng.integers(1, 3))
    keywords = {"shift": 0.2} if rng.random() < 0.3 else {}

    def lanes(x):
        return x + jnp.linspace(-1.0, 1.0, n)

    forms = {
        0: lambda x, v: (lanes(x), v + lanes(x)[:, None]),
        (0, None): lambda x, v: (lanes(x), v),
        (None, 0): lambda x, v: (x, v + lanes(x)[:, None]),
        (None, 1): lambda x, v: (x, v[:, None] + lanes(x)),
        (0, -1): lambda x, v: (lanes(x), v[:, None] + lanes(x)),
    }
    axes = pick(rng, list(forms))
    if rng.random() < 0.2:
        packed = Function(lambda call, p: call(callee, "in", p["x"], p["v"]))
        node = Mapped(packed, n, ({"x": 0, "v": None},))
        return lambda call, addr, x, v: call(node, addr, {"x": lanes(x), "v": v})
    return lambda call, addr, x, v: call(Mapped(callee, n, axes), addr, *forms[axes](x, v), **keywords)


def grid(rng, depth, sites):
    """A vmap in a vmap, each over one argument."""
    node = Mapped(Mapped(random_function(rng, depth, sites), 2, (0, None)), 2, (None, 0))
    return lambda call, addr, x, v: call(node, addr, x + jnp.arange(2.0), v + jnp.arange(2.0)[:, None])


def plate(rng, depth, sites):
    """A latent, and a repeat of a distribution that depends on it."""
    noise = Mapped(Choice(normal), 4, None)
    lanes = Mapped(Choice(normal), 2, (0, None))
    node = noise if rng.random() < 0.5 else lanes
    return lambda call, addr, x, v: call(node, addr, x if node is noise else v, 1.0)


def steps(rng, depth, sites):
    callee = random_function(rng, depth, sites)

    def step(call, carry, v):
        out = call(callee, "step", carry, v)
        return jnp.tanh(carry + summary(out)), {"out": out, "carry": carry}

    node = Steps(Function(step), int(rng.integers(1, 3)))
    return lambda call, addr, x, v: call(node, addr, x, v + jnp.arange(float(node.n))[:, None])


def branches(rng, depth, sites):
    """Two branches that share an address and have others of their own, which may be combinators."""
    own_true, own_false = (random_function(rng, depth, sites) for _ in range(2))
    shared = sites[pick(rng, list(sites))]

    def true(call, x, v):
        z = call(own_true, "t", x, v)
        return {"r": summary((z, shared(call, "shared", x, v)))}

    def false(call, x, v):
        y = shared(call, "shared", x - 0.5, v + 1)
        return {"r": summary((y, call(own_false, "f", x, v)))}

    return Branch(Function(true), Function(false))


def branched(rng, depth, sites):
    """A `Cond` in a function. Its check depends on the value of a site before it, so that updates flip it."""
    node = branches(rng, depth, sites)
    return lambda call, addr, x, v: call(node, addr, x > 0.1, x, v)


def branched_lanes(rng, depth, sites):
    """A `Cond` directly under `vmap`."""
    node = Mapped(branches(rng, depth, sites), 3, (0, 0, None))
    return lambda call, addr, x, v: call(node, addr, x + jnp.arange(-1.0, 2.0) > 0, x + jnp.arange(3.0), v)


def branched_steps(rng, depth, sites):
    """A `Cond` directly under `Scan`: its carry is the check."""
    del depth
    shared = pick(rng, [name for name in sites if name in DISCRETE])

    def true(call, v):
        z = sites[shared](call, "z", 0.3, v)
        return summary(z) > 0.2, summary(call(Choice(flip), "only", 0.4))

    def false(call, v):
        z = sites[shared](call, "z", -0.3, v)
        return summary(z) <= 0.2, summary(z)

    node = Steps(Branch(Function(true), Function(false)), 3)
    return lambda call, addr, x, v: call(node, addr, x > 0, v + jnp.arange(3.0)[:, None])


COMBINATORS = [
    nested,
    repeated,
    mapped,
    grid,
    plate,
    steps,
    branched,
    branched_lanes,
    branched_steps,
]


def random_model(rng, sites=SITES):
    """A random model with two sets of arguments: `(node, args, new_args)`. One in two has a combinator on top."""
    depth = 1 + int(rng.random() < 0.2)
    x, v = float(rng.normal()), jnp.asarray(rng.normal(size=2))
    y, w = float(rng.normal()), jnp.asarray(rng.normal(size=2))
    function = random_function(rng, depth, sites)
    lanes = jnp.arange(3.0)
    top = pick(rng, ["function"] * 4 + ["repeat", "map", "scan", "cond"])
    if top == "repeat":
        return Mapped(function, 2, None), (x, v), (y, w)
    if top == "map":
        return Mapped(function, 3, (0, None)), (x + lanes, v), (y + lanes, w)
    if top == "scan":

        def step(call, carry, v):
            out = call(function, "step", carry, v)
            return jnp.tanh(carry + summary(out)), out

        return Steps(Function(step), 3), (x, v + lanes[:, None]), (y, w + lanes[:, None])
    if top == "cond":
        return branches(rng, depth - 1, sites), (jnp.asarray(x > 0), x, v), (jnp.asarray(y > 0), y, w)
    return function, (x, v), (y, w)


# Choices as sets of paths


def paths_of(choices, prefix=()):
    if isinstance(choices, dict):
        return [path for addr, value in choices.items() for path in paths_of(value, (*prefix, addr))]
    return [prefix]


def at(choices, path):
    """The value at a path, None where there is none."""
    for addr in path:
        choices = choices.get(addr) if isinstance(choices, dict) else None
    return choices


def restrict(choices, paths, prefix=()):
    """The choices at some paths, as a choice map."""
    if not isinstance(choices, dict):
        return choices if prefix in paths else None
    kept = {addr: restrict(value, paths, (*prefix, addr)) for addr, value in choices.items()}
    return {addr: value for addr, value in kept.items() if value is not None} or None
