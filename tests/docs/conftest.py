"""Fast compilation for the examples of the pages, except in the thorough tier; see tests/compilation.py."""

import pytest

from tests.compilation import optimisation_disabled
from tests.tiers import tier


@pytest.fixture(scope="module", autouse=True)
def compile_without_optimisation(request):
    with optimisation_disabled(tier(request.config) != "thorough"):
        yield
