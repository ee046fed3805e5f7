# SPDX-License-Identifier: Apache-2.0
"""The built-in model up to its last layers: recordings in, vectors of clips and of frames out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from auricle.enrolment.onnx_head import LastInputs, last_inputs, with_outputs
from auricle.results import FloatArray
from auricle.runtime.bundle import Bundle, load_bundle
from auricle.runtime.model_names import BUNDLES
from auricle.runtime.onnx_session import INPUT, open_session
from auricle.runtime.scoring import FrameOverlap, window_cutter
from auricle.runtime.spec import ONNX_FILES, BundleSpec

BACKBONE = "general"


@dataclass(frozen=True)
class Backbone:
    """The network without its last layers.

    Attributes:
        bundle: the model that it is part of.
        content: its ONNX file.
        inputs: what the last layers take.
    """

    bundle: Bundle
    content: bytes
    inputs: LastInputs
    session: Any

    @property
    def spec(self) -> BundleSpec:
        """Of the whole model."""
        return self.bundle.spec

    @property
    def sha256(self) -> str:
        """What the network is known by."""
        return self.spec.sha256[ONNX_FILES["float32"]]

    @property
    def step_s(self) -> float:
        """Seconds between two frames."""
        return self.spec.grid.step_s(self.spec.sample_rate)

    def vectors(self, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the vectors of a recording: of its windows, ``(window, feature)``, and of frames ``(frame, feature)``.

        Args:
            samples: shape ``(time,)`` at the model's sample rate; cut into windows as in use.
        """
        spec, grid = self.spec, self.spec.grid
        cutter = window_cutter(spec)
        windows = [*cutter.push(np.asarray(samples, np.float32)), *cutter.flush()]
        clips: list[FloatArray] = []
        overlap: FrameOverlap | None = None
        for number, window in enumerate(windows):
            clip, frames = self.session.run([self.inputs.clip, self.inputs.frames], {INPUT: window[None]})
            clips.append(clip[0])
            overlap = FrameOverlap(frames.shape[2]) if overlap is None else overlap
            skip = spec.margin_samples // grid.hop_samples if number else 0
            keep = None if number == len(windows) - 1 or not skip else skip + spec.hop_samples // grid.hop_samples
            overlap.add(grid.nearest_frame(number * spec.hop_samples), frames[0][skip:keep])
        if overlap is None:
            raise ValueError("a recording without samples has no vectors")
        return np.stack(clips), overlap.take(grid.frames_before(len(samples)))

    def clip_vector(self, samples: FloatArray) -> FloatArray:
        """Return the vector of a sound of at most one window, ``(feature,)``."""
        return np.asarray(self.vectors(samples)[0][0])


@lru_cache(maxsize=2)
def open_backbone(name: str = BACKBONE) -> Backbone:
    """Open the built-in model without its last layers."""
    bundle = load_bundle(BUNDLES / name)  # a folder of this name where somebody works is not meant
    content = bundle.read(ONNX_FILES["float32"])
    inputs = last_inputs(content)
    cut = with_outputs(content, [inputs.clip, inputs.frames])
    return Backbone(bundle, content, inputs, open_session(cut, 1, str(bundle.path / ONNX_FILES["float32"])))
