# SPDX-License-Identifier: Apache-2.0
"""A coarse log-mel that fits the weights of EfficientAT: frames without overlap under a sine window.

It has a quarter of the pixels of ``nn.kaldimel``: bands and frames are twice as wide. All that can be done to
the filter bank is done there: the pre-emphasis (``|1 - 0.97 exp(-iw)|^2`` at each bin), the scale between both
front ends for noise, and the shift of the published networks, ``log(x + 1e-5) + 4.5 = log(e^4.5 x + e^4.5 1e-5)``.
Their scale of 1/5 belongs to the first convolution (``nn.modules.mobilenet``).

Frame ``i`` is the samples ``[i * hop, (i + 1) * hop)`` and nothing else, so frames of a stream are those of the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from auricle.nn.frontends.graph_power import GraphPower, mel_power
from auricle.nn.frontends.kaldi_mel import LOG_FLOOR, PRE_EMPHASIS, SHIFT, KaldiMelSpec
from auricle.nn.frontends.mel_bank import MelSpec
from auricle.timeline import Layer

#: What stands under the logarithm beside the power of a band.
FLOOR = math.exp(SHIFT) * LOG_FLOOR


@dataclass(frozen=True)
class SineMelSpec(MelSpec):
    """Frames of ``window_ms`` every ``hop_ms``, which have to be equal, and Kaldi's bands."""

    sample_rate: int = 16_000
    n_mels: int = 52
    window_ms: float = 20.0
    hop_ms: float = 20.0
    f_min: float = 0.0
    f_max: float | None = None
    convention: ClassVar[str] = "kaldi"

    @property
    def n_fft(self) -> int:
        """Length of the Fourier transform: the window itself."""
        return self.window_samples

    def layer(self) -> Layer:
        """Return the front end as time sees it."""
        return Layer(self.window_samples, self.hop_samples)

    def window(self) -> Tensor:
        """Return the sine window, ``(sample,)`` float32: with squares that sum to 1 over two halves."""
        steps = torch.arange(self.window_samples, dtype=torch.float64)
        return torch.sin(math.pi * (steps + 0.5) / self.window_samples).to(torch.float32)

    def gains(self) -> Tensor:
        """Return the factor of each bin, ``(bin,)`` float64: pre-emphasis, scale and shift.

        Of white noise, a band of the published front end (Hann window, ``KaldiMelSpec``) has a power in proportion to
        the sum of its squared window, to its Fourier transform's length and to the band's width.
        """
        published = KaldiMelSpec()
        hann = torch.hann_window(published.window_samples, periodic=False, dtype=torch.float64)
        there = float(hann.square().sum()) * published.n_fft * _mel_step(published)
        here = self.window_samples / 2 * self.n_fft * _mel_step(self)
        turn = 2 * math.pi * torch.arange(self.n_fft // 2 + 1, dtype=torch.float64) / self.n_fft
        emphasis = 1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * torch.cos(turn * self.sample_rate / published.sample_rate)
        return emphasis * (math.exp(SHIFT) * there / here)


def _mel_step(spec: MelSpec) -> float:
    """Return the distance between the peaks of two bands, in mel."""
    f_max = spec.sample_rate / 2 if spec.f_max is None else spec.f_max
    low, high = (1127.0 * math.log1p(f / 700.0) for f in (spec.f_min, f_max))
    return (high - low) / (spec.n_mels + 1)


class SineMel(nn.Module):
    """Waveform ``(batch, sample)`` to log-mel ``(batch, mel, frame)`` by FFT, in float32 always."""

    bank: Tensor
    window: Tensor

    def __init__(self, spec: SineMelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("bank", (spec.bank().double() * spec.gains()).float(), persistent=False)
        self.register_buffer("window", spec.window(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the log-mel; samples behind the last whole frame are left out."""
        spec = self.spec
        with torch.autocast(waveform.device.type, enabled=False):
            frames = waveform.float().unfold(-1, spec.window_samples, spec.hop_samples) * self.window
            spectrum = torch.fft.rfft(frames)
            power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
            return torch.log(power @ self.bank.T + FLOOR).transpose(1, 2)


class GraphSineMel(nn.Module):
    """The same features of products with small matrices; for export only."""

    def __init__(self, spec: SineMelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.power = GraphPower(spec.window_samples, spec.hop_samples, spec.n_fft, window="sine")
        self.bank = spec.graph_bank(self.power.frequencies, spec.gains().numpy())

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the log-mel ``(batch, mel, frame)``."""
        return torch.log(mel_power(self.bank, self.power, waveform) + FLOOR)
