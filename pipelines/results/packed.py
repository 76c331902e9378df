"""The arrays of a record as the content of its `.npz` file, and back."""

import io
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

FIRST_VERSION = b"\x93NUMPY\x01\x00"
"""How a `.npy` file begins whose header is as NumPy writes it for arrays of numbers."""


class _Form(NamedTuple):
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of an `.npz` file."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # its stub takes a name for allow_pickle
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of the content of an `.npz` file whose checksum was found right, as `numpy.load` gives them.

    Raises:
        ValueError, zipfile.BadZipFile: it is not one, or holds objects.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {one.filename.removesuffix(".npy"): _array(_member(archive, one, content)) for one in archive.infolist()}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, content: bytes) -> bytes:
    """The content of a member. One that is stored as it is stands behind its name and its extra field.

    Opening it, with another checksum of each, would take longer than all other reading of a record.
    """
    if member.compress_type != zipfile.ZIP_STORED:
        return archive.read(member)
    name, extra = (
        int.from_bytes(content[member.header_offset + at : member.header_offset + at + 2], "little") for at in (26, 28)
    )
    start = member.header_offset + 30 + name + extra
    return content[start : start + member.file_size]


def _array(content: bytes) -> np.ndarray:
    start = 10 + int.from_bytes(content[8:10], "little")
    if not content.startswith(FIRST_VERSION):
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    shape, order, dtype = _form(content[:start])
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    try:
        return np.ndarray(shape, dtype, content, start, order=order).copy(order="K")
    except TypeError as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=1024)
def _form(header: bytes) -> _Form:
    """Shape, order and type. NumPy parses a header as Python, which takes longer than to read a small array."""
    stream = io.BytesIO(header)
    np.lib.format.read_magic(stream)
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    return _Form(shape, "F" if is_fortran else "C", dtype)
