"""Races in waves: how processes are divided, what each wave is given, and what their results make together."""

import math

import numpy as np
import pytest

from pipelines.race.simulate import SETTINGS, Machine, Scenario, Simulated
from pipelines.race.timing import ContestantFailure
from pipelines.race.waves import run_in_waves, share_of, waves_of


def test_every_process_is_in_one_wave_of_at_most_the_allowed_size():
    assert waves_of(5, None) == waves_of(5, 5) == waves_of(5, 9) == [range(5)]
    for processes in range(1, 12):
        for at_once in range(1, processes + 1):
            waves = waves_of(processes, at_once)
            assert [one for wave in waves for one in wave] == list(range(processes))
            assert max(map(len, waves)) <= at_once and len(waves) == math.ceil(processes / at_once)


def test_waves_share_rounds_budget_and_the_error_that_is_allowed():
    parts = [share_of(SETTINGS, len(wave)) for wave in waves_of(SETTINGS.processes, 2)]
    assert sum(one.budget_seconds for one in parts) == pytest.approx(SETTINGS.budget_seconds)
    assert sum(one.min_rounds for one in parts) >= SETTINGS.min_rounds
    of_mean = sum((one.processes / SETTINGS.processes) ** 2 * one.interval_width**2 for one in parts)
    assert of_mean == pytest.approx(SETTINGS.interval_width**2)


class Crew:
    """Three contestants; the second does not start in the second wave."""

    def __init__(self):
        self.machine = Machine(Scenario(0.01, 0.0), np.random.default_rng(1))
        self.asked = []

    def __call__(self, processes, present):
        self.asked.append((list(processes), list(present)))
        found = {
            index: [Simulated(self.machine, 10 * index + one, 0.02 * (1 + index), 0.0) for one in processes]
            for index in present
        }
        if processes.start and 1 in found:
            found[1] = ContestantFailure("oom", "does not fit")
        return found


def test_results_of_waves_are_one_with_numbered_processes_and_failures_leave():
    crew, seen = Crew(), []
    told = lambda rounds, spent: seen.append(rounds)
    result = run_in_waves(crew, 3, 0, SETTINGS, 7, 2, told, clock=crew.machine)
    assert crew.asked == [([0, 1], [0, 1, 2]), ([2], [0, 1, 2]), ([3, 4], [0, 2])]
    assert {index: one.status for index, one in result.failures.items()} == {1: "oom"}
    assert seen == list(range(1, result.rounds + 1))
    for index in (0, 2):
        lane = result.lanes[index]
        assert sorted(set(lane.processes)) == [0, 1, 2, 3, 4]
        waves = [{0: 0, 1: 0, 2: 1, 3: 2, 4: 2}[one] for one in lane.processes]
        assert waves == sorted(waves)
        assert len(lane.seconds) == len(lane.baseline_seconds) == len(lane.processes)
        assert np.isfinite(lane.baseline_seconds).all()
    assert result.lanes[2].stop == "interval" and result.idle_fraction == 0.0
    ratio = np.median(np.array(result.lanes[2].seconds) / result.lanes[2].baseline_seconds)
    assert ratio == pytest.approx(3.0, rel=0.03)  # 40 blocks or more of 1% noise: ten standard errors
