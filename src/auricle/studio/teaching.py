# SPDX-License-Identifier: Apache-2.0
"""From verdicts to a model: what was confirmed is enrolled as an example, what was refused as none of the classes.

Beside the model itself the fits without one fold each are kept: what lies near a verdict is scored by the fit that did
not see that verdict, so that scores of judged windows and detections are as honest as those of all others.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.audio.decode import read_audio
from auricle.data.labels import natural_key
from auricle.enrolment.backbone import Backbone
from auricle.enrolment.clips import EnrolledClip, enrol_samples
from auricle.enrolment.enrol import MOST_CLIPS, fit_model
from auricle.enrolment.events import FRAME_FOLDS
from auricle.enrolment.heads import MOST_FOLDS, split_folds
from auricle.enrolment.linear import Array, Linear, link
from auricle.enrolment.model import Fitted, write_model
from auricle.errors import InputError, UsageError
from auricle.files import atomic_write, sha256_bytes
from auricle.results import Failure
from auricle.runtime.npz import NpzError, read_npz
from auricle.runtime.spec import ONNX_FILES
from auricle.studio.index import Index, Windows
from auricle.studio.jobs import yield_to_others
from auricle.studio.labels import Label
from auricle.studio.recordings import Recording
from auricle.studio.sounds import SoundCache

HEADS = "heads.npz"
#: Verdicts of so many seconds of a recording stay on one side of a held-out fit.
BLOCK_S = 20.0
_MOST_BYTES = 256_000_000
#: Two verdicts are about the same sound if they share more than this part of the shorter one.
SAME = 0.5


class TooFewError(UsageError):
    """There are too few verdicts for what is wanted."""

    code = "too_few"


@dataclass(frozen=True)
class Region:
    """A part of a recording that is taught.

    Attributes:
        recording: number of the recording.
        onset: seconds.
        offset: seconds.
        classes: heard there; none for a part that holds none of the classes.
    """

    recording: int
    onset: float
    offset: float
    classes: tuple[str, ...]

    @property
    def block(self) -> tuple[int, int]:
        """What stays on one side of a held-out fit."""
        return self.recording, int(self.onset // BLOCK_S)

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """All blocks that it lies in."""
        return [(self.recording, n) for n in range(int(self.onset // BLOCK_S), math.ceil(self.offset / BLOCK_S))]


@dataclass(frozen=True, eq=False)
class Heads:
    """The last layers of a taught model as the studio uses them.

    Attributes:
        labels: the classes.
        task: ``single`` or ``multi``.
        layer: of clip scores, on the network's vectors.
        by_fold: the same of fits without a fold, one after the other.
        fold_of: which of them did not see a part of a recording: by recording and block.
        frames_by_fold: layers of frame scores, the same way.
        frame_fold_of: which of those did not see a part of a recording.
        sha256: of the model's graph.
        backbone: SHA-256 of the network whose vectors it takes.
    """

    labels: tuple[str, ...]
    task: str
    layer: Linear
    by_fold: tuple[Linear, ...]
    fold_of: Mapping[tuple[int, int], int]
    frames_by_fold: tuple[Linear, ...]
    frame_fold_of: Mapping[tuple[int, int], int]
    sha256: str
    backbone: str

    def scores(self, index: Index, windows: Windows) -> Array:
        """Return honest scores of all windows, ``(window, label)``."""
        return np.asarray(link(self.logits(index, windows).astype(np.float64), self.task))

    def logits(self, index: Index, windows: Windows) -> Array:
        """Return the logits behind ``scores``."""
        found = index.logits(windows, self.layer.weight, self.layer.bias)
        blocks = (windows.onset // BLOCK_S).astype(np.int64)
        seen = {recording for recording, _ in self.fold_of}
        rows = np.flatnonzero(np.isin(windows.recording, list(seen)))
        folds = np.array(
            [self.fold_of.get((int(windows.recording[row]), int(blocks[row])), -1) for row in rows], np.int64
        )
        for fold, layer in enumerate(self.by_fold):
            own = rows[folds == fold]
            if len(own):
                found[own] = layer.logits(index.vectors(windows, own))
        return np.asarray(found)


@dataclass(frozen=True, eq=False)
class Taught:
    """What teaching made.

    Attributes:
        heads: the last layers.
        rows: figures of each class, as in the card.
        skipped: verdicts whose sound could not be used, by region.
        seconds: that it took.
    """

    heads: Heads
    rows: Sequence[Mapping[str, Any]]
    skipped: Mapping[Region, Failure]
    seconds: float


def regions_of(labels: Sequence[Label]) -> list[Region]:
    """Return what verdicts teach: ``yes`` an example, ``no`` a sound of none of the classes, ``unsure`` nothing.

    Verdicts on the same part of a recording are one region. A part that was refused for one class and holds another is
    an example of the other alone.
    """
    yes: dict[tuple[int, float, float], set[str]] = {}
    no: set[tuple[int, float, float]] = set()
    for label in labels:
        place = (label.recording, label.onset, label.offset)
        if label.verdict == "yes":
            yes.setdefault(place, set()).add(label.label)
        elif label.verdict == "no":
            no.add(place)
    found = [Region(*place, tuple(sorted(classes, key=natural_key))) for place, classes in yes.items()]
    found += [Region(*place, ()) for place in no if not any(_same(place, other) for other in yes)]
    return sorted(found, key=lambda region: (region.recording, region.onset, region.offset))


def _same(a: tuple[int, float, float], b: tuple[int, float, float]) -> bool:
    shared = min(a[2], b[2]) - max(a[1], b[1])
    return a[0] == b[0] and shared > SAME * min(a[2] - a[1], b[2] - b[1])


class Teacher:
    """Teaches again and again; what was computed of a verdict's sound is kept from one time to the next.

    Args:
        backbone: the network up to its last layers.
        sounds: where parts of recordings are read from.
    """

    def __init__(self, backbone: Backbone, sounds: SoundCache) -> None:
        self._backbone = backbone
        self._sounds = sounds
        self._kept: dict[tuple[int, str, float, float], EnrolledClip] = {}
        self._ahead = ThreadPoolExecutor(1, "auricle-examples", initializer=yield_to_others)

    def close(self) -> None:
        """Stop what ``prepare`` began."""
        self._ahead.shutdown(cancel_futures=True)

    def prepare(self, recording: Recording, onset: float, offset: float) -> None:
        """Compute the vectors of a part of a recording in the background: teaching will ask for them."""

        def work() -> None:
            with contextlib.suppress(InputError):  # teaching says what cannot be used
                self.example(recording, onset, offset)

        self._ahead.submit(work)

    def example(self, recording: Recording, onset: float, offset: float) -> EnrolledClip:
        """Return the vectors of a part of a recording.

        Raises:
            InputError: it cannot be read, or holds no sound.
        """
        key = (recording.id, recording.version, onset, offset)
        if key not in self._kept:
            rate = self._backbone.spec.sample_rate
            file = self._sounds.file(recording)
            audio = read_audio(file, sample_rate=rate, offset_s=onset, duration_s=offset - onset)
            samples = np.asarray(audio.samples, np.float32)
            name = f"{recording.path} {onset:g}-{offset:g} s"
            identity = sha256_bytes(samples.tobytes())[:16]
            self._kept[key] = enrol_samples(samples, identity, name, (), recording.path, self._backbone)
        return self._kept[key]

    def teach(self, labels: Sequence[Label], recordings: Mapping[int, Recording], out: Path, name: str) -> Taught:
        """Make a model of all verdicts and write it, as a whole or not at all.

        Args:
            labels: the verdicts.
            recordings: by number; verdicts on others are passed over.
            out: folder of the model.
            name: of the data.

        Raises:
            TooFewError: there is no example of any class.
            UsageError: there are more examples than enrolment takes.
        """
        began = time.monotonic()
        clips: list[EnrolledClip] = []
        regions: list[Region] = []
        skipped: dict[Region, Failure] = {}
        for region in regions_of([label for label in labels if label.recording in recordings]):
            try:
                found = self.example(recordings[region.recording], region.onset, region.offset)
            except InputError as error:
                skipped[region] = Failure(error.code, error.message)
                continue
            group = f"{found.group} {region.block[1]}"
            clips.append(replace(found, label=region.classes, group=group))
            regions.append(region)
        classes = tuple(sorted({name for clip in clips for name in clip.label}, key=natural_key))
        if not classes:
            raise TooFewError("no example yet: confirm a sound of a class (verdict yes), five are better")
        if len(clips) > MOST_CLIPS:
            raise UsageError(
                f"{len(clips)} verdicts: at most {MOST_CLIPS} are enrolled; export them, then auricle train"
            )
        task = "multi" if any(len(clip.label) > 1 for clip in clips) else "single"
        fitted = fit_model(clips, classes, task, self._backbone)
        bundle = write_model(out, fitted, clips, self._backbone, name)
        sha256 = bundle.spec.sha256[ONNX_FILES["float32"]]
        heads = make_heads(fitted, clips, regions, sha256, self._backbone.sha256)
        return Taught(heads, fitted.rows, skipped, time.monotonic() - began)


def make_heads(
    fitted: Fitted, clips: Sequence[EnrolledClip], regions: Sequence[Region], sha256: str, backbone: str
) -> Heads:
    """Return the layers of a fit."""
    clip_folds, frame_folds = split_folds(clips, MOST_FOLDS), split_folds(clips, FRAME_FOLDS)
    return Heads(
        fitted.labels,
        fitted.task,
        fitted.clip,
        _layers_without(fitted.labels, fitted.clip, fitted.clip_by_fold, clips, clip_folds),
        _folds_of(regions, clip_folds),
        _layers_without(fitted.labels, fitted.frames, fitted.frames_by_fold, clips, frame_folds),
        _folds_of(regions, frame_folds),
        sha256,
        backbone,
    )


def _layers_without(
    labels: Sequence[str],
    whole: Linear,
    by_fold: Mapping[int, Linear],
    clips: Sequence[EnrolledClip],
    folds: npt.NDArray[np.int64],
) -> tuple[Linear, ...]:
    """Return a layer for each fold; a class with examples in one fold only is scored by the whole fit there."""
    layers = []
    for fold in range(int(folds.max()) + 1):
        layer = by_fold.get(fold, whole)
        left = {name for clip, own in zip(clips, folds, strict=True) if own != fold for name in clip.label}
        known = np.array([name in left for name in labels])
        weight = np.where(known[:, None], layer.weight, whole.weight)
        layers.append(Linear(weight, np.where(known, layer.bias, whole.bias)))
    return tuple(layers)


def _folds_of(regions: Sequence[Region], folds: npt.NDArray[np.int64]) -> dict[tuple[int, int], int]:
    """Return the fold of each block in which something was taught; of two, that of what begins there."""
    found = {region.block: int(fold) for region, fold in zip(regions, folds, strict=True)}
    for region, fold in zip(regions, folds, strict=True):
        for block in region.blocks:
            found.setdefault(block, int(fold))
    return found


def save_heads(path: Path, heads: Heads) -> None:
    """Write the layers, so that the next studio on this folder goes on with them."""
    facts = {
        "labels": heads.labels,
        "task": heads.task,
        "sha256": heads.sha256,
        "backbone": heads.backbone,
        "fold_of": [[*place, fold] for place, fold in heads.fold_of.items()],
        "frame_fold_of": [[*place, fold] for place, fold in heads.frame_fold_of.items()],
    }
    clip, frames = (heads.layer, *heads.by_fold), heads.frames_by_fold
    buffer = io.BytesIO()
    np.savez(
        buffer,
        facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
        weight=np.stack([layer.weight for layer in clip]),
        bias=np.stack([layer.bias for layer in clip]),
        frame_weight=np.stack([layer.weight for layer in frames]),
        frame_bias=np.stack([layer.bias for layer in frames]),
    )
    atomic_write(path, buffer.getvalue())


def load_heads(path: Path, sha256: str, backbone: str) -> Heads | None:
    """Return what ``save_heads`` wrote; None where there is nothing, or nothing of this model and network."""
    try:
        found = read_npz(path.read_bytes(), _MOST_BYTES)
        facts = json.loads(found["facts"].tobytes())
        clip, frames = _linears(found["weight"], found["bias"]), _linears(found["frame_weight"], found["frame_bias"])
        fold_of, frame_fold_of = (
            {(int(a), int(b)): int(fold) for a, b, fold in facts[name]} for name in ("fold_of", "frame_fold_of")
        )
        made_of = (str(facts["sha256"]), str(facts["backbone"]))
        heads = Heads(
            tuple(facts["labels"]), facts["task"], clip[0], clip[1:], fold_of, frames, frame_fold_of, *made_of
        )
    except (OSError, NpzError, KeyError, ValueError, TypeError, IndexError):
        return None
    return heads if made_of == (sha256, backbone) else None


def _linears(weight: npt.ArrayLike, bias: npt.ArrayLike) -> tuple[Linear, ...]:
    """Return the layers of arrays of shapes ``(layer, label, feature)`` and ``(layer, label)``."""
    return tuple(Linear(w, b) for w, b in zip(np.asarray(weight), np.asarray(bias), strict=True))
