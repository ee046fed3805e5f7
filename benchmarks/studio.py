# SPDX-License-Identifier: Apache-2.0
"""The studio's loop in a browser, and a day of sound in it: how long each step takes.

A folder is made of 200 clips of ESC-10 and a recording of 20 minutes in which others of its clips lie between quiet
noise; the studio is served, and Debian's Chromium does what a user does: five examples of dogs are marked, similar
windows searched and judged by keys, a model taught, its questions answered, all recordings detected, detections
reviewed, a threshold set, cut-outs and labels written. The true classes answer the questions. Then more verdicts are
given while the server is killed ten times (studio_kills), and a recording of 24 h (noise of changing level) is opened,
zoomed and played (studio_day).

    AURICLE_SHARED=... python -m benchmarks.studio [--skip-day] [--day FOLDER] [--pictures DIR] [--quick]

--day measures the day alone again, in a folder with a ``day.wav`` of 24 h, and keeps the other figures; --skip-day
keeps those of the day.

Figures go to docs/results/studio.json and docs/results/studio.md; with --quick nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import soundfile

from auricle.audio.decode import read_audio
from auricle.files import atomic_write, read_json, write_json
from benchmarks.day import write_long
from benchmarks.machine import describe
from benchmarks.page import RESULTS, machine_line, table
from benchmarks.studio_browser import Server, Visitor, serve_studio, visiting
from benchmarks.studio_day import day_section, measure_day
from benchmarks.studio_kills import measure_kills

RATE = 16_000
CLIPS, MINUTES, SEED = 200, 20, 0
CLASS = "dog"
#: Of the review: verdicts before a threshold is asked for, more before it is asked for again, and how often at most.
REVIEWED, MORE, ROUNDS = 40, 20, 10
#: Answers whether a class is heard in a part of a recording.
Truth: TypeAlias = Callable[[str, float, float, str], bool]


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


def truth_of(clips: dict[str, str], night: list[tuple[float, float, str]]) -> Truth:
    """Return what answers the questions."""

    def truth(path: str, onset: float, offset: float, label: str) -> bool:
        name = path.rsplit("/", 1)[-1]
        return clips.get(name) == label or (
            name == "night.flac" and any(c == label and a < offset and onset < b for a, b, c in night)
        )

    return truth


def walk(visitor: Visitor, server: Server, clips: dict[str, str], truth: Truth) -> dict[str, Any]:
    """Do the loop; returns what came out."""
    page, until, timed = visitor.page, visitor.until, visitor.timed
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
        detect(visitor)
    with timed(f"{REVIEWED} verdicts on detections"):
        reviewed = visitor.judge(REVIEWED, truth)
        visitor.saved()
    page.click("#tab-teach")
    with timed("teach on the false alarms"):
        page.click("#teach")
        until("!document.getElementById('teach').disabled")
    page.click("#tab-review")
    with timed("detect again"):
        detect(visitor)
    answers = []
    for _ in range(ROUNDS):
        with timed("tune"):
            page.click("#tune")
            until("document.getElementById('tuned').textContent !== ''")
        answers.append({"verdicts": reviewed, "answer": page.inner_text("#tuned")})
        more = 0 if answers[-1]["answer"].startswith("Threshold") else visitor.judge(MORE, truth)
        if not more:
            break
        reviewed += more
        visitor.saved()
        page.evaluate("document.getElementById('tuned').textContent = ''")
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
    cutouts = page.inner_text("#cutouts-done").split(" in ")[0]
    return {"reviewed": reviewed, "answers": answers, "cutouts": cutouts, **check(server, truth)}


def detect(visitor: Visitor) -> None:
    """Detect in all recordings, and go to the first detection that has no verdict."""
    visitor.page.click("#detect")
    visitor.until("!document.getElementById('detect').disabled")
    visitor.until(
        "document.querySelector('#grid li') && !document.querySelector('#review-lead').textContent.includes('older')"
    )
    visitor.page.wait_for_timeout(500)
    visitor.page.focus("#grid li[data-verdict='']")


def check(server: Server, truth: Truth) -> dict[str, Any]:
    """Return the threshold, what was said of the precision there, and what is true of all detections from it on."""
    (found,) = [item for item in server.get()["classes"] if item["name"] == CLASS]
    if found["threshold"] is None:
        return {"threshold": None}
    rows = server.get(f"/detections?label={CLASS}&order=score&limit=10000")["detections"]
    kept = [row for row in rows if row["score"] >= found["threshold"]]
    right = sum(truth(row["path"], row["onset"], row["offset"], CLASS) for row in kept)
    return {"threshold": found["threshold"], "precision": found["precision"], "kept": len(kept), "right": right}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return all figures."""
    clips, night = make_folder(folder / "yard")
    server = serve_studio(folder / "yard")
    found: dict[str, Any] = {"indexed_s": round(server.read_all(), 1)}
    with visiting(options.pictures) as visitor:
        with visitor.timed("the page opens"):
            visitor.page.goto(server.url)
            visitor.until("document.documentElement.dataset.ready === 'yes'")
        found["loop"] = walk(visitor, server, clips, truth_of(clips, night))
        found["machine"] = describe()
        server.stop()
        found["kills"] = measure_kills(visitor, folder / "yard", CLASS)
        if not options.skip_day:
            (folder / "day").mkdir()
            write_long(folder / "day" / "day.wav", 20 if options.quick else 24 * 60)
            found["day"] = measure_day(visitor, folder / "day")
    return {**found, "times_s": visitor.times}


def page_of(found: dict[str, Any]) -> str:
    """Return docs/results/studio.md."""
    loop, kills, day = found["loop"], found["kills"], found.get("day")
    rows = [(name, f"{value:g}") for name, value in found["times_s"].items()]
    return (
        "<!-- Written by benchmarks/studio.py: measure again, do not edit. -->\n\n# The studio\n\n"
        f"`auricle studio` over {CLIPS} clips of ESC-10 and a recording of {MINUTES} minutes made of others of its "
        f"clips, in Debian's Chromium; the true classes answer every question (class `{CLASS}`, seed {SEED}). "
        f"Reading all sound once took {found['indexed_s']:g} s, in the background.\n\n"
        f"{table(('step', 's'), rows)}\n{threshold_section(loop)} Cut-outs: {loop['cutouts']}.\n\n"
        f"Then verdicts went on by keys while the server was killed (SIGKILL) {kills['kills']} times at random moments "
        f"and started again; {kills['with_waiting']} times verdicts were waiting in the page. The file holds each of "
        f"the {kills['verdicts']} verdicts that were pressed once, and no other. "
        f"{machine_line(found['machine'])}\n{'' if day is None else day_section(day)}"
    )


def threshold_section(loop: dict[str, Any]) -> str:
    """Say what was answered to the wish for a threshold, and what is true."""
    said = "; ".join(f"after {x['verdicts']} verdicts on detections: “{x['answer']}”" for x in loop["answers"])
    if loop["threshold"] is None:
        return f"The threshold for a precision of 90 %, asked for {said}."
    low, high = (f"{100 * loop['precision'][name]:.0f}" for name in ("low", "high"))
    return (
        f"The threshold for a precision of 90 %, asked for {said}. By the verdicts {low} to {high} % are right there; "
        f"by the true classes {loop['right']} of the {loop['kept']} detections are "
        f"({100 * loop['right'] / max(1, loop['kept']):.0f} %)."
    )


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
        if options.skip_day:
            old = read_json(RESULTS / "studio.json")
            found["day"] = old.get("day")
            found["times_s"].update({name: s for name, s in old["times_s"].items() if name.startswith("24 h")})
    print(json.dumps(found))
    if not options.quick:
        write_json(RESULTS / "studio.json", found)
        atomic_write(RESULTS / "studio.md", page_of(found).encode())


if __name__ == "__main__":
    main()
