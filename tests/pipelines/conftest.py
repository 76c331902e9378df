"""A fresh small checkout for each test."""

import pytest

from tests.pipelines.toy import Toy


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)
