# SPDX-License-Identifier: Apache-2.0
"""The CRNN: log-mel, convolutions that pool frequency hard and time gently, a GRU, and a head.

The shape is that of sound event detection since Cakir et al. 2017, made cheap: every convolution but the
last strides over frequency, so none runs at full resolution. The default recipe strides over time by 2 in all: with
a hop of 20 ms a frame stands for 40 ms. A stride of 2 in time goes with a kernel of 4, which keeps frame ``i``
centred on its own span (``timeline.FrameGrid``).

    waveform (batch, sample) -> log-mel (batch, mel, frame) -> norm per mel
      -> [conv, norm, relu] x 4, channels (16, 48, 96, 96) -> GRU over all channels and frequencies -> head

Beside it, when it is used, a clip-statistics branch takes the log-mel as a whole (``nn.clip_statistics``).

A causal network looks only backwards: its convolutions are padded on the left and its GRU runs forward. Before the
first sample it remembers zeros, in a training crop as in a file; ``nn.streaming`` is the same network with its memory
as a value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.nn.clip_statistics import ClipStatistics
from auricle.nn.cpu.convolution import convolve
from auricle.nn.cpu.gru import run_gru
from auricle.nn.frontends.logmel import GraphLogMel, LogMel, LogMelSpec
from auricle.nn.heads import HEADS
from auricle.nn.network import Network, NetworkOutput
from auricle.nn.tracing import tracing
from auricle.timeline import Layer, frame_grid, output_length, samples_to_seconds

#: (channels, kernel over mel, stride over mel) of each convolution at width 1.
BLOCKS = ((16, 5, 2), (48, 3, 2), (96, 3, 2), (96, 3, 2))
HIDDEN = 96


@dataclass(frozen=True)
class TimeConv:
    """How a convolution treats time: ``padding`` zeros on both sides, or all on the left if causal."""

    kernel: int
    stride: int
    causal: bool

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after, so that ``T`` frames give ``T // stride``."""
        missing = self.kernel - self.stride
        return (missing, 0) if self.causal else (missing // 2, missing - missing // 2)

    @property
    def layer(self) -> Layer:
        """The convolution as time sees it."""
        return Layer(self.kernel, self.stride, self.padding[0])


def _width(channels: int, width: float) -> int:
    """Scale a channel count, to a multiple of 8 (matrix units like that)."""
    return max(8, round(channels * width / 8) * 8)


class ConvBlock(nn.Module):
    """Convolution over (mel, time), batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, time: TimeConv) -> None:
        super().__init__()
        self.time = time
        self.outputs = outputs
        self.mel_layer = Layer(kernel, stride, kernel // 2)
        symmetric = not time.causal
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            (kernel, time.kernel),
            stride=(stride, time.stride),
            padding=(kernel // 2, time.padding[0] if symmetric else 0),
            bias=False,
        )
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, mel, time)`` to fewer mels and the same or half the time."""
        if self.time.causal:
            x = nn.functional.pad(x, (*self.time.padding, 0, 0))
        return self.whole_frames(x)

    def whole_frames(self, x: Tensor) -> Tensor:
        """Do the same without the zeros on the left of a causal convolution: ``x`` begins with what came before."""
        return torch.relu(self.norm(convolve(self.conv, x)))


class TimeDropout(nn.Module):
    """Dropout of whole features over all time steps (Gal & Ghahramani 2016); one draw a clip, so it is cheap."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, time, feature)`` to the same shape."""
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.rate
        return x * (keep / (1 - self.rate)).to(x.dtype)


class Crnn(Network):
    """The student network; see the module's docstring for its shape.

    Args:
        frontend: the log-mel specification.
        labels: number of classes.
        head: a name in ``HEADS``.
        clip_samples: length of a training clip; fixes the MLP of ``concat_mlp`` and nothing else.
        causal: look only backwards in time.
        width: multiplies all channel counts.
        time_stride: log-mel frames an output frame stands for: 2, 4 or 8.
        dropout: before the GRU and before the head.
        texture: a clip-statistics branch beside it, which needs a whole window: not for a causal network.

    Raises:
        UsageError: the clip is shorter than one frame.
    """

    def __init__(
        self,
        frontend: LogMelSpec,
        labels: int,
        *,
        head: str = "attention",
        clip_samples: int,
        causal: bool = False,
        width: float = 1.0,
        time_stride: int = 4,
        dropout: float = 0.2,
        texture: bool = False,
    ) -> None:
        super().__init__()
        self.spec = frontend
        self.labels = labels
        self.frontend = LogMel(frontend, causal=causal)
        # Without trainable parts the norm needs no backward pass over the largest array of the network.
        self.norm = nn.BatchNorm1d(frontend.n_mels, affine=False)
        blocks = _make_blocks(width, time_stride, causal=causal)
        self.blocks = nn.Sequential(*blocks)
        self.time_layers = [frontend.layer(causal=causal), *(block.time.layer for block in blocks)]
        mels = frontend.n_mels
        for block in blocks:
            mels = output_length(mels, block.mel_layer)
        self.dropout = TimeDropout(dropout)
        hidden = _width(HIDDEN, width)
        self.gru = nn.GRU(blocks[-1].outputs * mels, hidden, batch_first=True, bidirectional=not causal)
        self.embedding_size = hidden * (1 if causal else 2)
        self.grid = frame_grid(self.time_layers)
        if causal:
            # Its receptive field lies in the past, but a frame still stands for the span that ends with it.
            self.grid = replace(self.grid, first_centre_samples=(self.grid.hop_samples - 1) / 2)
        if clip_samples < self.min_samples:
            raise UsageError(_too_short(clip_samples, self.min_samples, frontend.sample_rate))
        self.head = HEADS.get(head)(self.embedding_size, labels, self.frames(clip_samples))
        self.texture = ClipStatistics(frontend.n_mels, labels) if texture and not causal else None
        self.has_frames = bool(self.head.has_frames)
        self.fixed_length = None if self.has_frames else clip_samples

    def frames(self, samples: int) -> int:
        """Return the number of output frames for ``samples`` samples."""
        return samples // self.spec.hop_samples // (self.grid.hop_samples // self.spec.hop_samples)

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of a log-mel, which training may have masked."""
        x = self.norm(features)[:, None]
        if not tracing():
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.blocks(x).permute(0, 3, 2, 1).flatten(2)
        with torch.autocast(x.device.type, enabled=False):
            states, _ = run_gru(self.gru, self.dropout(x.float()))
            clip_logits, frame_logits = self.head(self.dropout(states))
            if self.texture is not None and not self.training:
                clip_logits = self.texture(features, clip_logits)
        return NetworkOutput(clip_logits, frame_logits, states.mean(1))

    def for_export(self) -> Crnn:
        """Swap the front end for the form that exports; returns self, in evaluation mode."""
        self.frontend = GraphLogMel(self.spec, causal=isinstance(self.frontend, LogMel) and self.frontend.causal)
        return self.eval()


def _too_short(clip_samples: int, frame_samples: int, sample_rate: int) -> str:
    clip_s, frame_s = samples_to_seconds(clip_samples, sample_rate), samples_to_seconds(frame_samples, sample_rate)
    return (
        f"a clip of {clip_samples} samples ({clip_s:g} s) is shorter than one frame of the network, "
        f"{frame_samples} samples ({frame_s:g} s); raise data.clip_s, or lower model.time_stride or frontend.hop_ms"
    )


def _make_blocks(width: float, time_stride: int, *, causal: bool) -> list[ConvBlock]:
    """Build the convolutions of ``BLOCKS``; the first ones stride over time too, until ``time_stride`` is reached."""
    blocks, inputs = [], 1
    for channels, kernel, mel_stride in BLOCKS:
        stride = 2 if time_stride > 1 else 1
        time_stride //= stride
        time = TimeConv(kernel=4 if stride == 2 else 3, stride=stride, causal=causal)
        outputs = _width(channels, width)
        blocks.append(ConvBlock(inputs, outputs, kernel, mel_stride, time))
        inputs = outputs
    return blocks
