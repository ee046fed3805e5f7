# SPDX-License-Identifier: Apache-2.0
"""The contract of each route of the studio, on a real server."""

from __future__ import annotations

import base64
import csv
import io
import re
import zipfile

import numpy as np
import pytest
import soundfile
from helpers.serving import wait_for
from helpers.studios import serving

BEEP = {"onset": 1.0, "offset": 1.5, "label": "beep"}


@pytest.fixture(autouse=True)
def clean(client):
    """Take back what other tests did."""
    while client.post("/undo")["undone"] is not None:
        pass


def add(client, **changes):
    return client.post("/labels", {"recording": 1, **BEEP, **changes})


def test_the_state_of_a_new_project(client):
    state = client.get("")
    assert (state["recordings"], state["duration"], state["indexed"]) == (3, 26.0, {"done": 26, "total": 26})
    assert (state["job"], state["model"], state["classes"]) == (None, None, [])
    assert state["database"].endswith("p.sqlite")


def test_recordings_are_listed_with_their_labels(client):
    add(client)
    found = client.get("/recordings", offset=0, limit=2)
    assert found["total"] == 3
    assert found["recordings"][0] == {"id": 1, "path": "a.wav", "duration": 12.0, "start": None, "labels": 1}
    assert [row["path"] for row in client.get("/recordings", offset=2)["recordings"]] == ["deep/c.flac"]
    one = client.get("/recordings/1")
    assert (one["path"], one["sample_rate"], one["detections"]) == ("a.wav", 16_000, [])
    assert [label["label"] for label in one["labels"]] == ["beep"]


def test_sound_comes_as_wav_and_is_that_of_the_file(client, template):
    response = client.http.get("/v1/studio/recordings/1/audio", params={"from": 1.0, "to": 1.25})
    samples, rate = soundfile.read(io.BytesIO(response.content), dtype="int16")
    whole, _ = soundfile.read(template / "a.wav", dtype="int16")
    assert (response.headers["content-type"], rate) == ("audio/wav", 16_000)
    assert np.array_equal(samples, whole[16_000:20_000])


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({"from": 0, "to": 121}, 400, "from 0, to 121: expected a piece of at most 120 s"),
        ({"from": 2, "to": 1}, 400, "from 2, to 1: expected a piece of at most 120 s"),
        ({"from": 20, "to": 21}, 400, "begins at or beyond the end"),
        ({"from": 0}, 400, "to: field required"),
        ({"from": 0, "to": 1, "too": 1}, 400, "unknown parameter too"),
    ],
)
def test_sound_that_is_not_there_is_refused(client, query, status, text):
    response = client.http.get("/v1/studio/recordings/1/audio", params=query)
    assert response.status_code == status
    assert text in response.json()["error"]["message"]


def test_a_tile_shows_the_tone_at_its_place(client):
    tile = client.get("/recordings/1/tile", **{"from": 0, "to": 12, "width": 24})
    picture = np.frombuffer(base64.b64decode(tile["spectrogram"]), np.uint8).reshape(tile["rows"], 24)
    peaks = np.frombuffer(base64.b64decode(tile["peaks"]), np.int8).reshape(24, 2)
    assert (tile["hz_max"], tile["rows"]) == (8000.0, 120)
    mel = 2595 * np.log10(1 + np.array([40, 2000, 8000]) / 700)
    row = 119 - round(119 * (mel[1] - mel[0]) / (mel[2] - mel[0]))
    assert abs(int(picture[:, 2].argmax()) - row) <= 1
    assert picture[row, 2] - picture[row, 0] > 50
    assert peaks[2].tolist() == pytest.approx([-0.3 * 127, 0.3 * 127], abs=3)
    assert np.abs(peaks[0]).max() <= 3


def test_labels_are_stored_changed_listed_and_taken_back(client):
    label = add(client, verdict="no", source="search", score=0.5)
    assert label["by"] == "ann"
    assert (label["path"], label["verdict"], label["score"]) == ("a.wav", "no", 0.5)
    changed = client.send("PATCH", f"/labels/{label['id']}", {"verdict": "yes", "offset": 1.6})
    assert (changed["verdict"], changed["offset"], changed["onset"]) == ("yes", 1.6, 1.0)
    assert client.get("/labels", label="beep", verdict="yes")["labels"] == [changed]
    assert client.get("/labels", verdict="no")["labels"] == []
    assert client.post("/undo")["undone"]["after"]["verdict"] == "yes"
    assert client.get("/labels")["labels"][0]["verdict"] == "no"
    assert client.send("DELETE", f"/labels/{label['id']}") == {"deleted": label["id"]}
    assert client.get("/labels")["labels"] == []
    client.post("/undo")
    assert [item["id"] for item in client.get("/labels")["labels"]] == [label["id"]]


def test_a_request_that_comes_twice_makes_one_label(client):
    first = add(client, key="k1")
    again = add(client, key="k1", verdict="no")
    assert {**again, "at": ""} == {**first, "at": ""}
    assert len(client.get("/labels")["labels"]) == 1


def test_a_verdict_on_the_same_place_replaces_the_one_before(client):
    first = add(client)
    second = add(client, verdict="no")
    assert (second["id"], second["verdict"]) == (first["id"], "no")
    assert len(client.get("/labels")["labels"]) == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"onset": 3.0, "offset": 2.0}, "onset 3, offset 2: expected 0 <= onset < offset"),
        ({"onset": 13.0, "offset": 14.0}, "and the end of the recording, 12 s"),
        ({"label": "  "}, "a class needs a name of 1 to 200 printable characters"),
        ({"verdict": "maybe"}, "verdict: input should be 'yes', 'no' or 'unsure'"),
        ({"source": "dream"}, "source: input should be 'drawn', 'search', 'queue' or 'review'"),
        ({"lable": "x"}, "lable: extra inputs are not permitted"),
        ({"onset": "x"}, "onset: input should be a valid number"),
    ],
)
def test_labels_that_make_no_sense_are_refused(client, changes, text):
    error = client.post("/labels", {"recording": 1, **BEEP, **changes}, status=400)["error"]
    assert error["code"] == "bad_request"
    assert text in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("GET", "/recordings/99", None, "no recording 99"),
        ("POST", "/labels", {"recording": 99, **BEEP}, "no recording 99"),
        ("PATCH", "/labels/99999", {"verdict": "no"}, "no label 99999; it may have been taken away"),
        ("DELETE", "/labels/99999", None, "no label 99999"),
    ],
)
def test_what_is_not_there_is_404(client, method, path, body, text):
    error = client.send(method, path, body, status=404)["error"]
    assert error["code"] == "unknown_item"
    assert text in error["message"]


def test_too_few_verdicts_are_409_with_the_reason(client):
    for path, body, text in [
        ("/teach", {}, "no example yet: confirm a sound of a class"),
        ("/search", {"label": "beep"}, "no example of beep yet"),
        ("/tune", {"label": "beep"}, "no model yet"),
        ("/cutouts", {}, "nothing was confirmed yet"),
    ]:
        error = client.post(path, body, status=409)["error"]
        assert error["code"] == "too_few"
        assert text in error["message"]


def test_a_class_can_be_named_before_it_has_labels(client):
    found = client.post("/classes", {"name": "owl", "wanted_precision": 0.8})
    assert (found["name"], found["yes"], found["threshold"], found["wanted_precision"]) == ("owl", 0, None, 0.8)
    assert "owl" in [item["name"] for item in client.get("")["classes"]]
    assert client.post("/classes", {"name": "owl", "threshold": 0.4})["threshold"] == 0.4
    found = client.post("/classes", {"name": "owl", "threshold": None})
    assert (found["threshold"], found["wanted_precision"]) == (None, 0.8)
    error = client.post("/classes", {"name": "owl", "threshold": 2}, status=400)["error"]
    assert error["message"] == "threshold 2: expected a number between 0 and 1, such as 0.9"


def test_the_loop(client):
    """Examples, search, verdicts, teach, queue, detect, tune, cut-outs, exports."""
    for begin in (1.0, 5.0):
        add(client, onset=begin, offset=begin + 0.5)
    windows = client.post("/search", {"label": "beep", "count": 3})["windows"]
    best = windows[0]
    assert set(best) == {"recording", "path", "onset", "offset", "label", "score"}
    assert {(item["path"], item["onset"]) for item in windows[:2]} <= {
        *((("a.wav", t)) for t in (7.0, 8.0, 9.0)),
        *((("b.wav", t)) for t in (2.0, 3.0)),
    }
    for item in windows:
        heard = item["path"] != "deep/c.flac" and any(
            item["onset"] < begin + 0.5 and begin < item["offset"]
            for begin in ({"a.wav": (1, 5, 9), "b.wav": (3,)}[item["path"]])
        )
        verdict = "yes" if heard else "no"
        add(client, recording=item["recording"], onset=item["onset"], offset=item["offset"], verdict=verdict)
    add(client, recording=3, onset=1, offset=3, verdict="no")
    taught = client.post("/teach", {})
    assert taught["labels"] == ["beep"]
    assert taught["model"]["path"].endswith("p-files/model")
    assert client.get("")["model"] == taught["model"]
    items = client.get("/queue", label="beep", count=4)["items"]
    assert {item["reason"] for item in items} <= {"least_sure", "surest", "random"}
    assert client.get("/queue", count=2)["items"] != []
    job = client.post("/detect", {"recordings": None})["job"]
    assert (job["kind"], job["total"]) == ("detect", 3)
    wait_for(lambda: client.get("")["job"] is None)
    found = client.get("/detections", label="beep", order="time")
    assert found["total"] == len(found["detections"]) > 0
    first = found["detections"][0]
    assert set(first) == {"recording", "path", "onset", "offset", "label", "score", "verdict", "label_id"}
    assert first["path"] == "a.wav"
    assert abs(first["onset"] - 1) < 0.4
    assert client.get("/recordings/1")["detections"][0] == first
    scores = [item["score"] for item in client.get("/detections", label="beep")["detections"]]
    assert scores == sorted(scores, reverse=True)
    error = client.post("/tune", {"label": "beep", "precision": 0.9}, status=409)["error"]
    assert re.match(
        r"beep, precision 90%: of [1-9] verdicts on detections [1-9] count, .*; 90% can be told from 10 or more",
        error["message"],
    ), "those that were taught count"
    assert client.get("")["stale_detections"] == 0
    client.post("/teach", {})
    assert client.get("")["stale_detections"] == found["total"]
    error = client.post("/tune", {"label": "beep", "precision": 0.9}, status=409)["error"]
    assert error["message"] == (
        f"beep: {found['total']} of its detections are of an older model: detect again, then tune"
    )
    cut = client.post("/cutouts", {"label": "beep", "lead": 0.1, "tail": 0.1, "format": "wav"})
    confirmed = client.get("/labels", verdict="yes")["labels"]
    assert cut["files"] == len(confirmed)
    rows = list(csv.DictReader(io.StringIO(client.http.get("/v1/studio/export").text)))
    assert len(rows) == len(client.get("/labels")["labels"])
    assert {row["verdict"] for row in rows} == {"yes", "no"}
    reply = client.http.get("/v1/studio/export", params={"format": "raven"})
    assert reply.headers["content-disposition"] == 'attachment; filename="labels-raven.zip"'
    archive = zipfile.ZipFile(io.BytesIO(reply.content))
    lines = archive.read("a.wav.selections.txt").decode().splitlines()
    assert len(lines) == 1 + sum(item["path"] == "a.wav" for item in confirmed)
    assert len(client.get("/export", format="json")["labels"]) == len(rows)
    error = client.get("/export", format="xml", status=400)["error"]
    assert error["message"] == "format 'xml': expected csv, raven, audacity, json"


def test_the_page_is_served_with_what_it_loads(client):
    reply = client.http.get("/")
    assert reply.headers["content-type"].startswith("text/html")
    assert client.http.get("/static/studio.js").status_code == 200
    assert client.http.get("/static/../project.py").status_code == 404
    assert client.http.get("/health").json()["status"] == "ok"


def test_pages_of_other_sites_and_other_hosts_are_refused(client):
    for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
        reply = client.http.get("/v1/studio", headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden")


def test_a_token_is_asked_for(studio):
    token = "a-token-of-enough-characters"
    with serving(studio, token=token) as locked:
        assert locked.get("", status=401)["error"]["code"] == "unauthorized"
        reply = locked.http.get("/v1/studio", headers={"authorization": f"Bearer {token}"})
        assert reply.status_code == 200
