# SPDX-License-Identifier: Apache-2.0
"""Where a server may listen, and with which token."""

from __future__ import annotations

import json
import socket

import pytest
from helpers.serving import running, wait_for
from helpers.tinybundle import RATE, make_bundle

from auricle.errors import UsageError
from auricle.server.responses import Refusal, refusal_of
from auricle.server.run import open_socket
from auricle.server.settings import Settings, is_loopback
from auricle.server.uploads import base_name


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "lab.example"])
def test_other_machines_need_a_token(host):
    with pytest.raises(UsageError, match=r"can be reached from other machines, which needs a token: .* AURICLE_TOKEN"):
        Settings(host=host)
    assert Settings(host=host, token="x" * 16).token == "x" * 16


@pytest.mark.parametrize("token", ["", "short", "ä" * 20])
def test_a_weak_token_is_refused(token):
    with pytest.raises(UsageError, match="needed are at least 16, all ASCII; make one: python -c"):
        Settings(token=token)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_this_machine_needs_none(host):
    assert is_loopback(host)
    assert Settings(host=host).token is None


def test_a_port_that_is_taken_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1 port {port}: .*; choose another"):
            open_socket("127.0.0.1", port)


def test_a_refusal_has_a_known_code():
    with pytest.raises(ValueError, match="unknown code 'nonsense'"):
        Refusal("nonsense", "x")


def test_what_is_not_meant_for_clients_stays_inside():
    assert refusal_of(OSError(2, "No such file", "/secret")).message == "an error inside the server; its log says more"
    assert refusal_of(UsageError("top is wrong")).status == 400


@pytest.mark.parametrize(("sent", "shown"), [("", ""), ("/", ""), ("a/b", "b"), ("é\u202e.wav", "é\\u202e.wav")])
def test_base_names(sent, shown):
    assert base_name(sent) == shown


def test_streams_that_ask_for_no_latency_get_that_of_the_server(tmp_path, monkeypatch):
    monkeypatch.setattr("auricle.server.workers.WorkerPool.start", lambda pool: None)  # nothing is scored here
    bundle = make_bundle(tmp_path / "margins", window_s=4.8, hop_s=3.2, margin_s=0.8)
    hello = {"sample_rate": RATE}
    with running([str(bundle.path)], latency_s=0.1) as found:
        wait_for(lambda: found.service.state is None)
        for asked, told_s in (({}, 0.2), ({"latency_s": 60}, 4.0)):
            with found.stream({**hello, **asked}) as connection:
                assert json.loads(connection.recv())["ready"]["latency_s"] == pytest.approx(told_s)
