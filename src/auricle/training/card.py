# SPDX-License-Identifier: Apache-2.0
"""The model card: ``README.md`` of a bundle, for the person who will use it, and for the Hugging Face hub.

The hub reads the front matter (https://huggingface.co/docs/hub/model-cards). A licence of the model stands in none of
it: only who publishes a model can give one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from auricle.data.manifest import Manifest
from auricle.results import Interval, Report, rounded
from auricle.runtime.spec import BundleSpec, CalibrationPart, LlrPart


def model_card(spec: BundleSpec, manifest: Manifest, dev: Mapping[str, float], test: Report | None = None) -> str:
    """Return the card in Markdown.

    Args:
        spec: of the model.
        manifest: what it was trained on.
        dev: figures on the part that selected it: too good by nature, and said so.
        test: figures on data that selected nothing; None if there was none.
    """
    provenance = spec.provenance
    lines = [
        "---",
        front_matter(spec, manifest.name, None if test is None else test.metrics).rstrip(),
        "---",
        "",
        f"# {spec.name}",
        "",
        f"A sound detector made by auricle {provenance.versions.get('auricle', '')}: network `{spec.model.name}`, "
        + (f"head `{spec.model.head}`, " if spec.model.head is not None else "")
        + f"{provenance.parameters:,} parameters, {spec.sample_rate} Hz, "
        f"windows of {spec.window_s:g} s every {spec.hop_s:g} s.",
        "",
        f"Classes ({spec.task}): {', '.join(spec.labels)}.",
        "",
        "## Figures",
        "",
        *_figures(dev, test),
        "",
        *_calibration_lines(spec),
        "## Data",
        "",
        f"`{provenance.data_name}` (format {provenance.data_form}, {len(manifest)} clips of which {manifest.negatives} "
        f"negatives, data hash `{provenance.data_hash[:16]}`), seed {', '.join(map(str, provenance.seeds))}.",
        f"Licence of the data: {provenance.license or 'not stated'}. {provenance.attribution}".rstrip(),
        "",
        *_init_lines(spec),
        *_teacher_lines(spec),
        *_voice_lines(spec),
        "## Limits",
        "",
        "It knows the sounds and recording conditions of its data. "
        + (
            "It was trained on negatives too; other sounds may still set it off."
            if spec.negatives
            else "It was trained without negatives: every sound is taken for one of its classes, so `tag` always "
            "names one. Thresholds of `detect` were fitted where a dev part was at hand, else they are 0.5."
        ),
        "",
        f"Use it: `auricle detect recording.wav --model {spec.name if '/' in spec.name else './' + spec.name}`",
        "",
    ]
    return "\n".join(lines)


def front_matter(spec: BundleSpec, data_name: str, metrics: Mapping[str, Interval] | None) -> str:
    """Return the YAML at the head of the card: kind of model, tags, figures of the test part if there was one."""
    values: dict[str, Any] = {
        "library_name": "auricle",
        "pipeline_tag": "audio-classification",
        "tags": ["audio", "auricle", "onnx", spec.model.name],
    }
    if metrics is not None:
        figures = [
            {"type": name, "name": f"{name}, 95 % {m.low:.4g} to {m.high:.4g}, n = {m.n}", "value": rounded(m.value)}
            for name, m in metrics.items()
        ]
        result = {
            "task": {"type": "audio-classification"},
            "dataset": {"type": data_name, "name": data_name},
            "metrics": figures,
        }
        values["model-index"] = [{"name": spec.name, "results": [result]}]
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)


def _init_lines(spec: BundleSpec) -> list[str]:
    """Return which weights training began with; nothing where it began at random."""
    init = spec.provenance.recipe.get("init")
    if not isinstance(init, dict) or init["model"] == "none":
        return []
    new_head = " and a new last layer" if init["new_head"] else ""
    return [f"Training began with the weights of `{init['model']}`{new_head}.", ""]


def _teacher_lines(spec: BundleSpec) -> list[str]:
    """Return which teacher labelled the data; nothing without a teacher."""
    teacher = spec.provenance.teacher
    said = f"It learnt from soft labels too: {teacher}. What its teacher mistakes, it may mistake."
    return [said, ""] if teacher else []


def _calibration_lines(spec: BundleSpec) -> list[str]:
    """Return what calibration changed; nothing for models without one."""
    part = spec.calibration
    if not isinstance(part, CalibrationPart) or part.log_loss_before is None or part.log_loss_after is None:
        return []
    how = "a logistic map for each class" if part.temperature is None else f"a temperature of {part.temperature:.3g}"
    return [
        f"Clip scores are calibrated on dev by {how}: log loss {part.log_loss_before:.3g} without, "
        f"{part.log_loss_after:.3g} with it (cross-fitted). Frame scores and thresholds of events are as the network "
        "gives them.",
        "",
    ]


def _voice_lines(spec: BundleSpec) -> list[str]:
    """Return what the numbers of a model of synthetic voices mean; nothing for other models."""
    if not spec.is_spoof:
        return []
    part, known = spec.calibration, spec.provenance
    meaning = (
        "`llr` is calibrated on recordings that the weights did not learn from "
        "(without a dev part: scored by models of the same recipe that were trained on neither their system nor their "
        "speaker); probabilities assume that "
        f"{part.prior_spoof:.0%} of the recordings are spoofed (`--prior-spoof` states another share)."
        if isinstance(part, LlrPart)
        else "`llr` is **not calibrated**: no part of the data was held out. It ranks recordings, no more."
    )
    return [
        "## What the numbers mean",
        "",
        meaning,
        "",
        f"It was shaped by {len(known.speakers)} speakers and the spoofing systems "
        f"{', '.join(known.systems) or 'not named'}. "
        "Figures for other systems are what to expect of synthesisers it was not trained on.",
        "",
    ]


def _figures(dev: Mapping[str, float], test: Report | None) -> list[str]:
    rows = ["| part | metric | value | 95 % interval | n |", "|---|---|---|---|---|"]
    if test is not None:
        rows += [
            f"| test, scored once | {name} | {m.value:.4g} | {m.low:.4g} – {m.high:.4g} | {m.n} |"
            for name, m in test.metrics.items()
        ]
    rows += [f"| dev, which selected the weights | {name} | {value:.4g} | | |" for name, value in dev.items()]
    return rows if len(rows) > 2 else ["No part of the data was held out, so nothing is claimed."]
