"""The house style: numbers on logarithmic axes, however little of an axis is in view."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from studies import figure_style as style


def read(label):
    """The number that a label says: 0.02, 1,000, $10^{7}$ or $2 \\times 10^{6}$."""
    plain = label.strip("$").replace(",", "").replace("{", "").replace("}", "")
    if "10^" not in plain:
        return float(plain)
    mantissa, exponent = plain.split("10^")
    return float(mantissa.replace(r"\times", "") or 1) * 10.0 ** int(exponent)


@pytest.mark.parametrize("low", [3e-7, 0.013, 0.9, 1.0, 1.1, 4.7, 7_300.0, 470_000.0, 2e6])
@pytest.mark.parametrize("factor", [1.02, 1.5, 3.0, 9.0, 40.0, 3e4, 1e12])
def test_a_log_axis_has_two_numbers_at_least_and_few_enough_to_read(low, factor):
    axes = Figure().add_subplot()
    axes.set_xscale("log")
    axes.set_xlim(low, low * factor)
    style.number_log_axis(axes.xaxis)
    FigureCanvasAgg(axes.get_figure()).draw()
    labels = [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= low * factor]
    shown = [text.get_text() for text in labels]
    assert 2 <= len(shown) <= 8 and all(shown)
    np.testing.assert_allclose([read(text) for text in shown], [text.get_position()[0] for text in labels], rtol=1e-5)
    assert not any(text.get_text() for text in axes.get_xticklabels(minor=True))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.4, 300.0, [1.0, 10.0, 100.0]),
        (4.0, 60.0, [5.0, 10.0, 20.0, 50.0]),
        (1.0, 10.0, [1.0, 10.0]),
        (21.0, 48.0, [30.0, 40.0]),
        (1e-2, 1e9, 10.0 ** np.arange(-2, 10, 2)),
    ],
)
def test_ticks_are_powers_of_ten_where_two_are_in_view(low, high, expected):
    np.testing.assert_allclose(style.LogTicks().tick_values(low, high), expected)
    np.testing.assert_allclose(style.LogTicks().tick_values(high, low), expected)
