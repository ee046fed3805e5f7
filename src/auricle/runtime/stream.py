# SPDX-License-Identifier: Apache-2.0
"""Scores and events while the sound is still coming, equal to those of the whole recording.

    block ─▶ mono, finite ─▶ resampler ─▶ windows ─▶ network ─▶ frame scores ─▶ median ─▶ hysteresis ─▶ events
                                          (or, causal: frame, state)

Every stage holds its own state and gives out only what no later sound can change. A file goes through the same
stages, so it makes no difference how a recording is cut into blocks, nor whether it came as a file.
"""

from __future__ import annotations

import numpy as np

from auricle.audio.channels import one_channel, require_channel
from auricle.audio.checks import MAX_PEAK, SignalCheck
from auricle.audio.resample import Resampler
from auricle.errors import UsageError
from auricle.results import Event, EventStart, Flag, FloatArray, Scores
from auricle.runtime.inputs import Samples, check_rate, check_samples
from auricle.runtime.onnx_session import WindowNetwork
from auricle.runtime.scoring import frame_scorer
from auricle.runtime.spec import BundleSpec
from auricle.runtime.tracker import EventTracker, Threshold
from auricle.timeline import samples_to_seconds

Item = Scores | EventStart | Event

#: Samples of the lower rate that soxr's filter holds back: 585 to 1,264 measured over twelve pairs of rates.
RESAMPLER_DELAY_SAMPLES = 1_300


class Stream:
    """One live recording; make it with ``Detector.stream``. The caller holds it, so any number can run at once.

    ``push`` and ``flush`` return a list of ``Scores`` (new frames, raw), ``EventStart`` and ``Event``. Samples that are
    NaN, infinite or beyond any scale become zero and are counted in ``flags``.

    Attributes:
        sample_rate: of the pushed samples, in Hz.
    """

    def __init__(
        self,
        spec: BundleSpec,
        network: WindowNetwork,
        sample_rate: int,
        threshold: Threshold | None = None,
        channel: int | None = None,
    ) -> None:
        self._spec = spec
        self._channel = channel
        self.sample_rate = check_rate(sample_rate)
        self._resampler = Resampler(self.sample_rate, spec.sample_rate)
        self._scorer = frame_scorer(spec, network)
        self._wait_s = spec.wait_s if network.running is None else spec.grid.step_s(spec.sample_rate)
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

        A frame is final when the last window that holds it is complete (``BundleSpec.wait_s``), or at its own end if
        the model is causal; smoothing waits for half its median, a minimum length for that length, and the
        resampler for its filter.
        """
        lower, same = min(self.sample_rate, self._spec.sample_rate), self.sample_rate == self._spec.sample_rate
        delay = 0.0 if same else samples_to_seconds(RESAMPLER_DELAY_SAMPLES, lower)
        post = self._spec.postprocess
        return self._wait_s + self._tracker.lookahead_s + post.min_event_s + delay

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
            InputError: no floats, no such shape, or not the channel that was asked for.
            UsageError: another number of channels than before, or the stream was flushed.
        """
        return self._advance(self._scorer.push(self._heard(block)))

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

    def _heard(self, block: Samples) -> FloatArray:
        """Return new samples at the model's rate, shape ``(time,)``."""
        if self._flushed:
            raise UsageError("the stream has been flushed; make a new one for the next recording")
        block = check_samples(np.asarray(block))
        if len(block) == 0:
            return np.zeros(0, np.float32)
        return self._resampler.push(self._mono(block))

    def _mono(self, block: Samples) -> FloatArray:
        """Return the wanted channel or the mean of all, with what is no sound replaced by zero."""
        if self._check is None:
            require_channel(self._channel, block.shape[1])
            self._channels = block.shape[1]
            self._check = SignalCheck(self._channels if self._channel is None else 1)
        if block.shape[1] != self._channels:
            raise UsageError(f"the stream has {self._channels} channels, this block has {block.shape[1]}")
        self._samples += len(block)
        block = one_channel(block, self._channel)
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
    """Return the flag of a recording of ``samples`` at the model's rate that is shorter than the model can score."""
    if samples >= spec.min_samples:
        return ()
    return (Flag("too_short", {"samples": samples, "needed": spec.min_samples}),)
