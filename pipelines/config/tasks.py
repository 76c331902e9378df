"""What is wrong with the tasks of a study's configuration: each misspelling with the nearest name that exists."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.config import schema
from pipelines.errors import unknown
from pipelines.plan.tree import Tree

SETTINGS = (
    *("parameters", "grid", "replicates", "stages", "keep", "reports", "race_over", "baseline"),
    *("budget_share", "timing"),
    *("gate_calls", "dtype", "skip", "frameworks", "exclude", "program"),
)
"""What a task's block may hold; see `pipelines.plan.cells.races`."""

STAGES = ("gate", "time")
PER_TASK = ("stages", "keep", "reports", "race_over", "frameworks")


def task_faults(tree: Tree, study: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for everything that is wrong with the tasks of one study's composed configuration."""
    block = values["study"]
    frameworks = list(tree.frameworks())
    for name, task in block["tasks"].items():
        where = f" (task {study}/{name})"
        for key in task:
            if key not in SETTINGS:
                yield unknown("setting of a task", str(key), SETTINGS) + where
        for framework in [*(task.get("frameworks") or []), *(task.get("exclude") or {})]:
            if framework not in frameworks:
                yield unknown("framework", str(framework), frameworks) + where
        for stage in task.get("stages") or []:
            if stage not in STAGES:
                yield unknown("stage", str(stage), STAGES) + where
        for key in task.get("timing") or {}:
            if key not in values["timing"]:
                yield unknown("timing setting", str(key), values["timing"]) + where
        for key in PER_TASK:
            if isinstance(task.get(key), list):
                yield from repeated(f"study.tasks.{name}.{key}", task[key])
        yield from schema.faults_of(schema.Task, task, f"study.tasks.{name}")
        grid = task.get("grid") or {}
        yield from _grid_faults(f"study.tasks.{name}.grid", grid)
        parameters = {**(block.get("parameters") or {}), **(task.get("parameters") or {}), **grid}
        yield from (text + where for text in _baseline_faults(task, parameters, frameworks))
        for key in task.get("race_over") or []:
            if key != "framework" and key not in parameters:
                yield unknown("parameter", str(key), ["framework", *parameters]) + where
        yield from (text + where for text in _unread(tree, study, task, block.get("parameters") or {}))


def repeated(key: str, values: list[Any]) -> list[str]:
    """A value that is in a list twice would race with itself."""
    twice = list(dict.fromkeys(str(value) for value in values if values.count(value) > 1))
    return [f"{key}: {', '.join(twice)} is in the list more than once; name each once."] if twice else []


def _grid_faults(key: str, grid: Mapping[str, Any]) -> Iterator[str]:
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            yield f"{key}.{name}={values!r}: every entry must be a list of at least one value."
        else:
            yield from repeated(f"{key}.{name}", values)


def _baseline_faults(task: Mapping[str, Any], parameters: Mapping[str, Any], frameworks: list[str]) -> Iterator[str]:
    """A baseline that no cell can be would leave the race without ratios."""
    baseline = task.get("baseline")
    if isinstance(baseline, str):
        baseline = {"framework": baseline}
    for key, value in (baseline or {}).items():
        if key == "framework":
            if value not in frameworks:
                yield unknown("baseline", str(value), frameworks)
        elif key not in parameters:
            yield unknown("parameter of the baseline", str(key), parameters)
        elif key in (task.get("grid") or {}) and value not in task["grid"][key]:
            yield f"the baseline's {key}={value} is not in the grid: {', '.join(map(str, task['grid'][key]))}."


def _unread(tree: Tree, study: str, task: Mapping[str, Any], parameters: Mapping[str, Any]) -> Iterator[str]:
    """Parameters of a task and of its grid that neither the study has nor any of its files reads."""
    own = {**(task.get("parameters") or {}), **(task.get("grid") or {})}
    missing = [name for name in own if name not in parameters]
    if not missing:
        return
    read = {word for text in tree.texts_of(study) for word in re.findall(r"[\"'](\w+)[\"']", text)}
    for name in missing:
        if name not in read:
            yield unknown("parameter", str(name), [*parameters, *(word for word in read if word.startswith("n_"))])
