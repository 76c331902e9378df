"""Draws whose generator is written out are `jax.random`'s, bit for bit, under every transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from genjax import distributions
from genjax.distributions import noise, turns
from genjax.distributions.family import FAMILIES
from genjax.distributions.words import Words
from tests.tiers import slow_except

SHAPES = [(), (1,), (7,), (64,), (65,), (1_000,), (3, 5), (2, 0, 4), (512,), (513,), (40_000,), (17, 33, 5)]
DRAWS = {
    "normal": lambda m: lambda key, shape, dtype: m.normal(key, shape, dtype),
    "uniform": lambda m: lambda key, shape, dtype: m.uniform(key, shape, dtype),
    "gumbel": lambda m: lambda key, shape, dtype: m.gumbel(key, shape, dtype),
    "bernoulli": lambda m: lambda key, shape, dtype: m.bernoulli(key, jnp.asarray(0.3, dtype), shape),
}


#: No normal of a word within 2^-18 of either end is nearer to 0.
TAIL = 4.475


def assert_equal_but_for_tails(ours, theirs, name):
    """Bit for bit; normals in the tails are between those of the ends of JAX's cell."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    is_tail = (np.abs(theirs) > TAIL) & (name == "normal")
    np.testing.assert_array_equal(ours[~is_tail], theirs[~is_tail])
    np.testing.assert_allclose(ours[is_tail], theirs[is_tail], rtol=0.1)


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("shape", slow_except([(), (65,), (2, 0, 4), (513,), (17, 33, 5)], SHAPES), ids=str)
def test_equal_to_jax_random(name, shape):
    ours, theirs = (jax.jit(DRAWS[name](module), static_argnums=(1, 2)) for module in (noise, jax.random))
    for seed in (0, 1, 2**31 + 5):
        key = jax.random.key(seed)
        assert_equal_but_for_tails(ours(key, shape, jnp.float32), theirs(key, shape, jnp.float32), name)


def test_only_normals_in_the_tails_differ_from_those_of_jax_random():
    """Of four million, 32 are expected within 2^-18 of either end: 10 to 64 but for one seed in 10^5."""
    draws = [
        np.asarray(jax.jit(lambda key, draw=module.normal: draw(key, (1 << 22,), jnp.float32))(jax.random.key(3)))
        for module in (noise, jax.random)
    ]
    assert_equal_but_for_tails(*draws, "normal")
    assert 10 < np.sum(draws[0] != draws[1]) < 64


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", ["normal", "uniform", "bernoulli"])
def test_other_widths_are_equal_too(name, dtype):
    with jax.enable_x64(True):
        key = jax.random.key(3)
        ours, theirs = (DRAWS[name](module)(key, (101,), dtype) for module in (noise, jax.random))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(np.asarray(ours, np.float64), np.asarray(theirs, np.float64))


@pytest.mark.parametrize("name", DRAWS)
def test_equal_over_many_keys_and_inside_loops(name):
    ours, theirs = DRAWS[name](noise), DRAWS[name](jax.random)
    keys = jax.random.split(jax.random.key(4), (3, 5))

    def scanned(draw):
        return jax.lax.scan(lambda carry, key: (carry, draw(key, (601,), jnp.float32)), 0, keys[0])[1]

    def mapped(draw):
        return jax.vmap(jax.vmap(lambda key: draw(key, (601,), jnp.float32)))(keys)

    for transform in (scanned, mapped):
        np.testing.assert_array_equal(jax.jit(transform, static_argnums=0)(ours), transform(theirs))


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
def test_keys_of_other_generators_keep_theirs(implementation):
    key = jax.random.key(5, impl=implementation)
    np.testing.assert_array_equal(noise.normal(key, (50,), jnp.float32), jax.random.normal(key, (50,)))


def test_equal_to_jax_random_where_streams_are_not_partitionable():
    before = jax.config.jax_threefry_partitionable
    jax.config.update("jax_threefry_partitionable", False)
    try:
        key = jax.random.key(6)
        np.testing.assert_array_equal(noise.normal(key, (51,), jnp.float32), jax.random.normal(key, (51,)))
    finally:
        jax.config.update("jax_threefry_partitionable", before)


@pytest.mark.usefixtures("optimised")
def test_a_large_draw_needs_no_temporary_array():
    key = jax.random.key(7)
    compiled = jax.jit(lambda key: noise.normal(key, (100_000,), jnp.float32)).lower(key).compile()
    memory = compiled.memory_analysis()
    if memory is None:
        pytest.skip("this JAX backend does not tell the memory of a compiled program")
    assert memory.temp_size_in_bytes < 10_000, "the bits are written out to memory before they are used"


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("shape", [(100_000,), (20_000, 5)], ids=str)
@pytest.mark.parametrize("over_keys", [False, True])
def test_a_large_draw_is_computed_once_however_many_read_it(shape, over_keys):
    """By XLA's count: five readers cost less than half a draw more; with the draw fused into each, four draws more."""

    def draw(key):
        return noise.normal(key, shape, jnp.float32)

    def read(key):
        drawn = draw(key)
        return drawn, drawn.sum(), (2 * drawn).max(0), drawn[::2] + 1, jnp.sum(drawn * drawn)

    keys = jax.random.split(jax.random.key(7), 3) if over_keys else jax.random.key(7)
    alone, used = (
        jax.jit(jax.vmap(function) if over_keys else function).lower(keys).compile() for function in (draw, read)
    )
    flops = [program.cost_analysis()["flops"] for program in (alone, used)]
    assert flops[1] < 1.5 * flops[0]
    assert " while(" not in used.as_text(), "a loop runs on one core"
    np.testing.assert_array_equal(used(keys)[0], alone(keys))


@pytest.mark.parametrize("size", [50, 1_000])
def test_transforms_of_the_same_words_as_jax_random(size):
    key = jax.random.key(8)
    for ours, theirs in (
        (noise.laplace, jax.random.laplace),
        (noise.cauchy, jax.random.cauchy),
        (noise.exponential, lambda *args: -jnp.log(jax.random.uniform(*args))),
        (noise.half_cauchy, lambda *args: jnp.abs(jax.random.cauchy(*args))),
        (noise.half_normal, lambda *args: jnp.abs(jax.random.normal(*args))),
    ):
        np.testing.assert_allclose(ours(key, (size,), jnp.float32), theirs(key, (size,), jnp.float32), rtol=1e-6)
    likely = noise.bernoulli_logits(key, jnp.float32(0.7), (size,))
    np.testing.assert_array_equal(likely, jax.random.uniform(key, (size,)) < jax.nn.sigmoid(0.7))


# Tails. `Words` is given, so that each case is one in 2^18 to 2^64 draws.


def exact_uniform(first, second, rest):
    return (first + ((second >> 8) + rest) / 2**24) / 2**32


#: First and second word, and the rest.
EXTREME = [
    (0, 0, 2.0**-49),
    (0, 0, 0.7),
    (0, 2**31, 0.5),
    (1, 5, 0.5),
    (0, 2**32 - 1, 0.5),
    (77, 2**30, 0.5),
    (2**14 - 1, 0, 0.5),
]


@pytest.mark.parametrize("word", EXTREME, ids=str)
def test_all_bits_of_an_extreme_word_count(word):
    """A uniform near 0, and one as near to 1, have 64 bits, and so have the draws that are made of them."""
    first, second, rest = word
    distance = exact_uniform(*word)
    for is_high in (False, True):
        chosen = np.uint32(2**32 - 1 - first if is_high else first)
        words = Words(jnp.full(3, chosen), jnp.full(3, second, jnp.uint32), jnp.float32(rest), jnp.float32)
        assert bool(words.is_low().all()) is not is_high and bool(words.is_high().all()) is is_high
        assert bool(words.is_extreme().all())
        np.testing.assert_allclose(words.from_the_end(), distance, rtol=3e-7)
        signed = noise._signed_distance_of(words)
        np.testing.assert_allclose(signed, -distance if is_high else distance, rtol=3e-7)
        np.testing.assert_allclose(noise.uniform_or_shortfall(words), signed, rtol=3e-7)
        if not is_high:
            np.testing.assert_allclose(noise.uniform_of_words(words), distance, rtol=3e-7)
        quantile = (-1) ** (not is_high) * -special.ndtri_exp(np.log(distance))
        np.testing.assert_allclose(noise.normal_of_words(words), quantile, rtol=1e-6)


def with_words(monkeypatch, first, second, rest=0.5):
    """Every draw is made of these words."""

    def words(key, shape, dtype):
        first_words, second_words = (jnp.full(shape, word, jnp.uint32) for word in (first, second))
        return Words(first_words, second_words, jnp.asarray(rest, dtype), dtype)

    monkeypatch.setattr(noise, "words_of", words)


@pytest.mark.parametrize("word", EXTREME[:4], ids=str)
def test_draws_in_both_tails(word, monkeypatch):
    key, one = jax.random.key(0), (3,)
    distance = exact_uniform(*word)
    with_words(monkeypatch, *word)
    np.testing.assert_allclose(noise.exponential(key, one, jnp.float32), -np.log(distance), rtol=1e-6)
    np.testing.assert_allclose(noise.gumbel(key, one, jnp.float32), -np.log(-np.log(distance)), rtol=1e-6)
    np.testing.assert_allclose(noise.cauchy(key, one, jnp.float32), -1 / (np.pi * distance), rtol=1e-6)
    for p in (0.5 * distance, 2 * distance):
        assert bool(noise.bernoulli(key, jnp.float32(p), one).all()) is (p > distance)
    for p in (0.5 * distance, 2 * distance):
        logit = jnp.float32(np.log(p) - np.log1p(-p))
        assert bool(noise.bernoulli_logits(key, logit, one).all()) is (p > distance)
    magnitude = np.abs(noise.laplace(key, one, jnp.float32))
    np.testing.assert_allclose(magnitude, -np.log(2 * distance), rtol=1e-6)
    with_words(monkeypatch, 2**32 - 1 - word[0], *word[1:])
    np.testing.assert_allclose(noise.exponential(key, one, jnp.float32), -np.log1p(-distance), rtol=1e-6)
    np.testing.assert_allclose(noise.gumbel(key, one, jnp.float32), -np.log(-np.log1p(-distance)), rtol=1e-6)
    np.testing.assert_allclose(noise.cauchy(key, one, jnp.float32), 1 / (np.pi * distance), rtol=1e-6)
    np.testing.assert_allclose(np.abs(noise.laplace(key, one, jnp.float32)), magnitude, rtol=1e-6)
    for p in (0.5 * distance, 2 * distance):  # the rarer outcome is now False
        logit = jnp.float32(np.log1p(-p) - np.log(p))
        assert bool(noise.bernoulli_logits(key, logit, one).any()) is (p <= distance)
    for middle in (2**31 + word[0], 2**31 - 1 - word[0]):
        with_words(monkeypatch, middle, *word[1:])
        np.testing.assert_allclose(noise.half_normal(key, one, jnp.float32), np.sqrt(2 * np.pi) * distance, rtol=1e-6)
        np.testing.assert_allclose(noise.half_cauchy(key, one, jnp.float32), np.tan(np.pi * distance), rtol=1e-6)


@pytest.mark.parametrize("word", EXTREME[:4], ids=str)
def test_counts_of_tiny_rates(word, monkeypatch):
    """Waiting times are as short as they should be: counts of rates down to 2^-104 are not always 0."""
    key, time = jax.random.key(0), float(exact_uniform(*word))
    with_words(monkeypatch, 2**32 - 1 - word[0], *word[1:])
    gap = turns.fine_exponential_of_turn(key, jnp.uint32(0), (3,), jnp.float32)
    np.testing.assert_allclose(gap, -np.log1p(-time), rtol=1e-6)
    for multiple, count in ((0.5, 0), (1.5, 1)):
        rate = jnp.full(3, multiple * time, jnp.float32)
        np.testing.assert_array_equal(FAMILIES["Poisson"].forms[0].draw(key, rate, shape=(3,)), count)
        drawn = FAMILIES["Binomial"].forms[1].draw(key, jnp.ones(3), rate, shape=(3,))
        np.testing.assert_array_equal(drawn, count)
        failures = FAMILIES["Geometric"].forms[1].draw(key, rate, shape=(3,))
        assert bool((failures == 0).all()) is (count == 1)


# Parameters, the exact law, and the ends of the support at which a docstring promises 1e-30.
PROMISED = {
    "uniform": ((0.0, 1.0), stats.uniform(), ["low"]),
    "exponential": ((2.0,), stats.expon(scale=0.5), ["low", "high"]),
    "weibull": ((1.5, 2.0), stats.weibull_min(1.5, scale=2), ["low", "high"]),
    "pareto": ((2.5, 3.0), stats.pareto(2.5, scale=3), ["high"]),
    "cauchy": ((0.0, 2.0), stats.cauchy(scale=2), ["low", "high"]),
    "half_cauchy": ((2.0,), stats.halfcauchy(scale=2), ["low", "high"]),
    "laplace": ((0.0, 2.0), stats.laplace(scale=2), ["low", "high"]),
    "logistic": ((0.0, 2.0), stats.logistic(scale=2), ["low", "high"]),
    "gumbel": ((0.0, 2.0), stats.gumbel_r(scale=2), ["low", "high"]),
    "truncated_normal": ((0.0, 1.0, -1.0, np.inf), stats.truncnorm(-1, np.inf), ["high"]),
    "normal": ((1.0, 2.0), stats.norm(1, 2), ["low", "high"]),
    "log_normal": ((0.0, 0.5), stats.lognorm(0.5), ["low", "high"]),
    "half_normal": ((2.0,), stats.halfnorm(scale=2), ["low", "high"]),
}


@pytest.mark.parametrize("name", PROMISED)
def test_the_rarest_draw_of_a_distribution_is_as_rare_as_its_docstring_says(name, monkeypatch):
    """What the law gives to beyond the draw of the smallest, or largest, bits is 2^-105 up to a factor of four."""
    parameters, law, ends = PROMISED[name]
    draw = getattr(distributions, name)._sample.value.__self__.forms[0].draw
    draws = []
    for first in (0, 2**31, 2**32 - 1):
        with_words(monkeypatch, first, 0, 2.0**-49)
        draws.append(float(draw(jax.random.key(0), *map(jnp.float32, parameters), shape=(3,))[0]))
    log_beyond = {"low": law.logcdf(min(draws)), "high": law.logsf(max(draws))}
    for end in ends:
        assert abs(log_beyond[end] + 105 * np.log(2)) < np.log(4), (end, draws)


@pytest.mark.parametrize("n_bits", [18, 32, 56])
def test_normals_in_the_tail_follow_the_conditional_distribution(n_bits):
    """Beyond the quantile of 2^-n_bits, where the further bits decide. False alarm 1e-6 for each side."""
    rng, n = np.random.default_rng(n_bits), 20_000
    first = rng.integers(0, 2 ** max(32 - n_bits, 0), n, dtype=np.uint32)
    second = rng.integers(0, 2 ** min(56 + 8 - n_bits, 32), n, dtype=np.uint64).astype(np.uint32)
    rest = jnp.asarray(rng.uniform(size=n), jnp.float32)
    for sign, word in ((-1, first), (1, ~first)):
        normals = noise.normal_of_words(Words(jnp.asarray(word), jnp.asarray(second), rest, jnp.float32))
        share = np.exp(special.log_ndtr(-sign * np.asarray(normals, np.float64)) + n_bits * np.log(2))
        assert stats.kstest(share, "uniform").pvalue > 1e-6


def test_refined_normals_under_transforms(monkeypatch):
    key, keys = jax.random.key(2), jax.random.split(jax.random.key(3), 4)
    with_words(monkeypatch, 0, 0, 0.25)
    want = special.ndtri_exp(np.log(0.25 * 2.0**-56))
    for size in (3, 300, 700):

        def draw(key, size=size):
            return noise.normal(key, (size,), jnp.float32)

        scanned = jax.lax.scan(lambda carry, key: (carry, draw(key)), 0, keys)[1]
        for drawn in (draw(key), jax.jit(draw)(key), jax.vmap(draw)(keys), scanned):
            np.testing.assert_allclose(drawn, want, rtol=1e-6)
        slope = jax.grad(lambda scale, draw=draw: (scale * draw(key)).sum())(2.0)
        np.testing.assert_allclose(slope, size * want, rtol=1e-5)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_rest_is_uniform_over_keys(kind, dtype):
    """False alarm 1e-6 each, over keys of splits and over keys of consecutive numbers; never 0 or 1."""
    with jax.enable_x64(dtype == jnp.float64):
        of_splits = jax.random.split(jax.random.key(9, impl=kind), 5_000)
        of_numbers = jax.vmap(lambda seed: jax.random.key(seed, impl=kind))(jnp.arange(5_000))
        for keys in (of_splits, of_numbers):
            rests = jax.vmap(lambda key: noise._rest(key, dtype))(keys)
            assert rests.dtype == dtype
            assert stats.kstest(np.asarray(rests, np.float64), "uniform").pvalue > 1e-6
            assert float(rests.min()) >= 2.0**-49 and float(rests.max()) <= 1.0


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("size", [40, 300, 3_000])
def test_second_words_are_uniform_and_independent_of_the_first(kind, dtype, size):
    """Correlations of the leading bits, each a mean of `size` signs: 5.5 standard errors, 4e-8 of false alarm each."""
    with jax.enable_x64(dtype == jnp.float64):
        key = jax.random.key(9, impl=kind)
        words = noise.words_of(key, (size,), dtype)
        assert words.first.shape == (size,)
        if dtype == jnp.float64:
            assert words.second is None and words.first.dtype == jnp.uint64
            return
        first, second = (2.0 * (np.asarray(w) >> 31) - 1 for w in (words.first, words.second))
    for signs in (first, second, first * second):
        assert abs(signs.mean()) < 5.5 / np.sqrt(size)
