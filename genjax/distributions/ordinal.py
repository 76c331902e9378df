"""Ordered categories: the logistic model with cutpoints."""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from genjax.distributions import supports
from genjax.distributions.discrete import category_of, draw_categories, entry
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


def _draw_ordered(key: Array, predictor: Array, cutpoints: Array, *, shape: Shape) -> Array:
    categories = jnp.arange(cutpoints.shape[-1] + 1)
    log_probs = _log_ordered_density(categories, predictor[..., None], cutpoints[..., None, :])
    return draw_categories(key, log_probs, shape=shape)


def _log_ordered_density(value: Array, predictor: Array, cutpoints: Array) -> Array:
    # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)). Of each value its own two cutpoints only: logarithms and exponentials
    # are most of the work. The last factor is computed once for all rows that share their cutpoints.
    n_cutpoints = cutpoints.shape[-1]
    index, is_inside = category_of(value, n_cutpoints + 1)
    above = jnp.where(index < n_cutpoints, _at(index, cutpoints) - predictor, jnp.inf)
    below = jnp.where(index > 0, _at(index - 1, cutpoints) - predictor, -jnp.inf)
    log_steps = jnp.log(-jnp.expm1(-jnp.diff(cutpoints, axis=-1)))
    return jnp.where(is_inside, _log_both(above, below) + _at(index - 1, log_steps), -jnp.inf)


def _log_both(above: Array, below: Array) -> Array:
    """`log(s(above) s(-below))` with one logarithm, and no more of them in its gradient."""
    exp_above, exp_below = _exp_minus_abs(above), _exp_minus_abs(below)
    rest = jnp.log1p(exp_above + exp_below + exp_above * exp_below)
    return jnp.minimum(above, 0) - jnp.maximum(below, 0) - rest


def _exp_minus_abs(x: Array) -> Array:
    # Not by `abs`, whose derivative at 0 is 1: those of maximum and minimum are 1/2 there, and what is wanted.
    return jnp.exp(jnp.minimum(x, 0) - jnp.maximum(x, 0))


def _at(index: Array, values: Array) -> Array:
    """`values[..., index]`, 0 where there is none."""
    n = values.shape[-1]
    if n == 0:
        return jnp.zeros((), values.dtype)
    return jnp.where((index >= 0) & (index < n), entry(values, jnp.clip(index, 0, n - 1)), 0)


def _int32(*_dtypes: DTypeLike) -> DTypeLike:
    return jnp.int32


def _n_cutpoints(*args: Any, **by_name: Any) -> int:
    return jnp.shape(args[1] if len(args) > 1 else by_name["cutpoints"])[-1]


_n_cutpoints.label = "K - 1"  # type: ignore[attr-defined]

ordered_logistic = define(
    Family(
        "OrderedLogistic",
        {"predictor": REQUIRED, "cutpoints": REQUIRED},
        [
            Form(
                ("predictor", "cutpoints"),
                _draw_ordered,
                _log_ordered_density,
                event_ranks=(0, 1),
                dtype=_int32,
                is_continuous=False,
                is_value_converted=False,
            )
        ],
        supports.integer_range(0, _n_cutpoints),
    )
)
"""`ordered_logistic(predictor, cutpoints)`: k in 0..K-1 where a logistic around the predictor falls between cutpoints.

`log p(k) = log(s(c_(k+1) - eta) - s(c_k - eta))` with the sigmoid s, eta the predictor, and K - 1 cutpoints in
increasing order, c_0 = -inf and c_K = inf; NaN where they do not increase. Draws are int32, and resolve probabilities
down to 1e-30.
"""
