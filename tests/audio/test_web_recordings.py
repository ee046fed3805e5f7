# SPDX-License-Identifier: Apache-2.0
"""Recordings at addresses: limits, and no way into the network that the machine stands in.

The open web is a server on this machine: names are looked up in a table, and public addresses of the table lead there.
"""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from helpers.tinybundle import RATE, make_bundle

import auricle as library
from auricle.audio.web import WebLimits, fetched, is_address
from auricle.errors import InputError
from auricle.runtime.detector import Detector

PUBLIC = "93.184.215.14"


class Web:
    """What a name server says, what is served under which path, and where connections went."""

    def __init__(self) -> None:
        self.names = {"open.example": [PUBLIC]}
        self.pages = {}
        self.asked = []
        self.connected = []


@pytest.fixture
def web(monkeypatch):
    found = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found.asked.append((self.headers["Host"], self.path, dict(self.headers)))
            found.pages[self.path.partition("?")[0]](self)

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda request, client: None  # clients that leave early are part of the tests
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    connect, ask = socket.create_connection, socket.getaddrinfo

    def look_up(host, port, *more, **options):
        if host == server.server_address[0] and more:  # the connection to the stand-in itself
            return ask(host, port, *more, **options)
        if host not in found.names:
            raise socket.gaierror(-2, "Name or service not known")
        places = found.names[host]
        places = places() if callable(places) else places
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    def reach(place, timeout):
        found.connected.append(place)
        assert place[0] == PUBLIC, "nothing but the checked public address is connected to"
        return connect(server.server_address, timeout)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", reach)
    yield found
    server.shutdown()
    server.server_close()


def page(content: bytes, **headers: str):
    def send(handler):
        handler.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


def leading_to(address: str, status: int = 302):
    def send(handler):
        handler.send_response(status)
        handler.send_header("Location", address)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return send


@contextmanager
def refused(code: str, text: str):
    with pytest.raises(InputError) as caught:
        yield
    assert caught.value.code == code
    assert text in caught.value.message


def fetch(address: str, **limits: float) -> bytes:
    with fetched(address, WebLimits(**limits)) as file:
        return file.read()


def test_the_bytes_of_the_server_come_under_their_address(web):
    web.pages["/a%20b.wav"] = page(b"sound")
    with fetched("http://open.example/a%20b.wav?x=1", WebLimits()) as file:
        assert (file.read(), file.name) == (b"sound", "http://open.example/a%20b.wav?x=1")
    assert web.connected == [(PUBLIC, 80)]
    host, path, headers = web.asked[0]
    assert (host, path, headers["Accept-Encoding"]) == ("open.example", "/a%20b.wav?x=1", "identity")
    web.pages["/%C3%A4.wav"] = page(b"umlaut")
    assert fetch("http://open.example:8080/ä.wav") == b"umlaut"
    assert web.connected[-1] == (PUBLIC, 8080)


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "::1", "fd00::1", "fe80::1%eth0", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::"],
)  # fmt: skip
def test_no_address_that_is_not_public_is_connected_to(web, place):
    web.names["inner.example"] = [place]
    with refused("address_refused", f"the host inner.example is {place}, which is not public"):
        fetch("http://inner.example/a.wav")
    web.names["both.example"] = [PUBLIC, place]
    with refused("address_refused", "which is not public"):
        fetch("http://both.example/a.wav")
    assert web.connected == []


def test_a_redirection_into_the_inner_network_is_refused(web):
    web.names["inner.example"] = ["192.168.1.1"]
    for status in (301, 302, 303, 307, 308):
        web.pages["/a.wav"] = leading_to("http://inner.example/secret", status)
        with refused("address_refused", "the host inner.example is 192.168.1.1"):
            fetch("http://open.example/a.wav")
    assert {place for place, _ in web.connected} == {PUBLIC}


def test_a_name_server_that_changes_its_mind_changes_nothing(web):
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    web.names["turning.example"] = lambda: next(answers)
    web.pages["/a.wav"] = page(b"sound")
    assert fetch("http://turning.example/a.wav") == b"sound"
    assert web.connected == [(PUBLIC, 80)], "looked up once, and connected to what was checked"
    with refused("address_refused", "127.0.0.1"):
        fetch("http://turning.example/a.wav")


def test_redirections_are_followed_some_times(web):
    web.pages["/0"] = page(b"sound")
    for step in range(1, 7):
        web.pages[f"/{step}"] = leading_to(f"/{step - 1}")
    assert fetch("http://open.example/5") == b"sound"
    with refused("download_failed", "leads on more than 5 times"):
        fetch("http://open.example/6")
    web.pages["/file"] = leading_to("file:///etc/passwd")
    with refused("address_refused", "file:///etc/passwd is no address of the web"):
        fetch("http://open.example/file")


def test_more_than_the_limit(web):
    web.pages["/said"] = page(b"x" * 1_001)
    with refused("too_large", "more than the limit of 0.000953674 MiB; download it first"):
        fetch("http://open.example/said", max_bytes=1_000)

    def unsaid(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x" * 100_000)

    web.pages["/unsaid"] = unsaid
    with refused("too_large", "more than the limit"):
        fetch("http://open.example/unsaid", max_bytes=1_000)
    assert len(fetch("http://open.example/unsaid", max_bytes=100_000)) == 100_000


def test_servers_that_take_their_time(web):
    def silent(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.flush()
        time.sleep(1)

    web.pages["/silent"] = silent
    with refused("timeout", "the server sent nothing for 0.2 s"):
        fetch("http://open.example/silent", silence_s=0.2)

    def dripping(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    web.pages["/dripping"] = dripping
    begin = time.monotonic()
    with refused("timeout", "not all of it came within 0.3 s"):
        fetch("http://open.example/dripping", total_s=0.3)
    assert time.monotonic() - begin < 1.5


def test_servers_that_do_not_send_it(web):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(b"12345")

    web.pages |= {"/cut": cut, "/gone": lambda handler: handler.send_error(404)}
    web.pages["/packed"] = page(b"x", Content_Encoding="gzip")
    with refused("download_failed", "the connection ended after 5 of 10 bytes; try again"):
        fetch("http://open.example/cut")
    with refused("download_failed", "the server says 404 Not Found"):
        fetch("http://open.example/gone")
    with refused("download_failed", "sends it compressed, which was not asked for"):
        fetch("http://open.example/packed")
    with refused("download_failed", "the host nowhere.example is not known; check the address"):
        fetch("http://nowhere.example/a.wav")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("http://", "is no address of the web"),
        ("http://open.example:99999/", "no address of the web: Port out of range"),
        ("http://me:secret@open.example/a.wav", "has a user name or password"),
        ("http://open.example/a b.wav", "has blanks or control characters; write them as %20"),
        ("http://open.example/a\r\nHost: x", "no address|blanks"),
    ],
)
def test_what_is_no_address(web, address, text):
    with pytest.raises(InputError) as caught:
        fetch(address)
    assert caught.value.code == "address_refused"
    assert any(part in caught.value.message for part in text.split("|"))
    assert "secret" not in caught.value.message


def test_https_is_never_left(web, monkeypatch):
    monkeypatch.setattr("auricle.audio.web._connect", lambda parts, place, limits, deadline: plain(place))

    def plain(place):
        connection = http.client.HTTPConnection("open.example", place[1])
        connection.sock = socket.create_connection(place, 5)
        return connection

    web.pages["/a.wav"] = leading_to("http://open.example/b.wav")
    with refused("address_refused", "it leads to http://open.example/b.wav, which is not https"):
        fetch("https://open.example/a.wav")


# --- tag, detect


@pytest.fixture
def sound(web, encode, tmp_path):
    """A recording at an address and the same in a file."""
    content = encode(0.75 * np.tile(np.array([1, -1], np.float32), RATE), RATE, subtype="FLOAT")
    web.pages["/20240501_043000.wav"] = page(content)
    (tmp_path / "20240501_043000.wav").write_bytes(content)
    return "http://open.example/20240501_043000.wav", tmp_path / "20240501_043000.wav"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "tiny")


def test_an_address_gives_what_the_file_gives(sound, model):
    address, path = sound
    detector = library.load(model.path)
    for name in ("tag", "detect", "embed"):
        given = getattr(detector, name)(address).to_dict()
        assert given == {**getattr(detector, name)(path).to_dict(), "path": address}
    assert given["start"] == "2024-05-01T04:30:00", "its name says when it began"
    np.testing.assert_array_equal(detector.frames(address).values, detector.frames(path).values)


def test_scans_take_addresses_among_files(sound, model, web, tmp_path):
    address, path = sound
    web.names["inner.example"] = ["10.0.0.1"]
    (tmp_path / "list").write_text(f"{address}?a=[1]\nhttp://inner.example/a.wav\n")
    scan = library.scan(path, list_file=tmp_path / "list", model=model.path, command="detect")
    first, second, third = scan
    assert (second.path, second.error, second.events) == (f"{address}?a=[1]", None, first.events)
    assert third.error.code == "address_refused"
    with pytest.raises(library.UsageError, match=r"times of day .* needs a file; download it first"):
        library.scan(address, model=model.path, from_time="04:00")
    with pytest.raises(library.UsageError, match="--channel each needs a file; download it first"):
        library.scan(address, model=model.path, channel="each")


def test_a_detector_of_a_server_fetches_nothing(sound, model, web):
    loaded = library.load(model.path)
    with refused("not_found", "is an address, and auricle reads files of this machine: download it first"):
        Detector(loaded.bundle, loaded.network).tag(sound[0])
    assert web.asked == []


def test_the_words_of_addresses():
    assert [is_address(x) for x in ("HTTP://a/b", "ftp://a/b", "http:/a/b", None)] == [True, False, False, False]
    assert json.dumps(WebLimits().max_bytes) == str(1 << 30)
