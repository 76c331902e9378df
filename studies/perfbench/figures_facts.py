"""What the figures of the comparison have in common: the order of systems, and how their times were made."""

from studies import figure_flags
from studies.base import Row, Rows, how_timed
from studies.perfbench.export import SIZES, other_precision

ORDER = ("genjax", "handcoded_same_draws", "handcoded_jax", "numpyro", "tfp", "pyro", "torch", "genjl", "genjl_static")
"""Left to right in every group, and in legends. Frameworks not named here follow."""


def ordered(rows: Rows) -> list[str]:
    """The frameworks of the rows in the constant order."""
    rank = {name: index for index, name in enumerate(ORDER)}
    return sorted(rows.values("framework"), key=lambda name: rank.get(name, len(rank)))


METHODS = {"importance": "Importance sampling", "hmc": "HMC"}
UNITS = {"n_particles": "particles", "n_samples": "samples", "n_chains": "chains"}


def cores_title(row: Row) -> str:
    """Method, size and data, in two lines, of a panel of the figure `cores`."""
    parameter = SIZES[row.task]
    size = f"{row.parameters[parameter]:,} {UNITS[parameter]}"
    return f"{METHODS[row.task.partition('_')[0]]}\n{size}, {row.parameters['data_set']} data"


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
    return facts + figure_flags.facts(rows, has_marks=has_daggers)
