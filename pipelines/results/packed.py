"""The arrays of a record as the content of its `.npz` file, and back."""

import io
import struct
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

FIRST_VERSION = b"\x93NUMPY\x01\x00"
"""How a `.npy` file begins whose header is as NumPy writes it for arrays of numbers."""
END = struct.Struct("<4s4HIIH")
"""The end of a zip archive: signature, numbers of disks and members, where its directory begins, a comment's length."""
MEMBER = struct.Struct("<4s6xH8xIIHHH8xI")
"""A member in the directory: signature, method, packed and own size, lengths of its texts, where its own header is."""
LENGTHS = struct.Struct("<HH")
"""Lengths of name and extra field in that header."""


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
    try:
        stored = _stored(content)
    except struct.error:
        stored = None  # it ends too early for what it says
    if stored is None:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {one.filename.removesuffix(".npy"): _array(archive.read(one)) for one in archive.infolist()}
    return {name.removesuffix(".npy"): _array(member) for name, member in stored.items()}


def _stored(content: bytes) -> dict[str, bytes] | None:
    """The members of an archive, by its central directory; None unless all are stored as they are, without comments.

    `zipfile` makes an object of each and checks another checksum, which takes longer than all other reading.
    """
    signature, _, _, _, count, _, start, comment = END.unpack(content[-END.size :])
    if signature != b"PK\5\6" or comment:
        return None
    members, place = {}, start
    for _ in range(count):
        signature, method, packed, size, name, extra, note, offset = MEMBER.unpack_from(content, place)
        begin = offset + 30 + sum(LENGTHS.unpack_from(content, offset + 26))
        if signature != b"PK\1\2" or method != zipfile.ZIP_STORED or packed != size or begin + size > start:
            return None
        members[content[place + MEMBER.size : place + MEMBER.size + name].decode()] = content[begin : begin + size]
        place += MEMBER.size + name + extra + note
    return members


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
