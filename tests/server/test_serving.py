# SPDX-License-Identifier: Apache-2.0
"""What the server gives: the results of Python, the list of models, meters, the page."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.serving import running, wait_for

from auricle.errors import UsageError
from auricle.runtime.detector import load
from auricle.server.app import Service
from auricle.server.settings import Settings


@pytest.fixture
def detector(bundle):
    return load(bundle.path)


@pytest.fixture
def clip(tmp_path, wav):
    path = tmp_path / "a.wav"
    path.write_bytes(wav)
    return path


def as_python(result: dict) -> dict:
    return {**result, "path": "a.wav"}


def test_tag_is_that_of_python(tiny, detector, wav, clip):
    expected = as_python(detector.tag(clip).to_dict(top=5))
    assert tiny.upload("/v1/tag", wav).json() == expected
    assert tiny.post("/v1/tag", wav).json() == {**expected, "path": ""}
    assert tiny.upload("/v1/tag", wav, params={"model": "tiny", "top": 1}).json()["scores"] == expected["scores"][:1]


def test_nothing_is_named_that_is_not_sure_enough(tiny, detector, wav, clip):
    for rate in (0.1, 0.25):
        expected = as_python(detector.tag(clip, abstain=rate).to_dict(top=5))
        assert bool(expected["scores"]) == (rate == 0.25)
        assert tiny.upload("/v1/tag", wav, params={"abstain": str(rate)}).json() == expected
    for rate, text in (("0.05", "support no rate below 0.1"), ("2", "abstain"), ("nan", "abstain")):
        refused = tiny.upload("/v1/tag", wav, params={"abstain": rate})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
        assert text in refused.json()["error"]["message"]


def test_thresholds_choose_the_scores_of_tag(tiny, wav):
    found = tiny.upload("/v1/tag", wav, params={"threshold": ["0.5", "loud=0.3"]}).json()
    assert {score["label"] for score in found["scores"]} == {"loud", "quiet"}
    assert [s["label"] for s in tiny.upload("/v1/tag", wav, params={"threshold": "0.5"}).json()["scores"]] == ["quiet"]


def test_detect_is_that_of_python_and_gives_its_scores_on_request(tiny, detector, wav, clip):
    expected = as_python(detector.detect(clip, threshold=0.3).to_dict())
    assert tiny.upload("/v1/detect", wav, params={"threshold": "0.3"}).json() == expected
    found = tiny.upload("/v1/detect", wav, params={"threshold": "0.3", "scores": "true"}).json()
    scores = found.pop("scores")
    assert found == expected
    assert scores["labels"] == ["loud", "quiet"]
    assert scores["step_s"] == 0.1
    assert scores["times"][:2] == [0.05, 0.15]
    assert scores["values"][7] == [0.75, 0.25]


def test_a_large_upload_goes_through_a_file(tiny, detector, encode, buzz, tmp_path):
    large = encode(np.tile(buzz, 15), 16_000, subtype="DOUBLE") + b"\0" * 2_000_000
    assert 2_000_000 < len(large) < 3_000_000
    (tmp_path / "b.wav").write_bytes(large)
    expected = detector.tag(tmp_path / "b.wav").to_dict(top=5)
    assert expected["flags"] != []
    assert tiny.upload("/v1/tag", large, "b.wav").json() == {**expected, "path": "b.wav"}
    assert tiny.post("/v1/tag", large).json() == {**expected, "path": ""}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("threshold=2", "threshold 2: expected a number from 0 to 1"),
        ("threshold=dog=0.5", "threshold dog=...: the model has no such label"),
        ("top=0", "top: input should be greater than or equal to 1"),
        ("top=x", "top: input should be a valid integer"),
    ],
)
def test_wrong_parameters_are_400_and_say_what_is_right(tiny, wav, query, text):
    response = tiny.post(f"/v1/tag?{query}", wav)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(text)


def test_a_name_that_is_nearly_right_is_suggested(tiny, wav):
    message = tiny.post("/v1/tag?model=tinny", wav).json()["error"]["message"]
    assert message == "no model of this name (did you mean 'tiny'?); GET /v1/models lists them"


def test_models_are_listed(tiny):
    assert tiny.get("/v1/models").json() == {
        "default": "tiny",
        "models": [
            {
                **{"name": "tiny", "task": "multi", "labels": ["loud", "quiet"]},
                **{"sample_rate": 1000, "window_s": 1.0, "hop_s": 0.5, "thresholds": {"loud": 0.5, "quiet": 0.5}},
                "events": {
                    "rate": 1000,
                    "hop_samples": 100,
                    "first_centre_samples": 50.0,
                    "postprocess": {
                        **{"median_s": 0.0, "medians_s": {}, "off_ratio": 1.0, "off_ratios": {}},
                        **{"min_event_s": 0.0, "max_gap_s": 0.0},
                    },
                },
            }
        ],
    }


def test_health_is_ok(tiny):
    assert tiny.get("/health").json()["status"] == "ok"


def test_meters_count(tiny, wav):
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (.*)$", tiny.get("/metrics").text, re.M)
        return 0.0 if found is None else float(found[1])

    tagged, requests = 'auricle_audio_seconds_total{how="tag"}', 'auricle_requests_total{path="/v1/tag",status="200"}'
    seconds, count = value(tagged), value(requests)
    tiny.post("/v1/tag", wav)
    wait_for(lambda: value(requests) == count + 1)
    assert value(tagged) == seconds + 2
    tiny.get("/a/path/that/someone/made/up")
    assert "made" not in tiny.get("/metrics").text


def test_the_page_and_all_it_loads_are_served_and_it_may_load_nothing_else(tiny):
    page = tiny.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    waiting, seen = set(re.findall(r'"static/([\w.]+)"', page.text)), set()
    while waiting:
        name = waiting.pop()
        response = tiny.get(f"/static/{name}")
        assert response.status_code == 200
        assert response.headers["content-security-policy"] == policy
        assert "http://" not in response.text.replace("http://www.w3.org/", "")
        assert "https://" not in response.text
        seen.add(name)
        waiting |= set(re.findall(r'"\./([\w.]+)"', response.text)) - seen
    assert {"page.css", "serve.js", "page.js", "capture.js", "icon.svg"} <= seen


def test_scores_of_some_labels_come_with_the_highest_score_of_all(tiny, wav):
    reply = tiny.upload("/v1/detect?scores=true&lanes=1&threshold=quiet%3D1", wav).json()
    assert [event["label"] for event in reply["events"]] == ["loud"]
    everything = tiny.upload("/v1/detect?scores=true", wav).json()["scores"]
    assert reply["scores"]["labels"] == ["loud"]
    assert reply["scores"]["values"] == [row[:1] for row in everything["values"]]
    assert reply["scores"]["peaks"] == pytest.approx({"loud": 0.75, "quiet": 0.875}, abs=1e-5)
    assert "peaks" not in everything
    nothing = tiny.upload("/v1/detect?scores=true&lanes=1&threshold=1", wav).json()
    assert (nothing["events"], nothing["scores"]["labels"]) == ([], ["quiet"]), "without events the highest score"


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e%2fapp.py", "nothing.js", "index.html", "assets.py", ""])
def test_no_other_file_is_served(tiny, name):
    assert tiny.get(f"/static/{name}").status_code == 404


def test_the_description_for_machines_names_the_routes(tiny):
    paths = tiny.get("/openapi.json").json()["paths"]
    assert {"/v1/tag", "/v1/detect", "/v1/models", "/health", "/metrics"} <= set(paths)


def test_two_models_of_one_name_are_refused(bundle):
    with pytest.raises(UsageError, match="two of the models have the same name: tiny, tiny"):
        Service([str(bundle.path)] * 2, Settings())


def test_a_model_that_is_not_there_is_refused_before_anything_listens():
    with pytest.raises(UsageError, match="unknown model 'nothing'"):
        Service(["nothing"], Settings())


def test_a_stopped_server_takes_nothing_and_leaves_no_process(bundle, wav):
    with running([str(bundle.path)]) as server:
        wait_for(lambda: server.service.state is None)
        pids = [*server.service.engine.files.pids, *server.service.engine.windows.pids]
        assert len(pids) == 2
        assert server.post("/v1/tag", wav).status_code == 200
    assert server.service.engine.files.pids == []
    assert server.service.state == "stopping"


def test_a_channel_of_a_recording_is_scored_alone(tiny, detector, encode, buzz, clip):
    both = encode(np.stack([buzz, 0.5 * buzz], axis=1), 1_000, subtype="FLOAT")
    clip.write_bytes(both)
    alone = detector.of_channel(2)
    tagged = tiny.upload("/v1/tag", both, clip.name, params={"channel": 2}).json()
    assert tagged == {**alone.tag(clip).to_dict(top=5), "path": clip.name}
    assert tagged["channel"] == 2
    found = tiny.upload("/v1/detect", both, clip.name, params={"channel": 2, "threshold": "0.3"}).json()
    assert found == {**alone.detect(clip, threshold=0.3).to_dict(), "path": clip.name}
    refused = tiny.upload("/v1/tag", both, clip.name, params={"channel": 3})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "no_channel")
    assert tiny.upload("/v1/tag", both, clip.name, params={"channel": 0}).status_code == 400
