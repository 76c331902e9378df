"""Many A/A races: how often does a race call a program faster or slower than itself?

Twice as many processes of one program are prepared as a contestant has. Each race draws half of them for one side and
half for the other, so that what makes processes differ is dealt again. The races and the rule that stops them are those
of any run; the interval is Student's over the processes, since a race of two has no others to learn from.
"""

import secrets
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pipelines.bench.base import MET, MISSED, Context, Finding, faults_of
from pipelines.config.configuration import Configuration
from pipelines.plan.cells import Race, races, settings_of
from pipelines.plan.plan import Problems, make_plan
from pipelines.race import statistics
from pipelines.race.admission import Entrant
from pipelines.race.decisions import proportion_interval
from pipelines.race.heats import run_race
from pipelines.race.runner import Runner
from pipelines.race.statistics import Interval
from pipelines.race.timing import TimingSettings
from pipelines.results.rows import read_rows
from pipelines.results.store import Store
from pipelines.workers.pool import WorkerPool

TITLE = "200 A/A races: how often is a program called faster or slower than itself"
RACES = 200
MOST = 0.05
BUDGET_SECONDS = 3.0
PROCESSES = 5


def run(context: Context) -> list[Finding]:
    """Races the baseline of a study (`study=`, faircoin by default) against itself, `RACES` times."""
    named = [word.partition("=")[2] for word in context.overrides if word.startswith("study=")]
    configuration = context.configure(named[-1] if named else "faircoin", f"timing.processes={2 * PROCESSES}")
    store, problems = Store(configuration.results, context.reporter.say), Problems(context.tree)
    first = races(configuration)[0]
    cell = replace(first.baseline or first.cells[0], keep=())
    race = replace(first, cells=(cell,), baseline=None)
    with store.exclusive(), TemporaryDirectory(prefix="genjax-artifact-") as scratch:
        plan = make_plan(configuration, store, problems, [race])
        with WorkerPool(Path(scratch)) as pool:
            runner = Runner(store, problems, pool, Path(scratch), context.reporter)
            entrant = runner.admit(plan.cells[0], configuration)
            if entrant is None:
                return faults_of([row for _, row in read_rows(plan, store)])
            ratios = _ratios(entrant, configuration, context)
    return [_finding(race, cell.framework, ratios)]


def _ratios(entrant: Entrant, configuration: Configuration, context: Context) -> list[Interval]:
    """The ratio of each race, with its interval."""
    settings: TimingSettings = settings_of(entrant.planned.cell, configuration)
    settings = replace(settings, budget_seconds=BUDGET_SECONDS)
    generator = np.random.default_rng(secrets.randbits(64))
    found = []
    for number in range(RACES):
        context.reporter.activity(f"A/A race {number + 1} of {RACES}")
        order = generator.permutation(len(entrant.replicas)).tolist()
        half = len(order) // 2
        sides = [[entrant.replicas[one] for one in order[start : start + half]] for start in (0, half)]
        result = run_race(sides, 0, settings, seed=number)
        for failure in result.failures.values():
            raise failure
        lane = result.lanes[1]
        settings = replace(settings, calls=lane.calls)  # calibrated once for all races
        processes = np.array(lane.processes)
        found.append(
            statistics.ratio_interval(
                np.array(lane.seconds), np.array(lane.baseline_seconds), number, processes if half > 1 else None
            )
        )
    return found


def _finding(race: Race, framework: str, ratios: list[Interval]) -> Finding:
    alarms = sum(statistics.difference(one) != "no difference shown" for one in ratios)
    share = proportion_interval(alarms, len(ratios))
    width = float(np.median([one.width / one.value for one in ratios]))
    return Finding(
        f"{race.title}: {framework} against itself, {len(ratios)} races",
        f"{alarms} called faster or slower, {share.value:.1%} [{share.low:.1%}, {share.high:.1%}] "
        f"(exact 95% interval; the median interval of a ratio is {width:.1%} wide)",
        f"at most {MOST:.0%} of these races",
        MET if share.value <= MOST else MISSED,
        {"alarms": alarms, "races": len(ratios), "interval": [share.low, share.high], "median_width": width},
    )
