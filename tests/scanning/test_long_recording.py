# SPDX-License-Identifier: Apache-2.0
"""One recording of hours in a scan: killed in the middle, it continues; it gives signs of life; memory stays flat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auricle.api import load
from auricle.audio.listing import Entry
from auricle.cli.progress import Meter
from auricle.scanning.pulse import Pulse
from auricle.scanning.workers import work_in_processes

#: Runs the command with a mark after so many seconds; 0 is after every block.
COMMAND = """
import sys
from auricle.scanning import scan
scan.EVERY_S = {every_s}
from auricle.cli.main import run
sys.argv = ["auricle", *sys.argv[1:]]
if __name__ == "__main__":
    run()
"""
MODEL = "esc10"
RATE = 16_000
#: Low, so that noise has events to compare.
THRESHOLD = 0.02


def write_noise(path: Path, minutes: int) -> None:
    """Write bursts of noise, a minute that differs from the one before."""
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="RF64") as file:
        for minute in range(minutes):
            rng = np.random.default_rng(minute)
            level = np.repeat(rng.uniform(0, 0.5, 60) ** 2, RATE)
            file.write((level * rng.standard_normal(len(level))).astype(np.float32))


def detect(folder: Path, path: Path, *words: str, every_s: float = 0.0) -> subprocess.Popen[bytes]:
    script = folder.parent / "command.py"
    script.write_text(COMMAND.format(every_s=every_s))
    words = ("--model", MODEL, "--threshold", str(THRESHOLD), "--out", str(folder), *words)
    command = [sys.executable, str(script), "detect", str(path), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def marks_of(folder: Path) -> list[Path]:
    return list((folder / "journal" / "bookmarks").glob("*.npz"))


def test_a_kill_in_the_middle_of_a_recording_costs_nothing(tmp_path):
    path, folder = tmp_path / "long.wav", tmp_path / "out"
    write_noise(path, 4)
    process = detect(folder, path)
    deadline = time.monotonic() + 60
    while not marks_of(folder) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert marks_of(folder), "it was killed before its first mark"
    assert (folder / "journal" / "records").read_bytes() == b"", "it was done before it was killed"
    process = detect(folder, path, "--resume")
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 0, said
    (line,) = (folder / "events.jsonl").read_text().splitlines()
    expected = load(MODEL).detect(str(path), threshold=THRESHOLD).to_dict()
    assert len(expected["events"]) > 5
    assert json.loads(line) == expected
    assert not (folder / "journal" / "bookmarks").exists()


def open_slow_work():
    """Work that takes a second and gives signs of life, or none where the name says so."""
    from auricle.scanning.pulse import tell_pulse

    def work(entry: Entry) -> dict[str, object]:
        for tenth in range(20):
            time.sleep(0.1)
            if entry.path != "dead":
                tell_pulse(tenth, 20.0)
        return {"path": entry.path, "error": None}

    return work


def test_a_long_recording_is_not_late_while_it_gets_on():
    pulses: list[tuple[str, Pulse]] = []
    pieces = iter([(0, Entry("long")), (1, Entry("dead"))])
    found = dict(
        work_in_processes(
            partial(open_slow_work), pieces, jobs=1, timeout_s=1.2, on_pulse=lambda e, p: pulses.append((e.path, p))
        )
    )
    assert found[0]["error"] is None
    assert found[1]["error"]["code"] == "timeout"
    assert {name for name, _ in pulses} == {"long"}
    assert 1 <= len(pulses) <= 4
    assert pulses[0][1].total_s == 20.0


@pytest.mark.parametrize(
    ("total_s", "expected"),
    [
        (86_400.0, "events: 3 h 0 min of 24 h 0 min scored, about 3 min 30 s left\n"),
        (None, "events: 3 h 0 min scored\n"),
    ],
)
def test_progress_within_a_recording_is_a_line_now_and_then(capsys, total_s, expected):
    now = [0.0]
    with Meter("events", clock=lambda: now[0]) as meter:
        for hour in range(5):
            now[0] = 10.0 * hour
            meter.show_seconds(3_600.0 * hour, total_s)
    assert capsys.readouterr().err == expected


@pytest.mark.slow
def test_a_day_is_detected_in_the_memory_of_an_hour_and_goes_on_after_a_kill(tmp_path):
    """24 h as RF64: 2.8 GB on the disk while it runs; some minutes."""
    day, hour = tmp_path / "day.wav", tmp_path / "hour.wav"
    write_noise(day, 24 * 60)
    write_noise(hour, 60)
    watched = [sys.executable, "-I", "-S", str(Path(__file__).parents[2] / "benchmarks" / "watched.py")]
    peaks = {}
    for path in (hour, day):
        command = [*watched, sys.executable, "-m", "auricle", "detect", str(path), "--model", MODEL, "--format", "csv"]
        done = subprocess.run(command, capture_output=True, check=True)
        peaks[path.stem] = json.loads(done.stdout)["peak_mb"]
    assert peaks["day"] <= 1.05 * peaks["hour"]
    process = detect(tmp_path / "out", day, every_s=10)
    time.sleep(60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    process = detect(tmp_path / "out", day, "--resume", every_s=10)
    process.communicate()
    assert process.returncode == 0
    (line,) = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    assert json.loads(line) == load(MODEL).detect(str(day), threshold=THRESHOLD).to_dict()
