# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, opened from disk: no error in its console, and its script and sound work."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from helpers.serving import wait_for

from auricle.reports.detection import detection_page
from auricle.results import Event

pytestmark = pytest.mark.browser

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
RULE = {
    **{"rate": 8_000, "hop_samples": 4_000, "first_centre_samples": 2_000.0},
    "postprocess": {"median_s": 0.0, "off_ratio": 1.0, "min_event_s": 0.0, "max_gap_s": 0.0},
}


@pytest.fixture
def opened(tmp_path):
    """Open a file: ``opened(path) -> page``; what goes wrong in it, or leaves it, fails the test."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; apt install chromium")
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS, timeout=120_000)

        def start(path):
            page = browser.new_page(viewport={"width": 1100, "height": 900})
            page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            own = ("data:", "blob:", path.as_uri())
            page.on("request", lambda r: None if r.url.startswith(own) else wrong.append(r.url))
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
            return page

        yield start
        browser.close()
    assert wrong == []


def cells(page) -> list[list[str]]:
    return [row.split("\t")[1:] for row in page.locator("#events tbody tr").all_inner_texts()]


def test_the_recording_is_compared_with_the_truth_and_played(opened, tmp_path, recording, scores, found, truth):
    path = tmp_path / "page.html"
    values = {"samples": recording, "sample_rate": 8_000, "scores": scores, "events": found, "truth": truth}
    detection_page(path, **values, title="Two seconds", facts={"Model": "crnn"}, thresholds={"dog": 0.9, "rain": 0.5})
    page = opened(path)
    words = " ".join(page.inner_text("#summary").split())
    assert words == "0:02.0 of sound 1 of 2 true events found 1 missed 1 false"
    assert cells(page) == [
        ["dog", "0:00.50", "0:01.00", "0.90", "✓ found"],
        ["rain", "0:01.50", "0:02.00", "0.60", "✕ false"],
        ["dog", "0:01.60", "0:01.80", "", "○ missed"],
    ]
    assert page.inner_text("h1") == "Two seconds"
    assert page.locator("#facts dd").all_inner_texts() == ["crnn"]
    assert page.is_visible("#legend")
    assert page.is_hidden("#drop")
    assert page.locator(".bar.movable").count() == 0, "without a rule thresholds stay"
    page.focus("#track")
    places = []
    for key in ("ArrowRight", "End", "Home"):
        page.keyboard.press(key)
        places.append(page.evaluate("document.getElementById('audio').currentTime"))
    assert places == [1, 2, 0]
    box = page.locator("#picture").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 20)
    assert page.evaluate("document.getElementById('audio').currentTime") == pytest.approx(0.5, abs=0.01)
    page.locator("#events tbody tr button").nth(1).click()
    wait_for(lambda: page.evaluate("document.getElementById('audio').currentTime") > 1.5)  # the page allows no eval


def test_events_follow_a_threshold(opened, tmp_path, recording, scores, truth):
    path = tmp_path / "page.html"
    values = {"samples": recording, "sample_rate": 8_000, "scores": scores, "truth": truth}
    values |= {"events": [Event("dog", 0.5, 1.0, 1.0)], "thresholds": {"dog": 0.9, "rain": 0.9}, "rule": RULE}
    detection_page(path, **values, title="Two seconds", facts={})
    page = opened(path)
    assert page.is_hidden("#facts-section")
    bar = page.get_by_role("slider", name="Threshold of dog")
    bar.focus()
    for _ in range(4):
        page.keyboard.press("PageDown")
    assert float(bar.get_attribute("aria-valuenow")) == pytest.approx(0.5)
    page.wait_for_timeout(100)
    assert cells(page)[0] == ["dog", "0:00.50", "0:01.50", "1.00", "✓ found"], "the third frame has 0.5"
    assert bar.get_attribute("aria-valuetext") == "0.50, 1 events"


def test_a_page_without_its_recording_has_its_events(opened, tmp_path, scores, found, monkeypatch):
    monkeypatch.setattr("auricle.reports.detection.audio_uri", lambda *_: None)
    path = tmp_path / "page.html"
    detection_page(
        path, samples=np.ones(16_000, np.float32), sample_rate=8_000, scores=scores, events=found, title="x", facts={}
    )
    page = opened(path)
    assert "too long to be part of this page" in page.inner_text("#problem")
    assert page.is_hidden("#player")
    assert [row[0] for row in cells(page)] == ["dog", "rain"]
    assert page.locator("#events tbody button:disabled").count() == 2
