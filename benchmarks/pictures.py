# SPDX-License-Identifier: Apache-2.0
"""Pictures of every state of every page: wide, on a phone, light and dark.

    AURICLE_SHARED=... python -m benchmarks.pictures OUT [--only studio|server|report]

OUT gets files named after page, state and form, such as ``studio-search-wide-dark.png``; look at them one by one after
changing markup, styles or drawing. The studio is that of ``benchmarks.studio``: clips of ESC-10 and 20 minutes.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

from auricle import api
from auricle.audio.decode import read_audio
from auricle.reports.detection import detection_page
from auricle.results import Event
from benchmarks.studio import CLASS, Truth, make_folder, truth_of
from benchmarks.studio_browser import Server, Visitor, serve_studio, visiting

FORMS = {
    f"{size}-{scheme}": (width, height, scheme)
    for size, width, height in (("wide", 1280, 900), ("phone", 390, 844))
    for scheme in ("light", "dark")
}
SETTLED_MS = 700
TOKEN = "a-token-of-many-characters"


class Camera:
    """Takes a state of a page in all forms."""

    def __init__(self, page: Any, out: Path, name: str) -> None:
        self.page = page
        self._out = out
        self._name = name

    def take(self, state: str) -> None:
        """Write the pictures of a state; the page is as wide as before afterwards."""
        for form, (width, height, scheme) in FORMS.items():
            self.page.emulate_media(color_scheme=scheme)
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.wait_for_timeout(SETTLED_MS)
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{state}, {form}: {wide} pixels wide"
            self.page.screenshot(path=self._out / f"{self._name}-{state}-{form}.png", full_page=True)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.wait_for_timeout(100)
        print(self._name, state, file=sys.stderr, flush=True)


def studio(visitor: Visitor, camera: Camera, folder: Path, clips: dict[str, str], truth: Truth) -> None:
    """Walk through the studio."""
    server = serve_studio(folder)
    server.read_all()
    page, until = visitor.page, visitor.until
    page.goto(server.url)
    until("document.documentElement.dataset.ready === 'yes'")
    camera.take("empty")
    page.click("#tab-teach")
    camera.take("teach-empty")
    page.click("#tab-review")
    camera.take("review-empty")
    page.click("#tab-use")
    camera.take("use-empty")
    page.click("#tab-find")
    dogs = [name for name, label in clips.items() if label == CLASS]
    visitor.open(dogs[0])
    visitor.drag(0.02, 0.35)
    page.fill("#naming-name", CLASS)
    camera.take("naming")
    page.keyboard.press("Enter")
    for name in dogs[1:5]:
        visitor.open(name)
        visitor.mark(0.01, 0.4, CLASS)
    for name in [name for name, label in clips.items() if label == "rooster"][:3]:
        visitor.open(name)
        visitor.mark(0.05, 0.45, "rooster")
    page.click(f"#classes button:has-text('{CLASS}')")
    visitor.open("night.flac")
    camera.take("marked")
    page.click("#search")
    page.wait_for_selector("#grid li:focus")
    visitor.judge(9, truth)
    page.keyboard.press("u")
    visitor.saved()
    camera.take("search")
    page.context.set_offline(True)
    page.keyboard.press("y")
    until("!document.getElementById('unsaved').hidden")
    camera.take("unsaved")
    page.context.set_offline(False)
    page.evaluate("document.getElementById('unsaved-retry').click()")
    visitor.saved()
    page.click("#tab-teach")
    page.click("#teach")
    until("!document.getElementById('teach').disabled")
    page.wait_for_selector("#grid li:focus")
    visitor.judge(6, truth)
    camera.take("queue")
    page.click("#tab-review")
    page.click("#detect")
    page.wait_for_timeout(3000)
    camera.take("detecting")
    until("!document.getElementById('detect').disabled")
    page.wait_for_selector("#grid li")
    page.focus("#grid li[data-verdict='']")
    visitor.judge(5, truth)
    page.click("#tune")
    until("document.getElementById('tuned').textContent !== ''")
    camera.take("review-refused")
    page.focus("#grid li[data-verdict='']")
    visitor.judge(40, truth)
    page.click("#tune")
    page.wait_for_timeout(1500)
    camera.take("review")
    page.focus("#track")
    page.click("#zoom-in")
    camera.take("review-zoomed")
    page.click("#tab-use")
    page.click("#cutouts-form button")
    until("document.getElementById('cutouts-done').textContent.includes(' in ')")
    camera.take("use")
    server.stop()
    page.click("#tab-find")
    page.click("#search")
    until("!document.getElementById('problem').hidden")
    camera.take("no-server")


def scene_of(clips: dict[str, str], folder: Path, path: Path) -> list[Event]:
    """Write a minute of sounds between quiet noise; returns what lies where."""
    rate, at, rng = 32_000, 1.0, random.Random(0)
    samples = 0.003 * np.random.default_rng(0).standard_normal(60 * rate, dtype=np.float32)
    truth = []
    for name in list(clips)[:20]:
        sound = 0.6 * read_audio(folder / "clips" / name, sample_rate=rate).samples[: 4 * rate]
        if at + 5 > 60:
            break
        samples[int(at * rate) : int(at * rate) + len(sound)] += sound
        truth.append(Event(clips[name], at, at + len(sound) / rate, 1.0))
        at += 4 + rng.uniform(1, 3)
    soundfile.write(path, samples.clip(-1, 1), rate, subtype="PCM_16")
    return truth


def server_page(camera: Camera, recording: Path) -> None:
    """Walk through the page of ``auricle serve``."""
    page = camera.page
    server = Server("serve", "--model", "esc10", "--model", "general", "--port", "0", "--token", TOKEN)
    page.goto(server.url)
    page.wait_for_selector("#token[open]")
    camera.take("token")
    page.fill("#token input", TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    camera.take("start")
    page.set_input_files("#file", str(recording))
    page.wait_for_selector("#result:visible")
    page.wait_for_selector("#work[hidden]", state="attached")
    camera.take("result")
    page.click("#filter summary")
    page.focus("#track")
    for _ in range(3):
        page.keyboard.press("+")
    camera.take("zoomed-filter")
    page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no sound"})
    page.wait_for_selector("#problem:visible")
    camera.take("problem")
    page.click("#listen")
    page.wait_for_selector("#live:visible")
    page.wait_for_timeout(6000)
    camera.take("microphone")
    server.stop()


def report_page(camera: Camera, recording: Path, truth: list[Event], out: Path) -> None:
    """Open a report with the truth."""
    detector = api.load("esc10")
    detection_page(
        out,
        samples=read_audio(recording, sample_rate=16_000).samples,
        sample_rate=16_000,
        scores=detector.frames(recording),
        events=detector.detect(recording).events,
        truth=truth,
        title="What a model detects in a minute of the yard",
        facts={"Model": detector.spec.name, "Classes": str(len(detector.labels))},
        thresholds=detector.spec.thresholds,
        rule=detector.spec.event_rule,
        name=recording.name,
    )
    camera.page.goto(out.as_uri())
    camera.page.wait_for_selector("html[data-ready=yes]", state="attached")
    camera.take("result")


@contextmanager
def camera_of(out: Path, name: str) -> Iterator[tuple[Visitor, Camera]]:
    """Start a browser with a page."""
    flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with visiting(None, flags) as visitor:
        visitor.page.set_viewport_size({"width": 1280, "height": 900})
        yield visitor, Camera(visitor.page, out, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--only", choices=["studio", "server", "report"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips, night = make_folder(folder / "yard")
        truth = scene_of(clips, folder / "yard", folder / "minute.wav")
        if options.only in (None, "report"):
            with camera_of(options.out, "report") as (_, camera):
                report_page(camera, folder / "minute.wav", truth, folder / "report.html")
        if options.only in (None, "server"):
            with camera_of(options.out, "server") as (_, camera):
                server_page(camera, folder / "minute.wav")
        if options.only in (None, "studio"):
            shutil.rmtree(folder / "yard" / ".auricle-studio", ignore_errors=True)
            with camera_of(options.out, "studio") as (visitor, camera):
                studio(visitor, camera, folder / "yard", clips, truth_of(clips, night))


if __name__ == "__main__":
    main()
