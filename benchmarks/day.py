# SPDX-License-Identifier: Apache-2.0
"""A day in one file: memory against that of an hour, and the events after a kill in the middle.

A recording of 24 h is made as RF64 (16 kHz, 2.8 GB, deleted afterwards): noise whose level changes, and a minute of
synthetic sounds in every tenth. ``auricle detect`` runs over an hour and over the day, each in a process of its own
whose largest memory the kernel tells. Then the day is scanned with ``--out``, killed in the middle and resumed.

    python -m benchmarks.day [--model MODEL] [--quick] [--resume-only MINUTES]

Figures go to docs/results/day.json and docs/results/day.md. With --quick (20 minutes for the day, 10 for the hour)
nothing is written. --resume-only adds a recording of so many minutes to what was killed and resumed. Scans have a low
threshold, so that there are events to compare.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

from auricle.files import atomic_write, read_json, write_json
from benchmarks.long_file import MINUTE_S, minute_of_sound
from benchmarks.machine import describe
from benchmarks.models import arguments, chosen_model
from benchmarks.page import RESULTS, machine_line, table

RATE = 16_000
COMMAND = [sys.executable, "-m", "auricle", "detect"]
#: Sounds come in every so many minutes; between them is noise.
SOUND_EVERY_MINUTES = 10
#: Of the scans that are killed and compared.
THRESHOLD = "0.05"


def write_long(path: Path, minutes: int) -> None:
    """Write noise of changing level, and sounds now and then."""
    sounds = minute_of_sound(RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="RF64") as file:
        for minute in range(minutes):
            rng = np.random.default_rng(minute)
            noise = rng.standard_normal(MINUTE_S * RATE, dtype=np.float32) * np.float32(0.01 * rng.uniform(0.1, 1))
            file.write(noise if minute % SOUND_EVERY_MINUTES else noise + sounds)


def watched_detect(path: Path, model: str) -> dict[str, float]:
    """Return wall seconds, processor seconds and peak memory in MB of one ``auricle detect``."""
    command = [*COMMAND, str(path), "--model", model, "--format", "csv", "--quiet"]
    watched = [sys.executable, "-I", "-S", str(Path(__file__).with_name("watched.py")), *command]
    return dict(json.loads(subprocess.run(watched, stdout=subprocess.PIPE, check=True).stdout))


def killed_and_resumed(path: Path, model: str, out: Path, after_s: float) -> tuple[list[Any], dict[str, float]]:
    """Scan into ``out``, kill all of it after a time, and continue; returns the events and what that took."""
    command = [*COMMAND, str(path), "--model", model, "--threshold", THRESHOLD, "--out", str(out), "--quiet"]
    process = subprocess.Popen(command, start_new_session=True)
    begun = time.monotonic()
    time.sleep(after_s)
    while not (marks := list((out / "journal" / "bookmarks").glob("*.npz"))) and process.poll() is None:
        time.sleep(0.01)
    after_s = round(time.monotonic() - begun, 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    size = marks[0].stat().st_size if marks else 0
    start = time.monotonic()
    subprocess.run([*command, "--resume"], check=True)
    elapsed_s = time.monotonic() - start
    (line,) = (out / "events.jsonl").read_text(encoding="utf-8").splitlines()
    found = {"killed_after_s": after_s, "mark_bytes": size, "resumed_wall_s": round(elapsed_s, 1)}
    return json.loads(line)["events"], found


def one_go(path: Path, model: str) -> list[Any]:
    """Return the events of ``auricle detect`` without a stop."""
    command = [*COMMAND, str(path), "--model", model, "--threshold", THRESHOLD, "--format", "json", "--quiet"]
    return list(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["events"])


def measure(model: str, minutes: tuple[int, int], folder: Path) -> dict[str, Any]:
    """Return all figures."""
    rows = []
    for length in minutes:
        path = folder / f"{length}.wav"
        write_long(path, length)
        rows.append({"minutes": length, **watched_detect(path, model)})
        print(rows[-1], file=sys.stderr, flush=True)
    resumed = [compare(minutes[1], model, folder)]
    return {"model": model, "rows": rows, "resumed": resumed, "machine": describe()}


def compare(minutes: int, model: str, folder: Path) -> dict[str, Any]:
    """Return how a scan that is killed in the middle and resumed compares with one go."""
    path = folder / f"{minutes}.wav"
    if not path.exists():
        write_long(path, minutes)
    start = time.monotonic()
    whole = one_go(path, model)
    elapsed_s = time.monotonic() - start
    events, found = killed_and_resumed(path, model, folder / "out", 0.6 * elapsed_s)
    return {"minutes": minutes, "events": len(whole), "same_events": events == whole, **found}


def page(found: dict[str, Any]) -> str:
    """Return docs/results/day.md."""
    columns = ("recording", "wall s", "seconds of audio a second", "processor s", "peak memory, MB")
    rows = [
        (
            f"{row['minutes'] / 60:g} h",
            f"{row['wall_s']:g}",
            f"{row['minutes'] * 60 / row['wall_s']:.0f}",
            f"{row['cpu_s']:g}",
            f"{row['peak_mb']:.0f}",
        )
        for row in found["rows"]
    ]
    hour, day = (row["peak_mb"] for row in found["rows"])
    resumed = "".join(
        f"- {run['minutes'] / 60:g} h, killed (SIGKILL, all processes) after {run['killed_after_s']:.0f} s, resumed: "
        f"{'the same' if run['same_events'] else 'OTHER'} {run['events']} events{run.get('note', '')}, "
        f"{run['resumed_wall_s']:g} s from the resumption on. The mark had {run['mark_bytes'] / 1000:.1f} kB.\n"
        for run in found["resumed"]
    )
    return (
        "<!-- Written by benchmarks/day.py: measure again, do not edit. -->\n\n# A day in one file\n\n"
        f"`auricle detect` (model `{found['model']}`) from disk to events, RF64 at 16 kHz, start included.\n\n"
        f"{table(columns, rows)}\n"
        f"The day takes {100 * (day / hour - 1):+.1f} % of the hour's memory more.\n\n"
        f"{resumed}\n{machine_line(found['machine'])}\n"
    )


def main() -> None:
    if "--resume-only" in sys.argv:
        place = sys.argv.index("--resume-only")
        minutes = int(sys.argv[place + 1])
        del sys.argv[place : place + 2]
    else:
        minutes = 0
    options = arguments(__doc__)
    with TemporaryDirectory() as folder, chosen_model(options.model) as model:
        if minutes:
            found = read_json(RESULTS / "day.json")
            found["resumed"].append(compare(minutes, model, Path(folder)))
        else:
            found = measure(model, (10, 20) if options.quick else (60, 24 * 60), Path(folder))
    print(json.dumps(found))
    if not options.quick:
        write_json(RESULTS / "day.json", found)
        atomic_write(RESULTS / "day.md", page(found).encode())


if __name__ == "__main__":
    main()
