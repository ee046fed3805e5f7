# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from auricle.errors import UsageError
from auricle.reports import sound
from auricle.reports.detection import detection_page
from auricle.results import Event, Scores

VOID = {"meta", "img", "br", "i", "link", "input", "hr", "line", "path"}
HOSTILE = '<script>alert("x")</script>&\'é'


class Page(HTMLParser):
    """Tags with their attributes, and all text outside styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], "every element is closed"

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
        if not {"style", "script"} & set(self._open):
            self.text += data

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


@pytest.fixture
def write(tmp_path, recording, scores, found):
    """Write a page, with some arguments changed, and read it back."""

    def make(**changes) -> Page:
        path = tmp_path / "page.html"
        values = {"samples": recording, "sample_rate": 8_000, "scores": scores, "events": found}
        detection_page(path, **{**values, "title": "Two seconds", "facts": {"Model": "crnn"}, **changes})
        return Page(path.read_text(encoding="utf-8"))

    return make


def test_a_page_without_truth_shows_events_at_their_places(write):
    page = write()
    assert "2 events found" in " ".join(page.text.split())
    assert [a["style"] for a in page.of_class("found")] == ["left:25.0%;width:25.0%", "left:75.0%;width:25.0%"]
    assert page.of_class("true") == []
    assert "missed" not in page.text
    assert "crnn" in page.text
    seeks = [a["data-seek"] for tag, a in page.tags if tag == "button"]
    assert seeks == ["0.5", "1.5"]


def test_a_page_with_truth_compares(write, truth):
    page = write(truth=truth, thresholds={"dog": 0.5, "rain": 0.3})
    words = " ".join(page.text.split())
    assert "1 of 2 true events found 1 missed 1 false" in words
    assert [a["style"] for a in page.of_class("true")] == ["left:20.0%;width:30.0%", "left:80.0%;width:10.0%"]
    assert len([a for a in page.of_class("found") if "false" in a["class"].split()]) == 1
    assert [a["y1"] for a in page.of_class("threshold")] == ["50.00", "70.00"]
    assert [words.count(f"{mark} {text}") for mark, text in (("✓", "found"), ("○", "missed"), ("✕", "false"))] == [
        1
    ] * 3


def test_nothing_is_fetched_from_anywhere(write, truth):
    page = write(truth=truth)
    addresses = [attrs[name] for _, attrs in page.tags for name in ("src", "href", "data", "action") if name in attrs]
    assert len(addresses) == 2
    assert all(address.startswith("data:") for address in addresses)
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_text_never_becomes_markup(write, scores):
    hostile = Scores(scores.times, scores.values, (HOSTILE, "rain"), scores.step_s)
    page = write(scores=hostile, events=[Event(HOSTILE, 0, 1, 0.5)], truth=[], title=HOSTILE, facts={HOSTILE: HOSTILE})
    assert sum(tag == "script" for tag, _ in page.tags) == 1, "only our own"
    assert page.text.count(HOSTILE) >= 5
    assert all(
        attrs.get("title") is None or "<" not in attrs["title"] or HOSTILE in attrs["title"] for _, attrs in page.tags
    )


def test_a_name_that_is_no_unicode_does_not_stop_the_page(write):
    assert "bad?.wav" in write(title="bad\udcff.wav").text


def test_nothing_found_is_said(write):
    page = write(events=[], facts={})
    assert "None." in page.text
    assert "Facts" not in page.text
    assert "0 events found" in " ".join(page.text.split())


def test_labels_that_do_not_fit_are_counted(write):
    labels = tuple(f"l{i}" for i in range(20))
    many = Scores(np.array([1.0], np.float32), np.zeros((1, 20), np.float32), labels, 1.0)
    assert "8 labels without events" in write(scores=many, events=[]).text


def test_a_recording_that_is_too_long_has_no_player(write, monkeypatch):
    monkeypatch.setattr("auricle.reports.detection.audio_uri", lambda *_: None)
    page = write()
    assert "too long to be part of this page" in page.text
    assert not any(tag in ("audio", "script", "button") for tag, _ in page.tags)
    assert sound.LARGEST_OGG > sound.LARGEST_WAV


def test_the_player_is_a_slider_for_keyboards_and_screen_readers(write):
    track = next(attrs for _, attrs in write().tags if attrs.get("id") == "track")
    wanted = {"role": "slider", "tabindex": "0", "aria-valuemin": "0", "aria-valuemax": "2.0", "data-duration": "2.0"}
    assert wanted.items() <= track.items()


def test_no_sample_is_refused(write):
    with pytest.raises(ValueError, match="a page needs at least one sample"):
        write(samples=np.zeros(0, np.float32))


def test_without_jinja_the_way_to_install_it_is_said(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError, match=r'pages need jinja2.*pip install "auricle\[reports\]"'):
        write()
