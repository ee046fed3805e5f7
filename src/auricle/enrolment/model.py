# SPDX-License-Identifier: Apache-2.0
"""From new last layers to a model folder: graph, weights, golden scores, card, and the enrolled clips."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from auricle import __version__
from auricle.data.trained_clips import CLIPS_FILE, DEV, TEST, TRAIN
from auricle.enrolment.backbone import BACKBONE, Backbone
from auricle.enrolment.clips import ENROLLED_FILE, EnrolledClip, dump_enrolled
from auricle.enrolment.linear import Linear
from auricle.enrolment.onnx_head import with_heads
from auricle.enrolment.safetensors import CLIP_LAYER, FRAME_LAYER, WEIGHTS_FILE, with_layers
from auricle.files import sha256_bytes
from auricle.results import Interval
from auricle.runtime.bundle import GOLDEN, Bundle, read_golden, write_bundle
from auricle.runtime.onnx_session import INPUT, open_session
from auricle.runtime.spec import ONNX_FILES, AbstentionPart, BundleSpec, PostprocessPart, ProvenancePart

#: What `provenance.data_form` says of a model that was enrolled.
FORM = "enrolled"


@dataclass(frozen=True)
class Fitted:
    """What was fitted.

    Attributes:
        labels: the classes, in the order of the layers.
        task: ``single`` or ``multi``.
        clip: layer of clip scores, on the network's own vectors.
        frames: layer of frame scores.
        postprocess: from frame scores to events.
        thresholds: of events, by label.
        abstention: from which clip score on something is named, at stated error rates.
        rows: figures of each class.
        clip_by_fold: layers of clip scores fitted without one fold of ``split_folds`` each: not part of the model.
        frames_by_fold: the same of frame scores, which have ``events.FRAME_FOLDS`` at most.
    """

    labels: tuple[str, ...]
    task: str
    clip: Linear
    frames: Linear
    postprocess: PostprocessPart
    thresholds: Mapping[str, float]
    abstention: AbstentionPart | None
    rows: Sequence[Mapping[str, Any]]
    clip_by_fold: Mapping[int, Linear]
    frames_by_fold: Mapping[int, Linear]


def write_model(folder: Path, fitted: Fitted, clips: Sequence[EnrolledClip], backbone: Backbone, name: str) -> Bundle:
    """Write the folder; ``name`` is that of the data."""
    content = with_heads(backbone.content, backbone.inputs, fitted.clip, fitted.frames, fitted.task)
    spec = _spec(folder, fitted, clips, backbone, name)
    layers = {CLIP_LAYER: fitted.clip, FRAME_LAYER: fitted.frames}
    files: dict[str, Any] = {
        ONNX_FILES["float32"]: content,
        GOLDEN: _golden(content, backbone.bundle),
        CLIPS_FILE: _dump_ids(clips),
        ENROLLED_FILE: dump_enrolled(clips, backbone.sha256),
        "README.md": card(spec, fitted, clips).encode(),
    }
    if WEIGHTS_FILE in backbone.bundle:
        files[WEIGHTS_FILE] = with_layers(backbone.bundle.read(WEIGHTS_FILE), layers)
    return write_bundle(folder, spec, files)


def _spec(folder: Path, fitted: Fitted, clips: Sequence[EnrolledClip], backbone: Backbone, name: str) -> BundleSpec:
    base = backbone.spec
    recipe: dict[str, Any] = {
        **base.provenance.recipe,
        "task": fitted.task,
        "init": {"model": BACKBONE, "new_head": True},
    }
    content = "\n".join(sorted(f"{clip.id} {','.join(clip.label)}" for clip in clips))
    old, new = len(base.labels), len(fitted.labels)
    per_label = fitted.clip.weight.shape[1] + fitted.frames.weight.shape[1] + 2
    provenance = ProvenancePart(
        data_hash=sha256_bytes(content.encode()),
        data_form=FORM,
        data_name=name,
        recipe=recipe,
        versions={"auricle": __version__, "python": platform.python_version(), "numpy": np.__version__},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=max(0, base.provenance.parameters + (new - old) * per_label),
        attribution=f"On the built-in model {base.name}: {base.provenance.attribution}",
        teacher=base.provenance.teacher,
    )
    update = {
        "name": folder.resolve().name,
        "task": fitted.task,
        "labels": fitted.labels,
        "label_ids": {},
        "negatives": True,
        "aggregate": "max",
        "postprocess": fitted.postprocess,
        "thresholds": dict(fitted.thresholds),
        "int8": None,
        "calibration": None,
        "domain": None,
        "neighbours": None,
        "abstention": fitted.abstention,
        "provenance": provenance,
        "sha256": {},
    }
    return BundleSpec.model_validate(base.model_copy(update=update).model_dump())


def _golden(content: bytes, base: Bundle) -> bytes:
    """Return the built-in model's stored input with the new scores of it."""
    waveform = read_golden(base)["waveform"]
    session = open_session(content, 1, ONNX_FILES["float32"])
    names = [output.name for output in session.get_outputs() if not output.name.endswith("embedding")]
    scores = dict(zip(names, session.run(names, {INPUT: waveform.astype(np.float32)}), strict=True))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{INPUT: waveform, **scores})
    return buffer.getvalue()


def _dump_ids(clips: Sequence[EnrolledClip]) -> bytes:
    return json.dumps({TRAIN: sorted({clip.id for clip in clips if clip.id}), DEV: [], TEST: []}, indent=0).encode()


def card(spec: BundleSpec, fitted: Fitted, clips: Sequence[EnrolledClip]) -> str:
    """Return the model card in Markdown."""
    negatives = sum(not clip.label for clip in clips)
    lines = [
        f"# {spec.name}",
        "",
        f"Enrolled by auricle {spec.provenance.versions.get('auricle', '')} on {len(clips)} clips"
        + (f", {negatives} of which hold none of the classes" if negatives else "")
        + f": new last layers for the built-in model `{BACKBONE}`, {spec.provenance.parameters:,} parameters, "
        f"{spec.sample_rate} Hz.",
        "",
        f"Classes ({spec.task}): {', '.join(spec.labels)}.",
        "",
        "## Figures",
        "",
        "Of clips left out of the fit, with 95 % intervals; false alarms are of the bank's sounds, which hold none of "
        "the classes as far as is known.",
        "",
        "| class | clips | recall | precision | false alarms | threshold of events |",
        "|---|--:|---|---|---|--:|",
    ]
    lines += [
        f"| {row['label']} | {row['clips']} | {figure(row['recall'])} | {figure(row['precision'])} | "
        f"{figure(row['bank_alarms'])} | {row['threshold']:g} |"
        for row in fitted.rows
    ]
    if spec.abstention is not None:
        part = spec.abstention
        rows = zip(part.rates, part.thresholds, part.coverage, strict=True)
        lines += [
            "",
            "`tag --abstain RATE` names nothing below a score: "
            + "; ".join(
                f"{rate:.0%} of mistakes at {threshold:.2f}, which {coverage:.0%} of left-out clips reach"
                for rate, threshold, coverage in rows
            )
            + ". Half of the sounds behind these figures are of none of the classes.",
        ]
    lines += [
        "",
        "## Limits",
        "",
        'It knows few recordings: other microphones, rooms and distances may sound otherwise. It has a "none of these" '
        "from the bank of negatives: where all scores are low, none of its classes was found.",
        "",
        f"Licence of the clips: not stated. {spec.provenance.attribution}".rstrip(),
        "",
    ]
    return "\n".join(lines)


def figure(value: Interval | None) -> str:
    """Return a figure with its interval.

    >>> figure(Interval(0.6, 0.23, 0.88, 5)), figure(None)
    ('0.60 [0.23, 0.88]', '-')
    """
    return "-" if value is None else f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"
