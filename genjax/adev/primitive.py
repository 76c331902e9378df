"""`ADEVPrimitive`: a random choice that knows how to estimate derivatives of expectations over it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike

from genjax.adev.dual import Dual, DualTree
from genjax.core.pytree import Pytree
from genjax.pjax.sites import KeyfulSampler, LaneSampler, SiteSampler, adev_sample_p, sample_p
from genjax.signatures import Args, Kwargs

T = TypeVar("T")
KPure = Callable[[ArrayLike], jax.Array]
KDual = Callable[[Dual], Dual]


class Site(SiteSampler, Protocol):
    """The static part of a choice with an estimator."""

    @property
    def primitive(self) -> Any:
        """An `ADEVPrimitive` that has what its rule asks for, such as the `probabilities` of values to enumerate."""

    def log_density(self, value: jax.Array, parameters: Sequence[jax.Array]) -> jax.Array:
        """`log p(value)` of every lane."""
        ...


class UnmappedSite(Site, Protocol):
    """A site as a call makes it, before any `vmap`."""

    def batch_shape(self, parameters: Sequence[ArrayLike]) -> tuple[int, ...]:
        """The common batch shape of the parameters."""
        ...


@Pytree.dataclass
class ADEVPrimitive(Pytree):
    """A sampler with a rule for the derivative of an expectation. Subclass it to add an estimator.

    A subclass defines `sample_with_key` and `prim_jvp_estimate` (and `sample`, where other code wants a keyless draw).
    Calling an instance makes a random choice; inside `expectation` the choice is differentiated by the rule, and
    anywhere else it is a draw like any other. Instances are compared by their fields.

    Source: Lew, Huot, Staton, Mansinghka, *ADEV: Sound automatic differentiation of expected values of probabilistic
    programs*, POPL 2023, section 4 (primitives with built-in derivative estimators).
    """

    def sample(self, *args: Any) -> ArrayLike:
        """Draw a value without a key, by other random choices.

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement sample(*args) to be drawn without a key.")

    def sample_with_key(self, key: jax.Array, *args: Any, sample_shape: tuple[int, ...] = ()) -> ArrayLike:
        """Draw a value of shape `(*sample_shape, *shape of one draw)` with a key.

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement sample_with_key(key, *args, sample_shape=()) to be used as a "
            "random choice."
        )

    def prim_jvp_estimate(self, dual_args: tuple[DualTree, ...], konts: tuple[KPure, KDual]) -> Dual:
        """Estimate the value and the directional derivative of `E[rest(v)]`, v drawn by this primitive.

        Args:
            dual_args: the arguments as Duals (trees of Duals for arguments that are trees).
            konts: `(kpure, kdual)`. `kpure(v)` estimates the rest's value at v; `kdual(Dual(v, dv))` its value and
                directional derivative. Each call is a run of the rest of the program.

        Returns:
            A Dual of scalars, both unbiased; the tangent linear in the tangents of the arguments and of `kdual`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must implement prim_jvp_estimate(dual_args, (kpure, kdual)) to be differentiated."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> jax.Array:
        """Make a random choice with these arguments; keyword arguments are named by the signature of `sample`."""
        site, parameters = self.site(args, kwargs)
        return adev_sample_p.bind(*parameters, sampler=site, shape=())

    def site(self, args: Args, kwargs: Kwargs) -> tuple[UnmappedSite, list[jax.Array]]:
        """The static part of a choice with these arguments, and its array parameters."""
        if kwargs:
            bound = inspect.signature(self.prim_arguments()).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        leaves, in_tree = jax.tree.flatten(args)
        return PrimitiveSite(self, in_tree), [jnp.asarray(leaf) for leaf in leaves]

    def prim_arguments(self) -> Callable[..., ArrayLike]:
        """The function whose signature names the arguments."""
        return self.sample


def invoke_closed_over(instance: Callable[..., T], args: Args) -> T:
    """`instance(*args)`: a call as a function of one object and its arguments."""
    return instance(*args)


# The static part of a site of a user's primitive


@dataclass(frozen=True)
class PrimitiveSite:
    """One choice by a primitive about which nothing is known but its methods."""

    primitive: ADEVPrimitive
    in_tree: PyTreeDef

    @property
    def name(self) -> str:
        return type(self.primitive).__name__

    def arguments(self, arrays: Sequence[ArrayLike]) -> Args:
        return jax.tree.unflatten(self.in_tree, arrays)

    def draw(self, key: jax.Array, *arrays: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
        del shape
        return jnp.asarray(self.primitive.sample_with_key(key, *self.arguments(arrays)))

    def batch_shape(self, arrays: Sequence[ArrayLike]) -> tuple[int, ...]:
        """Nothing is known about batches of such a primitive: it makes one choice."""
        return ()

    def log_density(self, value: jax.Array, arrays: Sequence[jax.Array]) -> jax.Array:
        """`log p(value)`, (); for primitives that have a density."""
        return jnp.sum(self.primitive.log_density(value, *self.arguments(arrays)))  # type: ignore[attr-defined]

    abstract = KeyfulSampler.abstract

    def batched(
        self, size: int, arguments: Sequence[ArrayLike], dims: Sequence[int | None], shape: tuple[int, ...]
    ) -> tuple[SiteSampler, list[ArrayLike], tuple[int, ...]]:
        return PrimitiveLanes(self, size, tuple(dims)), list(arguments), shape


@dataclass(frozen=True)
class PrimitiveLanes(LaneSampler):
    """Independent choices of a user's primitive along a new leading axis."""

    inner: PrimitiveSite | PrimitiveLanes

    @property
    def primitive(self) -> ADEVPrimitive:
        return self.inner.primitive

    def lane(self, index: int, arrays: Sequence[jax.Array]) -> list[jax.Array]:
        """The arguments of one lane."""
        return [
            array if dim is None else jax.lax.index_in_dim(array, index, dim, keepdims=False)
            for array, dim in zip(arrays, self.dims, strict=True)
        ]

    def log_density(self, value: jax.Array, arrays: Sequence[jax.Array]) -> jax.Array:
        """`log p(value)` of every lane: (size, *lanes of the inner choice)."""
        of_lane = lambda v, *a: self.inner.log_density(v, a)
        return jax.vmap(of_lane, in_axes=(0, *self.dims))(value, *arrays)

    batched = PrimitiveSite.batched


# The key of an estimate


def _return_key(key: jax.Array, *, sample_shape: tuple[int, ...] = ()) -> jax.Array:
    del sample_shape
    return key


#: A choice that gives an estimate its key, where none is given. It may stand inside another expectation.
EXPECTATION_KEY = KeyfulSampler("expectation", _return_key, jax.tree.structure(((), {})), ())


def draw_key() -> jax.Array:
    """A key from `seed`, or from the counter of eager draws."""
    return sample_p.bind(sampler=EXPECTATION_KEY, shape=())
