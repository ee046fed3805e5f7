# SPDX-License-Identifier: Apache-2.0
"""The steps of ``auricle demo``: data, training, a scene of sounds the model was not trained on, events, a page.

Nothing here is special: each step is a call that any user can make. What is held out is never trained on, and the
thresholds are those that training fitted.
"""

from __future__ import annotations

import csv
import io
import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from auricle import api
from auricle.audio.decode import read_audio
from auricle.data.clip_audio import read_clip
from auricle.data.formats.registry import read_manifest
from auricle.data.labels import LABEL_SEPARATOR
from auricle.data.manifest import Clip, Manifest
from auricle.errors import UsageError
from auricle.events.formats import dump_csv
from auricle.files import atomic_write
from auricle.output_folder import OutputFolder
from auricle.reports.detection import detection_page
from auricle.results import DetectResult, EnrolResult, Event, FloatArray, Report, Scores
from auricle.runtime.spec import BundleSpec
from auricle.synth.demo_scene import assemble
from auricle.synth.signals import coloured_noise, envelope
from auricle.synth.toy import NEGATIVE_FOLDER, synthesise
from auricle.timeline import seconds_to_samples

SAMPLE_RATE = 16_000
#: The scene: its length, its background against full scale, and how far the sounds stand above it.
SCENE_S, BACKGROUND_DB, SNR_DB, FADE_S = 75.0, -45.0, 20.0, 0.2
SEED = 0

#: Of the synthetic data.
CLIPS_A_CLASS = {"train": 24, "test": 8}

#: What tells a folder of the demo's from one that must not be touched.
MARK = "made-by-auricle-demo.txt"
MODEL, DATA, SCENE, TRUTH, EVENTS, PAGE = "model", "data", "scene.wav", "scene.csv", "events.csv", "report.html"
FEW_CLIPS, ENROLLED, PLACE = "few-clips", "enrolled", "place"

#: Changes to the default recipe, so that training takes about a minute on two cores: half the passes, loading in the
#: training process, as a worker would only take its core away.
_QUICK: tuple[str, ...] = ("data.workers=0", "optim.epochs=5", "run.early_stop=null")
#: Clips of each class that are enrolled.
FEW = 5
REAL_RECIPE: tuple[str, ...] = ("data.clip_s=5", *_QUICK)
SYNTHETIC_RECIPE: tuple[str, ...] = ("data.clip_s=2", *_QUICK)

_SOUNDING_DB = 40.0
_LONGEST_CLIP_S = 6.0
_SHARE_OF_SOUND = 0.65
_NEGATIVE_CLIPS = 2


@dataclass(frozen=True)
class Source:
    """The data of a demo.

    Attributes:
        manifest: all of it.
        test_fold: the fold that is held out; None where the data has a part ``test``.
        recipe: changes to the default recipe.
        origin: where the recordings come from.
    """

    manifest: Manifest
    test_fold: str | None
    recipe: tuple[str, ...]
    origin: str

    @property
    def held_out(self) -> list[Clip]:
        """Clips that training never sees."""
        if self.test_fold is None:
            return [clip for clip in self.manifest.clips if clip.split == "test"]
        return [clip for clip in self.manifest.clips if clip.fold == self.test_fold]


@dataclass(frozen=True)
class Scene:
    """A longer recording with known events: samples of shape ``(time,)`` at ``SAMPLE_RATE``."""

    samples: FloatArray
    truth: tuple[Event, ...]


def acquire_folder(out: Path, data: Path | None) -> None:
    """Make the folder of the demo, or empty it of what an earlier demo left.

    Raises:
        RunError: it holds things that no demo made.
        UsageError: the data lies in it.
    """
    if data is not None and out.resolve() in [data.resolve(), *data.resolve().parents]:
        raise UsageError(f"the data {data} lies in the folder of the demo, {out}, which is emptied first; move it out")
    OutputFolder(out, "a demo").require_own((out / MARK).is_file(), overwrite=True)
    out.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, DATA, SCENE, TRUTH, EVENTS, PAGE, FEW_CLIPS, ENROLLED, PLACE):
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    atomic_write(out / MARK, b"`auricle demo` made this folder, and replaces what it made when it runs again.\n")


def read_place(background: Path) -> tuple[FloatArray, FloatArray]:
    """Return both halves of a recording of a place: one tells training what sounds there, the other is for the scene.

    So a user would do it: a detector is told of its place by a recording in which nothing happens.
    """
    samples = read_audio(background, sample_rate=SAMPLE_RATE).samples
    return samples[: len(samples) // 2], samples[len(samples) // 2 :]


def open_data(out: Path, data: Path | None, place: FloatArray | None = None) -> Source:
    """Read the data, or synthesise some; decide what is held out.

    Where the data has no negatives, quiet ones are added to the training part, half of them of the place if there is
    one. Without them a model that was only ever asked "which class?" answers with one in silence, too.

    Raises:
        DataError: the data cannot be used.
        UsageError: the data holds nothing out, or holds arrays.
    """
    folder = out / DATA
    if place is not None:
        (out / PLACE).mkdir(parents=True, exist_ok=True)
        soundfile.write(out / PLACE / "place.wav", place, SAMPLE_RATE, subtype="PCM_16")
    if data is None:
        for seed, (part, count) in enumerate(CLIPS_A_CLASS.items()):
            synthesise(folder / part, clips_per_class=count, sample_rate=SAMPLE_RATE, seed=seed)
        add_quiet(folder / "train" / NEGATIVE_FOLDER, CLIPS_A_CLASS["train"] // 2, 2.0, place)
        return Source(read_manifest(folder), None, SYNTHETIC_RECIPE, "synthesised sounds")
    manifest = read_manifest(data)
    has_test = any(clip.split == "test" for clip in manifest.clips)
    if not has_test and len(manifest.folds) < 2:
        raise UsageError(
            f"{data} has neither folds nor a part 'test', so the demo has nothing to hold out; "
            "`auricle train` takes it as it is"
        )
    if any(clip.is_array for clip in manifest.clips):
        raise UsageError(f"{data} holds arrays; the demo wants recordings, `auricle train` takes both")
    test_fold = None if has_test else manifest.folds[0]
    if manifest.negatives == 0:
        manifest = _with_quiet(folder, manifest, test_fold, place)
    return Source(manifest, test_fold, REAL_RECIPE, str(data))


def add_quiet(folder: Path, count: int, clip_s: float, place: FloatArray | None = None) -> list[Path]:
    """Write negatives in which nothing happens but faint noise of some level; returns their paths.

    Args:
        folder: for the files; made if absent.
        count: how many.
        clip_s: their length in seconds.
        place: in every second one, in place of the noise: a recording, from another moment on in each.
    """
    generator = np.random.default_rng([SEED, count])
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"quiet-{number:03d}.wav" for number in range(count)]
    for number, path in enumerate(paths):
        level_db, seed = generator.uniform(-80, -40), int(generator.integers(2**31))
        behind = np.roll(place, -seed % len(place)) if place is not None and len(place) and number % 2 else None
        quiet, _ = assemble([], clip_s, sample_rate=SAMPLE_RATE, background_db=level_db, background=behind, seed=seed)
        soundfile.write(path, quiet, SAMPLE_RATE, subtype="PCM_16")
    return paths


def _with_quiet(folder: Path, manifest: Manifest, test_fold: str | None, place: FloatArray | None) -> Manifest:
    """Make a table of the data and of quiet clips, a tenth as many, in ``folder``; recordings are linked or copied."""
    places: dict[str, str] = {}
    for number, path in enumerate(dict.fromkeys(clip.path for clip in manifest.clips)):
        places[path] = f"clips/{number:05d}-{Path(path).name}"
        _link(Path(path), folder / places[path])
    rows = [
        (
            *(places[c.path], LABEL_SEPARATOR.join(c.label), c.fold, c.split),
            *(c.key if c.group is None else c.group, c.onset, c.offset),
        )
        for c in manifest.clips
    ]
    folds = itertools.cycle([fold for fold in manifest.folds if fold != test_fold] if test_fold else [None])
    for quiet in add_quiet(folder / "quiet", max(4, len(manifest) // 10), 5.0, place):
        split = None if test_fold else "train"
        rows.append((f"quiet/{quiet.name}", NEGATIVE_FOLDER, next(folds), split, quiet.stem, None, None))
    names = ("path", "label", "fold", "split", "group", "onset", "offset")
    used = [i for i in range(len(names)) if any(row[i] is not None for row in rows)]
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([names[i] for i in used])
    writer.writerows([["" if row[i] is None else row[i] for i in used] for row in rows])
    atomic_write(folder / "clips.csv", buffer.getvalue().encode("utf-8"))
    return read_manifest(folder / "clips.csv", task=manifest.task)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source.resolve())
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def make_scene(source: Source, background: FloatArray | None = None) -> Scene:
    """Assemble held-out clips, class after class, into a scene; negatives are in it and not in the truth.

    Behind them lies a recording, or without one, wind: brown noise that comes and goes.
    """
    generator = np.random.default_rng(SEED)
    held_out = [source.held_out[i] for i in generator.permutation(len(source.held_out))]
    turns = [[clip for clip in held_out if clip.label == (label,)] for label in source.manifest.labels]
    room = _SHARE_OF_SOUND * SCENE_S
    negatives = [clip for clip in held_out if clip.negative][:_NEGATIVE_CLIPS]
    chosen = [(NEGATIVE_FOLDER, _sounding(clip)) for clip in negatives]
    for clip in _round_robin(turns):
        samples = _sounding(clip)
        room -= len(samples) / SAMPLE_RATE
        if room < 0:
            break
        chosen.append((clip.label[0], samples))
    samples, events = assemble(
        chosen,
        SCENE_S,
        sample_rate=SAMPLE_RATE,
        snr_db=SNR_DB,
        background_db=BACKGROUND_DB,
        fade_s=FADE_S,
        background=_wind() if background is None else background,
        seed=SEED,
    )
    return Scene(samples, tuple(event for event in events if event.label != NEGATIVE_FOLDER))


def _wind() -> FloatArray:
    generator, length = np.random.default_rng(SEED), seconds_to_samples(SCENE_S, SAMPLE_RATE)
    return coloured_noise(generator, length, 2.0) * envelope(generator, length, SAMPLE_RATE, rate_hz=0.5)


def enrol_few(out: Path, source: Source) -> EnrolResult:
    """Make a model of the first clips of each class that are not held out, and of the place, without training."""
    held_out = {id(clip) for clip in source.held_out}
    for label in source.manifest.labels:
        own = [clip for clip in source.manifest.clips if clip.label == (label,) and id(clip) not in held_out]
        for number, clip in enumerate(own[:FEW]):
            target = out / FEW_CLIPS / label / f"{number}.wav"
            target.parent.mkdir(parents=True, exist_ok=True)
            audio = read_clip(clip, sample_rate=SAMPLE_RATE)
            soundfile.write(target, audio.samples, SAMPLE_RATE, subtype="PCM_16")
    negatives = [out / PLACE] if (out / PLACE).is_dir() else []
    return api.enrol(out / FEW_CLIPS, out=out / ENROLLED, negatives=negatives)


def _round_robin(turns: Sequence[Sequence[Clip]]) -> list[Clip]:
    """Return the first of each turn, then the second of each, and so on."""
    longest = max((len(turn) for turn in turns), default=0)
    return [turn[i] for i in range(longest) for turn in turns if i < len(turn)]


def _sounding(clip: Clip) -> FloatArray:
    """Return the part of a clip that sounds: data sets fill short clips up with silence, which is no event."""
    audio = read_clip(clip, sample_rate=SAMPLE_RATE)
    return sounding_part(audio.samples)[: seconds_to_samples(_LONGEST_CLIP_S, SAMPLE_RATE)]


def sounding_part(samples: FloatArray) -> FloatArray:
    """Cut off the beginning and the end where they lie 40 dB below the loudest hundredth of a second."""
    size = SAMPLE_RATE // 100
    count = len(samples) // size
    if count == 0:
        return samples
    power = np.square(samples[: count * size].reshape(count, size), dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-_SOUNDING_DB / 10))
    return samples if len(loud) == 0 else samples[loud[0] * size : (loud[-1] + 1) * size]


def write_scene(out: Path, scene: Scene) -> Path:
    """Write the scene as sound and its truth as a table; returns the path of the sound."""
    path = out / SCENE
    soundfile.write(path, scene.samples, SAMPLE_RATE, subtype="PCM_16")
    _write_events(out / TRUTH, scene.truth)
    return path


def listen_with(model: str | Path, scene_path: Path) -> tuple[Event, ...]:
    """Return the events that a model finds in the scene."""
    return api.load(model).detect(scene_path).events


def listen(out: Path, scene_path: Path) -> tuple[BundleSpec, DetectResult, Scores]:
    """Load the new model and score the scene; returns its specification, the events, the scores over time."""
    detector = api.load(out / MODEL)
    result = detector.detect(scene_path)
    _write_events(out / EVENTS, result.events)
    return detector.spec, result, detector.frames(scene_path)


def _write_events(path: Path, events: Sequence[Event]) -> None:
    text = "".join(dump_csv([DetectResult(SCENE, SCENE_S, events=tuple(events))]))
    atomic_write(path, text.encode())


def write_report(
    out: Path, scene: Scene, spec: BundleSpec, events: Sequence[Event], scores: Scores, facts: Mapping[str, str]
) -> Path:
    """Write the page about the scene; returns its path."""
    detection_page(
        out / PAGE,
        samples=scene.samples,
        sample_rate=SAMPLE_RATE,
        scores=scores,
        events=events,
        truth=scene.truth,
        title="auricle demo: what a new model detects in recordings it was not trained on",
        facts=facts,
        thresholds=spec.thresholds,
        rule=spec.event_rule,
        name=SCENE,
    )
    return out / PAGE


def model_facts(out: Path, spec: BundleSpec, test: Report, origin: str) -> dict[str, str]:
    """Return what a reader of the page wants to know about the model."""
    source, step_s = spec.provenance, spec.grid.step_s(spec.sample_rate)
    name, figure = next(iter(test.metrics.items()))
    interval = f"{figure.low:.3f} to {figure.high:.3f}, 95 %"
    size_kb = (out / MODEL / "model.onnx").stat().st_size / 1000
    return {
        "Model": f"{spec.model.name}, head {spec.model.head}, {source.parameters:,} weights, {size_kb:.0f} kB as ONNX",
        "Learnt from": f"{origin}: {len(spec.labels)} classes{' and negatives' if spec.negatives else ''}",
        f"Test {name}": f"{figure.value:.3f} ({interval}) on {figure.n} held-out clips",
        "Windows": f"{spec.window_s:g} s, every {spec.hop_s:g} s; a score every {step_s:g} s",
        "Scene": f"held-out clips without their silence, faded in and out, at random times, {SNR_DB:g} dB above what "
        "lies behind them",
        "Made with": ", ".join(f"{k} {v}" for k, v in source.versions.items() if k in ("auricle", "torch", "python")),
        "Trained": source.created,
    }
