"""What the seconds of a run went to, by the clock on the wall and in words that the end of the run shows."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Spent:
    """Seconds by what they were spent on, in the thread that runs everything.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._inner = 0.0
        self.parts: dict[str, float] = {}

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """The time of this context goes to `what`, but for that of contexts inside it, which goes to theirs."""
        start, outer = self._clock(), self._inner
        self._inner = 0.0
        try:
            yield
        finally:
            took = self._clock() - start
            self.parts[what] = self.parts.get(what, 0.0) + took - self._inner
            self._inner = outer + took
