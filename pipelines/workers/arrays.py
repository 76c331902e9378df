"""Arrays that a worker wrote: read with the care that files from foreign programs need."""

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.race.timing import ContestantFailure
from pipelines.workers.replies import NUMERIC_TYPES, WIDENED


def collect(folder: Path, paths: Mapping[str, str], announced: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The outputs of a call, from the files in `folder`, which is removed.

    Args:
        folder: made by this process for these files alone.
        paths: file of each output, as the worker named it.
        announced: form of each output ({shape, dtype}) as the reply to `gate` gave it.

    Raises:
        ContestantFailure: a file is missing, is elsewhere, or does not hold the array that was announced.
    """
    try:
        if paths.keys() != announced.keys():
            raise _failure(f"wrote the outputs {_names(paths)}, but announced {_names(announced)}")
        return {name: _load(folder, name, Path(path), announced[name]) for name, path in paths.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(folder: Path, name: str, path: Path, form: Mapping[str, Any]) -> np.ndarray:
    if path.parent != folder or path.name in ("", ".", ".."):
        raise _failure(f"wrote the output {name!r} to {path}, which is not in the folder that it was given")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _failure(f"did not write the output {name!r}: {error.strerror}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _failure(f"wrote the output {name!r} as something that is not a file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        except (ValueError, SyntaxError, RecursionError, MemoryError, UnicodeDecodeError) as error:
            raise _failure(f"wrote the output {name!r} as a file that is not .npy: {_first_line(error)}") from None
        if str(dtype) not in NUMERIC_TYPES or dtype.str[0] == ">":
            raise _failure(
                f"returned the output {name!r} as {_shortened(str(dtype))}; an output is an array of numbers "
                f"({', '.join(NUMERIC_TYPES)})"
            )
        if list(shape) != list(form["shape"]) or not _same_type(str(dtype), form["dtype"]):
            raise _failure(
                f"wrote the output {name!r} with shape {list(shape)[:8]} and type {dtype}, "
                f"but announced {list(form['shape'])[:8]} and {_shortened(form['dtype'])}"
            )
        size = dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object)) if shape else dtype.itemsize
        if status.st_size - file.tell() != size:
            held = status.st_size - file.tell()
            raise _failure(f"wrote {held} bytes of the output {name!r}, whose shape {list(shape)[:8]} needs {size}")
        file.seek(0)
        return np.load(file, allow_pickle=False)


def _same_type(written: str, announced: str) -> bool:
    # NumPy's files have no bfloat16 nor 8-bit floats: these are widened to float32 without loss.
    return written == announced or (written == "float32" and announced.startswith(WIDENED))


def _failure(text: str) -> ContestantFailure:
    return ContestantFailure("failed", f"the worker {text}")


def _names(mapping: Mapping[str, Any]) -> str:
    return _shortened(", ".join(sorted(mapping)) or "none")


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
