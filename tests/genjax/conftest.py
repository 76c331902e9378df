"""Fast compilation for the tests of the language, except in the thorough tier; see tests/compilation.py."""

import contextlib

import jax
import pytest

from tests.tiers import tier

FLAG = "jax_disable_most_optimizations"


@contextlib.contextmanager
def optimisation_disabled(disabled):
    before = jax.config.read(FLAG)
    jax.config.update(FLAG, disabled)
    yield
    jax.config.update(FLAG, before)


@pytest.fixture(scope="module", autouse=True)
def compile_without_optimisation(request):
    with optimisation_disabled(tier(request.config) != "thorough"):
        yield


@pytest.fixture
def optimised():
    """For tests that read the cost or the memory of a compiled program: it is to be the one that users run."""
    with optimisation_disabled(False):
        yield
