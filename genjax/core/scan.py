"""`Scan`: a generative function repeated in time, each step feeding the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jax
import jax.numpy as jnp

from genjax.core.addresses import check_selection
from genjax.core.arguments import unshare, with_marks, without_args
from genjax.core.choices import Strict, as_choices, is_empty
from genjax.core.const import Const, count_or_none
from genjax.core.fit import check_lanes, check_moved
from genjax.core.gfi import GFI, Density, Weight
from genjax.core.handlers import at_user_location
from genjax.core.lanes import scalar, sum_lanes
from genjax.core.observed import like, observed_by
from genjax.core.partial import Indexed, with_lanes
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase
from genjax.core.sites import Sites
from genjax.core.trace import Trace
from genjax.pjax.vectorize import modular_vmap
from genjax.signatures import Args, Constraints, Kwargs, PyTree

if TYPE_CHECKING:
    from genjax.core.gfi import AnyGFI
    from genjax.core.trace import AnyTrace

X = TypeVar("X")


@Pytree.dataclass
class ScanTr(Trace[X, PyTree]):
    """The trace of a `Scan`: its steps' traces stacked along the leading axis."""

    gen_fn: AnyGFI
    args: tuple[Any, ...]  # of the call, and marks of what was observed
    traces: AnyTrace
    final_carry: PyTree
    outs: PyTree
    score: jax.Array

    def get_gen_fn(self) -> AnyGFI:
        return self.gen_fn

    def get_args(self) -> tuple[Args, Kwargs]:
        return unshare(self.args[:2], self.score)

    def get_retval(self) -> PyTree:
        return self.final_carry, self.outs

    def raw_choices(self) -> AnyTrace:
        return self.traces

    def raw_score(self) -> jax.Array:
        return self.score

    __repr__ = Trace.__repr__


@Pytree.dataclass
class Scan(GFI[X, PyTree], Generic[X]):
    """`callee(carry, x, **kwargs) -> (carry, out)`, run `length` times by `jax.lax.scan`.

    Called as `(init_carry, xs, **kwargs)`; returns `(final_carry, outs)`. Choices have the callee's structure with a
    leading time axis. Scores, densities and weights are summed over time.

    Attributes:
        callee: the generative function of one step.
        length: number of steps, an int or `Const`; None takes it from `xs`.
    """

    callee: AnyGFI
    length: Any = Pytree.field(default=Const(None))

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", Const(count_or_none(self.length, "The length of a Scan")))

    # The loop

    def _n_steps(self, xs: PyTree) -> int:
        sizes = {leaf.shape[0] for leaf in map(jnp.asarray, jax.tree.leaves(xs)) if leaf.ndim}
        if self.length.value is not None:
            sizes.add(self.length.value)
        if not sizes:
            raise ValueError(f"{self!r} was called without xs, so its length must be given: Scan(callee, length).")
        if len(sizes) > 1:
            raise ValueError(
                f"{self!r} got sequences and a length that do not agree: {sorted(sizes)}. Every leaf of xs has the "
                "time axis first, and `length`, if given, is its size."
            )
        return sizes.pop()

    def _loop(self, step: Callable[[PyTree, PyTree], PyTree], init: PyTree, sequences: PyTree, n_steps: int) -> PyTree:
        init = jax.tree.map(jnp.asarray, init)
        if n_steps == 0:  # nothing runs, so nothing needs a key: only shapes are asked for
            first = jax.tree.map(lambda s: jax.ShapeDtypeStruct(jnp.shape(s)[1:], jnp.asarray(s).dtype), sequences)
            _, outs = jax.eval_shape(step, init, first)
            return init, jax.tree.map(lambda out: jnp.zeros((0, *out.shape), out.dtype), outs)
        try:
            return jax.lax.scan(step, init, sequences, length=n_steps)
        except TypeError as error:
            if "carry input" not in str(error):
                raise
            raise TypeError(
                f"The carry of {self!r} changes its structure, shape or dtype between steps{at_user_location()}. "
                f"The callee must return (carry, out) with a carry like the one it was given. "
                f"Where dtypes differ, start with what the steps return, such as 0.0 instead of 0.\n{error}"
            ) from error

    def _constraints(self, x: Constraints, n_steps: int) -> Constraints:
        if isinstance(x, Strict):
            return Strict(self._constraints(x.choices, n_steps))
        x = as_choices(x)
        if is_empty(x):
            return x
        x = with_lanes(x.expand(n_steps) if isinstance(x, Indexed) else x, n_steps)
        check_lanes(x, n_steps, f"the number of steps of {self!r}")
        return x

    def _record(self, traces: AnyTrace, stored: tuple[Any, ...], carry: PyTree, outs: PyTree) -> ScanTr[X]:
        score = jnp.sum(traces.raw_score(), axis=0)
        return ScanTr(self, stored, traces, carry, outs, score)

    # The interface

    def simulate(self, init: PyTree, xs: PyTree = None, **kwargs: Any) -> ScanTr[X]:
        def step(carry: PyTree, x: PyTree) -> PyTree:
            trace = self.callee.simulate(carry, x, **kwargs)
            carry, out = self._split(trace.get_retval())
            return carry, (without_args(trace), out)

        carry, (traces, outs) = self._loop(step, init, xs, self._n_steps(xs))
        return self._record(traces, ((init, xs), kwargs), carry, outs)

    def assess(self, x: X, init: PyTree, xs: PyTree = None, **kwargs: Any) -> tuple[Density, PyTree]:
        n_steps = self._n_steps(xs)

        def step(carry: PyTree, inputs: PyTree) -> PyTree:
            x, choices = inputs
            log_density, retval = self.callee.assess(choices, carry, x, **kwargs)
            carry, out = self._split(retval)
            return carry, (scalar(log_density), out)

        carry, (densities, outs) = self._loop(step, init, (xs, self._constraints(x, n_steps)), n_steps)
        return sum_lanes(densities), (carry, outs)

    def sites(self, x: X, init: PyTree, xs: PyTree = None, **kwargs: Any) -> tuple[Sites, PyTree]:
        n_steps = self._n_steps(xs)

        def step(carry: PyTree, inputs: PyTree) -> PyTree:
            x, choices = inputs
            sites, retval = self.callee.sites(choices, carry, x, **kwargs)
            carry, out = self._split(retval)
            return carry, (sites, out)

        carry, (sites, outs) = self._loop(step, init, (xs, self._constraints(x, n_steps)), n_steps)
        return sites, (carry, outs)

    def generate(self, x: X | None, init: PyTree, xs: PyTree = None, **kwargs: Any) -> tuple[ScanTr[X], Weight]:
        if is_empty(x):
            return self.simulate(init, xs, **kwargs), jnp.array(0.0)
        n_steps = self._n_steps(xs)

        def step(carry: PyTree, inputs: PyTree) -> PyTree:
            x, choices = inputs
            trace, weight = self.callee.generate(choices, carry, x, **kwargs)
            carry, out = self._split(trace.get_retval())
            return carry, (without_args(trace), weight, out)

        carry, (traces, weights, outs) = self._loop(step, init, (xs, self._constraints(x, n_steps)), n_steps)
        new = self._record(traces, ((init, xs), kwargs), carry, outs)
        return with_marks(new, observed_by(x, new)), sum_lanes(weights)

    def update(
        self, tr: Trace[X, PyTree], x: X | None, init: PyTree, xs: PyTree = None, **kwargs: Any
    ) -> tuple[ScanTr[X], Weight, X]:
        n_steps = self._n_steps(xs)
        constraints = None if is_empty(x) else self._constraints(x, n_steps)
        check_moved(tr, n_steps, "steps")

        def step(carry: PyTree, inputs: PyTree) -> PyTree:
            x, old, choices = inputs
            trace, weight, discard = self.callee.update(old, choices, carry, x, **kwargs)
            carry, out = self._split(trace.get_retval())
            return carry, (without_args(trace), weight, discard, out)

        sequences = (xs, tr.raw_choices(), constraints)
        carry, (traces, weights, discard, outs) = self._loop(step, init, sequences, n_steps)
        return self._record(traces, like((init, xs), kwargs, tr), carry, outs), sum_lanes(weights), discard

    def regenerate(
        self, tr: Trace[X, PyTree], selection: SelectionBase, init: PyTree, xs: PyTree = None, **kwargs: Any
    ) -> tuple[ScanTr[X], Weight, X | None]:
        selection = check_selection(selection, tr, f"regenerate() of {self!r}")

        def step(carry: PyTree, inputs: PyTree) -> PyTree:
            x, old = inputs
            trace, weight, discard = self.callee.regenerate(old, selection, carry, x, **kwargs)
            carry, out = self._split(trace.get_retval())
            return carry, (without_args(trace), weight, discard, out)

        check_moved(tr, self._n_steps(xs), "steps")
        sequences = (xs, tr.raw_choices())
        carry, (traces, weights, discard, outs) = self._loop(step, init, sequences, self._n_steps(xs))
        return self._record(traces, like((init, xs), kwargs, tr), carry, outs), sum_lanes(weights), discard

    def project(self, tr: Trace[X, PyTree], selection: SelectionBase) -> Density:
        selection = check_selection(selection, tr, f"project() of {self!r}")
        return sum_lanes(modular_vmap(lambda inner: self.callee.project(inner, selection))(tr.raw_choices()))

    def merge(self, x: X, x_: X, check: jax.Array | None = None) -> tuple[X, X | None]:
        return self.callee.merge(x, x_, check)

    def filter(self, x: X, selection: SelectionBase) -> tuple[X | None, X | None]:
        return self.callee.filter(x, selection)

    def _split(self, retval: PyTree) -> tuple[PyTree, PyTree]:
        if not (isinstance(retval, tuple) and len(retval) == 2):
            raise TypeError(f"The callee of {self!r} must return (carry, out), got {type(retval).__name__}.")
        return retval

    def __repr__(self) -> str:
        return f"Scan({self.callee!r}, {self.length.value})"
