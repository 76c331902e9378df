"""Log weights of particles, and resampling by inverse CDF in linear memory.

Weights: the particle whose log weight is -inf or NaN is *dead*: it counts as weight 0 everywhere in this module, and
is never an ancestor while another one lives. When all are dead nothing is known: the log mean weight is -inf, the
effective sample size 0, and every particle is its own ancestor. Particles of log weight +inf share all of the mass.

Resampling: every method places n positions in [0, n) and gives particle i the positions between C_{i-1} and C_i, where
`C_i = n * sum_{j <= i} w_j / sum w` is its cumulative expected offspring. Sums are exact integers (see `_accumulate`),
so that expected offspring are right for a million particles too, where a float32 cumulative sum is off by tenths.

Sources: Kitagawa, *Monte Carlo filter and smoother* (JCGS 1996), stratified and systematic resampling; Douc, Cappe and
Moulines, *Comparison of resampling schemes for particle filtering* (ISPA 2005), all four and their variances; Devroye,
*Non-uniform random variate generation* (1986), V.3, sorted uniforms by exponential spacings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.const import Const, Size, unwrap
from genjax.distributions import exponential, uniform
from genjax.pjax.partition import on_every_device
from genjax.shapes import Float, Int32, Integer

Method: TypeAlias = str | Const[str]
"""The name of a resampling method; see `resample_ancestors`."""

# Log weights


def relative_weights(log_weights: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """`w_i = exp(log_weights_i - max)`, shape (..., n): 1 for the heaviest, 0 for the dead, all 0 when all are dead."""
    log_weights = _live(log_weights)
    heaviest = jnp.max(log_weights, axis=-1, keepdims=True)
    # inf - inf is NaN: particles that attain an infinite maximum are put at 0 by hand.
    shifted = jnp.where(log_weights == heaviest, 0.0, log_weights - heaviest)
    return jnp.where(heaviest == -jnp.inf, 0.0, jnp.exp(shifted))


def normalized_weights(log_weights: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """`w_i / sum_j w_j`, shape (..., n); all 0 when all are dead."""
    weights = relative_weights(log_weights)
    return weights / jnp.maximum(jnp.sum(weights, axis=-1, keepdims=True), 1.0)  # the heaviest has weight 1


def log_normalized_weights(log_weights: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """`log(w_i / sum_j w_j)`, shape (..., n); -inf for the dead."""
    log_weights = _live(log_weights)
    heaviest = jnp.max(log_weights, axis=-1, keepdims=True)
    shifted = jnp.where(log_weights == heaviest, 0.0, log_weights - heaviest)
    log_total = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1, keepdims=True))
    return jnp.where(heaviest == -jnp.inf, -jnp.inf, shifted - log_total)


def log_mean_weight(log_weights: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """`log(sum_i exp(log_weights_i) / n)` over the last axis; -inf when all are dead."""
    return jax.nn.logsumexp(_live(log_weights), axis=-1) - jnp.log(log_weights.shape[-1])


def effective_sample_size(log_weights: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """`(sum_i w_i)^2 / sum_i w_i^2` over the last axis, `w = exp(log_weights)`: from 1 to n, and 0 when all are dead.

    Source: Kong, Liu and Wong, *Sequential imputations* (JASA 1994).
    """
    weights = relative_weights(jnp.asarray(log_weights))
    return jnp.square(jnp.sum(weights, axis=-1)) / jnp.maximum(jnp.sum(jnp.square(weights), axis=-1), 1.0)


def _live(log_weights: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    return jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)


# Resampling


def systematic_resample(log_weights: Array, n: Size | None = None) -> Int32[Array, "n"]:
    """Ancestor indices by systematic resampling: positions `i + u`, with one u ~ U(0, 1).

    Args:
        log_weights: (m,) float.
        n: number of draws, int or `Const`; m by default.

    Returns:
        (n,) int32, ascending. Particle i occurs floor or ceil of `n w_i` times, `n w_i` in expectation. One random
        number serves all, so the counts are correlated.
    """
    return resample_ancestors(log_weights, n, "systematic")


def stratified_resample(log_weights: Array, n: Size | None = None) -> Int32[Array, "n"]:
    """Ancestor indices by stratified resampling: positions `i + u_i`, u_i ~ U(0, 1) independent.

    Arguments and result as for `systematic_resample`. Its variance is never above that of multinomial resampling
    (Douc, Cappe and Moulines, section 3.2).
    """
    return resample_ancestors(log_weights, n, "stratified")


def residual_resample(log_weights: Array, n: Size | None = None) -> Int32[Array, "n"]:
    """Ancestor indices by residual resampling: `floor(n w_i)` copies, the rest multinomial in what is left over.

    Its variance is never above that of multinomial resampling (Douc, Cappe and Moulines, section 3.1).
    """
    return resample_ancestors(log_weights, n, "residual")


def categorical_resample(log_weights: Array, n: Size | None = None) -> Int32[Array, "n"]:
    """Ancestor indices by multinomial resampling: n independent draws with probabilities w, sorted.

    Positions are n sorted uniforms, made of exponential spacings. See `systematic_resample`.
    """
    return resample_ancestors(log_weights, n, "categorical")


def resample_ancestors(log_weights: Array, n: Size | None = None, method: Method = "categorical") -> Int32[Array, "n"]:
    """Ancestor indices by the named method: "categorical" (or "multinomial"), "systematic", "stratified", "residual".

    Args:
        log_weights: (m,) float, not necessarily normalised.
        n: number of draws, int or `Const`; m by default.
        method: the name, str or `Const`.

    Returns:
        (n,) int32, ascending. Unbiased: particle i occurs `n w_i` times in expectation, w normalised.

    Raises:
        ValueError: an unknown method, weights of another shape than (m,) with m > 0, or n below 1.
    """
    name = unwrap(method)
    if name not in _METHODS:
        raise ValueError(f"Unknown resampling method: {name!r}. Known: {', '.join(map(repr, _METHODS))}.")
    log_weights = jnp.asarray(log_weights)
    if log_weights.ndim != 1 or log_weights.shape[0] == 0:
        raise ValueError(
            f"Resampling takes log weights of shape (n_particles,), at least one, got shape {log_weights.shape}. "
            "For a batch of collections use vmap."
        )
    n_draws: int = log_weights.shape[0] if n is None else unwrap(n)
    if n_draws < 1:
        raise ValueError(f"Resampling needs at least one draw, got n={n_draws}.")
    draw_noise, ancestors = _METHODS[name]
    return on_every_device(lambda log_weights, noise: ancestors(log_weights, noise, n_draws))(
        log_weights, draw_noise(n_draws)
    )


def ancestral_lineage(ancestor_indices: Integer[Array, "steps n"], index: ArrayLike = 0) -> Int32[Array, "steps *k"]:
    """Follow particles back in time through the ancestor indices of each step.

    Args:
        ancestor_indices: (T, n) int: entry (t, i) is the particle, before resampling at t, whose copy is i after it.
        index: () or (k,) int, particles after the last resampling.

    Returns:
        (T,) or (T, k) int32: where the ancestors are in the particles of each step, as stored after its resampling.
    """

    def back(later: Array, row: Array) -> tuple[Array, Array]:
        return row[later], later

    _, indices = jax.lax.scan(back, jnp.asarray(index, jnp.int32), ancestor_indices.astype(jnp.int32), reverse=True)
    return indices


for _function in (systematic_resample, stratified_resample, residual_resample, categorical_resample):
    _function.__static_parameters__ = ("n",)  # type: ignore[attr-defined]
resample_ancestors.__static_parameters__ = ("n", "method")  # type: ignore[attr-defined]


# Noise, by site


def _one_offset(n: int) -> Array:
    return uniform.sample(0.0, 1.0)


def _offsets(n: int) -> Array:
    return uniform.sample(0.0, 1.0, sample_shape=(n,))


def _spacings(n: int) -> Array:
    return exponential.sample(1.0, sample_shape=(n + 1,))


# Deterministic parts, compiled once per shape also when called eagerly


@functools.partial(jax.jit, static_argnums=2)
def _by_strata(log_weights: Array, offsets: Array, n: int) -> Array:
    """Positions `k + offsets_k`, or with one offset () for all."""
    limb = _limb_bits(log_weights.shape[0])
    whole, part = _accumulate(_expected_offspring(log_weights, n), limb)
    offsets = jnp.floor(offsets * float(4**limb)).astype(jnp.int32)
    own = offsets[jnp.minimum(whole, n - 1)] if offsets.ndim else offsets
    return _to_ancestors(whole + (own < part), log_weights, n)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _by_sorted_uniforms(log_weights: Array, spacings: Array, n: int, is_residual: bool = False) -> Array:
    """Sorted uniform positions from exponential spacings, for all draws or for those that whole copies leave over."""
    limb = _limb_bits(max(log_weights.shape[0], n))
    expected = _expected_offspring(log_weights, n)
    copies = jnp.floor(expected) if is_residual else jnp.zeros_like(expected)
    boundaries = _accumulate(expected - copies, limb)
    copied = jnp.cumsum(copies.astype(jnp.int32))
    n_left = jnp.maximum(n - copied[-1], 0)
    index = jnp.arange(n + 1)
    # The first n_left + 1 spacings make n_left sorted uniforms on [0, n_left).
    scale = n_left / jnp.sum(jnp.where(index <= n_left, spacings, 0.0))
    positions = _accumulate(jnp.where(index < n_left, spacings * scale, 0.0)[:n], limb)
    below = jnp.minimum(_count_below(positions, boundaries), n_left)
    return _to_ancestors(copied + below, log_weights, n)


def _expected_offspring(log_weights: Float[Array, "m"], n: int) -> Float[Array, "m"]:
    return n * normalized_weights(log_weights)


def _limb_bits(length: int) -> int:
    return min(15, 30 - length.bit_length())


def _accumulate(amounts: Float[Array, "n"], limb: int) -> tuple[Int32[Array, "n"], Int32[Array, "n"]]:
    """Cumulative sums as `whole + part / 4^limb`, both int32: exact once the fractions are rounded to that many bits.

    Fractions are cut into two limbs, whose sums fit 31 bits: 20 bits are kept for a million amounts, 30 up to 2^15.
    """
    whole = jnp.floor(amounts)
    units = jnp.round((amounts - whole) * float(4**limb)).astype(jnp.int32)
    mask = 2**limb - 1
    # One cumulative sum of three rows: XLA unrolls each into a tree, which takes long to compile.
    rows = jnp.stack([whole.astype(jnp.int32), units >> limb, units & mask])
    whole, high, low = jnp.cumsum(rows, axis=1)
    high = high + (low >> limb)
    return whole + (high >> limb), ((high & mask) << limb) | (low & mask)


def _count_below(positions: tuple[Array, Array], boundaries: tuple[Array, Array]) -> Array:
    """For each boundary the number of sorted positions below it, by bisection; both are (whole, part)."""
    n = positions[0].shape[0]
    n_bits = n.bit_length()

    def bisect(i: Array, count: Array) -> Array:
        candidate = count + (1 << (n_bits - 1 - i))
        whole, part = (array[jnp.minimum(candidate, n) - 1] for array in positions)
        is_below = (whole < boundaries[0]) | ((whole == boundaries[0]) & (part < boundaries[1]))
        return jnp.where(is_below & (candidate <= n), candidate, count)

    return jax.lax.fori_loop(0, n_bits, bisect, jnp.zeros(boundaries[0].shape, jnp.int32))


def _to_ancestors(below: Int32[Array, "m"], log_weights: Float[Array, "m"], n: int) -> Int32[Array, "n"]:
    """Ancestors from the number of positions below each C_i."""
    index = jnp.arange(log_weights.shape[0], dtype=jnp.int32)
    last = jnp.max(jnp.where(_live(log_weights) > -jnp.inf, index, -1))
    # The last living particle takes what rounding has left; no dead one behind it gets anything.
    below = jnp.where(index >= last, n, jnp.minimum(below, n))
    ancestors = jnp.cumsum(jnp.zeros(n + 1, jnp.int32).at[below].add(1)[:n])
    themselves = jnp.arange(n, dtype=jnp.int32) % log_weights.shape[0]
    return jnp.where(last < 0, themselves, ancestors).astype(jnp.int32)


_METHODS: dict[str, tuple[Callable[[int], Array], Callable[[Array, Array, int], Array]]] = {
    "categorical": (_spacings, _by_sorted_uniforms),
    "multinomial": (_spacings, _by_sorted_uniforms),
    "systematic": (_one_offset, _by_strata),
    "stratified": (_offsets, _by_strata),
    "residual": (_spacings, functools.partial(_by_sorted_uniforms, is_residual=True)),
}
