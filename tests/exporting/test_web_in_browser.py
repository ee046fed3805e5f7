# SPDX-License-Identifier: Apache-2.0
"""The site in a real browser: the same windows, scores and events as in Python, and nothing leaves it."""

from __future__ import annotations

import functools
import json
import shutil
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import spec_values

from auricle import api
from auricle.errors import UsageError
from auricle.exporting.web import RUNTIME_URL, _fetch
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import Outputs
from auricle.runtime.spec import BundleSpec

pytestmark = pytest.mark.browser

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
#: Between the browser's and Python's scores.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "engine.tgz"
    try:
        path.write_bytes(_fetch(RUNTIME_URL))
    except UsageError as error:
        pytest.skip(error.message)
    return path


@pytest.fixture(scope="module")
def site(package, tmp_path_factory) -> Path:
    """The site of the built-in model."""
    folder = tmp_path_factory.mktemp("site") / "esc10"
    api.export_site("esc10", folder, tarball=package)
    return folder


@pytest.fixture
def serve():
    """Serve a folder on this machine: ``serve(folder) -> address``."""
    servers = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def start(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def browse():
    """Open a page: ``browse(address, *flags) -> page``; what goes wrong in it, or leaves it, fails the test."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; apt install chromium")
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as play:

        def start(address: str, *flags: str):
            browser = play.chromium.launch(executable_path=chromium, args=[*FLAGS, *flags])
            page = browser.new_context(permissions=["microphone"]).new_page()
            page.on("console", lambda message: wrong.append(message.text) if message.type != "verbose" else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on(
                "request",
                lambda request: (
                    None
                    if request.method == "GET" and request.url.startswith((address, f"blob:{address}", "data:"))
                    else wrong.append(f"{request.method} {request.url}")
                ),
            )
            page.goto(address)
            page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
            return page

        yield start
    assert wrong == []


@pytest.fixture(scope="module")
def barks(shared, tmp_path_factory) -> Path:
    """Seven seconds of a dog at the model's rate: more than one window."""
    from auricle.audio.decode import read_audio

    rate = api.load("esc10").spec.sample_rate
    samples = read_audio(sorted((shared / "data/esc10/dog").glob("5-*"))[0], sample_rate=rate).samples
    path = tmp_path_factory.mktemp("barks") / "barks.wav"
    soundfile.write(path, np.resize(samples, 7 * rate), rate, subtype="PCM_16")
    return path


def score(page, path: Path) -> dict:
    """Return the JSON that the page offers for a recording, with the clip scores of the first labels."""
    page.set_input_files("#file", str(path))
    page.wait_for_selector("#result:visible", timeout=120_000)
    page.wait_for_selector("#work[hidden]", state="attached", timeout=60_000)
    with page.expect_download() as download:
        page.click("[data-format=json]")
    return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))


def test_offline_the_browser_says_what_python_says(browse, serve, site, barks):
    page = browse(serve(site))
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
    found = score(page, barks)
    detector = api.load("esc10")
    tagged, detected = detector.tag(barks).to_dict(), detector.detect(barks).to_dict()
    assert found["tags"][0]["label"] == "dog"
    assert_close(found, tagged, detected)
    with page.expect_download() as download:
        page.click("[data-format=audacity]")
    rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert [row.split("\t")[2] for row in rows] == [e["label"] for e in detected["events"]]
    page.locator("#events tbody button").first.click()
    deadline = time.monotonic() + 20
    while page.evaluate("document.getElementById('audio').currentTime") <= found["events"][0]["onset"]:
        assert time.monotonic() < deadline, "an event plays from where it begins"


def assert_close(found: dict, tagged: dict, detected: dict) -> None:
    expected = {s["label"]: s["score"] for s in tagged["scores"]}
    assert len(found["tags"]) == min(5, len(expected))
    assert max(abs(s["score"] - expected[s["label"]]) for s in found["tags"]) < TOLERANCE
    assert min(s["score"] for s in found["tags"]) > sorted(expected.values())[-len(found["tags"])] - TOLERANCE
    assert found["duration"] == tagged["duration"]
    assert [e["label"] for e in found["events"]] == [e["label"] for e in detected["events"]] != []
    for a, b in zip(found["events"], detected["events"], strict=True):
        assert (a["onset"], a["offset"]) == (b["onset"], b["offset"])
        assert abs(a["score"] - b["score"]) < TOLERANCE


def test_windows_with_margins_and_527_classes_give_the_events_of_python(browse, serve, package, shared, tmp_path):
    """The built-in model over half a minute: three windows, of which the page fetches all classes."""
    from auricle.audio.decode import read_audio

    api.export_site("general", tmp_path / "site", tarball=package)
    clips = [sorted((shared / "data/esc10" / name).glob("5-*"))[0] for name in ("dog", "rooster", "rain", "sneezing")]
    samples = np.concatenate([np.resize(read_audio(c, sample_rate=16_000).samples, 7 * 16_000) for c in clips])
    path = tmp_path / "scene.wav"
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    page = browse(serve(tmp_path / "site"))
    page.set_input_files("#file", str(path))
    page.wait_for_selector("#result:visible", timeout=120_000)
    page.wait_for_selector("#work[hidden]", state="attached", timeout=60_000)
    detector = api.load("general")
    expected = detector.detect(path).events
    page.click("#filter summary")
    for label in dict.fromkeys(event.label for event in expected):
        page.fill("#filter-find", label)
        page.get_by_role("checkbox", name=label).first.check()
    with page.expect_download() as download:
        page.click("[data-format=json]")
    found = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert_close(found, detector.tag(path).to_dict(), detector.detect(path).to_dict())


def test_an_imported_model_gives_the_scores_of_python(browse, serve, package, shared, tmp_path):
    """EfficientAT's mn04 with its own front end at 32 kHz: short recordings are repeated, there are no frame scores."""
    from auricle.audio.decode import read_audio

    models = shared / "models"
    labels = models / "audioset_class_labels_indices.csv"
    api.import_model(models / "mn04_as_mAP_432.pt", out=tmp_path / "mn04", labels=labels)
    api.export_site(tmp_path / "mn04", tmp_path / "site", tarball=package)
    clip = sorted((shared / "data/esc10/dog").glob("5-*"))[0]
    samples = read_audio(clip, sample_rate=32_000).samples
    page, detector = browse(serve(tmp_path / "site")), api.load(tmp_path / "mn04")
    for name, length in (("short", len(samples)), ("long", 12 * 32_000)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.resize(samples, length), 32_000, subtype="PCM_16")
        found, expected = score(page, path), {s.label: s.score for s in detector.tag(path).scores}
        assert found["tags"][0]["label"] in ("Animal", "Dog")
        assert max(abs(s["score"] - expected[s["label"]]) for s in found["tags"]) < TOLERANCE


def test_the_8_bit_form_says_the_same_as_in_python(browse, serve, package, barks, tmp_path):
    from auricle.runtime.model_names import resolve_model

    model = shutil.copytree(resolve_model("esc10"), tmp_path / "model")
    api.export_int8(model)
    api.export_site(model, tmp_path / "site", precision="int8", tarball=package)
    detector = api.load(model, precision="int8")
    assert_close(
        score(browse(serve(tmp_path / "site")), barks), detector.tag(barks).to_dict(), detector.detect(barks).to_dict()
    )


def test_a_recording_of_another_rate_is_heard_and_no_recording_is_said(browse, serve, site, shared, tmp_path):
    page = browse(serve(site))
    clip = sorted((shared / "data/esc10/rooster").glob("5-*"))[0]
    found = score(page, clip)
    expected = {s["label"]: s["score"] for s in api.load("esc10").tag(clip).to_dict()["scores"]}
    assert max(abs(s["score"] - expected[s["label"]]) for s in found["tags"]) < 0.1, "another resampler"
    (tmp_path / "text.wav").write_text("no sound")
    page.set_input_files("#file", str(tmp_path / "text.wav"))
    page.wait_for_selector("#problem:visible")
    assert "this browser cannot decode text.wav" in page.inner_text("#problem")


def test_the_microphone_is_heard_live(browse, serve, site, barks):
    flags = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    page = browse(serve(site), *flags, f"--use-file-for-fake-audio-capture={barks}")
    page.click("#listen")
    page.locator("#events tbody tr", has_text="dog").first.wait_for(timeout=60_000)
    assert page.is_visible("#stop"), "the event came while the microphone was on"
    page.click("#stop")
    page.wait_for_selector("#live", state="hidden")
    assert page.inner_text("#title") == "What was recorded"
    assert "…" not in page.inner_text("#events"), "what had begun has ended"


# --- the rules, branch by branch

CASES = {
    "mean": {"task": "single", "aggregate": "mean"},
    "max": {"aggregate": "max"},
    "mean_logit": {"aggregate": "mean_logit"},
    "mean_logit of shares": {"task": "single", "aggregate": "mean_logit"},
    "mean_logit with none": {"task": "single", "aggregate": "mean_logit", "negatives": True},
    "repeat": {"pad": "repeat", "window_s": 0.73, "hop_s": 0.31, "min_samples": 90},
    "margins": {"window_s": 1.6, "hop_s": 1.0, "margin_s": 0.3, "min_samples": 100},
    "no frames": {"frames": None, "window_s": 1.0, "hop_s": 0.3},
    "temperature": {"calibration": {"method": "temperature", "temperature": 1.7}},
    "temperature of shares": {
        "task": "single",
        "negatives": True,
        "calibration": {"method": "temperature", "temperature": 0.6},
    },
    "logistic": {"calibration": {"method": "logistic", "scale": [0.8, 1.3], "bias": [0.2, -0.4]}},
    "likelihood ratio": {
        "task": "single",
        "labels": ("bonafide", "spoof"),
        "thresholds": {"bonafide": 0.5, "spoof": 0.5},
        "calibration": {"method": "llr", "scale": 0.7, "offset": -0.4, "prior_spoof": 0.2},
    },
    "post-processing": {
        "postprocess": {"median_s": 0.5, "off_ratio": 0.6, "min_event_s": 0.2, "max_gap_s": 0.1},
        "thresholds": {"loud": 0.4, "quiet": 0.6},
    },
    "post-processing by label": {
        "postprocess": {"median_s": 0.5, "medians_s": {"quiet": 0.3}, "off_ratio": 0.6, "off_ratios": {"loud": 0.9}},
        "thresholds": {"loud": 0.4, "quiet": 0.6},
    },
}


class Scripted:
    """A network whose scores are a plain function of its window, the same in both languages."""

    outputs = frozenset({"clip", "frames"})
    running = None

    def run(self, windows, wanted=frozenset()):
        hop = 100
        frames = np.stack(
            [[[abs(w[i * hop + 7]), 0.9 * (1 - abs(w[i * hop + 31]))] for i in range(len(w) // hop)] for w in windows]
        ).astype(np.float32)
        return Outputs((frames.mean(axis=1) * 0.5).astype(np.float32), frames if "frames" in wanted else None)


SCRIPT = """async ({ spec, samples }) => {
  const rules = await import("./rules.js"), { findEvents } = await import("./engine.js");
  const windows = rules.cutWindows(Float32Array.from(samples), spec), hop = 100;
  const frames = windows.map((w) => Array.from({ length: Math.floor(w.length / hop) }, (_, i) =>
    [Math.fround(Math.abs(w[i * hop + 7])), Math.fround(0.9 * (1 - Math.abs(w[i * hop + 31])))]));
  const clips = frames.map((rows) => [0, 1].map((c) => 0.5 * rows.reduce((a, r) => a + r[c], 0) / rows.length));
  const flat = frames.map((rows) => Float32Array.from(rows.flat()));
  const { times, columns } = rules.joinFrames(spec.frames ? flat : null, clips, samples.length, spec);
  const clip = rules.calibrate(rules.aggregate(clips, spec), spec);
  return { clip, columns: columns.map((column) => Array.from(column)), times: Array.from(times),
           events: findEvents(columns, samples.length / spec.sample_rate, spec) };
}"""


def test_the_rules_are_those_of_python(browse, serve, site):
    page = browse(serve(site))
    rng = np.random.default_rng(0)
    for name, changes in CASES.items():
        values = spec_values(**changes)
        spec = BundleSpec(**values)
        detector = Detector(type("B", (), {"spec": spec})(), Scripted())
        for length in (60, 1000, 1049, 1051, 3333):
            level = np.repeat(rng.uniform(0, 1, -(-length // 250)), 250)[:length]
            samples = np.clip(level + 0.1 * rng.standard_normal(length), -1, 1).astype(np.float32)
            found = page.evaluate(SCRIPT, {"spec": spec.model_dump(mode="json"), "samples": samples.tolist()})
            where = f"{name}, {length} samples"
            expected = {s.label: s.score for s in detector.tag(samples, spec.sample_rate).scores}
            np.testing.assert_allclose(
                found["clip"], [expected[label] for label in spec.labels], atol=2e-6, err_msg=where
            )
            frames = detector.frames(samples, spec.sample_rate)
            np.testing.assert_allclose(
                np.reshape(found["columns"], frames.values.T.shape), frames.values.T, atol=2e-6, err_msg=where
            )
            np.testing.assert_allclose(found["times"], frames.times, atol=1e-6, err_msg=where)
            events = detector.detect(samples, spec.sample_rate).events
            assert [e["label"] for e in found["events"]] == [e.label for e in events], where
            times = [(e["onset"], e["offset"], e["score"]) for e in found["events"]]
            np.testing.assert_allclose(
                times, [(e.onset, e.offset, e.score) for e in events] or np.zeros((0,)), atol=2e-6, err_msg=where
            )
