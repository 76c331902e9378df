"""`expectation`: unbiased estimates of an expectation and of its derivatives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike

from genjax.adev.choices import is_direct, is_pathwise
from genjax.adev.dual import Dual, DualTree, canonical
from genjax.adev.interpreter import surrogate
from genjax.adev.primitive import draw_key
from genjax.core.const import Const
from genjax.core.pytree import Pytree
from genjax.pjax.evaluate import stage_flat
from genjax.pjax.jax_internals import ClosedJaxpr, jaxpr_as_fun
from genjax.signatures import PyTree


@Pytree.dataclass
class ADEVProgram(Pytree):
    """A function whose random choices have estimators."""

    source: Const[Callable[..., ArrayLike]]


@Pytree.dataclass
class Expectation(Pytree):
    """`E[f(args)]` over the random choices of f; made by `expectation`.

    Every method draws a key as a random choice of its own: it runs eagerly as it is, under `seed` with that key, and
    under `vmap` with independent draws per lane. It compiles on first use, per function and argument shapes. Only
    first derivatives are unbiased for every estimator.
    """

    prog: ADEVProgram

    def estimate(self, *args: Any) -> jax.Array:
        """An unbiased estimate of the expectation: scalar, one run of f, enumerated choices integrated exactly.

        JAX derivatives of this method are ADEV's: `jax.grad(e.estimate)` is `e.grad_estimate`.

        Raises:
            ValueError: f does not return one scalar.
            NotImplementedError: a random choice of f has no estimator, or stands where its estimator cannot work.
        """
        return self._compiled().estimate(draw_key(), args)

    def jvp_estimate(self, *duals: DualTree) -> Dual:
        """Unbiased estimates of the expectation and of its directional derivative.

        Args:
            duals: one Dual per argument (a Dual of trees, or a tree of Duals).

        Raises:
            TypeError: an argument is no Dual.
            ValueError, NotImplementedError: as `estimate`.
        """
        pairs = [_as_pair(position, dual) for position, dual in enumerate(duals)]
        primals, tangents = [p for p, _ in pairs], [t for _, t in pairs]
        return Dual(*self._compiled().directional(draw_key(), tuple(primals), tuple(tangents)))

    def grad_estimate(self, *args: Any) -> PyTree:
        """An unbiased estimate of the gradient, by reverse mode: of the argument's structure, a tuple for several.

        Raises:
            TypeError: an argument has leaves that are not floating-point numbers.
            ValueError, NotImplementedError: as `estimate`.
        """
        return self.value_and_grad_estimate(*args)[1]

    def value_and_grad_estimate(self, *args: Any) -> tuple[jax.Array, PyTree]:
        """`(estimate, gradient estimate)` of one run."""
        return self._compiled().gradient(draw_key(), args)

    def _compiled(self) -> _Compiled:
        return _compiled(self.prog.source.value)


def expectation(f: Callable[..., ArrayLike]) -> Expectation:
    """The expectation of a function's result over its random choices, with gradient estimators.

    Inside f every random choice is made by an estimator (`flip_enum`, `normal_reparam`, ...), called directly or
    through generative functions; the rest is ordinary JAX code, with `cond`, `scan`, `jit` and `vmap`.

    Args:
        f: a function of JAX types that returns one scalar; a bool or integer counts as a floating number.

    Returns:
        An `Expectation`: `e.estimate(*args)`, `e.jvp_estimate(*duals)`, `e.grad_estimate(*args)`.

    Source: Lew et al., *ADEV*, POPL 2023; Becker et al., *Probabilistic programming with programmable variational
    inference*, PLDI 2024. Departure: derivatives are JAX's own, of a surrogate (see `genjax.adev.rules`).
    """
    return Expectation(ADEVProgram(Const(f)))


def independent_estimates(f: Callable[[], ArrayLike], n: int) -> jax.Array:
    """(n,) independent estimates of `E[f()]`, for use inside an expectation.

    Each is an expectation of its own: the score of one draw multiplies its own result only. In one expectation over a
    mean of n results it would multiply all of them, and n - 1 of n products would be noise.

    Args:
        f: a function without arguments, as for `expectation`.
        n: how many.
    """
    closed, _ = _stage(f, ())
    run = lambda: jaxpr_as_fun(closed)()[0]
    mapped = jax.vmap(run, in_axes=(), axis_size=n)
    if is_pathwise(closed.jaxpr):  # no scores at all
        return mapped()
    if is_direct(closed.jaxpr):  # one draw per choice for all; a key for each run would cost more than the draws
        return surrogate(stage_flat(mapped)[0], (), draw_key(), is_pure=False, shape=(n,))
    # Not `estimate`, whose custom derivative JAX cannot transpose around a `cond` of the lanes.
    return jax.vmap(lambda: surrogate(closed, (), draw_key(), is_pure=False), in_axes=(), axis_size=n)()


def _as_pair(position: int, dual: DualTree) -> tuple[PyTree, PyTree]:
    """`(primals, tangents)` of one argument of `jvp_estimate`."""
    if not Dual.static_check_dual_tree(dual):
        raise TypeError(
            f"jvp_estimate takes Duals, got {type(dual).__name__} as argument {position}. Write Dual(value, tangent), "
            "or Dual.tree_pure(value) for a constant."
        )
    leaves, tree = jax.tree.flatten(Dual.tree_primal(dual))
    tangents = jax.tree.leaves(Dual.tree_tangent(dual))
    pairs = [canonical(Dual(p, t)) for p, t in zip(leaves, tangents, strict=True)]
    return jax.tree.unflatten(tree, [p for p, _ in pairs]), jax.tree.unflatten(tree, [t for _, t in pairs])


# Compiled once per function


class _Compiled(NamedTuple):
    estimate: Callable[..., jax.Array]
    directional: Callable[..., tuple[jax.Array, jax.Array]]
    gradient: Callable[..., tuple[jax.Array, PyTree]]


_cache: weakref.WeakKeyDictionary[Callable[..., ArrayLike], _Compiled] = weakref.WeakKeyDictionary()


def _compiled(function: Callable[..., ArrayLike]) -> _Compiled:
    try:
        if function not in _cache:
            # The cached value must not keep the function alive; whoever calls holds it.
            _cache[function] = _compile(weakref.ref(function))
        return _cache[function]
    except TypeError:  # not hashable, or not weakly referable
        return _compile(lambda: function)


def _compile(reference: Callable[[], Any]) -> _Compiled:
    def surrogate_of(args: tuple[PyTree, ...], key: jax.Array) -> jax.Array:
        closed, flat = _stage(reference(), args)
        return surrogate(closed, flat, key, is_pure=False)

    def estimate(key: jax.Array, args: tuple[PyTree, ...]) -> jax.Array:
        closed, flat = _stage(reference(), args)

        @jax.custom_jvp
        def value(key: jax.Array, constants: list[ArrayLike], flat: list[ArrayLike]) -> jax.Array:
            return surrogate(ClosedJaxpr(closed.jaxpr, constants), flat, key, is_pure=True)

        @value.defjvp
        def value_jvp(primals: PyTree, tangents: PyTree) -> tuple[jax.Array, jax.Array]:
            key, constants, flat = primals
            with_derivative = lambda constants, flat: surrogate(
                ClosedJaxpr(closed.jaxpr, constants), flat, key, is_pure=False
            )
            return jax.jvp(with_derivative, (constants, flat), tuple(tangents[1:]))

        return value(key, closed.consts, flat)

    def directional(
        key: jax.Array, primals: tuple[PyTree, ...], tangents: tuple[PyTree, ...]
    ) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda *args: surrogate_of(args, key), primals, tangents)

    def gradient(key: jax.Array, args: tuple[PyTree, ...]) -> tuple[jax.Array, PyTree]:
        positions = tuple(range(len(args))) if len(args) > 1 else 0
        return jax.value_and_grad(lambda *args: surrogate_of(args, key), positions)(*args)

    return _Compiled(jax.jit(estimate), jax.jit(directional), jax.jit(gradient))


def _stage(function: Callable[..., ArrayLike], args: tuple[PyTree, ...]) -> tuple[ClosedJaxpr, list[ArrayLike]]:
    closed, flat, out_tree = stage_flat(function, *args)
    shapes = [aval.shape for aval in closed.out_avals]
    if shapes != [()]:
        name = getattr(function, "__name__", "the function")
        raise ValueError(
            f"expectation({name}) must return one scalar, got {out_tree} with leaves of shapes {shapes}. Reduce it "
            "(jnp.sum, jnp.mean), or make one expectation per output."
        )
    return closed, flat
