# SPDX-License-Identifier: Apache-2.0
"""What the MP3 decoder writes to the standard error of C, caught: it is for the result, not for the screen.

libmpg123 has no other way to say that it muted a damaged frame, whose samples count as all others. For the time of a
call the C library's ``stderr`` is a buffer in memory; file descriptor 2 and Python's ``sys.stderr`` stay as they
are, so errors of all else are seen. Where the C library has no such variable nothing is caught.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_OF_THE_DECODER = re.compile(r"^(?:Note|Warning): |libmpg123")
_DAMAGE = re.compile(r"error|Illegal|resync|Skipped")
_LOCK = threading.Lock()


@contextmanager
def caught_notes(notes: list[str]) -> Iterator[None]:
    """Append what the decoder notes of damage during the block; pass on what others write."""
    library = _library()
    if library is None:
        yield
        return
    buffer, size = ctypes.c_char_p(), ctypes.c_size_t()
    with _LOCK:
        stream = library.open_memstream(ctypes.byref(buffer), ctypes.byref(size))
        before, library.standard_error.value = library.standard_error.value, stream
        try:
            yield
        finally:
            library.standard_error.value = before
            library.fclose(stream)
            text = ctypes.string_at(buffer, size.value).decode("utf-8", "replace")
            library.free(buffer)
    for line in text.splitlines():
        if not _OF_THE_DECODER.search(line):
            os.write(2, f"{line}\n".encode())
        elif _DAMAGE.search(line):
            notes.append(line)


@cache
def _library() -> Any:
    """Return the C library with the functions that are needed; None where ``stderr`` cannot be replaced."""
    if platform.libc_ver()[0] != "glibc" and sys.platform != "darwin":
        return None
    library: Any = ctypes.CDLL(None)
    library.open_memstream.restype = ctypes.c_void_p
    library.fclose.argtypes = [ctypes.c_void_p]
    library.free.argtypes = [ctypes.c_char_p]
    name = "__stderrp" if sys.platform == "darwin" else "stderr"
    library.standard_error = ctypes.c_void_p.in_dll(library, name)
    return library
