"""Convergence diagnostics: split rank-normalised R-hat, bulk and tail effective sample size.

Source: Vehtari, Gelman, Simpson, Carpenter and Buerkner, *Rank-normalization, folding, and localization: An improved
R-hat for assessing convergence of MCMC*, Bayesian Analysis 16 (2021), whose equation numbers are given below. The
truncation of the autocorrelation sum is Geyer's (*Practical Markov chain Monte Carlo*, 1992, section 3.3).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

_FEWEST_DRAWS = 4  # half a chain must have a variance


@jax.jit
def compute_rhat(samples: Any) -> jax.Array:
    """Split rank-normalised R-hat, the larger of its bulk and its folded version.

    With chains split in halves, and z the normal scores of the ranks of all draws (equation 14),

        R-hat(z) = sqrt(((n - 1)/n W + B/n) / W)    (equations 1 to 4),

    where n is the number of draws of a half, B/n the variance of the halves' means, W the mean of their variances. The
    folded version uses |x - median(x)| for x, and sees differences of scale. Values near 1 are good; the paper's
    threshold is 1.01.

    Args:
        samples: (chains, steps, ...), float, int or bool; trailing axes are separate quantities.

    Returns:
        (...), float. NaN for a single chain, fewer than 4 steps, a constant, or draws that are not finite.
    """
    x = _as_draws(samples, "compute_rhat")
    if x.shape[0] < 2 or x.shape[1] < _FEWEST_DRAWS:
        return jnp.full(x.shape[2:], jnp.nan, x.dtype)
    halves = _split(x)
    folded = jnp.abs(halves - jnp.median(halves, axis=(0, 1)))
    bulk, tail = _rhat(_normal_scores(halves)), _rhat(_normal_scores(folded))
    # Draws at two values of equal distance to the median, as of a fair coin, leave nothing to fold.
    worst = jnp.where(_is_constant(folded), bulk, jnp.maximum(bulk, tail))
    return jnp.where(_is_constant(x) | ~_all_finite(x), jnp.nan, worst)


@functools.partial(jax.jit, static_argnames="kind")
def compute_ess(samples: Any, kind: str = "bulk") -> jax.Array:
    """Effective sample size: the number of independent draws that would estimate as precisely.

        S_eff = M N / tau,    tau = 1 + 2 sum over t of rho_t    (equations 10 to 13),

    over M split chains of N draws, with rho_t the autocorrelation from within- and between-chain variances, summed
    while pairs rho_2t + rho_2t+1 are positive, and made monotone. "bulk" is that of the normal scores of the ranks;
    "tail" the smaller one of the indicators of x <= q for the 5% and 95% quantiles q (section 4.3).

    Args:
        samples: (chains, steps, ...) or (steps,), float, int or bool; trailing axes are separate quantities.
        kind: "bulk" or "tail".

    Returns:
        (...), float. NaN for fewer than 4 steps, a constant, or draws that are not finite.

    Raises:
        ValueError: another kind, or samples without a step axis.
    """
    if kind not in ("bulk", "tail"):
        raise ValueError(f"compute_ess got kind={kind!r}; it is 'bulk' or 'tail'.")
    x = _as_draws(samples, "compute_ess")
    if x.shape[1] < _FEWEST_DRAWS:
        return jnp.full(x.shape[2:], jnp.nan, x.dtype)
    if kind == "bulk":
        size = _ess(_normal_scores(_split(x)))
    else:
        quantiles = jnp.quantile(x, jnp.array([0.05, 0.95], x.dtype), axis=(0, 1))
        indicators = [_split((x <= quantile).astype(x.dtype)) for quantile in quantiles]
        # Where a quantile is the largest value, all draws are below it, and that tail has nothing to estimate.
        size = jnp.minimum(*(jnp.where(_is_constant(i), i.shape[0] * i.shape[1], _ess(i)) for i in indicators))
    return jnp.where(_is_constant(x) | ~_all_finite(x), jnp.nan, size)


def diagnose(samples: Any, varying: set[int]) -> tuple[Any, Any, Any]:
    """`(rhat, ess_bulk, ess_tail)` of every leaf, each a tree like `samples`.

    All quantities are computed as one array, which compiles once instead of once per leaf.

    Args:
        samples: pytree of arrays (chains, steps, ...).
        varying: ids of the leaves worth looking at; the others are known to be constant, so NaN.

    Returns:
        Trees of arrays (...), the leaves' trailing shapes.
    """
    leaves, tree = jax.tree.flatten(samples)
    chosen = [leaf for leaf in leaves if id(leaf) in varying]
    dtype = jnp.result_type(float)
    flat = [leaf.reshape(*leaf.shape[:2], -1).astype(dtype) for leaf in chosen]
    if flat:
        joined = jnp.concatenate(flat, axis=2)
        values = [compute_rhat(joined), compute_ess(joined, "bulk"), compute_ess(joined, "tail")]
    else:
        values = [jnp.zeros(0, dtype)] * 3

    def arrange(numbers: jax.Array) -> Any:
        arranged, position = [], 0
        for leaf in leaves:
            shape = leaf.shape[2:]
            if id(leaf) in varying:
                size = leaf[0, 0].size if leaf.shape[1] else int(jnp.prod(jnp.array(shape, int)))
                arranged.append(numbers[position : position + size].reshape(shape))
                position += size
            else:
                arranged.append(jnp.full(shape, jnp.nan, dtype))
        return jax.tree.unflatten(tree, arranged)

    return arrange(values[0]), arrange(values[1]), arrange(values[2])


# Pieces. Arrays are (chains, draws, ...); results (...).


def _as_draws(samples: Any, what: str) -> jax.Array:
    x = jnp.asarray(samples)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    if x.ndim == 0:
        raise ValueError(f"{what} got a scalar; samples are (chains, steps, ...).")
    return x[None] if x.ndim == 1 else x


def _split(x: jax.Array) -> jax.Array:
    """Halves of chains as chains of their own; the middle draw of an odd number is left out."""
    half = x.shape[1] // 2
    return jnp.concatenate([x[:, :half], x[:, x.shape[1] - half :]], axis=0)


def _normal_scores(x: jax.Array) -> jax.Array:
    """`ndtri((rank - 3/8) / (S + 1/4))` over all S draws, ties with their average rank: equation 14."""
    pooled = x.reshape(x.shape[0] * x.shape[1], -1)
    ordered = jnp.sort(pooled, axis=0)

    def average_ranks(values: jax.Array, ordered: jax.Array) -> jax.Array:
        below = jnp.searchsorted(ordered, values, side="left", method="sort")
        up_to = jnp.searchsorted(ordered, values, side="right", method="sort")
        return (below + up_to + 1) / 2

    ranks = jax.vmap(average_ranks, in_axes=1, out_axes=1)(pooled, ordered)
    return ndtri((ranks.astype(x.dtype) - 0.375) / (pooled.shape[0] + 0.25)).reshape(x.shape)


def _rhat(x: jax.Array) -> jax.Array:
    n = x.shape[1]
    within = jnp.mean(jnp.var(x, axis=1, ddof=1), axis=0)
    between = jnp.var(jnp.mean(x, axis=1), axis=0, ddof=1)
    return jnp.sqrt(((n - 1) / n * within + between) / within)


def _autocovariance(x: jax.Array) -> jax.Array:
    """Biased autocovariances of each chain at all lags, by FFT."""
    n = x.shape[1]
    centred = x - jnp.mean(x, axis=1, keepdims=True)
    length = 1 << (2 * n - 1).bit_length()  # zero padding, so that the circular correlation does not wrap
    spectrum = jnp.fft.rfft(centred, length, axis=1)
    return jnp.fft.irfft(jnp.abs(spectrum) ** 2, length, axis=1)[:, :n] / n


def _ess(x: jax.Array) -> jax.Array:
    n_chains, n = x.shape[:2]
    covariance = _autocovariance(x)
    within = jnp.mean(covariance[:, 0], axis=0) * n / (n - 1)
    pooled = within * (n - 1) / n
    if n_chains > 1:
        pooled = pooled + jnp.var(jnp.mean(x, axis=1), axis=0, ddof=1)
    rho = 1 - (within - jnp.mean(covariance, axis=0)) / pooled
    rho = rho.at[0].set(1.0)
    # Geyer: sums of neighbouring autocorrelations are positive and fall. Beyond lag n - 3 there is little to average.
    n_pairs = max(1, (n - 1) // 2)
    pairs = rho[0 : 2 * n_pairs : 2] + rho[1 : 2 * n_pairs : 2]
    positive = jnp.cumprod(pairs > 0, axis=0).astype(bool)
    n_positive = jnp.minimum(jnp.sum(positive, axis=0), n_pairs - 1)
    counted = jnp.arange(n_pairs).reshape(-1, *(1,) * (pairs.ndim - 1)) < n_positive
    total = jnp.sum(jnp.where(counted, jax.lax.cummin(pairs, axis=0), 0.0), axis=0)
    # The first autocorrelation that is not counted in a pair still improves the estimate for antithetic chains.
    next_rho = jnp.take_along_axis(rho, 2 * n_positive[None], axis=0)[0]
    tau = -1 + 2 * total + jnp.maximum(next_rho, 0.0)
    n_draws = n_chains * n
    return n_draws / jnp.maximum(tau, 1 / jnp.log10(n_draws))


def _is_constant(x: jax.Array) -> jax.Array:
    return jnp.all(x == x[0, 0], axis=(0, 1))


def _all_finite(x: jax.Array) -> jax.Array:
    return jnp.all(jnp.isfinite(x), axis=(0, 1))
