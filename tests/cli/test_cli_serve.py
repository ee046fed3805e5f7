# SPDX-License-Identifier: Apache-2.0
"""``auricle serve`` as a process: it says where it listens, drains, and ends with the right code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import httpx
import pytest


@pytest.fixture
def server(model):
    """Start ``auricle serve`` on a free port; gives the process and its address."""
    command = [sys.executable, "-m", "auricle", "serve", "--model", model, "--port", "0", "--jobs", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stderr.readline()
            found = re.fullmatch(r"auricle: serving tiny on (http://127\.0\.0\.1:\d+) \(Ctrl-C stops\)\n", line)
            assert found is not None, line
            yield process, found[1]
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_server_answers_and_ends_cleanly(server, recordings, number, code):
    process, url = server
    with (recordings / "a.wav").open("rb") as file:
        found = httpx.post(f"{url}/v1/tag", files={"file": file}, trust_env=False, timeout=60).json()
    assert (found["path"], found["error"]) == ("a.wav", None)
    os.kill(process.pid, number)
    assert process.wait(60) == code
    rest = process.stderr.read()
    assert "POST /v1/tag 200" in rest
    assert "Traceback" not in rest


def test_wrong_use_is_said_before_anything_listens(auricle, model):
    done = auricle("serve", "--model", model, "--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert done.err.startswith("auricle: --host 0.0.0.0 can be reached from other machines, which needs a token")
    done = auricle("serve", "--model", "nothing", "--port", "0")
    assert done.code == 2
    assert done.err.startswith("auricle: unknown model 'nothing'")
    done = auricle("serve", "--model", model, "--token", "short", "--port", "0")
    assert (done.code, done.err.startswith("auricle: a token of 5 characters")) == (2, True)
