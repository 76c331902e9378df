"""Pieces of work done in forks of this process, several at once: they inherit all that it holds, and end with it.

What cannot be sent between processes, such as a figure with the functions that draw it, need not be. Each piece has a
fork to itself, so that one that crashes takes nothing with it.
"""

import io
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import ForkProcess
from typing import Generic, TypeVar

from pipelines.entry import ENDING
from pipelines.results.machine import usable_cores
from pipelines.workers.processes import end_with_parent, signal_name

Result = TypeVar("Result")

UNFORKABLE = ("jax", "torch", "tensorflow")
"""Libraries with threads that a fork lacks and may wait for. Workers alone load them, and figures of others perhaps."""


@dataclass(frozen=True)
class Lost:
    """A piece whose fork ended without a result; `reason` says how."""

    reason: str


@dataclass(frozen=True)
class _Answer(Generic[Result]):
    """What a fork sends: the result, and what the piece wrote on standard output and on standard error."""

    result: Result
    written: str
    complained: str


@dataclass(frozen=True)
class _Running(Generic[Result]):
    index: int
    process: ForkProcess
    answer: connection.Connection


def most_at_once() -> int:
    """How many forks may work at once: as many as there are usable cores; 1 where this process must not be forked."""
    if sys.platform != "linux" or any(name in sys.modules for name in UNFORKABLE):
        return 1
    return usable_cores()


def in_forks(
    pieces: Sequence[Callable[[], Result]], at_once: int, begins: Callable[[int], None]
) -> list[Result | Lost]:
    """The results of the pieces, which can be pickled, in their order; no fork is left, however this ends.

    Args:
        pieces: of the work. What one writes on the standard streams appears at once when it is done.
        at_once: how many may be at work.
        begins: called with the index of a piece before its fork begins.
    """
    results: dict[int, Result | Lost] = {}
    waiting = list(range(len(pieces)))
    running: list[_Running[Result]] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                begins(waiting[0])
                with _signals_held_back():
                    running.append(_start(waiting[0], pieces[waiting.pop(0)]))
            ready = connection.wait([one.answer for one in running])
            for one in [one for one in running if one.answer in ready]:
                result: Result | Lost = _result(one)
                results[one.index] = result
                running.remove(one)
    finally:
        for one in running:
            one.process.kill()
            one.process.join()
    return [results[index] for index in range(len(pieces))]


def _start(index: int, piece: Callable[[], Result]) -> _Running[Result]:
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(piece, sending))
    with warnings.catch_warnings():
        # Python 3.12 warns of all threads. Those of this process wait for workers or the clock; the fork needs neither.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    sending.close()
    return _Running(index, process, receiving)


def _work(piece: Callable[[], Result], sending: connection.Connection) -> None:
    """What a fork does. A signal ends it without a word: the process that it is of answers for both."""
    end_with_parent()
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    written, complained = io.StringIO(), io.StringIO()
    with redirect_stdout(written), redirect_stderr(complained):
        result = piece()
    sending.send(_Answer(result, written.getvalue(), complained.getvalue()))


def _result(one: _Running[Result]) -> Result | Lost:
    try:
        answer: _Answer[Result] = one.answer.recv()
    except (EOFError, OSError):
        one.process.join()
        return Lost(_how_it_ended(one.process.exitcode or 0))
    finally:
        one.answer.close()
    one.process.join()
    for text, stream in ((answer.written, sys.stdout), (answer.complained, sys.stderr)):
        if text:
            print(text, end="", file=stream, flush=True)
    return answer.result


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"its process was killed by {signal_name(-status)}"
    return f"its process ended with status {status}"


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Signals that end the command wait until a fork is known, and never reach one that would answer for its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
