# SPDX-License-Identifier: Apache-2.0
"""One recording on the server's page, the exported site and a report: the same events, and those of Python.

So too after a threshold was moved, when the scripts of each page make the events of scores that came from the server,
from the model in the browser, or with the page.
"""

from __future__ import annotations

import functools
import json
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.serving import running, wait_for

from auricle import api
from auricle.audio.decode import read_audio
from auricle.errors import UsageError
from auricle.exporting.web import RUNTIME_URL, _fetch
from auricle.reports.detection import detection_page

pytestmark = pytest.mark.browser

MODEL, WAIT_MS = "esc10", 120_000
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
#: Between scores of the browser and of Python.
TOLERANCE = 1e-3
#: Classes whose threshold is moved, and to where by keys.
MOVED = {"dog": (["PageUp"] * 4, 0.4), "rooster": (["PageDown"] * 3, -0.3)}


@pytest.fixture(scope="module")
def recording(shared, tmp_path_factory) -> Path:
    """20 s in which a dog, a rooster and a sneeze follow each other: several windows, at the model's rate.

    Of another rate, the site's scores are of another resampler: the browser's own.
    """
    rate = api.load(MODEL).spec.sample_rate
    names = ("dog", "rooster", "sneezing", "dog")
    clips = [sorted((shared / "data/esc10" / name).glob("5-*"))[n // 3] for n, name in enumerate(names)]
    samples = np.concatenate([np.resize(read_audio(clip, sample_rate=rate).samples, 5 * rate) for clip in clips])
    path = tmp_path_factory.mktemp("recording") / "yard.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the exported site."""
    folder = tmp_path_factory.mktemp("site")
    try:
        (folder / "engine.tgz").write_bytes(_fetch(RUNTIME_URL))
    except UsageError as error:
        pytest.skip(error.message)
    api.export_site(MODEL, folder / "site", tarball=folder / "engine.tgz")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def service():
    """The address of the server."""
    with running([MODEL], idle_s=60.0, hello_timeout_s=30.0) as found:
        wait_for(lambda: found.service.state is None, 300)
        yield found.url


@pytest.fixture(scope="module")
def report(recording, tmp_path_factory) -> str:
    """The address of a report, made as the demo makes it."""
    detector = api.load(MODEL)
    path = tmp_path_factory.mktemp("report") / "report.html"
    detection_page(
        path,
        samples=read_audio(recording).samples,
        sample_rate=detector.spec.sample_rate,
        scores=detector.frames(recording),
        events=detector.detect(recording).events,
        title="Yard",
        facts={},
        thresholds=detector.spec.thresholds,
        rule=detector.spec.event_rule,
        name=recording.name,
    )
    return path.as_uri()


@pytest.fixture(scope="module")
def context():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, timeout=WAIT_MS)
        context = browser.new_context()
        context.set_default_timeout(WAIT_MS)
        yield context
        browser.close()


def events_of(page) -> list[dict]:
    """Return the events that the page gives as JSON."""
    with page.expect_download() as download:
        page.click("[data-format=json]")
    return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["events"]


def assert_equal(found: list[dict], expected: list[dict], where: str) -> None:
    assert [e["label"] for e in found] == [e["label"] for e in expected] != [], where
    for a, b in zip(found, expected, strict=True):
        assert (a["onset"], a["offset"]) == pytest.approx((b["onset"], b["offset"]), abs=1e-5), where
        assert a["score"] == pytest.approx(b["score"], abs=TOLERANCE), where


def test_the_same_recording_has_the_same_events_everywhere(context, service, site, report, recording):
    detector = api.load(MODEL)
    own = detector.detect(recording).to_dict()["events"]
    thresholds = {label: detector.spec.thresholds[label] + step for label, (_, step) in MOVED.items()}
    thresholds = {label: round(value, 3) for label, value in thresholds.items()}
    moved = detector.detect(recording, threshold=thresholds).to_dict()["events"]
    assert moved != own, "or nothing is compared"
    for where, address in (("server", service), ("site", site), ("report", report)):
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        if where != "report":
            page.set_input_files("#file", str(recording))
        page.wait_for_selector("#result:visible")
        page.wait_for_selector("#work[hidden]", state="attached")
        assert_equal(events_of(page), own, where)
        for label, (keys, _) in MOVED.items():
            page.get_by_role("slider", name=f"Threshold of {label}").focus()
            for key in keys:
                page.keyboard.press(key)
        assert_equal(events_of(page), moved, f"{where}, thresholds moved")
        page.close()
