"""Exact intervals of proportions, Holm's correction, and the chance that a verdict flips."""

import math

import numpy as np
import pytest
from scipy import stats

from pipelines.race.decisions import beyond, flip_chance, holm, proportion_interval
from pipelines.race.statistics import Interval


@pytest.mark.parametrize(("hits", "trials"), [(18, 20), (0, 20), (20, 20), (93, 100), (1, 3)])
def test_proportions_agree_with_scipys_exact_interval(hits, trials):
    found = proportion_interval(hits, trials)
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose([found.value, found.low, found.high], [hits / trials, *expected], atol=1e-10)


def test_eighteen_of_twenty_is_not_at_least_nine_tenths_and_none_of_twenty_reaches_a_sixth():
    assert proportion_interval(18, 20).low == pytest.approx(0.683, abs=1e-3)
    assert proportion_interval(0, 20).high == pytest.approx(0.168, abs=1e-3)
    with pytest.raises(ValueError, match="3 hits of 2 trials"):
        proportion_interval(3, 2)


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == [] and holm([0.7]) == [0.7]


def test_holm_controls_the_family():
    generator = np.random.default_rng(4)
    wrong = [min(holm(generator.random(20))) <= 0.05 for _ in range(2000)]
    assert np.mean(wrong) < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2000), "five standard errors at most"


def test_p_value_of_a_limit_at_the_end_of_the_interval():
    interval = Interval(1.0, 0.9, 1.1)
    assert beyond(interval, 1.1) == pytest.approx(0.025, abs=1e-4)
    assert beyond(interval, 1.0) == 0.5
    assert beyond(Interval(2.0, 1.0, 4.0), 1.0, logarithmic=True) == pytest.approx(0.025, abs=1e-4)
    assert beyond(Interval(1.0, 1.0, 1.0), 2.0) == 0.0


def test_flip_chance_is_that_of_a_second_measurement():
    interval = Interval(1.0, 1.0 - 1.96, 1.0 + 1.96)  # a standard error of 1
    generator = np.random.default_rng(6)
    truth = 1.0 + generator.standard_normal(200_000)  # as far as the first measurement tells
    again = truth + generator.standard_normal(200_000)
    assert flip_chance(interval, -math.inf, 3.0) == pytest.approx(np.mean(again > 3.0), abs=4e-3)
    assert flip_chance(interval, -1.0, 3.0) == pytest.approx(np.mean((again > 3.0) | (again < -1.0)), abs=5e-3)
    assert flip_chance(Interval(1.0, 1.0, 1.0), 0.5, math.inf) == 0.0
