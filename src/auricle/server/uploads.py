# SPDX-License-Identifier: Apache-2.0
"""From a request's body to a recording: a multipart field ``file``, or the audio as the body itself.

Small ones stay in memory, others go to a temporary file that has no name, so that nothing is left behind whatever
happens, and no name that a client sends is ever a path.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

from auricle.files import printable
from auricle.server.responses import Refusal

#: Recordings up to this size stay in memory; equal to that of the multipart parser.
MEMORY_BYTES = MultiPartParser.spool_max_size
LONGEST_NAME = 255
_MOST_FIELDS = 8
_MAX_FIELD_BYTES = 64 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RAW_TYPES = ("audio/", "video/")
_RAW_NAMES = {"", "application/octet-stream", "application/ogg", "binary/octet-stream"}


@dataclass(frozen=True)
class Upload:
    """A recording that arrived.

    Attributes:
        name: the escaped base name, empty where none was sent.
        size: bytes.
        file: holds them.
    """

    name: str
    size: int
    file: BinaryIO

    def content(self) -> bytes | None:
        """Return a small recording as bytes, None for one that lies in a file."""
        if self.size > MEMORY_BYTES:
            return None
        self.file.seek(0)
        return self.file.read()


@asynccontextmanager
async def receive_upload(request: Request) -> AsyncIterator[Upload]:
    """Read the body; the recording is gone when the block ends.

    Raises:
        Refusal: no recording, an unaccepted type, a malformed body, or no room for it.
    """
    kind = parse_options_header(request.headers.get("content-type"))[0].decode("latin-1").lower()
    try:
        if kind == "multipart/form-data":
            async with _multipart(request) as upload:
                yield upload
        elif kind in _RAW_NAMES or kind.startswith(_RAW_TYPES):
            async with _raw(request) as upload:
                yield upload
        else:
            raise Refusal(
                "wrong_type",
                f"a body of type {printable(kind[:80])}; send the audio itself with Content-Type: audio/wav (or "
                "another audio type, or application/octet-stream), or a multipart form with a field file",
            )
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Refusal("storage_full", "no room for the upload; try again later, or send a smaller file") from error


def base_name(name: str) -> str:
    r"""Return the escaped last part of a name that a client sent, for results and logs; it never becomes a path.

    >>> base_name("../../etc/pass\nwd"), base_name("C:\\night\\owl.wav")
    ('pass\\nwd', 'owl.wav')
    """
    return printable(name.replace("\\", "/").rpartition("/")[2])[:LONGEST_NAME]


@asynccontextmanager
async def _multipart(request: Request) -> AsyncIterator[Upload]:
    try:
        form = await request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_MAX_FIELD_BYTES)
    except HTTPException as error:
        raise Refusal("bad_request", f"a malformed form: {error.detail} Send one field file with the audio") from error
    try:
        part = form.get("file")
        if not isinstance(part, UploadFile):
            found = ", ".join(printable(name[:40]) for name in form) if len(form) else "none"
            raise Refusal("bad_request", f"no file in the form; expected the audio in the field file, found: {found}")
        for name in form:
            if name != "file":
                shown = printable(name[:40])
                text = f"the field {shown} of the form is not used; parameters go into the query: ?{shown}=..."
                raise Refusal("bad_request", text)
        size = 0 if part.size is None else part.size
        yield _checked(Upload(base_name(part.filename or ""), size, part.file))
    finally:
        await form.close()


@asynccontextmanager
async def _raw(request: Request) -> AsyncIterator[Upload]:
    with SpooledTemporaryFile(max_size=MEMORY_BYTES) as file:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MEMORY_BYTES:
                await run_in_threadpool(file.write, chunk)  # a disk may be slow; the others shall not wait for it
            else:
                file.write(chunk)
        yield _checked(Upload("", size, cast(BinaryIO, file)))


def _checked(upload: Upload) -> Upload:
    if upload.size == 0:
        raise Refusal("empty_file", "0 bytes of audio; send the recording as the body, or in the field file")
    return upload
