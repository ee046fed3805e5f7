# SPDX-License-Identifier: Apache-2.0
"""What a request may not be, by the numbers of the register of bad inputs (S1 to S11, S13, S23 to S30)."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import os
import signal
import socket
import threading
import time
from tempfile import SpooledTemporaryFile

import numpy as np
import pytest
from helpers.serving import error_of, read_reply, running, wait_for

HEAD = b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"
TOKEN = "a-token-of-many-characters"


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def code_of(reply: bytes) -> str:
    return json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["code"]


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_s01_a_body_over_the_limit_is_refused_before_it_is_read(tiny):
    connection = tiny.raw(HEAD + b"Content-Length: 3000001\r\n\r\n")  # and not a byte of it
    reply = read_reply(connection)
    assert status_of(reply) == 413
    assert code_of(reply) == "too_large"
    assert b"connection: close" in reply.lower()


def test_s02_a_chunked_body_is_counted_and_refused_as_it_comes(tiny):
    def endless():
        while True:
            yield bytes(100_000)

    response = tiny.post("/v1/tag", (part for _, part in zip(range(60), endless(), strict=False)))
    assert response.status_code == 413
    assert error_of(response) == "too_large"
    assert response.headers["connection"] == "close"
    wait_for(lambda: tiny.service.gate.spooled_bytes == 0)


def test_s03_a_body_in_tiny_chunks_costs_little_and_is_refused(gate_only):
    with gate_only(body_grace_s=60.0) as server:
        connection = server.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sender = threading.Thread(target=lambda: send_until_closed(connection, chunked(b"x") * 200_000))
        sender.start()
        reply = read_reply(connection)
        sender.join(30)
        assert status_of(reply) == 400
        assert b"tiny chunks" in reply


def send_until_closed(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        return


def test_s03_chunks_of_usual_size_pass(tiny, wav):
    response = tiny.post("/v1/tag", (wav[i : i + 64] for i in range(0, len(wav), 64)))
    assert response.status_code == 200


@pytest.mark.parametrize("head", [b"", b"GET /health HTTP/1.1\r\nHost: loc"])
def test_s04_slow_headers_end_while_others_are_served(tiny, head):
    lorises = [tiny.raw(head) for _ in range(20)]
    began = time.monotonic()
    assert tiny.get("/health").status_code == 200
    for loris in lorises:
        reply = read_reply(loris)
        assert reply == b"" if not head else status_of(reply) == 408
    assert time.monotonic() - began < 15


def test_s04_trickling_headers_have_one_deadline_for_all_of_them(tiny):
    connection = tiny.raw(b"GET /health HTTP/1.1\r\n")
    began = time.monotonic()
    while not connection_is_over(connection):
        send_until_closed(connection, b"X-A: b\r\n")
        time.sleep(0.1)
        assert time.monotonic() - began < 15
    connection.close()


def test_s04_the_second_request_of_a_connection_has_the_same_deadline(tiny):
    connection = tiny.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in connection.recv(4096)
    connection.sendall(b"GET /hea")
    assert b"HTTP/1.1 408 Request Timeout" in read_reply(connection)


def test_s04_a_slow_body_is_refused(tiny):
    connection = tiny.raw(HEAD + b"Content-Length: 1000\r\n\r\nRIFF")
    began = time.monotonic()
    reply = read_reply(connection)
    assert status_of(reply) == 408
    assert code_of(reply) == "timeout"
    assert time.monotonic() - began < 15


def connection_is_over(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(4096) == b"" or connection_is_over(connection)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_s05_a_form_of_many_parts_or_large_fields_is_refused(tiny, wav):
    many = [("x", (None, b"1"))] * 10_000
    with tiny.client() as client:
        response = client.post("/v1/tag", files=many)
        assert (response.status_code, error_of(response)) == (400, "bad_request")
        response = client.post("/v1/tag", files=[("text", (None, bytes(2_500_000)))])
        assert (response.status_code, error_of(response)) == (400, "bad_request")
        response = client.post("/v1/tag", files=[("file", ("a.wav", wav)), ("file", ("b.wav", wav))])
        assert (response.status_code, error_of(response)) == (400, "bad_request")


def test_s06_a_compressed_body_is_refused(tiny, wav):
    response = tiny.post("/v1/tag", gzip.compress(wav), headers={"content-encoding": "gzip"})
    assert (response.status_code, error_of(response)) == (415, "encoded")
    assert "Content-Encoding gzip; send it as it is" in response.json()["error"]["message"]


def test_s07_an_audio_bomb_stops_at_the_limit_of_decoded_seconds(tiny, encode):
    bomb = encode(np.zeros(31 * 8_000, np.float32), 8_000, format="FLAC")
    assert len(bomb) < 20_000
    response = tiny.post("/v1/tag", bomb)
    assert (response.status_code, error_of(response)) == (413, "too_long")


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"hello", "text/plain", 415, "wrong_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "wrong_type"),
        (b"{}", "application/json", 415, "wrong_type"),
        (b"", "audio/wav", 400, "empty_file"),
        (b"<html>404</html>", "audio/wav", 415, "not_audio"),
        (b"RIFF\x04\x00\x00\x00WAVE", "audio/wav", 400, "bad_header"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400, "bad_request"),
        (b"nonsense", "multipart/form-data", 400, "bad_request"),
    ],
)
def test_s08_what_is_no_recording_is_refused_with_a_code(tiny, content, kind, status, code):
    response = tiny.post("/v1/tag", content, kind)
    assert (response.status_code, error_of(response)) == (status, code)


def test_s08_a_form_without_a_file_says_what_it_had(tiny):
    with tiny.client() as client:
        response = client.post("/v1/tag", files={"audio": ("a.wav", b"x")})
        assert response.status_code == 400
        assert "expected the audio in the field file, found: audio" in response.json()["error"]["message"]
        response = client.post("/v1/tag", files={"file": ("a.wav", b"")})
        assert (response.status_code, error_of(response)) == (400, "empty_file")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("<script>alert(1)</script>.wav", "script>.wav"),
        ("a\x1b[2Jb.wav", r"a\x1b[2Jb.wav"),
        ("a\x00b.wav", r"a\x00b.wav"),
        ("x" * 3_000, "x" * 255),
    ],
)
def test_s09_a_file_name_is_no_path_and_comes_back_escaped(tiny, wav, sent, shown):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'
        % sent.replace("\\", "\\\\").encode()
    )
    body += wav + b"\r\n--x--\r\n"
    response = tiny.post("/v1/tag", body, "multipart/form-data; boundary=x")
    assert response.status_code == 200, response.text
    assert response.json()["path"] == shown


def test_s09_a_name_of_five_thousand_characters_is_refused(tiny, wav):
    response = tiny.upload("/v1/tag", wav, "x" * 5_000)
    assert (response.status_code, error_of(response)) == (400, "bad_request")


@pytest.mark.parametrize("name", ["../tiny", "/etc", "tiny/../tiny", "esc10", "hf:a/b", ""])
def test_s10_a_model_is_looked_up_in_the_table_only(tiny, wav, name):
    response = tiny.post("/v1/tag", wav, params={"model": name})
    assert (response.status_code, error_of(response)) == (404, "unknown_model")


def test_s11_many_ranges_are_refused(tiny):
    many = "bytes=" + ",".join(f"{i}-{i}" for i in range(1_000))
    response = tiny.get("/static/page.css", headers={"range": many})
    assert (response.status_code, error_of(response)) == (416, "wrong_range")
    assert tiny.get("/", headers={"range": "bytes=0-1"}).status_code == 200


def test_s13_a_client_that_vanishes_mid_upload_leaves_nothing(tiny):
    connection = tiny.raw(HEAD + b"Content-Length: 2900000\r\n\r\n" + bytes(2_000_000))
    wait_for(lambda: tiny.service.gate.spooled_bytes > 0)
    connection.close()
    wait_for(lambda: tiny.service.gate.spooled_bytes == 0, 30)
    assert tiny.get("/health").status_code == 200


def test_s23_a_page_of_another_site_is_refused(gate_only):
    with gate_only(origins=("https://lab.example",)) as server:
        for origin in ("https://evil.example", "null", f"http://localhost.evil.example:{server.port}"):
            response = server.get("/v1/models", headers={"origin": origin})
            assert (response.status_code, error_of(response)) == (403, "forbidden")
        for origin in (server.url, "https://lab.example"):
            assert server.get("/v1/models", headers={"origin": origin}).status_code == 200


def test_s23_another_name_for_this_machine_is_refused(tiny):
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example", "[::1", ""):
        response = tiny.get("/v1/models", headers={"host": host})
        assert (response.status_code, error_of(response)) == (403, "forbidden"), host
    for host in (f"localhost:{tiny.port}", "[::1]:8765"):
        assert tiny.get("/v1/models", headers={"host": host}).status_code == 200


def test_s23_where_a_token_is_set_it_is_needed(gate_only):
    with gate_only(token=TOKEN) as server:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            response = server.get("/v1/models", headers=headers)
            assert (response.status_code, error_of(response)) == (401, "unauthorized")
        assert server.get("/metrics").status_code == 401
        assert server.get("/v1/models", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert server.get("/health").status_code == 200
        assert server.get("/").status_code == 200


def test_s24_while_models_load_requests_are_put_off(bundle, wav):
    go_on = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auricle.server.workers.WorkerPool.start", lambda pool: go_on.wait(60))
        with running([str(bundle.path)]) as server:
            response = server.post("/v1/tag", wav)
            assert (response.status_code, error_of(response)) == (503, "starting")
            assert response.headers["retry-after"] == "1"
            health = server.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "starting")
            go_on.set()
            wait_for(lambda: server.get("/health").status_code == 200)


def test_s24_a_model_that_cannot_be_loaded_stops_the_server(bundle):
    def fail(pool):
        raise OSError("no memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auricle.server.workers.WorkerPool.start", fail)
        with running([str(bundle.path)]) as server:
            wait_for(lambda: server.service.failure is not None)
            wait_for(lambda: server.server.should_exit)


def test_s25_a_worker_that_dies_fails_one_request_and_is_replaced(tiny, wav):
    before = tiny.service.engine.files.pids
    os.kill(before[0], signal.SIGKILL)
    response = tiny.post("/v1/tag", wav)
    assert (response.status_code, error_of(response)) == (500, "internal")
    assert tiny.post("/v1/tag", wav).status_code == 200
    assert tiny.service.engine.files.pids != before
    assert "auricle_worker_restarts_total 1.0" in tiny.get("/metrics").text


def test_s26_a_full_disk_is_507_and_others_go_on(tiny, wav, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    large = wav + bytes(2_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(SpooledTemporaryFile, "rollover", full)
        for response in (tiny.post("/v1/tag", large), tiny.upload("/v1/tag", large)):
            assert (response.status_code, error_of(response)) == (507, "storage_full")
        assert tiny.post("/v1/tag", wav).status_code == 200
    assert tiny.post("/v1/tag", large).status_code == 200


def test_s26_all_uploads_together_have_a_quota(gate_only):
    with gate_only(spool_bytes=500_000, body_grace_s=30.0) as server:
        first = server.raw(HEAD + b"Content-Length: 400000\r\n\r\n" + bytes(399_999))
        wait_for(lambda: server.service.gate.spooled_bytes == 399_999)
        response = server.post("/v1/tag", bytes(200_000))
        assert (response.status_code, error_of(response)) == (507, "storage_full")
        first.close()
        wait_for(lambda: server.service.gate.spooled_bytes == 0)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    ],
)
def test_s27_malformed_requests_are_400(tiny, data):
    reply = read_reply(tiny.raw(data + b"\r\n" * 2))
    assert status_of(reply) in (400, 501), reply
    assert tiny.get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/v1/tag", "/v1/detect"])
def test_s29_no_reply_names_a_path_or_an_inside(tiny, bundle, wav, path, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError(f"secret in {bundle.path}")

    with monkeypatch.context() as patch:
        patch.setattr("auricle.server.engine.Engine.score", broken)
        response = tiny.post(path, wav)
    assert (response.status_code, error_of(response)) == (500, "internal")
    texts = [response.text, *(tiny.post(path, content).text for content in (b"", b"RIFF", wav[:60], wav[:-1]))]
    texts += [tiny.get("/v1/models").text, tiny.get("/metrics").text, tiny.get("/nowhere").text]
    for text in texts:
        for secret in (str(bundle.path), "secret", "Traceback", "/tmp", "site-packages", ".py"):
            assert secret not in text, text


def test_s30_names_cannot_write_lines_of_the_log(tiny, wav, caplog):
    with caplog.at_level(logging.INFO, "auricle.server"):
        tiny.upload("/v1/tag", wav, "a\n127.0.0.1 GET /admin 200")
        tiny.get("/x%0a127.0.0.1 GET /admin 200")
        wait_for(lambda: len(caplog.records) >= 2)
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert any(r"/x\n127.0.0.1 GET /admin 200" in record.getMessage() for record in caplog.records)


def test_an_answer_before_the_end_of_the_body_still_arrives(tiny):
    """The client is busy sending when the answer comes; a reset would take it away."""
    response = tiny.post("/v1/tag?model=nothing", bytes(2_900_000))
    assert (response.status_code, error_of(response)) == (404, "unknown_model")


def test_as_many_requests_as_allowed_are_at_work(gate_only):
    with gate_only(max_requests=2, body_grace_s=30.0) as server:
        slow = [server.raw(HEAD + b"Content-Length: 10\r\n\r\n") for _ in range(2)]
        wait_for(lambda: server.get("/health").status_code == 503)
        response = server.get("/v1/models")
        assert (response.status_code, error_of(response)) == (503, "busy")
        for connection in slow:
            connection.close()
        wait_for(lambda: server.get("/health").status_code == 200)
