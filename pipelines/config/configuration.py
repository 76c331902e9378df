"""From command-line words to one checked configuration per study. Every fault is gathered and reported together.

Hydra composes `configs/config.yaml` with the chosen `study`, `size` and `device`. The study's own `sizes.<size>` block
is merged over that, and last the user's overrides, so that they win over any size.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipelines.config import flags, resolvers
from pipelines.config.paths import quoted, typed_file, typed_path
from pipelines.config.supports import supports_of
from pipelines.config.validation import check, dotted_keys, mistyped
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.plan.participants import participants
from pipelines.plan.tree import Tree
from pipelines.race.timing import TimingSettings

GROUPS = ("study", "size", "device")

TASK_CHOICES: dict[str, Any] = {"skip": False, "frameworks": None}
"""What a user may set for any task, whether or not its block names it: to leave it out, or to restrict its systems."""


@dataclass(frozen=True)
class Limits:
    """Seconds that one request to a worker may take."""

    start_seconds: float
    prepare_seconds: float
    gate_seconds: float
    block_seconds: float


@dataclass(frozen=True)
class Configuration:
    """One study's part of a run, resolved and checked.

    Args:
        study: name; `parameters`, `tasks` and `figures` are the study's resolved blocks.
        overrides: the user's overrides, kept for provenance.
        asked: the frameworks that the run is restricted to; None for all.
        supports: least and greatest value of outputs that the study declares.
    """

    tree: Tree
    study: str
    size: str
    device: str
    environment: dict[str, str]
    seed: int
    dtype: str
    parameters: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    figures: dict[str, dict[str, Any]]
    remeasure: tuple[str, ...]
    stages: tuple[str, ...]
    results: Path
    figs: Path
    timing: TimingSettings
    limits: Limits
    recycle_after: int
    overrides: tuple[str, ...]
    asked: tuple[str, ...] | None = None
    supports: dict[str, tuple[float, float]] = field(default_factory=dict)


def configure(arguments: list[str], tree: Tree, study: str | None = None) -> list[Configuration]:
    """One configuration per requested study.

    Args:
        arguments: overrides (`size=smoke`) and flags (`--num-obs 50`) as typed.
        tree: the checkout.
        study: the study that an entry point presets; None lets `study=` choose, by default all but those that say in
            their configuration that at this size they run `alone`.

    Raises:
        ConfigurationFaults: with everything that is wrong.
    """
    resolvers.register()
    words, faults = flags.translate(arguments, study or flags.named_study(arguments), tree)
    overrides: dict[str, Any] = {} if study is None else {"study": study}
    for word in words:
        _parse(word, overrides, faults)
    wanted = overrides.pop("study", "all")
    is_for_all, studies = wanted == "all", _studies(wanted, tree, faults)
    groups = {group: str(overrides.pop(group, default)) for group, default in (("size", "paper"), ("device", "cpu"))}
    for group, chosen in groups.items():
        if chosen not in tree.choices(group):
            faults.append(unknown(group, chosen, tree.choices(group)))
            groups[group] = tree.choices(group)[0]
    if is_for_all:
        studies = [name for name in studies if groups["size"] not in tree.alone(name)]
    if not studies:  # still look at the rest of the request, so that everything wrong is said at once
        common = {
            key: value for key, value in overrides.items() if key.partition(".")[0] in ("seed", "stages", "timing")
        }
        studies, overrides = list(tree.studies())[:1], common
    configurations = []
    with initialize_config_dir(version_base="1.3", config_dir=str(tree.configs)):
        for name in studies:
            found = _one(name, groups, overrides, words, tree, faults)
            if found is not None:
                configurations.append(found)
    if faults:
        raise ConfigurationFaults(faults)
    return configurations


def _parse(word: str, overrides: dict[str, Any], faults: list[str]) -> None:
    if "=" not in word:
        faults.append(f"{word!r} is not an override. Write KEY=VALUE, as in size=smoke, or a flag, as in --seed 3.")
        return
    key, _, value = word.partition("=")
    if not value.strip():
        faults.append(f"{word!r} gives no value (an unset variable?). Leave it out, or write {key}=null.")
        return
    try:
        parsed = OverridesParser.create().parse_override(word)
    except HydraException as error:
        plain = _as_text(key, value)
        if plain is None:
            fault = str(error).strip().splitlines()[0]
            faults.append(f"Cannot read the override {word!r}: {fault}. Put text in quotes: \"{key}='...'\".")
            return
        overrides[key] = plain
        return
    if parsed.is_sweep_override():
        faults.append(
            f"{word!r} names several values. For a run of each: ./run sweep {word}. For a list: {key}=[{value}]. For a "
            f"text with commas: \"{key}='{value}'\"."
        )
        return
    if parsed.is_delete() or parsed.is_add() or parsed.is_force_add():
        faults.append(f"{word!r}: only KEY=VALUE is possible here; write several values as a list, KEY=[A,B].")
        return
    overrides[parsed.key_or_group] = parsed.value()


def _as_text(key: str, value: str) -> str | None:
    """A value that Hydra's grammar refuses, such as a path with accents or brackets, as the text that it is.

    None for what was meant as a list, a mapping or a quoted text, and is broken.
    """
    if not re.fullmatch(r"[\w.]+", key) or value.lstrip()[0] in "[{'\"":
        return None
    return value


def _studies(chosen: Any, tree: Tree, faults: list[str]) -> list[str]:
    known = list(tree.studies())
    names = known if chosen == "all" else [str(name) for name in (chosen if isinstance(chosen, list) else [chosen])]
    faults.extend(unknown("study", name, [*known, "all"]) for name in names if name not in known)
    if not names:
        faults.append("study= names no study. Valid: " + ", ".join([*known, "all"]))
    return [name for name in dict.fromkeys(names) if name in known]


def _one(
    study: str, groups: dict[str, str], overrides: dict[str, Any], words: list[str], tree: Tree, faults: list[str]
) -> Configuration | None:
    before = len(faults)
    try:
        chosen = [f"study={study}", *(f"{group}={name}" for group, name in groups.items())]
        config: Any = compose("config", [*_search_path(tree), *chosen])
        OmegaConf.set_struct(config, False)
        sizes = config.study.get("sizes", {})
        if groups["size"] in sizes:
            config = OmegaConf.merge(config, {"study": sizes[groups["size"]]})
        config.study.pop("sizes", None)
    except (HydraException, OmegaConfBaseException) as error:
        faults.append(f"configs/study/{study}.yaml: {str(error).strip().splitlines()[0]}")
        return None
    except yaml.MarkedYAMLError as error:
        faults.append(_not_yaml(error, study))
        return None
    _open_choices(config)
    for key, value in overrides.items():
        _override(config, key, value, tree.root, faults)
    _free_tasks(config, overrides)
    try:
        values: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        faults.append(_unresolved(config, error) or f"configs/study/{study}.yaml: {_first_line(error)}")
        return None
    check(study, values, tree, faults)
    if len(faults) > before:
        return None
    block = values["study"]
    tasks = _chosen_tasks(study, block, _wanted_tasks(study, values, tree), values["frameworks"], tree)
    return Configuration(
        tree=tree,
        study=study,
        size=values["size"],
        device=values["device"]["name"],
        environment={name: str(value) for name, value in values["device"]["environment"].items()},
        seed=values["seed"],
        dtype=values["dtype"],
        parameters=block.get("parameters") or {},
        tasks=tasks,
        figures=_chosen_figures(block, values["figures"]),
        supports=supports_of(block),
        remeasure=tuple(values["remeasure"] or ()),
        stages=_stages(values, tasks),
        results=_folder(tree, values["results"], "results" in overrides),
        figs=_folder(tree, values["figs"], "figs" in overrides),
        timing=TimingSettings(**values["timing"]),
        limits=Limits(**values["limits"]),
        recycle_after=values["worker"]["recycle_after"],
        overrides=tuple(words),
        asked=None if values["frameworks"] is None else tuple(values["frameworks"]),
    )


def _search_path(tree: Tree) -> list[str]:
    """The override that lets Hydra find the configurations of extensions' studies."""
    folders = [quoted(f"file://{place / 'configs'}") for place in tree.extensions if (place / "configs").is_dir()]
    return [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []


def _not_yaml(error: yaml.MarkedYAMLError, study: str) -> str:
    """The line and what is wrong with it, in one sentence."""
    mark = error.problem_mark
    where = f"{Path(mark.name).name}, line {mark.line + 1}" if mark is not None else f"configs/study/{study}.yaml"
    is_tab = "'\\t'" in str(error.problem)
    return f"{where}: " + ("a tab; YAML is indented by spaces." if is_tab else f"{error.problem}.")


def _first_line(error: OmegaConfBaseException) -> str:
    """What went wrong; of one of our own functions, its own sentence after the key that calls it."""
    line = str(error).strip().splitlines()[0]
    own = line.removeprefix("ValueError raised while resolving interpolation: ")
    return line if own == line else f"{error.full_key}: {own}"


def _unresolved(config: Any, error: OmegaConfBaseException) -> str | None:
    """The sentence about a value that chooses an entry of a mapping which has none of that name, as in `prior=typo`."""
    found = re.search(r"Interpolation key '([^']+)' not found", str(error))
    names = found.group(1).split(".") if found else []
    for depth in range(1, len(names)):
        parent = OmegaConf.select(config, ".".join(names[:depth]))
        if OmegaConf.is_dict(parent) and names[depth] not in parent:
            return unknown(f"entry of {'.'.join(names[:depth])}", names[depth], [str(name) for name in parent])
    return None


def _folder(tree: Tree, value: str, typed: bool) -> Path:
    # A path that the user types begins where the user is; a default one in the checkout.
    return typed_path(value, tree.root) if typed else tree.root / value


def _override(config: DictConfig, key: str, value: Any, root: Path, faults: list[str]) -> None:
    known = dotted_keys(OmegaConf.to_container(config, resolve=False))
    if key not in known:
        visible = [name for name in known if name not in ("figs_folder", "device", "study")]
        faults.append(unknown("override", key, [*visible, *GROUPS]))
        return
    current = OmegaConf.select(config, key)
    if isinstance(value, str) and key.startswith("study."):
        value = typed_file(value, root)
    fault = mistyped(key, current, value)
    if fault:
        faults.append(fault)
        return
    OmegaConf.update(config, key, value, merge=False)


def _open_choices(config: DictConfig) -> None:
    """Gives every task the settings that a user may choose, so that they can be overridden."""
    for task, block in (config.study.get("tasks") or {}).items():
        config.study.tasks[task] = OmegaConf.merge(TASK_CHOICES, block or {})


def _free_tasks(config: DictConfig, overrides: dict[str, Any]) -> None:
    """Lets a typed `timing.NAME` act on tasks that have a NAME of their own, unless theirs is typed too."""
    typed = [key.removeprefix("timing.") for key in overrides if key.startswith("timing.")]
    for task, block in (config.study.get("tasks") or {}).items():
        for name in typed:
            if block and name in (block.get("timing") or {}) and f"study.tasks.{task}.timing.{name}" not in overrides:
                block.timing.pop(name)


def _stages(values: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """The stages that are not left out; where every task is, there is nothing to run."""
    skipped = {stage for stage, is_skipped in (values.get("skip") or {}).items() if is_skipped}
    if tasks and all(task.get("skip") for task in tasks.values()):
        skipped.add("run")
    return tuple(stage for stage in values["stages"] if stage not in skipped)


def _chosen_figures(block: dict[str, Any], wanted: list[str] | None) -> dict[str, dict[str, Any]]:
    names = wanted if wanted is not None else block.get("default_figures") or list(block["figures"])
    return {name: block["figures"][name] or {} for name in names}


def _wanted_tasks(study: str, values: dict[str, Any], tree: Tree) -> list[str]:
    """The tasks that were asked for; figures asked for by name bring only the tasks that they draw."""
    if values["tasks"] is not None:
        return list(values["tasks"])
    if values["figures"] is not None:
        declared = tree.figures(study)
        return [task for name in values["figures"] if name in declared for task in declared[name].tasks]
    return list(values["study"]["tasks"])


def _chosen_tasks(
    study: str, block: dict[str, Any], wanted: list[str], asked: list[str] | None, tree: Tree
) -> dict[str, dict[str, Any]]:
    named = {name: dict(task or {}) for name, task in block["tasks"].items() if name in wanted}
    kept = {name: task for name, task in named.items() if not task.get("skip")}
    chosen = kept or named  # all of them left out means: draw what is stored
    for name, task in chosen.items():
        found = participants(tree, study, name, task, asked)
        task["frameworks"], task["absent"] = list(found.names), found.absent
    return chosen
