"""Fast compilation for the examples of the pages, except in the thorough tier; see tests/compilation.py."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def compile_without_optimisation(unoptimised):
    pass
