# SPDX-License-Identifier: Apache-2.0
"""The front end of exported EfficientAT graphs up to version 0.2, kept to compare with: products with half frames.

A Fourier transform of ``window`` samples is a product with a matrix of cosines and sines. A symmetric window halves it:
cosines need the sum, sines the difference of both halves of a frame. It was replaced by ``nn.frontends.graph_power``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from auricle.nn.frontends.kaldi_mel import KaldiMelSpec, _emphasised, _scaled


class FoldedKaldiMel(nn.Module):
    """Waveform ``(batch, sample)`` to log-mel ``(batch, mel, frame)``; windows of an even number of samples."""

    block: Tensor
    cosines: Tensor
    sines: Tensor
    bank: Tensor

    def __init__(self, spec: KaldiMelSpec) -> None:
        super().__init__()
        self.spec, self.half = spec, spec.window_samples // 2
        #: Frames are copied in blocks of this many samples.
        self.size = math.gcd(spec.hop_samples, self.half)
        bank = spec.bank()
        bins = int(bank.any(0).nonzero().max()) + 1
        away = torch.arange(self.half, dtype=torch.float64) + 0.5
        window = 0.5 + 0.5 * torch.cos(2 * math.pi * away / (spec.window_samples - 1))
        angle = away[:, None] * torch.arange(bins) * (2 * math.pi / spec.n_fft)
        self.register_buffer("cosines", (torch.cos(angle) * window[:, None]).float())
        self.register_buffer("sines", (torch.sin(angle) * window[:, None]).float())
        self.register_buffer("bank", bank[:, :bins])
        self.register_buffer("block", torch.arange(self.half // self.size))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the scaled log-mel."""
        spec = self.spec
        padded = _emphasised(waveform, spec)
        steps = torch.arange((padded.shape[1] - spec.window_samples) // spec.hop_samples + 1)
        padded = padded[:, : (steps.shape[0] - 1) * spec.hop_samples + spec.window_samples]
        later = self._half_frames(padded, steps)
        earlier = self._half_frames(padded.flip(1), steps.flip(0))  # backwards in time the last frame comes first
        power = ((later + earlier) @ self.cosines).square() + ((later - earlier) @ self.sines).square()
        return _scaled(power @ self.bank.T).transpose(1, 2)

    def _half_frames(self, waveform: Tensor, steps: Tensor) -> Tensor:
        """Return the later half of each frame, ``(batch, frame, half)``."""
        before = -self.half % self.size
        after = -(before + self.spec.window_samples) % self.size
        blocks = nn.functional.pad(waveform, (before, after)).reshape(waveform.shape[0], -1, self.size)
        index = steps[:, None] * (self.spec.hop_samples // self.size) + (self.half + before) // self.size + self.block
        return blocks[:, index].flatten(2)
