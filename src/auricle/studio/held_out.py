# SPDX-License-Identifier: Apache-2.0
"""What a model would detect near its own verdicts if it had not been taught them.

A model knows the sounds that it was taught: an example is found, and a false alarm that was refused is not. So parts of
recordings near verdicts are scored again, by layers that were fitted without these verdicts (cross-fitting): there too
scores are as honest as those of sounds that nobody judged, and every verdict counts however often was taught since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from auricle.enrolment.backbone import Backbone
from auricle.enrolment.linear import Array, Linear, link
from auricle.results import Event, FloatArray
from auricle.runtime.detector import Detector
from auricle.runtime.inputs import Excerpt
from auricle.runtime.onnx_session import CLIP, FRAMES, INPUT, Outputs
from auricle.studio.recordings import Recording
from auricle.studio.sounds import SoundCache
from auricle.studio.teaching import BLOCK_S, Heads

#: Sound on both sides of a part, so that its scores are those of the whole recording.
CONTEXT_S = 10.0


class HeldOut:
    """Detects in blocks of recordings by the fits that did not see them.

    Args:
        heads: of the taught model.
        detector: of the same model.
        backbone: the network up to its last layers.
        sounds: where parts of recordings are read from.
    """

    def __init__(self, heads: Heads, detector: Detector, backbone: Backbone, sounds: SoundCache) -> None:
        self._heads = heads
        self._sounds = sounds
        self._detectors = [
            Detector(detector.bundle, _Network(backbone, heads.layer, frames, heads.task))  # type: ignore[arg-type]
            for frames in heads.frames_by_fold
        ]

    def knows(self, recording: int, event: Event) -> bool:
        """Tell whether the model was taught something in the block of an event's middle."""
        return (recording, _block_of(event)) in self._heads.frame_fold_of

    def detect(
        self, recording: Recording, floors: Mapping[str, float], watch: Callable[[FloatArray], object]
    ) -> list[Event]:
        """Return the events of a recording that ``knows`` is true of, each by a fit without its block.

        Args:
            recording: the recording.
            floors: scores from which on events are kept, by label.
            watch: is given scores as they come; may raise to stop.
        """
        found: list[Event] = []
        for first, last, fold in self._stretches(recording.id):
            begin = max(0.0, first * BLOCK_S - CONTEXT_S)
            part = Excerpt(self._sounds.file(recording), begin, (last + 1) * BLOCK_S + CONTEXT_S - begin)
            events = self._detectors[fold].detect(part, threshold=dict(floors), on_frames=watch).events
            found += [event for event in events if first <= _block_of(event) <= last]
        return found

    def _stretches(self, recording: int) -> list[tuple[int, int, int]]:
        """Return first and last block, and the fold, of blocks that stand side by side."""
        own = sorted(
            (block, fold) for (number, block), fold in self._heads.frame_fold_of.items() if number == recording
        )
        found: list[tuple[int, int, int]] = []
        for block, fold in own:
            if found and found[-1][1:] == (block - 1, fold):
                found[-1] = (found[-1][0], block, fold)
            else:
                found.append((block, block, fold))
        return found


def _block_of(event: Event) -> int:
    return int((event.onset + event.offset) / 2 // BLOCK_S)


class _Network:
    """The built-in network with other last layers; events need its frame scores alone."""

    running = None
    outputs = frozenset({CLIP, FRAMES})

    def __init__(self, backbone: Backbone, clip: Linear, frames: Linear, task: str) -> None:
        self._backbone = backbone
        self._clip = clip
        self._frames = frames
        self._task = task

    def run(self, windows: FloatArray, wanted: frozenset[str] = frozenset()) -> Outputs:
        """Score windows of shape ``(batch, sample)``."""
        inputs = self._backbone.inputs
        clip, frames = self._backbone.session.run([inputs.clip, inputs.frames], {INPUT: windows})
        return Outputs(self._scores(self._clip, clip), self._scores(self._frames, frames) if FRAMES in wanted else None)

    def _scores(self, layer: Linear, vectors: Array) -> FloatArray:
        return np.asarray(link(layer.logits(vectors), self._task), np.float32)
