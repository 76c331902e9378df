"""Lines to and from a child process, with limits of time and size on every read and write.

No thread reads ahead: a request is written and its reply awaited in one loop over non-blocking pipes, which also
notices the death of the process when somebody else, such as a child that it left behind, still holds its pipes open.
"""

import contextlib
import os
import select
import subprocess
import time

MAX_LINE_BYTES = 8 * 2**20
"""The longest reply; arrays travel in files."""
WITHOUT_PIDFD_SECONDS = 0.2
"""How often the process is looked at where the system cannot wake us at its death."""
CHUNK_BYTES = 2**16


class Expired(Exception):
    """The time for a reply is over."""


class Ended(Exception):
    """The process is gone, or closed its streams."""


class LineTooLong(Exception):
    """The process wrote more than `MAX_LINE_BYTES` without the reply that was asked for."""


class Channel:
    """The standard streams of a process as an exchange of lines.

    Args:
        process: started with pipes for standard input and output; the channel makes them non-blocking and closes them.
    """

    def __init__(self, process: subprocess.Popen):
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._input, self._output = process.stdin.fileno(), process.stdout.fileno()
        for descriptor in (self._input, self._output):
            os.set_blocking(descriptor, False)
        self._buffer = b""
        self._death = _death_descriptor(process.pid)

    def exchange(self, line: bytes, limit_seconds: float) -> bytes:
        """Writes a line and returns the next line that the process writes, without its end.

        Raises:
            Expired, Ended, LineTooLong: after any of these the process must not be spoken to again.
        """
        end = time.monotonic() + limit_seconds
        unsent = memoryview(line + b"\n")
        while unsent or b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise LineTooLong
            self._wait(bool(unsent), end)
            if unsent:
                unsent = unsent[self._write(unsent) :]
            self._read()
        reply, _, self._buffer = self._buffer.partition(b"\n")
        return reply

    def close(self) -> None:
        """Closes both pipes. A process that still lives sees the end of its input."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # an unsent request to a dead process
                    stream.close()
        if self._death is not None:
            os.close(self._death)
            self._death = None

    def _wait(self, writing: bool, end: float) -> None:
        """Until something can be read or written, or the process dies."""
        waiting = select.poll()
        waiting.register(self._output, select.POLLIN)
        if writing:
            waiting.register(self._input, select.POLLOUT)
        if self._death is not None:
            waiting.register(self._death, select.POLLIN)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise Expired
            longest = left if self._death is not None else min(left, WITHOUT_PIDFD_SECONDS)
            # Whole milliseconds, rounded up; poll takes no more than an int of C.
            if waiting.poll(min(int(1000 * longest) + 1, 2**30)) or self._process.poll() is not None:
                return

    def _write(self, unsent: memoryview) -> int:
        try:
            return os.write(self._input, unsent[:CHUNK_BYTES])
        except BlockingIOError:
            return 0
        except OSError:
            raise Ended from None

    def _read(self) -> None:
        dead = self._process.poll() is not None  # looked at first: what it wrote before its death is there by now
        try:
            chunk = os.read(self._output, CHUNK_BYTES)
        except BlockingIOError:
            if dead:
                raise Ended from None
            return
        if not chunk:
            raise Ended
        self._buffer += chunk


def _death_descriptor(process: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where the system has none (before Linux 5.3)."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(process)
    except OSError:
        return None
