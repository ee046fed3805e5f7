# SPDX-License-Identifier: Apache-2.0
"""The log-mel front end, one specification in two forms.

``LogMel`` computes with the FFT and is what training uses. ``GraphLogMel`` computes the same with a
convolution whose kernel is the windowed Fourier matrix; it exports to ONNX with a dynamic time axis and
runs there three times faster than an exported STFT. Its kernel is *computed in the graph* from a ramp, so
the file carries a filter bank and no Fourier matrix. A test holds the two forms together.

Frames: frame ``i`` is centred on the middle of ``[i * hop, (i + 1) * hop)``, so ``T`` samples give exactly
``T // hop`` frames and windows of a recording join without a seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from auricle.nn.frontends.graph_power import GraphPower, mel_power
from auricle.nn.frontends.mel_bank import MelSpec
from auricle.timeline import Layer

#: Added to the mel power before the logarithm. A full-scale sine has a power near 1e4 here and the noise of
#: 16-bit quantisation one near 1e-8, so -100 dB keeps what was recorded and hides what was not.
LOG_FLOOR = 1e-7


@dataclass(frozen=True)
class LogMelSpec(MelSpec):
    """The log-mel of our networks: Slaney's bands of frames of a periodic Hann window."""

    sample_rate: int = 16_000
    n_mels: int = 64
    window_ms: float = 25.0
    hop_ms: float = 10.0
    f_min: float = 30.0
    f_max: float | None = None
    convention: ClassVar[str] = "slaney"

    @property
    def n_fft(self) -> int:
        """Length of the Fourier transform: the window itself (made even), which costs a fifth less than 512."""
        return self.window_samples + self.window_samples % 2

    def padding(self, *, causal: bool = False) -> tuple[int, int]:
        """Return the zeros before and after the waveform, so that ``T`` samples give ``T // hop`` frames."""
        missing = self.window_samples - self.hop_samples
        return (missing, 0) if causal else (missing // 2, missing - missing // 2)

    def layer(self, *, causal: bool = False) -> Layer:
        """Return the front end as time sees it."""
        return Layer(self.window_samples, self.hop_samples, self.padding(causal=causal)[0])


class LogMel(nn.Module):
    """Waveform ``(batch, sample)`` to log-mel ``(batch, mel, frame)`` by FFT, in float32 always."""

    bank: Tensor
    window: Tensor

    def __init__(self, spec: LogMelSpec, *, causal: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.causal = causal
        self.register_buffer("bank", spec.bank(), persistent=False)
        self.register_buffer("window", torch.hann_window(spec.window_samples), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return ``log(mel power + LOG_FLOOR)``."""
        spec = self.spec
        with torch.autocast(waveform.device.type, enabled=False):
            padded = nn.functional.pad(waveform.float(), spec.padding(causal=self.causal))
            frames = padded.unfold(-1, spec.window_samples, spec.hop_samples) * self.window
            spectrum = torch.fft.rfft(frames, n=spec.n_fft)
            power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)
            return torch.log(power @ self.bank.T + LOG_FLOOR).transpose(1, 2)


class GraphLogMel(nn.Module):
    """The same features of products with small matrices; for export only."""

    def __init__(self, spec: LogMelSpec, *, causal: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.causal = causal
        self.power = GraphPower(spec.window_samples, spec.hop_samples, spec.n_fft, window="hann")
        self.bank = spec.graph_bank(self.power.frequencies)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return log-mel ``(batch, mel, frame)``."""
        return self.whole_frames(nn.functional.pad(waveform, self.spec.padding(causal=self.causal)))

    def whole_frames(self, waveform: Tensor) -> Tensor:
        """Return the log-mel of the windows that lie within ``waveform``, which nothing is added to."""
        return torch.log(mel_power(self.bank, self.power, waveform) + LOG_FLOOR)
