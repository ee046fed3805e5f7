# SPDX-License-Identifier: Apache-2.0
"""The log-mel of the Audio Spectrogram Transformer, as a part of its graph.

Kaldi's filter bank as transformers computes it: frames of 25 ms every 10 ms from the first sample on; of each its mean
is taken off, then 0.97 of the sample before, then a Hann window; 512-point transform, 128 mel bands from 20 Hz to half
the rate, logarithm, ``(x - mean) / (2 std)``. Everything before the power is linear, so it is one matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

FRAME, HOP, N_FFT, PRE_EMPHASIS, FLOOR = 400, 160, 512, 0.97, 1.192092955078125e-07


def frame_matrix() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return what turns a frame into the real and imaginary parts of its spectrum, ``(2 * 257, 400)``."""
    centred = np.eye(FRAME) - 1 / FRAME
    emphasised = np.eye(FRAME) - PRE_EMPHASIS * np.eye(FRAME, k=-1)
    emphasised[0, 0] = 1 - PRE_EMPHASIS
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))
    turns = 2 * np.pi * np.outer(np.arange(N_FFT // 2 + 1), np.arange(FRAME)) / N_FFT
    transform = np.concatenate([np.cos(turns), -np.sin(turns)])
    return np.asarray(transform @ (window[:, None] * (emphasised @ centred)))


class AstBank(nn.Module):
    """Waveform ``(batch, sample)`` to normalised log-mels ``(batch, frames, mel)``, padded with what 0 becomes.

    Args:
        bank: mel filters, ``(257, mel)``.
        frames: that the network takes.
        mean: of the log-mels.
        std: of the log-mels.
    """

    weight: Tensor
    bank: Tensor

    def __init__(self, bank: Tensor, frames: int, mean: float, std: float) -> None:
        super().__init__()
        self.frames, self.mean, self.scale = frames, mean, 2 * std
        self.register_buffer("weight", torch.from_numpy(frame_matrix()).float()[:, None], persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the features of a batch."""
        spectrum = nn.functional.conv1d(waveform[:, None], self.weight, stride=HOP)
        real, imaginary = spectrum.chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2) @ self.bank
        mel = torch.log(power.clamp_min(FLOOR))
        padding = mel.new_zeros(mel.shape[0], self.frames, mel.shape[2])
        padded = torch.cat([mel, padding], dim=1)[:, : self.frames]
        return (padded - self.mean) / self.scale
