# SPDX-License-Identifier: Apache-2.0
"""The studio's loop in a browser, and a day of sound in it: how long each step takes.

A folder is made of 200 clips of ESC-10 and a recording of 20 minutes in which others of its clips lie between quiet
noise; the studio is served, and Debian's Chromium does what a user does: five examples of dogs are marked, similar
windows searched and judged by keys, a model taught, its questions answered, all recordings detected, detections
reviewed, a threshold set, cut-outs and labels written. The true classes answer the questions. Then a recording of
24 h (noise of changing level) is opened, zoomed and played.

    AURICLE_SHARED=... python -m benchmarks.studio [--skip-day] [--day FOLDER] [--pictures DIR] [--quick]

--day measures the day alone again, in a folder with a ``day.wav`` of 24 h, and keeps the other figures.

Figures go to docs/results/studio.json and docs/results/studio.md; with --quick nothing is written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

from auricle.audio.decode import read_audio
from auricle.files import atomic_write, read_json, write_json
from benchmarks.day import write_long
from benchmarks.machine import describe
from benchmarks.page import RESULTS, machine_line, table

RATE = 16_000
CLIPS, MINUTES, SEED = 200, 20, 0
CLASS = "dog"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
WAIT_S = 300
#: Zooms in and out by the wheel, once before each picture of the screen.
ZOOM = """async (seconds) => {
  const stage = document.getElementById("stage"), box = stage.getBoundingClientRect();
  const times = [], begin = performance.now();
  return await new Promise((resolve) => {
    const step = (now) => {
      times.push(now);
      if (now - begin > 1000 * seconds) {
        const gaps = times.slice(1).map((time, i) => time - times[i]).sort((a, b) => a - b);
        const at = (share) => gaps[Math.floor(share * (gaps.length - 1))];
        const rate = (1000 * gaps.length) / (times.at(-1) - times[0]);
        return resolve({ frames_a_second: rate, median_ms: at(0.5), p95_ms: at(0.95), worst_ms: at(1) });
      }
      const deltaY = Math.floor(times.length / 60) % 2 ? 60 : -60;
      const where = { clientX: box.left + 0.4 * box.width, clientY: box.top + 50, bubbles: true, cancelable: true };
      stage.dispatchEvent(new WheelEvent("wheel", { deltaY, ctrlKey: true, ...where }));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
}"""
#: Columns of the spectrogram that are not of one colour.
DRAWN = """(() => {
  const canvas = document.getElementById("picture"), pen = canvas.getContext("2d");
  const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0;
  for (let x = 0; x < width; x += 8) {
    const seen = new Set();
    for (let y = 0; y < height; y += 4) seen.add(data[4 * (y * width + x)]);
    if (seen.size > 3) drawn++;
  }
  return drawn / Math.ceil(width / 8);
})()"""


def make_folder(folder: Path) -> tuple[dict[str, str], list[tuple[float, float, str]]]:
    """Write clips and ``night.flac``; returns the class of each clip, and what lies where in the recording."""
    root = Path(os.environ["AURICLE_SHARED"]) / "data" / "esc10"
    files = sorted(root.glob("*/*.ogg"))
    rng = random.Random(SEED)
    rng.shuffle(files)
    (folder / "clips").mkdir(parents=True)
    for file in files[:CLIPS]:
        shutil.copy(file, folder / "clips" / file.name)
    night = 0.003 * np.random.default_rng(SEED).standard_normal(MINUTES * 60 * RATE, dtype=np.float32)
    truth, at, rest = [], 4.0, files[CLIPS:]
    while at < MINUTES * 60 - 15:
        file = rest[len(truth) % len(rest)]
        sound = 0.5 * read_audio(file, sample_rate=RATE).samples[: 5 * RATE]
        first = int(at * RATE)
        night[first : first + len(sound)] += sound
        truth.append((at, at + len(sound) / RATE, file.parent.name))
        at += len(sound) / RATE + rng.uniform(3, 12)
    soundfile.write(folder / "night.flac", night.clip(-1, 1), RATE, subtype="PCM_16")
    return {file.name: file.parent.name for file in files[:CLIPS]}, truth


class Server:
    """``auricle studio`` over a folder, as a process."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "auricle", "studio", str(folder), "--no-browser", "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "http://" in line:
                self.url = line[line.index("http://") :].split()[0].rstrip(".,;")
                break

    def state(self) -> Any:
        with urllib.request.urlopen(f"{self.url}v1/studio", timeout=60) as reply:
            return json.load(reply)

    def memory_mb(self) -> float:
        return memory_mb([self.process.pid])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def memory_mb(pids: list[int]) -> float:
    """Return the resident memory of processes, in MB."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def renderers() -> list[int]:
    """Return the processes of the browser that render pages of this run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"--type=renderer" in path.read_bytes() and is_ours(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


def is_ours(pid: int) -> bool:
    """Tell whether a process descends from this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


class Visitor:
    """A page, and how long what is done in it takes."""

    def __init__(self, page: Any, pictures: Path | None) -> None:
        self.page = page
        self.pictures = pictures
        self.times: dict[str, float] = {}

    def until(self, expression: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(20)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.times[name] = round(time.monotonic() - begin, 2)
        print(name, self.times[name], file=sys.stderr, flush=True)

    def picture(self, name: str, *, whole: bool = False) -> None:
        if self.pictures is not None:
            self.page.wait_for_timeout(1500)
            self.page.screenshot(path=self.pictures / f"{name}.png", full_page=whole)

    def open(self, name: str) -> None:
        self.page.fill("#recordings-find", name)
        self.page.click(".recording")
        self.until(f"document.getElementById('recording-title').textContent.endsWith({json.dumps(name)})")
        self.page.fill("#recordings-find", "")

    def mark(self, first: float, last: float, name: str) -> None:
        """Drag over shares of the width, and name it."""
        page, box = self.page, self.page.locator("#track").bounding_box()
        page.mouse.move(box["x"] + first * box["width"], box["y"] + 120)
        page.mouse.down()
        page.mouse.move(box["x"] + last * box["width"], box["y"] + 120, steps=5)
        page.mouse.up()
        page.wait_for_selector("#naming[open]")
        page.fill("#naming-name", name)
        page.keyboard.press("Enter")
        page.wait_for_selector("#naming:not([open])", state="attached")

    def judge(self, count: int, truth: Any) -> int:
        """Judge windows by keys; returns how many there were."""
        for done in range(count):
            item = self.page.evaluate("(({ dataset }) => ({ ...dataset }))(document.activeElement)")
            if item.get("verdict") != "":
                return done
            right = truth(item["path"], float(item["onset"]), float(item["offset"]), item["label"])
            self.page.keyboard.press("y" if right else "n")
        return count

    def saved(self) -> None:
        self.until("!Object.keys(localStorage).some((key) => key.startsWith('auricle.studio.outbox'))")


def walk(visitor: Visitor, clips: dict[str, str], night: list[tuple[float, float, str]]) -> dict[str, Any]:
    """Do the loop; returns what came out."""
    page, until, timed = visitor.page, visitor.until, visitor.timed

    def truth(path: str, onset: float, offset: float, label: str) -> bool:
        name = path.rsplit("/", 1)[-1]
        return clips.get(name) == label or (
            name == "night.flac" and any(c == label and a < offset and onset < b for a, b, c in night)
        )

    with timed("five examples, marked and named"):
        for name in [name for name, label in clips.items() if label == CLASS][:5]:
            visitor.open(name)
            visitor.mark(0.01, 0.4, CLASS)
        until("document.querySelector('#classes .yes')?.textContent === '✓ 5'")
    visitor.picture("find")
    with timed("search"):
        page.click("#search")
        page.wait_for_selector("#grid li:focus")
    with timed("20 verdicts by keys, saved"):
        visitor.judge(20, truth)
        visitor.saved()
    visitor.picture("search", whole=True)
    page.click("#tab-teach")
    with timed("teach, and the queue"):
        page.click("#teach")
        until("!document.getElementById('teach').disabled")
        page.wait_for_selector("#grid li:focus")
    visitor.picture("queue")
    with timed("20 verdicts on the queue"):
        visitor.judge(20, truth)
        visitor.saved()
    with timed("teach again"):
        page.click("#teach")
        until("!document.getElementById('teach').disabled")
    page.click("#tab-review")
    with timed(f"detect in {CLIPS} clips and {MINUTES} minutes"):
        page.click("#detect")
        page.wait_for_timeout(300)
        until("!document.getElementById('detect').disabled")
        page.wait_for_selector("#grid li")
    page.focus("#grid li[aria-selected=true]")
    with timed("40 verdicts on detections"):
        reviewed = visitor.judge(40, truth)
        visitor.saved()
    page.click("#tab-teach")
    with timed("teach on the false alarms"):
        page.click("#teach")
        until("!document.getElementById('teach').disabled")
    page.click("#tab-review")
    with timed("detect again"):
        page.click("#detect")
        page.wait_for_timeout(300)
        until("!document.getElementById('detect').disabled")
        page.wait_for_timeout(500)
    page.focus("#grid li[aria-selected=true]")
    reviewed += visitor.judge(60, truth)
    visitor.saved()
    with timed("tune"):
        page.click("#tune")
        until("document.getElementById('tuned').textContent !== ''")
    page.wait_for_timeout(1000)
    tuned = page.inner_text("#tuned")
    page.evaluate("scrollTo(0, 0)")
    visitor.picture("review")
    page.click("#tab-use")
    with timed("cut-outs"):
        page.click("#cutouts-form button")
        until("document.getElementById('cutouts-done').textContent.includes(' in ')")
    with timed("export, four formats"):
        for name in ("csv", "raven", "audacity", "json"):
            with page.expect_download():
                page.click(f"#step-use [data-format={name}]")
    visitor.picture("use")
    return {"reviewed": reviewed, "tuned": tuned, "cutouts": page.inner_text("#cutouts-done").split(" in ")[0]}


def look_at_a_day(visitor: Visitor, server: Server) -> dict[str, Any]:
    """Open, zoom and play 24 h."""
    page = visitor.page
    page.click("#tab-find")
    memory = {"server": [server.memory_mb()], "tab": [memory_mb(renderers())]}
    page.fill("#recordings-find", "day.wav")
    with visitor.timed("24 h: first picture"):
        page.click(".recording")
        visitor.until("document.getElementById('recording-title').textContent === 'day.wav'")
        visitor.until(f"{DRAWN} > 0.1")
    with visitor.timed("24 h: whole picture, after that"):
        visitor.until(f"{DRAWN} > 0.98")
    visitor.picture("day")
    zooms = []
    for _ in range(5):
        zooms.append(page.evaluate(ZOOM, 4))
        print(zooms[-1], file=sys.stderr)
        memory["server"].append(server.memory_mb())
        memory["tab"].append(memory_mb(renderers()))
    page.focus("#track")
    with visitor.timed("24 h: sound plays at a place never heard"):
        page.keyboard.press("End")
        page.keyboard.press("PageDown")
        before = page.inner_text("#clock")
        page.keyboard.press("Space")
        visitor.until(f"document.getElementById('clock').textContent !== {json.dumps(before)}")
    return {"zooms": zooms, "memory_mb": {name: [round(v) for v in values] for name, values in memory.items()}}


@contextlib.contextmanager
def visiting(pictures: Path | None) -> Iterator[Visitor]:
    """Start the browser with an empty page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        context.set_default_timeout(1000 * WAIT_S)
        context.add_init_script("localStorage.setItem('auricle.studio.teach-every', '0')")
        yield Visitor(context.new_page(), pictures)
        browser.close()


def measure_day(visitor: Visitor, folder: Path) -> dict[str, Any]:
    """Return the figures of ``day.wav`` in a folder."""
    server = Server(folder)
    visitor.page.goto(server.url)
    visitor.until("document.documentElement.dataset.ready === 'yes'")
    found = look_at_a_day(visitor, server)
    server.stop()
    return {**found, "machine": describe()}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return all figures."""
    clips, night = make_folder(folder / "yard")
    server = Server(folder / "yard")
    begin = time.monotonic()
    while len(set(server.state()["indexed"].values())) > 1:
        time.sleep(0.5)
    found: dict[str, Any] = {"indexed_s": round(time.monotonic() - begin, 1)}
    with visiting(options.pictures) as visitor:
        with visitor.timed("the page opens"):
            visitor.page.goto(server.url)
            visitor.until("document.documentElement.dataset.ready === 'yes'")
        found["loop"] = walk(visitor, clips, night)
        server.stop()
        if not options.skip_day:
            (folder / "day").mkdir()
            write_long(folder / "day" / "day.wav", 20 if options.quick else 24 * 60)
            found["day"] = measure_day(visitor, folder / "day")
    return {**found, "times_s": visitor.times, "machine": describe()}


def page_of(found: dict[str, Any]) -> str:
    """Return docs/results/studio.md."""
    loop, day = found["loop"], found.get("day")
    parts = [
        "<!-- Written by benchmarks/studio.py: measure again, do not edit. -->\n\n# The studio\n\n"
        f"`auricle studio` over {CLIPS} clips of ESC-10 and a recording of {MINUTES} minutes made of others of its "
        f"clips, in Debian's Chromium; the true classes answer every question (class `{CLASS}`, seed {SEED}). "
        f"Reading all sound once took {found['indexed_s']:g} s, in the background.\n\n",
        table(("step", "s"), [(name, f"{value:g}") for name, value in found["times_s"].items()]),
        f"\nAfter {loop['reviewed']} verdicts on detections: {loop['tuned']}. Cut-outs: {loop['cutouts']}.\n",
    ]
    if day:
        rates = sorted(zoom["frames_a_second"] for zoom in day["zooms"])
        slowest, middle = rates[0], rates[len(rates) // 2]
        p95 = max(zoom["p95_ms"] for zoom in day["zooms"])
        spelled = {name: ", ".join(map(str, values)) for name, values in day["memory_mb"].items()}
        parts.append(
            f"\nA recording of 24 h, zoomed in and out by the wheel for {len(day['zooms'])} times 4 s: at least "
            f"{slowest:.0f} frames a second, {middle:.0f} in the middle; 95 % of the frames came within {p95:.0f} ms. "
            f"Memory in MB before "
            f"it was opened and after each zoom: server {spelled['server']}; tab {spelled['tab']}. "
            f"Meanwhile the server computed the vectors of the day. {machine_line(day['machine'])}\n"
        )
    return "".join(parts) + f"\n{machine_line(found['machine'])}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-day", action="store_true", help="leave out the recording of 24 h")
    parser.add_argument("--day", type=Path, metavar="FOLDER", help="measure only the day.wav in it")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of each step")
    parser.add_argument("--quick", action="store_true", help="write nothing; the day has 20 minutes")
    options = parser.parse_args()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    if options.day is not None:
        found = read_json(RESULTS / "studio.json")
        with visiting(options.pictures) as visitor:
            found["day"] = measure_day(visitor, options.day)
        found["times_s"].update(visitor.times)
    else:
        with TemporaryDirectory() as folder:
            found = measure(options, Path(folder))
    print(json.dumps(found))
    if not options.quick:
        write_json(RESULTS / "studio.json", found)
        atomic_write(RESULTS / "studio.md", page_of(found).encode())


if __name__ == "__main__":
    main()
