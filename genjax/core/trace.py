"""Traces: what a generative function did, as a pytree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

import jax
import jax.numpy as jnp

from genjax.core import display
from genjax.core.arguments import map_batch, unshare, with_marks
from genjax.core.choices import Fixed, NotFixedException, Status
from genjax.core.lanes import scalar
from genjax.core.observed import Whole, observed_by, observed_marks
from genjax.core.pytree import Pytree
from genjax.shapes import Float
from genjax.signatures import Args, Choices, Constraints, Kwargs, PyTree

if TYPE_CHECKING:
    from genjax.core.gfi import AnyGFI, Weight

X = TypeVar("X")
R = TypeVar("R")


Observed: TypeAlias = "dict[str, Observed] | bool | jax.Array"
"""True, or a bool array, beneath the address of each choice of which something was observed."""


class Trace(Pytree, Generic[X, R]):
    """The record of one run, or of a batch of runs when it was made under `vmap`.

    Subclasses give `get_gen_fn`, `get_args`, `get_retval`, `raw_choices` and `raw_score`.
    """

    def get_gen_fn(self) -> AnyGFI:
        """The generative function that made the trace."""
        raise TypeError(f"{type(self).__name__} does not define get_gen_fn().")

    def get_args(self) -> tuple[Args, Kwargs]:
        """`(positional arguments, keyword arguments)` of the run.

        In a batch, arguments that all runs share have no batch axis.
        """
        raise TypeError(f"{type(self).__name__} does not define get_args().")

    def get_retval(self) -> R:
        """The return value."""
        raise TypeError(f"{type(self).__name__} does not define get_retval().")

    def raw_choices(self) -> Choices:
        """The choices as stored: subtraces and `Fixed` marks not taken off."""
        raise TypeError(f"{type(self).__name__} does not define raw_choices().")

    def raw_score(self) -> Float[jax.Array, "..."] | jax.ShapeDtypeStruct:
        """The stored score: () for one run, the batch shape for a batch of runs."""
        raise TypeError(f"{type(self).__name__} does not define raw_score().")

    def inner(self) -> PyTree:
        """What the choices are made of, as stored: a dict of subtraces, the trace of all lanes, or a choice."""
        return self.get_choices() if type(self).raw_choices is Trace.raw_choices else self.raw_choices()

    def get_choices(self) -> X:
        """The choices as plain nested dicts of values."""
        return get_choices(self.raw_choices())

    def get_fixed_choices(self) -> Choices:
        """The choices with `Fixed` marks kept."""
        return get_fixed_choices(self.raw_choices())

    def get_score(self) -> Float[jax.Array, ""]:
        """`-log p(choices; args)`, scalar; for a batch of runs the sum over the batch (see `scores`)."""
        return scalar(self.raw_score())

    def scores(self) -> Float[jax.Array, "..."]:
        """`-log p(choices; args)` of each run of a batch: the batch shape, () for a single run."""
        return self.raw_score()

    def observed(self) -> Observed:
        """What was observed: a nested dict from address to True, or to a bool array where it was a part.

        The array has leading axes of the choice. Addresses of which nothing was observed are not in it. Empty after
        `simulate`, and after a `generate` that was given every choice.
        """
        return jax.tree.map(
            lambda mark: True if isinstance(mark, Whole) else mark,
            observed_marks(self),
            is_leaf=lambda mark: isinstance(mark, Whole),
        )

    def observe(self, constraints: Constraints) -> Self:
        """The same trace, with the addresses in `constraints` marked as observed, and no others.

        `generate` does this with what it was given, unless that was everything. Kernels move what is not observed.

        Args:
            constraints: as for `generate`; only the addresses, masks and indices are looked at. `None` for nothing.
        """
        return with_marks(self, observed_by(constraints, self, is_start=False))

    def verify(self) -> None:
        """Check that every choice is marked `Fixed`.

        Raises:
            NotFixedException: some are not; the message lists them.
        """
        status = _fixed_status(self.get_fixed_choices())
        if not all(jax.tree.leaves(status)):
            raise NotFixedException(status)

    def update(self, x: X | None, *args: Any, **kwargs: Any) -> tuple[Trace[X, R], Weight, X]:
        """`gen_fn.update(self, x, *args, **kwargs)`; without arguments, with those of the trace."""
        if not args and not kwargs:
            args, kwargs = self.get_args()
        return self.get_gen_fn().update(self, x, *args, **kwargs)

    def __getitem__(self, addr: Any) -> Any:
        """Choices at an address (str), or one run of a batch (int, slice or index array)."""
        if isinstance(addr, str):
            choices = self.raw_choices()
            if not isinstance(choices, dict):
                choices = self.get_choices()
            if not isinstance(choices, dict) or addr not in choices:
                known = ", ".join(map(repr, choices)) if isinstance(choices, dict) else "none: it is one value"
                raise KeyError(f"{addr!r} is not an address of this trace; it has: {known}")
            return get_choices(choices[addr])
        self._require_batch("trace[index]")
        if jnp.ndim(self.raw_score()) > 1:
            return jax.tree.map(lambda leaf: leaf[addr], self)
        picked = map_batch(lambda leaf: leaf[addr], self)
        return picked if jnp.ndim(picked.raw_score()) else unshare(picked, self.raw_score())

    def __len__(self) -> int:
        """Number of runs in a batch."""
        self._require_batch("len(trace)")
        return int(self.raw_score().shape[0])

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def _require_batch(self, what: str) -> None:
        if jnp.ndim(self.raw_score()) == 0:
            raise TypeError(f"{what} needs a batch of traces, made under vmap; this is a single one.")

    def __repr__(self) -> str:
        return display.trace_text(self)

    def _repr_html_(self) -> str:
        return display.trace_html(self)


AnyTrace: TypeAlias = Trace[Any, Any]
"""A trace of any generative function."""


@Pytree.dataclass
class Tr(Trace[X, R]):
    """The standard trace. For a `Fn` the choices are a dict from address to subtrace."""

    _gen_fn: AnyGFI
    _args: tuple[Any, ...]  # of the call, and marks of what was observed
    _choices: Choices
    _retval: R
    _score: Any  # an array; in a tree of axes or of flags made from traces, what stands for it

    def get_gen_fn(self) -> AnyGFI:
        return self._gen_fn

    def get_args(self) -> tuple[Args, Kwargs]:
        return unshare(self._args[:2], self._score)

    def get_retval(self) -> R:
        return self._retval

    def raw_choices(self) -> Choices:
        return self._choices

    def raw_score(self) -> Float[jax.Array, "..."] | jax.ShapeDtypeStruct:
        return self._score

    __repr__ = Trace.__repr__


def get_choices(x: PyTree) -> Choices:
    """The plain choices of x: a trace, or any pytree that may contain traces. Other values are returned as they are."""
    return _strip(x, strip_fixed=True)


def get_fixed_choices(x: PyTree) -> Choices:
    """The choices of x as by `get_choices`, with `Fixed` marks kept."""
    return _strip(x, strip_fixed=False)


def _strip(x: PyTree, strip_fixed: bool) -> Choices:
    if isinstance(x, Trace):
        return x.get_choices() if strip_fixed else x.get_fixed_choices()
    if isinstance(x, Fixed):
        return _strip(x.value, strip_fixed) if strip_fixed else x
    if isinstance(x, dict):  # keeps the program's order, which jax.tree.map would sort
        return {addr: _strip(value, strip_fixed) for addr, value in x.items()}
    return jax.tree.map(
        lambda v: _strip(v, strip_fixed) if isinstance(v, (Trace, Fixed)) else v,
        x,
        is_leaf=lambda v: v is not x and isinstance(v, (Trace, Fixed)),
    )


def _fixed_status(choices: Choices) -> Status:
    if isinstance(choices, dict):
        return {addr: _fixed_status(value) for addr, value in choices.items()}
    return isinstance(choices, Fixed)


def get_score(trace: AnyTrace) -> Float[jax.Array, ""]:
    """`trace.get_score()`."""
    return trace.get_score()


def get_retval(trace: Trace[Any, R]) -> R:
    """`trace.get_retval()`."""
    return trace.get_retval()
