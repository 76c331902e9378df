"""The plan: every cell resolved before anything runs, with what will be done about it and why."""

import gc
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipelines.canonical import canonical
from pipelines.config.configuration import Configuration
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.install.requirements import all_groups, names_of, normal
from pipelines.plan import fingerprint
from pipelines.plan.cells import Cell, Race, races
from pipelines.plan.descriptions import describe
from pipelines.plan.kept import KeptHashes
from pipelines.plan.tree import FrameworkDescription, Tree
from pipelines.results import helpers
from pipelines.results.machine import cpu_model
from pipelines.results.store import Store
from studies.base import Problem

RUN, CACHED, SKIP = "run", "cached", "skip"


@dataclass(frozen=True)
class PlannedCell:
    """A cell with its key, and what will become of it.

    Args:
        inputs: what the key hashes, by name.
        action: "run", "cached" or "skip"; `why` is the reason in words.
        order: counts the measurements of the cell, whatever the state of the sources, from 1.
        tree: the checkout that its program is from, where that is another than the configuration's.
        has_model: whether the study has a model for the framework; a framework without one does not take part.
    """

    cell: Cell
    description: FrameworkDescription
    key: str
    inputs: dict[str, str]
    action: str
    why: str
    has_model: bool = True
    order: int = 1
    tree: Tree | None = None


@dataclass(frozen=True)
class PlannedRace:
    """A race with its planned cells."""

    race: Race
    cells: tuple[PlannedCell, ...]

    @property
    def to_run(self) -> list[PlannedCell]:
        """The cells that must be measured."""
        return [planned for planned in self.cells if planned.action == RUN]


@dataclass(frozen=True)
class StudyPlan:
    """All races of one configuration."""

    configuration: Configuration
    races: tuple[PlannedRace, ...]

    @property
    def cells(self) -> list[PlannedCell]:
        """All cells, in order."""
        return [planned for race in self.races for planned in race.cells]

    @property
    def to_run(self) -> int:
        """How many cells must be measured."""
        return sum(len(race.to_run) for race in self.races)


class Problems:
    """Problems by study and parameters, made once each.

    Args:
        tree: the checkout.
        kept: hashes that were found before: a problem whose data's hash is among them is made only when it is used.
    """

    def __init__(self, tree: Tree, kept: KeptHashes | None = None):
        self.tree, self.kept = tree, kept or KeptHashes()
        self._sources: dict[str, str] = {}
        self._made: dict[str, Problem] = {}
        self._digests: dict[str, str] = {}
        self._repeated: set[str] = set()

    def get(self, study: str, parameters: Mapping[str, Any]) -> Problem:
        """The problem of these parameters.

        Raises:
            ConfigurationFaults: if the study refuses them.
        """
        name = canonical([study, dict(parameters)])
        if name not in self._made:
            try:
                self._made[name] = self.tree.problem_module(study).make_problem(dict(parameters))
            except (ValueError, TypeError, KeyError) as error:
                text = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
                raise ConfigurationFaults([f"The study {study} cannot use its parameters: {text}"]) from error
        return self._made[name]

    def digest(self, study: str, parameters: Mapping[str, Any]) -> str:
        """A hash of the data of these parameters."""
        name = canonical([study, dict(parameters)])
        if name not in self._digests:
            self._digests[name] = self.kept.get(
                canonical(["data", name, self._depends_on(study, parameters)]), lambda: self._found(study, parameters)
            )
        return self._digests[name]

    def _found(self, study: str, parameters: Mapping[str, Any]) -> str:
        found = fingerprint.data_digest(self.get(study, parameters).data)
        if study not in self._repeated:
            self._require_equal(study, parameters, found)
        return found

    def _depends_on(self, study: str, parameters: Mapping[str, Any]) -> list[Any]:
        """What decides data beside the parameters: sources, versions, files that the parameters name, and the machine.

        The last digits of NumPy's functions depend on the processor's instructions.
        """
        if study not in self._sources:
            self._sources[study] = fingerprint.study_digest(self.tree, study)
        files = [fingerprint.content_digest(path) for path in fingerprint.named_files(dict(parameters))]
        return [self._sources[study], fingerprint.computing_versions(), files, cpu_model()]

    def _require_equal(self, study: str, parameters: Mapping[str, Any], first: str) -> None:
        """Makes the first problem of a study once more: random data would never be found again in the store."""
        self._repeated.add(study)
        again = self.tree.problem_module(study).make_problem(dict(parameters))
        if fingerprint.data_digest(again.data) != first:
            text = (
                "two calls of make_problem with equal parameters gave different data. Draw them from a seed among the"
            )
            raise ConfigurationFaults([f"studies/{study}/problem.py: {text} parameters, as in data_seed."])


def make_plan(
    configuration: Configuration, store: Store, problems: Problems, chosen: list[Race] | None = None
) -> StudyPlan:
    """Resolves every cell of a study.

    Args:
        configuration: the study's resolved configuration.
        store: where finished cells are.
        problems: makes the data, whose hash enters every key.
        chosen: races other than those of the configuration, for benchmarks.
    """
    planner = _Planner(configuration, store, problems)
    faults: list[str] = []
    planned: list[PlannedRace] = []
    with nothing_collected():
        for race in races(configuration) if chosen is None else chosen:
            cells = []
            for cell in race.cells:
                try:
                    cells.append(planner.plan(cell))
                except ConfigurationFaults as fault:
                    faults.extend(fault.faults)
            planned.append(PlannedRace(race, tuple(cells)))
    if faults:
        raise ConfigurationFaults(faults)
    return StudyPlan(configuration, tuple(planned))


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Python's collector rests: it would go through all records again and again, and none of them is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def skip_reason(cell: Cell, description: FrameworkDescription, tree: Tree) -> str | None:
    """Why a cell is an expected skip on this machine, found without importing its framework; None if it can run."""
    if not tree.has_task(cell.study, cell.function, description):
        return f"no model of {cell.study}/{cell.function} for {cell.framework}"
    if cell.device not in description.devices:
        return f"{description.label} runs on {' and '.join(description.devices)} only"
    if description.command and shutil.which(description.command[0]) is None:
        return f"{description.command[0]} is not installed"
    missing = [name for name, version in fingerprint.versions(description).items() if version == "missing"]
    if missing and description.command:
        return f"{description.command[0]}: {helpers.silent().get(description.version_command[0], 'no answer')}"
    _require_known(description, missing)
    return f"{', '.join(missing)} is not installed" if missing else None


def _require_known(description: FrameworkDescription, missing: list[str]) -> None:
    """A package that is not installed and that nothing would install is a misspelling, not an expected skip.

    Raises:
        ConfigurationFaults: with the nearest name.
    """
    lines = [line for group in (*all_groups().values(), description.requirements) for line in group] if missing else []
    known = names_of(lines)
    faults = [
        f"frameworks/{description.name}.py: {unknown('package in distributions', name, known)} A package that ./run "
        "shall install stands in the framework's requirements."
        for name in missing
        if normal(name) not in known
    ]
    if faults:
        raise ConfigurationFaults(faults)


@dataclass(frozen=True)
class _Point:
    """What the cells at one point of a grid share; they share the mapping of their parameters itself, too."""

    parameters: Mapping[str, Any]
    parameters_hash: str
    data_hash: str


class _Planner:
    """Plans cells, and finds out only once what many of them share: plans may have tens of thousands."""

    def __init__(self, configuration: Configuration, store: Store, problems: Problems):
        self.configuration, self.store, self.problems = configuration, store, problems
        self.describe = cache(lambda framework: describe(framework, configuration.tree))
        self._points: dict[tuple[str, int], _Point] = {}
        self._reasons: dict[tuple, tuple[str | None, bool]] = {}
        self._shared: dict[tuple, fingerprint.SharedInputs] = {}
        self._history: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}

    def plan(self, cell: Cell) -> PlannedCell:
        """The cell with its key, and what will become of it."""
        description = self.describe(cell.framework)
        reason, has_model = self._skip(cell, description)
        if reason is not None:
            return PlannedCell(cell, description, "", {}, SKIP, reason, has_model)
        point = self._point(cell)
        own = fingerprint.own_inputs(cell, self.configuration, point.parameters_hash, point.data_hash)
        shared = self._shared_inputs(cell, description)
        inputs = own | shared.named
        identity = canonical(cell.identity)
        key = shared.key(own | {"identity": identity})
        older = self._older(cell).get(identity, [])
        order = 1 + max((record.get("order") or 0 for record in older), default=0)
        action, why = _action(_stored(self.store, cell, key, older), older, inputs)
        if action == CACHED and {"all", cell.framework, cell.task} & set(self.configuration.remeasure):
            action, why = RUN, "asked for again"
        return PlannedCell(cell, description, key, inputs, action, why, order=order)

    def _point(self, cell: Cell) -> "_Point":
        slot = (cell.study, id(cell.parameters))
        if slot not in self._points:
            data = self.problems.digest(cell.study, cell.parameters)
            self._points[slot] = _Point(cell.parameters, fingerprint.parameters_digest(cell.parameters), data)
        return self._points[slot]

    def _skip(self, cell: Cell, description: FrameworkDescription) -> tuple[str | None, bool]:
        """Why the cell is skipped, and whether it has a model."""
        slot = (cell.study, cell.function, cell.framework, cell.device)
        if slot not in self._reasons:
            tree = self.configuration.tree
            has_model = tree.has_task(cell.study, cell.function, description)
            self._reasons[slot] = skip_reason(cell, description, tree), has_model
        return self._reasons[slot]

    def _shared_inputs(self, cell: Cell, description: FrameworkDescription) -> fingerprint.SharedInputs:
        slot = (cell.study, cell.device, cell.framework)
        if slot not in self._shared:
            kept = self.problems.kept
            named = fingerprint.shared_inputs(self.configuration, cell.study, cell.device, description, kept)
            self._shared[slot] = fingerprint.SharedInputs(named)
        return self._shared[slot]

    def _older(self, cell: Cell) -> dict[str, list[dict[str, Any]]]:
        slot = (cell.study, cell.task)
        if slot not in self._history:
            self._history[slot] = self.store.history(*slot)
        return self._history[slot]


def _stored(store: Store, cell: Cell, key: str, older: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The record of the key, if it and its arrays can be trusted."""
    listed = next((record for record in older if record["key"] == key), None)
    if listed is not None and store.has_arrays(listed):
        return listed
    return store.intact(cell.study, cell.task, key)  # says what is wrong, if something is there


def _action(stored: dict[str, Any] | None, older: list[dict[str, Any]], inputs: dict[str, str]) -> tuple[str, str]:
    """What becomes of a cell, and why."""
    if stored is not None and stored["status"] == "ok":
        return CACHED, f"measured {stored['provenance'].get('started')}"
    if stored is not None:
        return RUN, f"{stored['status']} last time: {stored.get('reason')}"
    changes = fingerprint.changed(older[-1]["inputs"], inputs) if older else []
    return RUN, f"stale: {', '.join(changes)} changed" if changes else "missing"
