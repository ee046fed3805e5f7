# SPDX-License-Identifier: Apache-2.0
"""A live recording with holes: a stream for each piece of it, in the time of the whole.

Behind a gap (a lost microphone, an overrun, another sample rate) nothing that was read before counts: what is open
ends there, and a new stream begins. No event reaches across; one that a gap cut off is a ``CutEvent``.
"""

from __future__ import annotations

from dataclasses import replace

from auricle.results import CutEvent, Event, EventStart, Flag, Scores
from auricle.runtime.inputs import Samples
from auricle.runtime.onnx_session import WindowNetwork
from auricle.runtime.spec import BundleSpec
from auricle.runtime.stream import Item, Stream
from auricle.runtime.tracker import Threshold


class Recording:
    """A live recording that may have gaps.

    Args:
        spec: of the model.
        network: its network.
        sample_rate: of the first piece, in Hz.
        threshold: as for ``Detector.stream``.
    """

    def __init__(
        self, spec: BundleSpec, network: WindowNetwork, sample_rate: int, threshold: Threshold | None = None
    ) -> None:
        self._spec = spec
        self._network = network
        self._threshold = threshold
        self._stream = Stream(spec, network, sample_rate, threshold)
        self._offset_s = 0.0
        self._reported: tuple[Flag, ...] = ()
        self._fresh: list[Flag] = []

    @property
    def sample_rate(self) -> int:
        """Of the piece that is being read, in Hz."""
        return self._stream.sample_rate

    @property
    def latency_s(self) -> float:
        """As that of ``Stream``."""
        return self._stream.latency_s

    @property
    def samples_to_next(self) -> int:
        """As that of ``Stream``."""
        return self._stream.samples_to_next

    @property
    def duration_s(self) -> float:
        """Seconds of sound and gaps so far."""
        return self._offset_s + self._stream.duration

    def push(self, block: Samples) -> list[Item]:
        """Take samples as ``Stream.push`` does; return what is certain now."""
        return self._moved(self._stream.push(block))

    def flush(self) -> list[Item]:
        """End the recording; return the rest."""
        return self._moved(self._stream.flush())

    def gap(self, gap_s: float, sample_rate: int | None = None) -> list[Item]:
        """Close what is open, and begin anew ``gap_s`` seconds later; None keeps the sample rate."""
        at = self.duration_s
        step_s = self._spec.grid.step_s(self._spec.sample_rate)  # the last frame may end this much before the gap
        items = [
            CutEvent(item.label, item.onset, item.offset, item.score)
            if isinstance(item, Event) and item.offset > at - step_s
            else item
            for item in self.flush()
        ]
        self._note_flags()
        rate = self.sample_rate if sample_rate is None else sample_rate
        self._stream = Stream(self._spec, self._network, rate, self._threshold)
        self._offset_s, self._reported = at + gap_s, ()
        return items

    def new_flags(self) -> list[Flag]:
        """Return what is to be known about the sound and was not returned before."""
        self._note_flags()
        fresh, self._fresh = self._fresh, []
        return fresh

    def _note_flags(self) -> None:
        flags = self._stream.flags
        self._fresh += [flag for flag in flags if flag not in self._reported]
        self._reported = flags

    def _moved(self, items: list[Item]) -> list[Item]:
        """Return items in the time of the whole recording."""
        if self._offset_s == 0:
            return items
        return [self._move(item) for item in items]

    def _move(self, item: Item) -> Item:
        offset_s = self._offset_s
        if isinstance(item, Scores):
            return replace(item, times=(item.times.astype("float64") + offset_s).astype("float32"))
        if isinstance(item, EventStart):
            return replace(item, onset=item.onset + offset_s)
        return replace(item, onset=item.onset + offset_s, offset=item.offset + offset_s)
