"""Timing against a clock that the test moves: exact numbers, no wall time."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import const
from genjax import timing as module
from genjax.timing import benchmark_with_warmup, compare_timings, timing


class Clock:
    """Nanoseconds that pass only when the timed function says so."""

    def __init__(self, monkeypatch):
        self.now = 0
        monkeypatch.setattr(module.time, "perf_counter_ns", lambda: self.now)

    def function(self, milliseconds):
        """A function whose calls last so long, one after another."""
        remaining = iter(milliseconds)

        def fn():
            self.now += int(1e6 * next(remaining))

        return fn


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_each_time_is_the_trimmed_mean_of_its_calls(clock):
    # Of five calls int(5 * 0.2) = 1 goes at either end, so neither the slow nor the fast one counts.
    fn = clock.function([1000, 2, 3, 4, 0, 5, 5, 0, 800, 8])
    times, (mean, deviation) = timing(fn, repeats=2, inner_repeats=5)
    np.testing.assert_allclose(times, [3e-3, 6e-3], rtol=1e-12)
    assert times.shape == (2,) and times.dtype == np.float64
    assert mean == pytest.approx(4.5e-3)
    assert deviation == pytest.approx(1.5e-3)  # of the population: the sample's would be 2.12e-3


@pytest.mark.parametrize(
    ("calls", "trim_fraction", "expected"),
    [
        ([1, 9], 0.4, 5.0),  # two calls are too few to trim
        ([1, 2, 9], 0.2, 4.0),  # int(3 * 0.2) = 0
        ([1, 2, 9], 0.0, 4.0),
        ([1, 2, 9], 0.4, 2.0),
        ([5, 1, 2, 90], 0.49, 3.5),
        ([7], 0.2, 7.0),
    ],
)
def test_how_much_is_trimmed(clock, calls, trim_fraction, expected):
    times, (mean, deviation) = timing(clock.function(calls), 1, len(calls), trim_fraction=trim_fraction)
    assert mean == pytest.approx(expected * 1e-3)
    assert deviation == 0.0


def test_default_number_of_calls():
    calls = []
    times, _ = timing(lambda: calls.append(None))
    assert (times.shape, len(calls)) == ((20,), 400)
    calls.clear()
    times, _ = benchmark_with_warmup(lambda: calls.append(None))
    assert (times.shape, len(calls)) == ((10,), 102)


def test_warm_up_calls_are_not_timed(clock):
    fn = clock.function([5000, 4000, 3000, 2, 2, 2, 2])
    times, (mean, _) = benchmark_with_warmup(fn, warmup_runs=3, repeats=2, inner_repeats=2)
    np.testing.assert_allclose(times, [2e-3, 2e-3], rtol=1e-12)


class Recorder:
    """Stands for `jax.block_until_ready`: waiting for a result takes 10 ms of the clock."""

    def __init__(self, monkeypatch, clock):
        self.waited = []

        def block(result):
            self.waited.append(result)
            clock.now += 10_000_000
            return result

        monkeypatch.setattr(module.jax, "block_until_ready", block)


def test_waiting_is_inside_the_timed_interval(monkeypatch, clock):
    recorder = Recorder(monkeypatch, clock)
    _, (mean, _) = timing(lambda: {"x": 1}, repeats=1, inner_repeats=3)
    assert mean == pytest.approx(10e-3)
    assert recorder.waited == [{"x": 1}] * 3


def test_without_auto_sync_only_the_warm_up_is_waited_for(monkeypatch, clock):
    recorder = Recorder(monkeypatch, clock)
    _, (mean, _) = benchmark_with_warmup(lambda: 1, warmup_runs=2, repeats=1, inner_repeats=3, auto_sync=False)
    assert mean == 0.0
    assert len(recorder.waited) == 2


def test_results_of_any_form_are_accepted():
    x = jnp.arange(3.0)
    for fn in (lambda: x, lambda: {"a": (x, "text"), "b": None}, lambda: None, jax.jit(lambda: x + 1)):
        times, (mean, deviation) = timing(fn, repeats=2, inner_repeats=1)
        assert np.isfinite(times).all() and (times >= 0).all()
        assert isinstance(mean, float) and isinstance(deviation, float)


def test_constants_are_accepted_as_numbers():
    times, _ = timing(lambda: None, repeats=const(3), inner_repeats=const(1))
    assert times.shape == (3,)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"repeats": 0}, ValueError, "timing: repeats must be at least 1, got 0"),
        ({"inner_repeats": -1}, ValueError, "inner_repeats must be at least 1, got -1"),
        ({"repeats": 1.5}, TypeError, "repeats must be a Python int"),
        ({"trim_fraction": 0.5}, ValueError, "got trim_fraction=0.5.*in \\[0, 0.5\\)"),
        ({"trim_fraction": -0.1}, ValueError, "got trim_fraction=-0.1"),
        ({"trim_fraction": float("nan")}, ValueError, "got trim_fraction=nan"),
    ],
)
def test_bad_numbers(arguments, error, message):
    with pytest.raises(error, match=message):
        timing(lambda: None, **arguments)


def test_other_bad_input():
    with pytest.raises(TypeError, match="which cannot be called. Pass a function of no arguments"):
        timing(jnp.ones(3))
    with pytest.raises(ValueError, match="warmup_runs must not be negative, got -1"):
        benchmark_with_warmup(lambda: None, warmup_runs=-1)
    with pytest.raises(ValueError, match="got no results"):
        compare_timings()
    with pytest.raises(ValueError, match="got 1 labels for 2 results"):
        compare_timings(result(1.0, 0.1), result(1.0, 0.1), labels=["one"])


def result(mean, deviation):
    return np.array([mean]), (mean, deviation)


def test_table(capsys):
    compare_timings(result(0.002, 0.0001), result(0.003, 0.0002), labels=["ours", "theirs, at length"])
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["Method", "Mean (ms)", "Std (ms)", "Relative"]
    assert re.split(r"\s{2,}", lines[2]) == ["ours", "2.0000", "0.1000", "100.0%"]
    assert re.split(r"\s{2,}", lines[3]) == ["theirs, at length", "3.0000", "0.2000", "150.0%"]
    assert len({len(line) for line in lines}) == 1


def test_table_without_labels_and_with_a_clock_too_coarse(capsys):
    compare_timings(result(0.0, 0.0), result(0.001, 0.0))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["Method", "1", "0.0000", "0.0000", "n/a"]
    assert lines[3].startswith("Method 2") and lines[3].endswith("n/a")
