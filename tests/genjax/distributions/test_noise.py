"""Draws whose generator is written out are `jax.random`'s, bit for bit, under every transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.distributions import noise

SHAPES = [(), (1,), (7,), (64,), (65,), (1_000,), (3, 5), (2, 0, 4), (512,), (513,), (40_000,), (17, 33, 5)]
DRAWS = {
    "normal": lambda m: lambda key, shape, dtype: m.normal(key, shape, dtype),
    "uniform": lambda m: lambda key, shape, dtype: m.uniform(key, shape, dtype),
    "uniform above": lambda m: lambda key, shape, dtype: m.uniform(key, shape, dtype, minval=0.25),
    "gumbel": lambda m: lambda key, shape, dtype: m.gumbel(key, shape, dtype),
    "bernoulli": lambda m: lambda key, shape, dtype: m.bernoulli(key, jnp.asarray(0.3, dtype), shape),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equal_to_jax_random(name, shape):
    ours, theirs = DRAWS[name](noise), DRAWS[name](jax.random)
    for seed in (0, 1, 2**31 + 5):
        key = jax.random.key(seed)
        np.testing.assert_array_equal(ours(key, shape, jnp.float32), theirs(key, shape, jnp.float32))


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


def test_a_large_draw_needs_no_temporary_array():
    key = jax.random.key(7)
    compiled = jax.jit(lambda key: noise.normal(key, (100_000,), jnp.float32)).lower(key).compile()
    memory = compiled.memory_analysis()
    if memory is None:
        pytest.skip("this JAX backend does not tell the memory of a compiled program")
    assert memory.temp_size_in_bytes < 10_000, "the bits are written out to memory before they are used"
