"""What is wrong with a composed configuration, gathered: unknown names, wrong kinds of values, counts below one."""

import math
from typing import Any

from omegaconf import OmegaConf

from pipelines.config import schema
from pipelines.config.stages import STAGES
from pipelines.config.supports import support_faults
from pipelines.config.tasks import repeated, task_faults
from pipelines.errors import unknown
from pipelines.plan.participants import misplaced_models
from pipelines.plan.tree import Tree
from pipelines.results.machine import usable_cores


def check(study: str, values: dict[str, Any], tree: Tree, faults: list[str]) -> None:
    """Adds a sentence to `faults` for everything wrong with one study's composed configuration."""
    block = values["study"]
    for key in ("tasks", "figures"):
        if not isinstance(block.get(key), dict):
            faults.append(f"configs/study/{study}.yaml has no `{key}` mapping.")
            return
    frameworks = list(tree.frameworks())
    faults.extend(task_faults(tree, study, values))
    for key, kind, known in (
        ("frameworks", "framework", frameworks),
        ("tasks", "task", block["tasks"]),
        ("figures", "figure", block["figures"]),
        ("remeasure", "framework or task", ["all", *frameworks, *block["tasks"]]),
        ("stages", "stage", STAGES),
    ):
        chosen = values[key] if values[key] is not None else []
        if not isinstance(chosen, list):
            faults.append(f"{key}={chosen}: write a list, {key}=[{chosen}].")
            continue
        faults.extend(unknown(kind, str(name), known) for name in chosen if name not in known)
        faults.extend(repeated(key, chosen))
    if not values["stages"]:
        faults.append(f"stages=[] asks for nothing. Valid: {', '.join(STAGES)}.")
    wrong = schema.faults_of(schema.Run, values)
    for name, task in block["tasks"].items():
        wrong += schema.faults_of_some(schema.Timing, task.get("timing") or {}, f"study.tasks.{name}.timing")
    faults.extend(wrong)
    if not wrong:
        _check_timing(values["timing"], block["tasks"], faults)
    declared = tree.figures(study)
    if declared.keys() != block["figures"].keys():
        drawn, listed = sorted(declared), sorted(block["figures"])
        faults.append(f"configs/study/{study}.yaml lists the figures {listed}, but figures.py draws {drawn}.")
    faults.extend(misplaced_models(tree, study, block["tasks"]))
    faults.extend(support_faults(study, block))
    _check_counts(block, "study", faults)
    _check_finite(block, "study", faults)


def _check_timing(timing: dict[str, Any], tasks: dict[str, Any], faults: list[str]) -> None:
    """What the settings of races must be together, and on this machine."""
    for key, own in [("timing", {})] + [
        (f"study.tasks.{name}.timing", t.get("timing") or {}) for name, t in tasks.items()
    ]:
        if key != "timing" and not own.keys() & {"min_rounds", "max_rounds", "cores"}:
            continue  # the same as for the run
        settings = {**timing, **own}
        if settings["min_rounds"] > settings["max_rounds"]:
            least, most = settings["min_rounds"], settings["max_rounds"]
            faults.append(f"{key}.min_rounds={least} is above {key}.max_rounds={most}.")
        if settings.get("cores") is not None and settings["cores"] > usable_cores():
            faults.append(f"{key}.cores={settings['cores']}: this machine has {usable_cores()} usable cores.")


def _check_counts(value: object, key: str, faults: list[str]) -> None:
    """The counts of a study (`n_*`) must be above zero, wherever they are, in lists too."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_counts(item, f"{key}.{name}", faults)
        return
    if not key.rpartition(".")[2].startswith("n_"):
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, int | float) and not isinstance(item, bool) and not item > 0:
            faults.append(f"{key}={item}: must be above zero.")


def _check_finite(value: object, key: str, faults: list[str]) -> None:
    """No number of a study is NaN or infinite: records are JSON, which has neither."""
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check_finite(item, f"{key}[{name}]" if isinstance(value, list) else f"{key}.{name}", faults)
    elif isinstance(value, float) and not math.isfinite(value):
        faults.append(f"{key}={value}: must be a finite number.")


def mistyped(key: str, current: object, value: object) -> str | None:
    """What is wrong with the kind of a value that shall replace `current`, or None.

    For what the schema does not cover, the parameters of studies: a value stays of the kind that it has.
    """
    is_timing = key.startswith("study.tasks.") and key.split(".")[-2:-1] == ["timing"]
    if current is None or schema.covers(key) or (is_timing and key.rpartition(".")[2] in schema.Timing.model_fields):
        return None
    if value is None:
        return f"{key}=null: expected {_kind(current)}, such as {current!r}."
    kind = _kind(OmegaConf.to_container(current) if OmegaConf.is_config(current) else current)
    given = _kind(value)
    if kind == given or (kind, given) == ("a number", "a whole number"):
        return None
    return f"{key}={value!r}: expected {kind}, such as {current!r}."


def _kind(value: object) -> str:
    kinds = ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a name"), (list, "a list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a mapping")


def dotted_keys(values: object, prefix: str = "") -> list[str]:
    """Every key of a nested mapping, dotted."""
    found: list[str] = []
    if isinstance(values, dict):
        for name, value in values.items():
            found.append(f"{prefix}{name}")
            found.extend(dotted_keys(value, f"{prefix}{name}."))
    return found
