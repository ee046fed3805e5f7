# SPDX-License-Identifier: Apache-2.0
"""Power spectra inside an exported graph: two products with small matrices, in place of a Fourier transform.

ONNX has no Fourier transform that every runtime has. A windowed one is a product with a matrix of cosines and sines,
``window`` by ``2 * bins``; half of that is enough, because a Hann window is the same on both sides of its middle. Seen
from there, cosines are even and sines odd: they only need the sum and the difference of both halves of a frame, the
earlier one reversed. Where the middle lies does not change power.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GraphPower(nn.Module):
    """Waveform ``(batch, sample)`` to power spectra ``(batch, frame, bin)`` of the frames that lie within it.

    Args:
        window_samples: length of the Hann window.
        hop_samples: step between frames.
        n_fft: length of the Fourier transform, at least that of the window.
        bins: how many of its bins are wanted, from 0 Hz on.
        periodic: whether the Hann window is that of a period (the middle is at half its length) or the same from its
            first sample to its last.
    """

    near: Tensor
    bins: Tensor
    block: Tensor

    def __init__(self, window_samples: int, hop_samples: int, n_fft: int, bins: int, *, periodic: bool) -> None:
        super().__init__()
        self.window_samples, self.hop_samples, self.n_fft = window_samples, hop_samples, n_fft
        self.period = window_samples if periodic else window_samples - 1
        #: First sample of the later half, and of the earlier one, which is read backwards. Both are the middle sample
        #: if there is one. Of a periodic window's earlier half the very first sample is left out: its weight is 0.
        self.late, self.early = (self.period + 1) // 2, self.period // 2
        half = window_samples - self.late
        #: Frames are copied in blocks of this many samples: one by one takes as long as the products.
        self.size = math.gcd(hop_samples, half)
        # Persistent buffers are the graph's own values; from anything else the exporter folds the ramps, and all that
        # is computed from them, into a table.
        self.register_buffer("near", torch.arange(half))
        self.register_buffer("bins", torch.arange(bins))
        self.register_buffer("block", torch.arange(half // self.size))

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the power of each bin; samples behind the last whole frame are left out."""
        steps = torch.arange((waveform.shape[1] - self.window_samples) // self.hop_samples + 1, device=waveform.device)
        waveform = waveform[:, : (steps.shape[0] - 1) * self.hop_samples + self.window_samples]
        later = self._frames(waveform, steps, self.late)
        # Backwards in time the last frame comes first.
        earlier = self._frames(waveform.flip(1), steps.flip(0), self.window_samples - 1 - self.early)
        cosines, sines = self._tables()
        return ((later + earlier) @ cosines).square() + ((later - earlier) @ sines).square()

    def _frames(self, waveform: Tensor, steps: Tensor, first: int) -> Tensor:
        """Return half a frame from sample ``first`` on for each step, shape ``(batch, frame, half)``."""
        before = -first % self.size
        after = -(before + self.window_samples) % self.size
        blocks = nn.functional.pad(waveform, (before, after)).reshape(waveform.shape[0], -1, self.size)
        index = steps[:, None] * (self.hop_samples // self.size) + (first + before) // self.size + self.block
        return blocks[:, index].flatten(2)

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Return windowed cosines and sines, shape ``(half, bin)``, made of operations that export.

        Positions are in half samples from the middle. The product with the bin is reduced modulo a whole turn in whole
        numbers first: cosines of large float32 arguments would lose digits.
        """
        away = 2 * self.near + self.period % 2
        turns = torch.remainder(away[:, None] * self.bins[None, :], 2 * self.n_fft)
        angle = turns.to(torch.float32) * (math.pi / self.n_fft)
        window = 0.5 + 0.5 * torch.cos(away.to(torch.float32) * (math.pi / self.period))
        # The middle sample is in both halves.
        window = torch.where(away == 0, 0.5, 1.0) * window
        return torch.cos(angle) * window[:, None], torch.sin(angle) * window[:, None]
