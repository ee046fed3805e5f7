# SPDX-License-Identifier: Apache-2.0
"""First layers of the raw-waveform network: from samples to channels, ``(batch, sample) -> (batch, channel, frame)``.

All are one strided convolution over the waveform; they differ in what may be learnt about its kernels:

    conv     everything
    sinc     the two edges of a band-pass filter (Ravanelli & Bengio 2018; RawNet2)
    fourier  everything, but kernels come in pairs that begin as windowed cosines and sines of one frequency

Zeros before and after make ``T`` samples give exactly ``T // stride`` frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from auricle.nn.tracing import tracing
from auricle.registry import Registry
from auricle.timeline import Layer

#: Added to a power before its logarithm; 80 dB below a full-scale sine.
POWER_FLOOR = 1e-8
#: Added to the mean square of a window before it is brought to level 1: digital silence stays silence.
LEVEL_FLOOR = 1e-8
#: The narrowest band of a sinc filter, in shares of the sample rate (50 Hz at 16 kHz).
NARROWEST = 50 / 16_000
#: Stands for the middle sample of a sinc kernel, where sin(x) / x would be 0 / 0.
NEARLY_ZERO = 1e-6

#: Builds the kernels of a first layer: ``(channels, kernel) -> module`` whose call gives ``(rows, kernel)``.
KERNELS: Registry[Callable[[int, int], nn.Module]] = Registry("first layer")


@KERNELS.register("conv")
class FreeKernels(nn.Module):
    """Kernels without any form, begun as PyTorch begins a convolution."""

    rows_a_channel = 1

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(kernel)
        self.weight = nn.Parameter(torch.empty(channels, kernel).uniform_(-bound, bound))

    def forward(self) -> Tensor:
        """Return the kernels, shape ``(channel, kernel)``."""
        return self.weight


@KERNELS.register("fourier")
class FourierKernels(nn.Module):
    """Pairs of kernels that begin as Hann-windowed cosines and sines, evenly spaced up to half the sample rate.

    A sine of amplitude 1 at the frequency of a pair has a power of 1.
    """

    rows_a_channel = 2

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        place = torch.arange(kernel) - (kernel - 1) / 2
        frequency = (torch.arange(channels) + 0.5) / (2 * channels)
        window = torch.hann_window(kernel + 1)[1:]
        angle = 2 * math.pi * frequency[:, None] * place
        pairs = torch.cat([torch.cos(angle), torch.sin(angle)]) * window * (2 / window.sum())
        self.weight = nn.Parameter(pairs)

    def forward(self) -> Tensor:
        """Return all cosine rows, then all sine rows, shape ``(2 * channel, kernel)``."""
        return self.weight


@KERNELS.register("sinc")
class SincKernels(nn.Module):
    """Windowed ideal band-pass filters, whose edges begin on the mel scale and are learnt."""

    rows_a_channel = 1
    place: Tensor
    window: Tensor

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        # The mel scale is one of Hz: as in SincNet, at 16 kHz; another rate stretches it.
        top = 2595 * math.log10(1 + 8_000 / 700)
        edges = 700 * (10 ** (torch.linspace(0, top, channels + 1) / 2595) - 1) / 16_000
        self.low = nn.Parameter(edges[:-1].clone())
        self.band = nn.Parameter(edges.diff())
        place = torch.arange(kernel) - (kernel - 1) / 2
        self.register_buffer("place", torch.where(place == 0, NEARLY_ZERO, place), persistent=False)
        self.register_buffer("window", torch.hamming_window(kernel, periodic=False), persistent=False)

    def forward(self) -> Tensor:
        """Return the kernels, shape ``(channel, kernel)``; a sine inside a band passes with a gain near 1."""
        low = self.low.abs()[:, None]
        high = (low + NARROWEST + self.band.abs()[:, None]).clamp(max=0.5)
        turn = 2 * math.pi * self.place
        ideal = (torch.sin(high * turn) - torch.sin(low * turn)) / (math.pi * self.place)
        return ideal * self.window


class FirstLayer(nn.Module):
    """The strided convolution, and what it hands on.

    Args:
        kind: of the kernels, by name.
        channels: of the output.
        kernel: samples that a kernel sees, at least ``stride``.
        stride: samples between two outputs.
        rectify: ``none``, ``abs`` (magnitude) or ``log`` (logarithm of the power).
        pool: outputs that are joined: their largest value, or for ``log`` their mean power.
        level: bring each window to a root mean square of 1 first.
        centre: take from each channel its mean over time at the end (cepstral mean subtraction, Atal 1974).
    """

    def __init__(
        self,
        kind: str,
        channels: int,
        kernel: int,
        stride: int,
        *,
        rectify: str,
        pool: int,
        level: bool = False,
        centre: bool = False,
    ) -> None:
        super().__init__()
        self.kernels = KERNELS.get(kind)(channels, kernel)
        self.pairs = bool(self.kernels.rows_a_channel == 2)
        self.stride, self.rectify, self.pool = stride, rectify, pool
        self.level, self.centre = level, centre
        missing = kernel - stride
        self.padding = (missing // 2, missing - missing // 2)
        self.time_layers = [Layer(kernel, stride, self.padding[0]), Layer(pool, pool)]

    def forward(self, waveform: Tensor) -> Tensor:
        """Map ``(batch, sample)`` to ``(batch, channel, frame)``; always in float32.

        bf16 would round each sample to 8 bits, a noise 50 dB below the signal, in which faint high bands drown.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            x = waveform.float()
            if self.level:
                x = x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + LEVEL_FLOOR)
            x = self._join(self._convolve(nn.functional.pad(x, self.padding)))
            return x - x.mean(dim=2, keepdim=True) if self.centre else x

    def _convolve(self, x: Tensor) -> Tensor:
        """Return ``(batch, row, frame)``; as one matrix product it is twice as fast as a convolution of one channel."""
        kernels: Tensor = self.kernels()
        if tracing():
            return nn.functional.conv1d(x[:, None, :], kernels[:, None, :], stride=self.stride)
        return nn.functional.linear(x.unfold(1, kernels.shape[1], self.stride), kernels).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        if self.rectify == "none":
            return nn.functional.max_pool1d(x, self.pool) if self.pool > 1 else x
        power = x.square()
        if self.pairs:
            cosine, sine = power.chunk(2, dim=1)
            power = cosine + sine
        if self.rectify == "log":
            power = nn.functional.avg_pool1d(power, self.pool) if self.pool > 1 else power
            return torch.log(power + POWER_FLOOR)
        magnitude = torch.sqrt(power + POWER_FLOOR) if self.pairs else x.abs()
        return nn.functional.max_pool1d(magnitude, self.pool) if self.pool > 1 else magnitude
