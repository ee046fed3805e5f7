# SPDX-License-Identifier: Apache-2.0
"""The first user story, whole: class folders with an `other` folder -> train -> detect on ten minutes.

    python -m experiments.yard SHARED OUT [OVERRIDES...]
    python -m experiments.yard SHARED OUT --fold 4     for choices: holds fold 4 out, hears fold 5 never, writes no page

Classes: five foreground classes of ESC-10. `other`: the five background classes of ESC-10, human speech (spoof train,
bona fide) and synthesised noise. Training takes folds 1 to 4 and speech of the train speakers; the recordings are made
of fold 5 and speech of the dev speakers, so no clip and no speaker is on both sides.

Two recordings of ten minutes: one with events among speech, noise and the other sounds, one with none of the classes.
Every piece stands at -20 dB, over noise at -55 dB.
Prints and writes what was found; what is finished in OUT is kept.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from auricle import api
from auricle.audio.decode import read_audio
from auricle.data.formats.registry import read_manifest
from auricle.demo import sounding_part
from auricle.evaluation.events.metrics import event_counts, false_alarms_per_hour, segment_counts
from auricle.files import atomic_write, write_json
from auricle.progress import Progress
from auricle.results import Event
from auricle.synth.demo_scene import assemble
from benchmarks.machine import describe

PAGE = Path(__file__).parents[1] / "docs/results/yard.md"
CLASSES = ("chainsaw", "crying_baby", "dog", "rooster", "sneezing")
RATE, SECONDS, SEED = 16_000, 600.0, 5
#: Mean power of each piece against full scale (the median ESC-10 clip has -22 dB), and of the noise under all of it.
LEVEL_DB, BACKGROUND_DB = -20.0, -55.0
SPEECH_TRAIN, SPEECH_TEST = 60, 40
TEST_FOLD = "5"


class Say(Progress):
    def notice(self, text):
        print(text, flush=True)

    def epoch_done(self, row):
        if int(row["epoch"]) % 10 == 0:
            print({k: round(v, 4) for k, v in row.items()}, flush=True)


def speech(shared: Path, part: str, count: int) -> list[Path]:
    """Bona fide clips of a part, spread over its speakers."""
    rows = [line.split() for line in (shared / f"data/spoof/protocols/{part}.txt").read_text().splitlines()]
    human = [row[1] for row in rows if row[4] == "bonafide"]
    chosen = np.random.default_rng(SEED).permutation(len(human))[:count]
    return [shared / f"data/spoof/flac/{human[i]}.flac" for i in chosen]


def noise(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Noise with a spectrum falling at random between white and brown, and a random level."""
    n = int(seconds * RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.maximum(np.arange(n // 2 + 1), 20) ** rng.uniform(0, 1)
    x = np.fft.irfft(spectrum, n)
    return (x / np.abs(x).max() * 10 ** rng.uniform(-1.5, -0.3)).astype(np.float32)


def held_speech(shared: Path, fold: str) -> list[Path]:
    """Speech for the recordings: of other speakers for the figure, of other clips for choices."""
    if fold == TEST_FOLD:
        return speech(shared, "dev", SPEECH_TEST)
    return speech(shared, "train", SPEECH_TRAIN + SPEECH_TEST)[SPEECH_TRAIN:]


def make_folders(shared: Path, out: Path, fold: str) -> Path:
    """Lay out clips as a user would: one folder a class, and `other`."""
    clips = out / "clips"
    if clips.is_dir():
        return clips
    part = out / "clips.part"
    for clip in read_manifest(shared / "data/esc10").clips:
        if clip.fold in {fold, TEST_FOLD}:
            continue
        label = clip.label[0]
        name = f"{label}_{Path(clip.path).name}"
        target = part / (label if label in CLASSES else "other") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip.path, target)
    for path in speech(shared, "train", SPEECH_TRAIN):
        shutil.copyfile(path, part / "other" / path.name)
    rng = np.random.default_rng(SEED)
    for i in range(20):
        soundfile.write(part / "other" / f"noise_{i:02d}.wav", noise(rng, 5.0), RATE)
    part.rename(clips)
    return clips


def make_recording(shared: Path, path: Path, fold: str, *, with_events: bool) -> list[Event]:
    """Assemble ten minutes of held-out sound; returns the true events."""
    rng = np.random.default_rng(SEED + with_events)
    pieces, background = [], []
    for clip in read_manifest(shared / "data/esc10").clips:
        if clip.fold == fold:
            samples = sounding_part(read_audio(clip.path, sample_rate=RATE).samples)
            (pieces if clip.label[0] in CLASSES else background).append((clip.label[0], samples))
    background += [("speech", read_audio(p, sample_rate=RATE).samples) for p in held_speech(shared, fold)]
    background += [("noise", noise(rng, rng.uniform(2, 8))) for _ in range(10)]
    order = rng.permutation(len(background))
    chosen = [*(pieces if with_events else []), *(background[i] for i in order)]
    while sum(len(s) for _, s in chosen) > 0.9 * SECONDS * RATE - 0.3 * RATE * len(chosen):
        chosen.pop()
    samples, events = assemble(
        chosen, SECONDS, sample_rate=RATE, background_db=BACKGROUND_DB, snr_db=LEVEL_DB - BACKGROUND_DB, seed=SEED
    )
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return [event for event in events if event.label in CLASSES]


def main() -> None:
    shared, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    overrides, fold = sys.argv[3:], TEST_FOLD
    if overrides[:1] == ["--fold"]:
        fold, overrides = overrides[1], overrides[2:]
    clips = make_folders(shared, out, fold)
    run = api.train(clips, out=out / "model", overrides=overrides, resume=(out / "model").is_dir(), progress=Say())
    detector = api.load(out / "model")
    truth = {"events.wav": make_recording(shared, out / "events.wav", fold, with_events=True)}
    truth["quiet.wav"] = make_recording(shared, out / "quiet.wav", fold, with_events=False)
    found = {name: list(detector.detect(out / name).events) for name in truth}
    names = list(detector.labels)
    events = event_counts(truth["events.wav"], found["events.wav"], names)
    segments = segment_counts(truth["events.wav"], found["events.wav"], names)
    hit = Counter(t.label for t in truth["events.wav"] if any(overlaps(t, f) for f in found["events.wav"]))
    quiet = false_alarms_per_hour({}, {"quiet.wav": found["quiet.wav"]}, names, duration_s=SECONDS)
    busy = false_alarms_per_hour({"e": truth["events.wav"]}, {"e": found["events.wav"]}, names, duration_s=SECONDS)
    table = {
        label: {
            "true_events": sum(t.label == label for t in truth["events.wav"]),
            "found_with_overlap": hit[label],
            "event_tp_fp_fn": events[i].tolist(),
            "segment_tp_fp_fn": segments[i].tolist(),
            "false_alarms_per_hour_among_events": busy[label],
            "false_alarms_per_hour_without_classes": quiet[label],
            "threshold": detector.spec.thresholds[label],
        }
        for i, label in enumerate(names)
    }
    figures = {
        "dev": dict(run.dev),
        "classes": table,
        "machine": describe(),
        "data_hash": detector.spec.provenance.data_hash,
    }
    write_json(out / "yard.json", figures)
    if fold == TEST_FOLD:
        atomic_write(PAGE, page(figures, overrides).encode())
    print(json.dumps({"dev": dict(run.dev), "classes": table}, indent=1))
    print("false alarms per hour in ten minutes without any of the classes:", sum(quiet.values()))


def page(figures: Mapping[str, Any], overrides: Sequence[str]) -> str:
    """The story as a page of the documents."""
    rows = [
        f"| {label} | {r['true_events']} | {r['found_with_overlap']} | {r['event_tp_fp_fn']} | {r['segment_tp_fp_fn']} "
        f"| {r['false_alarms_per_hour_among_events']:.0f} | {r['false_alarms_per_hour_without_classes']:.0f} "
        f"| {r['threshold']:.2f} |"
        for label, r in figures["classes"].items()
    ]
    total = sum(r["false_alarms_per_hour_without_classes"] for r in figures["classes"].values())
    machine = figures["machine"]
    lines = [
        "# The yard: class folders with `other`, a model, ten minutes of recording",
        "",
        *(__doc__ or "").split("\n\n")[2].splitlines(),
        "",
        "`auricle train clips/ --out model " + " ".join(f"--set {o}" for o in overrides) + "`, then `auricle detect`. "
        f"Best dev figures: {', '.join(f'{k} {v:.3f}' for k, v in figures['dev'].items())}. One seed; written by "
        "`python -m experiments.yard`.",
        "",
        "| class | true events | found (overlapping) | events within 0.2 s collars: hit, false, missed "
        "| 1 s segments: hit, false, missed | false alarms an hour, among events | without any of the classes "
        "| threshold |",
        "|---|--:|--:|---|---|--:|--:|--:|",
        *rows,
        "",
        f"Ten minutes without any of the classes (speech, noise, rain, sea, fire, clock, helicopter): **{total:.0f} "
        "false alarms an hour**, all classes together.",
        "",
        f"Data hash `{figures['data_hash'][:16]}`, commit `{machine['commit']}`, machine: {machine.get('cpu', '')}.",
        "",
    ]
    return "\n".join(lines)


def overlaps(a: Event, b: Event) -> bool:
    return a.label == b.label and a.onset < b.offset and b.onset < a.offset


if __name__ == "__main__":
    main()
