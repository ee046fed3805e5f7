# SPDX-License-Identifier: Apache-2.0
"""Causal models, scored in one pass that never looks back: the network's memory is a value that the caller holds.

    frame by frame     samples, state ─▶ stream.onnx ─▶ frame scores, next state

A file and a stream go through the same pass from its first sample to its last, so their frame scores are equal. One
network serves any number of recordings, also several in one call: their states are rows of one array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from auricle.errors import BundleError, InputError
from auricle.results import FloatArray
from auricle.runtime.spec import BundleSpec
from auricle.runtime.windows import WindowCutter

INPUTS = ("waveform", "state")
OUTPUTS = ("frames", "clip", "next_state")
#: Most frames in one call, so that memory does not grow with the length of a block.
_MOST_FRAMES = 250
#: How far outside [0, 1] arithmetic in 8 bits may bring a score.
_ROUNDING = 1e-3

#: Gets a window and its vector, ``(dimension,)``, or None where nobody asks the network for vectors.
Watch = Callable[[FloatArray, FloatArray | None], None]


@dataclass(frozen=True)
class Advance:
    """What some more frames of a batch of recordings gave.

    Attributes:
        frames: scores of the new frames, shape ``(batch, frame, label)``.
        clip: scores of all that each recording has brought so far, shape ``(batch, label)``.
        state: what the network remembers now, shape ``(batch, size)``.
    """

    frames: FloatArray
    clip: FloatArray
    state: FloatArray


def numbers(values: Any, what: str) -> FloatArray:
    """Return an output of a graph as float32; raises ``BundleError`` for what is no array of floats."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise BundleError(f"{what} holds {kind}; a bundle gives arrays of floats, export it again")
    return np.asarray(values, np.float32)


def probabilities(scores: FloatArray, what: str) -> FloatArray:
    """Return finite scores, within [0, 1] to the last digit; raises ``BundleError`` where they are none.

    A graph without its last layer gives log-odds: they would be shown as scores, and compared with thresholds.
    """
    if scores.size == 0:
        return scores
    low, high = float(scores.min()), float(scores.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise BundleError(
            f"{what} holds values from {low:.4g} to {high:.4g}; scores lie in [0, 1], so the graph lacks its last "
            "layer (sigmoid or softmax): export it with it"
        )
    return scores if low >= 0 and high <= 1 else np.asarray(np.clip(scores, 0, 1), np.float32)


class RunningNetwork(Protocol):
    """Whatever resumes recordings: a graph in this process, or one in another."""

    def advance(self, samples: FloatArray, state: FloatArray | None) -> Advance:
        """Take whole frames of samples, ``(batch, sample)``, and the state; None before the first sample."""
        ...


class RunningSession:
    """``stream.onnx`` in ONNX Runtime, with the checks that a stranger's graph needs. It keeps no state itself.

    Attributes:
        frame_samples: samples of one frame.
        state_size: numbers in the state of one recording.

    Raises:
        BundleError: its inputs and outputs are not those of a running model.
    """

    def __init__(self, session: Any, spec: BundleSpec, name: str) -> None:
        self._session = session
        self._labels = len(spec.labels)
        self._name = name
        inputs, outputs = session.get_inputs(), session.get_outputs()
        names = tuple(i.name for i in inputs), tuple(o.name for o in outputs)
        sizes = [i.shape[1] for i in inputs if i.name == INPUTS[1] and len(i.shape) == 2]
        if names != (INPUTS, OUTPUTS) or spec.frames is None or not isinstance(sizes[0], int):
            raise BundleError(
                f"{name} has inputs {list(names[0])} and outputs {list(names[1])}; a model with frame scores that runs "
                f"on a stream has inputs {list(INPUTS)}, the state of known size, and outputs {list(OUTPUTS)}"
            )
        self.frame_samples = spec.frames.hop_samples
        self.state_size = sizes[0]

    def advance(self, samples: FloatArray, state: FloatArray | None) -> Advance:
        """Take whole frames of samples, ``(batch, sample)``, and the state; None before the first sample.

        Raises:
            InputError: ``wrong_length``, if the samples are no whole number of frames; ``internal``, if the network
                answers with NaN or infinity.
            BundleError: the graph gives what the specification does not announce.
        """
        batch, length = samples.shape
        if length == 0 or length % self.frame_samples:
            raise InputError(
                "wrong_length",
                f"got {length} samples; {self._name} takes a multiple of its frame of {self.frame_samples} samples",
            )
        if state is None:
            state = np.zeros((batch, self.state_size), np.float32)
        answer = self._session.run(list(OUTPUTS), dict(zip(INPUTS, (samples, state), strict=True)))
        frames, clip, after = (numbers(v, f"{self._name}: {n}") for n, v in zip(OUTPUTS, answer, strict=True))
        count = length // self.frame_samples
        if (frames.shape, clip.shape, after.shape) != (
            (batch, count, self._labels),
            (batch, self._labels),
            (batch, self.state_size),
        ):
            raise BundleError(
                f"{self._name} gives shapes {frames.shape}, {clip.shape} and {after.shape} for {count} frames of "
                f"{self._labels} labels; train it again"
            )
        if not all(np.isfinite(values).all() for values in (frames, clip, after)):
            raise InputError("internal", f"{self._name} gives non-finite values for this recording")
        frames, clip = (probabilities(v, f"{self._name}: {n}") for n, v in (("frames", frames), ("clip", clip)))
        return Advance(frames, clip, after)


class RunningScorer:
    """Frame scores of one recording by a running network, as it arrives at the model's sample rate.

    The counterpart of ``scoring.Scorer`` for causal models. Samples wait until they fill a frame. At the end, zeros
    complete a frame whose centre has been read, so a file has as many frames as by windows.

    Args:
        spec: the model's specification.
        network: its running network.
        watch: gets the windows of the recording, for checks that look at windows.
    """

    def __init__(self, spec: BundleSpec, network: RunningNetwork, watch: Watch | None = None) -> None:
        self.network = network
        self._labels = len(spec.labels)
        self.grid = spec.grid
        self._state: FloatArray | None = None
        self._rest: FloatArray = np.empty(0, np.float32)
        self._frames = 0
        self._watch = watch
        self._cutter = WindowCutter(spec.window_samples, spec.hop_samples, spec.pad, spec.slack_samples)
        self.samples_seen = 0

    @property
    def samples_to_next(self) -> int:
        """Samples until the next frame is complete."""
        return self.grid.hop_samples - len(self._rest)

    def push(self, samples: FloatArray) -> FloatArray:
        """Take samples of shape ``(time,)``; return the scores of the frames that are complete, ``(frame, label)``."""
        self.samples_seen += len(samples)
        if self._watch is not None:
            for window in self._cutter.push(samples):
                self._watch(window, None)
        kept = np.concatenate([self._rest, samples])
        whole = len(kept) // self.grid.hop_samples * self.grid.hop_samples
        self._rest = kept[whole:].copy()  # a view would keep the whole block alive
        return self.advance(kept[:whole])

    def finish(self) -> FloatArray:
        """Return the last frame, completed with zeros, if its centre has been read; ``(frame, label)``."""
        if self._watch is not None:
            for window in self._cutter.flush():
                self._watch(window, None)
        if self.grid.frames_before(self.samples_seen) <= self._frames:
            return self.advance(self._rest[:0])
        return self.advance(np.pad(self._rest, (0, self.samples_to_next)))

    def parts(self) -> Any:
        """Return what the next frame scores depend on, as a value that ``resume`` takes."""
        return {
            "state": self._state,
            "rest": self._rest,
            "frames": self._frames,
            "samples": self.samples_seen,
            "cutter": self._cutter,
        }

    def resume(self, parts: Any) -> None:
        """Continue where ``parts`` were taken, by a scorer of the same model."""
        self._state, self._rest, self._frames = parts["state"], parts["rest"], parts["frames"]
        self.samples_seen, self._cutter = parts["samples"], parts["cutter"]

    def advance(self, samples: FloatArray) -> FloatArray:
        """Score whole frames; return their scores, ``(frame, label)``."""
        parts: list[FloatArray] = [np.zeros((0, self._labels), np.float32)]
        step = _MOST_FRAMES * self.grid.hop_samples
        for start in range(0, len(samples), step):
            found = self.network.advance(samples[None, start : start + step], self._state)
            self._state = found.state
            parts.append(found.frames[0])
        frames = np.concatenate(parts)
        self._frames += len(frames)
        return frames
