"""`Vmap`: independent copies of a generative function along a new leading axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import PyTreeDef

from genjax.core.addresses import check_selection
from genjax.core.arguments import with_marks, without_args
from genjax.core.choices import Strict, as_choices, is_empty
from genjax.core.const import Const, count_or_none, unwrap
from genjax.core.distribution import Distribution
from genjax.core.fit import check_lanes, check_moved
from genjax.core.gfi import GFI, AnyGFI, Density, Weight
from genjax.core.lanes import scalar, sum_lanes
from genjax.core.observed import like, observed_by
from genjax.core.partial import Indexed, with_lanes
from genjax.core.pytree import Pytree
from genjax.core.selection import SelectionBase
from genjax.core.sites import Sites
from genjax.core.trace import AnyTrace, Tr, Trace
from genjax.pjax.vectorize import modular_vmap
from genjax.signatures import Args, Constraints, Kwargs, PyTree

X = TypeVar("X")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class _FrozenAxes:
    """`in_axes` that contain dicts, made hashable."""

    leaves: tuple[int | None, ...]
    structure: PyTreeDef

    @staticmethod
    def freeze(axes: PyTree) -> Hashable:
        if isinstance(axes, list):
            axes = tuple(axes)
        try:
            hash(axes)
        except TypeError:
            leaves, structure = jax.tree.flatten(axes, is_leaf=lambda leaf: leaf is None)
            return _FrozenAxes(tuple(leaves), structure)
        return axes

    @staticmethod
    def thaw(axes: Hashable) -> PyTree:
        return jax.tree.unflatten(axes.structure, axes.leaves) if isinstance(axes, _FrozenAxes) else axes


@Pytree.dataclass
class Vmap(GFI[X, R], Generic[X, R]):
    """n independent copies of `gen_fn`. Choices and return value have the callee's structure with a leading axis n.

    Positional arguments are mapped by `in_axes` as in `jax.vmap`. Keyword arguments are mapped over axis 0 unless they
    are scalars or `in_axes` is None, and shared otherwise. Scores, densities and weights are summed over the copies.

    Attributes:
        gen_fn: the callee.
        in_axes: int, None, or one entry per positional argument (pytree prefixes allowed).
        axis_size: n; needed only when no argument is mapped.
        axis_name: name for collectives in the callee.
        spmd_axis_name: forwarded to `jax.vmap`.
    """

    gen_fn: AnyGFI
    in_axes: Any = Pytree.field(default=Const(0))
    axis_size: Any = Pytree.field(default=Const(None))
    axis_name: Any = Pytree.field(default=Const(None))
    spmd_axis_name: Any = Pytree.field(default=Const(None))

    def __post_init__(self) -> None:
        object.__setattr__(self, "in_axes", Const(_FrozenAxes.freeze(unwrap(self.in_axes))))
        for name in ("axis_size", "axis_name", "spmd_axis_name"):
            object.__setattr__(self, name, Const(unwrap(getattr(self, name))))
        size = count_or_none(self.axis_size.value, "The number of copies of a Vmap")
        object.__setattr__(self, "axis_size", Const(size))

    def _map(self, lane: Callable[..., PyTree], mapped: PyTree, args: Args, kwargs: Kwargs) -> PyTree:
        """vmap `lane(mapped, args, kwargs)` with axis 0 of `mapped` and our axes of the arguments."""
        return modular_vmap(
            lane,
            in_axes=(0, *self._argument_axes(args, kwargs)),
            axis_size=self.axis_size.value,
            axis_name=self.axis_name.value,
            spmd_axis_name=self.spmd_axis_name.value,
        )(mapped, args, kwargs)

    def _argument_axes(self, args: Args, kwargs: Kwargs) -> tuple[PyTree, PyTree]:
        axes = _FrozenAxes.thaw(self.in_axes.value)
        if isinstance(axes, tuple) and len(axes) != len(args):
            raise ValueError(
                f"vmap in_axes must be an int, None, or a tuple with one entry per positional argument: {self!r} was "
                f"called with {len(args)} positional arguments, and in_axes is {axes}."
            )
        if axes is None:
            return None, None
        return axes, jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, kwargs)

    def _size(self, args: Args, kwargs: Kwargs) -> int:
        if self.axis_size.value is not None:
            return self.axis_size.value
        axes, keyword_axes = self._argument_axes(args, kwargs)
        sizes = [*_mapped_sizes(axes, args), *_mapped_sizes(keyword_axes, kwargs)]
        if not sizes:
            raise ValueError(
                f"{self!r} was called with {len(args)} positional arguments, none of them mapped, so the number of "
                "copies is not known. Use .repeat(n) for n copies that share their arguments, or vmap(axis_size=n)."
            )
        return sizes[0]

    def _constraints(self, x: Constraints, args: Args, kwargs: Kwargs) -> Constraints:
        if isinstance(x, Strict):
            return Strict(self._constraints(x.choices, args, kwargs))
        x = as_choices(x)
        if is_empty(x):
            return x
        n = self._size(args, kwargs)
        x = with_lanes(x.expand(n) if isinstance(x, Indexed) else x, n)
        check_lanes(x, n, f"the number of lanes of {self!r}")
        return x

    def _is_polynomial(self) -> bool:
        return isinstance(self.gen_fn, Distribution) and self.gen_fn.is_polynomial

    def _trace(self, inner: AnyTrace, *stored: Any) -> Tr[X, R]:
        score = scalar(inner.raw_score(), True) if self._is_polynomial() else inner.get_score()
        return Tr(self, stored, without_args(inner), inner.get_retval(), score)

    def simulate(self, *args: Any, **kwargs: Any) -> Tr[X, R]:
        self._size(args, kwargs)  # says what is wrong, where JAX's message does not say what to write
        inner = self._map(lambda _, args, kwargs: self.gen_fn.simulate(*args, **kwargs), None, args, kwargs)
        return self._trace(inner, args, kwargs)

    def assess(self, x: X, *args: Any, **kwargs: Any) -> tuple[Density, R]:
        x = self._constraints(x, args, kwargs)
        densities, retval = self._map(lambda x, a, k: self.gen_fn.assess(x, *a, **k), x, args, kwargs)
        return sum_lanes(densities, self._is_polynomial()), retval

    def sites(self, x: X, *args: Any, **kwargs: Any) -> tuple[Sites, R]:
        x = self._constraints(x, args, kwargs)
        return self._map(lambda x, a, k: self.gen_fn.sites(x, *a, **k), x, args, kwargs)

    def generate(self, x: X | None, *args: Any, **kwargs: Any) -> tuple[Tr[X, R], Weight]:
        if is_empty(x):
            return self.simulate(*args, **kwargs), jnp.array(0.0)
        given = self._constraints(x, args, kwargs)
        inner, weights = self._map(lambda x, a, k: self.gen_fn.generate(x, *a, **k), given, args, kwargs)
        new = self._trace(inner, args, kwargs)
        return with_marks(new, observed_by(x, new)), sum_lanes(weights, self._is_polynomial())

    def update(self, tr: Trace[X, R], x: X | None, *args: Any, **kwargs: Any) -> tuple[Tr[X, R], Weight, X]:
        x = None if is_empty(x) else self._constraints(x, args, kwargs)
        check_moved(tr, self._size(args, kwargs), "lanes")

        def lane(mapped: PyTree, args: Args, kwargs: Kwargs) -> PyTree:
            old, x = mapped
            return self.gen_fn.update(old, x, *args, **kwargs)

        inner, weights, discard = self._map(lane, (tr.raw_choices(), x), args, kwargs)
        return self._trace(inner, *like(args, kwargs, tr)), sum_lanes(weights, self._is_polynomial()), discard

    def regenerate(
        self, tr: Trace[X, R], selection: SelectionBase, *args: Any, **kwargs: Any
    ) -> tuple[Tr[X, R], Weight, X | None]:
        selection = check_selection(selection, tr, f"regenerate() of {self!r}")

        check_moved(tr, self._size(args, kwargs), "lanes")

        def lane(old: AnyTrace, args: Args, kwargs: Kwargs) -> PyTree:
            return self.gen_fn.regenerate(old, selection, *args, **kwargs)

        inner, weights, discard = self._map(lane, tr.raw_choices(), args, kwargs)
        return self._trace(inner, *like(args, kwargs, tr)), sum_lanes(weights, self._is_polynomial()), discard

    def project(self, tr: Trace[X, R], selection: SelectionBase) -> Density:
        selection = check_selection(selection, tr, f"project() of {self!r}")
        return sum_lanes(modular_vmap(lambda inner: self.gen_fn.project(inner, selection))(tr.raw_choices()))

    def merge(self, x: X, x_: X, check: jax.Array | None = None) -> tuple[X, X | None]:
        return self.gen_fn.merge(x, x_, check)  # the mask's axes align with the leading axes of the choices

    def filter(self, x: X, selection: SelectionBase) -> tuple[X | None, X | None]:
        return self.gen_fn.filter(x, selection)

    def __repr__(self) -> str:
        if self.in_axes.value is None:
            return f"{self.gen_fn!r}.repeat({self.axis_size.value})"
        return f"{self.gen_fn!r}.vmap(in_axes={_FrozenAxes.thaw(self.in_axes.value)})"


def _mapped_sizes(axes: PyTree, values: PyTree) -> Iterator[int]:
    """The sizes of the mapped axes; `axes` is a prefix of `values`, as in `jax.vmap`."""
    if axes is None:
        return
    if isinstance(axes, int):
        for leaf in jax.tree.leaves(values):
            shape = jnp.shape(leaf)
            if not -len(shape) <= axes < len(shape):
                raise ValueError(
                    f"vmap was asked to map axis {axes} of an argument of shape {shape}. For one value in all lanes, "
                    "give None as its entry of in_axes, as in `.vmap(in_axes=(0, None))`. A list of numbers counts as "
                    "many arguments of shape (): pass jnp.array(values)."
                )
            yield shape[axes]
        return
    pairs: list[tuple[PyTree, PyTree]] = []
    jax.tree.map(lambda *pair: pairs.append(pair), axes, values, is_leaf=lambda axis: axis is None)
    for axis, value in pairs:
        yield from _mapped_sizes(axis, value)
