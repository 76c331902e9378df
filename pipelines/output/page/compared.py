"""The page of two stores side by side: a verdict for each cell, and all ratios with their intervals in one picture."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.atomic import write_atomically
from pipelines.output.page.build import HERE, environment
from pipelines.race.statistics import Interval
from pipelines.results.compare import BROKE, FASTER, MENDED, SLOWER, VERDICTS, Comparison, Sides
from pipelines.results.store import store_error

KINDS = {FASTER: "reproduced", MENDED: "reproduced", SLOWER: "not-reproduced", BROKE: "not-reproduced"}
"""The colour of a verdict, by that of a claim's; the others are neutral."""

WIDTH = 300.0


@dataclass(frozen=True)
class Line:
    """One cell: its place in the picture is (low, value, high), or None without an interval."""

    name: str
    verdict: str
    kind: str
    detail: str
    ratio: str
    old: str
    new: str
    bar: tuple[float, float, float] | None


def write_comparison(comparisons: Sequence[Comparison], sides: Sides, folder: Path) -> Path:
    """Writes `index.html` and `comparison.json` and returns the path of the former.

    Raises:
        StoreError: the folder cannot be written.
    """
    known = [interval for one in comparisons if (interval := one.ratio or one.time) is not None]
    ends = [abs(math.log(value)) for one in known for value in (one.low, one.high) if 0 < value < math.inf]
    reach = min(max([*ends, math.log(1.25)]), math.log(32.0))
    words = [word for word in VERDICTS if any(one.verdict == word for one in comparisons)]
    text = (
        environment()
        .get_template("compare.html.j2")
        .render(
            style=(HERE / "page.css").read_text(encoding="utf-8"),
            counts=[
                (word, KINDS.get(word, "cannot-tell"), sum(one.verdict == word for one in comparisons))
                for word in words
            ],
            sides=[("old", sides.old), ("new", sides.new)],
            notes=sides.notes,
            estimator=f"Intervals: {sides.estimator}.",
            ends=[f"{math.exp(-reach):.2f}", f"{math.exp(reach):.2f}"],
            one=WIDTH / 2,
            lines=[_line(one, reach) for one in comparisons],
        )
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        facts = [asdict(one) for one in comparisons]
        for name, content in (("comparison.json", json.dumps(facts, indent=1) + "\n"), ("index.html", text)):
            write_atomically(folder / name, content)
    except OSError as error:
        raise store_error(error, folder, "page") from error
    return folder / "index.html"


def _line(one: Comparison, reach: float) -> Line:
    interval = one.ratio or one.time
    return Line(
        name=one.name,
        verdict=one.verdict,
        kind=KINDS.get(one.verdict, "cannot-tell"),
        detail="; ".join(filter(None, (one.detail, *one.flags))),
        ratio="" if interval is None else f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
        old="" if one.old_s is None else f"{1e3 * one.old_s:.4g} ms",
        new="" if one.new_s is None else f"{1e3 * one.new_s:.4g} ms",
        bar=None if interval is None else _places(interval, reach),
    )


def _places(interval: Interval, reach: float) -> tuple[float, float, float]:
    """Where the interval lies on the strip; what reaches beyond its ends is cut there."""

    def place(value: float) -> float:
        logarithm = math.log(value) if value > 0 else -reach
        return round(WIDTH / 2 * (1 + max(-1.0, min(1.0, logarithm / reach))), 1)

    return place(interval.low), place(interval.value), place(interval.high)
