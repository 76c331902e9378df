"""The race on a fake clock: exact numbers, no waiting."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.race import heats
from pipelines.race.timing import (
    MAX_CALLS,
    ContestantFailure,
    TimingSettings,
    calibrate,
    round_seed,
    time_block,
)

SETTINGS = TimingSettings(
    min_block_seconds=0.05,
    warmup_blocks=2,
    interval_width=0.04,
    max_idle_fraction=0.02,
    min_rounds=4,
    max_rounds=10,
    budget_seconds=100.0,
)


class Clock:
    """A clock that moves only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Runner:
    """A contestant whose call lasts `seconds(block index)` on the fake clock."""

    def __init__(self, clock, worker, seconds, log=None, spin=0.0):
        self.clock, self.worker, self.seconds = clock, worker, seconds
        self.log = [] if log is None else log
        self.spin, self.blocks, self.seeds = spin, [], []
        self.fail_at = None

    def prepare(self, seed, calls):
        self.seeds.append(seed)
        self.prepared = calls

    def audit(self):
        pass

    usable_cores = 1
    seconds_at_gate = None

    def waited_seconds(self):
        return 0.0

    def time(self, calls):
        if self.fail_at is not None and len(self.blocks) >= self.fail_at:
            raise ContestantFailure("timeout", "too slow")
        assert self.prepared == calls, "each call has inputs of its own"
        self.prepared = 0
        self.log.append(self.worker)
        elapsed = calls * self.seconds(len(self.blocks))
        self.blocks.append(calls)
        self.clock.now += elapsed
        return elapsed

    def cpu_seconds(self):
        return self.spin * self.clock.now


def run_race(racers, *arguments, **options):
    """A race of contestants with one process each."""
    return heats.run_race([[racer] for racer in racers], *arguments, **options)


def stops(result):
    return [lane.stop for lane in result.lanes]


def seconds(result):
    """(n_blocks, n_contestants) of contestants that ran equally many heats."""
    return np.array([lane.seconds for lane in result.lanes]).T


def test_block_reads_the_clock_twice_awaits_every_call_and_keeps_one():
    clock, waited = Clock(), []

    def run(inputs):
        clock.now += 0.25
        return -inputs

    block = time_block(run, waited.append, [1, 2, 3, 4], 2, clock)
    assert (block.seconds, block.kept, block.last) == (1.0, -3, -4)
    assert waited == [-1, -2, -3, -4]


@pytest.mark.parametrize(
    ("call_seconds", "blocks"),
    [
        (0.06, [1]),  # one call is long enough
        (0.05, [1]),
        (0.03, [1, 2]),  # at least doubled
        (0.002, [1, 28]),  # 1.1 times what the first block suggests
        (1e-6, [1, 100, 4096]),  # never more than a hundredfold at once, nor than the most calls
    ],
)
def test_calibration(call_seconds, blocks):
    tried = []

    def time_calls(calls):
        tried.append(calls)
        return calls * call_seconds

    assert calibrate(time_calls, 0.05) == blocks[-1]
    assert tried == blocks


def test_a_call_that_was_long_at_the_gate_is_not_made_again_to_know_that():
    """And of the first round on, fast contestants run as many heats as its block leaves time for."""
    clock = Clock()
    baseline, known, unknown, fast = (
        Runner(clock, index, lambda block, t=t: t) for index, t in enumerate((0.5, 2.0, 2.0, 0.5))
    )
    known.seconds_at_gate = 2.0
    once = replace(SETTINGS, warmup_blocks=0, min_rounds=1, max_rounds=1)
    result = run_race([baseline, known, unknown, fast], 0, once, 0, clock)
    assert (known.blocks, unknown.blocks) == ([1], [1, 1])
    assert [len(lane.seconds) for lane in result.lanes] == [4, 1, 1, 4]


def test_a_slow_baseline_does_not_run_in_many_heats_of_fast_contestants():
    clock = Clock()
    baseline, fast, slow = (Runner(clock, index, lambda block, t=t: t) for index, t in enumerate((4.0, 0.5, 4.0)))
    result = run_race([baseline, fast, slow], 0, replace(SETTINGS, min_rounds=2, max_rounds=2), 0, clock)
    assert [len(lane.seconds) for lane in result.lanes] == [2, 2, 2]


def test_calibration_of_a_clock_that_stands_still_ends():
    assert calibrate(lambda calls: 0.0, 0.05) == MAX_CALLS


def test_constant_times_stop_after_the_least_rounds_with_exact_numbers():
    clock = Clock()
    racers = [Runner(clock, 1, lambda block: 0.01), Runner(clock, 2, lambda block: 0.02)]
    result = run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert stops(result) == ["interval", "interval"] and result.rounds == 4
    np.testing.assert_allclose(seconds(result), np.tile([0.01, 0.02], (4, 1)), rtol=1e-12)
    np.testing.assert_allclose(result.lanes[1].baseline_seconds, [0.01] * 4, rtol=1e-12)
    assert [lane.calls for lane in result.lanes] == [6, 3]
    # calibration (1, then `calls`), two warm-up blocks, four rounds
    assert racers[0].blocks == [1, 6, 6, 6, 6, 6, 6, 6]
    assert racers[1].blocks == [1, 3, 3, 3, 3, 3, 3, 3]


def test_each_round_has_a_fresh_seed_shared_by_all():
    clock = Clock()
    racers = [Runner(clock, worker, lambda block: 0.1) for worker in (1, 2, 3)]
    run_race(racers, 0, SETTINGS, seed=5, clock=clock)
    assert racers[0].seeds == racers[1].seeds == racers[2].seeds
    assert racers[0].seeds[-4:] == [round_seed(5, index) for index in range(1, 5)]
    assert len(set(racers[0].seeds)) == len(racers[0].seeds) == 7  # calibration, two warm-up blocks, four rounds
    assert all(0 <= seed < 2**31 for seed in racers[0].seeds)


def test_order_within_rounds_is_random_but_repeatable():
    def order(seed):
        clock, log = Clock(), []
        racers = [Runner(clock, worker, lambda block: 0.1, log) for worker in range(4)]
        run_race(racers, 0, replace(SETTINGS, min_rounds=8, warmup_blocks=0), seed=seed, clock=clock)
        rounds = np.reshape(log[4:], (8, 4))
        assert (np.sort(rounds, axis=1) == np.arange(4)).all(), "every contestant once a round"
        return [tuple(row) for row in rounds]

    assert order(1) == order(1)
    assert len(set(order(1))) > 3


def test_drift_of_the_machine_cancels_in_the_ratio():
    clock = Clock()
    # Both slow down alike, by 10% a round: times are far apart, ratios are not.
    racers = [Runner(clock, 1, lambda block: 0.1 * 1.1**block), Runner(clock, 2, lambda block: 0.2 * 1.1**block)]
    result = run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert stops(result) == ["interval"] * 2 and result.rounds == 4
    np.testing.assert_allclose(np.divide(result.lanes[1].seconds, result.lanes[1].baseline_seconds), 2.0)


def noisy(block):
    return 0.1 * (1 + block % 2)


def test_noisy_ratio_goes_on_to_the_most_rounds():
    clock = Clock()
    racers = [Runner(clock, 1, lambda block: 0.1), Runner(clock, 2, noisy)]
    result = run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert stops(result) == ["rounds"] * 2 and result.rounds == 10


def test_budget_ends_a_race_and_counts_timed_blocks_only():
    clock = Clock()
    racers = [Runner(clock, 1, lambda block: 0.1), Runner(clock, 2, lambda block: 0.1 * 1.5 ** (block % 2))]
    # A round costs 0.2 or 0.25 s in turn; preparation before the race costs nothing of the budget.
    result = run_race(racers, 0, replace(SETTINGS, budget_seconds=1.3), seed=1, clock=clock)
    assert stops(result) == ["budget"] * 2 and result.rounds == 6


def test_slow_contestant_has_few_rounds_and_the_fast_one_many_heats_in_each():
    clock, log = Clock(), []
    racers = [
        Runner(clock, 1, lambda block: 0.1, log),
        Runner(clock, 2, lambda block: 0.11 * (1 + 0.2 * (block % 2)), log),
        Runner(clock, 3, lambda block: 60.0, log),
    ]
    result = run_race(racers, 0, replace(SETTINGS, min_rounds=5, max_rounds=5), seed=1, clock=clock)
    assert [len(lane.seconds) for lane in result.lanes] == [40, 40, 5]
    assert all(np.isfinite(lane.baseline_seconds).all() for lane in result.lanes), "each block has its baseline's"
    assert [lane.rounds for lane in result.lanes] == [5, 5, 5]


def test_a_contestant_leaves_when_its_question_is_answered():
    clock = Clock()
    racers = [
        Runner(clock, 1, lambda block: 0.1),
        Runner(clock, 2, lambda block: 0.12),
        Runner(clock, 3, lambda block: 0.1 * 1.4 ** (block % 2)),
    ]
    result = run_race(racers, 0, replace(SETTINGS, max_rounds=8), seed=1, clock=clock)
    assert stops(result)[1:] == ["interval", "rounds"]
    assert [lane.rounds for lane in result.lanes][1:] == [4, 8]
    assert len(result.lanes[0].seconds) == 8, "the baseline runs as long as anybody does"


def test_what_left_does_not_count_against_the_budget_of_those_who_stay():
    clock = Clock()
    racers = [
        Runner(clock, 1, lambda block: 0.1),
        Runner(clock, 2, lambda block: 0.1 * 1.5 ** (block % 2)),
        Runner(clock, 3, lambda block: 1.0),
    ]
    settings = replace(SETTINGS, min_rounds=5, budget_seconds=12.0, max_rounds=40)
    result = run_race(racers, 0, settings, seed=1, clock=clock)
    assert stops(result)[1:] == ["budget", "interval"]
    assert result.rounds > 5 and result.lanes[2].rounds == 5


def test_without_a_baseline_the_own_median_decides():
    clock = Clock()
    assert stops(run_race([Runner(clock, 1, lambda block: 0.1)], None, SETTINGS, seed=1, clock=clock)) == ["interval"]
    assert stops(run_race([Runner(clock, 1, noisy)], None, SETTINGS, seed=1, clock=clock)) == ["rounds"]


@pytest.mark.parametrize("fail_at", [0, 5])
def test_failing_contestant_leaves_and_the_others_go_on(fail_at):
    clock = Clock()
    racers = [Runner(clock, worker, lambda block: 0.1) for worker in (1, 2, 3)]
    racers[1].fail_at = fail_at
    result = run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert list(result.failures) == [1] and result.failures[1].status == "timeout"
    assert [len(result.lanes[index].seconds) for index in (0, 2)] == [4, 4]


def test_race_with_nobody_left():
    clock = Clock()
    racer = Runner(clock, 1, lambda block: 0.1)
    racer.fail_at = 0
    result = run_race([racer], 0, SETTINGS, seed=1, clock=clock)
    assert list(result.failures) == [0] and result.rounds == 0 and result.lanes[0].seconds == []


def test_idle_cpu_time_is_read_of_the_others_only():
    clock = Clock()
    # While one is timed, the other spins on a quarter of a core.
    racers = [Runner(clock, 1, lambda block: 0.1), Runner(clock, 2, lambda block: 0.1, spin=0.25)]
    result = run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert result.idle_fraction == pytest.approx(0.125)  # it is idle in half of the blocks


def test_contestants_of_one_process_are_not_each_others_idle_time():
    clock = Clock()
    racers = [Runner(clock, 7, lambda block: 0.1, spin=1.0), Runner(clock, 7, lambda block: 0.1, spin=1.0)]
    result = run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert result.idle_fraction == 0.0
    assert result.idle_after == [0.0, 0.0], "the block of one is no work of the other after its own"


def test_work_after_a_block_is_that_contestants_until_its_worker_is_asked_again():
    clock = Clock()
    racers = [Runner(clock, 7, lambda block: 0.1, spin=0.5), Runner(clock, 8, lambda block: 0.1)]
    # While the second one has its block, the first spins on: half a core for 0.1 s, as long as its own block lasts.
    found = run_race(racers, 0, SETTINGS, seed=1, clock=clock).idle_after
    assert 0.25 < found[0] <= 0.5 and found[1] == 0.0, "the last blocks of the race have nothing after them"


def test_unknown_cpu_time_is_none_not_zero():
    clock = Clock()
    racers = [Runner(clock, 1, lambda block: 0.1), Runner(clock, 2, lambda block: 0.1)]
    racers[1].cpu_seconds = lambda: None
    assert run_race(racers, 0, SETTINGS, seed=1, clock=clock).idle_fraction is None


def test_rounds_take_the_processes_in_turn_and_end_with_equally_many_of_each():
    clock, log = Clock(), []
    # Processes of the second program differ: 0.2, 0.22 and 0.18 s a call.
    racers = [
        [Runner(clock, (0, process), lambda block: 0.1, log) for process in range(3)],
        [
            Runner(clock, (1, process), lambda block, call=call: call, log)
            for process, call in enumerate((0.2, 0.22, 0.18))
        ],
    ]
    result = heats.run_race(racers, 0, replace(SETTINGS, min_rounds=9, max_rounds=9), seed=1, clock=clock)
    assert result.rounds == 9 and result.lanes[1].processes == [0, 1, 2] * 3
    assert result.lanes[0].processes == [0, 1, 2] * 3, "the baseline runs no heat alone"
    np.testing.assert_allclose(result.lanes[1].seconds, [0.2, 0.22, 0.18] * 3, rtol=1e-12)
    assert [len(racer.blocks) for racer in racers[1]] == [6, 5, 5]  # calibration, two warm-up blocks, three rounds
    assert [lane.calls for lane in result.lanes] == [1, 1]


def test_processes_that_agree_end_a_race_at_a_multiple_of_their_number():
    clock = Clock()
    racers = [[Runner(clock, (index, process), lambda block: 0.1) for process in range(3)] for index in range(2)]
    result = heats.run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert stops(result) == ["interval"] * 2 and result.rounds == 6  # the least is 4


def test_one_failing_process_takes_its_contestant_out():
    clock = Clock()
    racers = [[Runner(clock, (index, process), lambda block: 0.1) for process in range(3)] for index in range(3)]
    racers[1][2].fail_at = 3  # in the second round of that process
    result = heats.run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert list(result.failures) == [1]
    assert all(np.isfinite(result.lanes[index].seconds).all() for index in (0, 2))


def test_every_other_process_must_be_idle():
    clock = Clock()
    # Four processes; one of them spins on half a core whenever another is timed, which is in three rounds of four.
    racers = [[Runner(clock, (index, process), lambda block: 0.1) for process in range(2)] for index in range(2)]
    racers[1][1].spin = 0.5
    result = heats.run_race(racers, 0, SETTINGS, seed=1, clock=clock)
    assert result.idle_fraction == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("waited", "used", "elapsed", "cores", "kept"),
    [
        (1.0, 1.0, 1.0, 1, 0.0),  # two threads of its own take turns on its core
        (0.3, 0.7, 1.0, 1, 0.3),  # somebody else had its core for three tenths
        (0.9, 1.4, 1.0, 2, 0.6),  # both happen
        (0.0, 0.2, 1.0, 2, 0.0),  # it slept
        (None, 0.2, 1.0, 2, None),
        (0.1, None, 1.0, 2, None),
    ],
)
def test_threads_that_wait_for_each_other_are_not_kept_waiting_by_others(waited, used, elapsed, cores, kept):
    found = heats.kept_waiting(waited, used, elapsed, cores)
    assert found == (None if kept is None else pytest.approx(kept))
