# SPDX-License-Identifier: Apache-2.0
"""Recordings at addresses of the web (http, https), fetched into a temporary file that is gone afterwards.

An address comes from whoever wrote it, so it may not reach into the network that this machine stands in: the host is
looked up once, every address it has must be public, and the connection goes to the one that was checked. What a name
server says later does not matter, and each redirection is checked anew. Proxies of the environment are not used, since
nothing could be checked then.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, TypeGuard, cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from auricle import __version__
from auricle.errors import InputError
from auricle.files import printable

log = logging.getLogger(__name__)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTIONS = 5
_BLOCK_BYTES = 1 << 16
#: What may stand in a path or a query as it is.
_SAFE = "/%:=&?~+!$,;'@()*[]"
#: IPv6 addresses with an IPv4 address inside: NAT64 (RFC 6052); 6to4, Teredo and mapped ones are known to Python.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class WebLimits:
    """What is fetched at most.

    Attributes:
        max_bytes: largest recording.
        total_s: longest time for all of it, redirections included.
        silence_s: longest time in which nothing comes.
    """

    max_bytes: int = 1 << 30
    total_s: float = 600.0
    silence_s: float = 30.0


def is_address(name: object) -> TypeGuard[str]:
    """Tell whether something is an address of the web.

    >>> is_address("https://example.org/a.wav"), is_address("https_sounds/a.wav"), is_address(b"http://a/b")
    (True, False, False)
    """
    return isinstance(name, str) and _ADDRESS.match(name) is not None


class Fetched:
    """A recording from the web as a file object, under the name of its address."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def seekable(self) -> bool:
        """Say yes: all of it is here."""
        return True


@contextmanager
def fetched(address: str, limits: WebLimits) -> Iterator[Fetched]:
    """Fetch a recording; its temporary file goes with the context.

    Raises:
        InputError: ``address_refused`` (not public, or wrong), ``download_failed``, ``too_large``, ``timeout``.
    """
    with tempfile.TemporaryFile(prefix="auricle-web-") as file:
        _fetch(address, cast(BinaryIO, file), limits)
        file.seek(0)
        yield Fetched(cast(BinaryIO, file), address)


def _fetch(address: str, file: BinaryIO, limits: WebLimits) -> None:
    deadline = time.monotonic() + limits.total_s
    for _ in range(_MOST_REDIRECTIONS + 1):
        parts = _checked(address)
        place = _public_place(parts)
        log.info("fetching %s from %s", address, place[0])
        target = _ask(parts, place, file, limits, deadline)
        if target is None:
            return
        following = urljoin(address, target)
        if parts.scheme == "https" and urlsplit(following).scheme != "https":
            raise InputError("address_refused", f"it leads to {_shown(following)}, which is not https")
        address = following
    raise InputError("download_failed", f"it leads on more than {_MOST_REDIRECTIONS} times; give the last address")


def _checked(address: str) -> SplitResult:
    """Return the parts of an address that may be asked for."""
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InputError("address_refused", f"no address of the web: {error}") from error
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise InputError("address_refused", f"{_shown(address)} is no address of the web (http or https)")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            "address_refused", "it has a user name or password, which would stand in results: leave it out"
        )
    if any(ord(c) <= 32 or ord(c) == 127 for c in address):
        raise InputError("address_refused", "it has blanks or control characters; write them as %20")
    return parts


def _public_place(parts: SplitResult) -> tuple[str, int]:
    """Look the host up; return an address and a port to connect to, where all that it has are public."""
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError("download_failed", f"the host {printable(host)} is not known; check the address") from error
    places = list(dict.fromkeys(str(item[4][0]) for item in found))
    for place in places:
        if not _is_public(place):
            raise InputError(
                "address_refused",
                f"the host {printable(host)} is {place}, which is not public: only addresses of the open web are "
                "fetched; download it by other means",
            )
    if not places:
        raise InputError("download_failed", f"the host {printable(host)} has no address")
    return places[0], port


def _is_public(place: str) -> bool:
    """Tell whether an IP address is one of the open internet, also where it stands inside another."""
    address = ipaddress.ip_address(place.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if any(item is not None and not _is_public(str(item)) for item in inner):
            return False
    return address.is_global and not address.is_multicast


def _ask(parts: SplitResult, place: tuple[str, int], file: BinaryIO, limits: WebLimits, deadline: float) -> str | None:
    """Ask for an address at a place; write the recording, or return where else it is."""
    sock: list[socket.socket] = []
    late = threading.Event()

    def stop() -> None:
        late.set()
        for item in sock:
            _shut(item)

    # A server that sends a byte now and then, be it of its headers, is stopped from outside.
    clock = threading.Timer(max(0.0, deadline - time.monotonic()), stop)
    clock.daemon = True
    clock.start()
    try:
        connection = _connect(parts, place, limits, deadline)
        try:
            sock.append(connection.sock)
            path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
            headers = {"User-Agent": f"auricle/{__version__}", "Accept-Encoding": "identity", "Accept": "audio/*, */*"}
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                target = _answer(response, file, limits)
        finally:
            connection.close()
    except TimeoutError as error:
        raise _too_slow(limits, late) from error
    except InputError:
        if late.is_set():  # what came was cut off by us
            raise _too_slow(limits, late) from None
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set():
            raise _too_slow(limits, late) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError("download_failed", f"{printable(reason)}; try again, or download it first") from error
    finally:
        clock.cancel()
    if late.is_set():
        raise _too_slow(limits, late)
    return target


def _shut(item: socket.socket) -> None:
    try:
        item.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _too_slow(limits: WebLimits, late: threading.Event) -> InputError:
    text = (
        f"not all of it came within {limits.total_s:g} s"
        if late.is_set()
        else f"the server sent nothing for {limits.silence_s:g} s"
    )
    return InputError("timeout", f"{text}; download it first")


def _connect(
    parts: SplitResult, place: tuple[str, int], limits: WebLimits, deadline: float
) -> http.client.HTTPConnection:
    """Connect to the checked place; certificates are those of the host that was asked for."""
    wait_s = max(0.001, min(limits.silence_s, deadline - time.monotonic()))
    sock = socket.create_connection(place, timeout=wait_s)
    try:
        if parts.scheme == "https":
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=parts.hostname)
    except BaseException:
        sock.close()
        raise
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), place[1])  # says the host; the socket is there already
    connection.sock = sock
    return connection


def _answer(response: http.client.HTTPResponse, file: BinaryIO, limits: WebLimits) -> str | None:
    """Write what came, or return where it is; never more than the limit."""
    if response.status in _REDIRECTIONS and (target := response.getheader("Location")):
        return target
    if response.status != 200:
        raise InputError("download_failed", f"the server says {response.status} {printable(response.reason)[:80]}")
    if response.getheader("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise InputError(
            "download_failed", "the server sends it compressed, which was not asked for; download it first"
        )
    length = response.getheader("Content-Length")
    expected = int(length) if length is not None and length.isascii() and length.isdigit() else None
    if expected is not None and expected > limits.max_bytes:
        raise _too_large(limits)
    count = _copy(response, file, limits)
    if expected is not None and count < expected:
        raise InputError("download_failed", f"the connection ended after {count} of {expected} bytes; try again")
    return None


def _copy(response: Any, file: IO[bytes], limits: WebLimits) -> int:
    count = 0
    while block := response.read1(_BLOCK_BYTES):
        count += len(block)
        if count > limits.max_bytes:
            raise _too_large(limits)
        file.write(block)
    return count


def _too_large(limits: WebLimits) -> InputError:
    return InputError("too_large", f"more than the limit of {limits.max_bytes / (1 << 20):g} MiB; download it first")


def _shown(address: str) -> str:
    return printable(address[:200])
