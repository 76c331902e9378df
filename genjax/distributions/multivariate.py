"""Distributions over vectors: the last axis of a value is the vector."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln

from genjax.distributions import gammas, noise, special, supports
from genjax.distributions.deviance import (
    LARGE,
    exp_with_error,
    log_gamma_kernel,
    log_peak,
    product_difference,
    sum_and_error,
)
from genjax.distributions.family import FAMILIES, REQUIRED, Family, Form, define
from genjax.shapes import Float

Shape = tuple[int, ...]


# Multivariate normal


def vector_event(loc_shape: Shape, covariance_shape: Shape) -> Shape:
    """The shape of a vector with that location and covariance, which must fit together."""
    n, m = covariance_shape[-2:]
    if n != m or loc_shape[-1] not in (1, n):
        raise ValueError(
            f"A vector's loc has shape {loc_shape} and its covariance_matrix shape {covariance_shape}. "
            "The covariance must be square, and loc as long as its side."
        )
    return (n,)


def refuse_indefinite(covariances: Float[Array, "*batch n n"], what: str) -> None:
    """Raise ValueError for matrices, `(*batch, n, n)`, of which one is finite but not positive definite."""
    flat = np.asarray(covariances).reshape(-1, *covariances.shape[-2:])
    for matrix in flat[np.isfinite(flat).all((-2, -1))]:
        try:
            np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            least = np.linalg.eigvalsh(np.asarray(matrix, np.float64)).min()
            raise ValueError(
                f"{what} is not positive definite: its smallest eigenvalue is {least:.3g}, so there is no density. Add "
                "a small multiple of the identity, or leave out components that others determine. In compiled code, "
                "draws and densities are NaN there."
            ) from None


def _refuse_multivariate_normal(loc: Array, covariance_matrix: Array) -> None:
    refuse_indefinite(covariance_matrix, "The covariance_matrix of MultivariateNormal")


def _draw_multivariate_normal(key: Array, loc: Array, covariance_matrix: Array, *, shape: Shape) -> Array:
    factor = jnp.linalg.cholesky(covariance_matrix)
    standard = noise.normal(key, (*shape, factor.shape[-1]), loc.dtype)
    # Full precision: accelerators would otherwise multiply with ten-bit mantissas.
    return loc + jnp.matmul(factor, standard[..., None], precision=jax.lax.Precision.HIGHEST)[..., 0]


def squares_and_log_determinant(
    value: Float[Array, "*#batch n"], loc: Float[Array, "*#batch #n"], covariance_matrix: Float[Array, "*#batch n n"]
) -> tuple[Float[Array, "*#batch"], Float[Array, "*#batch"]]:
    """`|L^-1 (x - loc)|^2` and `sum log diag L` of the factor L of the covariance, both of batch shapes."""
    size = covariance_matrix.shape[-1]
    difference = value - loc
    difference = jnp.broadcast_to(difference, (*difference.shape[:-1], size))
    if covariance_matrix.size == size * size:
        # One covariance for all: factor it once, and solve for all differences as columns of one matrix.
        factor = jnp.linalg.cholesky(covariance_matrix.reshape(size, size))
        columns = difference.reshape(-1, size).T
        standard = jax.lax.linalg.triangular_solve(factor, columns, left_side=True, lower=True)
        squares = jnp.square(standard).sum(0).reshape(difference.shape[:-1])
    else:
        factor = jnp.linalg.cholesky(covariance_matrix)
        batch = jnp.broadcast_shapes(difference.shape[:-1], factor.shape[:-2])
        standard = jax.lax.linalg.triangular_solve(
            jnp.broadcast_to(factor, (*batch, size, size)),
            jnp.broadcast_to(difference, (*batch, size))[..., None],
            left_side=True,
            lower=True,
        )
        squares = jnp.square(standard).sum((-2, -1))
    return squares, jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)


def _log_multivariate_normal_density(value: Array, loc: Array, covariance_matrix: Array) -> Array:
    value, is_outside = special.without_infinity(value)
    squares, log_root_determinant = squares_and_log_determinant(value, loc, covariance_matrix)
    size = covariance_matrix.shape[-1]
    log_density = -0.5 * squares - (log_root_determinant + 0.5 * size * math.log(2 * math.pi))
    return jnp.where(is_outside, -jnp.inf, log_density)


multivariate_normal = define(
    Family(
        "MultivariateNormal",
        {"loc": REQUIRED, "covariance_matrix": REQUIRED},
        [
            Form(
                ("loc", "covariance_matrix"),
                _draw_multivariate_normal,
                _log_multivariate_normal_density,
                event_ranks=(1, 2),
                event_shape=vector_event,
                value_rank=1,
                refuse=_refuse_multivariate_normal,
            )
        ],
        supports.real_vector,
    )
)
"""`multivariate_normal(loc, covariance_matrix)`: with the full covariance C = L L^T,
log p(x) = -|L^-1 (x - loc)|^2 / 2 - sum log diag L - k log(2 pi) / 2.

A scalar value, or a scalar loc, stands for the vector of its repetitions; so does one of length 1. A covariance that is
not positive definite is a ValueError; in compiled code, where its values are not known, densities and draws are NaN.

Draws resolve probabilities down to 1e-30 on either side.
"""


# Dirichlet


def _last_axis(*shapes: Shape) -> Shape:
    return shapes[-1][-1:]


def _draw_dirichlet(key: Array, concentration: Array, *, shape: Shape) -> Array:
    # Underflow to 0 would give the draw an infinite density where a concentration is small.
    draw = gammas.dirichlet(key, concentration, shape)
    return jnp.maximum(draw, jnp.finfo(draw.dtype).tiny)


def _log_dirichlet_density(value: Array, concentration: Array) -> Array:
    # The sum of a vector on the simplex is 1 up to rounding: allow half of the dtype's digits.
    tolerance = math.sqrt(jnp.finfo(value.dtype).eps)
    is_inside = jnp.all(value >= 0, axis=-1) & (jnp.abs(value.sum(-1) - 1) <= tolerance)
    value = jnp.where(is_inside[..., None], value, 1 / value.shape[-1])
    log_value = special.log(value)
    total = concentration.sum(-1)
    is_small = concentration < LARGE
    log_normaliser = jnp.where(total < LARGE, gammaln(jnp.where(total < LARGE, total, 1)), 0) - jnp.where(
        is_small, gammaln(jnp.where(is_small, concentration, 1)), 0
    ).sum(-1)
    plain = special.times(concentration - 1, log_value)
    # With the mean m = total x for each: a log m - m - log Gamma(a), and what the means add to beyond the total.
    mean = total[..., None] * value
    difference = product_difference(concentration, jnp.ones_like(concentration), total[..., None], value)
    is_large = (total[..., None] >= LARGE) & (value > 0)
    log_mean = jnp.log(jnp.where(is_large, total[..., None], 1)) + log_value
    kernel = jnp.where(
        is_small,
        special.times(concentration, log_mean) - mean,
        log_gamma_kernel(is_large & ~is_small, concentration, difference, mean),
    )
    large = (kernel - log_value).sum(-1) - log_peak(jnp.where(total >= LARGE, total, LARGE)) + total * _excess(value)
    log_density = log_normaliser + jnp.where(jnp.all(is_large, axis=-1), large, plain.sum(-1))
    return jnp.where(is_inside, log_density, -jnp.inf)


def _excess(shares: Array) -> Array:
    """The sum of shares, minus 1: their rounding, which a large total multiplies."""
    total, error = sum_and_error(shares)
    return (total - 1) + error


dirichlet = define(
    Family(
        "Dirichlet",
        {"concentration": REQUIRED},
        [
            Form(
                ("concentration",),
                _draw_dirichlet,
                _log_dirichlet_density,
                event_ranks=(1,),
                event_shape=_last_axis,
                value_rank=1,
            )
        ],
        supports.simplex,
    )
)
"""`dirichlet(concentration)`: on the simplex,
log p(x) = sum_i (a_i - 1) log x_i + log Gamma(sum_i a_i) - sum_i log Gamma(a_i).

Draws resolve probabilities down to 1e-30.
"""


# Multinomial


def _draw_multinomial(key: Array, total_count: Array, probs: Array, *, shape: Shape) -> Array:
    """Draw one category's count after the other: binomial in what is left, with its share of the remaining probability.

    Written out, because the meaning of `shape` in `jax.random.multinomial` differs between the supported JAX versions.
    """
    n_categories = probs.shape[-1]
    remaining_probs = jnp.cumsum(probs[..., ::-1], axis=-1)[..., ::-1]
    # The last share is exactly 1, so that the counts always sum to the total.
    shares = jnp.clip(probs / jnp.where(remaining_probs == 0, 1, remaining_probs), 0, 1)
    shares = jnp.broadcast_to(shares, (*shape, n_categories))
    remaining = jnp.broadcast_to(total_count, shape)

    def draw_count(remaining: Array, share_and_key: tuple[Array, Array]) -> tuple[Array, Array]:
        share, key = share_and_key
        count = FAMILIES["Binomial"].forms[1].draw(key, remaining, share, shape=shape)
        return remaining - count, count

    keys = jax.random.split(key, n_categories - 1)
    last, counts = jax.lax.scan(draw_count, remaining, (jnp.moveaxis(shares[..., :-1], -1, 0), keys))
    return jnp.concatenate([jnp.moveaxis(counts, 0, -1), last[..., None]], axis=-1)


def _draw_multinomial_logits(key: Array, total_count: Array, logits: Array, *, shape: Shape) -> Array:
    return _draw_multinomial(key, total_count, jax.nn.softmax(logits), shape=shape)


def _log_multinomial_kernel(
    value: Array, total_count: Array, probs: Array, log_probs: Array, rounding: Array | None = None
) -> Array:
    """Of probabilities whose relative rounding errors are `rounding`, if they are known."""
    is_inside = jnp.all(special.is_count(value), axis=-1) & (value.sum(-1) == total_count)
    value = jnp.where(is_inside[..., None], value, 0)
    is_small = value < LARGE
    log_small_factorials = jnp.where(is_small, gammaln(jnp.where(is_small, value, 0) + 1), 0).sum(-1)
    plain = special.times(value, log_probs).sum(-1) + gammaln(jnp.where(total_count < LARGE, total_count, 0) + 1)
    # A Poisson count of mean m = n p for each, given their sum.
    total = jnp.where(total_count >= LARGE, total_count, LARGE)
    log_mean = jnp.log(total)[..., None] + log_probs
    mean = total[..., None] * probs
    difference = product_difference(value, jnp.ones_like(value), total[..., None], probs)
    if rounding is None:
        excess = _excess(probs)
    else:
        excess = jnp.zeros_like(total)
        difference -= mean * rounding
    is_kernel = ~is_small & (probs > 0)
    kernel = jnp.where(
        is_small,
        special.times(value, log_mean) - mean,
        log_gamma_kernel(is_kernel, value, difference, mean) - jnp.log(jnp.where(is_kernel, value, 1)),
    )
    kernel = jnp.where(~is_small & ~is_kernel, -jnp.inf, kernel)
    large = kernel.sum(-1) - log_peak(total) + jnp.log(total) + total * excess
    log_density = jnp.where(total_count >= LARGE, large, plain) - log_small_factorials
    return jnp.where(is_inside, log_density, -jnp.inf)


def _log_multinomial_density(value: Array, total_count: Array, probs: Array) -> Array:
    return _log_multinomial_kernel(value, total_count, probs, special.log(probs))


def _log_multinomial_density_logits(value: Array, total_count: Array, logits: Array) -> Array:
    probs = jax.nn.softmax(logits)
    rounding = _softmax_rounding(jax.lax.stop_gradient(logits), jax.lax.stop_gradient(probs))
    return _log_multinomial_kernel(value, total_count, probs, jax.nn.log_softmax(logits), rounding)


def _softmax_rounding(logits: Array, probs: Array) -> Array:
    """The relative errors of probabilities: `softmax(logits) = probs (1 + rounding)`."""
    is_used = jnp.abs(logits) < jnp.inf
    logits = jnp.where(is_used, logits, 0)
    largest = jnp.where(is_used, logits, jnp.finfo(logits.dtype).min).max(-1, keepdims=True)
    shifted = logits - largest
    weights, errors = exp_with_error(shifted)
    weights, moved = jnp.where(is_used, weights, 0), shifted - logits
    errors += (logits - (shifted - moved)) - (largest + moved)  # of the subtraction
    total, total_error = sum_and_error(weights)
    total_error += (weights * errors).sum(-1)
    of_division = product_difference(weights, jnp.ones_like(weights), probs, total[..., None])
    is_used &= weights > 0
    relative = of_division / jnp.where(is_used, weights, 1) + errors - (total_error / total)[..., None]
    return jnp.where(is_used, relative, 0)


multinomial = define(
    Family(
        "Multinomial",
        {"total_count": REQUIRED, "logits": None, "probs": None},
        [
            Form(
                ("total_count", "logits"),
                _draw_multinomial_logits,
                _log_multinomial_density_logits,
                event_ranks=(0, 1),
                event_shape=_last_axis,
                value_rank=1,
                is_continuous=False,
            ),
            Form(
                ("total_count", "probs"),
                _draw_multinomial,
                _log_multinomial_density,
                event_ranks=(0, 1),
                event_shape=_last_axis,
                value_rank=1,
                is_continuous=False,
            ),
        ],
        supports.Counts(supports.Argument("total_count", 0)),
    )
)
"""`multinomial(total_count, logits=None, probs=None)`: counts per category among total_count draws.

Draws resolve probabilities down to 1e-30.
"""
