"""`python -m pipelines.scaling [SERIES ...] [limits] [KEY=VALUE ...]`: how cost grows, beside the machine's limits.

SERIES            names of `configs/scaling.yaml`; all by default
limits            instead: the most that memory holds, by bisection, for those series that are named
seconds=600       of timed calls in all, shared equally among the points; gates and three processes come on top
most=1000000000   the largest size that the search for a limit tries
memory=BYTES      what each process may have in that search; all of the machine's by default
page=FILE         the page to write into, docs/scaling.md by default; a JSON file of that name is written beside it
page=none         write no page: what `size=smoke` does unless a page is named
KEY=VALUE         passed on to the studies, such as size=smoke, device=cuda or timing.processes=3
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.atomic import write_atomically
from pipelines.bench.base import Context
from pipelines.config.paths import typed_path
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.tree import Tree
from pipelines.results import machine, provenance
from pipelines.results.store import store_error
from pipelines.scaling.limit import memory_limit
from pipelines.scaling.measure import FRAMEWORK, Limits, find_limit, measure
from pipelines.scaling.page import tables, with_growth
from pipelines.scaling.series import read_series

PAGE = "docs/scaling.md"
PUBLISHED = ("commit", "packages", "python", "cpu", "cores", "usable_cores", "memory_bytes", "gpus", "started")
"""Facts of the machine, beside each series in the page's file. That is part of the repository: none names a host or a
path."""

OWN = {"seconds": "600", "most": "1000000000", "memory": "", "page": ""}


def run(arguments: Sequence[str], tree: Tree, reporter: Reporter, framework: str = FRAMEWORK) -> int:
    """Measures, prints and writes.

    Returns:
        0, or 1 if a point has no number.

    Raises:
        ConfigurationFaults: an unknown series, a number that is none, or a page without marks.
    """
    own, words, names = _sorted(arguments)
    smoke = "size=smoke" in words
    known = read_series(tree.configs, machine.usable_cores(), smoke)
    search = "limits" in names
    names = [name for name in names if name != "limits"]
    faults = [unknown("series", name, [*known, "limits"]) for name in names if name not in known]
    if search and not faults and (not names or any(known[name].program for name in names)):
        faults.append("`limits` needs the names of series of a study: ./run scaling limits perfbench_particles")
    numbers = {name: _number(name, own[name], faults) for name in ("seconds", "most", "memory")}
    if faults:
        raise ConfigurationFaults(faults)
    page = _page(own["page"], smoke, tree)
    before = page.read_text(encoding="utf-8") if page else ""
    content = _stored(page)
    if page:
        with_growth(before, _empty())
    context = Context(tree, tuple(words), reporter)
    chosen = [known[name] for name in names or known]
    n_points = sum(len(series.sizes) for series in chosen)
    budget, limits = (numbers["seconds"] or 0) / n_points, Limits(smoke)
    told = provenance.provenance(tree.root, {}, "cuda" if "device=cuda" in words else "cpu")
    where = {"provenance": {name: told[name] for name in PUBLISHED}}
    found: list[dict[str, Any]] = []
    for series in chosen:
        if search:
            with memory_limit(numbers["memory"]):
                found.append(find_limit(context, series, numbers["most"] or 1, framework) | where)
            content["limits"] = _joined(content.get("limits", []), found, "title")
        else:
            found.append(measure(context, series, budget, limits, framework) | where)
            content["series"] = _joined(content.get("series", []), found, "name")
        if page:  # after each, so that an interruption loses one series
            _write(page, with_growth(before, content))
            _write(page.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
    for line in tables({**content, "series": [] if search else found, "limits": found if search else []}):
        reporter.say(line)
    if page:
        reporter.say(f"Written: {page} and {page.with_suffix('.json').name}")
    bad = [point for series in found for point in series.get("points", []) if point["status"] != "ok"]
    return int(bool(bad))


def _sorted(arguments: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Our own options, words for the studies, and names."""
    own, words, names = dict(OWN), [], []
    for word in arguments:
        name, equals, value = word.partition("=")
        if not equals:
            names.append(word)
        elif name in OWN:
            own[name] = value
        else:
            words.append(word)
    return own, words, names


def _number(name: str, text: str, faults: list[str]) -> int | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        faults.append(f"{name}={text}: needs a number above 0.")
        return None
    return int(value) if value >= 1 else 1


def _page(text: str, smoke: bool, tree: Tree) -> Path | None:
    if text == "none" or (smoke and not text):
        return None
    page = Path(typed_path(text, tree.root)) if text else tree.root / PAGE
    if not page.is_file():
        raise ConfigurationFaults([f"page={page}: there is no such file. Name one with marks, or page=none."])
    return page


def _empty() -> dict[str, Any]:
    return {"series": [], "limits": []}


def _stored(page: Path | None) -> dict[str, Any]:
    """What was measured before: series that are not measured now keep their numbers."""
    path = page.with_suffix(".json") if page else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else _empty()


def _joined(old: list[dict], new: list[dict], name: str) -> list[dict]:
    fresh = {one[name]: one for one in new}
    return [fresh.pop(one[name], one) for one in old] + list(fresh.values())


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise store_error(error, path.parent) from error


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    if any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0
    return run(arguments, Tree(), Reporter(Terminal()))


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:]), "Finished series are on the page; name the others to go on."))
