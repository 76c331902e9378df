"""Whether constraints fit the choices that they constrain: shapes, dtypes and numbers of lanes, while tracing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from genjax.core.addresses import Path, path_text
from genjax.core.choices import Fixed
from genjax.core.partial import Filled, Indexed, Masked
from genjax.signatures import Args, Constraints, Kwargs

if TYPE_CHECKING:
    from genjax.core.distribution import Distribution
    from genjax.core.trace import AnyTrace


# JAX takes a list apart into its elements, each a value of its own.
_A_LIST = "which JAX takes for a collection of values. Give one array: jnp.array(values)."


class ConstraintError(ValueError):
    """A constraint does not fit the choice that it constrains.

    Attributes:
        path: the addresses down to the choice.
    """

    def __init__(self, message: str, path: Path = ()):
        self.message, self.path = message, path
        super().__init__(message, path)

    def __str__(self) -> str:
        return f"The constraint {f'at {path_text(self.path)}' if self.path else 'of the choice'} {self.message}"


def fitted(distribution: Distribution[Any], value: Constraints, args: Args, kwargs: Kwargs) -> Constraints:
    """A constraint of one choice, checked against what the distribution draws with these arguments.

    Integers 0 and 1 become bools where bools are drawn, and `Filled` the array. Other values are returned as they are
    given. Distributions that do not say the shape of a draw accept everything.

    Raises:
        ConstraintError: another shape, or a dtype that is not one of the choice's values.
    """
    if isinstance(value, Fixed):
        return Fixed(fitted(distribution, value.value, args, kwargs))
    if isinstance(value, Masked):
        inner = fitted(distribution, value.value, args, kwargs)
        shape, axes = jnp.shape(value.mask), jnp.shape(inner)
        if shape != axes[: len(shape)]:
            raise ConstraintError(
                f"has a mask of shape {shape} for values of shape {axes}. A mask has the values' shape, or their "
                "leading axes."
            )
        return Masked(value.mask, inner)
    expected = _drawn(distribution, args, kwargs)
    if expected is None:
        return value.value if isinstance(value, Filled) else value
    if isinstance(value, Filled):
        return jnp.broadcast_to(jnp.asarray(value.value, expected.dtype), expected.shape)
    if isinstance(value, Indexed):
        raise ConstraintError(
            f"has indices of lanes, but {distribution!r} makes one choice of shape {expected.shape}. Give its value, "
            "or masked(mask, value) for some of its elements."
        )
    if isinstance(value, tuple):
        raise ConstraintError(f"is a tuple, {_A_LIST}")
    if isinstance(value, dict):
        return value  # its density says that this is not a value
    shape = jnp.shape(value)
    # A number for a vector of one element is what users write for a one-dimensional observation.
    if shape != expected.shape and not (shape == () and expected.shape == (1,)):
        raise ConstraintError(
            f"has shape {shape}, but {distribution!r} draws shape {expected.shape} there. Give a value of shape "
            f"{expected.shape}, or filled(value) to give all elements the same value; for several draws write "
            f"`{distribution!r}.repeat(n)` or `.vmap()` in the model."
        )
    return _as_bool(distribution, value) if expected.dtype == jnp.bool_ else value


def as_drawn(distribution: Distribution[Any], value: Constraints, args: Args, kwargs: Kwargs) -> Constraints:
    """A traced integer as the bool that the distribution draws, for what reads the choice; anything else as it is."""
    if isinstance(value, jax.core.Tracer) and jnp.issubdtype(value.dtype, jnp.integer):
        expected = _drawn(distribution, args, kwargs)
        if expected is not None and expected.dtype == jnp.bool_:
            return value != 0
    return value


def _drawn(distribution: Distribution[Any], args: Args, kwargs: Kwargs) -> jax.ShapeDtypeStruct | None:
    """Shape and dtype of a draw, or None if the sampler does not tell them without running."""
    describe = getattr(getattr(distribution._sample.value, "__self__", None), "drawn", None)
    return None if describe is None else describe(*args, **kwargs)


def _as_bool(distribution: Distribution[Any], value: ArrayLike) -> ArrayLike:
    dtype = jnp.result_type(value)
    if dtype == jnp.bool_:
        return value
    if isinstance(value, jax.core.Tracer):
        return value  # what it is, is known when its density is; see `as_drawn`
    given = np.asarray(value)
    if not np.all((given == 0) | (given == 1)):
        raise ConstraintError(f"is {given.tolist()}, but {distribution!r} draws bools: True and False, or 1 and 0.")
    return jnp.asarray(given, bool) if not isinstance(value, (int, float)) else bool(value)


def check_moved(trace: AnyTrace, n: int, what: str) -> None:
    """Check that a move of a trace keeps its number of lanes or steps.

    Raises:
        ValueError: the new arguments have another number.
    """
    old = jnp.shape(trace.raw_choices().raw_score())[0]
    if old != n:
        raise ValueError(
            f"The trace has {old} {what}, but the new arguments have {n}. A move keeps their number: make a new trace "
            "with generate(), constrained by `indexed(jnp.arange(k), choices)` to the choices that you keep."
        )


def check_lanes(constraints: Constraints, n: int, what: str) -> None:
    """Check that every leaf has the axis of lanes or steps in front.

    Raises:
        ConstraintError: one has not; the message names it.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(constraints):
        if jnp.shape(leaf)[:1] != (n,):
            names = tuple(key.key for key in path if isinstance(key, jax.tree_util.DictKey))
            if any(isinstance(key, jax.tree_util.SequenceKey) for key in path):
                raise ConstraintError(f"is a list or tuple, {_A_LIST}", names)
            raise ConstraintError(
                f"has shape {jnp.shape(leaf)}, but {what} is {n}, and their axis comes first (inconsistent sizes). "
                "Give one value for each, or indexed(), masked() or filled().",
                names,
            )
