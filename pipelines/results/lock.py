"""The lock of a results folder: every command that writes records there, or removes them, holds it. Standard library.

`flock` on `<folder>/.lock`, which ends with the process that holds it, however that ends. Where the file system has no
such locks (some network file systems: "No locks available"), a file `.lock-owner` that only one process can create; it
names its owner, and one whose process is gone from this machine is taken over.
"""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
LOCK, OWNER = ".lock", ".lock-owner"
POLL_SECONDS = 0.5


class Locked(Exception):
    """Another process holds the lock, and the caller does not want to wait."""


@contextmanager
def locked(folder: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Holds the lock of a folder, which exists.

    Args:
        waiting: called once before waiting for another process; None does not wait.

    Raises:
        Locked: another process holds it and `waiting` is None.
        OSError: the lock file cannot be made.
    """
    while True:
        with (folder / LOCK).open("a+") as file:
            try:
                _flock(file, waiting)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                with _owner_file(folder / OWNER, waiting):
                    yield
                return
            if not _still_there(file, folder / LOCK):
                continue  # whoever held it removed the folder's content, and the lock file with it
            yield
            return


def _flock(file: IO[str], waiting: Callable[[], None] | None) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting is None:
            raise Locked from None
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)


def _still_there(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _owner_file(path: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    told = False
    while True:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            break
        except FileExistsError:
            if _abandoned(path):
                with suppress(FileNotFoundError):
                    path.unlink()
                continue
            if waiting is None:
                raise Locked from None
            if not told:
                waiting()
                told = True
            time.sleep(POLL_SECONDS)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump({"host": socket.gethostname(), "process": os.getpid()}, file)
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()


def _abandoned(path: Path) -> bool:
    """Whether the owner ran on this machine and is gone. Of another machine nothing can be said."""
    try:
        owner = json.loads(path.read_text())
        if owner["host"] != socket.gethostname():
            return False
        os.kill(int(owner["process"]), 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return isinstance(error, ProcessLookupError)
    return False
