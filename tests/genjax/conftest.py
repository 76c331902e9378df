"""Settings of the tests of the language."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def quick_compiler():
    """Compile without most of XLA's optimisations: the programs are small, and compiling them takes longest."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
