"""What is wrong with a composed configuration, gathered: unknown names, wrong kinds of values, counts below one."""

import math
from typing import Any

from omegaconf import OmegaConf

from pipelines.errors import unknown
from pipelines.plan.tree import Tree
from pipelines.results.machine import usable_cores

STAGES = ("plan", "run", "figures", "export", "report")
POSITIVE = ("_seconds", "_rounds", "_width", "recycle_after", "replicates", "gate_calls", ".processes", ".cores")
DTYPES = ("float32", "float64")


def check(study: str, values: dict[str, Any], tree: Tree, faults: list[str]) -> None:
    """Adds a sentence to `faults` for everything wrong with one study's composed configuration."""
    block = values["study"]
    for key in ("tasks", "figures"):
        if not isinstance(block.get(key), dict):
            faults.append(f"configs/study/{study}.yaml has no `{key}` mapping.")
            return
    frameworks = list(tree.frameworks())
    for name, task in block["tasks"].items():
        named = task.get("frameworks") or []
        faults.extend(
            unknown("framework", str(fw), frameworks) + f" (task {study}/{name})"
            for fw in named
            if fw not in frameworks and not _declared(tree, str(fw))
        )
        bad = [stage for stage in task.get("stages", ["gate", "time"]) if stage not in ("gate", "time")]
        faults.extend(unknown("stage", str(stage), ("gate", "time")) + f" (task {study}/{name})" for stage in bad)
        unheard = [key for key in task.get("timing") or {} if key not in values["timing"]]
        faults.extend(
            unknown("timing setting", str(key), values["timing"]) + f" (task {study}/{name})" for key in unheard
        )
        if not all(isinstance(grid, list) and grid for grid in (task.get("grid") or {}).values()):
            faults.append(f"study.tasks.{name}.grid: every entry must be a list of at least one value.")
    for key, kind, known in (
        ("frameworks", "framework", frameworks),
        ("tasks", "task", block["tasks"]),
        ("figures", "figure", block["figures"]),
        ("stages", "stage", STAGES),
    ):
        chosen = values[key] if values[key] is not None else []
        if not isinstance(chosen, list):
            faults.append(f"{key}={chosen}: write a list, {key}=[{chosen}].")
            continue
        faults.extend(unknown(kind, str(name), known) for name in chosen if name not in known)
    if not values["stages"]:
        faults.append(f"stages=[] asks for nothing. Valid: {', '.join(STAGES)}.")
    if values["dtype"] not in DTYPES:
        faults.append(unknown("dtype", str(values["dtype"]), DTYPES))
    if values["seed"] is None or values["seed"] < 0:
        faults.append(f"seed={values['seed']}: a seed is a whole number, zero or larger.")
    if values["timing"]["warmup_blocks"] < 0:
        faults.append(f"timing.warmup_blocks={values['timing']['warmup_blocks']}: zero or larger.")
    for key, settings in [("timing", values["timing"])] + [
        (f"study.tasks.{name}.timing", task.get("timing") or {}) for name, task in block["tasks"].items()
    ]:
        faults.extend(_process_faults(key, settings))
    if values["timing"]["min_rounds"] > values["timing"]["max_rounds"]:
        rounds = values["timing"]
        faults.append(f"timing.min_rounds={rounds['min_rounds']} is above timing.max_rounds={rounds['max_rounds']}.")
    if tree.figure_tasks(study).keys() != block["figures"].keys():
        drawn, listed = sorted(tree.figure_tasks(study)), sorted(block["figures"])
        faults.append(f"configs/study/{study}.yaml lists the figures {listed}, but figures.py draws {drawn}.")
    _check_counts(values, "", faults)
    _check_finite(block, "study", faults)


def _process_faults(key: str, settings: dict[str, Any]) -> list[str]:
    """What is wrong with the number of processes and of cores; that they are above zero is checked elsewhere."""
    found = []
    for name, optional in (("processes", False), ("cores", True)):
        value = settings.get(name, 1)
        if not (isinstance(value, int) and not isinstance(value, bool)) and not (optional and value is None):
            found.append(f"{key}.{name}={value!r}: expected a whole number" + (" or null." if optional else "."))
        elif name == "cores" and value is not None and value > usable_cores():
            found.append(f"{key}.cores={value}: this machine has {usable_cores()} usable cores.")
    return found


def _declared(tree: Tree, framework: str) -> bool:
    # A task may name a system whose file is not written yet; its cells are then skipped.
    return framework in tree.choices("framework")


def _check_counts(value: Any, key: str, faults: list[str]) -> None:
    """Counts (`n_*`), durations and widths must be above zero, wherever they are, in lists too."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_counts(item, f"{key}.{name}" if key else str(name), faults)
        return
    leaf = key.rpartition(".")[2]
    if not (leaf.startswith("n_") or key.endswith(POSITIVE)):
        return
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, int | float) and not isinstance(item, bool) and not item > 0:
            faults.append(f"{key}={item}: must be above zero.")


def _check_finite(value: Any, key: str, faults: list[str]) -> None:
    """No number of a study is NaN or infinite: records are JSON, which has neither."""
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check_finite(item, f"{key}[{name}]" if isinstance(value, list) else f"{key}.{name}", faults)
    elif isinstance(value, float) and not math.isfinite(value):
        faults.append(f"{key}={value}: must be a finite number.")


def mistyped(key: str, current: Any, value: Any) -> str | None:
    """What is wrong with the kind of a value that shall replace `current`, or None."""
    if current is None or value is None:
        return None
    kind = _kind(OmegaConf.to_container(current) if OmegaConf.is_config(current) else current)
    given = _kind(value)
    if kind == given or (kind, given) == ("a number", "a whole number"):
        return None
    return f"{key}={value!r}: expected {kind}, such as {current!r}."


def _kind(value: Any) -> str:
    kinds = ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a name"), (list, "a list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a mapping")


def dotted_keys(values: Any, prefix: str = "") -> list[str]:
    """Every key of a nested mapping, dotted."""
    found: list[str] = []
    if isinstance(values, dict):
        for name, value in values.items():
            found.append(f"{prefix}{name}")
            found.extend(dotted_keys(value, f"{prefix}{name}."))
    return found
