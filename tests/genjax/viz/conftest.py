"""Figures are drawn without a screen, and closed after each test."""

import pytest


@pytest.fixture(autouse=True)
def leave_matplotlib_as_it_was():
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    with plt.rc_context():
        yield
    plt.close("all")


@pytest.fixture
def ax():
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
