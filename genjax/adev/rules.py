"""How one random choice enters an estimate whose ordinary JAX derivative is unbiased.

Write `v ~ p(.; t)` for the choice, `D(v)` for the (estimated) rest of the program, and `[x]` for `stop_gradient(x)`.
Each rule replaces `E[D(v)]` by a *surrogate*: an expression with that expectation, whose derivative with respect to t
has expectation `d E[D(v)]`. So forward mode, reverse mode, `jit` and `vmap` of the surrogate are JAX's own.

    pathwise          v = g(t, e), e free of t             D(g(t, e))
    score function    v = [draw]                           D(v) exp(log p(v; t) - [log p(v; t)])
    enumeration       all v                                sum_v p(v; t) D(v)
    measure-valued,   v_1..v_B = [draws], independent      D(v) + sum_i sum_k [D(v with v_i = k) - D(v)] (p_ik - [p_ik])
      per lane

A *direct* rule gives a value (and a log factor of the surrogate); it fits into any control flow. The others need the
rest of the program as a function, which the interpreter gives them.

Source: Lew et al., *ADEV*, POPL 2023, section 4 and appendix; the score function as a factor: Foerster et al., *DiCE*,
ICML 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.adev.dual import Dual, canonical, is_differentiable
from genjax.adev.primitive import PrimitiveLanes, PrimitiveSite, Site
from genjax.pjax.evaluate import Finder, evaluate
from genjax.pjax.jax_internals import ClosedJaxpr, Equation
from genjax.pjax.seed import seed
from genjax.signatures import PyTree

#: Alternative values of the lanes of one choice that are evaluated at once; more are taken in turns, to save memory.
LANES_AT_ONCE = 256


class Rest(Protocol):
    """The rest of the program as a function of the choice's value."""

    #: How many runs of the rest the enumerations so far have asked for.
    n_runs: int

    def __call__(self, value: jax.Array, n_runs: int = 1) -> jax.Array:
        """The surrogate of the rest; `n_runs` says in how many places, or lanes, it is called."""
        ...

    def pure(self, value: jax.Array) -> jax.Array:
        """An estimate of the rest's value, which carries no derivative."""
        ...


class Rule:
    """A rule that is direct, unless `needs_rest` says otherwise."""

    def needs_rest(self, shape: tuple[int, ...], is_pure: bool) -> bool:
        """Whether a choice of this batch shape needs the rest of the program. `is_pure`: no derivative is wanted."""
        del shape, is_pure
        return False

    def direct(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], is_pure: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        """`(value, log p(value) of every lane or None)`: the surrogate's log factors."""
        del is_pure
        return site.draw(key, *parameters, shape=shape), None

    def integrate(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], rest: Rest
    ) -> jax.Array:
        """The surrogate of the choice and all that follows: a scalar."""
        raise NotImplementedError


class Pathwise(Rule):
    """Differentiate through the draw (reparametrisation)."""

    def direct(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], is_pure: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        value = site.draw(key, *parameters, shape=shape)
        if not is_differentiable(value):
            raise TypeError(
                f"The choice {site.name} has a pathwise estimator, but its values are {value.dtype}: discrete values "
                "do not move with the parameters, so its gradient would be 0. Use an estimator by enumeration "
                "(*_enum), measure-valued derivative (*_mvd) or score function (*_reinforce)."
            )
        return value, None


class ScoreFunction(Rule):
    """REINFORCE. Whoever runs it adds up the log densities of lanes that belong to one expectation."""

    def direct(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], is_pure: bool
    ) -> tuple[jax.Array, jax.Array | None]:
        value = jax.lax.stop_gradient(site.draw(key, *map(jax.lax.stop_gradient, parameters), shape=shape))
        return value, None if is_pure else site.log_density(value, parameters)


class MeasureValued(Rule):
    """Per lane, the difference of the rest at the lane's other values and at the drawn one; (K - 1) B + 1 runs.

    The difference enters as a constant, so that only first derivatives are right.
    """

    def needs_rest(self, shape: tuple[int, ...], is_pure: bool) -> bool:
        return not is_pure

    def integrate(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], rest: Rest
    ) -> jax.Array:
        drawn = jax.lax.stop_gradient(site.draw(key, *map(jax.lax.stop_gradient, parameters), shape=shape))
        at_drawn = rest(drawn)
        table = site.primitive.probabilities(*parameters)
        n_values = table.shape[-1]
        table = jnp.broadcast_to(table, (*shape, n_values)).reshape(-1, n_values)
        lanes = drawn.reshape(-1)

        def contribution(index: jax.Array) -> jax.Array:
            lane, step = index // (n_values - 1), index % (n_values - 1) + 1
            other = (lanes[lane].astype(jnp.int32) + step) % n_values
            changed = lanes.at[lane].set(other.astype(lanes.dtype)).reshape(shape)
            difference = jax.lax.stop_gradient(rest.pure(changed) - at_drawn)
            probability = table[lane, other]
            return difference * (probability - jax.lax.stop_gradient(probability))

        n_changes = lanes.size * (n_values - 1)
        if n_changes <= LANES_AT_ONCE:
            terms = jax.vmap(contribution)(jnp.arange(n_changes))
        else:
            terms = jax.lax.map(contribution, jnp.arange(n_changes), batch_size=LANES_AT_ONCE)
        return at_drawn + jnp.sum(terms)


class Enumeration(MeasureValued):
    """All values of a scalar choice, exactly. Batched choices would take K^B runs, and go lane by lane instead."""

    #: Calls of the rest written out one by one; deeper enumerations go through one vmapped call: a shorter program.
    largest_written_out = 4

    def __init__(self, is_parallel: bool):
        self.is_parallel = is_parallel

    def needs_rest(self, shape: tuple[int, ...], is_pure: bool) -> bool:
        return shape == () or not is_pure

    def integrate(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], rest: Rest
    ) -> jax.Array:
        if shape != ():
            return super().integrate(site, key, parameters, shape, rest)
        probabilities = site.primitive.probabilities(*parameters)
        n_values = probabilities.shape[-1]
        dtype = site.abstract(parameters, shape).dtype
        if self.is_parallel or rest.n_runs * n_values > self.largest_written_out:
            results = jax.vmap(lambda value: rest(value, n_values))(jnp.arange(n_values).astype(dtype))
            return jnp.sum(probabilities * results)
        results = [rest(jnp.asarray(value, dtype), n_values) for value in range(n_values)]
        return sum(probabilities[k] * result for k, result in enumerate(results))


class JvpEstimate(Rule):
    """The rule of a user's primitive: its `prim_jvp_estimate`, lane after lane where the choice is batched."""

    def needs_rest(self, shape: tuple[int, ...], is_pure: bool) -> bool:
        return not is_pure

    def integrate(
        self, site: Site, key: jax.Array, parameters: Sequence[jax.Array], shape: tuple[int, ...], rest: Rest
    ) -> jax.Array:
        if not isinstance(site, PrimitiveLanes):
            if not isinstance(site, PrimitiveSite):
                raise NotImplementedError(
                    f"{type(site.primitive).__name__} is a built-in estimator with a prim_jvp_estimate of its own. "
                    "Derive it from ADEVPrimitive instead, and call the built-in one's methods where they serve."
                )
            return _estimate_jvp(site, key, parameters, rest)
        keys = jax.random.split(key, site.size)

        def from_lane(index: int, earlier: list[jax.Array], is_pure: bool) -> jax.Array:
            if index == site.size:
                return rest.pure(jnp.stack(earlier)) if is_pure else rest(jnp.stack(earlier))
            arrays = site.lane(index, parameters)
            if is_pure:
                return from_lane(index + 1, [*earlier, site.inner.draw(keys[index], *arrays, shape=shape)], True)
            following = _RestOfLanes(
                lambda value: from_lane(index + 1, [*earlier, value], False),
                lambda value: from_lane(index + 1, [*earlier, value], True),
                rest.n_runs,
            )
            return self.integrate(site.inner, keys[index], arrays, shape, following)

        return from_lane(0, [], False)


class _RestOfLanes:
    """The later lanes of a batched choice, and then the rest of the program."""

    def __init__(self, dual: Callable[[jax.Array], jax.Array], pure: Callable[[jax.Array], jax.Array], n_runs: int):
        self._dual, self.pure, self.n_runs = dual, pure, n_runs

    def __call__(self, value: jax.Array, n_runs: int = 1) -> jax.Array:
        return self._dual(value)


def _estimate_jvp(site: PrimitiveSite, key: jax.Array, parameters: Sequence[jax.Array], rest: Rest) -> jax.Array:
    # A function with a derivative of its own cannot close over values that are differentiated: stage the rest, which
    # makes them operands.
    abstract = site.abstract(parameters, ())
    example = jnp.zeros(abstract.shape, abstract.dtype)
    dual_rest, pure_rest = jax.make_jaxpr(rest)(example), jax.make_jaxpr(rest.pure)(example)

    def run(staged: ClosedJaxpr, constants: Sequence[ArrayLike], value: jax.Array) -> jax.Array:
        return evaluate(ClosedJaxpr(staged.jaxpr, constants), [value], _NOTHING, _never)[0]

    @jax.custom_jvp
    def call(
        key: jax.Array,
        parameters: Sequence[jax.Array],
        pure_constants: Sequence[ArrayLike],
        dual_constants: Sequence[ArrayLike],
    ) -> jax.Array:
        del dual_constants
        return run(pure_rest, pure_constants, site.draw(key, *parameters, shape=()))

    @call.defjvp
    def call_jvp(primals: PyTree, tangents: PyTree) -> tuple[jax.Array, jax.Array]:
        key, parameters, pure_constants, dual_constants = primals
        _, parameter_tangents, _, constant_tangents = tangents

        def kpure(value: ArrayLike) -> jax.Array:
            return run(pure_rest, pure_constants, jnp.asarray(value, example.dtype))

        def kdual(dual: Dual) -> Dual:
            if not isinstance(dual, Dual):
                raise TypeError(f"kdual takes a Dual, got {type(dual).__name__}. For a constant use Dual.tree_pure(v).")
            value, tangent = canonical(Dual(jnp.asarray(dual.primal, example.dtype), dual.tangent))
            rest_at = lambda constants, value: run(dual_rest, constants, value)
            return Dual(*jax.jvp(rest_at, (dual_constants, value), (constant_tangents, tangent)))

        duals = Dual.dual_tree(site.arguments(parameters), site.arguments(parameter_tangents))
        result = seed(lambda: site.primitive.prim_jvp_estimate(duals, (kpure, kdual)))(key)
        if not isinstance(result, Dual):
            raise TypeError(f"{site.name}.prim_jvp_estimate must return a Dual, got {type(result).__name__}.")
        return canonical(result)

    return call(key, parameters, pure_rest.consts, dual_rest.consts)


_NOTHING = Finder(())


def _never(eqn: Equation, values: list[ArrayLike]) -> NoReturn:
    raise AssertionError(f"no equation is taken, got {eqn} with {len(values)} values")


PATHWISE = Pathwise()
SCORE_FUNCTION = ScoreFunction()
MEASURE_VALUED = MeasureValued()
ENUMERATION = Enumeration(is_parallel=False)
PARALLEL_ENUMERATION = Enumeration(is_parallel=True)
JVP_ESTIMATE = JvpEstimate()
