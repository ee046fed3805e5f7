# SPDX-License-Identifier: Apache-2.0
"""The sixth equality with its third side: command line = Python = HTTP, over every registered network and head."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.serving import running, wait_for

from auricle.cli.main import main


@pytest.fixture(scope="module")
def server(all_models):
    """One server with all the models."""
    with running([str(model.path) for model in all_models]) as found:
        wait_for(lambda: found.service.state is None)
        yield found


def printed(capsys, *words: object) -> dict:
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([str(word) for word in words])
    return json.loads(capsys.readouterr().out)


def test_http_answers_what_python_returns_and_the_command_line_prints(model, server, recordings, capsys):
    name, detector = model.bundle.spec.name, model.detector
    common = ("--model", model.path, "--format", "json", "--quiet")
    for path in recordings:
        content = path.read_bytes()
        tagged = server.upload("/v1/tag", content, path.name, params={"model": name}).json()
        assert tagged == {**detector.tag(path).to_dict(top=5), "path": path.name}
        detected = server.upload("/v1/detect", content, path.name, params={"model": name, "threshold": "0.3"}).json()
        assert detected == {**detector.detect(path, threshold=0.3).to_dict(), "path": path.name}
    assert printed(capsys, "tag", recordings[-1], *common) == {**tagged, "path": str(recordings[-1])}
    words = ("detect", recordings[-1], *common, "--threshold", 0.3)
    assert printed(capsys, *words) == {**detected, "path": str(recordings[-1])}


def test_a_stream_gives_the_events_of_the_file(model, server):
    spec = model.bundle.spec
    sound = np.random.default_rng(1).uniform(-0.4, 0.4, 3 * spec.sample_rate + 123).astype(np.float32)
    with server.stream({"model": spec.name, "sample_rate": spec.sample_rate, "threshold": 0.3}) as connection:
        for start in range(0, len(sound), 1_001):
            connection.send(sound[start : start + 1_001].tobytes())
        connection.send(json.dumps({"end": True}))
        messages = [json.loads(text) for text in connection]
    events = [message for message in messages if "offset" in message]
    expected = model.detector.detect(sound, spec.sample_rate, threshold=0.3).to_dict()["events"]
    assert sorted(events, key=lambda e: (e["onset"], e["label"])) == sorted(
        expected, key=lambda e: (e["onset"], e["label"])
    )
