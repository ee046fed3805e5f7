# SPDX-License-Identifier: Apache-2.0
"""axe-core finds nothing serious on the server's page and on a report, in any state; the studio's is tested beside it.

The exported site has the server's markup, styles and modules.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile
from helpers.axe import axe_source, serious_violations
from helpers.serving import running, wait_for

from auricle.reports.detection import detection_page
from auricle.results import Event, Scores

pytestmark = pytest.mark.browser

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
WAIT_MS = 120_000
TOKEN = "a-token-of-many-characters"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; apt install chromium")
    axe_source()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture(params=["light", "dark"])
def new_page(browser, request):
    context = browser.new_context(color_scheme=request.param, permissions=["microphone"], bypass_csp=True)
    context.set_default_timeout(WAIT_MS)
    yield context.new_page
    context.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two seconds of noise, then a tone."""
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    tone = np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000)
    noise = np.random.default_rng(0).standard_normal(32_000) * 0.1
    soundfile.write(path, np.concatenate([noise, 0.4 * tone]), 16_000, subtype="PCM_16")
    return path


def test_the_page_of_the_server(new_page, recording):
    with running(["esc10"], token=TOKEN, idle_s=60.0, hello_timeout_s=30.0) as server:
        wait_for(lambda: server.service.state is None, 300)
        page = new_page()
        page.goto(server.url)
        page.wait_for_selector("#token[open]")
        found = serious_violations(page, "token")
        page.fill("#token input", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        found += serious_violations(page, "start")
        page.set_input_files("#file", str(recording))
        page.wait_for_selector("#result:visible")
        page.wait_for_selector("#work[hidden]", state="attached")
        page.click("#filter summary")
        page.focus("#track")
        page.keyboard.press("+")
        page.locator(".movable").first.focus()
        found += serious_violations(page, "result")
        page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no sound"})
        page.wait_for_selector("#problem:visible")
        found += serious_violations(page, "problem")
        page.click("#listen")
        page.wait_for_selector("#live:visible")
        page.wait_for_timeout(500)
        found += serious_violations(page, "microphone")
        page.click("#stop")
        page.wait_for_selector("#live", state="hidden")
    assert found == []


def test_the_page_of_a_report(new_page, tmp_path):
    times = np.arange(0.25, 2, 0.5, dtype=np.float32)
    scores = Scores(times, np.array([[0.1, 0.9], [0.8, 0.4], [0.7, 0.2], [0.1, 0.6]], np.float32), ("dog", "rain"), 0.5)
    detection_page(
        tmp_path / "page.html",
        samples=np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1,
        sample_rate=8_000,
        scores=scores,
        events=[Event("dog", 0.5, 1.5, 0.8), Event("rain", 0.0, 0.5, 0.9)],
        truth=[Event("dog", 0.4, 1.4, 1.0)],
        title="Two seconds",
        facts={"Model": "crnn"},
        thresholds={"dog": 0.5, "rain": 0.5},
    )
    page = new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    assert serious_violations(page, "report") == []
