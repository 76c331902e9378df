"""What a run says while it works: a bar on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from pipelines.output.terminal import printable

PLAIN_LINE_SECONDS = 10.0
"""Least time between two plain lines of one activity that only counts on."""

HEARTBEAT_SECONDS = 20.0
"""After so long without a word, a line or a fresh bar shows that the run is alive."""

LEAST_KNOWN_SECONDS = 30.0
"""A run of which nothing was expected does not say how long it will take before it is that old."""

PRIOR_SECONDS = 10.0
"""So much work is taken to have gone as expected before any has, so that a few small cells say little of the rest."""

BAR_SECONDS = 0.2
"""Least time between two pictures of a bar that only counts on."""


class Reporter:
    """Shows cells done out of all, and what is being done now.

    Args:
        console: where to write.
        clock: for the pace of plain lines.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic):
        self.console = console
        self._clock = clock
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._beat: threading.Thread | None = None
        self._last = float("-inf")
        self._activity = ""
        self._began = self._spoke = clock()
        self._lock = threading.RLock()
        self._total: int | None = None
        self._done = 0
        self._start = clock()
        self._expected: dict[str, float] = {}
        self._worked: dict[str, float] = {}
        self._study = ""
        self._part, self._part_began = 0.0, self._start

    def expect(self, seconds: Mapping[str, float]) -> None:
        """How long the work of each study should take, as far as that is known before it begins."""
        self._expected, self._worked = dict(seconds), dict.fromkeys(seconds, 0.0)
        self._start, self._study, self._part = self._clock(), next(iter(seconds), ""), 0.0

    def begin(self, study: str, seconds: float) -> None:
        """A part of a study begins that should take so long."""
        self._study, self._part, self._part_began = study, seconds, self._clock()

    def worked(self) -> None:
        """That part is done; how long it took corrects what is left."""
        self._worked[self._study] = self._worked.get(self._study, 0.0) + self._part
        self._part = 0.0

    def say(self, line: str) -> None:
        """One permanent line, never wrapped."""
        with self._lock:
            self._spoke = self._clock()
            self.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def whole(self, title: str, total: int) -> Iterator[None]:
        """One display of a run of several studies, which `cells` then only counts on; plain lines begin with counts."""
        with self.cells(title, total):
            self._total, self._done, self._start = total, 0, self._clock()
            try:
                yield
            finally:
                self._total = None

    @contextmanager
    def cells(self, title: str, total: int) -> Iterator[None]:
        """The bar of one study, unless it is a part of a whole."""
        if not self.console.is_terminal or self._total is not None:
            with self._beating():
                yield
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
        )
        # Drawn only when something is said: a thread that redraws would take time from the block being measured.
        with Progress(*columns, console=self.console, transient=True, auto_refresh=False) as self._progress:
            self._task = self._progress.add_task(title, total=total, left="")
            try:
                with self._beating():
                    yield
            finally:
                self._progress = None

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Shows that the run is alive while one activity lasts, such as a long compilation."""
        if self._beat is not None:
            yield
            return
        ended = threading.Event()
        self._beat = threading.Thread(target=self._keep_showing_life, args=(ended,), daemon=True)
        self._beat.start()
        try:
            yield
        finally:
            ended.set()
            self._beat.join()
            self._beat = None

    def _keep_showing_life(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT_SECONDS / 4):
            self.show_life()

    def show_life(self) -> None:
        """A line, or a fresh bar, if nothing was said for long."""
        now = self._clock()
        if now - self._spoke < HEARTBEAT_SECONDS:
            return
        if self._progress is not None:
            with self._lock:
                self._spoke = now
                self._progress.refresh()
        else:
            self.say(f"  still at it after {now - self._began:.0f} s: {self._activity}")

    def activity(self, text: str, count: str = "") -> None:
        """What is being done now; `count` is the part that only counts on."""
        if self._progress is not None and self._task is not None:
            now = self._clock()
            often = text == self._activity and now - self._last < BAR_SECONDS
            shown = printable(f"{text} {count}".strip())
            with self._lock:
                self._progress.update(self._task, description=shown, left=self._left(), refresh=not often)
                self._spoke = now if not often else self._spoke
            self._began = self._began if text == self._activity else now
            self._activity, self._last = (text, now) if not often else (self._activity, self._last)
            return
        if self.console.is_terminal:
            return
        now = self._clock()
        if text != self._activity or now - self._last >= PLAIN_LINE_SECONDS:
            self._began = self._began if text == self._activity else now
            self._activity, self._last = text, now
            count_of = [] if self._total is None else [f"{self._done}/{self._total}"]
            parts = [*count_of, *filter(None, [self._left()])]
            done = f"[{', '.join(parts)}] " if parts else ""
            self.say(f"  {done}{text} {count}".rstrip())

    def _left(self) -> str:
        """About how long the rest takes, and of it the study at work; nothing while too little is known.

        What was expected counts, times how much longer than expected the work took so far, that under way included;
        where nothing was expected, the rest goes on as so far.
        """
        now = self._clock()
        elapsed = now - self._start
        if self._expected:
            under_way = {self._study: min(now - self._part_began, self._part)}
            worked = {study: self._worked[study] + under_way.get(study, 0.0) for study in self._expected}
            left = {study: max(0.0, all_of - worked[study]) for study, all_of in self._expected.items()}
            factor = (elapsed + PRIOR_SECONDS) / (sum(worked.values()) + PRIOR_SECONDS)
            if not any(left.values()):
                return ""
            whole = f"about {_duration(factor * sum(left.values()))} left"
            return (
                whole
                if len(left) < 2 or not left.get(self._study)
                else f"{whole}, {self._study} {_duration(factor * left.get(self._study, 0.0))}"
            )
        if not self._done or not self._total or elapsed < LEAST_KNOWN_SECONDS:
            return ""
        return f"about {_duration(elapsed * (self._total - self._done) / self._done)} left"

    def advance(self, cells: int = 1) -> None:
        """That many cells are done."""
        self._done += cells
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=cells, left=self._left(), refresh=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
