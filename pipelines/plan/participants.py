"""Who takes part in a task: every framework that has a model function for it, and why the others do not."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import ConfigurationFaults, unknown
from pipelines.plan.tree import Tree


@dataclass(frozen=True)
class Participants:
    """The frameworks of one task.

    Args:
        names: those that take part; the baseline first, unless they were asked for in another order.
        absent: those that do not, each with the reason.
    """

    names: tuple[str, ...]
    absent: dict[str, str]


def participants(
    tree: Tree, study: str, task: str, block: Mapping[str, Any], asked: Sequence[str] | None = None
) -> Participants:
    """Who takes part in a task.

    Args:
        tree: the checkout.
        study: the task's study.
        task: its name.
        block: its block of the configuration: `exclude` gives reasons by name, `frameworks` is a choice for this task
            alone, `program` the function of the model files where that has not the task's name.
        asked: frameworks that the run is restricted to, in the order wanted; None for all.

    Raises:
        ConfigurationFaults: a framework's file cannot be read.
    """
    known = list(tree.frameworks())
    chosen, excluded = block.get("frameworks"), block.get("exclude") or {}
    function = block.get("program") or task
    names, absent = [], {}
    for name in asked if asked is not None else chosen if chosen is not None else _baseline_first(known, block):
        if name not in known:
            continue  # a misspelling, which the check of the configuration reports
        if name in excluded:
            absent[name] = f"left out: {excluded[name]}"
        elif chosen is not None and name not in chosen:
            absent[name] = f"not among study.tasks.{task}.frameworks"
        else:
            path = tree.model_path(study, tree.describe(name))
            if not path.is_file():
                absent[name] = f"no model of {study}"
            elif function not in tree.functions(path):
                absent[name] = f"no model of {study}/{function}"
            else:
                names.append(name)
    return Participants(tuple(names), absent)


def without_part(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """The absences of resolved tasks: framework -> reason -> tasks."""
    found: dict[str, dict[str, list[str]]] = {}
    for task, block in tasks.items():
        for framework, reason in (block.get("absent") or {}).items():
            found.setdefault(framework, {}).setdefault(reason, []).append(task)
    return found


def misplaced_models(tree: Tree, study: str, tasks: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """A sentence for every model file that is named after no framework, and for every misspelled program in one.

    A function is a program by its arguments, `(framework, data, parameters)`; it is misspelled if it has no task's name
    but nearly that of a task which the file lacks.
    """
    frameworks, faults = tree.frameworks(), []
    expected = {tree.model_path(study, tree.describe(name)) for name in frameworks}
    programs = {str((block or {}).get("program") or task) for task, block in tasks.items()}
    for path in tree.model_files(study):
        if path not in expected:
            faults.append(
                f"{tree.shown(path)} is named after no framework. " + unknown("framework", path.stem, frameworks)
            )
            continue
        try:
            functions = tree.programs(path)
        except ConfigurationFaults as fault:
            faults.extend(fault.faults)
            continue
        for function, line in functions.items():
            own = function.partition("__")[0]
            near = difflib.get_close_matches(own, programs - functions.keys(), n=1, cutoff=0.8)
            if own not in programs and near:
                faults.append(
                    f"{tree.shown(path)}, line {line}: {function} is a program of no task of {study}. "
                    f"Did you mean {near[0]}?"
                )
    return faults


def _baseline_first(known: list[str], block: Mapping[str, Any]) -> list[str]:
    baseline = block.get("baseline")
    return sorted(known, key=lambda name: (name != baseline, name))
