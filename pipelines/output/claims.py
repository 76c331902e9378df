"""The claims of the paper against stored rows: `./run claims`, and the end of a whole run.

Each claim of `configs/claims.yaml` gets one of five verdicts. Its metric's interval inside the accepted range is
"reproduced", outside "not reproduced", across a limit "cannot tell". All claims are one family: a verdict that does not
survive Holm's correction at 5%, or that another measurement would flip more than one time in twenty, is "cannot tell",
and so is one from times that are flagged. Rows that are missing or not right are "cannot tell" too, with the reason and
the command that measures them. A claim about a GPU without a row of one "needs CUDA". A claim that a gate demands
before there is a row cannot fail here: it is "gated", and not counted as reproduced. `--power` prints the chance of a
flip.
"""

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.table import Table
from rich.text import Text

from pipelines.atomic import write_atomically
from pipelines.config.configuration import Configuration, configure
from pipelines.entry import guarded
from pipelines.errors import ConfigurationFaults, unknown
from pipelines.output.claim_metrics import LOGARITHMIC, METRICS, TIMED, CannotTell, Measured
from pipelines.output.progress import Reporter
from pipelines.output.terminal import Terminal
from pipelines.plan.cells import Cell, races
from pipelines.plan.descriptions import describe
from pipelines.plan.extensions import tree_of
from pipelines.plan.plan import RUN, SKIP, PlannedCell, PlannedRace, StudyPlan, skip_reason
from pipelines.plan.tree import Tree
from pipelines.race.decisions import beyond, flip_chance, holm
from pipelines.race.statistics import Interval
from pipelines.results import provenance
from pipelines.results.rows import read_rows
from pipelines.results.store import Store, store_error
from studies.base import Row, Rows

REPRODUCED, NOT_REPRODUCED, CANNOT_TELL, NEEDS_CUDA = "reproduced", "not reproduced", "cannot tell", "needs CUDA"
GATED = "gated"
FAMILY_LEVEL = 0.05
"""The chance of any wrong verdict among all claims."""
MOST_FLIPS = 0.05
HARMLESS = ("95% interval is", "measured on another machine")
"""How flags begin that an interval already tells, or that say nothing about the times."""
DEVICES = {"any": (), "cuda": ("cuda",), "both": ("cpu", "cuda")}

Find = Callable[[str, str | None, str], Sequence[Row]]
"""`find(study, size, device)`: the rows of a study at a size (None: the run's) on a device."""


@dataclass(frozen=True)
class Claim:
    """One entry of `configs/claims.yaml`, where the fields are explained."""

    name: str
    text: str
    figure: str
    published: str
    study: str
    task: str
    rows: Mapping[str, Any]
    metric: Mapping[str, Any]
    accept: Mapping[str, float]
    tolerance: str
    device: str
    run: str
    size: str | None = None
    gated: bool = False


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict.

    Args:
        measured: the number, if there is one; `keys` are those of the rows that it is from.
        why: in words, and what to run if that helps.
        flip: the chance that another measurement would say otherwise; None without a number.
        p_value: that the truth is on the other side of the limit, before correction.
    """

    claim: Claim
    verdict: str
    why: str
    measured: Measured | None = None
    devices: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    flip: float | None = None
    p_value: float | None = None


def read_claims(tree: Tree) -> list[Claim]:
    """The claims of a checkout; none if it has no such file.

    Raises:
        ConfigurationFaults: with everything that is wrong in the file.
    """
    path = tree.configs / "claims.yaml"
    if not path.is_file():
        return []
    entries: Any = OmegaConf.to_container(OmegaConf.load(path))
    claims, faults = [], []
    for name, entry in (entries.get("claims") or {}).items():
        try:
            words = {
                key: str(entry[key]) for key in ("figure", "published") if key in entry
            }  # YAML reads 5 as a number
            claim = Claim(name=str(name), **{**entry, **words})
        except TypeError as error:
            faults.append(f"{path.name}: claim {name}: {error}")
            continue
        for kind, given, allowed in (
            ("metric", str(claim.metric.get("name")), METRICS),
            ("device", claim.device, DEVICES),
            ("study", claim.study, tree.studies()),
        ):
            faults += [f"{path.name}: claim {name}: {unknown(kind, given, allowed)}"] if given not in allowed else []
        if not claim.accept or not set(claim.accept) <= {"at_least", "at_most"}:
            faults.append(f"{path.name}: claim {name}: accept needs at_least, at_most or both, got {claim.accept}.")
        claims.append(claim)
    if faults:
        raise ConfigurationFaults(faults)
    return claims


def judge(claim: Claim, device: str, find: Find) -> Judged:
    """The verdict on one claim.

    Args:
        claim: the claim.
        device: of the run, for claims about any device.
        find: where rows come from.
    """
    devices = DEVICES[claim.device] or (device,)
    chosen = [row for one in devices for row in find(claim.study, claim.size, one) if _matches(claim, row)]
    command = f"./run {claim.run}" + (" device=cuda" if claim.device == "any" and device == "cuda" else "")
    measure = f"measure with: {command}"
    gpu_rows = [row for row in chosen if row.device == "cuda" and row.status == "ok"]
    if "cuda" in devices and claim.device != "any" and not gpu_rows:
        return Judged(claim, NEEDS_CUDA, f"no row of a GPU; on a machine with one: {command}", devices=devices)
    faults = [row for row in chosen if row.status not in ("ok", "skipped")]
    if faults or not any(row.status == "ok" for row in chosen):
        told = dict.fromkeys(f"{row.task} {row.framework}: {row.reason}" for row in faults)
        if not chosen:
            told = {f"no row of {claim.task} has {_asked(claim)} at this size": None}
        return Judged(claim, CANNOT_TELL, f"{'; '.join(told) or 'all rows are skipped'}; {measure}", devices=devices)
    rows = Rows([row for row in chosen if row.status == "ok"])
    absent = _absent(claim, rows, chosen)
    if absent:
        why = f"no row of {claim.task} has {absent} at this size; {measure}"
        return Judged(claim, CANNOT_TELL, why, devices=devices)
    keys = tuple(str(row.record.get("key", "")) for row in rows)
    try:
        measured = METRICS[claim.metric["name"]](rows, claim.metric)
    except CannotTell as reason:
        return Judged(claim, CANNOT_TELL, f"{reason}; {measure}", devices=devices, keys=keys)
    verdict, why = compare(measured, claim.accept)
    doubts = _doubts(rows) if claim.metric["name"] in TIMED else []
    if claim.gated and verdict == REPRODUCED:
        verdict, why = GATED, f"{why}; the gate demands it before there is a row"
    elif verdict in (REPRODUCED, NOT_REPRODUCED) and doubts:
        verdict, why = CANNOT_TELL, f"{why}; flagged: {'; '.join(doubts)}"
    flip, p_value = _chances(measured, claim)
    skipped = dict.fromkeys(row.label for row in chosen if row.status == "skipped")
    without = f"; without {', '.join(skipped)}, skipped" if skipped else ""
    return Judged(claim, verdict, why + without, measured, devices, keys, flip, p_value)


def _doubts(rows: Rows) -> list[str]:
    """The flags of rows that make their times doubtful."""
    told = (f"{row.framework}: {flag}" for row in rows for flag in row.flags if not flag.startswith(HARMLESS))
    return list(dict.fromkeys(told))[:3]


def _chances(measured: Measured, claim: Claim) -> tuple[float, float]:
    """(chance that another measurement says otherwise, p-value that the truth is beyond the nearest limit)."""
    interval = Interval(measured.value, measured.low, measured.high)
    limits = claim.accept.get("at_least", -math.inf), claim.accept.get("at_most", math.inf)
    logarithmic = claim.metric["name"] in LOGARITHMIC
    inside = limits[0] <= measured.value <= limits[1]
    p_values = [beyond(interval, one, logarithmic=logarithmic) for one in limits if math.isfinite(one)]
    return flip_chance(interval, *limits), (max if inside else min)(p_values)


def as_family(judged: list[Judged]) -> list[Judged]:
    """The verdicts, corrected for their number and for luck; see the beginning of this file."""
    found = list(judged)
    open_ones = [index for index, one in enumerate(judged) if one.verdict in (REPRODUCED, NOT_REPRODUCED)]
    adjusted = holm([judged[index].p_value or 0.0 for index in open_ones])
    for index, p_value in zip(open_ones, adjusted, strict=True):
        one = judged[index]
        if p_value > FAMILY_LEVEL:
            why = f"{one.why}; not shown once all claims are judged together (Holm: p = {p_value:.2g})"
            found[index] = replace(one, verdict=CANNOT_TELL, why=why)
        elif (one.flip or 0.0) > MOST_FLIPS:
            why = f"{one.why}; another measurement would say otherwise in {one.flip:.0%} of cases"
            found[index] = replace(one, verdict=CANNOT_TELL, why=why)
    return found


def compare(measured: Measured, accept: Mapping[str, float]) -> tuple[str, str]:
    """The verdict of an interval against the accepted range, and the sentence that says so."""
    least, most = accept.get("at_least", float("-inf")), accept.get("at_most", float("inf"))
    wanted = " and ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in accept.items())
    if least <= measured.low and measured.high <= most:
        return REPRODUCED, f"accepted: {wanted}"
    if measured.high < least or measured.low > most:
        return NOT_REPRODUCED, f"accepted: {wanted}"
    return CANNOT_TELL, f"the interval reaches across what is accepted: {wanted}"


Others = dict[tuple[str, str, str], Configuration]
"""Configurations by study, size and device, for claims about other sizes and devices than the run's."""


def judge_all(
    configurations: list[Configuration],
    store: Store,
    known: Mapping[str, Sequence[Row]],
    others: Others | None = None,
) -> list[Judged]:
    """The verdicts on all claims about the studies that the configurations are of.

    Args:
        configurations: of one run.
        store: the newest right record of each cell that is not among `known`.
        known: rows of the run's own size and device, by study.
        others: those that were made before, in the same run; gets those that are made now.
    """
    made = {} if others is None else others
    first, own = configurations[0], {one.study: one for one in configurations}
    claims = [claim for claim in read_claims(first.tree) if claim.study in own]
    cache: dict[tuple[str, str, str], Sequence[Row]] = {
        (study, first.size, first.device): rows for study, rows in known.items()
    }

    def find(study: str, size: str | None, device: str) -> Sequence[Row]:
        place = (study, size or first.size, device)
        if place not in cache and device == "cuda" != first.device and not _has_gpu_record(store, study, claims):
            cache[place] = ()  # whatever its configuration, whose making takes a while
        if place not in cache:
            if place[1:] == (first.size, first.device):
                configuration = own[study]
            else:  # the run's overrides are for its own size and device
                if place not in made:
                    words = [f"study={study}", f"size={place[1]}", f"device={device}"]
                    (made[place],) = configure(words, first.tree)
                configuration = made[place]
            cache[place] = stored_rows(configuration, store)
        return cache[place]

    return as_family([judge(claim, first.device, find) for claim in claims])


def _has_gpu_record(store: Store, study: str, claims: Sequence[Claim]) -> bool:
    tasks = {claim.task for claim in claims if claim.study == study}
    return any(record["identity"]["device"] == "cuda" for task in tasks for record in store.records(study, task))


def stored_rows(configuration: Configuration, store: Store) -> list[Row]:
    """The newest right row of every cell of a study; without one, "skipped" with the reason or "failed"."""
    tree, reasons = configuration.tree, dict[tuple[str, str, str], str | None]()
    described = cache(lambda framework: describe(framework, tree))  # reading a framework's text takes a while

    def unplanned(cell: Cell) -> PlannedCell:
        """A cell without the key that planning would give it: any right row of it will do."""
        description, slot = described(cell.framework), (cell.function, cell.framework, cell.device)
        if slot not in reasons:
            reasons[slot] = skip_reason(cell, description, tree)
        reason = reasons[slot]
        return PlannedCell(cell, description, "", {}, RUN if reason is None else SKIP, reason or "not measured")

    planned = [PlannedRace(race, tuple(map(unplanned, race.cells))) for race in races(configuration)]
    return [row for _, row in read_rows(StudyPlan(configuration, tuple(planned)), store, exact=False)]


def print_claims(judged: list[Judged], reporter: Reporter) -> None:
    """A table on a terminal, lines elsewhere; then how many of each verdict."""
    if reporter.console.is_terminal:
        table = Table(title="Claims of the paper", title_justify="left")
        for column in ("figure", "claim", "published", "measured", "verdict", "why"):
            table.add_column(column, overflow="fold")
        for one in judged:
            claim = one.claim
            table.add_row(*map(Text, (claim.figure, claim.text, claim.published, number(one), one.verdict, one.why)))
        reporter.console.print(table)
    else:
        reporter.say("")
        reporter.say("Claims of the paper")
        for one in judged:
            reporter.say(f"  {one.verdict:14}  {one.claim.figure:5}  {one.claim.text}")
            found = f"measured {number(one)}; " if one.measured else ""
            reporter.say(f"  {'':23}{found}published {one.claim.published}; {one.why}")
    counts = Counter(one.verdict for one in judged)
    reporter.say(f"  claims: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}")


def number(judged: Judged) -> str:
    """`1.012 [1.003, 1.021] cpu`, or nothing."""
    if judged.measured is None:
        return ""
    one = judged.measured
    ends = f" [{one.low:.4g}, {one.high:.4g}]" if one.low < one.high else ""
    return f"{one.value:.4g}{ends} {'/'.join(judged.devices)}"


def write_claims(judged: list[Judged], folder: Path) -> Path:
    """Writes `claims.json` and `claims.md`, and returns the path of the latter.

    Raises:
        StoreError: if the folder cannot be written.
    """
    header = ("figure", "claim", "published", "measured", "verdict", "why", "rows")
    lines = ["# Claims of the paper", "", f"{provenance.now()}. Intervals in brackets.", ""]
    lines += [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for one in judged:
        claim = one.claim
        rows = ", ".join(f"{claim.study}/{claim.task}/{key[:12]}" for key in one.keys)
        cells = (claim.figure, claim.text, claim.published, number(one), one.verdict, one.why, rows)
        lines.append("| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in cells) + " |")
    lines += ["", "What is accepted, and why:", ""]
    lines += [f"- {one.claim.text}: {one.claim.tolerance}." for one in judged]
    facts = [asdict(one) for one in judged]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("claims.json", json.dumps(facts, indent=1, allow_nan=False)),
            ("claims.md", "\n".join(lines)),
        ):
            write_atomically(folder / name, text + "\n")
    except OSError as error:
        raise store_error(error, folder, "figs") from error
    return folder / "claims.md"


def tell(
    configurations: list[Configuration],
    store: Store,
    known: Mapping[str, Sequence[Row]],
    reporter: Reporter,
    others: Others | None = None,
) -> list[Judged]:
    """Judges, prints and writes; nothing in a checkout without claims."""
    judged = judge_all(configurations, store, known, others)
    if judged:
        print_claims(judged, reporter)
        reporter.say(f"  claims: {write_claims(judged, configurations[0].figs)}")
    return judged


def print_power(judged: list[Judged], reporter: Reporter) -> None:
    """The chance that another measurement of the same kind would say otherwise, claim by claim."""
    reporter.say("")
    reporter.say("Chance that another measurement would say otherwise (above 5%: cannot tell)")
    for one in judged:
        chance = "no number" if one.flip is None else f"{one.flip:.1%}"
        reporter.say(f"  {chance:>9}  {one.claim.figure:5}  {one.claim.text}")


def main(arguments: list[str], tree: Tree | None = None) -> int:
    """`python -m pipelines.output.claims [--power] [overrides]`: judges stored rows, measures nothing.

    Returns:
        0 whatever the verdicts: that a claim is not reproduced is a finding. 2 for a request that cannot be understood.
    """

    if any(word in ("--help", "-h") for word in arguments):
        print(__doc__)
        return 0

    def run() -> int:
        found, words = tree_of([word for word in arguments if word != "--power"], tree)
        configurations = configure(words, found)
        reporter = Reporter(Terminal())
        judged = tell(configurations, Store(configurations[0].results, reporter.say), {}, reporter)
        if "--power" in arguments:
            print_power(judged, reporter)
        return 0

    return guarded(run)


def _matches(claim: Claim, row: Row) -> bool:
    def fits(name: str, wanted: Any) -> bool:
        value = row.parameters[name] if name in row.parameters else getattr(row, name, None)
        return value in wanted if isinstance(wanted, list) else value == wanted

    return row.task == claim.task and all(fits(name, wanted) for name, wanted in claim.rows.items())


def _absent(claim: Claim, rows: Rows, chosen: Sequence[Row]) -> str:
    """Listed values that no right row has. A framework may be skipped, and is then named; but not left out."""
    told = []
    for name, wanted in claim.rows.items():
        if isinstance(wanted, list):
            found = (Rows(chosen) if name == "framework" else rows).values(name)
            lacking = [str(value) for value in wanted if value not in found]
            told += [f"{name}={' or '.join(lacking)}"] if lacking else []
    return ", ".join(told)


def _asked(claim: Claim) -> str:
    return ", ".join(
        f"{name}={' or '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in claim.rows.items()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
