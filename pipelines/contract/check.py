"""The contract over a framework or a study: its cells at the smoke size, and what the gate says of them."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.configuration import Configuration, configure
from pipelines.config.supports import outside
from pipelines.contract.answers import NotHere, ask_process
from pipelines.contract.conversation import ask_worker
from pipelines.contract.rules import Broken, line_of
from pipelines.plan import fingerprint
from pipelines.plan.cells import Cell, races
from pipelines.plan.plan import skip_reason
from pipelines.plan.tree import Tree
from pipelines.race import gate
from studies.base import Problem


@dataclass
class Found:
    """What the contract found.

    Args:
        broken: the rules that do not hold.
        skipped: frameworks and cells that cannot run here, with the reason.
        examined: how many cells of each framework were examined, by all rules that apply to them.
    """

    broken: list[Broken] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    examined: Counter[str] = field(default_factory=Counter)


def check(tree: Tree, study: str | None, framework: str | None, scratch: Path, say: Callable[[str], None]) -> Found:
    """Examines the cells of a study, of a framework, or of a framework in a study.

    Args:
        tree: the checkout and its extensions.
        study: None for all.
        framework: None for all; of one, the baselines of its tasks are run too, for the shapes of their outputs.
        scratch: an empty folder.
        say: prints a line of progress.
    """
    found = Found()
    shapes: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for configuration in configure([f"study={study or 'all'}", "size=smoke"], tree):
        _data_repeats(configuration, found)
        chosen = _chosen(configuration, framework)
        names = dict.fromkeys(cell.framework for cell in chosen)
        for name in sorted(names, key=lambda name: name != framework):
            cells = [cell for cell in chosen if cell.framework == name]
            reason = skip_reason(cells[0], tree.describe(name), tree)
            if reason is None:
                say(f"{configuration.study}: {name}, {len(cells)} tasks")
                reason = _examine(configuration, name, cells, scratch, found, shapes)
            if reason is not None:
                found.skipped.append(f"{name}: {reason}")
            if name == framework and not found.examined[name]:
                break  # what its baselines return is not asked for
    _same_shapes(tree, shapes, framework, found)
    return found


def _chosen(configuration: Configuration, framework: str | None) -> list[Cell]:
    """The first cell of every task and system; of one system, those of its tasks and their baselines."""
    first: dict[tuple[str, str], Cell] = {}
    for race in races(configuration):
        for cell in race.cells:
            wanted = framework is None or cell.framework == framework
            takes_part = framework in [one.framework for one in race.cells]
            if wanted or (takes_part and race.baseline is not None and cell.framework == race.baseline.framework):
                first.setdefault((cell.task, cell.framework), cell)
    return list(first.values())


def _data_repeats(configuration: Configuration, found: Found) -> None:
    """Random data would give every plan other keys, and every worker another problem."""
    study, tree = configuration.study, configuration.tree
    module, path = tree.problem_module(study), tree.study_folder(study) / "problem.py"
    parameters = next((dict(cell.parameters) for race in races(configuration) for cell in race.cells), None)
    if parameters is None:
        return
    once, again = (fingerprint.data_digest(module.make_problem(dict(parameters)).data) for _ in range(2))
    if once != again:
        where = f"{tree.shown(path)}:{line_of(path, 'make_problem')}"
        found.broken.append(Broken("data", where, study, "two calls of make_problem gave different data"))


def _examine(
    configuration: Configuration,
    framework: str,
    cells: list[Cell],
    scratch: Path,
    found: Found,
    shapes: dict[tuple[str, str], dict[str, dict[str, Any]]],
) -> str | None:
    """Examines a framework's cells of one study; returns the reason if it turns out that they cannot run here."""
    tree = configuration.tree
    description = tree.describe(framework)
    folder = scratch / f"{configuration.study}_{framework}"
    folder.mkdir()
    module = tree.problem_module(configuration.study)
    problems = [module.make_problem(dict(cell.parameters)) for cell in cells]
    try:
        ask = ask_worker if description.command else ask_process
        answers = ask(configuration, framework, cells, problems, folder)
    except NotHere as reason:
        return str(reason)
    for cell, problem, answer in zip(cells, problems, answers, strict=True):
        if answer.skipped is not None:
            found.skipped.append(f"{cell.name}: {answer.skipped}")
            continue
        found.examined[framework] += 1
        path = tree.model_path(cell.study, description)
        where = f"{tree.shown(path)}:{answer.line or line_of(path, cell.function)}"
        found.broken.extend(Broken(rule, where, cell.name, text) for rule, text in answer.broken)
        outputs = answer.outputs
        if outputs is None:
            continue
        shapes.setdefault((cell.study, cell.task), {})[framework] = {n: array.shape[1:] for n, array in outputs.items()}
        texts = outside(configuration.supports, outputs)
        found.broken.extend(Broken("support", where, cell.name, text) for text in texts)
        _judge(tree, cell, problem, outputs, where, found)
    return None


def _judge(
    tree: Tree, cell: Cell, problem: Problem, stacked: Mapping[str, np.ndarray], where: str, found: Found
) -> None:
    module = tree.problem_module(cell.study)
    outputs = dict(stacked) if cell.gate_calls is not None else {name: array[0] for name, array in stacked.items()}
    judged = gate.judge(
        module, cell.task, problem, cell.parameters, outputs, gate.demanded(cell, tree.describe(cell.framework))
    )
    if judged.status == "failed":
        path = tree.study_folder(cell.study) / "problem.py"
        own = f"{tree.shown(path)}:{line_of(path, 'check')}"
        found.broken.append(Broken("verdict", own, cell.name, judged.reason or ""))
    elif judged.status != "ok":
        found.broken.append(Broken("gate", where, cell.name, judged.reason or ""))


def _same_shapes(
    tree: Tree,
    shapes: dict[tuple[str, str], dict[str, dict[str, Any]]],
    framework: str | None,
    found: Found,
) -> None:
    """Otherwise one system would be timed on more, or less, than another."""
    for (study, task), of_task in shapes.items():
        names = [name for name in of_task if framework is None or name != framework] or list(of_task)
        reference = names[0]
        untold = {name: dict(tree.describe(name).not_reported) for name in of_task}
        for name, own in of_task.items():
            excused = {*untold[name], *untold[reference]}
            if _without(own, excused) != _without(of_task[reference], excused):
                path = tree.model_path(study, tree.describe(name))
                where = f"{tree.shown(path)}:{line_of(path, task)}"
                text = f"{_shown(own)}; {reference} returns {_shown(of_task[reference])}"
                found.broken.append(Broken("shapes", where, f"{study}/{task} {name}", text))


def _without(shapes: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: shape for name, shape in shapes.items() if name not in names}


def _shown(shapes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
