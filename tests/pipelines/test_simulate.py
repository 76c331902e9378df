"""Coverage of the intervals of whole races, stopping rule included, on simulated machines."""

import numpy as np
import pytest

from pipelines.race import spread
from pipelines.race.simulate import SCENARIOS, Scenario, simulate
from pipelines.race.statistics import difference

RACES = 150


@pytest.mark.parametrize("name", SCENARIOS)
def test_intervals_cover_in_every_scenario(name):
    seed = 1000 * sorted(SCENARIOS).index(name)
    outcomes = [simulate(SCENARIOS[name], seed + number) for number in range(RACES)]
    covered = np.mean([one for outcome in outcomes for one in outcome.covered])
    # 600 intervals, those of a race correlated by its baseline: a standard error of 0.013 at most. 3.5 of them around
    # 93% to 97% are wrong once in 2,000 runs of other seeds; these seeds are fixed.
    assert 0.93 - 0.045 <= covered <= 0.97 + 0.03


def test_equal_programs_are_called_different_in_one_race_of_twenty():
    called = [
        difference(simulate(SCENARIOS["lognormal noise"], seed, (0.02, 0.02)).ratios[0]) != "no difference shown"
        for seed in range(300)
    ]
    # 5% of 300 has a standard error of 1.26%; 10% is four of them (false alarm 6e-5).
    assert np.mean(called) <= 0.10


def test_moderated_intervals_are_narrower_where_processes_differ_alike():
    one = [simulate(SCENARIOS["quiet"], seed, (0.02, 0.02)).ratios[0].width for seed in range(60)]
    many = [simulate(SCENARIOS["quiet"], seed).ratios[0].width for seed in range(60)]
    assert np.mean(many) < 0.95 * np.mean(one)


def test_a_slow_contestant_does_not_starve_a_fast_one():
    quiet = Scenario(0.01, 0.0)
    outcome = simulate(quiet, 3, (0.02, 0.02, 8.0))
    fast, slow = outcome.ratios
    assert outcome.answered == [True, True]
    assert fast.width < 0.02 and outcome.seconds < 5 * (8.0 + 2 * 8 * 0.08) + 8


def test_prior_finds_the_common_scale_and_how_alike_variances_are():
    generator = np.random.default_rng(5)

    def variances(prior_freedom):
        scales = 4.0 * prior_freedom / generator.chisquare(prior_freedom, 400)
        return [(scale * generator.chisquare(4) / 4, 4) for scale in scales]

    alike, unlike = spread.fitted(variances(1e6)), spread.fitted(variances(6.0))
    assert 0.9 * 4 < alike.variance < 1.1 * 4 and alike.freedom == pytest.approx(0.15 * 4 * 399)
    assert 0.8 * 4 < unlike.variance < 1.2 * 4 and 4 < unlike.freedom < 9
    assert spread.moderated(1.0, 4, None) == (1.0, 4.0)
    value, freedom = spread.moderated(1.0, 4, spread.Prior(3.0, 4.0))
    assert (value, freedom) == (2.0, 8.0)
    assert spread.fitted([(1.0, 4), (2.0, 4)]) is None
    assert spread.fitted([(0.0, 4)] * 3).variance < 1e-9, "a clock that stands still"
