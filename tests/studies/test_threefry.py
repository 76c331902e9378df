"""The NumPy generator gives the numbers of `jax.random`, which the published data were made with."""

import jax
import numpy as np
import pytest

from studies import threefry


@pytest.mark.parametrize("seed", [0, 42, 2**31 + 7])
def test_keys_splits_and_folds_equal_those_of_jax(seed):
    ours, theirs = threefry.key(seed), jax.random.key(seed)
    np.testing.assert_array_equal(ours, jax.random.key_data(theirs))
    np.testing.assert_array_equal(threefry.split(ours, 5), jax.random.key_data(jax.random.split(theirs, 5)))
    np.testing.assert_array_equal(threefry.fold_in(ours, 9), jax.random.key_data(jax.random.fold_in(theirs, 9)))


@pytest.mark.parametrize("shape", [(), (7,), (3, 4)])
def test_draws_equal_those_of_jax(shape):
    ours, theirs = threefry.key(42), jax.random.key(42)
    np.testing.assert_array_equal(threefry.uniform(ours, shape), jax.random.uniform(theirs, shape))
    # The inverse error functions differ in the last bits of float32.
    np.testing.assert_allclose(threefry.normal(ours, shape), jax.random.normal(theirs, shape), rtol=3e-6, atol=1e-7)


def test_the_published_polynomial_data_come_out():
    # studies of the published artifact print these three observations.
    xs = np.linspace(0, 1, 50)
    ys = 0.5 - 1.25 * xs + 2.0 * xs**2 + 0.05 * threefry.normal(threefry.key(42), (50,))
    np.testing.assert_allclose(ys[:3], [0.498585, 0.498679, 0.467097], atol=1e-6)
