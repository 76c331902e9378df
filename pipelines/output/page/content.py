"""What the page says, as plain data: gathered from stored rows, judged claims and drawn figures; computes no times."""

import json
import math
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.canonical import canonical
from pipelines.output.claim_metrics import IN_WORDS
from pipelines.output.claims import CANNOT_TELL, GATED, NEEDS_CUDA, NOT_REPRODUCED, REPRODUCED, Claim, Judged
from pipelines.race import statistics
from studies.base import Row

VERDICT_MARKS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", CANNOT_TELL: "?", NEEDS_CUDA: "–"}
"""A mark beside each verdict, so that none is told by its colour alone; other verdicts get a dot."""

EFFECTIVE = ("effective_sample_size", "min_ess", "ess", "effective_samples")
"""Diagnostics that count effective samples of one call, in order of preference."""


@dataclass(frozen=True)
class ClaimEntry:
    """One claim on the page. `bar` has the ends of the strip picture as fractions, or is empty."""

    verdict: str
    mark: str
    word: str
    text: str
    figure: str
    published: str
    measured: str
    accepted: str
    tolerance: str
    why: str
    answer: str
    quantity: str
    rows: str
    command: str
    keys: tuple[str, ...]
    bar: Mapping[str, float]


@dataclass(frozen=True)
class FigureEntry:
    """One figure: file names beside the page, or why there is none."""

    study: str
    name: str
    caption: str
    light: str = ""
    dark: str = ""
    pdf: str = ""
    missing: str = ""
    command: str = ""


@dataclass(frozen=True)
class RowEntry:
    """One line of the table of rows; `identifier` is its place in the details."""

    identifier: int
    study: str
    task: str
    system: str
    parameters: str
    status: str
    seconds: float | None
    time: str
    ratio_value: float | None
    ratio: str
    effective: float | None
    memory_mib: float | None
    compile_s: float | None
    cores: str
    flags: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    written: str
    machine: str
    facts: Sequence[tuple[str, str]]
    verdicts: Sequence[tuple[str, str, int]]
    claims: Sequence[ClaimEntry]
    figures: Mapping[str, Sequence[FigureEntry]]
    rows: Sequence[RowEntry]
    details: str
    missing: Sequence[tuple[str, str, int]]
    counts: Mapping[str, int]
    studies: Sequence[str]
    statuses: Sequence[str]
    notes: Sequence[str] = field(default_factory=tuple)
    estimator: str = statistics.ESTIMATOR


def claim_entry(judged: Judged) -> ClaimEntry:
    """A judged claim, in words and as a strip."""
    claim = judged.claim
    found = judged.measured
    measured = ""
    if found is not None:
        ends = f" [{found.low:.4g}, {found.high:.4g}]" if found.low < found.high else ""
        measured = f"{found.value:.4g}{ends}"
    accepted = " and ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in claim.accept.items())
    return ClaimEntry(
        verdict=judged.verdict,
        mark=VERDICT_MARKS.get(judged.verdict, "•"),
        word=judged.verdict.replace(" ", "-").lower(),
        text=claim.text,
        figure=claim.figure,
        published=claim.published,
        measured=f"{measured} ({', '.join(judged.devices)})" if measured and judged.devices else measured,
        accepted=accepted,
        tolerance=claim.tolerance,
        why=judged.why if judged.verdict not in (REPRODUCED, NOT_REPRODUCED) else "",
        answer=_answer(judged, accepted),
        quantity=IN_WORDS[claim.metric["name"]].format_map(defaultdict(str, claim.metric)).replace("_", " "),
        rows=f"{claim.study} {claim.task}",
        command=check_command(claim, judged.verdict),
        keys=judged.keys,
        bar=_strip(judged),
    )


def _answer(judged: Judged, accepted: str) -> str:
    """Whether the claim holds here and how sure that is, in one sentence or two."""
    found, flip = judged.measured, judged.flip
    if judged.verdict == GATED:
        return "Yes, but a row of this store could not say otherwise: its gate demands this before anything is timed."
    if judged.verdict == NEEDS_CUDA:
        return "Open: the claim is about a GPU, and no row here is from one."
    if found is None or judged.verdict not in (REPRODUCED, NOT_REPRODUCED):
        return "Cannot tell yet."
    lies = "inside" if judged.verdict == REPRODUCED else "outside"
    word = "Yes" if judged.verdict == REPRODUCED else "No, not on this machine"
    if found.low == found.high:
        return f"{word}: {found.value:.4g} lies {lies} the accepted range ({accepted})."
    sure = "" if flip is None else f" Measured once more, the answer would differ {_chance(flip)}."
    return f"{word}: all of the 95% interval lies {lies} the accepted range ({accepted}).{sure}"


def _chance(flip: float) -> str:
    return "less than once in 1,000 times" if flip < 1e-3 else f"in {flip:.1%} of cases"


def check_command(claim: Claim, verdict: str) -> str:
    """The command that measures a claim's rows again, whether or not they are stored."""
    words = ["./run", claim.run, f"tasks=[{claim.task}]", f"remeasure=[{claim.task}]"]
    if claim.size:
        words.append(f"size={claim.size}")
    if verdict == NEEDS_CUDA and "gpu" not in claim.run and "cuda" not in claim.run:
        words.append("device=cuda")
    return shlex.join(words)


def _strip(judged: Judged) -> dict[str, float]:
    """Places of the interval and of the accepted range on a strip from 0 to 1; empty where nothing was measured."""
    found, accept = judged.measured, judged.claim.accept
    if found is None or not all(math.isfinite(value) for value in (found.low, found.value, found.high)):
        return {}
    limits = [limit for limit in accept.values() if math.isfinite(limit)]
    ends = [found.low, found.high, *limits]
    is_log = min(ends) > 0 and max(ends) / min(ends) > 20
    scale = math.log if is_log else float
    low, high = scale(min(ends)), scale(max(ends))
    margin = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return round((scale(value) - low) / (high - low), 4)

    return {
        "low": place(found.low),
        "value": place(found.value),
        "high": place(found.high),
        "accept_low": place(accept["at_least"]) if "at_least" in accept else 0.0,
        "accept_high": place(accept["at_most"]) if "at_most" in accept else 1.0,
    }


def row_entry(identifier: int, row: Row, varied: Sequence[str]) -> RowEntry:
    """A row as a line of the table; `varied` is what differs among the rows of its task."""
    phases = row.record.get("phases") or {}
    peak = (row.record.get("memory") or {}).get("peak_host_bytes")
    effective = next(
        (row.diagnostics[name] for name in EFFECTIVE if math.isfinite(row.diagnostics.get(name, math.nan))), None
    )
    return RowEntry(
        identifier=identifier,
        study=row.study,
        task=row.task,
        system=row.label,
        parameters=" ".join(f"{name}={_value(row, name)}" for name in varied if _has(row, name)),
        status=row.status,
        seconds=row.median_s,
        time=shown_time(row),
        ratio_value=row.ratio,
        ratio=shown_ratio(row),
        effective=effective / row.median_s if effective is not None and row.median_s else None,
        memory_mib=peak / 2**20 if peak else None,
        compile_s=phases.get("compile"),
        cores=shown_cores(row),
        flags=tuple(row.flags),
        reason=row.reason or "",
    )


def varying(rows: Sequence[Row]) -> list[str]:
    """The parameters that differ among the rows of one task, and "seed" where that does; once for all of them."""
    names = dict.fromkeys(name for row in rows for name in row.parameters)
    found = [name for name in names if len({canonical(row.parameters.get(name)) for row in rows}) > 1]
    return found + (["seed"] if "seed" not in found and len({row.seed for row in rows}) > 1 else [])


def _has(row: Row, name: str) -> bool:
    return name in row.parameters or name == "seed"


def _value(row: Row, name: str) -> Any:
    return row.parameters.get(name, row.seed)


def shown_time(row: Row) -> str:
    """`1.234 ms [1.2, 1.3]`, or nothing."""
    if row.median_s is None:
        return ""
    ends = "" if row.interval_s is None else f" [{1e3 * row.interval_s[0]:.4g}, {1e3 * row.interval_s[1]:.4g}]"
    return f"{1e3 * row.median_s:.4g} ms{ends}"


def shown_cores(row: Row) -> str:
    """The cores of a timed row on a CPU: `1`, or `all 2`."""
    if row.median_s is None or row.device != "cpu":
        return ""
    usable = (row.record.get("provenance") or {}).get("usable_cores")
    return str(row.cores) if row.cores is not None else "all" if usable is None else f"all {usable}"


def shown_ratio(row: Row) -> str:
    """`0.98 [0.97, 0.99]`, "baseline", or nothing."""
    if row.is_baseline:
        return "baseline"
    if row.ratio is None:
        return ""
    ends = "" if row.ratio_interval is None else f" [{row.ratio_interval[0]:.3f}, {row.ratio_interval[1]:.3f}]"
    return f"{row.ratio:.3f}{ends}"


def details_of(rows: Sequence[Row]) -> str:
    """What a row opens to, as JSON for the page's script; equal provenances are stored once.

    `<`, `>` and `&` are escaped, so that no name can end the script element that holds this.
    """
    shared: dict[str, int] = {}
    entries = []
    for row in rows:
        where = {name: value for name, value in (row.record.get("provenance") or {}).items() if name != "started"}
        text = canonical(_finite(where))
        entries.append(
            {
                "parameters": _finite(row.parameters),
                "seed": row.seed,
                "device": row.device,
                "key": row.record.get("key"),
                "started": (row.record.get("provenance") or {}).get("started"),
                "command": remeasure_command(row),
                "diagnostics": {name: _significant(value) for name, value in row.diagnostics.items()},
                "phases": {name: _significant(value) for name, value in (row.record.get("phases") or {}).items()},
                "notes": _finite(row.record.get("notes") or {}),
                "timing": _finite(_timing(row)),
                "ms": [_significant(1e3 * value) for value in row.samples_s.tolist()],
                "where": shared.setdefault(text, len(shared)),
            }
        )
    whole = {"rows": entries, "where": [json.loads(one) for one in shared]}
    text = json.dumps(whole, allow_nan=False, default=str, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _timing(row: Row) -> dict[str, Any]:
    """What is stored about the race, without the list of its contestants, which `race` tells."""
    return {name: value for name, value in (row.record.get("timing") or {}).items() if name != "contestants"}


def remeasure_command(row: Row) -> str:
    """The command that measures exactly this cell again, with its race."""
    words = ["./run", "paper-figures", f"study={row.study}", f"tasks=[{row.task}]", f"seed={row.seed}"]
    if row.device != "cpu":
        words.append(f"device={row.device}")
    size = (row.record.get("provenance") or {}).get("size")
    if size and size != "paper":
        words.append(f"size={size}")
    words.append(f"remeasure=[{row.framework}]")
    return shlex.join(words)


def missing(rows: Sequence[Row]) -> list[tuple[str, str, int]]:
    """(status, where and why, how many) of everything that has no number, equal reasons once."""
    told: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.status != "ok":
            first = (row.reason or "no reason was given").partition("\n")[0]
            told[row.status, f"{row.study}/{row.task}, {row.label}: {first}"] += 1
    return [(status, text, count) for (status, text), count in told.items()]


def machine_facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Name and value of what is known of the machines that the rows are from; several values where they differ."""
    names = {
        "cpu": "processor",
        "usable_cores": "usable cores",
        "memory_bytes": "memory",
        "gpus": "GPUs",
        "system": "system",
        "python": "Python",
        "governor": "CPU governor",
        "host": "host",
    }
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        where = row.record.get("provenance") or {}
        for name, label in names.items():
            value = where.get(name)
            if value not in (None, [], ""):
                shown = f"{value / 2**30:.1f} GiB" if name == "memory_bytes" else str(value)
                found.setdefault(label, {})[shown] = None
        for package, version in (where.get("packages") or {}).items():
            found.setdefault(package, {})[str(version)] = None
        commit = where.get("commit") or {}
        if commit.get("id"):
            text = f"{commit['id'][:12]}{' with changes' if commit.get('dirty') else ''}"
            found.setdefault("commit", {})[text] = None
    loads = [(row.record.get("timing") or {}).get("load_average") for row in rows]
    known = [load for load in loads if load is not None]
    facts = [(label, ", ".join(values)) for label, values in found.items()]
    if known:
        facts.append(("load average while racing", f"{min(known):.1f} to {max(known):.1f}"))
    return facts + _conditions(rows)


def _conditions(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Frequency and disturbances of the machine while races were running, over all rows that tell."""
    told = [row.record.get("condition") or {} for row in rows]

    def values(*names: str) -> list[float]:
        return [one[name] for one in told for name in names if one.get(name) is not None]

    found = []
    governors = dict.fromkeys(name for one in told for name in one.get("governors") or ())
    if governors:
        found.append(("CPU governor while racing", ", ".join(governors)))
    if mhz := values("mhz_before", "mhz_after"):
        found.append(("CPU frequency while racing", f"{min(mhz):,.0f} to {max(mhz):,.0f} MHz"))
    if turbo := values("turbo"):
        found.append(("turbo", " and ".join(dict.fromkeys("on" if one else "off" for one in turbo))))
    if others := values("contention"):
        found.append(("others on the cores of a race", f"{min(others):.1%} to {max(others):.1%} of their time"))
    for name, label in (
        ("throttled_periods", "periods held back by a CPU quota"),
        ("thermal_throttles", "slowed by heat"),
    ):
        if counts := values(name):
            found.append((label, f"{max(counts):.0f} at most in a race" if max(counts) else "never"))
    return found


def figure_files(folder: Path, name: str) -> dict[str, Path]:
    """The files of a figure that are there, by suffix."""
    return {suffix: path for suffix in ("svg", "png", "pdf") if (path := folder / f"{name}.{suffix}").is_file()}


def _significant(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) and math.isfinite(value) else _finite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
