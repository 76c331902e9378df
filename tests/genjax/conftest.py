"""Fast compilation for the tests of the language, except in the thorough tier; see tests/compilation.py."""

import pytest

from tests.compilation import optimisation_disabled
from tests.tiers import tier


@pytest.fixture(scope="module", autouse=True)
def compile_without_optimisation(request):
    with optimisation_disabled(tier(request.config) != "thorough"):
        yield


@pytest.fixture
def optimised():
    """For tests that read the cost or the memory of a compiled program: it is to be the one that users run."""
    with optimisation_disabled(False):
        yield
