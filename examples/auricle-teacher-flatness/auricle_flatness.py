# SPDX-License-Identifier: Apache-2.0
"""A teacher of one's own for auricle: ``tonal`` or ``noisy``, by spectral flatness (Gray & Markel 1974).

auricle teach clips/ --teacher flatness:16000 --out soft/
"""

from __future__ import annotations

import numpy as np

from auricle.errors import UsageError
from auricle.results import FloatArray
from auricle.teachers.teacher import Answer

WINDOW_S = 1.0
FFT = 512
#: Added to a power before its logarithm.
FLOOR = 1e-10


class FlatnessTeacher:
    """See ``auricle.teachers.teacher.Teacher``."""

    labels = ("tonal", "noisy")
    window_s = WINDOW_S
    embedding_size = 0

    def __init__(self, sample_rate: int) -> None:
        self.name = f"flatness at {sample_rate} Hz"
        self.identity = f"flatness-1-{sample_rate}"
        self.sample_rate = sample_rate

    def score(self, waveforms: FloatArray) -> Answer:
        """Return the geometric over the arithmetic mean of the power spectrum as the score of ``noisy``."""
        length = max(waveforms.shape[1], FFT)
        padded = np.pad(waveforms, ((0, 0), (0, -length % FFT + length - waveforms.shape[1])))
        frames = padded.reshape(len(padded), -1, FFT) * np.hanning(FFT)
        power = (np.abs(np.fft.rfft(frames)) ** 2).mean(1)[:, 1:] + FLOOR
        noisy = np.exp(np.log(power).mean(1)) / power.mean(1)
        return Answer(np.stack([1 - noisy, noisy], axis=1).astype(np.float32), None)


def open_flatness(name: str, *, download: bool, bf16: bool, threads: int) -> FlatnessTeacher:
    """Return the teacher for ``flatness:RATE``; there is nothing to download, and no precision to choose."""
    if not name.isdigit() or not 4_000 <= int(name) <= 96_000:
        raise UsageError(f"teacher flatness:{name}: give a sample rate from 4000 to 96000, such as flatness:16000")
    return FlatnessTeacher(int(name))
