# SPDX-License-Identifier: Apache-2.0
"""A large scan, killed at random: does it end as if nothing had happened?

An archive of hard links of real recordings, one in a hundred of them bad in one of 20 ways (those of the tests of
decoding), is scanned twice: without a break, and with SIGKILL after random times until it is done. Results and
failures of both must be equal byte for byte, and the journal must hold each recording once. As a measure of speed,
the archive is also only decoded and resampled, by as many processes. Writes docs/results/kills.json and kills.md.

    python -m benchmarks.kills FOLDER... [--count 10000] [--jobs 2] [--model MODEL] [--work DIR] [--kill-after A B]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from auricle.audio.listing import Listing
from auricle.errors import FAILURE_CODES, FLAG_CODES, InputError
from auricle.files import atomic_write, read_json, write_json
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.inputs import open_input
from benchmarks.machine import ROOT, describe
from benchmarks.page import machine_line

sys.path.insert(0, str(ROOT / "tests"))

from helpers.badfiles import CASES, BadFile

KINDS = 20
#: A start takes about two seconds; what is always killed before it has done anything never ends.
FIRST_KILL_S, LAST_KILL_S = 3.0, 6.0
OUT = ROOT / "docs" / "results"


def bad_kinds() -> list[BadFile]:
    """Return 20 ways in which a recording is refused, as many codes among them as there are."""
    refused = [
        case for case in CASES if case.verdict.endswith("!") or case.verdict in FAILURE_CODES.keys() - FLAG_CODES
    ]
    refused = [case for case in refused if not case.options]
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


def decode_all(paths: list[str], rate: int) -> float:
    """Decode and resample all recordings that can be; returns their seconds of sound."""
    done_s = 0.0
    for path in paths:
        try:
            with open_input(path, None, rate) as reader:
                done_s += sum(len(block) for block in reader) / rate
        except InputError:
            continue
    return done_s


def decode_alone(archive: Path, rate: int, jobs: int) -> float:
    """Decode and resample the archive by so many processes; returns the seconds it took, without their start."""
    paths = [entry.path for entry in Listing([str(archive)])]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.starmap(decode_all, [(paths[:jobs], rate)] * jobs)  # starts and warms them
        start = time.monotonic()
        pool.starmap(decode_all, [(paths[i : i + 50], rate) for i in range(0, len(paths), 50)], chunksize=1)
        return time.monotonic() - start


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


def speed_line(found: Mapping[str, Any]) -> str:
    """Say how fast the unbroken scan was; ``alone`` holds the seconds of the same archive on a machine without load."""
    busy, alone, count = found["machine"]["load"], found.get("alone"), found["records"]
    seconds = found if alone is None else alone
    scan_s, decode_s = seconds["unbroken_s"], seconds["decode_s"]
    text = (
        f"{scan_s} s with the start, **{count / scan_s:.0f} files a second**; decoding and resampling alone, by "
        f"{found['jobs']} processes that are started already: {decode_s} s, {count / decode_s:.0f} files a second. So "
        f"the model, the journal and the results cost {scan_s / decode_s - 1:.1f} times what decoding costs."
    )
    if alone is None:
        return text
    return (
        f"{text} These seconds are of an earlier run of the same archive with nothing beside it; in the run with the "
        f"kills other work had the cores (load {busy}): {found['unbroken_s']} and {found['decode_s']} s."
    )


def page(found: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    summary, count = found["summary"], found["records"]
    codes = ", ".join(f"{number} `{code}`" for code, number in sorted(summary["failures"].items()))
    return (
        "<!-- Written by `python -m benchmarks.kills`: measure again, do not edit. -->\n\n# A scan that is killed\n\n"
        f"`python -m benchmarks.kills FOLDER...`: an archive of {count:,} files, hard links of {found['recordings']:,} "
        f"real recordings ({found['folders']}) and one in a hundred bad in one of {KINDS} ways, "
        f"{summary['audio_s'] / 3600:.1f} h of sound, scanned with `auricle tag ARCHIVE --out DIR "
        f"--jobs {found['jobs']}` and the model `{found['model']}`.\n\n"
        f"- Scanned without a break, and again with **{found['kills']} SIGKILLs** after random times, "
        f"{found['runs']} starts in all: `scores.jsonl` and `failures.jsonl` are equal byte for byte, and the journal "
        f"holds each of the {count:,} recordings once.\n"
        f"- {summary['failed']} files failed as they should: {codes}.\n"
        f"- Without a break: {speed_line(found)}\n\n" + machine_line(found["machine"]) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="real recordings, on the file system of --work")
    parser.add_argument("--count", type=int, default=10_000, help="files in the archive")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="esc10")
    parser.add_argument("--work", default=None, help="where to work; a temporary folder is made there")
    parser.add_argument(
        "--kill-after", type=float, nargs=2, default=(0.05, 0.25), metavar=("A", "B"), help="shares of the unbroken run"
    )
    parser.add_argument("--quick", action="store_true", help="write no page: does the script work?")
    options = parser.parse_args()
    recordings = [entry.path for entry in Listing(options.folders)]
    machine = describe()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        folder = Path(name)
        make_archive(folder / "archive", recordings, options.count)
        base = [sys.executable, "-m", "auricle", "tag", str(folder / "archive"), "--model", options.model, "--quiet"]
        base += ["--jobs", str(options.jobs), "--out"]
        rate = load_bundle(resolve_model(options.model)).spec.sample_rate
        decode_s = decode_alone(folder / "archive", rate, options.jobs)
        seconds = scan([*base, str(folder / "whole")])
        print(f"decode {decode_s:.1f} s, scan {seconds:.1f} s", file=sys.stderr, flush=True)
        shortest, longest = (share * seconds for share in options.kill_after)
        times = max(FIRST_KILL_S, shortest), max(LAST_KILL_S, longest)
        broken = scan_with_kills([*base, str(folder / "broken")], random.Random(0), *times)
        for result in ("scores.jsonl", "failures.jsonl"):
            assert (folder / "whole" / result).read_bytes() == (folder / "broken" / result).read_bytes(), result
        records = (folder / "broken" / "journal" / "records").read_bytes().count(b"\n")
        assert records == options.count, records
        summary = read_json(folder / "whole" / "summary.json")
        assert summary["failed"] == options.count // 100
    found = {
        "folders": ", ".join(Path(name).name for name in options.folders),
        "recordings": len(recordings),
        "records": records,
        "decode_s": round(decode_s, 1),
        "unbroken_s": round(seconds, 1),
        **broken,
        "summary": summary,
        "jobs": options.jobs,
        "model": options.model,
        "machine": machine,
    }
    print(json.dumps(found))
    if not options.quick:
        write_json(OUT / "kills.json", found)
        atomic_write(OUT / "kills.md", page(found).encode())


if __name__ == "__main__":
    main()
