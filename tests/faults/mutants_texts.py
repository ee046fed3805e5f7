# SPDX-License-Identifier: Apache-2.0
"""Mutants of tables, label files, recipes, model folders and journals: each is read, or refused with a reason.

    python tests/faults/mutants_texts.py --count 20000 --seed 1

prints a table and ends with 1 if one fails: by another error than auricle's own, by more than 10 s, or, for a
journal, by a record that nobody wrote.
"""

from __future__ import annotations

import argparse
import faulthandler
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.tinybundle import make_bundle

from auricle.data.formats.registry import read_manifest
from auricle.errors import AuricleError
from auricle.journal import open_journal, start_journal
from auricle.recipe.schema import load_recipe
from auricle.runtime.bundle import load_bundle

HANG_S = 10.0
CLIPS = ("a", "b", "c", "d")
PLAN = {"model": "m", "rate": 16_000}
CSV = (
    "path,label,start,end,split\n"
    "a.wav,owl,0,1.5,train\nb.wav,owl;frog,,,train\nc.wav,frog,0.25,1,dev\nd.wav,fox,,,test\n"
)
DESED = (
    "filename\tonset\toffset\tevent_label\n"
    "a.wav\t0.163\t0.665\towl\nb.wav\t0\t1.5\tfrog\nc.wav\t\t\t\nd.wav\t1\t1.9\tfox\n"
)
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tLabel\n"
    "1\tSpectrogram 1\t1\t0.1\t0.5\t0\t4000\towl\n2\tSpectrogram 1\t1\t0.9\t1.4\t0\t4000\tfrog\n"
)
AUDACITY = "0.100000\t0.500000\towl\n\\\t200.0\t4000.0\n0.900000\t1.400000\tfrog\n"
LABELSTUDIO = (
    '[{"id": 1, "annotations": [{"id": 7, "result": [{"value": {"start": 0.1, "end": 0.5, "labels": ["owl"]},\n'
    ' "from_name": "label", "to_name": "audio", "type": "labels"}], "was_cancelled": false}],\n'
    ' "data": {"audio": "/data/upload/1/0a1b2c3d-a.wav"}},\n'
    ' {"id": 2, "annotations": [{"id": 8, "result": []}], "data": {"audio": "b.wav"}}]\n'
)
WHOMBAT = (
    '{"version": "1.1.0", "data": {"uuid": "p", "collection_type": "annotation_project",\n'
    ' "tags": [{"id": 0, "key": "species", "value": "owl"}],\n'
    ' "recordings": [{"uuid": "R", "path": "a.wav", "duration": 2.0, "channels": 1, "samplerate": 16000}],\n'
    ' "clips": [{"uuid": "C", "recording": "R", "start_time": 0.0, "end_time": 2.0}],\n'
    ' "sound_events": [{"uuid": "S", "geometry": {"type": "BoundingBox", "coordinates": [0.1, 100, 0.5, 900]}}],\n'
    ' "sound_event_annotations": [{"uuid": "A", "sound_event": "S", "tags": [0]}],\n'
    ' "clip_annotations": [{"uuid": "K", "clip": "C", "tags": [], "sound_events": ["A"]}]}}\n'
)
AUDIOSET = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\na_30000\t0.1\t0.5\t/m/1\nb_0\t0.9\t1.4\t/m/2\n"
RECIPE = "model:\n  name: crnn\n  dropout: 0.1\noptim:\n  epochs: 3\n  lr: 0.001\nseed: 7\ndata:\n  clip_s: 2.0\n"
#: What is put in the place of a number or a word.
WORDS = (
    b"nan",
    b"-1",
    b"1e999",
    b"0,5",
    b"",
    b"\xff\xfe",
    b"\0",
    b'"',
    b"'=1",
    b"../x",
    b"999999999999",
    b"{",
    b"\xe9",
)


@dataclass
class Tally:
    """What became of the mutants of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


@dataclass(frozen=True)
class Kind:
    """A folder that is made once, the file in it that is damaged, and what reads the folder."""

    make: Callable[[Path], None]
    file: str
    read: Callable[[Path], object]


def with_clips(name: str, text: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        for clip in CLIPS:
            soundfile.write(folder / f"{clip}.wav", np.zeros(32_000), 16_000)
        for stem in CLIPS if "{}" in name else ("",):
            (folder / name.format(stem)).write_text(text)

    return make


def make_recipe(folder: Path) -> None:
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)


def make_journal(folder: Path) -> None:
    start_journal(folder, PLAN, [f"clip {i}" for i in range(20)])
    with open_journal(folder, PLAN) as journal:
        for index, item in journal.pending():
            if index % 3:
                journal.record(index, {"item": item, "score": index / 7})


def read_journal(folder: Path) -> None:
    """Every record that comes back is one that was written."""
    with open_journal(folder, PLAN) as journal:
        if len(list(journal.pending())) + journal.done != journal.total:
            raise ValueError("an item is neither done nor to be done")
        for index, _, value in journal.results():
            if value != {"item": f"clip {index}", "score": index / 7}:
                raise ValueError(f"record {index} says {value!r}")


KINDS = {
    "table": Kind(with_clips("data.csv", CSV), "data.csv", read_manifest),
    "desed": Kind(with_clips("strong.tsv", DESED), "strong.tsv", read_manifest),
    "raven": Kind(with_clips("{}.selections.txt", RAVEN), "a.selections.txt", read_manifest),
    "audacity": Kind(with_clips("{}.txt", AUDACITY), "a.txt", read_manifest),
    "label studio": Kind(with_clips("export.json", LABELSTUDIO), "export.json", read_manifest),
    "whombat": Kind(with_clips("project.json", WHOMBAT), "project.json", read_manifest),
    "audioset": Kind(with_clips("strong.tsv", AUDIOSET), "strong.tsv", read_manifest),
    "recipe": Kind(make_recipe, "recipe.yaml", lambda folder: load_recipe(folder / "recipe.yaml")),
    "model": Kind(lambda folder: void(make_bundle(folder)), "auricle.json", load_bundle),
    "weights": Kind(lambda folder: void(make_bundle(folder)), "model.onnx", load_bundle),
    "records": Kind(make_journal, "records", read_journal),
    "inputs": Kind(make_journal, "inputs", read_journal),
    "plan": Kind(make_journal, "plan.json", read_journal),
}


def void(_: object) -> None:
    """Drop what a maker returns."""


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage a text in 1 to 3 ways: bits, bytes, fields, lines, cuts, repeats, another encoding."""
    mutant = data
    for _ in range(int(rng.integers(1, 4))):
        at, count = int(rng.integers(0, len(mutant) + 1)), int(rng.integers(1, 40))
        lines = mutant.splitlines(keepends=True)
        word = WORDS[int(rng.integers(0, len(WORDS)))]
        match int(rng.integers(0, 10)):
            case 0 if at < len(mutant):
                mutant = mutant[:at] + bytes([mutant[at] ^ 1 << int(rng.integers(0, 8))]) + mutant[at + 1 :]
            case 1:
                mutant = mutant[:at] + rng.bytes(count) + mutant[at + count :]
            case 2:
                mutant = mutant[:at] + word + mutant[at + int(rng.integers(0, 9)) :]
            case 3:
                mutant = mutant[:at] + mutant[at + count :]
            case 4:
                mutant = mutant[:at]
            case 5 if lines:
                mutant = b"".join(lines[i] for i in rng.permutation(len(lines)))
            case 6 if lines:
                mutant += lines[int(rng.integers(0, len(lines)))] * int(rng.integers(1, 4))
            case 7:
                mutant = mutant.decode("latin-1").encode("utf-16" if rng.random() < 0.5 else "utf-8-sig")
            case 8:
                mutant = mutant.replace(b"\t" if b"\t" in mutant else b",", [b";", b" ", b"|"][int(rng.integers(0, 3))])
            case _:
                mutant = mutant[:at] + mutant[at : at + count] * 2 + mutant[at + count :]
    return mutant


def judge(name: str, count: int, seed: int, scratch: Path) -> Tally:
    """Read a folder ``count`` times, each time with its file damaged anew."""
    kind, tally, folder = KINDS[name], Tally(), scratch / name
    kind.make(folder)
    original = {path.name: path.read_bytes() for path in folder.iterdir()}
    kind.read(folder)
    for number in range(count):
        rng = np.random.default_rng((seed, list(KINDS).index(name), number))
        mutant = original[kind.file]
        while mutant == original[kind.file]:
            mutant = mutate(original[kind.file], rng)
        (folder / kind.file).write_bytes(mutant)
        faulthandler.dump_traceback_later(3 * HANG_S, exit=True)
        began = time.monotonic()
        try:
            kind.read(folder)
        except AuricleError as error:
            tally.outcomes["refused"] += 1
            if not str(error).strip():
                tally.failures.append(f"{name} {number}: refused without a reason")
        except Exception as error:  # noqa: BLE001 (each is a failure, and is told)
            tally.failures.append(f"{name} {number}: {type(error).__name__}: {error}")
        else:
            tally.outcomes["read"] += 1
        finally:
            faulthandler.cancel_dump_traceback_later()
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
        for path in folder.iterdir():
            if path.name not in original:
                path.unlink()
        if name in {"records", "inputs", "plan"}:
            for file, content in original.items():
                (folder / file).write_bytes(content)
    if tally.slowest_s > HANG_S:
        tally.failures.append(f"{name}: one took {tally.slowest_s:.1f} s")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="mutants, of all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    each = -(-arguments.count // len(KINDS))
    failures: list[str] = []
    scratch = Path(tempfile.mkdtemp())
    print("| kind | mutants | read | refused | failures | slowest |")
    print("|---|---|---|---|---|---|")
    try:
        for name in KINDS:
            tally = judge(name, each, arguments.seed, scratch)
            read, refused = tally.outcomes["read"], tally.outcomes["refused"]
            print(
                f"| {name} | {each} | {read} | {refused} | {len(tally.failures)} | {tally.slowest_s:.2f} s |",
                flush=True,
            )
            failures += tally.failures
    finally:
        shutil.rmtree(scratch)
    print(f"\n{each * len(KINDS)} mutants, seed {arguments.seed}: {len(failures)} failures")
    print(*failures[:50], sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
