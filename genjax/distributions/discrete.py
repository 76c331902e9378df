"""Discrete distributions on {0, 1} and on K categories.

Where a family takes `logits` or `probs`, each has its own arithmetic: log-probabilities from logits stay accurate near
0 and 1, and probabilities of exactly 0 or 1 keep exact densities and finite derivatives. Note that the first
positional parameter is `logits` everywhere but in `flip`, whose only parameter is a probability.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from genjax.distributions import noise, special, supports
from genjax.distributions.family import REQUIRED, Family, Form, define
from genjax.distributions.own_derivative import own_derivative

Shape = tuple[int, ...]


def _int32(*_dtypes: DTypeLike) -> DTypeLike:
    return jnp.int32


def _bool(*_dtypes: DTypeLike) -> DTypeLike:
    return jnp.bool_


# Bernoulli and flip


def _draw_bernoulli(key: Array, probs: Array, *, shape: Shape) -> Array:
    return noise.bernoulli(key, probs, shape).astype(jnp.int32)


def _draw_bernoulli_logits(key: Array, logits: Array, *, shape: Shape) -> Array:
    return noise.bernoulli_logits(key, logits, shape).astype(jnp.int32)


def _select_bernoulli(value: Array, log_probs: Array, log_complements: Array) -> Array:
    # Products, not selects: XLA on CPU never fuses a select into the sum over values that follows it, and would write
    # out a matrix of parameters x values. To keep 0 * inf out, the lowest float stands for half of -inf; halving and
    # doubling are exact, and doubling the lowest float gives -inf back.
    dtype = jnp.result_type(log_probs, log_complements)
    if value.dtype == jnp.bool_:
        return _weighed(2 * value.astype(dtype), log_probs, log_complements)
    lowest = jnp.finfo(dtype).min
    half_log_probs = jnp.maximum(0.5 * log_probs, lowest)
    half_log_complements = jnp.maximum(0.5 * log_complements, lowest)
    is_one, is_zero = value == 1, value == 0
    outside = jnp.where(is_one | is_zero, 0, -jnp.inf).astype(dtype)
    doubled_one, doubled_zero = 2 * is_one.astype(dtype), 2 * is_zero.astype(dtype)
    return doubled_one * half_log_probs + doubled_zero * half_log_complements + outside


def _weighed(doubled: Array, log_probs: Array, log_complements: Array) -> Array:
    """`_select_bernoulli` of twice a truth value in floats: 2, 0, or NaN where there is none."""
    lowest = jnp.finfo(doubled.dtype).min
    return doubled * jnp.maximum(0.5 * log_probs, lowest) + (2 - doubled) * jnp.maximum(0.5 * log_complements, lowest)


def _log_bernoulli_density(value: Array, probs: Array) -> Array:
    return _select_bernoulli(value, special.log(probs), special.log_complement(probs))


@own_derivative
def _log_bernoulli_density_logits(value: Array, logits: Array) -> Array:
    return _select_bernoulli(value, *special.log_sigmoids(logits))


@_log_bernoulli_density_logits.defjvp
def _log_bernoulli_density_logits_jvp(
    primals: tuple[Array, Array], tangents: tuple[ArrayLike, Array]
) -> tuple[Array, Array]:
    # The slope is `value - sigmoid(logits)`: by the rules for selects and maxima it would cost more than the density.
    (value, logits), (_, tangent) = primals, tangents
    log_density = _log_bernoulli_density_logits(value, logits)
    is_one, is_inside = value == 1, (value == 0) | (value == 1)
    slope = is_one.astype(logits.dtype) - is_inside.astype(logits.dtype) * special.sigmoid(logits)
    return log_density, (slope * tangent).astype(log_density.dtype)


bernoulli = define(
    Family(
        "Bernoulli",
        {"logits": None, "probs": None},
        [
            Form(
                ("logits",),
                _draw_bernoulli_logits,
                _log_bernoulli_density_logits,
                dtype=_int32,
                is_continuous=False,
                is_value_converted=False,
            ),
            Form(
                ("probs",),
                _draw_bernoulli,
                _log_bernoulli_density,
                dtype=_int32,
                is_continuous=False,
                is_value_converted=False,
            ),
        ],
        supports.integer_range(0, 1),
    )
)
"""`bernoulli(logits=None, probs=None)`: 1 with probability probs, else 0; int32. The first parameter is the logits.

Draws resolve probabilities down to 1e-30.
"""


def _draw_flip(key: Array, p: Array, *, shape: Shape) -> Array:
    return noise.bernoulli(key, p, shape)


def _log_flip_density(value: Array, p: Array) -> Array:
    # A value is a truth value, also when it comes as a number; NaN is not one. That is settled before the value meets
    # the parameters, so that many values of many parameters cost no more than without it.
    log_probs, log_complements = special.log(p), special.log_complement(p)
    dtype = jnp.result_type(log_probs, log_complements)
    if not jnp.issubdtype(value.dtype, jnp.inexact):
        return _weighed(2 * value.astype(jnp.bool_).astype(dtype), log_probs, log_complements)
    # Doubled as an integer: XLA would double the lowest float instead, and 0 times that is NaN.
    doubled = jnp.where(jnp.isnan(value), jnp.nan, 2 * (value != 0)).astype(dtype)
    return _weighed(doubled, log_probs, log_complements)


flip = define(
    Family(
        "Flip",
        {"p": REQUIRED},
        [Form(("p",), _draw_flip, _log_flip_density, dtype=_bool, is_continuous=False, is_value_converted=False)],
        supports.boolean,
    )
)
"""`flip(p)`: True with probability p; bool. A number given as value is read as a truth value: 0 is False.

Draws resolve probabilities down to 1e-30.
"""


# Categorical

# Noise elements above which draws from one shared set of logits go through the cumulative distribution instead.
_LARGEST_GUMBEL_DRAW = 2**22


def draw_categories(key: Array, logits: Array, *, shape: Shape) -> Array:
    """Draws of `shape`, int32, from categories of unnormalised log probabilities `logits`, `(*batch, K)`."""
    n_categories = logits.shape[-1]
    if logits.size != n_categories:
        gumbels = noise.gumbel(key, (*shape, n_categories), logits.dtype)
        return jnp.argmax(logits + gumbels, axis=-1).astype(jnp.int32)
    logits = logits.reshape(n_categories)
    n_draws = math.prod(shape)
    if n_draws * n_categories <= _LARGEST_GUMBEL_DRAW or n_draws <= 1:
        gumbels = noise.gumbel(key, (n_categories, *shape), logits.dtype)
        return jnp.argmax(logits.reshape(n_categories, *(1,) * len(shape)) + gumbels, axis=0).astype(jnp.int32)
    # Many draws from many categories (resampling): Gumbel noise would take n_draws * n_categories memory. The rare
    # categories come first, where sums and uniforms are fine; next to 1 their steps would be lost in rounding. The last
    # step can fall short of a draw by rounding, hence the scaling by its last entry.
    probs = jax.nn.softmax(logits)
    order = jnp.argsort(probs)
    cumulative = jnp.cumsum(probs[order])
    points = cumulative[-1] * noise.uniform(key, shape, logits.dtype)
    return order[jnp.minimum(jnp.searchsorted(cumulative, points), n_categories - 1)].astype(jnp.int32)


def _draw_categorical_probs(key: Array, probs: Array, *, shape: Shape) -> Array:
    return draw_categories(key, jnp.log(probs), shape=shape)


def _log_categorical_density(value: Array, logits: Array) -> Array:
    return select_category(value, jax.nn.log_softmax(logits))


def _log_categorical_density_probs(value: Array, probs: Array) -> Array:
    return select_category(value, special.log(probs) - jnp.log(probs.sum(-1, keepdims=True)))


def category_of(value: Array, n_categories: int) -> tuple[Array, Array]:
    """A value as int32 within 0..K-1, and whether it is one of those."""
    if value.dtype == jnp.bool_:
        value = value.astype(jnp.int32)
    index = jnp.clip(value.astype(jnp.int32), 0, n_categories - 1)
    return index, index.astype(value.dtype) == value


def select_category(value: Array, log_probs: Array) -> Array:
    """`log_probs[value]` over the last axis, -inf where the value is not one of 0..K-1."""
    n_categories = log_probs.shape[-1]
    index, is_inside = category_of(value, n_categories)
    return jnp.where(is_inside, entry(log_probs, index), -jnp.inf)


def entry(values: Array, index: Array) -> Array:
    """`values[..., index]`, one entry of the last axis for each index, whose shape broadcasts with the other axes."""
    n_entries = values.shape[-1]
    if values.size == n_entries:  # one row of them for all indices: no copy of it per index
        return values.reshape(n_entries)[index]
    return jnp.take_along_axis(values, index.reshape((*_pad(index.shape, values.ndim - 1), 1)), axis=-1)[..., 0]


def _pad(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _last_category(*arguments: Any, **by_name: Any) -> int:
    (weights,) = (a for a in (*arguments, *by_name.values()) if a is not None)
    return jnp.shape(weights)[-1] - 1


_last_category.label = "K - 1"  # type: ignore[attr-defined]


categorical = define(
    Family(
        "Categorical",
        {"logits": None, "probs": None},
        [
            Form(
                (label,),
                draw,
                log_density,
                event_ranks=(1,),
                dtype=_int32,
                is_continuous=False,
                is_value_converted=False,
            )
            for label, draw, log_density in (
                ("logits", draw_categories, _log_categorical_density),
                ("probs", _draw_categorical_probs, _log_categorical_density_probs),
            )
        ],
        supports.integer_range(0, _last_category),
    )
)
"""`categorical(logits=None, probs=None)`: k in 0..K-1 with probability softmax(logits)[k], or probs[k] / sum(probs).

Draws are int32, and resolve probabilities down to 1e-30. The last axis holds the categories.
"""
