# SPDX-License-Identifier: Apache-2.0
"""All time arithmetic: seconds, samples, frames, windows, receptive fields. Nothing else computes time.

Conventions: positions count from 0. Output frame ``i`` of a network stands for the half-open span
``[i * hop, (i + 1) * hop)`` around its centre. A window list always reaches the end of the recording:
the last window is padded, nothing is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.results import FloatArray


def seconds_to_samples(seconds: float, sample_rate: int) -> int:
    """Return the nearest whole number of samples."""
    return round(seconds * sample_rate)


def samples_to_seconds(samples: int, sample_rate: int) -> float:
    """Return the duration of ``samples`` in seconds."""
    return samples / sample_rate


@dataclass(frozen=True)
class Layer:
    """One layer as time sees it: ``kernel`` inputs every ``stride``, after ``padding`` zeros on the left."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


@dataclass(frozen=True)
class FrameGrid:
    """How output frames lie over input samples.

    Attributes:
        hop_samples: input samples between two frames.
        receptive_samples: input samples that one frame sees (without recurrence).
        first_centre_samples: centre of frame 0, in samples; may be fractional.
    """

    hop_samples: int
    receptive_samples: int
    first_centre_samples: float

    def times(self, frames: int, sample_rate: int, first: int = 0) -> FloatArray:
        """Return the centres of ``frames`` frames from frame ``first`` on in seconds, shape ``(frame,)``."""
        index = np.arange(first, first + frames, dtype=np.float64)
        centres = self.first_centre_samples + index * self.hop_samples
        return (centres / sample_rate).astype(np.float32)

    def step_s(self, sample_rate: int) -> float:
        """Return the seconds between two frames."""
        return self.hop_samples / sample_rate

    def span_s(self, first: int, last: int, sample_rate: int) -> tuple[float, float]:
        """Return where frame ``first`` begins and frame ``last`` ends, in seconds (below 0 is possible)."""
        begin = self.first_centre_samples + (first - 0.5) * self.hop_samples
        end = self.first_centre_samples + (last + 0.5) * self.hop_samples
        return begin / sample_rate, end / sample_rate

    def frames_before(self, length: int) -> int:
        """Return how many frames have their centre before the end of ``length`` samples."""
        return max(0, math.ceil((length - self.first_centre_samples) / self.hop_samples))

    def nearest_frame(self, start: int) -> int:
        """Return the frame at which a window that starts at sample ``start`` has its own frame 0."""
        return (start + self.hop_samples // 2) // self.hop_samples


def frame_grid(layers: Sequence[Layer]) -> FrameGrid:
    """Fold a chain of layers, first to last, into one grid.

    The rule is that of Araujo et al., "Computing Receptive Fields of Convolutional Neural
    Networks", Distill 2019: strides multiply, and each kernel adds ``(kernel - 1) * jump``.

    >>> frame_grid([Layer(400, 160, 120), Layer(2, 2)])
    FrameGrid(hop_samples=320, receptive_samples=560, first_centre_samples=159.5)
    """
    jump, receptive, start = 1, 1, 0.0
    for layer in layers:
        span = (layer.kernel - 1) * layer.dilation
        start += (span / 2 - layer.padding) * jump
        receptive += span * jump
        jump *= layer.stride
    return FrameGrid(jump, receptive, start)


def output_length(length: int, layer: Layer, padding_right: int | None = None) -> int:
    """Return how many outputs a layer makes of ``length`` inputs (floor rule, as in convolutions)."""
    right = layer.padding if padding_right is None else padding_right
    span = (layer.kernel - 1) * layer.dilation + 1
    return max(0, (length + layer.padding + right - span) // layer.stride + 1)


def window_starts(length: int, window: int, hop: int, slack: int = 0) -> npt.NDArray[np.int64]:
    """Return where the windows over ``length`` samples begin; the last one may need padding.

    One window if the recording is not longer than a window, else the fewest windows at
    multiples of ``hop`` that reach the end, or miss it by at most ``slack`` samples: a clip of 5.001 s must not
    be judged by a second window that is nearly all padding.

    >>> window_starts(80_000, 80_000, 40_000).tolist()
    [0]
    >>> window_starts(80_001, 80_000, 40_000).tolist()
    [0, 40000]
    >>> window_starts(80_001, 80_000, 40_000, slack=320).tolist()
    [0]
    """
    if window < 1 or hop < 1 or hop > window:
        raise ValueError(f"need 1 <= hop <= window, got window {window} and hop {hop}")
    count = 1 + max(0, math.ceil((length - slack - window) / hop))
    return np.arange(count, dtype=np.int64) * hop


def pad_window(samples: FloatArray, window: int, rule: str) -> FloatArray:
    """Fill ``samples``, shape ``(time,)``, up to ``window`` samples; the one padding rule of auricle.

    Args:
        samples: at most ``window`` samples, at least one.
        window: wanted length.
        rule: ``zero`` appends silence; ``repeat`` tiles the samples (the anti-spoofing field's rule).
    """
    missing = window - len(samples)
    if missing < 0:
        raise ValueError(f"{len(samples)} samples do not fit a window of {window}")
    if missing == 0:
        return samples
    if rule == "zero" or len(samples) == 0:
        return np.pad(samples, (0, missing))
    if rule == "repeat":
        return np.resize(samples, window)
    raise ValueError(f"padding rule {rule!r} is neither 'zero' nor 'repeat'")
