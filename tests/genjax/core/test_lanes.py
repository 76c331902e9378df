"""The sum over a few lanes: equal to `jnp.sum` under every transform, and vectorised over particles on CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from genjax import gen, normal, seed
from genjax.core.lanes import FEWEST_SUMS, MOST_PRODUCT_TERMS, MOST_TERMS, scalar, sum_lanes

SIZES = [1, 2, MOST_TERMS, MOST_TERMS + 1, 100]


def sum_product(values):
    return sum_lanes(values, is_polynomial=True)


@pytest.fixture(params=SIZES)
def values(request):
    return jax.random.normal(jax.random.key(request.param), (FEWEST_SUMS + 3, 2, request.param))


def close(ours, theirs):
    # float32 rounding of at most a hundred additions of numbers of order one
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_alone_and_over_batches(values):
    close(sum_lanes(values[0, 0]), values[0, 0].sum())
    for transform in (lambda f: f, jax.jit):
        for summed in (sum_lanes, sum_product):
            close(transform(jax.vmap(summed))(values[:, 0]), values[:, 0].sum(-1))
            close(transform(jax.vmap(jax.vmap(summed)))(values), values.sum(-1))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_over_any_batch_axis(values, axis):
    lanes = jnp.moveaxis(values[:, 0], 0, axis)
    for summed in (sum_lanes, sum_product):
        close(jax.jit(jax.vmap(summed, in_axes=axis))(lanes), values[:, 0].sum(-1))
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


def test_derivatives_of_products():
    x = jax.random.normal(jax.random.key(0), (FEWEST_SUMS, 20))
    derivative = jax.jit(jax.grad(lambda x: jnp.square(jax.vmap(sum_product)(jnp.square(x))).sum()))(x)
    close(derivative / jnp.square(x).sum(-1, keepdims=True), 4 * x)


def test_other_values():
    assert sum_lanes(jnp.arange(5)) == 10
    assert sum_lanes(jnp.ones((2, 3))) == 6
    assert sum_lanes(jnp.zeros(0)) == 0
    assert sum_lanes(2.5) == 2.5
    assert sum_lanes(jnp.ones(4, jnp.bfloat16)).dtype == jnp.bfloat16
    close(sum_lanes(jnp.array([1.0, -jnp.inf])), -jnp.inf)


@pytest.mark.parametrize("value", [jnp.inf, -jnp.inf, jnp.nan])
def test_products_of_what_is_not_finite(value):
    rows = jnp.ones((FEWEST_SUMS, 20)).at[1, 3].set(value)
    sums = jax.jit(jax.vmap(sum_product))(rows)
    np.testing.assert_array_equal(sums[:3], jnp.array([20.0, value, 20.0]))


def test_a_product_is_exact_to_the_precision_of_the_terms():
    """No platform may round the terms first, as fast products of matrices do."""
    terms = jnp.zeros((FEWEST_SUMS, 20)).at[:, 0].set(1 + 2.0**-20)
    np.testing.assert_array_equal(jax.jit(jax.vmap(sum_product))(terms), 1 + 2.0**-20)


def test_where_a_product_is_used():
    def n_products(n_terms, n_sums=FEWEST_SUMS, dtype=jnp.float32, function=sum_product):
        values = jax.ShapeDtypeStruct((n_sums, n_terms), dtype)
        return jax.jit(jax.vmap(function)).lower(values).as_text().count("dot_general")

    assert jax.default_backend() != "cpu" or n_products(50) == n_products(MOST_PRODUCT_TERMS) == 1
    assert n_products(50, function=lambda x: scalar(x, True)) == n_products(50)
    assert n_products(MOST_PRODUCT_TERMS + 1) == n_products(50, FEWEST_SUMS - 1) == n_products(MOST_TERMS) == 0
    assert n_products(50, dtype=jnp.bfloat16) == n_products(50, function=sum_lanes) == 0


@pytest.mark.parametrize("n_points", [10, 50])
@pytest.mark.usefixtures("optimised")
def test_no_matrix_of_particles_and_points(n_points):
    n_particles = 100_000

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
