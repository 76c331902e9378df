"""`./run race-forms framework=NAME [study=] [task=] [KEY=VALUE ...]`: all registered forms of a system, side by side.

Every form goes through the study's gate and races against hand-coded JAX in the same rounds as the published form.
Printed are the ratios to hand-coded JAX and to the published form. `--write` puts them into `docs/fairness.json`, in
the place of what was measured of the same system, study and task before, and renews the tables of `docs/fairness.md`.
"""

import json
import math
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.bench.base import Context
from pipelines.config.configuration import Configuration
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.cells import Race
from pipelines.plan.descriptions import describe
from pipelines.plan.extensions import tree_of
from pipelines.plan.forms import SEPARATOR, forms_of
from pipelines.plan.tree import Tree
from pipelines.race import statistics
from pipelines.results import provenance
from studies.base import Row

MEASUREMENTS, PAGE = Path("docs/fairness.json"), Path("docs/fairness.md")
DEFAULTS = ("timing.processes=3", "timing.budget_seconds=6")
"""Overrides that come before the user's: some rounds in three processes tell forms that differ by 5% apart."""

AHEAD = 0.95
"""A form whose time is below this fraction of the published form's should be published in its place."""


@dataclass(frozen=True)
class Measured:
    """One form at one size.

    Args:
        parameters: those that the task's grid varies.
        status: of the row; `reason` says why there are no numbers where it is not "ok".
        ratio: (value, low, high) of the time over that of hand-coded JAX, 95% interval.
        to_published: likewise over the published form's; intervals of both are taken as independent.
        aside: why it is not to be published, however fast it is.
    """

    framework: str
    study: str
    task: str
    form: str
    idiom: str
    parameters: dict[str, Any]
    status: str
    reason: str | None = None
    ratio: tuple[float, float, float] | None = None
    to_published: tuple[float, float, float] | None = None
    aside: str = ""


def contest(race: Race, framework: str, tree: Tree) -> Race | None:
    """The race of all forms of a system and the race's baseline; None if it has fewer than two forms of the task."""
    own = next((cell for cell in race.cells if cell.framework == framework), None)
    if own is None or race.baseline is None or "time" not in own.stages:
        return None
    forms = forms_of(tree.model_path(own.study, describe(framework, tree)), own.published)
    if len(forms) < 2:
        return None
    others = [
        replace(own, form=function.partition(SEPARATOR)[2], keep=()) for function in forms if SEPARATOR in function
    ]
    published = replace(own, keep=())
    if own == race.baseline:
        return replace(race, cells=(published, *others), baseline=published)
    baseline = replace(race.baseline, keep=())
    return replace(race, cells=(baseline, published, *others), baseline=baseline)


def measured(race: Race, rows: list[Row], framework: str, tree: Tree) -> list[Measured]:
    """The forms' ratios of one race; the published form is the first."""
    first = next(cell for cell in race.cells if cell.framework == framework)
    forms = forms_of(tree.model_path(first.study, describe(framework, tree)), first.published)
    own = [(cell, row) for cell, row in zip(race.cells, rows, strict=True) if cell.framework == framework]
    published = _interval(own[0][1])
    found = []
    for cell, row in own:
        form, ratio = forms[cell.function], _interval(row)
        found.append(
            Measured(
                framework, cell.study, cell.task, form.name, form.idiom,
                {name: cell.parameters[name] for name in race.varying}, row.status, row.reason,
                ratio, quotient(ratio, published) if ratio and published and cell.form else None, form.aside,
            )
        )  # fmt: skip
    return found


def quotient(first: tuple[float, float, float], second: tuple[float, float, float]) -> tuple[float, float, float]:
    """First over second, (value, low, high): half widths of the logarithms add as squares do."""
    value = math.log(first[0] / second[0])
    half = math.hypot(math.log(first[2] / first[1]) / 2, math.log(second[2] / second[1]) / 2)
    return math.exp(value), math.exp(value - half), math.exp(value + half)


def ahead(forms: list[Measured]) -> list[str]:
    """A sentence for every form that beats the published one by more than 5% over the sizes of its task.

    Counts the geometric mean over sizes, and only where the mean of the intervals' upper ends is below as well. Forms
    that are set aside do not count.
    """
    grouped: dict[tuple[str, str, str, str], list[Measured]] = {}
    for one in forms:
        if one.to_published is not None and not one.aside:
            grouped.setdefault((one.framework, one.study, one.task, one.form), []).append(one)
    found = []
    for (framework, study, task, form), ones in grouped.items():
        ratios = [one.to_published for one in ones if one.to_published is not None]
        value, _, high = (math.exp(sum(math.log(r[i]) for r in ratios) / len(ratios)) for i in range(3))
        if high < 1 and value < AHEAD:
            found.append(
                f"{framework}, {study}/{task}: the form {form!r} takes {value:.2f} times as long as the published one. "
                f"Publish it (swap {task} and {task}{SEPARATOR}{form} in the model file), or take it out of the file "
                "if the system's users do not write that."
            )
    return found


def run(arguments: list[str]) -> int:
    """Measures and prints; 1 if a form beats the published one, or has no number."""
    if any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0
    tree, arguments = tree_of(arguments)
    reporter = Reporter(Terminal())
    named = dict(word.split("=", 1) for word in arguments if word.startswith(("framework=", "study=", "task=")))
    rest = [word for word in arguments if word != "--write" and word.partition("=")[0] not in named]
    frameworks, studies = _chosen(named, tree)
    context, found = Context(tree, (*DEFAULTS, *rest), reporter), []
    for framework in frameworks:
        for study in studies:
            found += _race(context, study, framework, named.get("task"))
    if not found:
        reporter.say(f"No task has two forms of {', '.join(frameworks)}.")
    for one in found:
        reporter.say(f"  {one.framework} {one.study}/{one.task} {_sizes(one)} {one.form}: {_shown(one)}")
    reporter.say(f"Ratios of times to hand-coded JAX's: {statistics.ESTIMATOR}.")
    if "--write" in arguments:
        write(tree.root, found)
    problems = ahead(found)
    for line in problems:
        reporter.say(line)
    return int(bool(problems) or any(one.status != "ok" for one in found))


def _chosen(named: dict[str, str], tree: Tree) -> tuple[list[str], list[str]]:
    known = {"framework": sorted(tree.frameworks()), "study": sorted(tree.studies())}
    chosen = {name: named.get(name, "all" if name == "study" else "") for name in known}
    faults = [
        unknown(name, chosen[name], [*known[name], "all"])
        for name in known
        if chosen[name] not in (*known[name], "all")
    ]
    if faults:
        raise ConfigurationFaults(faults)
    frameworks, studies = (known[name] if chosen[name] == "all" else [chosen[name]] for name in known)
    return frameworks, studies


def _race(context: Context, study: str, framework: str, task: str | None) -> list[Measured]:
    configuration = _with_task(context.configure(study), task)
    found = []
    for race, rows in context.race(configuration, lambda race: contest(race, framework, context.tree)):
        found += measured(race, rows, framework, context.tree)
    return found


def _with_task(configuration: Configuration, task: str | None) -> Configuration:
    if task is None:
        return configuration
    return replace(configuration, tasks={name: block for name, block in configuration.tasks.items() if name == task})


def _interval(row: Row) -> tuple[float, float, float] | None:
    return None if row.ratio is None or row.ratio_interval is None else (row.ratio, *row.ratio_interval)


def _sizes(one: Measured) -> str:
    return " ".join(
        f"{name}={value:,}" if isinstance(value, int) else f"{name}={value}" for name, value in one.parameters.items()
    )


def _shown(one: Measured) -> str:
    if one.ratio is None:
        return f"{one.status}: {one.reason}"
    text = "{:.2f}x [{:.2f}, {:.2f}]".format(*one.ratio)
    return text + (
        "" if one.to_published is None else ", {:.2f}x [{:.2f}, {:.2f}] of the published form".format(*one.to_published)
    )


# The page


def read(root: Path) -> dict[str, Any]:
    """The measurements that the page shows: `forms`, and of each system `measured`, where and when."""
    path = root / MEASUREMENTS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"forms": [], "measured": {}}


def stored(root: Path) -> list[Measured]:
    """The measurements as objects."""
    ones = read(root)["forms"]
    tuples = ({name: tuple(v) if isinstance(v, list) else v for name, v in one.items()} for one in ones)
    return [Measured(**one) for one in tuples]  # type: ignore[arg-type]


def write(root: Path, found: list[Measured]) -> None:
    """Puts measurements in the place of older ones of the same system, study and task, and renews the page's tables."""
    content = read(root)
    renewed = {(one.framework, one.study, one.task) for one in found}
    kept = [one for one in content["forms"] if (one["framework"], one["study"], one["task"]) not in renewed]
    where = provenance.provenance(root, {}, "cpu")
    said = {"date": where["started"][:10], "cpu": where["cpu"], "cores": where["usable_cores"]}
    content["forms"] = sorted(
        [*kept, *map(asdict, found)], key=lambda one: (one["framework"], one["study"], one["task"])
    )
    content["measured"] |= {one.framework: said for one in found}
    (root / MEASUREMENTS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page = root / PAGE
    page.write_text(with_tables(page.read_text(encoding="utf-8"), content), encoding="utf-8")


def with_tables(page: str, content: dict[str, Any]) -> str:
    """The page with the table of each system between `<!-- forms NAME -->` and `<!-- end -->`."""

    def table(found: re.Match[str]) -> str:
        name = found.group(1)
        return "\n".join([f"<!-- forms {name} -->", *_table(name, content), "<!-- end -->"])

    return re.sub(r"<!-- forms (\w+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def _table(framework: str, content: dict[str, Any]) -> list[str]:
    ones = [one for one in content["forms"] if one["framework"] == framework]
    if not ones:
        return ["Not measured yet."]
    lines = ["| task | form | how it is written | time, hand-coded JAX = 1 |", "|---|---|---|---|"]
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in ones:
        grouped.setdefault((f"{one['study']}/{one['task']}", one["form"], one["idiom"]), []).append(one)
    seen: set[str] = set()
    for (task, form, idiom), sizes in grouped.items():
        name = f"`{form}`" if task in seen else f"**`{form}`**, published"
        seen.add(task)
        lines.append(f"| {task} | {name} | {idiom} | {'; '.join(_cell(one) for one in sizes)} |")
    where = content["measured"][framework]
    return [
        *lines,
        "",
        f"Measured on {where['date']}: {where['cpu']}, {where['cores']} cores; 95% intervals in brackets.",
    ]


def _cell(one: dict[str, Any]) -> str:
    size = ", ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in one["parameters"].values())
    at = f"{size}: " if size else ""
    if one["ratio"] is None:
        return f"{at}{one['status']} ({one['reason']})"
    return at + "{:.2f} [{:.2f}, {:.2f}]".format(*one["ratio"])


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
