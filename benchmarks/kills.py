# SPDX-License-Identifier: Apache-2.0
"""A large scan, killed at random: does it end as if nothing had happened?

An archive of hard links of real recordings, one in a hundred of them bad in one of 20 ways (those of the tests of
decoding), is scanned twice: without a break, and with SIGKILL after random times until it is done. Results and
failures of both must be equal byte for byte, and the journal must hold each recording once.

    python -m benchmarks.kills FOLDER [--count 10000] [--jobs 2] [--model MODEL] [--work DIR] [--kill-after A B]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from auricle.audio.listing import Listing
from auricle.errors import FAILURE_CODES
from auricle.files import read_json
from benchmarks.machine import ROOT, describe

sys.path.insert(0, str(ROOT / "tests" / "audio"))

from badfiles import CASES, BadFile

KINDS = 20


def bad_kinds() -> list[BadFile]:
    """Return 20 ways in which a recording is refused, as many codes among them as there are."""
    refused = [case for case in CASES if case.verdict.rstrip("!") in FAILURE_CODES and not case.options]
    refused = [case for case in refused if not case.id.startswith(("sparse", "A51", "A52"))]
    first = {case.verdict: case for case in reversed(refused)}
    chosen = [*first.values(), *(case for case in refused if case not in first.values())][:KINDS]
    assert len(chosen) == KINDS
    return chosen


def make_archive(folder: Path, recordings: list[str], count: int) -> None:
    """Link the recordings again and again, in 100 folders; every hundredth file is a bad one."""
    kinds = folder.parent / "kinds"
    kinds.mkdir()
    bad = []
    for i, case in enumerate(bad_kinds()):
        place = kinds / str(i)
        place.mkdir()
        bad.append(case.write(place))
    for i in range(count):
        source = bad[i // 100 % KINDS] if i % 100 == 99 else Path(recordings[i % len(recordings)])
        target = folder / f"{i % 100:02d}" / f"{i:06d}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)


def scan(command: list[str]) -> float:
    """Scan without a break; returns the seconds it took."""
    start = time.monotonic()
    assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 1
    return time.monotonic() - start


def scan_with_kills(command: list[str], chance: random.Random, shortest_s: float, longest_s: float) -> dict[str, int]:
    """Scan, and kill it after random times, until it ends by itself."""
    runs = kills = 0
    while True:
        words = command if runs == 0 else [*command, "--resume"]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        runs += 1
        try:
            code = process.wait(chance.uniform(shortest_s, longest_s))
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != -signal.SIGKILL:
            assert code == 1, code
            return {"runs": runs, "kills": kills}
        kills += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="real recordings, on the file system of --work")
    parser.add_argument("--count", type=int, default=10_000, help="files in the archive")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="esc10")
    parser.add_argument("--work", default=None, help="where to work; a temporary folder is made there")
    parser.add_argument(
        "--kill-after", type=float, nargs=2, default=(0.05, 0.25), metavar=("A", "B"), help="shares of the unbroken run"
    )
    options = parser.parse_args()
    recordings = [entry.path for entry in Listing([options.folder])]
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        folder = Path(name)
        make_archive(folder / "archive", recordings, options.count)
        base = [sys.executable, "-m", "auricle", "tag", str(folder / "archive"), "--model", options.model, "--quiet"]
        base += ["--jobs", str(options.jobs), "--out"]
        seconds = scan([*base, str(folder / "whole")])
        broken = scan_with_kills(
            [*base, str(folder / "broken")], random.Random(0), *(share * seconds for share in options.kill_after)
        )
        for result in ("scores.jsonl", "failures.jsonl"):
            assert (folder / "whole" / result).read_bytes() == (folder / "broken" / result).read_bytes(), result
        records = (folder / "broken" / "journal" / "records").read_bytes().count(b"\n")
        assert records == options.count, records
        summary = read_json(folder / "whole" / "summary.json")
        assert summary["failed"] == options.count // 100
    figures = {"equal": True, "records": records, "unbroken_s": round(seconds, 1), **broken, "summary": summary}
    print(json.dumps({**figures, "jobs": options.jobs, "machine": describe()}, indent=1))


if __name__ == "__main__":
    main()
