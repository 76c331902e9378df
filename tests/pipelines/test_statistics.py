"""Estimators against SciPy and by hand."""

import numpy as np
import pytest
from scipy import stats

from pipelines.race.statistics import Interval, difference, flags, group_medians, median_interval, ratio_interval

GENERATOR = np.random.default_rng(20260122)
SAMPLES = GENERATOR.lognormal(0.0, 0.2, size=60)
BASELINE = SAMPLES / GENERATOR.normal(1.5, 0.05, size=60)


def scipy_interval(statistic, *data, paired=False):
    found = stats.bootstrap(
        data, statistic, paired=paired, vectorized=False, n_resamples=4000, method="percentile",
        rng=np.random.default_rng(1),
    )  # fmt: skip
    return found.confidence_interval


def test_median_and_its_interval_agree_with_scipy():
    found = median_interval(SAMPLES)
    expected = scipy_interval(np.median, SAMPLES)
    assert found.value == np.median(SAMPLES)
    # Two bootstraps of one sample differ by resampling alone: a few per cent of the interval's width, seeds fixed.
    assert abs(found.low - expected.low) < 0.1 * found.width
    assert abs(found.high - expected.high) < 0.1 * found.width


def test_ratio_is_paired_by_round_and_agrees_with_scipy():
    found = ratio_interval(SAMPLES, BASELINE)
    expected = scipy_interval(lambda ours, theirs: np.median(ours / theirs), SAMPLES, BASELINE, paired=True)
    assert found.value == np.median(SAMPLES / BASELINE)
    assert abs(found.low - expected.low) < 0.1 * found.width
    assert abs(found.high - expected.high) < 0.1 * found.width
    shuffled = np.random.default_rng(2).permutation(BASELINE)
    assert ratio_interval(SAMPLES, shuffled).width > 2 * found.width, "pairing is what makes it narrow"


def test_interval_covers_the_true_median_at_its_level():
    generator = np.random.default_rng(7)
    covered = [
        (found := median_interval(generator.exponential(size=40), seed)).low <= np.log(2) <= found.high
        for seed in range(400)
    ]
    # Binomial(400, 0.95) has standard error 0.011; 4.5 of them (false alarm 7e-6), plus 0.02 for small samples.
    assert abs(np.mean(covered) - 0.95) < 0.07


def test_intervals_are_repeatable():
    assert median_interval(SAMPLES, 3) == median_interval(SAMPLES, 3)
    assert median_interval(SAMPLES, 3) != median_interval(SAMPLES, 4)


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [[1.0]]])
def test_bad_samples_are_refused(bad):
    with pytest.raises(ValueError, match="finite samples"):
        median_interval(np.array(bad))


def test_unequal_rounds_are_refused():
    with pytest.raises(ValueError, match="pairs rounds"):
        ratio_interval(np.ones(3), np.ones(4))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.8, 0.9, "faster"),
        (1.1, 1.2, "slower"),
        (0.99, 1.01, "no difference shown"),
        (1.0, 1.1, "no difference shown"),
    ],
)
def test_difference_may_not_be_shown(low, high, expected):
    assert difference(Interval((low + high) / 2, low, high)) == expected


def test_equal_programs_show_no_difference():
    generator = np.random.default_rng(11)
    claimed = 0
    for seed in range(200):
        ratio = ratio_interval(generator.normal(1, 0.05, 30), generator.normal(1, 0.05, 30), seed)
        claimed += difference(ratio) != "no difference shown"
    # Expected 5% of 200 = 10, standard error 3.1; 25 is 4.9 of them (false alarm 1e-6).
    assert claimed < 25


def test_flags_say_what_is_wrong_and_nothing_else():
    quiet = {
        "own": Interval(1.0, 0.99, 1.01),
        "interval_width": 0.04,
        "idle_fraction": 0.0,
        "max_idle_fraction": 0.02,
        "load_average": 0.5,
        "cores": 4,
    }
    steady = np.full(10, 1.0)
    assert flags(steady, None, **quiet) == []
    assert flags(steady, Interval(1.0, 0.9, 1.1), **quiet) == ["95% interval is 20% wide (aim 4%)"]
    assert flags(steady, None, **{**quiet, "idle_fraction": 0.25}) == [
        "idle workers used 25.0% of a core during others' blocks"
    ]
    assert flags(steady, None, **{**quiet, "load_average": 9.0}) == ["the load average was 9.0 on 4 cores"]
    assert flags(steady, None, **{**quiet, "idle_fraction": None, "load_average": None}) == []
    assert flags(steady, Interval(5.0, 4.8, 5.25), **quiet) == [], "far from the baseline, less is asked"
    assert flags(steady, Interval(50.0, 44.0, 57.0), **quiet) == ["95% interval is 26% wide (aim 25%)"]
    assert flags(steady, Interval(1.0, 0.9, 1.1), **{**quiet, "is_baseline": True}) == []
    assert flags(steady, None, **{**quiet, "n_processes": 1}) == ["the interval is within one process"]
    assert flags(steady[:4], None, **quiet) == ["4 blocks are too few for an interval"]
    told = flags(steady, Interval(1.0, 1.0, 1.0), **quiet, n_ratios=4)
    assert told == ["4 blocks are too few for an interval"], "those that the baseline ran beside count"
    outlier = np.array([0.5, *[1.0] * 29])
    assert flags(outlier, None, **quiet) == ["the median is 2.0 times the minimum"]


def test_several_processes_give_students_interval_over_their_medians():
    processes = np.arange(60) % 5
    found = median_interval(SAMPLES, processes=processes)
    logs = np.log([np.median(SAMPLES[processes == process]) for process in range(5)])
    expected = stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs))
    np.testing.assert_allclose([found.value, found.low, found.high], np.exp([logs.mean(), *expected]), rtol=1e-12)
    paired = ratio_interval(SAMPLES, BASELINE, processes=processes)
    assert paired == median_interval(SAMPLES / BASELINE, processes=processes)
    assert median_interval(SAMPLES, 3, np.zeros(60, int)) == median_interval(SAMPLES, 3), "one process: the bootstrap"


def test_interval_over_processes_covers_differences_between_processes():
    generator = np.random.default_rng(13)
    processes = np.arange(60) % 5
    covered = {"one process": 0, "processes": 0}
    for seed in range(400):
        own = np.exp(generator.normal(0, 0.1, 5))[processes]  # a process is off by 10%, a block by 2%
        samples = own * np.exp(generator.normal(0, 0.02, 60))
        for name, given in (("one process", None), ("processes", processes)):
            found = median_interval(samples, seed, given)
            covered[name] += found.low <= 1 <= found.high
    # Binomial(400, 0.95) has standard error 0.011: 0.05 is 4.6 of them (false alarm 4e-6).
    assert abs(covered["processes"] / 400 - 0.95) < 0.05
    assert covered["one process"] / 400 < 0.85, "a bootstrap over rounds alone does not"


def test_times_of_several_processes_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        median_interval(np.array([0.0, 1.0, 1.0, 1.0]), processes=np.array([0, 0, 1, 1]))


@pytest.mark.parametrize("n", [0, 1, 2, 5, 20, 21])
def test_medians_of_groups_are_those_of_numpy(n):
    generator = np.random.default_rng(n)
    values, groups = generator.exponential(size=n), generator.integers(-2, 3, n)
    expected = [np.median(values[groups == one]) for one in np.unique(groups)]
    assert group_medians(values, groups).tolist() == expected
