# SPDX-License-Identifier: Apache-2.0
"""Downloads that continue where they stopped: in this call, after a break of the connection, or in the next.

What has come is in ``NAME.part``; beside it, ``NAME.part.json`` says which version of the file it belongs to. The
server is asked for the rest (``Range``), on the condition that the file is still the same (``If-Range``, RFC 9110).
"""

from __future__ import annotations

import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from auricle import __version__
from auricle.errors import AuricleError, UsageError
from auricle.files import write_json

log = logging.getLogger(__name__)
Progress = Callable[[int, int | None], None]

#: Pauses after a connection that broke without bringing anything; one that brought something starts them anew.
RETRY_PAUSES_S = (1.0, 3.0, 9.0, 27.0)
TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 18


def download(url: str, target: Path, progress: Progress) -> None:
    """Fetch ``url`` into ``target``, which appears when it is whole.

    Args:
        url: http or https.
        target: the file; what came before is in ``.part`` beside it.
        progress: called with how many bytes are there, and how many there will be (None: the server does not say).

    Raises:
        UsageError: the server has no such file, or says no.
        AuricleError: the connection broke too often; the next call continues there.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no address of the web (http or https)")
    part = target.with_name(target.name + ".part")
    log.info("downloading %s to %s, %d bytes are there", url, target, _size(part))
    tries = 0
    while True:
        before = _size(part)
        try:
            if _fetch_rest(url, part, progress):
                break
            reason = "the connection was closed early"
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in (408, 429, 500, 502, 503, 504):
                    raise UsageError(f"{url}: the server says {error.code} {error.reason}; see the homepage") from error
                reason = f"the server says {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) if str(error) else type(error).__name__
        tries = 0 if _size(part) > before else tries + 1
        if tries > len(RETRY_PAUSES_S):
            raise AuricleError(
                f"{url}: {reason}, {tries} times; {_size(part)} bytes are kept, and the same command continues there"
            )
        time.sleep(RETRY_PAUSES_S[max(0, tries - 1)])
    part.replace(target)
    _note_of(part).unlink(missing_ok=True)


def _fetch_rest(url: str, part: Path, progress: Progress) -> bool:
    """Fetch what is missing in one connection; returns whether the file is whole now."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": f"auricle/{__version__}"})  # noqa: S310 (checked)
    version = _version_of(part)
    if have and version is not None:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version)
    try:
        response = _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have and error.headers.get("Content-Range") == f"bytes */{have}":
            error.close()
            return True  # all was there already
        raise
    with response:
        start = _start_of(response, have)
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        write_json(_note_of(part), {"version": _validator(response)})
        with part.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            found = _copy(response, file, start, total, progress)
    return total is None or found == total


def _copy(response: IO[bytes], file: IO[bytes], done: int, total: int | None, progress: Progress) -> int:
    """Write what comes; returns how many bytes of the file there are."""
    while block := response.read(_BLOCK_BYTES):
        file.write(block)
        done += len(block)
        progress(done, total)
    return done


def _start_of(response: Any, have: int) -> int:
    """Return where what the server sends belongs: at ``have``, or at 0 if it sends all."""
    if response.status != 206:
        return 0
    found = str(response.headers.get("Content-Range", ""))
    if not found.startswith(f"bytes {have}-"):
        raise UsageError(f"the server sends {found!r} where bytes from {have} on were asked for; delete the .part file")
    return have


def _validator(response: Any) -> str | None:
    """Return what tells this version of the file from others: a strong ETag, else its date."""
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return str(etag)
    date = response.headers.get("Last-Modified")
    return None if date is None else str(date)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from https to anything else."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https://") and not newurl.startswith("https://"):
            raise UsageError(f"{req.full_url} leads to {newurl}, which is not https; fetch it by hand and use --from")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoDowngrade())


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _version_of(part: Path) -> str | None:
    """Return the version of the file that a part belongs to, if it is known."""
    try:
        version = json.loads(_note_of(part).read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None
