# SPDX-License-Identifier: Apache-2.0
"""Archives of arrays (``.npz``) of strangers: judged by what they declare before anything is unpacked.

A megabyte of zeros, compressed, may unpack to a gigabyte, and a header of a few bytes may declare terabytes; NumPy
would try both. Here sizes are added up first, and an array must be as long as its member says.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

#: What NumPy and zipfile raise for what is damaged or lies.
_DAMAGE = (
    *(ValueError, TypeError, LookupError, EOFError, OSError, SyntaxError, RecursionError, MemoryError, ArithmeticError),
    *(AttributeError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
_MOST_MEMBERS = 10_000


class NpzError(ValueError):
    """An archive of arrays is damaged, too large, or no such archive."""


def read_npz(content: bytes, most_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an archive by name; raises ``NpzError``.

    Args:
        content: of the file.
        most_bytes: that all its arrays may have together.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            declared = sum(member.file_size for member in members)
            if declared > most_bytes or len(members) > _MOST_MEMBERS:
                raise NpzError(f"{len(content)} bytes that unpack to {declared}; at most {most_bytes} are read")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except NpzError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:120]
        raise NpzError(f"damaged ({reason or type(error).__name__})") from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return one array, if its header agrees with the size of its member."""
    data = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(data)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(data)
    count = 1
    for size in shape:
        count *= int(size)
    left = member.file_size - data.tell()
    if dtype.hasobject or min(shape, default=0) < 0 or count * dtype.itemsize != left:
        raise NpzError(f"{member.filename} declares shape {shape} of {dtype} in {left} bytes")
    values = np.frombuffer(data.read(), dtype, count)
    return values.reshape(shape, order="F" if fortran else "C").copy()
