"""One row against its baseline, as findings: time in the same rounds, and XLA's count of the work."""

from pipelines.bench.base import MET, MISSED, UNKNOWN, Finding, judge_at_most
from studies.base import Row

COSTS = {"flops": "flops", "bytes_accessed": "bytes accessed", "temporary_bytes": "temporary memory"}


def time_finding(row: Row, baseline: Row, size: str, limit: float) -> Finding:
    """The paired ratio of times; met where its interval includes the limit or lies below."""
    assert row.ratio is not None and row.ratio_interval is not None
    assert row.median_s is not None and baseline.median_s is not None
    low, high = row.ratio_interval
    return Finding(
        f"time, {size}",
        f"{row.ratio:.3f}x [{low:.3f}, {high:.3f}] ({1e3 * row.median_s:.4g} / "
        f"{1e3 * baseline.median_s:.4g} ms)" + "".join(f"; {flag}" for flag in row.flags),
        f"interval includes {limit:g} or lies below",
        judge_at_most(low, high, limit),
        {"ratio": row.ratio, "interval": [low, high], "flags": list(row.flags)},
    )


def cost_finding(
    row: Row, baseline: Row, cost: str, size: str, limit: float, *, or_below_bytes: float | None = None
) -> Finding:
    """The ratio of one entry of `COSTS`.

    Args:
        row: of the framework that is judged.
        baseline: of the other.
        cost: key of `COSTS`.
        size: what was run, for the line.
        limit: of the ratio.
        or_below_bytes: a particles x observations matrix; fewer bytes than that are enough.
    """
    what, target = f"{COSTS[cost]}, {size}", f"at most {limit:g}x"
    ours, theirs = row.record["cost"].get(cost), baseline.record["cost"].get(cost)
    if ours is None or theirs is None:
        return Finding(what, "XLA does not say", target, UNKNOWN)
    met = ours <= limit * theirs
    if or_below_bytes is not None:
        target, met = f"{target}, or no particles x observations matrix", met or ours < or_below_bytes
    ratio = f"{ours / theirs:.3f}x" if theirs else "-"
    facts: dict[str, object] = {row.framework: ours, baseline.framework: theirs}
    return Finding(what, f"{ratio} ({ours:,.0f} / {theirs:,.0f})", target, MET if met else MISSED, facts)
