# SPDX-License-Identifier: Apache-2.0
"""The log-mel of the EfficientAT taggers: pre-emphasis, Kaldi's mel bands, a fixed scale.

As ``nn.frontends.logmel`` it has two forms that a test holds together: by FFT, and as a convolution that exports with a
dynamic time axis. Its frames are those of a centred STFT: frame ``i`` lies around sample ``i * hop``, the ends
are reflected, and ``T`` samples give ``ceil(T / hop)`` frames (the pre-emphasis takes one sample).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from auricle.nn.frontends.graph_power import GraphPower, mel_power
from auricle.nn.frontends.mel_bank import MelSpec
from auricle.timeline import Layer

PRE_EMPHASIS = 0.97
LOG_FLOOR = 1e-5
#: ``(log mel + SHIFT) / SCALE`` is what the published networks were trained on.
SHIFT, SCALE = 4.5, 5.0


@dataclass(frozen=True)
class KaldiMelSpec(MelSpec):
    """The log-mel of the published checkpoints, by its defaults: Kaldi's bands of frames of a symmetric Hann window."""

    sample_rate: int = 32_000
    n_mels: int = 128
    window_ms: float = 25.0
    hop_ms: float = 10.0
    f_min: float = 0.0
    f_max: float | None = 15_000.0
    convention: ClassVar[str] = "kaldi"

    @property
    def n_fft(self) -> int:
        """Length of the Fourier transform: the next power of two, 1024 for the 800 samples of 25 ms at 32 kHz."""
        return int(2 ** math.ceil(math.log2(self.window_samples)))

    @property
    def padding(self) -> int:
        """Reflected samples on each side."""
        return self.window_samples // 2

    def layer(self) -> Layer:
        """Return the front end as time sees it."""
        return Layer(self.window_samples, self.hop_samples, self.padding)


def _emphasised(waveform: Tensor, spec: KaldiMelSpec) -> Tensor:
    """Return ``x[t] - 0.97 x[t - 1]`` with reflected ends, shape ``(batch, sample)``."""
    emphasised = waveform[:, 1:] - PRE_EMPHASIS * waveform[:, :-1]
    return nn.functional.pad(emphasised[:, None], (spec.padding, spec.padding), mode="reflect")[:, 0]


def _scaled(mel_power: Tensor) -> Tensor:
    return (torch.log(mel_power + LOG_FLOOR) + SHIFT) / SCALE


class KaldiMel(nn.Module):
    """Waveform ``(batch, sample)`` to log-mel ``(batch, mel, frame)`` by FFT, in float32 always."""

    bank: Tensor
    window: Tensor

    def __init__(self, spec: KaldiMelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("bank", spec.bank(), persistent=False)
        self.register_buffer("window", torch.hann_window(spec.window_samples, periodic=False), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the scaled log-mel."""
        spec = self.spec
        with torch.autocast(waveform.device.type, enabled=False):
            padded = _emphasised(waveform.float(), spec)
            frames = padded.unfold(-1, spec.window_samples, spec.hop_samples) * self.window
            spectrum = torch.fft.rfft(frames, n=spec.n_fft)
            power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
            return _scaled(power @ self.bank.T).transpose(1, 2)


class GraphKaldiMel(nn.Module):
    """The same features of products with small matrices; for export only."""

    def __init__(self, spec: KaldiMelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.power = GraphPower(spec.window_samples, spec.hop_samples, spec.n_fft, window="symmetric_hann")
        self.bank = spec.graph_bank(self.power.frequencies)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the scaled log-mel ``(batch, mel, frame)``."""
        return _scaled(mel_power(self.bank, self.power, _emphasised(waveform, self.spec)))
