"""Disks that are slow, fail, or turn bits over: what a store has to live with."""

import errno
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest import mock

from pipelines.results import files

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def slow_disk(seconds: float) -> Iterator[None]:
    """Every flush to the disk and every rename takes that much longer."""
    with mock.patch("os.fsync", _late(os.fsync, seconds)), mock.patch("os.replace", _late(os.replace, seconds)):
        yield


@contextmanager
def failing_reads(number: int, name: str = "record.json") -> Iterator[None]:
    """Reading files of that name fails with an error of the system, such as `errno.EIO`."""
    real = files.read_file

    def read_file(path: str) -> tuple[bytes, files.State]:
        if os.path.basename(path) == name:
            raise OSError(number, os.strerror(number), path)
        return real(path)

    with mock.patch.object(files, "read_file", read_file):
        yield


@contextmanager
def full_disk(writes: int = 0) -> Iterator[None]:
    """Flushing fails after that many more writes: no space is left."""
    left = [writes]

    def fsync(descriptor: int) -> None:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1

    with mock.patch("os.fsync", fsync):
        yield


@contextmanager
def no_flushing() -> Iterator[None]:
    """Nothing waits for the disk: for stores of many made-up records."""
    with mock.patch("os.fsync"):
        yield


@contextmanager
def no_file_locks() -> Iterator[None]:
    """`flock` fails as it does on network file systems without locks."""
    refused = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    with mock.patch("fcntl.flock", side_effect=refused):
        yield


@contextmanager
def flipped_bit(path: Path, generator: random.Random) -> Iterator[tuple[int, int]]:
    """One random bit of a file is turned over inside the block. Yields its byte and its place in the byte."""
    content = path.read_bytes()
    place, bit = generator.randrange(len(content)), generator.randrange(8)
    path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
    try:
        yield place, bit
    finally:
        path.write_bytes(content)


def _late(function: Callable[P, T], seconds: float) -> Callable[P, T]:
    def late(*arguments: P.args, **options: P.kwargs) -> T:
        time.sleep(seconds)
        return function(*arguments, **options)

    return late
