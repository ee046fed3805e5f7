# SPDX-License-Identifier: Apache-2.0
"""One vector for each window of a recording, with its times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from auricle.errors import UsageError
from auricle.results import FloatArray
from auricle.runtime.detector import Detector
from auricle.runtime.inputs import AudioInput, open_input
from auricle.runtime.onnx_session import EMBEDDING
from auricle.runtime.spec import BundleSpec
from auricle.runtime.windows import WindowCutter
from auricle.timeline import samples_to_seconds, seconds_to_samples

#: Length of a window where the model takes any: what a person would call one sound.
WINDOW_S = 3.0


@dataclass(frozen=True)
class WindowRule:
    """How recordings are cut: windows of ``window_s`` every ``hop_s`` seconds, the last one padded."""

    window_s: float
    hop_s: float


def window_rule(spec: BundleSpec, window_s: float | None = None, hop_s: float | None = None) -> WindowRule:
    """Return the rule for a model; None takes its own window, or three seconds where it takes any length.

    Raises:
        UsageError: a length that the model cannot take, or windows that skip sound.
    """
    own = spec.window_s if spec.fixed_length else WINDOW_S
    length = own if window_s is None else window_s
    if spec.fixed_length and length != spec.window_s:
        raise UsageError(f"--window {length:g}: {spec.name} takes windows of {spec.window_s:g} s and no others")
    if seconds_to_samples(length, spec.sample_rate) < spec.min_samples:
        least = samples_to_seconds(spec.min_samples, spec.sample_rate)
        raise UsageError(f"--window {length:g}: {spec.name} needs {least:g} s at least")
    step = length if hop_s is None else hop_s
    if not 0 < step <= length:
        raise UsageError(
            f"--hop {step:g}: between two windows of {length:g} s sound would be skipped; give at most that"
        )
    return WindowRule(length, step)


def embed_windows(detector: Detector, x: AudioInput, rule: WindowRule) -> Iterator[tuple[float, float, FloatArray]]:
    """Yield onset and offset in seconds and the vector ``(dimension,)`` of each window of a recording.

    Raises:
        InputError: the recording cannot be read.
    """
    spec, rate = detector.spec, detector.spec.sample_rate
    window, hop = seconds_to_samples(rule.window_s, rate), seconds_to_samples(rule.hop_s, rate)
    # A rest of less than half a window is part of the one before it, unless it is all there is.
    cutter = WindowCutter(window, hop, spec.pad, window // 2)
    number = 0
    with open_input(x, None, rate, channel=detector.channel) as reader:
        for block in reader:
            for samples in cutter.push(block):
                yield _row(detector, samples, number * hop, rate, window)
                number += 1
        for samples in cutter.flush():
            begin = number * hop
            yield _row(detector, samples, begin, rate, cutter.samples_seen - begin)


def _row(
    detector: Detector, samples: FloatArray, begin: int, rate: int, length: int
) -> tuple[float, float, FloatArray]:
    found = detector.network.run(samples[None], frozenset({EMBEDDING})).embedding
    if found is None:
        raise ValueError("the network gives no embedding")
    return samples_to_seconds(begin, rate), samples_to_seconds(begin + length, rate), np.asarray(found[0])
