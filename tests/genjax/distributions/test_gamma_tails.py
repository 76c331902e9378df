"""Gamma draws far out, made of chosen random words; and that elements are made the same in every way.

Words are drawn from a small region that holds all words of a tail. Of what is accepted there, the share and the
distribution are compared with the exact ones. False alarm below 1e-6 for each check.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax.distributions import gammas, marsaglia_tsang, noise, turns
from genjax.distributions.words import Words

N = 1_000_000


def words_between(rng, low, high, n):
    """Words whose 56 bits are uniform in [low, high), where these are multiples of 2^-32 or below it."""
    if high > 2.0**-32:
        first = rng.integers(int(low * 2**32), max(int(np.ceil(high * 2**32)), 1), n, dtype=np.uint64)
        second = rng.integers(0, 2**32, n, dtype=np.uint64)
    else:
        first, second = np.zeros(n, np.uint64), rng.integers(0, max(int(high * 2**64), 1), n, dtype=np.uint64)
    rest = rng.uniform(size=n) * min(1.0, high * 2**56)
    return *(jnp.asarray(word, jnp.uint32) for word in (first, second)), jnp.float32(rest)


def log_acceptance(a):
    """Of a proposal: the logarithm of the integral of exp(d (1 - v + log v)) / sqrt(2 pi)."""
    d = a - 1 / 3
    return d + 0.5 * np.log(9 * d) - np.log(3) - 0.5 * np.log(2 * np.pi) + special.gammaln(a) - a * np.log(d)


@jax.jit
def proposed(of_normal, of_uniform, a):
    constants = marsaglia_tsang._constants(a)
    words = [Words(*one, jnp.float32) for one in (of_normal, of_uniform)]
    return marsaglia_tsang._propose(words, jnp.uint32(1), constants)


CASES = [(a, side, p) for a in (1.0, 1.2, 2.0, 2.7, 5.0, 1e3) for side in ("low", "high") for p in (1e-9, 1e-20, 1e-29)]


@pytest.mark.usefixtures("optimised")  # one program, which runs for longer than it compiles
@pytest.mark.parametrize(("a", "side", "p"), [(1.0, "low", 1e-26), *(c for c in CASES if c != (1.0, "low", 1e-29))])
def test_tails(a, side, p):
    a, rng = float(np.float32(a)), np.random.default_rng(1)
    d = a - 1 / 3
    edge = stats.gamma(a).ppf(p) if side == "low" else stats.gamma(a).isf(p)
    x = (np.cbrt(edge / d) - 1) * np.sqrt(9 * d)
    # All words that may give something beyond the edge: a step of 2^-23 more for those that are not extreme.
    high = stats.norm.cdf(x) if side == "low" else stats.norm.sf(x)
    spare = 2.0**-22 if high > 2.0**-18 else 0.01 * high
    low = max(stats.norm.cdf(-np.sqrt(9 * d)) - spare, 0) if side == "low" and high > 2.0**-18 else 0.0
    high = high + spare
    if high > 2.0**-18:
        low, high = np.floor(low * 2**23) / 2**23, np.ceil(high * 2**23) / 2**23
    else:
        high = 2.0 ** np.ceil(np.log2(high))
    # The largest uniform that is accepted there.
    v = edge / d
    log_limit = min(0.5 * x * x + d * (1 - v + np.log(v)) + (0.1 if side == "low" else 1e-3), 0)
    limit = 2.0 ** np.ceil(log_limit / np.log(2))
    of_normal = words_between(rng, low, high, N)
    of_uniform = words_between(rng, 0.0, limit, N)
    if side == "high":
        of_normal = ~of_normal[0], *of_normal[1:]
    log_v = np.asarray(proposed(of_normal, of_uniform, jnp.float32(a)), float)
    draws = d * np.exp(log_v[np.isfinite(log_v)])
    beyond = special.gammainc(a, draws) if side == "low" else special.gammaincc(a, draws)
    shares = beyond[beyond < p] / p
    expected = N * p * np.exp(log_acceptance(a)) / ((high - low) * limit)
    assert expected > 20
    # Words that are not extreme keep a lattice of 2^-23, which is a little of their distance from the end.
    assert abs(len(shares) - expected) < 5 * np.sqrt(expected) + 0.015 * expected
    assert stats.kstest(shares, "uniform").statistic < 2.7 / np.sqrt(len(shares)) + 0.015


def in_two_stages(key, concentrations):
    return marsaglia_tsang.draw_rest(key, concentrations, marsaglia_tsang.draw_first(key, concentrations))


def test_elements_are_the_same_numbers_in_every_way():
    """A million draws, of which eight have extreme words and hundreds are near 0: with all digits, and as needed."""
    keys, a = jax.random.split(jax.random.key(3), 2_048), jnp.float32([1.0, 2.0, 0.4, 30.0, 1.2])
    concentrations = jnp.broadcast_to(a[:, None], (5, 100)).reshape(-1)
    want = jax.jit(jax.vmap(lambda key: marsaglia_tsang.draw_together(key, concentrations)))(keys)
    one_by_one = jax.jit(lambda keys: jax.lax.map(lambda key: in_two_stages(key, concentrations), keys))
    np.testing.assert_allclose(one_by_one(keys), want, rtol=1e-5, atol=1e-5)
    side_by_side = jax.jit(jax.vmap(lambda key: in_two_stages(key, concentrations)))
    np.testing.assert_allclose(side_by_side(keys), want, rtol=1e-5, atol=1e-5)
    first = jax.jit(jax.vmap(lambda key: marsaglia_tsang.draw_first(key, concentrations)))(keys)
    assert 5 < int((first == jnp.inf).sum()) < 2_000 and int((first == -jnp.inf).sum()) > 10_000


def test_draws_with_normals_of_jax_random_are_unchanged():
    """Up to rounding, they are what Marsaglia and Tsang's method makes of these normals."""
    key, n = jax.random.key(4), 500
    for a in (1.0, 40.0):
        d = np.float32(a - 1 / 3)
        c, want, turn = 1 / np.sqrt(9 * d), np.full(n, np.nan, np.float32), 1
        while np.isnan(want).any():
            x, uniform = (np.asarray(one) for one in turns.normal_and_uniform(key, jnp.uint32(turn), (n,), jnp.float32))
            v = np.maximum(1 + c * x, 0) ** 3
            with np.errstate(divide="ignore", invalid="ignore"):
                is_accepted = (np.log(uniform) < 0.5 * x * x + d * (1 - v + np.log(v))) & (v > 0)
                want = np.where(np.isnan(want) & is_accepted, np.log(v), want)
            turn += 1
        np.testing.assert_allclose(in_two_stages(key, jnp.full(n, a, jnp.float32)), want, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("a", [1e-9, 1e-3, 0.5])
def test_the_uniform_of_small_concentrations_is_fine_near_one(a, monkeypatch):
    """Of a tiny concentration, draws that are not practically 0 are made of uniforms nearer to 1 than 2^-24."""
    of_turn = turns.fine_exponential_of_turn
    gap = jnp.float32(2.0**-60)
    monkeypatch.setattr(turns, "fine_exponential_of_turn", lambda *args: jnp.full_like(of_turn(*args), gap))
    key = jax.random.key(5)
    drawn = gammas._draw_block(key, jnp.full(5, a, jnp.float32))
    above = in_two_stages(key, jnp.full(5, a, jnp.float32))
    np.testing.assert_allclose(drawn, above - gap / np.float32(a), rtol=1e-6)


def test_normals_of_double_precision_reach_as_far():
    rng = np.random.default_rng(6)
    with jax.enable_x64(True):
        for n_bits in (46, 60):
            first = rng.integers(0, 2 ** (64 - n_bits), 20_000, dtype=np.uint64)
            rest = jnp.asarray(rng.uniform(size=20_000))
            for sign, word in ((-1, first), (1, ~first)):
                normals = noise.normal_of_words(Words(jnp.asarray(word), None, rest, jnp.float64))
                share = np.exp(special.log_ndtr(-sign * np.asarray(normals)) + n_bits * np.log(2))
                assert stats.kstest(share, "uniform").pvalue > 1e-6
        extreme = Words(jnp.zeros(1, jnp.uint64), None, jnp.float64(2.0**-40), jnp.float64)
        np.testing.assert_allclose(noise.normal_of_words(extreme), special.ndtri_exp(-104 * np.log(2)), rtol=1e-12)
