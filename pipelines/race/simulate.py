"""Races on a simulated machine: do the intervals cover, and how often is equal called different?

The races, the rule that stops them and the intervals are those of real ones; only the blocks are drawn. Every process
is off by a factor of its own, which lasts as long as it lives; every block by another; the machine drifts, or slows
down in bursts, for all contestants alike. The true ratio of two programs is that of their `call_seconds`.

    python -m pipelines.race.simulate [RACES]

prints the coverage of every scenario with its standard error, over 3,000 races by default (two minutes).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.race import statistics
from pipelines.race.spread import Prior, fitted
from pipelines.race.statistics import Interval
from pipelines.race.timing import TimingSettings
from pipelines.race.waves import run_in_waves

SETTINGS = TimingSettings(
    min_block_seconds=0.05, warmup_blocks=0, interval_width=0.04, max_idle_fraction=0.02, min_rounds=5, max_rounds=400,
    budget_seconds=8.0, processes=5,
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """How times vary.

    Args:
        block_sd: of the log of a block's time.
        process_sd: of the log of a process's own factor.
        tail_freedom: degrees of freedom of a block's noise, Student's; 0 for the normal.
        burst_rate: bursts per second, each 0.3 s long, in which everything takes twice as long.
        drift_per_minute: relative, of the whole machine.
        one_sided: whether a block's noise only slows it down: its absolute value counts.
        unlike: sd of the log of a contestant's own `process_sd`: some differ more between processes than others.
    """

    block_sd: float = 0.03
    process_sd: float = 0.02
    tail_freedom: int = 0
    burst_rate: float = 0.0
    drift_per_minute: float = 0.0
    one_sided: bool = False
    unlike: float = 0.0


SCENARIOS = {
    "quiet": Scenario(0.005, 0.01),
    "lognormal noise": Scenario(0.03, 0.02),
    "equal processes": Scenario(0.03, 0.0),
    "bursts": Scenario(0.02, 0.02, burst_rate=0.2),
    "drift": Scenario(0.02, 0.02, drift_per_minute=0.5),
    "heavy tails": Scenario(0.03, 0.02, tail_freedom=2),
    "delays": Scenario(0.05, 0.02, one_sided=True),
    "unlike processes": Scenario(0.02, 0.02, unlike=0.7),
}
CALLS = (0.02, 0.02, 0.03, 0.15, 1.5)
"""Seconds of a call of the baseline and of four others: equal, and 1.5, 7.5 and 75 times as slow."""


class Machine:
    """A clock that contestants move, and what slows all of them down."""

    def __init__(self, scenario: Scenario, generator: np.random.Generator):
        self.scenario, self.generator, self.now = scenario, generator, 0.0
        self._burst_ends, self._next_burst = 0.0, self._wait()

    def __call__(self) -> float:
        return self.now

    def block(self, seconds: float) -> float:
        """Seconds that a block of that many quiet seconds takes now; moves the clock."""
        scenario, generator = self.scenario, self.generator
        while self.now > self._next_burst:
            self._burst_ends, self._next_burst = self._next_burst + 0.3, self._next_burst + 0.3 + self._wait()
        noise = generator.standard_t(scenario.tail_freedom) if scenario.tail_freedom else generator.normal()
        noise = scenario.block_sd * (abs(noise) if scenario.one_sided else noise)
        slow = (1 + scenario.drift_per_minute * self.now / 60) * (2.0 if self.now < self._burst_ends else 1.0)
        taken = float(seconds * slow * np.exp(np.clip(noise, -1, 3)))
        self.now += taken + 0.002
        return taken

    def _wait(self) -> float:
        rate = self.scenario.burst_rate
        return self.generator.exponential(1 / rate) if rate else np.inf


class Simulated:
    """One process of a contestant."""

    def __init__(self, machine: Machine, worker: int, call_seconds: float, process_sd: float):
        self.machine, self.worker = machine, worker
        self.call_seconds = call_seconds * float(np.exp(process_sd * machine.generator.normal()))

    @property
    def seconds_at_gate(self) -> None:
        """There is no gate."""
        return None

    def prepare(self, seed: int, calls: int) -> None:
        """Nothing to prepare."""

    def time(self, calls: int) -> float:
        """Seconds of a block on the simulated machine."""
        return self.machine.block(calls * self.call_seconds)

    def audit(self) -> None:
        """Nothing to look at."""

    @property
    def usable_cores(self) -> int:
        """It has one."""
        return 1

    def cpu_seconds(self) -> float:
        """An idle worker uses no time."""
        return 0.0

    def waited_seconds(self) -> float:
        """Nobody waits for a core."""
        return 0.0


@dataclass(frozen=True)
class Outcome:
    """Intervals of the contestants of one race beside the truth.

    Args:
        ratios: of all contestants but the first, which is the baseline.
        truth: their true ratios.
        answered: whether each is as narrow as its question wants it.
        seconds: that the race took.
    """

    ratios: list[Interval]
    truth: list[float]
    answered: list[bool]
    seconds: float

    @property
    def covered(self) -> list[bool]:
        """Whether each interval includes the truth."""
        return [one.low <= true <= one.high for one, true in zip(self.ratios, self.truth, strict=True)]


def simulate(
    scenario: Scenario,
    seed: int,
    call_seconds: Sequence[float] = CALLS,
    settings: TimingSettings = SETTINGS,
    at_once: int | None = None,
) -> Outcome:
    """One race on a simulated machine; its first contestant is the baseline, `at_once` processes live at a time."""
    machine = Machine(scenario, np.random.default_rng(seed))
    contestants = []
    for index, one in enumerate(call_seconds):
        own = scenario.process_sd * (
            float(np.exp(scenario.unlike * machine.generator.normal())) if scenario.unlike else 1
        )
        contestants.append(
            [Simulated(machine, 100 * index + process, one, own) for process in range(settings.processes)]
        )
    result = run_in_waves(
        lambda wave, present: {index: contestants[index][wave.start : wave.stop] for index in present},
        len(contestants), 0, settings, seed, at_once, clock=machine,
    )  # fmt: skip
    values = [
        (np.array(lane.seconds) / np.array(lane.baseline_seconds), np.array(lane.processes))
        for lane in result.lanes[1:]
    ]
    prior = shared_prior(values)
    ratios = [statistics.median_interval(one, seed, processes, prior) for one, processes in values]
    answered = [one.width <= statistics.aim(one.value, settings.interval_width) * one.value for one in ratios]
    return Outcome(ratios, [one / call_seconds[0] for one in call_seconds[1:]], answered, machine.now)


def shared_prior(values: Sequence[tuple[np.ndarray, np.ndarray]]) -> Prior | None:
    """The prior of contestants given (values, processes) of each."""
    variances = [statistics.spread_of(one, processes) for one, processes in values]
    return fitted([one for one in variances if one is not None])


@dataclass(frozen=True)
class Coverage:
    """What many races of a scenario showed.

    Args:
        covered: share of the intervals that include the truth.
        error: its standard error; the intervals of a race count as one, since they share the baseline.
        answered: share that is as narrow as its question wants.
        widths: (n_contestants - 1,) median width relative to the value.
        seconds: of a race, mean.
    """

    covered: float
    error: float
    answered: float
    widths: tuple[float, ...]
    seconds: float


def coverage(scenario: Scenario, races: int, seed: int = 0) -> Coverage:
    """Simulates races with the seeds from `seed` on."""
    outcomes = [simulate(scenario, seed + number) for number in range(races)]
    shares = np.array([np.mean(outcome.covered) for outcome in outcomes])
    widths = np.array([[one.width / one.value for one in outcome.ratios] for outcome in outcomes])
    return Coverage(
        float(shares.mean()),
        float(shares.std() / np.sqrt(races)),
        float(np.mean([outcome.answered for outcome in outcomes])),
        tuple(np.median(widths, axis=0).tolist()),
        float(np.mean([outcome.seconds for outcome in outcomes])),
    )


def first_seed(name: str) -> int:
    """Of a scenario's races, so that no two scenarios share any."""
    return 1_000_000 * (1 + list(SCENARIOS).index(name))


def main(races: int) -> None:
    """Prints the table of all scenarios."""
    print(f"{races} races each; widths of ratios of about " + ", ".join(f"{one / CALLS[0]:g}" for one in CALLS[1:]))
    for name, scenario in SCENARIOS.items():
        found = coverage(scenario, races, first_seed(name))
        widths = " ".join(f"{one:6.1%}" for one in found.widths)
        print(
            f"{name:17} covered {found.covered:.1%} +- {found.error:.1%}  widths {widths}  "
            f"answered {found.answered:4.0%}  {found.seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
