# SPDX-License-Identifier: Apache-2.0
"""One page about one recording: what it looks and sounds like, the scores over time, and the events."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from auricle import __version__
from auricle.reports.clock import time_ticks
from auricle.reports.lanes import HEIGHT, WIDTH, make_lanes
from auricle.reports.page import require_jinja, write_page
from auricle.reports.pairing import count_verdicts, pair_events
from auricle.reports.sound import audio_uri, png_uri
from auricle.reports.spectrogram import frequency_ticks, spectrogram_png
from auricle.results import Event, FloatArray, Scores
from auricle.timeline import samples_to_seconds


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
) -> None:
    """Write a self-contained HTML page: spectrogram, scores and events on one time axis, and a player.

    A click into the picture plays from there; with the keyboard, arrows move and the space bar plays.

    Args:
        path: file to write.
        samples: the recording, shape ``(time,)``, full scale 1.
        sample_rate: of ``samples``, in Hz.
        scores: of the same recording, over time.
        events: that were found.
        truth: true events, where they are known; None leaves the comparison out.
        title: heading of the page.
        facts: name to text, shown beneath.
        thresholds: score at which an event of each label begins, drawn into its row.

    Raises:
        UsageError: jinja2 is not installed.
        ValueError: no sample.
    """
    require_jinja()
    if len(samples) == 0:
        raise ValueError("a page needs at least one sample")
    duration_s = samples_to_seconds(len(samples), sample_rate)
    pairs = pair_events([] if truth is None else truth, events)
    lanes = make_lanes(scores, events, truth, duration_s, thresholds)
    write_page(
        path,
        "detection.html",
        title=title,
        version=__version__,
        duration_s=duration_s,
        picture=png_uri(spectrogram_png(samples, sample_rate)),
        frequencies=frequency_ticks(sample_rate),
        ticks=time_ticks(duration_s),
        lanes=lanes,
        hidden=len(set(scores.labels) - {lane.label for lane in lanes}),
        width=WIDTH,
        height=HEIGHT,
        sound=audio_uri(samples, sample_rate),
        pairs=pairs,
        has_truth=truth is not None,
        counts=count_verdicts(pairs),
        hues={lane.label: lane.hue for lane in lanes},
        facts=facts,
    )
