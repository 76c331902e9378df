"""`Cond`: one of two generative functions, chosen by a random or computed check."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.core.addresses import Path, check_selection
from genjax.core.arguments import stored_marks, unshare, with_marks, without_args
from genjax.core.choices import Strict, filter_choices, is_empty, merge_choices, without_strict
from genjax.core.gfi import GFI, AnyGFI, Density, Weight
from genjax.core.lanes import scalar
from genjax.core.made import Gate, gate_of, gated
from genjax.core.observed import observed_by
from genjax.core.partial import Masked, select_where
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase
from genjax.core.sites import Sites, choose_sites
from genjax.core.trace import AnyTrace, Trace, get_choices
from genjax.signatures import Args, Choices, Constraints, Kwargs, PyTree

X = TypeVar("X")
R = TypeVar("R")


@Pytree.dataclass
class CondTr(Trace[X, R]):
    """The trace of a `Cond`: the traces of both branches, and which one counts."""

    gen_fn: AnyGFI
    args: tuple[Any, ...]  # of the call, and marks of what was observed
    check: jax.Array
    trs: tuple[AnyTrace, ...]
    retval: R
    score: jax.Array

    def get_gen_fn(self) -> AnyGFI:
        return self.gen_fn

    def get_args(self) -> tuple[Args, Kwargs]:
        return unshare(self.args[:2], self.score)

    def get_retval(self) -> R:
        return self.retval

    def raw_choices(self) -> Choices:
        true, false = (tr.get_choices() for tr in self.trs)
        return merge_choices(true, false, self.check)[0]

    def raw_score(self) -> jax.Array:
        return self.score

    def inner(self) -> tuple[AnyTrace, ...]:
        return self.trs

    __repr__ = Trace.__repr__


@Pytree.dataclass
class Cond(GFI[X, R], Generic[X, R]):
    """`callee_true(*args)` where the check is true, `callee_false(*args)` elsewhere; called as `(check, *args)`.

    Both branches run, and the taken one counts: its score, weight and return value. Choices are the union of both
    branches' addresses; one that both have takes the value of the taken branch. Choices of the branch that is not
    taken have no density: a kernel that flips the check should redraw them in the same move.
    """

    callee_true: AnyGFI
    callee_false: AnyGFI

    def _trace(self, check: jax.Array, args: Args, kwargs: Kwargs, true: AnyTrace, false: AnyTrace) -> CondTr[X, R]:
        _check_shared(self, true.get_choices(), false.get_choices())
        score = jnp.where(check, true.get_score(), false.get_score())
        retval = self._where(check, true.get_retval(), false.get_retval())
        trs = (without_args(true), without_args(false))
        return CondTr(self, ((check, *args), kwargs), check, trs, retval, score)

    def _where(self, check: jax.Array, true: PyTree, false: PyTree) -> PyTree:
        structures = jax.tree.structure(true), jax.tree.structure(false)
        if structures[0] != structures[1]:
            raise ValueError(
                f"The branches of {self!r} return values that cannot stand for each other: {structures[0]} and "
                f"{structures[1]}. Both must return the same structure."
            )
        return jax.tree.map(lambda a, b: select_where(check, a, b), true, false)

    def simulate(self, check: ArrayLike, *args: Any, **kwargs: Any) -> CondTr[X, R]:
        check = as_check(check)
        true, false = (callee.simulate(*a, **k) for callee, a, k, _ in self._branches(check, args, kwargs))
        return self._trace(check, args, kwargs, true, false)

    def assess(self, x: X, check: ArrayLike, *args: Any, **kwargs: Any) -> tuple[Density, R]:
        check, x = as_check(check), without_strict(x)
        (density_true, retval_true), (density_false, retval_false) = (
            callee.assess(jax.tree.map(gate, x), *a, **k) for callee, a, k, gate in self._branches(check, args, kwargs)
        )
        log_density = jnp.where(check, scalar(density_true), scalar(density_false))
        return log_density, self._where(check, retval_true, retval_false)

    def sites(self, x: X, check: ArrayLike, *args: Any, **kwargs: Any) -> tuple[Sites, R]:
        check, x = as_check(check), without_strict(x)
        sites_true, retval_true = self.callee_true.sites(x, *args, **kwargs)
        sites_false, retval_false = self.callee_false.sites(x, *args, **kwargs)
        return choose_sites(check, sites_true, sites_false), self._where(check, retval_true, retval_false)

    def generate(self, x: X | None, check: ArrayLike, *args: Any, **kwargs: Any) -> tuple[CondTr[X, R], Weight]:
        check = as_check(check)
        self._check_used(x, args, kwargs)
        (true, weight_true), (false, weight_false) = (
            callee.generate(jax.tree.map(gate, without_strict(x)), *a, **k)
            for callee, a, k, gate in self._branches(check, args, kwargs)
        )
        new = self._trace(check, args, kwargs, true, false)
        return with_marks(new, observed_by(x, new)), jnp.where(check, weight_true, weight_false)

    def update(
        self, tr: Trace[X, R], x: X | None, check: ArrayLike, *args: Any, **kwargs: Any
    ) -> tuple[CondTr[X, R], Weight, X]:
        check, old = as_check(check), tr.get_choices()
        # What is kept is the value that the old trace shows, whichever branch counts now.
        true, false = self._with_choices(tr, check, old, without_strict(x), args, kwargs)
        new = with_marks(self._trace(check, args, kwargs, true, false), stored_marks(tr))
        return new, tr.raw_score() - new.score, old

    def regenerate(
        self, tr: Trace[X, R], selection: SelectionBase, check: ArrayLike, *args: Any, **kwargs: Any
    ) -> tuple[CondTr[X, R], Weight, X | None]:
        check, old = as_check(check), tr.get_choices()
        selection = check_selection(selection, tr, f"regenerate() of {self!r}")
        synchronised = self._with_choices(tr, check, old, None, args, kwargs)
        true, false = (
            callee.regenerate(inner, selection, *a, **k)[0]
            for (callee, a, k, _), inner in zip(self._branches(check, args, kwargs), synchronised, strict=True)
        )
        new = with_marks(self._trace(check, args, kwargs, true, false), stored_marks(tr))
        # Unselected sites of the branch taken now against those of the branch taken then.
        weight = self.project(new, ~selection) - self.project(tr, ~selection)
        return new, weight, filter_choices(old, selection)[0]

    def project(self, tr: Trace[X, R], selection: SelectionBase) -> Density:
        selection = check_selection(selection, tr, f"project() of {self!r}")
        true, false = tr.trs  # type: ignore[attr-defined]
        return jnp.where(
            tr.check,  # type: ignore[attr-defined]
            self.callee_true.project(true, selection),
            self.callee_false.project(false, selection),
        )

    def merge(self, x: X, x_: X, check: jax.Array | None = None) -> tuple[X, X | None]:
        return self.callee_true.merge(x, x_, check)

    def _branches(self, check: jax.Array, args: Args, kwargs: Kwargs) -> list[tuple[AnyGFI, Args, Kwargs, Gate]]:
        """Per branch: callee, arguments, keyword arguments, and the gate for constraints.

        Each passes a gate: derivatives of the branch that is not taken are zero, where its own would be NaN or
        infinite, because a select of the results alone multiplies them by zero.
        """
        branches = []
        for callee, is_taken in ((self.callee_true, check), (self.callee_false, ~check)):
            gate = gate_of(is_taken)
            branches.append((gated(callee, gate), jax.tree.map(gate, args), jax.tree.map(gate, kwargs), gate))
        return branches

    def _with_choices(
        self, tr: Any, check: jax.Array, old: Choices, x: Constraints, args: Args, kwargs: Kwargs
    ) -> list[AnyTrace]:
        """Both branches' traces with the choices `old`, those of `x` in their place."""
        return [
            callee.update(inner, _in_dtypes_of(inner.get_choices(), overlay(old, jax.tree.map(gate, x))), *a, **k)[0]
            for (callee, a, k, gate), inner in zip(self._branches(check, args, kwargs), tr.trs, strict=True)
        ]

    def _check_used(self, x: Constraints, args: Args, kwargs: Kwargs) -> None:
        """Strict constraints may name addresses of either branch."""
        if not isinstance(x, Strict) or is_empty(x):
            return
        from genjax.core.choices import check_used

        known: dict[str, None] = {}
        for callee in (self.callee_true, self.callee_false):
            shape = jax.eval_shape(lambda c=callee: c.simulate(*args, **kwargs).get_choices())
            known.update(dict.fromkeys(shape) if isinstance(shape, dict) else {})
        check_used(x, known, f"generate() of {self!r}")

    def __repr__(self) -> str:
        return f"Cond({self.callee_true!r}, {self.callee_false!r})"


def as_check(check: ArrayLike) -> jax.Array:
    """A check as a JAX boolean scalar.

    Raises:
        TypeError: it is not a bool.
        ValueError: it is an array of several.
    """
    if not (isinstance(check, (bool, np.bool_)) or getattr(check, "dtype", None) == jnp.bool_):
        got = getattr(check, "dtype", type(check).__name__)
        raise TypeError(
            f"The check of a Cond must be a bool or a boolean scalar, got {got}. Write a comparison, e.g. `x > 0`, or "
            "`x.astype(bool)`."
        )
    if jnp.ndim(check):
        raise ValueError(
            f"The check of a Cond must be one bool, got shape {jnp.shape(check)}. For a check per lane write "
            "`Cond(a, b).vmap(in_axes=(0, ...))(checks, ...)`."
        )
    return jnp.asarray(check)


def _check_shared(cond: AnyGFI, true: Choices, false: Choices, path: Path = ()) -> None:
    """Raise unless values at addresses of both branches can stand for each other."""
    if isinstance(true, dict) and isinstance(false, dict):
        for addr in true.keys() & false.keys():
            _check_shared(cond, true[addr], false[addr], (*path, addr))
        return
    shapes = [jax.tree.map(jnp.shape, choice) for choice in (true, false)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The branches of {cond!r} both have the address {' / '.join(path) or '()'}, with choices of different "
            f"shapes: {shapes[0]} and {shapes[1]}. Give them the same shape, or different addresses."
        )


def _in_dtypes_of(own: Choices, choices: Choices) -> Choices:
    """Choices that both branches share have one dtype in the union; bring them back to the branch's own."""
    if isinstance(own, dict) and isinstance(choices, dict):
        return {addr: _in_dtypes_of(own[addr], value) if addr in own else value for addr, value in choices.items()}
    if jax.tree.structure(own) != jax.tree.structure(choices):
        return choices
    return jax.tree.map(
        lambda mine, value: (
            jnp.asarray(value, mine.dtype)
            if hasattr(mine, "dtype") and hasattr(value, "astype") and value.dtype != mine.dtype
            else value
        ),
        own,
        choices,
    )


def overlay(choices: Choices, x: Constraints) -> Choices:
    """`choices` with those of `x` in their place; masked constraints apply where their mask is true."""
    if is_empty(x):
        return choices
    if isinstance(x, Masked):
        return select_where(x.mask, x.value, choices)
    if isinstance(x, dict) and isinstance(choices, dict):
        return {**choices, **{addr: overlay(choices.get(addr), value) for addr, value in x.items()}}
    return get_choices(x)
