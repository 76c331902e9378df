"""Random choices as JAX primitives.

A *site* is one equation `sample_p.bind(*parameters, sampler=..., shape=...)`. It draws without a key: `seed` gives it
one, eager execution takes one from a process-wide counter, and compilation without a key is an error. Because the
batching rule knows the axis size and is always called, plain `jax.vmap` draws one independent value per lane, also
where no parameter is batched, and inside scan, cond, while, jit, remat and custom derivatives.
"""

from __future__ import annotations

import functools
import itertools
import operator
import sys
import threading
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike, DTypeLike

from genjax.pjax import jax_internals
from genjax.pjax.errors import unseeded_site_error
from genjax.pjax.jax_internals import AxisData, LoweringContext, Operand, Primitive, Shaped, ShapedArray, Tangent

sample_p = jax_internals.Primitive("pjax.sample")
"""The primitive of a random choice."""
adev_sample_p = jax_internals.Primitive("pjax.adev_sample")
"""The primitive of a random choice with a gradient estimator."""
log_density_p = jax_internals.Primitive("pjax.log_density")
"""What a density would be marked with; no program holds it, since densities are ordinary JAX functions here."""
SITE_PRIMITIVES = (sample_p, adev_sample_p)


# Samplers: the static part of a site


class SiteSampler(Hashable, Protocol):
    """What a site asks of its sampler."""

    @property
    def name(self) -> str: ...

    def draw(self, key: jax.Array, *parameters: ArrayLike, shape: tuple[int, ...]) -> jax.Array: ...

    def abstract(self, parameters: Sequence[Shaped], shape: tuple[int, ...]) -> ShapedArray: ...

    def batched(
        self, size: int, arguments: Sequence[ArrayLike], dims: Sequence[int | None], shape: tuple[int, ...]
    ) -> tuple[SiteSampler, list[ArrayLike], tuple[int, ...]]: ...


def _no_event(*_parameter_shapes: tuple[int, ...]) -> tuple[int, ...]:
    return ()


def _default_float(*_parameter_dtypes: DTypeLike) -> DTypeLike:
    return jnp.result_type(float)


@dataclass(frozen=True)
class Sampler:
    """A sampler that broadcasts: one batched draw serves every lane.

    Attributes:
        name: shown in jaxprs and errors.
        draw: `draw(key, *parameters, shape) -> (*shape, *event)`. `shape` is the whole batch shape; the parameters
            are rank-aligned so that their batch axes broadcast against it.
        event_ranks: number of trailing event axes of each parameter, e.g. `(1, 2)` for a mean and a covariance.
        event_shape: from the parameters' shapes to the shape of one draw.
        dtype: from the parameters' dtypes to the dtype of a draw.
    """

    name: str
    draw: Callable[..., jax.Array]
    event_ranks: tuple[int, ...] = ()
    event_shape: Callable[..., tuple[int, ...]] = _no_event
    dtype: Callable[..., DTypeLike] = _default_float

    def __repr__(self) -> str:
        return self.name

    def batch_shape(self, parameters: Sequence[ArrayLike]) -> tuple[int, ...]:
        """The common batch shape of the parameters."""
        shapes = [np.shape(p)[: np.ndim(p) - rank] for p, rank in zip(parameters, self.event_ranks, strict=True)]
        return np.broadcast_shapes(*shapes)

    def abstract(self, parameters: Sequence[Shaped], shape: tuple[int, ...]) -> ShapedArray:
        """Shape and dtype of a draw, without tracing the sampler."""
        event = self.event_shape(*(p.shape for p in parameters))
        return jax.core.ShapedArray((*shape, *event), jnp.dtype(self.dtype(*(p.dtype for p in parameters))))

    def batched(
        self, size: int, arguments: Sequence[ArrayLike], dims: Sequence[int | None], shape: tuple[int, ...]
    ) -> tuple[SiteSampler, list[ArrayLike], tuple[int, ...]]:
        """The same draw with one more leading lane axis: `(sampler, arguments, shape)`."""
        aligned = []
        for argument, dim, event_rank in zip(arguments, dims, self.event_ranks, strict=True):
            if dim is not None:
                argument = jnp.moveaxis(argument, dim, 0)
                missing = 1 + len(shape) + event_rank - argument.ndim
                argument = argument.reshape(argument.shape[:1] + (1,) * missing + argument.shape[1:])
            aligned.append(argument)
        return self, aligned, (size, *shape)


@dataclass(frozen=True)
class KeyfulSampler:
    """A user's sampler `sample(key, *args, sample_shape=(), **kwargs)`, about which nothing else is known.

    Lanes of a `vmap` get keys of their own (`key` is split), whatever noise the sampler draws.
    """

    name: str
    sample: Callable[..., ArrayLike]
    in_tree: PyTreeDef
    static_leaves: tuple[object, ...]

    def __repr__(self) -> str:
        return self.name

    def draw(self, key: jax.Array, *arrays: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
        del shape
        dynamic = iter(arrays)
        leaves = [next(dynamic) if leaf is _DYNAMIC else leaf for leaf in self.static_leaves]
        args, kwargs = jax.tree.unflatten(self.in_tree, leaves)
        return jnp.asarray(self.sample(key, *args, **kwargs))

    def abstract(self: SiteSampler, parameters: Sequence[Shaped], shape: tuple[int, ...]) -> ShapedArray:
        return _abstract_by_tracing(self, parameters, shape)

    def batched(
        self: SiteSampler, size: int, arguments: Sequence[ArrayLike], dims: Sequence[int | None], shape: tuple[int, ...]
    ) -> tuple[SiteSampler, list[ArrayLike], tuple[int, ...]]:
        return LaneSampler(self, size, tuple(dims)), list(arguments), shape


@dataclass(frozen=True)
class LaneSampler:
    """`size` independent draws of another sampler along a new leading axis, by splitting the key."""

    inner: SiteSampler
    size: int
    dims: tuple[int | None, ...]

    @property
    def name(self) -> str:
        return self.inner.name

    def __repr__(self) -> str:
        return f"{self.name}[{self.size}]"

    def draw(self, key: jax.Array, *arrays: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
        keys = jax.random.split(key, self.size)
        return jax.vmap(functools.partial(self.inner.draw, shape=shape), in_axes=(0, *self.dims))(keys, *arrays)

    abstract = KeyfulSampler.abstract
    batched = KeyfulSampler.batched


def _return_key(key: jax.Array) -> jax.Array:
    # The equations behind were staged for a key of the default kind; a caller's key may be of another.
    default = jax.eval_shape(lambda: jax.random.key(0))
    if key.dtype == default.dtype:
        return key
    data = jax.eval_shape(jax.random.key_data, default)
    return jax.random.wrap_key_data(jax.random.bits(key, data.shape, data.dtype))


_DYNAMIC = type("_Dynamic", (), {"__repr__": lambda self: "<array>"})()
_KEY_SITE = KeyfulSampler("key", _return_key, jax.tree.structure(((), {})), ())


def _abstract_by_tracing(sampler: SiteSampler, parameters: Sequence[Shaped], shape: tuple[int, ...]) -> ShapedArray:
    out = _traced_shape(sampler, tuple((p.shape, p.dtype) for p in parameters), shape)
    return jax.core.ShapedArray(out.shape, out.dtype)


@functools.lru_cache(maxsize=1024)
def _traced_shape(
    sampler: SiteSampler, kinds: tuple[tuple[tuple[int, ...], DTypeLike], ...], shape: tuple[int, ...]
) -> jax.ShapeDtypeStruct:
    structs = [jax.ShapeDtypeStruct(*kind) for kind in kinds]
    return jax.eval_shape(lambda *p: sampler.draw(jax.random.key(0), *p, shape=shape), *structs)


# The primitive's rules


_counter = itertools.count()
_counter_lock = threading.Lock()


def _next_count() -> np.uint32:
    with _counter_lock:
        return np.uint32(next(_counter) & 0xFFFFFFFF)


@functools.lru_cache(maxsize=1024)
def _compiled_draw(sampler: SiteSampler, shape: tuple[int, ...]) -> Callable[..., jax.Array]:
    # The count is an operand: a new key is not a new program.
    return jax.jit(lambda count, *parameters: sampler.draw(jax.random.key(count), *parameters, shape=shape))


def _draw_eagerly(*parameters: ArrayLike, sampler: SiteSampler, shape: tuple[int, ...]) -> jax.Array:
    return _compiled_draw(sampler, shape)(_next_count(), *parameters)


def _abstract(*parameters: ShapedArray, sampler: SiteSampler, shape: tuple[int, ...]) -> ShapedArray:
    return sampler.abstract(parameters, shape)


def _lower(
    context: LoweringContext, *operands: Operand, sampler: SiteSampler, shape: tuple[int, ...]
) -> Sequence[Operand]:
    settings = sys.modules["genjax.pjax"]
    error = unseeded_site_error(sampler.name, str(context.name_stack), jax_internals.user_frames(context.traceback))
    if settings.enforce_lowering_exception:
        raise error
    if settings.lowering_warning:
        warnings.warn(str(error), stacklevel=2)
    baked = jax.random.key_data(jax.random.key(_next_count()))

    def draw(*parameters: ArrayLike) -> jax.Array:
        return sampler.draw(jax.random.wrap_key_data(baked), *parameters, shape=shape)

    return jax_internals.lower_function(draw)(context, *operands)


def _install_rules(primitive: Primitive) -> None:
    def batch(
        axis_data: AxisData,
        arguments: Sequence[ArrayLike],
        dims: Sequence[int | None],
        *,
        sampler: SiteSampler,
        shape: tuple[int, ...],
    ) -> tuple[jax.Array, int]:
        sampler, arguments, shape = sampler.batched(axis_data.size, arguments, dims, shape)
        return primitive.bind(*arguments, sampler=sampler, shape=shape), 0

    def differentiate(
        primals: Sequence[ArrayLike], tangents: Sequence[ArrayLike], *, sampler: SiteSampler, shape: tuple[int, ...]
    ) -> tuple[jax.Array, Tangent]:
        # Draw the key as a site of its own; what remains is an ordinary differentiable function of the parameters.
        # Under `seed` that key is the one the undifferentiated site would have used, so the value does not change.
        key = sample_p.bind(sampler=_KEY_SITE, shape=())
        value, tangent = jax.jvp(lambda *p: sampler.draw(key, *p, shape=shape), primals, tangents)
        if tangent.dtype == jax.dtypes.float0:
            tangent = jax_internals.symbolic_zero_tangent(value)
        return value, tangent

    primitive.def_impl(_draw_eagerly)
    primitive.def_abstract_eval(_abstract)
    jax_internals.register_lowering(primitive, _lower)
    jax_internals.register_batching(primitive, batch)
    jax_internals.register_jvp(primitive, differentiate)
    jax_internals.draw_once_under_remat(primitive)


for _primitive in SITE_PRIMITIVES:
    _install_rules(_primitive)


# Binding sites


def sample_site(
    sampler: Sampler,
    parameters: Sequence[ArrayLike],
    sample_shape: tuple[int, ...] = (),
    primitive: Primitive = sample_p,
) -> jax.Array:
    """Bind one site of a broadcasting sampler.

    Args:
        sampler: the sampler.
        parameters: its array parameters, in order.
        sample_shape: leading shape of independent draws.
        primitive: `sample_p`, or `adev_sample_p` for a site with an estimator.

    Returns:
        A draw of shape `(*sample_shape, *batch, *event)`.
    """
    arrays = [jnp.asarray(p) for p in parameters]
    # Parameters broadcast from the right, so that sample axes stay in front of batch axes.
    shape = (*_as_shape(sample_shape), *sampler.batch_shape(arrays))
    return primitive.bind(*arrays, sampler=sampler, shape=shape)


def _as_shape(shape: Any) -> tuple[int, ...]:
    shape = getattr(shape, "value", shape)  # of a `Const`, in which `seed` keeps it a Python value
    sizes = list(shape) if isinstance(shape, (tuple, list)) or np.ndim(shape) else [shape]
    if any(isinstance(size, jax.core.Tracer) for size in sizes):
        raise TypeError(
            f"sample_shape must be static, got a traced array: {shape}. Shapes are known before tracing: pass it "
            "through `seed` or `jit` as `const((5,))`, or close over it."
        )
    return tuple(operator.index(size) for size in sizes)


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float, complex))


def sample_binder(
    keyful_sampler: Callable[..., ArrayLike],
    name: str | None = None,
    sample_shape: tuple[int, ...] = (),
    support: object = None,
    primitive: Primitive = sample_p,
    primitive_params: dict[str, Any] | None = None,
) -> Callable[..., ArrayLike]:
    """A keyless sampler from a keyful one, with a fixed sample shape.

    Args:
        keyful_sampler: as in `wrap_sampler`.
        name: shown in jaxprs and errors; the function's name by default.
        sample_shape: leading shape of independent draws.
        support: accepted for compatibility; has no effect.
        primitive: `sample_p`, or `adev_sample_p`.
        primitive_params: must be empty; a site has no parameters but its sampler and its shape.

    Returns:
        `sampler(*args, **kwargs)`.

    Raises:
        TypeError: `primitive_params` are given.
    """
    del support
    if primitive_params:
        raise TypeError(
            f"sample_binder got primitive_params={primitive_params!r}, and sites take none. Close over them in the "
            "sampler; an estimator of one's own is an ADEVPrimitive."
        )
    label = name or str(getattr(keyful_sampler, "__name__", "sampler"))
    if sample_shape:
        keyful_sampler = _with_sample_shape(keyful_sampler, _as_shape(sample_shape))

    def bind(*args: Any, **kwargs: Any) -> jax.Array:
        leaves, in_tree = jax.tree.flatten((args, kwargs))
        arrays = [jnp.asarray(leaf) for leaf in leaves if _is_array(leaf)]
        static = tuple(_DYNAMIC if _is_array(leaf) else leaf for leaf in leaves)
        sampler = KeyfulSampler(label, keyful_sampler, in_tree, static)
        return primitive.bind(*arrays, sampler=sampler, shape=())

    return bind


@functools.lru_cache(maxsize=1024)
def _with_sample_shape(
    keyful_sampler: Callable[..., ArrayLike], sample_shape: tuple[int, ...]
) -> Callable[..., ArrayLike]:
    return functools.partial(keyful_sampler, sample_shape=sample_shape)


def wrap_sampler(
    keyful_sampler: Callable[..., ArrayLike], name: str | None = None, support: object = None
) -> Callable[..., ArrayLike]:
    """A keyless sampler, which also accepts `sample_shape=`, from a keyful one.

    Args:
        keyful_sampler: `(key, *args, sample_shape=(), **kwargs) -> array (*sample_shape, *batch, *event)`.
        name: shown in jaxprs and errors; the function's name by default.
        support: accepted for compatibility; has no effect.

    Returns:
        `sampler(*args, sample_shape=(), **kwargs)`. Each lane of a `vmap` draws with a key of its own.
    """
    del support

    def sampler(*args: Any, sample_shape: tuple[int, ...] = (), **kwargs: Any) -> jax.Array:
        return sample_binder(keyful_sampler, name, _as_shape(sample_shape))(*args, **kwargs)

    sampler.__static_parameters__ = ("sample_shape",)  # type: ignore[attr-defined]
    return sampler


def wrap_logpdf(logpdf: Callable[..., ArrayLike], name: str | None = None) -> Callable[..., ArrayLike]:
    """The function `logpdf` itself: densities are ordinary JAX functions, and need neither wrapper nor `name`."""
    del name
    return logpdf


def log_density_binder(impl: Callable[..., ArrayLike], name: str | None = None) -> Callable[..., ArrayLike]:
    """The function `impl` itself, a log density, as by `wrap_logpdf`; `name` is not needed either."""
    return wrap_logpdf(impl, name)
