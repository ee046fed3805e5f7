# SPDX-License-Identifier: Apache-2.0
"""What turns runs into figures: the timer, the facts about the machine, the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.machine import THREAD_VARIABLES, describe, one_thread
from benchmarks.page import make_page, spell
from benchmarks.timing import Candidate, Timing, summarise, take_turns

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu": "a chip", "cores": 2, "memory_gb": 8, "python": "3.11", "commit": "abc", "date": "now", "load": 0.1}


def timing(median_s: float) -> dict[str, float]:
    return Timing(median_s, 0.9 * median_s, 1.1 * median_s, 7).to_dict()


def test_turns_are_fair_and_the_warm_up_is_not_counted():
    clock = [0.0]
    order = []

    def work(name, seconds):
        order.append(name)
        clock[0] += seconds

    found = take_turns(
        {"slow": Candidate(lambda: work("slow", 2.0)), "fast": Candidate(lambda: work("fast", 0.5), times=2)},
        rounds=2,
        warm_up=1,
        clock=lambda: clock[0],
    )
    assert order == ["fast", "fast", "slow", "slow", "fast", "fast", "fast", "fast", "slow"]
    assert found == {"slow": Timing(2.0, 2.0, 2.0, 2), "fast": Timing(0.5, 0.5, 0.5, 4)}


def test_median_and_quartiles():
    assert summarise([5.0, 1.0, 3.0, 2.0, 4.0]) == Timing(3.0, 2.0, 4.0, 5)
    assert summarise([2.0]) == Timing(2.0, 2.0, 2.0, 1)
    assert Timing(0.123456, 0.1, 0.2, 3).to_dict() == {"median_s": 0.1235, "low_s": 0.1, "high_s": 0.2, "n": 3}


def test_the_machine_is_described_in_words_that_a_page_can_hold():
    found = describe()
    assert {"cpu", "cores", "memory_gb", "python", "numpy", "onnxruntime", "commit", "date", "load"} <= set(found)
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] == os.cpu_count()


def test_a_script_starts_again_with_one_thread_once(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(sys, "argv", ["x", "--quick"])
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    one_thread("benchmarks.tag")
    ((program, words, environment),) = started
    assert (program, words[1:]) == (sys.executable, ["-m", "benchmarks.tag", "--quick"])
    assert {environment[name] for name in THREAD_VARIABLES} == {"1"}
    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "1")
    one_thread("benchmarks.tag")
    assert len(started) == 1


def test_a_small_process_is_not_charged_with_its_large_parent():
    ballast = bytearray(150_000_000)
    watched = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "watched.py")]
    command = [sys.executable, "-I", "-S", "-c", "print('lost'); x = b'1' * 60_000_000"]
    done = subprocess.run([*watched, *command], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout)
    assert 60 < found["peak_mb"] < 120 < len(ballast) / 1e6
    assert 0 <= found["cpu_s"] <= found["wall_s"] + 0.1
    failed = [*watched, sys.executable, "-c", "raise SystemExit(3)"]
    assert subprocess.run(failed, capture_output=True, check=False, timeout=60).returncode == 3


@pytest.mark.parametrize(("unit", "text"), [("ms", "3.2 (2.88 to 3.52)"), ("s", "0.0032 (0.00288 to 0.00352)")])
def test_figures_are_spelled_with_quartiles(unit, text):
    assert spell(timing(0.0032), unit) == text


def test_the_page_has_ratios_and_only_what_was_measured():
    figures = {
        "logmel": {
            "seconds_of_audio": 10,
            "timings": {"training form (torch)": timing(0.001), "librosa": timing(0.005)},
            "largest_difference_from_librosa": {"training form (torch)": 6.1e-6},
            "machine": MACHINE,
        },
        "tag": {
            "model": "esc10",
            "window_s": 5.0,
            "hop_s": 2.5,
            "seconds_of_audio": 10,
            "weights": {"auricle tag": 250_000, "AST (transformers)": 86_600_000},
            "timings": {"auricle tag": timing(0.01), "AST (transformers)": timing(2.5)},
            "machine": MACHINE,
        },
        "long_file": {
            "rows": [{"form": "WAV 16 kHz", "audio_s": 3600, "wall_s": 6.0, "cpu_s": 6.5, "peak_mb": 95.4}],
            "machine": MACHINE,
        },
    }
    page = make_page(figures)
    assert "| training form (torch) | 1 (0.9 to 1.1) | 5.0 | 7 |" in page
    assert "librosa's is 6e-06" in page
    assert "| auricle tag | 0.25 | 10 (9 to 11) | 250 | 7 |" in page
    assert "| WAV 16 kHz, 60 min | 6 | 600 | 6.5 | 95 |" in page
    assert page.count("Measured now at commit abc on a chip, 2 cores, 8 GB, load 0.1; python 3.11.") == 3
    assert "## Start" not in page
    start = make_page({"cold_start": {"timings": {"auricle --help": timing(0.12)}, "machine": MACHINE}})
    assert "| `auricle --help` | 0.12 (0.108 to 0.132) | 7 |" in start
