# SPDX-License-Identifier: Apache-2.0
"""Scores and events while the sound is still coming, equal to those of the whole recording.

    block ─▶ mono, finite ─▶ resampler ─▶ windows ─▶ network ─▶ frame scores ─▶ median ─▶ hysteresis ─▶ events

Every stage holds its own state and gives out only what no later sound can change. A file goes through the same
stages, so it makes no difference how a recording is cut into blocks, nor whether it came as a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from auricle.audio.checks import MAX_PEAK, SignalCheck
from auricle.audio.resample import Resampler
from auricle.errors import UsageError
from auricle.events.segments import (
    Change,
    SegmentRule,
    finish_segments,
    initial_state,
    push_scores,
    segment_event,
    segment_onset,
    segment_rule,
)
from auricle.events.smoothing import MedianStream, median_size
from auricle.registry import nearest
from auricle.results import Event, EventStart, Flag, FloatArray, Scores
from auricle.runtime.inputs import Samples, check_rate, check_samples
from auricle.runtime.scoring import Scorer
from auricle.runtime.session import WindowNetwork
from auricle.runtime.spec import BundleSpec
from auricle.timeline import samples_to_seconds

Threshold = float | Mapping[str, float]
Item = Scores | EventStart | Event

#: Samples of the lower rate that soxr's filter holds back: 585 to 1,264 measured over twelve pairs of rates.
_RESAMPLER_DELAY_SAMPLES = 1_300


def on_thresholds(spec: BundleSpec, threshold: Threshold | None) -> list[float]:
    """Return one on-threshold a label.

    Args:
        spec: the model's specification.
        threshold: None for the model's own, one number for all labels, or numbers for some labels.

    Raises:
        UsageError: an unknown label, or a number outside [0, 1].
    """
    if threshold is None:
        threshold = {}
    changed = dict(threshold) if isinstance(threshold, Mapping) else dict.fromkeys(spec.labels, float(threshold))
    for label, value in changed.items():
        if label not in spec.thresholds:
            raise UsageError(f"{spec.name} has no label {label!r}{nearest(label, spec.labels)}")
        if not 0 <= value <= 1:
            raise UsageError(f"the threshold of {label!r} is {value:g}; scores and thresholds lie in [0, 1]")
    return [float(changed.get(label, spec.thresholds[label])) for label in spec.labels]


class EventTracker:
    """Frame scores of one recording to events: smoothing and hysteresis by the model's post-processing."""

    def __init__(self, spec: BundleSpec, threshold: Threshold | None = None) -> None:
        self._spec = spec
        self._step_s = spec.grid.step_s(spec.sample_rate)
        post = spec.postprocess
        self._rule: SegmentRule = segment_rule(
            on_thresholds(spec, threshold),
            off_ratio=post.off_ratio,
            min_event_s=post.min_event_s,
            max_gap_s=post.max_gap_s,
            step_s=self._step_s,
        )
        self._median = MedianStream(median_size(post.median_s, self._step_s), len(spec.labels))
        self._state = initial_state(self._rule)

    @property
    def lookahead_s(self) -> float:
        """Seconds of sound after a frame that its smoothed score depends on, beyond the frame's own windows."""
        return self._median.lookahead * self._step_s

    def push(self, frames: FloatArray) -> list[EventStart | Event]:
        """Take frame scores, shape ``(frame, label)``; return what is certain now."""
        self._state, changes = push_scores(self._rule, self._state, self._median.push(frames))
        return self._report(changes, np.inf)

    def finish(self, duration_s: float) -> list[EventStart | Event]:
        """Return the rest; events end with the recording at the latest."""
        self._state, changes = push_scores(self._rule, self._state, self._median.flush())
        return self._report([*changes, *finish_segments(self._rule, self._state)], duration_s)

    def _report(self, changes: Iterable[Change], duration_s: float) -> list[EventStart | Event]:
        spec, grid = self._spec, self._spec.grid
        labels, rate = spec.labels, spec.sample_rate
        return [
            EventStart(labels[change.label], segment_onset(change.first, grid, rate))
            if change.segment is None
            else segment_event(change.segment, labels, grid, rate, duration_s)
            for change in changes
        ]


class Stream:
    """One live recording; make it with ``Detector.stream``. The caller holds it, so any number can run at once.

    ``push`` and ``flush`` return a list of ``Scores`` (new frames, raw), ``EventStart`` and ``Event``. Samples that are
    NaN, infinite or beyond any scale become zero and are counted in ``flags``.

    Attributes:
        sample_rate: of the pushed samples, in Hz.
    """

    def __init__(
        self, spec: BundleSpec, network: WindowNetwork, sample_rate: int, threshold: Threshold | None = None
    ) -> None:
        self._spec = spec
        self.sample_rate = check_rate(sample_rate)
        self._resampler = Resampler(self.sample_rate, spec.sample_rate)
        self._scorer = Scorer(spec, network, frames=True)
        self._tracker = EventTracker(spec, threshold)
        self._check: SignalCheck | None = None
        self._channels = 0
        self._samples = 0
        self._replaced = 0
        self._frames = 0
        self._flushed = False
        self._end_flags: tuple[Flag, ...] = ()

    @property
    def latency_s(self) -> float:
        """Longest time from a sound to the report of its event's beginning, in seconds of sound.

        A frame is final when the last window that holds it is complete, one window later at most; smoothing waits
        for half its median, a minimum length for that length, and the resampler for its filter.
        """
        lower, same = min(self.sample_rate, self._spec.sample_rate), self.sample_rate == self._spec.sample_rate
        delay = 0.0 if same else samples_to_seconds(_RESAMPLER_DELAY_SAMPLES, lower)
        post = self._spec.postprocess
        return self._spec.window_s + self._tracker.lookahead_s + post.min_event_s + delay

    @property
    def samples_to_next(self) -> int:
        """How many samples at least must be pushed before anything new can come out; fewer pushes save work."""
        needed = self._scorer.samples_seen + self._scorer.samples_to_next
        return max(1, needed * self.sample_rate // self._spec.sample_rate - self._samples)

    @property
    def duration(self) -> float:
        """Seconds pushed so far."""
        return samples_to_seconds(self._samples, self.sample_rate)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What is to be known about the sound; those about the whole signal come with ``flush``."""
        replaced = (Flag("nonfinite", {"count": self._replaced}),) if self._replaced else ()
        return (*replaced, *self._end_flags)

    def push(self, block: Samples) -> list[Item]:
        """Take any number of samples, shape ``(time,)`` or ``(time, channel)``; return what is certain now.

        Raises:
            InputError: no floats, or no such shape.
            UsageError: another number of channels than before, or the stream was flushed.
        """
        if self._flushed:
            raise UsageError("the stream has been flushed; make a new one for the next recording")
        block = check_samples(np.asarray(block))
        if len(block) == 0:
            return []
        return self._advance(self._scorer.push(self._resampler.push(self._mono(block))))

    def flush(self) -> list[Item]:
        """End the recording: score the last window, padded by the model's rule, and return the rest."""
        if self._flushed:
            return []
        self._flushed = True
        if self._check is None:
            return []
        items = self._advance(self._scorer.push(self._resampler.flush()))
        items += self._advance(self._scorer.finish())
        self._end_flags = (*self._check.finish(), *length_flags(self._spec, self._scorer.samples_seen))
        return [*items, *self._tracker.finish(self.duration)]

    def _mono(self, block: Samples) -> FloatArray:
        """Return the mean of the channels, with what is no sound replaced by zero."""
        if self._check is None:
            self._channels = block.shape[1]
            self._check = SignalCheck(self._channels)
        if block.shape[1] != self._channels:
            raise UsageError(f"the stream has {self._channels} channels, this block has {block.shape[1]}")
        self._samples += len(block)
        usable = np.abs(block) <= MAX_PEAK  # False for NaN
        if not usable.all():
            self._replaced += int(block.size - usable.sum())
            block = np.where(usable, block, block.dtype.type(0))
        return self._check.push(block)

    def _advance(self, frames: FloatArray) -> list[Item]:
        if len(frames) == 0:
            return []
        spec = self._spec
        times = spec.grid.times(len(frames), spec.sample_rate, first=self._frames)
        self._frames += len(frames)
        scores = Scores(times, frames, spec.labels, spec.grid.step_s(spec.sample_rate))
        return [scores, *self._tracker.push(frames)]


def length_flags(spec: BundleSpec, samples: int) -> tuple[Flag, ...]:
    """Return the flag of a recording of ``samples`` at the model's rate that is shorter than the model can hear."""
    if samples >= spec.min_samples:
        return ()
    return (Flag("too_short", {"samples": samples, "needed": spec.min_samples}),)
