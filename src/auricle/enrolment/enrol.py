# SPDX-License-Identifier: Apache-2.0
"""``auricle enrol``: a few clips of some classes become a model, without training and without torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from auricle.audio.listing import Listing
from auricle.data.formats.registry import read_source
from auricle.data.labels import natural_key
from auricle.data.manifest import Clip, Manifest
from auricle.enrolment.backbone import Backbone, open_backbone
from auricle.enrolment.bank import load_bank
from auricle.enrolment.clips import ENROLLED_FILE, EnrolledClip, enrol_clip, parse_enrolled
from auricle.enrolment.events import fit_frame_head
from auricle.enrolment.figures import advice, class_figures, fit_error_rates
from auricle.enrolment.heads import MOST_FOLDS, clip_items, fit_clip_head, unscaled
from auricle.enrolment.model import Fitted, write_model
from auricle.errors import DataError, InputError, RunError, UsageError
from auricle.output_folder import OutputFolder
from auricle.recipe.requests import EnrolRequest, PathLike
from auricle.registry import nearest
from auricle.results import EnrolResult, Failure
from auricle.runtime.bundle import SPEC_FILE, load_bundle

#: More clips than this say nothing that so few weights could learn; training does.
MOST_CLIPS = 5_000
#: Shorter events are not enrolled.
SHORTEST_S = 0.05


def run_enrolment(request: EnrolRequest) -> EnrolResult:
    """Make a model of clips, or change one.

    Raises:
        UsageError: and its kinds, for wrong use, data or folders.
    """
    began = time.monotonic()
    out = Path(request.out)
    backbone = open_backbone()
    task, known = _known(request, out, backbone)
    manifest = None if request.clips is None else read_source(request.source_at(request.clips))
    negatives = [clip for path in request.negatives for clip in _unlabelled(path)]
    failures: dict[str, Failure] = {}
    new = [] if manifest is None else _enrol(list(_parts(manifest)), manifest, backbone, failures)
    new += _enrol([(clip, clip) for clip in negatives], None, backbone, failures)
    clips = _joined(known, new)
    if manifest is not None and manifest.task == "multi":
        task = "multi"
    labels = _labels(clips, manifest, failures)
    fitted = fit_model(clips, labels, task, backbone)
    name = out.name if manifest is None else manifest.name
    write_model(out, fitted, clips, backbone, name)
    return EnrolResult(
        str(request.out),
        labels,
        len(clips),
        sum(not clip.label for clip in clips),
        tuple(fitted.rows),
        tuple(advice(fitted.rows, clips)),
        failures,
        time.monotonic() - began,
    )


def fit_model(clips: Sequence[EnrolledClip], labels: tuple[str, ...], task: str, backbone: Backbone) -> Fitted:
    """Fit both layers, and all that is fitted behind them."""
    bank, spec = load_bank(backbone.sha256), backbone.spec
    items = clip_items(clips, labels, bank, MOST_FOLDS)
    clip = fit_clip_head(items, task)
    frame = fit_frame_head(clips, labels, task, bank, spec.grid, spec.sample_rate)
    rows = [
        {**row, "threshold": round(frame.thresholds[row["label"]], 4), "fragments": frame.fragments[row["label"]]}
        for row in class_figures(items, clip, clips, labels, task)
    ]
    return Fitted(
        labels,
        task,
        unscaled(clip.layer, bank.clip_scale),
        unscaled(frame.layer, bank.frame_scale),
        frame.postprocess,
        frame.thresholds,
        fit_error_rates(items, clip, clips, labels, task),
        rows,
        {fold: unscaled(layer, bank.clip_scale) for fold, layer in clip.by_fold.items()},
        {fold: unscaled(layer, bank.frame_scale) for fold, layer in frame.by_fold.items()},
    )


def _known(request: EnrolRequest, out: Path, backbone: Backbone) -> tuple[str, list[EnrolledClip]]:
    """Return task and clips of the model that is changed; none for a new one."""
    _check_use(request)
    if not request.add and not request.remove:
        folder = OutputFolder(out, holds="a model")
        if request.overwrite and (out / SPEC_FILE).exists():
            folder.require_folder()
        else:
            folder.require_new()
        return "single", []
    if not out.is_dir():
        raise RunError(f"{out} does not exist: there is no model to change; leave --add and --remove out")
    bundle = load_bundle(out)
    if ENROLLED_FILE not in bundle:
        raise RunError(f"{out} was not made by `auricle enrol`: no classes can be added to it or removed from it")
    clips = parse_enrolled(bundle.read(ENROLLED_FILE), backbone.sha256, str(out))
    names = {clip.name for clip in clips}
    for name in request.remove:
        if name not in names and name not in bundle.spec.labels:
            raise UsageError(
                f"--remove {name}: {out} has no such class or clip{nearest(name, bundle.spec.labels)}; it has the "
                f"classes: {', '.join(bundle.spec.labels)}"
            )
    return bundle.spec.task, list(_without(clips, set(request.remove)))


def _check_use(request: EnrolRequest) -> None:
    """Refuse options that do not go together."""
    if request.add and request.clips is None and not request.negatives:
        raise UsageError("--add without CLIPS: give the clips to add, or --negatives FOLDER")
    if request.remove and not request.add and request.clips is not None:
        raise UsageError("--remove with CLIPS: say --add too, if these clips are to be added")
    if request.clips is None and not request.add and not request.remove:
        raise UsageError("no CLIPS: give a folder with a folder of clips for each class, or a table")


def _without(clips: Iterable[EnrolledClip], gone: set[str]) -> Iterable[EnrolledClip]:
    """Yield clips without those that are named, and without the classes that are named."""
    for clip in clips:
        label = tuple(name for name in clip.label if name not in gone)
        if clip.name not in gone and (label or not clip.label):
            yield replace(clip, label=label)


def _enrol(
    pairs: Sequence[tuple[Clip, Clip]], manifest: Manifest | None, backbone: Backbone, failures: dict[str, Failure]
) -> list[EnrolledClip]:
    """Return what could be read of the parts of clips; the others are noted by the clip's key."""
    done = []
    for part, clip in pairs:
        try:
            done.append(enrol_clip(part, None if manifest is None else manifest.arrays, backbone))
        except InputError as error:
            failures[clip.key] = Failure(error.code, error.message)
    return done


def _parts(manifest: Manifest) -> Iterable[tuple[Clip, Clip]]:
    """Yield what is enrolled of each clip: itself, or where its labels say when, each of its events."""
    for clip in manifest.clips:
        if not clip.events:
            yield (clip if clip.events is None else replace(clip, label=(), negative=True)), clip
            continue
        start = 0.0 if clip.onset is None else clip.onset
        for event in clip.events:
            if event.offset - event.onset >= SHORTEST_S:
                group = clip.group if clip.group is not None else clip.key
                onset, offset = start + event.onset, start + event.offset
                yield replace(clip, label=(event.label,), events=None, group=group, onset=onset, offset=offset), clip


def _unlabelled(folder: PathLike) -> list[Clip]:
    """Return the recordings of a folder as clips of none of the classes."""
    path = Path(folder)
    if not path.is_dir():
        raise DataError(f"{path} cannot be read as negatives", ["expected a folder of recordings"])
    return [Clip(entry.path, entry.path, negative=True, group=entry.path) for entry in Listing([str(path)])]


def _joined(known: Sequence[EnrolledClip], new: Sequence[EnrolledClip]) -> list[EnrolledClip]:
    """Return all clips, each once: what is enrolled again takes the place of what was."""
    clips = {(clip.id, clip.label): clip for clip in (*known, *new)}
    return list(clips.values())


def _labels(
    clips: Sequence[EnrolledClip], manifest: Manifest | None, failures: Mapping[str, Failure]
) -> tuple[str, ...]:
    """Return the classes of a model; raises where one of the data has no clip, or there is none at all."""
    labels = tuple(sorted({label for clip in clips for label in clip.label}, key=natural_key))
    empty = [] if manifest is None else [label for label in manifest.labels if label not in labels]
    if empty:
        why = f"; {len(failures)} could not be read: {next(iter(failures.values())).message}" if failures else ""
        raise DataError(
            f"no clip of {', '.join(empty)} can be used{why}",
            ["give each class a clip with sound, 5 or more are better"],
        )
    if not labels:
        raise DataError("no class is left", ["give clips of at least one class; --negatives alone is nothing to find"])
    if len(clips) > MOST_CLIPS:
        raise UsageError(
            f"{len(clips)} clips: enrol takes at most {MOST_CLIPS}; so many are better trained on: auricle train"
        )
    return labels
