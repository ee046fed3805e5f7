# SPDX-License-Identifier: Apache-2.0
"""The page about a recording as a file: what it holds, and that it needs nothing else."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from auricle.reports import sound
from auricle.reports.detection import detection_page
from auricle.results import Event, Scores

VOID = {"meta", "img", "br", "i", "link", "input", "hr", "line", "path", "rect"}
HOSTILE = '</script><script>alert("x")</script><!--&\'é'


class Page(HTMLParser):
    """Tags with their attributes, all text outside styles and scripts, and the data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.json = "", ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "every element is closed"
        self.data = json.loads(self.json)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if self.tags and self.tags[-1][1].get("id") == "data" and self._open[-1:] == ["script"]:
            self.json += data
        elif not {"style", "script"} & set(self._open):
            self.text += data


@pytest.fixture
def write(tmp_path, recording, scores, found):
    """Write a page, with some arguments changed, and read it back."""

    def make(**changes) -> Page:
        path = tmp_path / "page.html"
        values = {"samples": recording, "sample_rate": 8_000, "scores": scores, "events": found}
        detection_page(path, **{**values, "title": "Two seconds", "facts": {"Model": "crnn"}, **changes})
        return Page(path.read_text(encoding="utf-8"))

    return make


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_a_page_holds_the_recording_its_scores_and_events(write, scores, found):
    data = write().data
    assert data["found"]["events"] == [event.to_dict() for event in found]
    assert (data["found"]["path"], data["found"]["duration"]) == ("recording.wav", 2.0)
    assert data["scores"]["labels"] == data["labels"] == ["dog", "rain"]
    np.testing.assert_array_equal(floats(data["scores"]["times"]), scores.times)
    np.testing.assert_array_equal([floats(column) for column in data["scores"]["columns"]], scores.values.T)
    assert data["scores"]["peaks"] == pytest.approx({"dog": 1.0, "rain": 0.2})
    assert (data["truth"], data["rule"], data["thresholds"]) == (None, None, [None, None])
    assert data["facts"] == {"Model": "crnn"}
    assert data["address"].startswith("data:audio/wav;base64,")


def test_truth_thresholds_and_the_rule_of_events(write, truth):
    rule = {"rate": 8000, "hop_samples": 4000, "first_centre_samples": 2000.0, "postprocess": {}}
    owl = Event("owl", 0, 1, 1.0)
    data = write(truth=[*truth, owl], thresholds={"dog": 0.5, "rain": 0.25}, rule=rule).data
    assert data["truth"] == [event.to_dict() for event in (*truth, owl)]
    assert data["labels"] == ["dog", "rain", "owl"], "a label that only the truth has stands last"
    assert data["thresholds"] == [0.5, 0.25, None]
    assert data["rule"] == rule


def test_nothing_is_fetched_from_anywhere(write, truth):
    page = write(truth=truth)
    addresses = [attrs[name] for _, attrs in page.tags for name in ("src", "href", "data", "action") if name in attrs]
    assert addresses == ["#main"]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_text_never_becomes_markup(write, scores):
    hostile = Scores(scores.times, scores.values, (HOSTILE, "rain"), scores.step_s)
    page = write(scores=hostile, events=[Event(HOSTILE, 0, 1, 0.5)], truth=[], title=HOSTILE, facts={HOSTILE: HOSTILE})
    assert sum(tag == "script" for tag, _ in page.tags) == 2, "only our own: data and script"
    assert page.data["labels"][0] == page.data["facts"][HOSTILE] == page.data["title"] == HOSTILE
    assert HOSTILE in page.text


def test_a_name_that_is_no_unicode_does_not_stop_the_page(write):
    assert "bad?.wav" in write(title="bad\udcff.wav").text


def test_of_many_labels_only_some_have_their_scores(write):
    labels = tuple(f"l{i}" for i in range(60))
    values = np.linspace(0.1, 0.7, 60, dtype=np.float32)[None]
    data = write(scores=Scores(np.array([1.0], np.float32), values, labels, 1.0), events=[Event("l3", 0, 1, 0.2)]).data
    assert data["scores"]["labels"] == ["l3", *labels[21:]], "the one with an event, and the 39 highest"
    assert len(data["labels"]) == len(data["scores"]["peaks"]) == 60


def test_a_recording_that_is_too_long_has_no_player(write, monkeypatch):
    monkeypatch.setattr("auricle.reports.detection.audio_uri", lambda *_: None)
    assert write().data["address"] is None
    assert sound.LARGEST_OGG > sound.LARGEST_WAV


def test_no_sample_is_refused(write):
    with pytest.raises(ValueError, match="a page needs at least one sample"):
        write(samples=np.zeros(0, np.float32))
