"""Ordered categories: the logistic model with cutpoints."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from genjax.distributions import supports
from genjax.distributions.discrete import draw_categories, select_category
from genjax.distributions.family import REQUIRED, Family, Form, define

Shape = tuple[int, ...]


def _log_probs(predictor: Array, cutpoints: Array) -> Array:
    """`log(s(c_k - eta) - s(c_(k-1) - eta))` for each category, `(*batch, K)`; s the sigmoid, c_0 = -inf, c_K = inf."""
    shifted = cutpoints - predictor[..., None]
    zero = jnp.zeros_like(shifted[..., :1])
    # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)).
    log_below = jnp.concatenate([jax.nn.log_sigmoid(shifted), zero], axis=-1)
    log_above = jnp.concatenate([zero, jax.nn.log_sigmoid(-shifted)], axis=-1)
    steps = jnp.broadcast_to(cutpoints[..., 1:] - cutpoints[..., :-1], shifted[..., 1:].shape)
    log_step = jnp.log(-jnp.expm1(-steps))
    inner = jnp.concatenate([zero, log_step, zero], axis=-1) if shifted.shape[-1] > 1 else jnp.zeros_like(log_below)
    return log_below + log_above + inner


def _draw_ordered(key: Array, predictor: Array, cutpoints: Array, *, shape: Shape) -> Array:
    return draw_categories(key, _log_probs(predictor, cutpoints), shape=shape)


def _log_ordered_density(value: Array, predictor: Array, cutpoints: Array) -> Array:
    return select_category(value, _log_probs(predictor, cutpoints))


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
