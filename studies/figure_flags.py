"""What a figure says of rows whose numbers may not be trusted: † unstable, ‡ of earlier sources or settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from studies.base import EARLIER_SOURCES, Row

UNSTABLE, EARLIER = "†", "‡"


def mark(*rows: Row) -> str:
    """The marks of a number that is made of these rows; empty if none of them has a flag."""
    return "".join(sign for sign, found in ((UNSTABLE, unstable(rows)), (EARLIER, earlier(rows))) if found)


def unstable(rows: Iterable[Row]) -> list[Row]:
    """The rows whose measurement raised a flag: a busy machine, few rounds, a wide interval, another machine."""
    return [row for row in rows if any(flag != EARLIER_SOURCES for flag in row.flags)]


def earlier(rows: Iterable[Row]) -> list[Row]:
    """The rows whose program, harness or settings have changed since they were measured."""
    return [row for row in rows if EARLIER_SOURCES in row.flags]


def facts(rows: Sequence[Row], has_marks: bool = True) -> list[str]:
    """The lines of a footnote, none if there is nothing to say.

    Args:
        rows: every row of the figure.
        has_marks: whether numbers carry `mark`; if not, the flagged rows are counted.
    """
    found: list[str] = []
    for sign, marked, words in (
        (UNSTABLE, unstable(rows), "flagged as unstable"),
        (EARLIER, earlier(rows), EARLIER_SOURCES),
    ):
        if marked:
            found.append(f"{sign} {words}" if has_marks else f"{len(marked)} of {len(rows)} measurements {words}")
    return found
