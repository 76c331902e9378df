"""One run: plans, measures, draws and reports what its configurations ask for."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pipelines.config.configuration import Configuration, configure
from pipelines.errors import ConfigurationFaults, DeviceError
from pipelines.output import report
from pipelines.output.claims import Others
from pipelines.output.closing import MEASURING, REPORTING, close, finish, is_writable, refresh_page
from pipelines.output.progress import Reporter
from pipelines.output.summary import Outcome
from pipelines.output.terminal import Terminal
from pipelines.plan.kept import KeptHashes
from pipelines.plan.participants import without_part
from pipelines.plan.plan import Problems, StudyPlan, make_plan
from pipelines.plan.tree import Tree
from pipelines.race.runner import ENDING, Runner
from pipelines.results import helpers, machine
from pipelines.results.store import Store, store_error
from pipelines.scratch import scratch_folder
from pipelines.spent import Spent
from pipelines.workers.pool import WorkerPool

PLANNING = "planning"


def run_words(words: list[str], tree: Tree, study: str | None = None) -> int:
    """Runs what command-line words ask for, and shows it on the terminal; returns the exit status."""
    return run(configure(words, tree, study), Reporter(Terminal()))


def run(configurations: list[Configuration], reporter: Reporter) -> int:
    """Plans, measures, draws and reports what the configurations ask for; returns the exit status."""
    first = configurations[0]
    stages = first.stages
    require_device(first)
    store = Store(first.results, reporter.say)
    problems = Problems(first.tree, KeptHashes(store.root))
    start, spent = time.monotonic(), Spent()
    # Where everything is stored already, or only drawn, a folder that cannot be written is enough.
    can_write = is_writable(store.root)
    with store.exclusive() if can_write and "run" in stages else nullcontext():
        with spent.on(PLANNING):
            plans = _plan(configurations, store, problems, reporter)
            if can_write and "run" in stages:
                _keep(problems.kept, store)
        if stages == ("plan",):
            return 0
        if "run" in stages and not can_write and report.any_to_run(plans):
            raise store_error(OSError(errno.EROFS, os.strerror(errno.EROFS)), store.root)
        outcomes: list[Outcome] = []
        others: Others = {}
        with _display(plans, reporter), _measuring(plans, store, problems, reporter, spent) as measure:
            for plan in plans:
                seconds = measure(plan)
                outcomes.append(finish(plan, store, problems, reporter, seconds, spent))
                if len(outcomes) < len(plans) and plan.to_run and "run" in stages:
                    with spent.on(REPORTING):  # a run that is stopped leaves what it has finished
                        refresh_page(outcomes, plans, store, others)
        if can_write and "run" in stages:
            _keep(problems.kept, store)  # and what the data files were made of
        return close(outcomes, plans, store, reporter, start, measure.working, spent, others)


def _keep(kept: KeptHashes, store: Store) -> None:
    try:
        kept.save()
    except OSError as error:
        raise store_error(error, store.root) from error


def require_device(configuration: Configuration) -> None:
    """Refuses to measure on a CUDA device that is not there.

    Raises:
        DeviceError: if cells are to be run on cuda and the driver lists no GPU.
    """
    if configuration.device == "cuda" and "run" in configuration.stages and not machine.gpus():
        reason = helpers.silent().get("nvidia-smi")
        silence = reason and f"nvidia-smi: {reason}"
        raise DeviceError(
            f"device=cuda: no CUDA device on this machine ({silence or 'nvidia-smi lists no GPU'}). Nothing was run: "
            "there is no fallback. Use device=cpu, or run where there is a GPU."
        )


def _plan(configurations: list[Configuration], store: Store, problems: Problems, reporter: Reporter) -> list[StudyPlan]:
    plans: list[StudyPlan] = []
    faults: list[str] = []
    for configuration in configurations:
        try:
            plans.append(make_plan(configuration, store, problems))
        except ConfigurationFaults as fault:
            faults.extend(fault.faults)
    if faults:
        raise ConfigurationFaults(faults)
    _require_part(configurations)
    if not any(plan.cells for plan in plans):
        asked = [word for word in configurations[0].overrides if word.startswith(("frameworks=", "tasks=", "figures="))]
        raise ConfigurationFaults([f"No cell is asked for: {' '.join(asked)} leaves none of the studies' own."])
    for plan in plans:
        report.print_plan(plan, reporter)
    return plans


def _require_part(configurations: list[Configuration]) -> None:
    """Refuses a framework that was asked for by name and takes part in nothing.

    Raises:
        ConfigurationFaults: with the reasons.
    """
    faults = []
    for name in configurations[0].asked or ():
        if any(name in task["frameworks"] for one in configurations for task in one.tasks.values()):
            continue
        reasons = [reason for one in configurations for reason in without_part(one.tasks).get(name, {})]
        if reasons:
            faults.append(f"{name} was asked for and takes part in nothing: {'; '.join(dict.fromkeys(reasons))}.")
    if faults:
        raise ConfigurationFaults(faults)


class _Measure:
    """Executes plans with a runner, if there is one; `working` is the seconds of its workers and gates."""

    def __init__(self, spent: Spent, runner: Runner | None = None):
        self._spent, self._runner, self.working = spent, runner, 0.0

    def __call__(self, plan: StudyPlan) -> float:
        """The seconds that the plan took."""
        if self._runner is None:
            return 0.0
        start = time.monotonic()
        with self._spent.on(MEASURING):
            self._runner.run(plan)
        self.working = self._runner.working
        return time.monotonic() - start


@contextmanager
def _measuring(
    plans: list[StudyPlan], store: Store, problems: Problems, reporter: Reporter, spent: Spent
) -> Iterator[_Measure]:
    """Executes plans; the workers outlive a study."""
    if "run" not in plans[0].configuration.stages:
        yield _Measure(spent)
        return
    if not report.any_to_run(plans):
        reporter.say("Nothing to measure: every cell is cached or skipped.")
        yield _Measure(spent)
        return
    with scratch_folder() as scratch, WorkerPool(scratch, reporter.say) as pool:
        runner = Runner(store, problems, pool, scratch, reporter, spent=spent)
        with spent.on(PLANNING):
            runner.require_memory(plans)
            runner.expect(plans)
        yield _Measure(spent, runner)
        with spent.on(ENDING):
            pool.close()


@contextmanager
def _display(plans: list[StudyPlan], reporter: Reporter) -> Iterator[None]:
    """One display for all cells and figures of several studies; a single study has its own bars."""
    if len(plans) == 1:
        yield
        return
    stages = plans[0].configuration.stages
    cells = sum(plan.to_run for plan in plans) if "run" in stages else 0
    figures = sum(len(plan.configuration.figures) for plan in plans) if "figures" in stages else 0
    with reporter.whole("the whole run", cells + figures):
        yield
