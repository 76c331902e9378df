"""Fast compilation for these tests: they compile hundreds of small programs and run each of them once."""

import jax
import pytest


@pytest.fixture(scope="package", autouse=True)
def compile_without_optimisation():
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
