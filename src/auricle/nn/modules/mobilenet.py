# SPDX-License-Identifier: Apache-2.0
"""MobileNetV3 on a coarse log-mel with frame scores: the student that is cut out of an EfficientAT teacher.

All layers are the teacher's (``nn.efficientat``) or a part of them, so its weights fit; the picture is four times
smaller (``nn.frontends.sine_mel``). Two things are new. Squeeze-and-excitation averages over a running window in place
of the whole clip, so that scores at one time do not depend on how long the recording is. And a branch gives scores
every fourth frame, 80 ms: maps of several depths, each with its own resolution in time, are projected to a few
channels and summed from coarse to fine (as in "Feature Pyramid Networks", Lin et al. 2017), under dilated convolutions.

    waveform (batch, sample) -> log-mel, 20 ms -> conv / 2 -> residuals, / 16 -> conv = deep map, 640 ms
      -> mean over mel and time = embedding -> linear, hard-swish, linear = clip logits
    maps at 80, 160, 320 and 640 ms -> projections, summed at 80 ms -> dilated convolutions -> linear = frame logits
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.nn.frontends.kaldi_mel import SCALE
from auricle.nn.frontends.sine_mel import GraphSineMel, SineMel, SineMelSpec
from auricle.nn.modules.channel_blocks import fill_blocks, fold_residual
from auricle.nn.modules.efficientat import (
    HIDDEN,
    RESIDUALS,
    STEM,
    EfficientAt,
    InvertedResidual,
    conv_norm_act,
    divisible,
)
from auricle.nn.modules.excitation import RunningExcitation
from auricle.nn.network import Network, NetworkOutput
from auricle.nn.tracing import tracing
from auricle.timeline import FrameGrid, Layer, frame_grid, output_length

#: Log-mel frames that a frame of the output stands for.
TIME_STRIDE = 4
#: Seconds that squeeze-and-excitation averages over.
EXCITATION_S = 5.0
#: Channels of the branch of frame scores, and dilations of its convolutions.
BRANCH, DILATIONS = 64, (1, 2, 4, 8)


class TimeConv(nn.Conv1d):
    """A convolution over the time of ``(batch, channel, 1, time)``."""

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(batch, channel, 1, time)``."""
        padding, dilation = (0, int(self.padding[0])), (1, self.dilation[0])
        return nn.functional.conv2d(input, self.weight[:, :, None], None, 1, padding, dilation)


class FrameBranch(nn.Module):
    """From maps of several depths to states of frames; every map has half the steps of the one before it.

    Args:
        shapes: channels and mels of each map, from fine to coarse.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, BRANCH, (mels, 1), bias=False), nn.BatchNorm2d(BRANCH))
            for channels, mels in shapes
        )
        self.context = nn.ModuleList(
            nn.Sequential(
                TimeConv(BRANCH, BRANCH, 3, padding=d, dilation=d, bias=False), nn.BatchNorm2d(BRANCH), nn.ReLU()
            )
            for d in DILATIONS
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map ``(batch, channel, mel, time)`` of each depth to ``(batch, channel, time)`` of the first one's time."""
        total: Tensor | None = None
        for projection, x in zip(reversed(self.projections), reversed(maps), strict=True):
            here = projection(x)
            total = here if total is None else here + _twice(total, here.shape[3])
        if total is None:
            raise ValueError("a branch needs a map")
        # The cut above gives a map that the engine has in the order of its axes: a pool of one takes it back to blocks.
        states = torch.relu(nn.functional.max_pool2d(total, 1) if tracing() else total)
        for layer in self.context:
            states = states + layer(states)
        return states.squeeze(2)


def _twice(x: Tensor, steps: int) -> Tensor:
    """Double the steps of ``(batch, channel, 1, time)`` by linear interpolation, of which step ``2 i`` is step ``i``.

    So lie the outputs of a convolution with stride 2 and equal padding among its inputs. The means of neighbours among
    repeated steps are these: the step itself, or what is half-way to the next one. The first ``steps`` are returned.
    """
    repeated = nn.functional.interpolate(x, scale_factor=(1.0, 2.0), mode="nearest")
    return nn.functional.avg_pool2d(repeated, (1, 2), 1, (0, 1), count_include_pad=False)[..., 1 : steps + 1]


class MobileNet(Network):
    """See the module's docstring.

    Args:
        frontend: the log-mel specification.
        labels: number of classes.
        width: multiplies all channel counts; 0.4 is that of the published mn04.
        residuals: which of the fifteen residuals there are; those that change the shape are needed.
        hidden: units of the layer before the classes; by default as many as the published network has.
        dropout: before the last layers.

    Raises:
        UsageError: a residual that is needed is missing.
    """

    class_layers = ("head.3.", "frame_head.")
    #: Whether norms keep their statistics in training: batches of few and mixed sounds would spoil those of many hours.
    fixed_norms = False
    head: nn.Sequential

    def __init__(
        self,
        frontend: SineMelSpec,
        labels: int,
        *,
        width: float = 0.4,
        residuals: Sequence[int] = tuple(range(len(RESIDUALS))),
        hidden: int | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.spec, self.width, self.labels = frontend, width, labels
        self.residuals = check_residuals(residuals)
        self.frontend = SineMel(frontend)
        channels = divisible(STEM * width)
        self.stem = conv_norm_act(1, channels, 3, stride=2, act=nn.Hardswish())
        self.blocks = nn.ModuleDict()
        stem = Layer(3, 2, 1)
        step_s, mels, time = frontend.hop_ms / 500, output_length(frontend.n_mels, stem), [frontend.layer(), stem]
        shapes: dict[float, tuple[int, int]] = {}
        self.taps: dict[float, int] = {}
        for index in self.residuals:
            kernel, expanded, outputs, se, hs, stride = RESIDUALS[index]
            wide, out = divisible(expanded * width), divisible(outputs * width)
            block = InvertedResidual(channels, kernel, wide, out, se=se, hs=hs, stride=stride)
            layer, channels = Layer(kernel, stride, (kernel - 1) // 2), out
            mels, step_s = output_length(mels, layer), step_s * stride
            if se:
                steps = 2 * round(EXCITATION_S / step_s / 2 - 0.5) + 1
                block.replace_excitation(RunningExcitation(wide, steps))
            self.blocks[str(index)] = block
            time.append(layer)
            shapes[step_s], self.taps[step_s] = (channels, mels), index
        self.embedding_size = 6 * channels
        self.deep = conv_norm_act(channels, self.embedding_size, 1, act=nn.Hardswish())
        hidden = divisible(HIDDEN * width) if hidden is None else hidden
        self.head = nn.Sequential(
            nn.Linear(self.embedding_size, hidden), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(hidden, labels)
        )
        fine = [step for step in shapes if step >= frontend.hop_ms / 1000 * TIME_STRIDE][:-1]
        self.taps = {step: self.taps[step] for step in fine}
        self.branch = FrameBranch([*(shapes[step] for step in fine), (self.embedding_size, 1)])
        self.frame_dropout = nn.Dropout(dropout)
        self.frame_head = nn.Linear(BRANCH, labels)
        self.has_frames = self.has_frame_embedding = True
        grid = frame_grid(time)
        hop = frontend.hop_samples * TIME_STRIDE
        reach = 2 * sum(DILATIONS) * hop + 2 * grid.hop_samples
        self.grid = FrameGrid(hop, grid.receptive_samples + reach, grid.first_centre_samples)
        self.log_scale = 1.0

    def train(self, mode: bool = True) -> Self:
        """Set the mode; norms whose statistics are fixed stay as in use."""
        super().train(mode)
        for layer in self.modules():
            if mode and self.fixed_norms and isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.eval()
        return self

    def frames(self, samples: int) -> int:
        """Return the number of output frames for ``samples`` samples: one that is not full counts."""
        return -(-(samples // self.spec.hop_samples) // TIME_STRIDE)

    def maps(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the deep map averaged over mel, ``(batch, channel, step)``, and the maps of the branch."""
        x = features[:, None]
        if not tracing():
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        taken, wanted = [], set(self.taps.values())
        for index in self.residuals:
            x = self.blocks[str(index)](x)
            if index in wanted:
                taken.append(x)
        deep = self.deep(x)
        deep = nn.functional.avg_pool2d(deep, (int(deep.shape[2]), 1)) if tracing() else deep.mean(2, keepdim=True)
        return deep.squeeze(2), [*taken, deep]

    def judge(self, deep: Tensor, maps: Sequence[Tensor]) -> NetworkOutput:
        """Return scores of what ``maps`` gives."""
        whole = nn.functional.adaptive_avg_pool2d
        embedding = whole(maps[-1], 1).flatten(1) if tracing() else deep.float().mean(2)
        with torch.autocast(deep.device.type, enabled=False):
            clip_logits = self.head(embedding)
            states = self.branch([m.float() for m in maps]).transpose(1, 2)
            flat = self.frame_head(self.frame_dropout(states.reshape(-1, BRANCH)))  # of two axes, for one product
            frame_logits = flat.reshape(states.shape[0], -1, self.labels)
        return NetworkOutput(clip_logits, frame_logits, embedding, states)

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of a log-mel, which training may have masked."""
        return self.judge(*self.maps(features))

    def for_export(self) -> MobileNet:
        """Return a copy with the front end that exports and with blocks of channels filled, in evaluation mode."""
        twin = copy.deepcopy(self).eval()
        twin.frontend = GraphSineMel(self.spec)
        fold_residual(twin)
        fill_blocks(twin)
        return twin


def check_residuals(residuals: Sequence[int]) -> tuple[int, ...]:
    """Return the residuals in order; raises ``UsageError`` if one is unknown or one that changes the shape is absent.

    >>> check_residuals([14, 0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 13])
    (0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 13, 14)
    """
    outputs = [STEM, *(row[2] for row in RESIDUALS)]
    needed = [n for n, row in enumerate(RESIDUALS) if row[5] > 1 or outputs[n] != row[2]]
    found = tuple(sorted(set(residuals)))
    unknown = [index for index in found if not 0 <= index < len(RESIDUALS)]
    if unknown:
        raise UsageError(f"there is no residual {unknown[0]}; EfficientAT has 0 to {len(RESIDUALS) - 1}")
    missing = [index for index in needed if index not in found]
    if missing:
        raise UsageError(
            f"residual {missing[0]} changes channels or resolution and cannot be left out; "
            f"needed are {', '.join(map(str, needed))}"
        )
    return found


def take_weights(student: MobileNet, teacher: EfficientAt) -> None:
    """Copy the teacher's weights into a student of its classes; the branch of frame scores stays as it is.

    So do last layers of another size, see ``distill.head``.
    The statistics of its norms are the teacher's and have to be estimated anew for the other picture.
    """
    weights, own = teacher.state_dict(), student.state_dict()
    origins = dict(_origins(own, len(RESIDUALS)))
    if own["head.0.weight"].shape != weights["head.0.weight"].shape:
        origins = {new: old for new, old in origins.items() if not new.startswith("head.")}
    own.update({new: weights[old] for new, old in origins.items()})
    own["stem.0.weight"] = own["stem.0.weight"] / SCALE
    student.load_state_dict(own)


def _origins(names: Iterable[str], residuals: int) -> Iterator[tuple[str, str]]:
    """Yield the name of a student's weight and that of the teacher's which it is a copy of."""
    for name in names:
        part, _, rest = name.partition(".")
        if part == "blocks":
            index, _, rest = rest.partition(".")
            yield name, f"feature_map.{int(index) + 1}.{rest}"
        elif part in {"stem", "deep"}:
            yield name, f"feature_map.{0 if part == 'stem' else residuals + 1}.{rest}"
        elif part == "head":
            yield name, name
