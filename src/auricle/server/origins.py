# SPDX-License-Identifier: Apache-2.0
"""Which pages may use a server, and under which names it answers.

A page is known by its origin, ``https://lab.example``, which browsers send along (RFC 6454). A server on a loopback
address answers under the names of this machine, because any name could be pointed at it (DNS rebinding); whoever names
an origin has named one host more, that of the proxy in front.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from auricle.errors import UsageError

_USUAL_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
#: What a page of an allowed origin may send, and read.
ALLOW_METHODS = "GET, HEAD, POST, PATCH, DELETE"
ALLOW_HEADERS = "authorization, content-type"
EXPOSE_HEADERS = "retry-after"
PREFLIGHT_AGE_S = 600


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """Return the name in a Host header, in lower case and without its port; empty for what is none.

    >>> host_name("Audio.example.com.:8443"), host_name("[::1]:80")
    ('audio.example.com', '::1')
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return ""
    return "" if name is None else name.removesuffix(".")


def bracketed(host: str) -> str:
    """Return a host as addresses spell it: IPv6 in brackets.

    >>> bracketed("::1"), bracketed("localhost")
    ('[::1]', 'localhost')
    """
    return f"[{host}]" if ":" in host else host


def parse_origin(text: str) -> str:
    """Return an origin as browsers send it: scheme, name in ASCII and lower case, and a port that is not the usual one.

    >>> parse_origin("HTTPS://Lab.Example:443/")
    'https://lab.example'

    Raises:
        UsageError: it is no origin.
    """
    try:
        parts = urlsplit(text.strip())
        name = "" if parts.hostname is None else parts.hostname
        host = name if name.isascii() else name.encode("idna").decode()
        port = parts.port
        extra = bool(parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None)
    except ValueError:
        host, extra = "", True
    if extra or not host or not parts.scheme or any(c in host for c in "*, "):
        raise UsageError(
            f"--origin {text!r} is no origin; give scheme and name of the page's address, and its port where that is "
            "not the usual one: https://lab.example or http://lab.example:8080 (once for each)"
        )
    return f"{parts.scheme}://{bracketed(host)}" + (
        "" if port in (None, _USUAL_PORTS.get(parts.scheme)) else f":{port}"
    )


def same_site(origin: str, host: str) -> bool:
    """Tell whether a page of ``origin`` was served under the Host header ``host``.

    >>> same_site("http://localhost:8765", "LOCALHOST:8765"), same_site("https://a.example", "b.example")
    (True, False)
    """
    try:
        scheme = urlsplit(origin).scheme
        return scheme in ("http", "https") and parse_origin(origin) == parse_origin(f"{scheme}://{host}")
    except (UsageError, ValueError):
        return False


def cors_headers(origin: str) -> list[tuple[bytes, bytes]]:
    """Return what lets the browser of an allowed page show it the reply."""
    fields = {"access-control-allow-origin": origin, "access-control-expose-headers": EXPOSE_HEADERS, "vary": "Origin"}
    return [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]


def preflight_headers(*, private_network: bool) -> list[tuple[bytes, bytes]]:
    """Return the answer to what a browser asks before a request with a token or a body (the CORS preflight)."""
    fields = {
        "access-control-allow-methods": ALLOW_METHODS,
        "access-control-allow-headers": ALLOW_HEADERS,
        "access-control-max-age": str(PREFLIGHT_AGE_S),
        **({"access-control-allow-private-network": "true"} if private_network else {}),
    }
    return [(name.encode(), value.encode()) for name, value in fields.items()]


def host_names(origins: Sequence[str]) -> frozenset[str]:
    """Return the hosts of origins as ``host_name`` gives them."""
    return frozenset(host_name(origin.partition("://")[2]) for origin in origins)
