"""Convergence diagnostics: split rank-normalised R-hat, bulk and tail effective sample size.

Source: Vehtari, Gelman, Simpson, Carpenter and Buerkner, *Rank-normalization, folding, and localization: An improved
R-hat for assessing convergence of MCMC*, Bayesian Analysis 16 (2021), whose equation numbers are given below. The
truncation of the autocorrelation sum is Geyer's (*Practical Markov chain Monte Carlo*, 1992, section 3.3).
"""

from __future__ import annotations

import functools
import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jax.typing import ArrayLike

from genjax.shapes import Bool, Float
from genjax.signatures import PyTree

Draws: TypeAlias = Float[jax.Array, "chains draws *quantity"]
Quantity: TypeAlias = Float[jax.Array, "*quantity"]

_FEWEST_DRAWS = 4  # half a chain must have a variance


def compute_rhat(samples: ArrayLike) -> Float[jax.Array, "..."]:
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
    return _rhat_of_draws(_centred(samples))


@jax.jit
def _rhat_of_draws(samples: ArrayLike) -> jax.Array:
    x = _as_draws(samples, "compute_rhat")
    if x.shape[0] < 2 or x.shape[1] < _FEWEST_DRAWS:
        return jnp.full(x.shape[2:], jnp.nan, x.dtype)
    halves, folded = _halves_and_folded(x)
    return _or_nan(_worst_rhat(_normal_scores(_beside(halves, folded)), folded), x)


def compute_ess(samples: ArrayLike, kind: str = "bulk") -> Float[jax.Array, "..."]:
    """Effective sample size: the number of independent draws with the same precision.

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
    return _ess_of_draws(_centred(samples), kind)


@functools.partial(jax.jit, static_argnames="kind")
def _ess_of_draws(samples: ArrayLike, kind: str) -> jax.Array:
    x = _as_draws(samples, "compute_ess")
    if x.shape[1] < _FEWEST_DRAWS:
        return jnp.full(x.shape[2:], jnp.nan, x.dtype)
    if kind == "bulk":
        return _or_nan(_ess(_normal_scores(_split(x))), x)
    indicators = _tail_indicators(x)
    return _or_nan(_smaller(_ess(indicators), indicators), x)


def diagnose(samples: PyTree, constants: list[jax.Array]) -> tuple[PyTree, PyTree, PyTree]:
    """`(rhat, ess_bulk, ess_tail)` of every leaf, each a tree like `samples`.

    All quantities are computed as one array, which compiles once instead of once per leaf.

    Args:
        samples: pytree of arrays (chains, steps, ...).
        constants: those leaves that are known to be constant, so NaN without looking.

    Returns:
        Trees of arrays (...), the leaves' trailing shapes.
    """
    leaves, tree = jax.tree.flatten(samples)
    known = {id(leaf) for leaf in constants}
    chosen = [leaf for leaf in leaves if id(leaf) not in known]
    dtype = jnp.result_type(float)
    flat = [leaf.reshape(*leaf.shape[:2], math.prod(leaf.shape[2:])).astype(dtype) for leaf in chosen]
    if flat:
        values = _diagnose_together(jnp.concatenate(flat, axis=2))
    else:
        values = (jnp.zeros(0, dtype),) * 3

    def arrange(numbers: jax.Array) -> PyTree:
        arranged, position = [], 0
        for leaf in leaves:
            shape = leaf.shape[2:]
            if id(leaf) not in known:
                size = math.prod(shape)
                arranged.append(numbers[position : position + size].reshape(shape))
                position += size
            else:
                arranged.append(jnp.full(shape, jnp.nan, dtype))
        return jax.tree.unflatten(tree, arranged)

    return arrange(values[0]), arrange(values[1]), arrange(values[2])


def _diagnose_together(
    x: Draws,
) -> tuple[Quantity, Quantity, Quantity]:
    """`(rhat, ess_bulk, ess_tail)` as the public functions give them, with their common parts compiled once."""
    if x.shape[0] < 2 or x.shape[1] < _FEWEST_DRAWS:
        return compute_rhat(x), compute_ess(x, "bulk"), compute_ess(x, "tail")
    halves, folded = _halves_and_folded(x)
    scores = _normal_scores(_beside(halves, folded))
    indicators = _tail_indicators(x)
    sizes = _ess(jnp.concatenate([scores[:, :, :1], indicators], axis=2))
    tail = _smaller(sizes[1:], indicators)
    return _or_nan(_worst_rhat(scores, folded), x), _or_nan(sizes[0], x), _or_nan(tail, x)


# Pieces. Arrays are (chains, draws, ...); results (...).


def _halves_and_folded(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    halves = _split(x)
    return halves, jnp.abs(halves - jnp.median(halves, axis=(0, 1)))


def _worst_rhat(scores: jax.Array, folded: jax.Array) -> jax.Array:
    """The larger R-hat of the normal scores of draws and of folded draws, which are beside each other."""
    bulk, tail = _rhat(scores)
    # Draws at two values of equal distance to the median, as of a fair coin, leave nothing to fold.
    return jnp.where(_is_constant(folded), bulk, jnp.maximum(bulk, tail))


def _tail_indicators(x: jax.Array) -> jax.Array:
    low, high = jnp.quantile(x, jnp.array([0.05, 0.95], x.dtype), axis=(0, 1))
    return _split(_beside(x <= low, x <= high).astype(x.dtype))


def _smaller(sizes: jax.Array, indicators: jax.Array) -> jax.Array:
    """The smaller effective size of the two tails."""
    # Where a quantile is the largest value, all draws are below it, and that tail has nothing to estimate.
    n_draws = indicators.shape[0] * indicators.shape[1]
    return jnp.min(jnp.where(_is_constant(indicators), n_draws, sizes), axis=0)


def _or_nan(value: Quantity, x: Draws) -> Quantity:
    """NaN where there is nothing to diagnose: constants, and draws that are not finite."""
    return jnp.where(_is_constant(x) | ~jnp.all(jnp.isfinite(x), axis=(0, 1)), jnp.nan, value)


def _centred(samples: ArrayLike) -> ArrayLike:
    """Draws of double precision less their median, where single precision would lose their spread beside it."""
    is_double = isinstance(samples, np.ndarray) and samples.dtype == np.float64 and samples.ndim > 0
    if not is_double or samples.size == 0:
        return samples
    axes = (0, 1) if samples.ndim > 1 else (0,)
    with np.errstate(invalid="ignore"):  # of draws that are not finite, which have no diagnosis
        low, centre, high = np.quantile(samples, [0.25, 0.5, 0.75], axis=axes, keepdims=True)
        is_far = np.isfinite(centre) & (np.abs(centre) > 1000 * (high - low))
    return samples - np.where(is_far, centre, 0)


def _as_draws(samples: ArrayLike, what: str) -> Draws:
    x = jnp.asarray(samples)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    if x.ndim == 0:
        raise ValueError(f"{what} got a scalar; samples are (chains, steps, ...).")
    return x[None] if x.ndim == 1 else x


def _beside(first: jax.Array, second: jax.Array) -> jax.Array:
    """Two sets of draws along a new axis behind the draws', to be treated as one."""
    return jnp.stack([first, second], axis=2)


def _split(x: Draws) -> Float[jax.Array, "halves half *quantity"]:
    """Halves of chains as chains of their own; the middle draw of an odd number is left out."""
    half = x.shape[1] // 2
    return jnp.concatenate([x[:, :half], x[:, x.shape[1] - half :]], axis=0)


def _normal_scores(x: Draws) -> Draws:
    """`ndtri((rank - 3/8) / (S + 1/4))` over all S draws, ties with their average rank: equation 14."""
    pooled = x.reshape(x.shape[0] * x.shape[1], -1)
    ordered = jnp.sort(pooled, axis=0)

    def average_ranks(values: jax.Array, ordered: jax.Array) -> jax.Array:
        below = jnp.searchsorted(ordered, values, side="left")
        up_to = jnp.searchsorted(ordered, values, side="right")
        return (below + up_to + 1) / 2

    ranks = jax.vmap(average_ranks, in_axes=1, out_axes=1)(pooled, ordered)
    return ndtri((ranks.astype(x.dtype) - 0.375) / (pooled.shape[0] + 0.25)).reshape(x.shape)


def _rhat(x: Draws) -> Quantity:
    n = x.shape[1]
    within = jnp.mean(jnp.var(x, axis=1, ddof=1), axis=0)
    between = jnp.var(jnp.mean(x, axis=1), axis=0, ddof=1)
    return jnp.sqrt(((n - 1) / n * within + between) / within)


def _autocovariance(x: Draws) -> Draws:
    """Biased autocovariances of each chain at all lags, by FFT."""
    n = x.shape[1]
    centred = x - jnp.mean(x, axis=1, keepdims=True)
    length = 1 << (2 * n - 1).bit_length()  # zero padding, so that the circular correlation does not wrap
    spectrum = jnp.fft.rfft(centred, length, axis=1)
    return jnp.fft.irfft(jnp.abs(spectrum) ** 2, length, axis=1)[:, :n] / n


def _ess(x: Draws) -> Quantity:
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
    last = n_pairs - 1

    def add(so_far: PyTree, step: PyTree) -> tuple[PyTree, None]:
        smallest, total, n_counted = so_far
        t, pair = step
        counts = (n_counted == t) & (pair > 0) & (t < last)
        smallest = jnp.minimum(smallest, pair)
        return (smallest, total + jnp.where(counts, smallest, 0.0), n_counted + counts), None

    nothing = jnp.zeros(pairs.shape[1:], x.dtype)
    start = (nothing + jnp.inf, nothing, jnp.zeros(pairs.shape[1:], int))
    (_, total, n_counted), _ = jax.lax.scan(add, start, (jnp.arange(n_pairs), pairs))
    # The first autocorrelation that is not counted in a pair still improves the estimate for antithetic chains.
    next_rho = jnp.take_along_axis(rho, 2 * n_counted[None], axis=0)[0]
    tau = -1 + 2 * total + jnp.maximum(next_rho, 0.0)
    n_draws = n_chains * n
    return n_draws / jnp.maximum(tau, 1 / jnp.log10(n_draws))


def _is_constant(x: Draws) -> Bool[jax.Array, "*quantity"]:
    return jnp.all(x == x[0, 0], axis=(0, 1))
