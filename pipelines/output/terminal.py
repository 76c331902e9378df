"""Where a command writes: a console that outlives its reader, and text that cannot act on a terminal or a page."""

import errno
import html
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from pipelines.entry import silence, tell

LOG_WIDTH = 1000
"""Columns of a log or a pipe, where a table has all the room that it needs."""

# Escape sequences (CSI, OSC and two-character ones), then whatever control character is left but tab and newline.
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]", re.DOTALL
)


class Lasting:
    """Standard output as a stream whose writer goes on when nobody reads any more, or the disk below a log is full.

    The measurements are worth more than the lines about them.
    """

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Writes, or drops, a text."""
        with self._going_on():
            sys.stdout.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes what was written."""
        with self._going_on():
            sys.stdout.flush()

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return sys.stdout.isatty()

    def fileno(self) -> int:
        """The descriptor."""
        return sys.stdout.fileno()

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            silence(1)
            if error.errno != errno.EPIPE:
                tell(f"Standard output cannot be written ({error.strerror}); the run goes on without it.")


class Terminal(Console):
    """A console on standard output.

    It redraws only where that works: neither into a file, whatever `FORCE_COLOR` says, nor on a terminal that calls
    itself dumb.
    """

    def __init__(self) -> None:
        stream: Any = Lasting()
        redraws = stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
        super().__init__(file=stream, force_terminal=redraws, width=None if redraws else LOG_WIDTH)


def printable(text: str) -> str:
    """A text without escape sequences and control characters: what a worker or a file said is only shown."""
    return CONTROL.sub("", text.replace("\r\n", "\n"))


def in_markdown(text: str) -> str:
    """A text as the content of a cell of a Markdown table: no markup of it acts there, HTML included."""
    return html.escape(printable(text), quote=False).replace("|", "\\|").replace("\n", " ")
