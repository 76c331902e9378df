"""What the figures of the comparison have in common: the order of systems, and how their times were made."""

from studies.base import Rows, how_timed
from studies.perfbench.export import other_precision

ORDER = ("genjax", "handcoded_same_draws", "handcoded_jax", "numpyro", "tfp", "pyro", "torch", "genjl", "genjl_static")
"""Left to right in every group, and in legends. Frameworks not named here follow."""


def ordered(rows: Rows) -> list[str]:
    """The frameworks of the rows in the constant order."""
    rank = {name: index for index, name in enumerate(ORDER)}
    return sorted(rows.values("framework"), key=lambda name: rank.get(name, len(rank)))


def measurement(rows: Rows, has_daggers: bool) -> list[str]:
    """How the rows were timed, and what a reader must know of them; `has_daggers`: flagged ones are marked."""
    facts = []
    how = how_timed(rows)
    if how is not None:
        facts.append(f"{how}, 95% intervals")
    other = other_precision(rows)
    if other is not None:
        facts.append(other)
    marks = {row.label: row.record.get("notes", {}).get("form_mark") for row in rows if row.status == "ok"}
    facts += [f"{label}: {mark}" for label, mark in marks.items() if mark]
    flagged = sum(bool(row.flags) for row in rows)
    if flagged and has_daggers:
        facts.append("† measurement flagged as unstable")
    elif flagged:
        facts.append(f"{flagged} of {len(rows)} measurements flagged as unstable")
    return facts
