# SPDX-License-Identifier: Apache-2.0
"""What a scan costs for each recording: decoding and resampling alone, and with the model, side by side.

Both run in this process, on one thread, and take turns recording by recording; the figure is processor time, which
other programs on the machine stretch less than the clock on the wall. With --scan, a whole ``auricle tag --out`` with
worker processes is timed too, on hard links of the same recordings.

    python -m benchmarks.scan INPUT... [--model MODEL] [--rounds N] [--scan N --jobs N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from auricle.audio.listing import Entry, Listing
from auricle.files import read_json
from auricle.runtime.detector import load
from auricle.runtime.inputs import open_input
from auricle.scanning.task import Task
from benchmarks.machine import describe, one_thread
from benchmarks.timing import summarise


def side_by_side(paths: list[str], model: str, rounds: int) -> dict[str, object]:
    """Return processor milliseconds for each recording: to decode and resample it, and to tag it."""
    detector = load(model)
    work = Task("tag", model, top=5).work_of(detector)

    def decode(path: str) -> None:
        with open_input(path, None, detector.spec.sample_rate) as reader:
            for _ in reader:
                pass

    seconds: dict[str, list[float]] = {"decode": [], "tag": []}
    calls = {"decode": decode, "tag": lambda path: work(Entry(path))}
    for number in range(-1, rounds):  # the first round warms up
        for path in paths:
            for name in calls if number % 2 else reversed(calls):
                start = time.process_time()
                calls[name](path)
                if number >= 0:
                    seconds[name].append(time.process_time() - start)
    return {name: summarise(values).to_dict() for name, values in seconds.items()}


def whole_scan(paths: list[str], model: str, count: int, jobs: int) -> dict[str, object]:
    """Scan ``count`` hard links of the recordings with the command line; return what its summary says."""
    with tempfile.TemporaryDirectory(dir=Path(paths[0]).parent.parent) as folder:
        archive = Path(folder) / "archive"
        archive.mkdir()
        for i in range(count):
            path = Path(paths[i % len(paths)])
            os.link(path, archive / f"{i:06d}{path.suffix}")
        command = [sys.executable, "-m", "auricle", "tag", str(archive), "--model", model, "--jobs", str(jobs)]
        subprocess.run([*command, "--out", f"{folder}/out", "--quiet"], check=True)
        return {"jobs": jobs, **read_json(f"{folder}/out/summary.json")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="recordings: folders, files, patterns")
    parser.add_argument("--model", default="esc10", help="model folder or name")
    parser.add_argument("--rounds", type=int, default=3, help="how often each recording is measured")
    parser.add_argument("--scan", type=int, default=0, metavar="N", help="also scan N hard links of the recordings")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes of that scan")
    options = parser.parse_args()
    paths = [entry.path for entry in Listing(options.inputs)]
    figures: dict[str, object] = {"recordings": len(paths), **side_by_side(paths, options.model, options.rounds)}
    if options.scan:
        figures["scan"] = whole_scan(paths, options.model, options.scan, options.jobs)
    print(json.dumps({**figures, "machine": describe()}, indent=1))


if __name__ == "__main__":
    one_thread("benchmarks.scan")
    main()
