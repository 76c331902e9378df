"""Files and folders that are there whole or not at all: made beside their place, under another name, and renamed.

Whoever reads meanwhile finds the old one or the new one. Standard library only: `./run` writes with it before anything
is installed.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, durable: bool = False) -> None:
    """Writes a file as a whole; a text in UTF-8. See `replacing`."""
    with replacing(path, durable) as fresh:
        fresh.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """A file to write, `.NAME.PROCESS.SUFFIX`, which takes the place of `path` at the end of the block.

    After an exception the old file is as it was, and the other one is gone.

    Args:
        path: in a folder that exists.
        durable: whether a file that has taken its place survives a power cut: its content is flushed to the disk before
            the renaming, and its name after that.
    """
    fresh = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield fresh
        if durable:
            _flush_file(fresh)
        os.replace(fresh, path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise
    if durable:
        flush_folder(path.parent)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` at the end of the block.

    After an exception the old folder is as it was, and the other one is gone.
    """
    fresh, old = (folder.with_name(f".{kind}-{folder.name}-{os.getpid()}") for kind in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        if folder.exists():
            os.rename(folder, old)
        try:
            os.rename(fresh, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _flush_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
