# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: a real clip is uploaded, a microphone is heard, labels are downloaded."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.serving import running, wait_for

from auricle.audio.decode import read_audio
from auricle.events.formats import parse_audacity, parse_csv, parse_jsonl, parse_raven
from auricle.runtime.detector import load

pytestmark = pytest.mark.browser

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream"),
    "--use-fake-device-for-media-stream",
]
WAIT_MS = 120_000


@pytest.fixture(scope="module")
def clip(shared):
    """A dog that the built-in model did not learn from: fold 5."""
    return shared / "data" / "esc10" / "dog" / "5-203128-A.ogg"


@pytest.fixture(scope="module")
def server():
    with running(["esc10"], idle_s=60.0, hello_timeout_s=30.0, max_message_bytes=1 << 24, max_audio_s=600.0) as found:
        wait_for(lambda: found.service.state is None, 300)
        yield found


@pytest.fixture(scope="module")
def browser(clip, tmp_path_factory):
    """Debian's Chromium, whose microphone plays two seconds of silence, the clip, and silence again."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed; apt install chromium")
    heard = read_audio(clip, sample_rate=48_000).samples
    quiet = np.zeros(2 * 48_000, np.float32)
    microphone = tmp_path_factory.mktemp("microphone") / "dog.wav"
    soundfile.write(microphone, np.concatenate([quiet, heard, quiet, quiet]), 48_000, subtype="PCM_16")
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags, timeout=WAIT_MS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """The page, freshly loaded; any error of its scripts, and any request to elsewhere, fails the test."""
    context = browser.new_context(permissions=["microphone"], viewport={"width": 1100, "height": 900})
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if complains(message) else None)
    own = (server.url, server.url.replace("http", "ws"), "blob:", "data:")
    page.on("request", lambda request: None if request.url.startswith(own) else wrong.append(request.url))
    page.goto(server.url)
    page.wait_for_selector("#model option", state="attached")
    yield page
    context.close()
    assert wrong == []


def complains(message) -> bool:
    """Tell whether a line of the console is an error; that a request was refused is none of the page."""
    return message.type == "error" and "the server responded with a status of 4" not in message.text


def until(page, expression: str) -> None:
    """Wait for an expression; the page's policy forbids the usual way, which evaluates it inside."""
    for _ in range(WAIT_MS // 50):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def upload(page, clip) -> None:
    page.set_input_files("#file", str(clip))
    page.wait_for_selector("#work[hidden]", state="attached")


def clock(seconds: float, digits: int = 2) -> str:
    """Return a time as the page spells it."""
    minutes, rest = divmod(round(seconds * 10**digits), 60 * 10**digits)
    return f"{minutes}:{rest / 10**digits:0{3 + digits}.{digits}f}"


def table(page) -> list[tuple[str, ...]]:
    """Return sound, from, to and score of every row."""
    return [tuple(row.split("\t")[1:5]) for row in page.locator("#events tbody tr").all_inner_texts()]


def rows_of(events) -> list[tuple[str, ...]]:
    return [(e.label, clock(e.onset), clock(e.offset), f"{e.score:.2f}") for e in events]


def brightness(page) -> float:
    """Return how much of the spectrogram is drawn: the standard deviation of its red channel."""
    return page.evaluate(
        """() => {
          const canvas = document.getElementById("picture");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const red = [...data].filter((_, i) => i % 4 === 0);
          const mean = red.reduce((a, b) => a + b, 0) / red.length;
          return Math.sqrt(red.reduce((a, b) => a + (b - mean) ** 2, 0) / red.length);
        }"""
    )


def test_an_uploaded_clip_shows_its_events_and_plays_them(page, clip):
    upload(page, clip)
    expected = load("esc10").detect(clip).events
    assert any(event.label == "dog" for event in expected)
    assert page.inner_text("#title") == clip.name
    assert table(page) == rows_of(expected)
    assert page.locator("#tags li").first.inner_text().startswith("dog ")
    assert page.locator(".lane").count() >= len({event.label for event in expected})
    assert page.evaluate("document.getElementById('picture').width") > 500
    until(page, "document.getElementById('audio').readyState >= 2")
    page.wait_for_timeout(500)
    assert brightness(page) > 20
    assert page.locator("#pitch span").all_inner_texts()[-1] == "8 kHz"
    page.locator("#events tbody tr button").first.click()
    until(page, f"document.getElementById('audio').currentTime > {expected[0].onset}")
    until(page, "document.getElementById('audio').paused")
    assert page.evaluate("document.getElementById('audio').currentTime") < expected[0].offset + 1


def test_events_follow_a_threshold_by_key_and_by_mouse(page, clip):
    """What the page makes of scores at another threshold is what Python makes of the recording."""
    upload(page, clip)
    detector = load("esc10")
    given = detector.spec.thresholds["dog"]
    bar = page.get_by_role("slider", name="Threshold of dog")
    bar.focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowDown")
    moved = float(bar.get_attribute("aria-valuenow"))
    assert moved == pytest.approx(given + 0.19, abs=2e-3)
    page.wait_for_timeout(100)
    assert table(page) == rows_of(detector.detect(clip, threshold={"dog": moved}).events)
    box = page.locator(".lane", has=bar).locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 200, bar.bounding_box()["y"])
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 0.9 * (box["height"] - 18))
    page.mouse.up()
    low = float(bar.get_attribute("aria-valuenow"))
    assert low == pytest.approx(0.1, abs=0.05)
    page.wait_for_timeout(100)
    assert table(page) == rows_of(detector.detect(clip, threshold={"dog": low}).events)
    bar.focus()
    page.keyboard.press("Escape")
    page.wait_for_timeout(100)
    assert table(page) == rows_of(detector.detect(clip).events)


def test_the_view_zooms_and_scrolls_and_classes_are_chosen(page, clip):
    upload(page, clip)
    assert page.inner_text("#view") == "all of 0:05.0"
    assert page.is_hidden("#overview")
    page.focus("#track")
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert page.inner_text("#view") == "0:00.0 to 0:01.3 of 0:05.0"
    assert page.is_visible("#overview")
    page.keyboard.press("]")
    assert page.inner_text("#view") == "0:00.6 to 0:01.9 of 0:05.0"
    box = page.locator("#picture").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 100 + box["width"] / 2, box["y"] + 50, steps=4)
    page.mouse.up()
    assert page.inner_text("#view") == "0:00.0 to 0:01.3 of 0:05.0"
    page.keyboard.press("0")
    assert page.inner_text("#view") == "all of 0:05.0"
    page.click("#filter summary")
    page.fill("#filter-find", "helic")
    assert page.locator("#filter-list li").count() == 1
    page.check("#filter-list input")
    assert "helicopter" in page.locator(".lane-name").all_text_contents()
    page.fill("#filter-find", "dog")
    page.uncheck("#filter-list input")
    assert "dog" not in [row[0] for row in table(page)]
    page.click("#filter-reset")
    assert "dog" in [row[0] for row in table(page)]


def test_labels_are_downloaded_in_four_formats(page, clip, tmp_path):
    upload(page, clip)
    expected = load("esc10").detect(clip)
    for form, parse in (
        ("audacity", parse_audacity),
        ("csv", parse_csv),
        ("json", parse_jsonl),
        ("raven", parse_raven),
    ):
        with page.expect_download() as download:
            page.click(f"[data-format={form}]")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.name.startswith(f"{clip.stem}.")
        (found,) = parse(path.read_text(encoding="utf-8").splitlines(), "the download")
        pairs = zip(found.events, expected.events, strict=True)
        for event, event_there in pairs:
            assert event.label == event_there.label
            assert event.onset == pytest.approx(event_there.onset, abs=1e-5)
            assert event.offset == pytest.approx(event_there.offset, abs=1e-5)
            assert form == "audacity" or event.score == pytest.approx(event_there.score, abs=1e-5)


def test_a_microphone_is_heard_live(page):
    page.click("#listen")
    page.wait_for_selector("#live:not([hidden])")
    page.locator("#events tbody tr", has_text="dog").first.wait_for()
    assert page.is_visible("#stop"), "the event came while the microphone was on"
    assert brightness(page) > 20, "the spectrogram grows with the sound"
    assert "dog" in page.inner_text("#said")
    assert page.evaluate("Number(document.getElementById('level').getAttribute('aria-valuenow'))") >= -60
    page.click("#stop")
    page.wait_for_selector("#live", state="hidden")
    assert page.inner_text("#title") == "What was recorded"
    assert page.evaluate("document.getElementById('audio').src").startswith("blob:")
    with page.expect_download() as download:
        page.click("[data-format=csv]")
    assert "dog" in Path(download.value.path()).read_text(encoding="utf-8")


def test_the_keyboard_reaches_everything(page, clip):
    upload(page, clip)
    until(page, "document.getElementById('audio').readyState >= 2")
    page.focus("#track")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert float(page.get_attribute("#track", "aria-valuenow")) == 2.0
    page.keyboard.press("Home")
    assert float(page.get_attribute("#track", "aria-valuenow")) == 0.0
    page.focus("body")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.format"))
    assert {"model", "choose", "listen", "play", "track", "zoom-in", "audacity", "raven", "csv", "json"} <= reached


def test_what_is_no_recording_is_said_aloud(page):
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"<html>404</html>"})
    page.wait_for_selector("#problem:not([hidden])")
    text = page.inner_text("[role=alert]")
    assert text.startswith("a.wav cannot be used: ")
    assert "not_audio" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(page, clip, scheme):
    page.emulate_media(color_scheme=scheme)
    upload(page, clip)
    contrasts = page.evaluate(
        """() => {
          const luminance = (c) => c.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const background = (node) => {
            for (; node; node = node.parentElement) {
              const colour = getComputedStyle(node).backgroundColor;
              if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
            }
            return "rgb(255, 255, 255)";
          };
          const names = ["h1", ".hint", ".summary", "th", "td", "#choose", "#listen", ".choice", "footer"];
          return names.map((name) => {
            const node = document.querySelector(name);
            const [a, b] = [luminance(getComputedStyle(node).color), luminance(background(node))].sort((x, y) => y - x);
            return [name, (a + 0.05) / (b + 0.05)];
          });
        }"""
    )
    assert [name for name, contrast in contrasts if contrast < 4.5] == []
    folder = os.environ.get("AURICLE_SCREENSHOTS")
    if folder is not None:
        page.screenshot(path=f"{folder}/page-{scheme}.png")


@pytest.fixture
def guarded(server):
    """A server of the same model that wants a token; its recordings are not scored, for that takes no part here."""
    with running(["esc10"], token="a-token-of-many-characters", max_body_bytes=1 << 26) as found:
        wait_for(lambda: found.service.state is None, 300)
        yield found


def test_the_recording_travels_once_and_nothing_is_said_before_its_results(page, clip):
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    seen = page.evaluate(
        """() => {
          window.seen = [];
          const look = () => window.seen.push([
            !document.getElementById("result").hidden, !document.getElementById("none").hidden,
            document.querySelectorAll("#tags li").length, document.getElementById("work-text").textContent]);
          new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
          return 0;
        }"""
    )
    assert seen == 0
    upload(page, clip)
    states = page.evaluate("window.seen")
    assert len(sent) == 1
    assert "/v1/detect?" in sent[0]
    texts = [text for *_, text in states]
    assert any(text.startswith("Sending") for text in texts)
    assert any(text.startswith("Scoring") for text in texts)
    before = states[: next(i for i, state in enumerate(states) if state[0])]
    assert before, "the result was hidden first"
    assert not any(none or tags for _, none, tags, _ in before)


def test_what_was_found_in_the_last_recording_goes_when_the_next_comes(page, clip):
    upload(page, clip)
    assert page.is_visible("#result")
    page.set_input_files("#file", {"name": "a.wav", "mimeType": "audio/wav", "buffer": b"<html>404</html>"})
    page.wait_for_selector("#problem:not([hidden])")
    assert not page.is_visible("#result")


def test_the_token_is_asked_for_once_and_kept(browser, guarded, clip):
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(guarded.url)
    page.wait_for_selector("#token[open]")
    page.fill("#token input", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token[open]")
    page.fill("#token input", "a-token-of-many-characters")
    page.click("#token button")
    page.wait_for_selector("#model option", state="attached")
    upload(page, clip)
    assert page.locator("#events tbody tr").count() > 0
    page.reload()
    page.wait_for_selector("#model option", state="attached")
    assert not page.is_visible("#token")
    context.close()


def test_a_token_in_the_address_is_not_asked_for_and_does_not_stay_there(browser, guarded):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{guarded.url}/#token=a-token-of-many-characters")
    page.wait_for_selector("#model option", state="attached", timeout=WAIT_MS)
    assert "token" not in page.url
    context.close()


def test_whoever_the_server_refuses_is_not_asked_for_the_microphone(page, server):
    asked = page.evaluate(
        """() => {
          window.asked = 0;
          const media = navigator.mediaDevices, get = media.getUserMedia.bind(media);
          media.getUserMedia = (wanted) => { window.asked += 1; return get(wanted); };
          return window.asked;
        }"""
    )
    assert asked == 0
    page.evaluate("document.getElementById('model').replaceChildren(new Option('nothing', 'nothing', true, true))")
    page.click("#listen")
    page.wait_for_selector("#problem:not([hidden])")
    assert "unknown model" in page.inner_text("#problem")
    assert page.evaluate("window.asked") == 0
    page.evaluate("document.getElementById('model').replaceChildren(new Option('esc10', 'esc10', true, true))")
    page.click("#listen")
    page.wait_for_selector("#live:not([hidden])")
    page.evaluate("document.getElementById('stop').click()")
    page.wait_for_selector("#live", state="hidden")
    assert page.evaluate("window.asked") == 1


@pytest.fixture
def proxy(server):
    """A proxy that hands on what is below /auricle/ and nothing else; ``outside`` holds what else was asked for."""
    outside = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not self.path.startswith("/auricle/"):
                outside.append(self.path)
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {name: value for name, value in self.headers.items() if name not in ("Host", "Origin")}
            with server.client() as client:
                reply = client.request(self.command, self.path.removeprefix("/auricle"), content=body, headers=kept)
            self.send_response(reply.status_code)
            for name in ("content-type", "content-security-policy"):
                if name in reply.headers:
                    self.send_header(name, reply.headers[name])
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_POST = do_GET

        def log_message(self, *_):
            """Be quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running_proxy:
        thread = threading.Thread(target=running_proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{running_proxy.server_address[1]}/auricle/", outside
        running_proxy.shutdown()
        thread.join()


def test_the_page_works_below_a_path_of_a_proxy(browser, proxy, clip):
    address, outside = proxy
    context = browser.new_context()
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    upload(page, clip)
    assert page.locator("#events tbody tr").count() > 0
    assert [path for path in outside if path != "/favicon.ico"] == []
    context.close()
