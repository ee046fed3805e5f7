# SPDX-License-Identifier: Apache-2.0
"""What a scan costs for each recording: decoding and resampling alone, and with the model, side by side.

Both run in this process, on one thread, and take turns recording by recording; the figure is processor time, which
other programs on the machine stretch less than the clock on the wall. The recordings are measured as they are and
rewritten as FLAC, as WAV and as WAV at 16 kHz. Writes docs/results/scan.json and scan.md.

    python -m benchmarks.scan FOLDER [--model MODEL] [--clips 40] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile

from auricle.audio.decode import read_audio
from auricle.audio.listing import Entry, Listing
from auricle.files import atomic_write, read_json, write_json
from auricle.runtime.detector import load
from auricle.runtime.inputs import open_input
from auricle.scanning.task import Task
from benchmarks.machine import ROOT, describe, one_thread
from benchmarks.page import machine_line, spell, table
from benchmarks.timing import Timing, summarise

MODEL_RATE_HZ = 16_000
OUT = ROOT / "docs" / "results"
#: What ``benchmarks.parquet_scan`` found.
PARQUET = "parquet.json"


def side_by_side(paths: list[str], model: str, rounds: int) -> dict[str, Timing]:
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
    return {name: summarise(values) for name, values in seconds.items()}


def rewritten(paths: list[str], folder: Path) -> Mapping[str, list[str]]:
    """Write the recordings in other forms; return the files of every form, theirs first."""
    first = soundfile.info(paths[0])
    rate_khz = f"{first.samplerate / 1000:g} kHz"
    forms: dict[str, list[str]] = {f"{first.format} {rate_khz}, as it came": paths}
    for name, suffix, rate in (
        (f"FLAC {rate_khz}", "flac", None),
        (f"WAV {rate_khz}", "wav", None),
        ("WAV 16 kHz, the model's rate", "wav", MODEL_RATE_HZ),
    ):
        place = folder / str(len(forms))
        place.mkdir()
        forms[name] = []
        for i, path in enumerate(paths):
            clip = read_audio(path, sample_rate=rate)
            target = place / f"{i:03d}.{suffix}"
            soundfile.write(target, clip.samples, clip.sample_rate, subtype="PCM_16")
            forms[name].append(str(target))
    return forms


def row(name: str, timings: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Return one line of the table."""
    decode, tag = timings["decode"]["median_s"], timings["tag"]["median_s"]
    cells = f"{1e3 * (tag - decode):.1f}", f"{(tag - decode) / decode:.2f}", f"{1 / tag:.0f}"
    return name, spell(timings["decode"]), spell(timings["tag"]), *cells


def page(found: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    columns = (
        "clips",
        "decode and resample, ms",
        "tag, ms",
        "so the model, ms",
        "model : decoding",
        "files a second and core",
    )
    cheaper = [name for name, t in found["forms"].items() if t["tag"]["median_s"] <= 2 * t["decode"]["median_s"]]
    return (
        "<!-- Written by `python -m benchmarks.scan`: measure again, do not edit. -->\n\n# What a recording costs\n\n"
        f"`python -m benchmarks.scan FOLDER --rounds {found['rounds']}`: processor time of one thread for a clip of "
        f"{found['clip_s']:g} s ({found['recordings']} clips of ESC-10, n = {found['recordings'] * found['rounds']}), "
        f"with the model `{found['model']}`. Decoding and resampling alone took turns with the whole `tag`; medians, "
        "quartiles in brackets. The model is the difference.\n\n"
        + table(columns, (row(name, timings) for name, timings in found["forms"].items()))
        + "\nThe aim was that the model costs no more than decoding. "
        + (f"It holds for: {'; '.join(cheaper)}. " if cheaper else "It holds for none of them. ")
        + "Of a WAV at the model's own rate there is hardly anything to decode, and the model is nearly all of the "
        "cost.\n\nA whole archive, with worker processes and kills: [kills.md](kills.md).\n\n"
        + machine_line(found["machine"])
        + "\n"
        + parquet_section()
    )


def parquet_section() -> str:
    """Return what ``benchmarks.parquet_scan`` found, as Markdown; nothing where it has not run."""
    if not (OUT / PARQUET).is_file():
        return ""
    found = read_json(OUT / PARQUET)
    names = [f"{name} {reader['version']}" for name, reader in found["readers"].items()]
    rows = zip(names, found["readers"].values(), strict=True)
    return (
        f"\n## {found['recordings']:,} recordings as Parquet\n\n"
        f"`python -m benchmarks.parquet_scan FOLDER --jobs {found['jobs']}`: links of {found['distinct']} clips of "
        f"ESC-10 ({found['audio_h']:g} h), scanned by `auricle detect --format parquet` with `{found['model']}` in "
        f"{found['scan_s']:g} s, {found['failed']} failed: {found['rows']:,} events in {found['parts']} part of "
        f"{found['bytes'] / 1e6:.2f} MB (pyarrow {found['pyarrow']}). Both readers run the commands of "
        "[tables.md](../tables.md) and count, label by label, what the journal of the scan holds. "
        f"Other work ran on the machine (load {found['machine']['load']:g} on {found['machine']['cores']} cores); "
        "how fast a scan is: [kills.md](kills.md).\n\n"
        + table(
            ("reader", "with its import, s", "again in the same process, s"),
            ((name, f"{reader['first_s']:g}", f"{reader['again_s']:g}") for name, reader in rows),
        )
        + "\n"
        + machine_line(found["machine"])
        + "\n"
    )


def rewrite_page() -> None:
    """Write the page anew from what was measured."""
    atomic_write(OUT / "scan.md", page(read_json(OUT / "scan.json")).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="recordings: folders, files, patterns")
    parser.add_argument("--model", default="esc10", help="model folder or name")
    parser.add_argument("--clips", type=int, default=40, help="how many of the recordings")
    parser.add_argument("--rounds", type=int, default=5, help="how often each recording is measured")
    options = parser.parse_args()
    everything = [entry.path for entry in Listing(options.inputs)]
    paths = everything[:: max(1, len(everything) // options.clips)][: options.clips]
    machine = describe()
    found: dict[str, Any] = {
        "model": options.model,
        "recordings": len(paths),
        "rounds": options.rounds,
        "clip_s": soundfile.info(paths[0]).duration,
        "forms": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, files in rewritten(paths, Path(folder)).items():
            timings = side_by_side(files, options.model, options.rounds)
            found["forms"][name] = {key: timing.to_dict() for key, timing in timings.items()}
            print(name, json.dumps(found["forms"][name]), file=sys.stderr, flush=True)
    found["machine"] = machine
    write_json(OUT / "scan.json", found)
    rewrite_page()


if __name__ == "__main__":
    one_thread("benchmarks.scan")
    main()
