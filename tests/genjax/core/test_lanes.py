"""The sum over a few lanes: equal to `jnp.sum` under every transform, and vectorised over particles on CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from genjax import gen, normal, seed
from genjax.core.lanes import FEWEST_SUMS, MOST_TERMS, sum_lanes

SIZES = [1, 2, MOST_TERMS, MOST_TERMS + 1, 100]


@pytest.fixture(params=SIZES)
def values(request):
    return jax.random.normal(jax.random.key(request.param), (FEWEST_SUMS + 3, 2, request.param))


def close(ours, theirs):
    # float32 rounding of at most a hundred additions of numbers of order one
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_alone_and_over_batches(values):
    close(sum_lanes(values[0, 0]), values[0, 0].sum())
    for transform in (lambda f: f, jax.jit):
        close(transform(jax.vmap(sum_lanes))(values[:, 0]), values[:, 0].sum(-1))
        close(transform(jax.vmap(jax.vmap(sum_lanes)))(values), values.sum(-1))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_over_any_batch_axis(values, axis):
    lanes = jnp.moveaxis(values[:, 0], 0, axis)
    close(jax.jit(jax.vmap(sum_lanes, in_axes=axis))(lanes), values[:, 0].sum(-1))
    with_two = jnp.moveaxis(values, -1, 0)  # the terms come first, the batches behind them
    mapped = jax.vmap(jax.vmap(sum_lanes, in_axes=1), in_axes=1)(with_two)
    close(mapped, values.sum(-1))


def test_derivatives(values):
    def loss(x):
        return jnp.square(jax.vmap(lambda row: sum_lanes(jnp.sin(row)))(x)).sum()

    some = values[:3, 0]
    check_grads(loss, (some,), order=2, modes=["fwd", "rev"], rtol=0.05)
    sums = jnp.sin(values[:, 0]).sum(-1, keepdims=True)
    close(jax.jit(jax.grad(loss))(values[:, 0]), 2 * sums * jnp.cos(values[:, 0]))
    one = jax.vmap(jax.grad(lambda row: sum_lanes(jnp.sin(row)) ** 2))(values[:, 0])
    close(one, 2 * sums * jnp.cos(values[:, 0]))


def test_other_values():
    assert sum_lanes(jnp.arange(5)) == 10
    assert sum_lanes(jnp.ones((2, 3))) == 6
    assert sum_lanes(jnp.zeros(0)) == 0
    assert sum_lanes(2.5) == 2.5
    assert sum_lanes(jnp.ones(4, jnp.bfloat16)).dtype == jnp.bfloat16
    close(sum_lanes(jnp.array([1.0, -jnp.inf])), -jnp.inf)


def test_no_matrix_of_particles_and_points():
    n_particles, n_points = 100_000, 10

    @gen
    def line(xs):
        slope = normal(0.0, 1.0) @ "slope"
        return normal.vmap(in_axes=(0, None))(slope * xs, 1.0) @ "ys"

    def particles(key, xs, ys):
        generated = jax.vmap(lambda _: line.generate({"ys": ys}, xs)[1], axis_size=n_particles)
        return seed(lambda: generated(jnp.arange(n_particles)))(key)

    xs = jnp.linspace(0, 1, n_points)
    compiled = jax.jit(particles).lower(jax.random.key(0), xs, 2 * xs).compile()
    memory = compiled.memory_analysis()
    if memory is None:
        pytest.skip("this JAX backend does not tell the memory of a compiled program")
    assert memory.temp_size_in_bytes < 4 * n_particles * n_points / 2, "particles x points exist at once"
