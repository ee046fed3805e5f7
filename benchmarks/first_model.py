# SPDX-License-Identifier: Apache-2.0
"""A first model from a few dozen labelled clips: what names sounds, what finds them, and how long it takes.

    python -m benchmarks.first_model esc10 SHARED OUT START [SEED ...]   five folds
    python -m benchmarks.first_model scene SHARED OUT                    makes the newcomer's scene, 20 minutes
    python -m benchmarks.first_model detect SHARED OUT START [SEED]      trains on folds 1 to 4, finds events in fold 5
    python -m benchmarks.first_model table OUT                           prints the rows of docs/results/first-model.md

START is general, or a network that begins from nothing; for ``detect`` also enrol, and others: general, and beside the
clips 300 recordings of other sounds, drawn from what ``general`` was made of. It learns from labels of clips
alone, chooses everything on folds 1 to 4, and scores the 80 scenes of SHARED/data/strong and the newcomer's scene once.
That scene holds 50 clips of fold 5, five of each class, and 20 sounds of a game that are none of them, over recordings
of a forest by day and night; ``general`` was made of none of these (docs/results/general-sources.csv). Edges fade.
"""

from __future__ import annotations

import csv
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from auricle import api
from auricle.audio.decode import read_audio
from auricle.data.formats.desed_tables import write_events
from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Clip
from auricle.evaluation.events.metrics import event_counts, segment_counts
from auricle.files import read_json, write_json
from auricle.results import Event, FloatArray
from auricle.runtime.detector import Detector
from auricle.synth.activity import RegionRule, active_regions
from auricle.synth.signals import rms
from benchmarks.machine import describe

RATE, SCENE_S, FADE_S = 16_000, 1_200.0, 0.3
OF_A_CLASS, OTHERS, SEED = 5, 20, 20_261_130
#: Level of the background, and of sounds over it.
BACKGROUND_DB, SNR_DB = -45.0, (10.0, 25.0)
#: Sounds of one clip that are nearer than this are one event.
ONE_EVENT_S = 0.5
#: Sources that ``general`` was not made of.
OTHER_SOURCES, BACKGROUND_SOURCE = ("redeclipse/sounds",), "scikit-maad/scikit-maad"
TEXTURES = ("rain", "sea_waves", "crackling_fire")
COLLARS_S = (0.2, 0.5)
ENROL, WITH_OTHERS = "enrol", "others"
#: What ``general`` was made of.
SOURCES = Path(__file__).parents[1] / "docs/results/general-sources.csv"
#: Recordings of other sounds in the row with such: of the sources that ``general`` was made of, as they come.
NEGATIVES, NEGATIVE = 300, "other"
ONE_THREAD = ("run.threads=1", "data.workers=0", "run.device=cpu")


def start_of(name: str) -> dict[str, str]:
    """Return what ``train`` is told about where to begin."""
    return {} if name in ("general", WITH_OTHERS) else {"model": name}


def five_folds(shared: Path, out: Path, start: str, seeds: Sequence[int]) -> None:
    """Cross-validate, one seed after the other; what is there is not trained again."""
    for seed in seeds:
        begin = time.process_time()
        overrides = [*ONE_THREAD, f"seed={seed}", "scenes.share=0"]  # names alone: scores of frames are not asked for
        folder = out / f"esc10-{start}-{seed}"
        result = api.crossval(shared / "data/esc10", out=folder, overrides=overrides, **start_of(start))
        seconds = time.process_time() - begin
        write_json(out / f"esc10-{start}-{seed}.json", {**result.to_dict(), "cpu_s": seconds, **describe()})
        print(start, seed, {name: figure.to_dict() for name, figure in result.metrics.items()}, flush=True)


def sources(shared: Path, names: Sequence[str]) -> list[Path]:
    """Return the recordings of some sources of the second pool."""
    folder = shared / "data/pool2"
    with (folder / "pool2.csv").open(encoding="utf-8") as file:
        return [folder / row["filename"] for row in csv.DictReader(file) if row["source"] in names]


def make_scene(shared: Path, out: Path) -> tuple[Path, tuple[Event, ...]]:
    """Write the newcomer's scene and its truth, a function of SEED; returns both."""
    rng = np.random.default_rng(SEED)
    manifest = read_manifest(shared / "data/esc10")
    pieces: list[tuple[str, FloatArray]] = []
    for label in manifest.labels:
        clips = [clip for clip in manifest.clips if clip.label == (label,) and clip.fold == "5"]
        pieces += [(label, _load(Path(clips[i].path))) for i in rng.permutation(len(clips))[:OF_A_CLASS]]
    others = sources(shared, OTHER_SOURCES)
    pieces += [("", _load(others[i])) for i in rng.permutation(len(others))[:OTHERS]]
    total = round(SCENE_S * RATE)
    behind = sources(shared, (BACKGROUND_SOURCE,))
    scene = _lay_end_to_end([_load(behind[i]) for i in rng.permutation(len(behind))], total)
    events: list[Event] = []
    slot = total // len(pieces)
    for place, number in enumerate(rng.permutation(len(pieces))):
        label, sound = pieces[number]
        sound = _faded(sound[: slot - RATE], round(FADE_S * RATE))
        begin = place * slot + int(rng.integers(0, slot - len(sound)))
        level = 10 ** ((BACKGROUND_DB + rng.uniform(*SNR_DB)) / 20) / max(rms(sound), 1e-9)
        scene[begin : begin + len(sound)] += sound * np.float32(level)
        if label:
            regions = active_regions(sound, RATE, RegionRule(bridge_s=ONE_EVENT_S))
            events += [Event(label, (begin + a) / RATE, (begin + b) / RATE, 1.0) for a, b in regions]
    out.mkdir(parents=True, exist_ok=True)
    soundfile.write(out / "scene.flac", scene * min(1.0, 0.99 / float(np.abs(scene).max())), RATE, subtype="PCM_16")
    write_events(out / "events.tsv", {"scene.flac": tuple(events)})
    return out / "scene.flac", tuple(events)


def _load(path: Path) -> FloatArray:
    return read_audio(path, sample_rate=RATE).samples


def _faded(sound: FloatArray, fade: int) -> FloatArray:
    fade = min(fade, len(sound) // 2)
    out, rise = sound.copy(), np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    out[:fade] *= rise
    out[len(out) - fade :] *= rise[::-1]
    return out


def _lay_end_to_end(parts: Sequence[FloatArray], total: int) -> FloatArray:
    """Return recordings one after the other, each as loud as the others, again and again up to a length."""
    level = np.float32(10 ** (BACKGROUND_DB / 20))
    line = np.concatenate([_faded(part, RATE // 4) * (level / max(rms(part), 1e-9)) for part in parts])
    return np.resize(line, total).astype(np.float32)


def detect(shared: Path, out: Path, start: str, seed: int) -> None:
    """Train on labels of clips and measure events."""
    folder, begin = out / f"detect-{start}-{seed}", time.process_time()
    if start == ENROL:
        api.enrol(clips_to_enrol(shared, out), out=folder, overwrite=folder.exists())
    else:
        others = start == WITH_OTHERS
        api.train(
            clips_and_others(shared, out) if others else shared / "data/esc10",
            out=folder,
            overrides=ONE_THREAD,
            seed=seed,
            test_fold=None if others else "5",
            resume=folder.exists(),
            **start_of(start),
        )
    seconds = time.process_time() - begin
    detector = api.load(folder)
    path, truth = make_scene(shared, out)
    figures = {"cpu_s": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    figures["strong"] = _on_strong(detector, read_manifest(shared / "data/strong").clips)
    figures["scene"] = on_scene(detector, path, truth)
    write_json(out / f"detect-{start}-{seed}.json", {**figures, **describe()})
    print(start, seed, figures, flush=True)


def clips_to_enrol(shared: Path, out: Path) -> Path:
    """Return a folder with a folder for each class, of copies of all clips but those of fold 5."""
    for clip in read_manifest(shared / "data/esc10").clips:
        copy = out / "enrolled-clips" / clip.label[0] / Path(clip.path).name
        if clip.fold != "5" and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip.path, copy)
    return out / "enrolled-clips"


def clips_and_others(shared: Path, out: Path) -> Path:
    """Return the folder of ``clips_to_enrol`` copied beside one with recordings of both pools, drawn by SEED."""
    clips, folder = clips_to_enrol(shared, out), out / "clips-and-others"
    if not folder.exists():
        shutil.copytree(clips, folder)
        (folder / NEGATIVE).mkdir()
        with SOURCES.open(encoding="utf-8") as file:
            names = [row["filename"] for row in csv.DictReader(file) if row["filename"].startswith("pool")]
        for number in np.random.default_rng(SEED).permutation(len(names))[:NEGATIVES]:
            shutil.copyfile(shared / "data" / names[number], folder / NEGATIVE / names[number].replace("/", "-"))
    return folder


def _on_strong(detector: Detector, clips: Sequence[Clip]) -> dict[str, float]:
    labels = detector.labels
    counts = {collar: np.zeros((len(labels), 3), np.int64) for collar in COLLARS_S}
    segments, pieces = np.zeros((len(labels), 3), np.int64), []
    for clip in clips:
        found, true = detector.detect(clip.path).events, clip.events or ()
        segments += segment_counts(true, found, labels)
        pieces += [count for event in true if (count := sum(_meet(event, other) for other in found))]
        for collar in COLLARS_S:
            counts[collar] += event_counts(true, found, labels, collar_s=collar)
    front = [row for row, label in enumerate(labels) if label not in TEXTURES]
    figures = {f"event_f1_{collar:g}": _f1(rows.sum(0)) for collar, rows in counts.items()}
    figures["foreground_f1_0.2"] = float(np.mean([_f1(counts[0.2][row]) for row in front]))
    fragments = float(np.mean(pieces)) if pieces else 0.0
    return {**figures, "segment_f1": _f1(segments.sum(0)), "fragments": fragments, "scenes": len(clips)}


def _f1(counts: np.ndarray) -> float:
    hits, wrong, missed = (int(count) for count in counts)
    return 2 * hits / max(1, 2 * hits + wrong + missed)


def on_scene(detector: Detector, path: Path, truth: Sequence[Event]) -> dict[str, float]:
    """Return how many events were found, how many others were reported an hour, and in how many pieces."""
    found = detector.detect(str(path)).events
    pieces = [sum(_meet(event, other) for other in found) for event in truth]
    alarms = sum(not any(_meet(event, other) for event in truth) for other in found)
    hits = [count for count in pieces if count]
    labels = detector.labels
    return {
        "events": len(truth),
        "found": len(hits),
        "false_alarms_an_hour": alarms * 3600 / SCENE_S,
        "fragments": float(np.mean(hits)) if hits else 0.0,
        **{f"event_f1_{c:g}": _f1(event_counts(truth, found, labels, collar_s=c).sum(0)) for c in COLLARS_S},
        "segment_f1": _f1(segment_counts(truth, found, labels).sum(0)),
    }


def _meet(event: Event, other: Event) -> bool:
    return event.label == other.label and event.onset < other.offset and other.onset < event.offset


def table(out: Path) -> None:
    """Print the rows of what is there."""
    for path in sorted(out.glob("esc10-*.json")):
        figures = read_json(path)
        accuracy = figures["metrics"]["accuracy"]
        shown = f"{100 * accuracy['value']:.2f} [{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]"
        print(f"| {path.stem} | {shown} | {figures['n']} | {figures['cpu_s']:.0f} s |")
    for path in sorted(out.glob("detect-*.json")):
        figures = read_json(path)
        strong, scene = figures["strong"], figures["scene"]
        print(f"| {path.stem} | {figures['cpu_s']:.0f} s | {strong} | {scene} |")


def main() -> None:
    """Do what the first word says."""
    match sys.argv[1:]:
        case ["esc10", shared, out, start, *seeds]:
            five_folds(Path(shared), Path(out), start, [int(seed) for seed in seeds] or [0])
        case ["scene", shared, out]:
            _, truth = make_scene(Path(shared), Path(out))
            print(f"{len(truth)} events")
        case ["detect", shared, out, start, *seed]:
            detect(Path(shared), Path(out), start, int(seed[0]) if seed else 0)
        case ["table", out]:
            table(Path(out))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
