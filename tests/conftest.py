"""Settings of the whole suite. Warnings are errors: see pyproject.toml."""

import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def drop_compiled_programs():
    """Clear JAX's caches: XLA's CPU compiler can crash after some hundreds of programs in one process."""
    yield
    # Only where a test has imported JAX: most modules of the pipelines never do.
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
