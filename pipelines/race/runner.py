"""Executes a plan: prepare, gate, race, store, one race after the other. A failing cell never stops the others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration
from pipelines.errors import UserError
from pipelines.output.progress import Reporter
from pipelines.plan import fingerprint
from pipelines.plan.cells import settings_of
from pipelines.plan.plan import CACHED, SKIP, PlannedCell, PlannedRace, Problems, StudyPlan
from pipelines.race import condition, spread, statistics, timed_calls
from pipelines.race.admission import Admission, Entrant, cores_of, finish, is_timed
from pipelines.race.heats import Lane, RaceResult
from pipelines.race.replica import Replica
from pipelines.race.timing import ContestantFailure, TimingSettings, as_failure
from pipelines.race.waves import run_in_waves, waves_of
from pipelines.results import provenance
from pipelines.results.rows import OUTPUT
from pipelines.results.store import Store
from pipelines.spent import Spent
from pipelines.workers import memory
from pipelines.workers.pool import WorkerPool

PREPARING_SECONDS = 3.0
"""A guess of what a process of a cell takes before its race, where no record tells."""

ENDING, STORING = "ending workers", "storing"
"""What the end of a run calls the time that goes to these."""


class Runner:
    """Executes plans with one pool of workers.

    Args:
        store: where rows go.
        problems: data and truth.
        pool: workers, which outlive a study.
        scratch: folder for arrays on their way.
        reporter: progress.
        clock: of the race's budget; None for the real one.
        spent: gets the seconds that go to neither workers nor gates.
    """

    def __init__(
        self,
        store: Store,
        problems: Problems,
        pool: WorkerPool,
        scratch: Path,
        reporter: Reporter,
        clock: Callable[[], float] | None = None,
        spent: Spent | None = None,
    ):
        self.store, self.problems, self.pool, self.scratch, self.reporter = store, problems, pool, scratch, reporter
        self._race_options = {} if clock is None else {"clock": clock}
        self.admission = Admission(problems, pool, scratch)
        self.spent = spent or Spent()
        self._spreads: dict[str, list[tuple[float, int]]] = {"time": [], "ratio": []}
        """What was seen so far of how far processes differ."""
        self._room = memory.Room()
        self._spent: dict[tuple[str, str], dict[str, float | None]] = {}
        self._begun = 0.0

    @property
    def working(self) -> float:
        """Seconds spent preparing, gating and timing: requests to workers, and the gates. The rest is overhead."""
        return self.admission.working

    def require_memory(self, plans: list[StudyPlan]) -> None:
        """Says how much memory the workers will hold at once; where it is little, races run in waves.

        Raises:
            NotEnoughMemory: one process of each contestant is too much; nothing was run.
        """
        running = [(plan.configuration, race) for plan in plans for race in plan.races if race.to_run]
        slots = [(cores_of(race.to_run[0].cell, where), _slots(race, where)) for where, race in running]
        known = {
            one.cell.framework: memory.expected_bytes(one.description.distributions)
            for _, r in running
            for one in r.cells
        }
        for study, task in dict.fromkeys((race.cells[0].cell.study, race.cells[0].cell.task) for _, race in running):
            for record in self.store.records(study, task):
                peak = (record.get("memory") or {}).get("peak_host_bytes")
                if isinstance(peak, int):
                    name = record["identity"]["framework"]
                    known[name] = max(peak, known.get(name, 0))
        self._room = memory.room(slots, known, memory.available_bytes())
        self.reporter.say(self._room.text)

    def expect(self, plans: list[StudyPlan]) -> None:
        """Tells the reporter how long each study should take: as its cells took before, or by their budgets."""
        told = {plan.configuration.study: 0.0 for plan in plans if plan.to_run}
        for plan in plans:
            for race in plan.races:
                if race.to_run:
                    told[plan.configuration.study] += self._seconds(race, plan.configuration)
        self.reporter.expect(told)

    def _seconds(self, race: PlannedRace, configuration: Configuration) -> float:
        study, task = race.cells[0].cell.study, race.cells[0].cell.task
        if (study, task) not in self._spent:
            newest = self.store.newest(study, task)
            self._spent[study, task] = {identity: one.get("spent_seconds") for identity, one in newest.items()}
        known = [self._spent[study, task].get(canonical(planned.cell.identity)) for planned in race.to_run]
        settings = settings_of(race.cells[0].cell, configuration)
        budget = settings.budget_seconds * race.race.budget_share / len(race.cells)
        timed = is_timed(race.cells[0].cell)
        new = PREPARING_SECONDS * (settings.processes if timed else 1) + (budget if timed else 0.0)
        return sum(new if one is None else one for one in known)

    def run(self, plan: StudyPlan) -> None:
        """Measures what the plan says; every cell that ran has a record afterwards."""
        with self.reporter.cells(plan.configuration.study, plan.to_run):
            for race in plan.races:
                if race.to_run:
                    expected = self._seconds(race, plan.configuration)  # before its records are replaced
                    self.reporter.begin(plan.configuration.study, expected)
                    self._race(race, plan.configuration)
                    self.reporter.worked()
                    with self.spent.on(ENDING):
                        if self._room.at_once is None:
                            self.pool.retire(plan.configuration.recycle_after)
                        else:
                            self.pool.close()

    def _race(self, race: PlannedRace, configuration: Configuration) -> None:
        entrants: list[Entrant] = []
        self._begun = time.monotonic()
        with self.spent.on(ENDING):
            self.pool.release(cores_of(race.to_run[0].cell, configuration))
        for planned in race.to_run:
            self.reporter.activity(f"{race.race.title}: prepare and gate {planned.cell.framework}")
            entrant = self.admit(planned, configuration)
            if entrant is None:
                self.reporter.advance()
            elif not is_timed(planned.cell):
                entrant.facts["spent_seconds"] = time.monotonic() - self._begun
                self._begun = time.monotonic()
                self._save(entrant, configuration, {})
                self.forget(entrant)
                self.reporter.advance()
            else:
                entrants.append(entrant)
        if not entrants:
            return
        measured = len(entrants)
        # Ratios pair inside one race, so a new entrant brings the finished ones of its race back to the start.
        for planned in race.cells:
            if planned.action == CACHED and is_timed(planned.cell):
                self.reporter.activity(f"{race.race.title}: {planned.cell.framework} races again")
                entrant = self.admit(planned, configuration)
                if entrant is not None:
                    entrants.append(entrant)
        self._time(race, entrants, configuration)
        self.reporter.advance(measured)

    def admit(self, planned: PlannedCell, configuration: Configuration) -> Entrant | None:
        """Prepares and gates one cell in the processes of its first wave, which are all where there is room.

        A cell that does not pass gets its record here.
        """
        facts: dict[str, Any] = {"provenance": {"started": provenance.now(), "load_average": provenance.load_average()}}
        entrant = Entrant(planned, facts=facts)
        try:
            processes = settings_of(planned.cell, configuration).processes if is_timed(planned.cell) else 1
            self.admission.join(entrant, waves_of(processes, self._room.at_once)[0], configuration)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 whatever goes wrong here is this cell's; the others go on
            failure = as_failure(error)
            self._save_failure(planned, configuration, facts | {"diagnostics": entrant.diagnostics}, failure)
            self.forget(entrant)
            return None
        return entrant

    def _time(self, race: PlannedRace, entrants: list[Entrant], configuration: Configuration) -> None:
        share = race.race.budget_share
        settings = settings_of(race.cells[0].cell, configuration)
        settings = replace(settings, budget_seconds=share * settings.budget_seconds)
        baseline = next((i for i, one in enumerate(entrants) if one.planned.cell == race.race.baseline), None)
        load = provenance.load_average()

        def progress(rounds: int, spent: float) -> None:
            self.reporter.activity(
                f"{race.race.title}: racing {len(entrants)}",
                f"round {rounds}, {spent:.0f} s of a budget of {settings.budget_seconds:g} s",
            )

        self.reporter.activity(f"{race.race.title}: racing {len(entrants)}", "round 1")
        waves = _Waves(self, entrants, configuration)
        result = run_in_waves(
            waves.start,
            len(entrants),
            baseline,
            settings,
            race.cells[0].cell.seed,
            self._room.at_once,
            progress=progress,
            **self._race_options,
        )
        failures, state = dict(result.failures), waves.condition()
        for index, entrant in enumerate(entrants):
            entrant.facts["condition"] = state
            failure = failures.get(index) or finish(entrant)
            if failure is not None:
                failures[index] = failure
        priors = self._learn(result, failures, baseline)
        seen = timed_calls.with_peers(
            [timed_calls.facts([r.timed_calls for r in e.replicas]) for e in entrants], baseline
        )
        spent, self._begun = (time.monotonic() - self._begun) / len(entrants), time.monotonic()
        for entrant in entrants:
            entrant.facts["spent_seconds"] = spent
        race_id = fingerprint.digest(f"{race.race.title}{provenance.now()}{[one.planned.key for one in entrants]}")[:12]
        for index, entrant in enumerate(entrants):
            if index in failures:
                self._save_failure(entrant.planned, configuration, entrant.facts, failures[index])
                self.forget(entrant)
                continue
            common = {"race": race_id, "load_average": load, "contestants": [one.planned.cell.name for one in entrants]}
            paired = baseline if baseline not in failures else None
            timing, arrays = _timing(result, index, baseline, paired, settings)
            confined = all(replica.client.confined for replica in entrant.replicas)
            cores = cores_of(entrant.planned.cell, configuration) if confined else None
            calls = {**seen[index], "judged": sum(replica.judged for replica in entrant.replicas)}
            entrant.facts["timing"] = {
                **common, **timing, "cores": cores, "timed_calls": calls, "priors": priors,
            }  # fmt: skip
            entrant.facts["memory"] = entrant.memory()
            self._save(entrant, configuration, arrays)
            self.forget(entrant)

    def _learn(
        self, result: RaceResult, failures: dict[int, ContestantFailure], baseline: int | None
    ) -> dict[str, dict[str, float] | None]:
        """What this race and those before it tell of how far processes of one program differ; see `spread.py`."""
        for index, lane in enumerate(result.lanes):
            if index in failures or not lane.seconds:
                continue
            seconds, processes = np.array(lane.seconds), np.array(lane.processes)
            found = {"time": statistics.spread_of(seconds, processes)}
            if baseline is not None and baseline not in failures and index != baseline:
                paired = np.isfinite(lane.baseline_seconds)
                ratios = seconds[paired] / np.array(lane.baseline_seconds)[paired]
                found["ratio"] = statistics.spread_of(ratios, processes[paired]) if len(ratios) else None
            for kind, one in found.items():
                self._spreads[kind] += [] if one is None else [one]
        fitted = {kind: spread.fitted(known) for kind, known in self._spreads.items()}
        return {kind: None if prior is None else vars(prior).copy() for kind, prior in fitted.items()}

    def forget(self, entrant: Entrant) -> None:
        """Frees the programs of an entrant."""
        for program in entrant.programs:
            try:
                program.forget()
            except ContestantFailure as failure:
                self.reporter.say(f"  {entrant.planned.cell.name}: its worker is replaced: {failure}")
                program.client.kill()

    def _save(self, entrant: Entrant, configuration: Configuration, arrays: dict[str, np.ndarray]) -> None:
        keep = entrant.planned.cell.keep
        kept = {OUTPUT + name: array for name, array in entrant.outputs.items() if keep is None or name in keep}
        facts = {"diagnostics": entrant.diagnostics, **entrant.facts}
        with self.spent.on(STORING):
            self.store.save(_record(entrant.planned, configuration, "ok", None, facts), {**kept, **arrays})

    def _save_failure(
        self, planned: PlannedCell, configuration: Configuration, facts: dict[str, Any], failure: ContestantFailure
    ) -> None:
        # A worker says "skipped" of what planning could not see; the row is kept, but never reused.
        self.reporter.say(f"  {planned.cell.name}: {failure.status}: {failure.reason}")
        with self.spent.on(STORING):
            record = _record(planned, configuration, failure.status, failure.reason, facts)
            self.store.save({**record, "traceback": failure.traceback}, {})


class _Waves:
    """Starts the processes of a race wave by wave, and ends those of the wave before.

    Args:
        runner: that runs the race; entrants are in the processes of the first wave.
        entrants: of the race.
        configuration: of the run.
    """

    def __init__(self, runner: Runner, entrants: list[Entrant], configuration: Configuration):
        self.runner, self.entrants, self.configuration = runner, entrants, configuration
        self._conditions: list[dict[str, Any]] = []
        self._watch: condition.Watch | None = None

    def start(self, processes: range, present: Sequence[int]) -> dict[int, list[Replica] | ContestantFailure]:
        """The contestants in these processes; see `pipelines.race.waves.Crew`."""
        found: dict[int, list[Replica] | ContestantFailure] = {}
        if processes.start:
            self._conditions.append(self._end_watch())
            failures = {index: finish(self.entrants[index]) for index in present}
            found |= {index: failure for index, failure in failures.items() if failure is not None}
            with self.runner.spent.on(ENDING):
                self.runner.pool.close()
        for index in present:
            if index not in found:
                found[index] = self._joined(self.entrants[index], processes)
        self._watch = condition.Watch(
            replica.client for one in found.values() if isinstance(one, list) for replica in one
        )
        return found

    def _joined(self, entrant: Entrant, processes: range) -> list[Replica] | ContestantFailure:
        try:
            if processes.start:
                self.runner.admission.join(entrant, processes, self.configuration)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 whatever goes wrong here is this cell's; the others go on
            return as_failure(error)
        return [replica for replica in entrant.replicas if replica.process in processes]

    def _end_watch(self) -> dict[str, Any]:
        assert self._watch is not None
        return self._watch.facts()

    def condition(self) -> dict[str, Any]:
        """The condition of the machine during all waves; ends the last one."""
        return condition.merged([*self._conditions, self._end_watch()])


def _slots(race: PlannedRace, configuration: Configuration) -> list[tuple]:
    """The workers of a race, as the pool tells them apart."""
    found = []
    for planned in race.cells:
        cell = planned.cell
        if planned.action != SKIP:
            processes = settings_of(cell, configuration).processes if is_timed(cell) else 1
            found += [(cell.framework, cell.dtype, cell.instance, cell.form, process) for process in range(processes)]
    return found


def _timing(
    result: RaceResult, index: int, baseline: int | None, paired: int | None, settings: TimingSettings
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    lane: Lane = result.lanes[index]
    timing = {
        "rounds": lane.rounds if index != baseline else result.rounds,
        "blocks": len(lane.seconds),
        "processes": len(set(lane.processes)),
        "calls": lane.calls,
        "stop": lane.stop,
        "is_baseline": index == baseline,
        "idle_fraction": result.idle_fraction,
        "idle_after_fraction": result.idle_after[index],
        "waited_fraction": lane.waited_fraction,
        "min_block_seconds": settings.min_block_seconds,
    }
    arrays = {"samples_s": np.array(lane.seconds, np.float64), "processes": np.array(lane.processes)}
    if paired is not None:
        arrays["baseline_samples_s"] = np.array(lane.baseline_seconds, np.float64)
    return timing, arrays


def _record(
    planned: PlannedCell, configuration: Configuration, status: str, reason: str | None, facts: dict[str, Any]
) -> dict[str, Any]:
    environment = {**configuration.environment, **dict(planned.description.environment)}
    outputs = (configuration.results, configuration.figs)
    root = (planned.tree or configuration.tree).root
    where = provenance.provenance(root, environment, configuration.device, outputs)
    dtype = (facts.get("notes") or {}).get("dtype", planned.cell.dtype)  # Gen.jl has one type, whatever is asked for
    own = {"dtype": dtype, "seed": planned.cell.seed, "size": configuration.size}
    return {
        **facts,
        "key": planned.key,
        "identity": planned.cell.identity,
        "inputs": planned.inputs,
        "order": planned.order,
        "status": status,
        "reason": reason,
        "provenance": {**where, **own, "overrides": list(configuration.overrides), **facts["provenance"]},
    }
