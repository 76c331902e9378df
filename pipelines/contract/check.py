"""The contract over a framework or a study: its cells at the smoke size, its gate, its mutants, its figures."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.configuration import Configuration, configure
from pipelines.contract.rules import Broken, line_of
from pipelines.errors import UserError
from pipelines.plan import fingerprint
from pipelines.plan.cells import Cell, races
from pipelines.plan.tree import REPOSITORY, Tree
from pipelines.race import gate
from pipelines.race.timing import gate_seed
from studies.base import Problem

LIMIT_SECONDS = 1800


@dataclass
class Found:
    """What the contract found.

    Args:
        broken: the rules that do not hold.
        skipped: cells that cannot run here, with the reason.
        examined: how many cells were examined, all rules that apply to one.
    """

    broken: list[Broken] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    examined: int = 0


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
        for name in dict.fromkeys(cell.framework for cell in chosen):
            cells = [cell for cell in chosen if cell.framework == name]
            say(f"{configuration.study}: {name}, {len(cells)} tasks")
            _examine(configuration, name, cells, scratch, found, shapes)
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
) -> None:
    tree = configuration.tree
    description = tree.describe(framework)
    if description.command:
        found.skipped.append(f"{framework}: runs in its own process, {description.command[0]}; its replies are checked")
        return
    missing = [name for name, version in fingerprint.versions(description).items() if version == "missing"]
    if missing:
        found.skipped.append(f"{framework}: {', '.join(missing)} is not installed")
        return
    folder = scratch / f"{configuration.study}_{framework}"
    folder.mkdir()
    module = tree.problem_module(configuration.study)
    problems = [module.make_problem(dict(cell.parameters)) for cell in cells]
    answer = _ask(configuration, framework, cells, problems, folder)
    if answer["unavailable"]:
        found.skipped.append(f"{framework}: {answer['unavailable']}")
        return
    for cell, problem, one in zip(cells, problems, answer["cells"], strict=True):
        path = tree.model_path(cell.study, description)
        where = f"{tree.shown(path)}:{one['line'] or line_of(path, cell.function)}"
        found.examined += 1
        if one["skipped"]:
            found.skipped.append(f"{cell.name}: {one['skipped']}")
        found.broken.extend(Broken(rule, where, cell.name, text) for rule, text in one["broken"])
        if one["outputs"] is None:
            continue
        with np.load(one["outputs"]) as stored:
            outputs = dict(stored)
        shapes.setdefault((cell.study, cell.task), {})[framework] = {n: array.shape[1:] for n, array in outputs.items()}
        _judge(tree, cell, problem, outputs, where, found)


def _judge(
    tree: Tree, cell: Cell, problem: Problem, stacked: Mapping[str, np.ndarray], where: str, found: Found
) -> None:
    module = tree.problem_module(cell.study)
    outputs = dict(stacked) if cell.gate_calls is not None else {name: array[0] for name, array in stacked.items()}
    judged = gate.judge(module, cell.task, problem, cell.parameters, outputs)
    if judged.status == "failed":
        path = tree.study_folder(cell.study) / "problem.py"
        own = f"{tree.shown(path)}:{line_of(path, 'check')}"
        found.broken.append(Broken("verdict", own, cell.name, judged.reason or ""))
    elif judged.status != "ok":
        found.broken.append(Broken("gate", where, cell.name, judged.reason or ""))


def _ask(
    configuration: Configuration, framework: str, cells: list[Cell], problems: list[Problem], folder: Path
) -> dict[str, Any]:
    """What a process of the framework found; see `pipelines.contract.cell`."""
    tree = configuration.tree
    description = tree.describe(framework)
    requests = []
    for index, (cell, problem) in enumerate(zip(cells, problems, strict=True)):
        data = folder / f"data_{index}.npz"
        np.savez(data, **problem.data)  # type: ignore[arg-type]
        deterministic = getattr(tree.problem_module(cell.study), "DETERMINISTIC", ())
        requests.append(
            {
                "study": cell.study, "framework": framework, "function": cell.function, "data": str(data),
                "model": str(tree.model_path(cell.study, description)), "parameters": dict(cell.parameters),
                "dtype": cell.dtype, "seed": cell.seed, "is_random": cell.task not in deterministic,
                "gate_seeds": [gate_seed(cell.seed, call + 1) for call in range(cell.gate_calls or 1)],
            }
        )  # fmt: skip
    request = folder / "request.json"
    home = str(tree.home_of(framework))
    request.write_text(
        json.dumps({"framework": framework, "home": home, "device": configuration.device, "cells": requests})
    )
    variables = {**os.environ, **configuration.environment, **dict(description.environment)}
    variables["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    command = [sys.executable, "-m", "pipelines.contract.cell", str(request)]
    done = subprocess.run(
        command, env=variables, cwd=home, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
    )
    answer = request.with_suffix(".answer")
    if not answer.is_file():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{framework}: its process ended with status {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


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
        for name, own in of_task.items():
            if own != of_task[reference]:
                path = tree.model_path(study, tree.describe(name))
                where = f"{tree.shown(path)}:{line_of(path, task)}"
                text = f"{_shown(own)}; {reference} returns {_shown(of_task[reference])}"
                found.broken.append(Broken("shapes", where, f"{study}/{task} {name}", text))


def _shown(shapes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
