"""`Pytree.dataclass`: frozen dataclasses that JAX sees through, with dynamic and static fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, dataclass_transform, overload

import jax
import numpy as np

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
class Pytree:
    """Base of every structured value of the library.

    `@Pytree.dataclass` makes a subclass a frozen dataclass registered with JAX. Fields are dynamic children, except
    those declared with `Pytree.static()`, which go to the tree structure and must be hashable.
    """

    @staticmethod
    def static(**field_kwargs: Any) -> Any:
        """A static field: part of the tree structure, compared by value. Takes `default=` and `default_factory=`."""
        return dataclasses.field(metadata={"static": True}, **field_kwargs)

    @staticmethod
    def field(**field_kwargs: Any) -> Any:
        """A dynamic field, whose value is a subtree."""
        return dataclasses.field(metadata={"static": False}, **field_kwargs)

    @overload
    @staticmethod
    def dataclass(cls: type[T], /, **kwargs: Any) -> type[T]: ...

    @overload
    @staticmethod
    def dataclass(cls: None = None, /, **kwargs: Any) -> Callable[[type[T]], type[T]]: ...

    @staticmethod
    def dataclass(cls: type[T] | None = None, /, **kwargs: Any) -> Any:
        """Make a class a frozen dataclass and a JAX pytree, whose key paths are its attribute names."""
        if cls is None:
            return lambda decorated: Pytree.dataclass(decorated, **kwargs)
        wants_repr = kwargs.pop("repr", True) and "__repr__" not in cls.__dict__
        own_eq, own_hash = cls.__dict__.get("__eq__"), cls.__dict__.get("__hash__")
        made = dataclasses.dataclass(frozen=True, eq=False, repr=wants_repr, **kwargs)(cls)
        if own_eq is None:
            made.__eq__ = _equal  # type: ignore[method-assign]
        if own_hash is None:
            made.__hash__ = _hash  # type: ignore[method-assign]
        fields = [f for f in dataclasses.fields(made) if f.init]  # type: ignore[arg-type]
        static = [f.name for f in fields if f.metadata.get("static", False)]
        dynamic = [f.name for f in fields if not f.metadata.get("static", False)]
        made.__static_fields__, made.__dynamic_fields__ = tuple(static), tuple(dynamic)  # type: ignore[attr-defined]
        _register(made, tuple(dynamic), tuple(static))
        return made


def _register(cls: type, dynamic: tuple[str, ...], static: tuple[str, ...]) -> None:
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in dynamic)

    def flatten(value: Pytree) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        statics = tuple(getattr(value, n) for n in static)
        # With their types, because 1 == 1.0 == True but a program compiled for one is wrong for the others.
        return tuple(getattr(value, n) for n in dynamic), (statics, tuple(map(type, statics)))

    def flatten_with_keys(value: Pytree) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, statics = flatten(value)
        return tuple(zip(keys, children, strict=True)), statics

    def unflatten(statics: tuple[Any, ...], children: Iterable[Any]) -> Pytree:
        value: Pytree = object.__new__(cls)
        for name, child in zip(dynamic, children, strict=True):
            object.__setattr__(value, name, child)
        for name, static_value in zip(static, statics[0], strict=True):
            object.__setattr__(value, name, static_value)
        return value

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)


def _equal(self: Any, other: Any) -> bool:
    """Field-wise equality; arrays are equal when shape, dtype and every element are."""
    if self is other:
        return True
    if type(self) is not type(other):
        return NotImplemented
    if any(getattr(self, n) != getattr(other, n) for n in self.__static_fields__):
        return False
    mine, my_tree = jax.tree.flatten([getattr(self, n) for n in self.__dynamic_fields__])
    theirs, their_tree = jax.tree.flatten([getattr(other, n) for n in other.__dynamic_fields__])
    return my_tree == their_tree and all(map(_same_leaf, mine, theirs))


def _same_leaf(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, jax.core.Tracer) or isinstance(b, jax.core.Tracer):
        return False  # the values are not known while tracing
    if isinstance(a, (jax.Array, np.ndarray)) or isinstance(b, (jax.Array, np.ndarray)):
        return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))
    return bool(a == b)


def _hash(self: Any) -> int:
    # Leaves that are arrays have no hash; equal values have equal static fields and structure.
    statics = tuple(getattr(self, n) for n in self.__static_fields__)
    structure = jax.tree.structure([getattr(self, n) for n in self.__dynamic_fields__])
    return hash((type(self), statics, structure))
