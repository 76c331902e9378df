"""The edge of every command: which faults and signals end in a sentence and an exit status instead of a traceback."""

import errno
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipelines.errors import ConfigurationFaults, UserError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command in good order. `./run` holds them back until `guarded` can answer them."""


class Ended(KeyboardInterrupt):
    """A signal that asks the command to end; `number` is the signal."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


CELLS_ARE_KEPT = "Finished cells are kept; the same command goes on from here."


def guarded(action: Callable[[], int], kept: str = "") -> int:
    """Runs an entry point; the faults that are the user's to mend end in their text and an exit status.

    Args:
        action: what to do; its status is returned.
        kept: a sentence on what an interruption leaves; empty for what starts anew.
    """
    try:
        with _answering_signals():
            status = action()
            sys.stdout.flush()
            return status
    except ConfigurationFaults as faults:
        for fault in faults.faults:
            tell(f"error: {fault}")
        tell("Run with --help for what is possible.")
        return faults.exit_status
    except UserError as error:
        tell(f"error: {error}")
        return error.exit_status
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = error.filename or tempfile.gettempdir()
        tell(f"error: The disk is full ({place}). Free some space and run again. {kept}".rstrip())
        return 1
    except KeyboardInterrupt as ended:
        tell(f"\nInterrupted. {kept}".rstrip())
        return 128 + getattr(ended, "number", signal.SIGINT)


def tell(line: str) -> None:
    """One line on standard error, if anybody still reads it."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(2)  # nobody is left to tell


def silence(descriptor: int) -> None:
    """Points a stream whose reader has gone, or whose disk is full, at nothing, so that the work goes on without it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


@contextmanager
def _answering_signals() -> Iterator[None]:
    """Turns the signals of `ENDING` into `Ended`, those excepted that the caller ignores (`nohup`)."""
    previous = {}
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, _end)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: object) -> None:
    raise Ended(number)
