"""What is found out about one program, however its framework is asked, and the ordinary way: a process of ours."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.configuration import Configuration
from pipelines.plan.cells import Cell
from pipelines.plan.tree import REPOSITORY
from pipelines.race.timing import gate_seed
from studies.base import Problem

LIMIT_SECONDS = 1800


@dataclass
class Answer:
    """What was found out about one program.

    Args:
        broken: rules of `pipelines.contract.rules` that do not hold, each with what was found.
        skipped: why it cannot run on this machine.
        line: of the model file, where it raised.
        outputs: of the calls that the gate judges, by name, (n_calls, ...); None if there are none.
    """

    broken: list[tuple[str, str]] = field(default_factory=list)
    skipped: str | None = None
    line: int | None = None
    outputs: dict[str, np.ndarray] | None = None


class NotHere(Exception):
    """The framework cannot run on this machine; the text is the reason."""


def is_random(configuration: Configuration, cell: Cell) -> bool:
    """Whether the outputs of a task depend on the seed; see `DETERMINISTIC` in `studies/base.py`."""
    return cell.task not in getattr(configuration.tree.problem_module(cell.study), "DETERMINISTIC", ())


def gate_seeds(cell: Cell) -> list[int]:
    """The seeds of the calls that the gate judges."""
    return [gate_seed(cell.seed, call + 1) for call in range(cell.gate_calls or 1)]


def ask_process(
    configuration: Configuration, framework: str, cells: Sequence[Cell], problems: Sequence[Problem], folder: Path
) -> list[Answer]:
    """What a process of this interpreter finds out; see `pipelines.contract.cell`.

    Raises:
        NotHere: the framework cannot run on this machine.
    """
    tree = configuration.tree
    description = tree.describe(framework)
    requests = []
    for index, (cell, problem) in enumerate(zip(cells, problems, strict=True)):
        data = folder / f"data_{index}.npz"
        np.savez(data, **problem.data)  # type: ignore[arg-type]
        requests.append(
            {
                "study": cell.study, "framework": framework, "function": cell.function, "data": str(data),
                "model": str(tree.model_path(cell.study, description)), "parameters": dict(cell.parameters),
                "dtype": cell.dtype, "seed": cell.seed, "is_random": is_random(configuration, cell),
                "gate_seeds": gate_seeds(cell),
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
    try:
        done = subprocess.run(
            command, env=variables, cwd=home, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return [Answer([("runs", f"its process took longer than {LIMIT_SECONDS} s")]) for _ in cells]
    path = request.with_suffix(".answer")
    if not path.is_file():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return [Answer([("runs", f"its process ended with status {done.returncode}: {last}")]) for _ in cells]
    answer: dict[str, Any] = json.loads(path.read_text())
    if answer["unavailable"]:
        raise NotHere(answer["unavailable"])
    return [_read(one) for one in answer["cells"]]


def _read(one: dict[str, Any]) -> Answer:
    answer = Answer([(rule, text) for rule, text in one["broken"]], one["skipped"], one["line"])
    if one["outputs"] is not None:
        with np.load(one["outputs"]) as stored:
            answer.outputs = dict(stored)
    return answer
