"""Settings of the whole suite. Warnings are errors: see pyproject.toml."""

import functools
import sys

import pytest

# tests.shapes first: it changes how GenJAX is imported.
pytest_plugins = ["tests.shapes", "tests.tiers", "tests.compilation", "tests.covered", "tests.garbage", "tests.order"]


@pytest.fixture(autouse=True, scope="module")
def drop_compiled_programs():
    """Clear JAX's caches: XLA's CPU compiler can crash after some hundreds of programs in one process."""
    yield
    # Only where a test has imported JAX: most modules of the pipelines never do.
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@pytest.fixture
def counted():
    """`program = counted(fn)`: `fn` with `program.calls`, how often Python ran it.

    JAX runs a compiled program's Python once for each trace, so this counts traces.
    """

    def count(fn):
        @functools.wraps(fn)
        def program(*args, **kwargs):
            program.calls += 1
            return fn(*args, **kwargs)

        program.calls = 0
        return program

    return count


@pytest.fixture
def strict_promotion():
    """JAX with strict rules: arrays of different dtypes don't mix, and arrays of different ranks don't broadcast."""
    import jax

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
