# SPDX-License-Identifier: Apache-2.0
"""One page about one recording, in one file: how it looks and sounds, scores over time, and events."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from auricle import __version__
from auricle.files import atomic_write
from auricle.reports.sound import audio_uri
from auricle.results import DetectResult, Event, FloatArray, Scores
from auricle.timeline import samples_to_seconds
from auricle.webpage.assets import joined_script, page_html, read_asset
from auricle.webpage.lanes import pick_lanes

_POLICY = (
    "default-src 'none'; img-src data:; media-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def detection_page(
    path: str | os.PathLike[str],
    *,
    samples: FloatArray,
    sample_rate: int,
    scores: Scores,
    events: Sequence[Event],
    truth: Sequence[Event] | None = None,
    title: str,
    facts: Mapping[str, str],
    thresholds: Mapping[str, float] | None = None,
    rule: Mapping[str, Any] | None = None,
    name: str = "recording.wav",
) -> None:
    """Write a self-contained HTML page: waveform, spectrogram, scores and events on one time axis, and a player.

    Args:
        path: file to write.
        samples: the recording, shape ``(time,)``, full scale 1.
        sample_rate: of ``samples``, in Hz.
        scores: of the same recording, over time.
        events: that were found.
        truth: true events, where they are known; None leaves the comparison out.
        title: heading of the page.
        facts: name to text, shown beneath.
        thresholds: score at which an event of each label begins.
        rule: ``BundleSpec.event_rule``, by which events follow a threshold that is moved; with None thresholds stay.
        name: of the recording, for what the page offers as downloads.

    Raises:
        ValueError: no sample.
    """
    if len(samples) == 0:
        raise ValueError("a page needs at least one sample")
    labels = [*scores.labels, *sorted({event.label for event in truth or ()} - set(scores.labels))]
    lanes, peaks = pick_lanes(scores, [*events, *(truth or ())])
    found = DetectResult(name, samples_to_seconds(len(samples), sample_rate), events=tuple(events))
    data = {
        "title": title,
        "labels": labels,
        "thresholds": [None if thresholds is None else thresholds.get(label) for label in labels],
        "rule": rule,
        "found": found.to_dict(),
        "scores": {
            "labels": lanes.labels,
            "times": _base64(lanes.times),
            "columns": [_base64(column) for column in lanes.values.T],
            "peaks": peaks,
        },
        "truth": None if truth is None else [event.to_dict() for event in truth],
        "facts": dict(facts),
        "address": audio_uri(samples, sample_rate),
    }
    atomic_write(Path(path), _html(title, data).encode("utf-8", errors="replace"))


def _html(title: str, data: Mapping[str, Any]) -> str:
    """Return the page; whatever stands in the data, it is no markup."""
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="generator" content="auricle {__version__}">\n<style>\n{read_asset("page.css")}</style>'
    )
    tail = (
        f'<script type="application/json" id="data">{text}</script>\n'
        f'<script type="module">\n{joined_script("report.js")}</script>'
    )
    footer = f"Made by auricle {__version__}. This page needs no other file and no network."
    return page_html(title=title, head=head, footer=footer, tail=tail)


def _base64(values: FloatArray) -> str:
    """Return numbers as little-endian float32 in base64, which is exact and small."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")
