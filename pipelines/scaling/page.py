"""The tables of `docs/scaling.md`: made from what was measured, between marks."""

import re
from collections.abc import Mapping
from typing import Any

from pipelines.errors import ConfigurationFaults

BEGIN, END = "<!-- growth -->", "<!-- end of growth -->"
MARKED = re.compile(f"{re.escape(BEGIN)}\n.*?{re.escape(END)}", re.DOTALL)
NOTES = """\
Times are of one call, with 95% intervals. Beside them what this machine's limits allow, measured on as many cores in
the same run: *bits*, the time to draw the program's random bits alone; *bandwidth*, XLA's count of bytes over the rate
of a copy from memory; *flops*, the program's floating point operations over the rate of a matrix product. XLA counts
what is inside of a loop once, and what stays in a cache never goes to memory, so bandwidth is a bound for programs
without loops. The exponent is that of the power law through the points; its interval is for their scatter around it."""


def with_growth(page: str, content: Mapping[str, Any]) -> str:
    """The page with the tables of `content` between its marks.

    Raises:
        ConfigurationFaults: the page has not one pair of marks.
    """
    if len(MARKED.findall(page)) != 1:
        raise ConfigurationFaults([f"The page needs one line {BEGIN} and after it one line {END}, around the tables."])
    text = "\n".join([BEGIN, *tables(content), END])
    return MARKED.sub(lambda _: text, page)


def tables(content: Mapping[str, Any]) -> list[str]:
    """The lines of all tables: on top where everything was measured, or at each table where they differ."""
    parts = [(_machine(series["provenance"]), _table(series)) for series in content["series"]]
    parts += [(_machine(limit["provenance"]), [_limit(limit)]) for limit in content.get("limits", [])]
    together = len({machine for machine, _ in parts}) == 1
    lines = [NOTES, *(["", parts[0][0]] if together else [])]
    for machine, (heading, *rest) in parts:
        lines += ["", heading, *([] if together else [machine]), *rest]
    return lines


def seconds(value: float | None) -> str:
    """A time with three digits, in a unit that suits it."""
    if value is None:
        return "-"
    scale, unit = next(
        ((scale, unit) for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")) if value >= scale), (1e-9, "ns")
    )
    return f"{value / scale:.3g} {unit}"


def _machine(provenance: Mapping[str, Any]) -> str:
    gpus = provenance.get("gpus") or []
    commit = str(provenance["commit"]["id"] or "unknown")[:12]
    where = f"{provenance['cpu']}, {provenance['usable_cores']} cores{''.join(f', {gpu}' for gpu in gpus)}"
    return f"{where}; commit {commit}, {provenance['started'][:10]}."


def _table(series: Mapping[str, Any]) -> list[str]:
    cores = series["cores"]
    on = "" if cores in (None, "size") else f", on {cores} core{'s' if cores != 1 else ''}"
    lines = [f"**{series['title']}, by {series['axis']}{on}.** {_growth(series)}", ""]
    lines += [f"| {series['axis']} | time | bits | bandwidth | flops | time / bits |", "|---|---|---|---|---|---|"]
    for point in series["points"]:
        amount = f"{point['amount']:,}"
        if point["status"] != "ok":
            lines.append(f"| {amount} | {point['status']}: {point['reason']} | - | - | - | - |")
            continue
        limits = point["limits"]
        time = f"{seconds(point['seconds'])} [{seconds(point['low'])}, {seconds(point['high'])}]"
        bits = limits.get("bits")
        over = _two_digits(point["seconds"] / bits) if bits else "-"
        shown = " | ".join(seconds(limits.get(name)) for name in ("bits", "bandwidth", "flops"))
        lines.append(f"| {amount} | {time} | {shown} | {over} |")
    return lines


def _growth(series: Mapping[str, Any]) -> str:
    fit = series["fit"]
    if fit is None:
        return "Too few points for an exponent."
    return f"Exponent {fit['exponent']:.2f} [{fit['low']:.2f}, {fit['high']:.2f}] over {fit['n']} points."


def _limit(limit: Mapping[str, Any]) -> str:
    beyond = limit["fails"]
    ends = f", and not with {beyond:,} ({limit['status']}: {limit['reason']})" if beyond else "; no limit was met"
    holds = f"runs with {limit['fits']:,}" if limit["fits"] else "runs with none"
    return f"**{limit['title']}**, most {limit['axis']} in memory: {holds}{ends}."


def _two_digits(ratio: float) -> str:
    """Two digits or, from ten on, whole numbers: never an exponent."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
