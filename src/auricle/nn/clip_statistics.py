# SPDX-License-Identifier: Apache-2.0
"""What a clip sounds like as a whole: statistics of its log-mel, and a linear layer on them.

Rain, waves, engines and fire are textures: no moment tells them apart, but statistics over seconds do (McDermott &
Simoncelli, "Sound Texture Perception via Statistics of the Auditory Periphery", Neuron 2011). Theirs, in small: of each
mel band the mean, the deviation, and the deviation of steps from frame to frame; of groups of bands the power of their
fluctuations in octaves, and the correlation of each two groups. All are the same however loud the clip is.

The layer is no part of what gradients train. It is fitted before training (``training.fit_statistics``), on clips as
they are, and counts only when the network is used: two branches that were fitted apart make different errors.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

#: Groups of neighbouring bands whose correlations count, and whose fluctuations do.
CORRELATED, FLUCTUATING = 16, 8
#: Octaves of fluctuation, from steps between two frames to steps between two times 128.
OCTAVES = 8
#: What lies so far below the loudest frame is no part of the clip, what lies so far below the loudest band is noise:
#: natural logarithms of power, 80 and 70 dB.
SILENT, FAINT = 18.4, 16.1
#: Standardised statistics are kept within this, so that a strange clip is not sure of anything.
FARTHEST = 3.0
#: Least variance: what moves by less than 0.03 is at rest, and rounding must not decide how it moves.
_LEAST = 1e-3


def _groups(mels: int, count: int) -> Tensor:
    """Return a matrix ``(group, mel)`` that averages neighbouring bands."""
    matrix = np.zeros((min(count, mels), mels), np.float32)
    for row, part in zip(matrix, np.array_split(np.arange(mels), len(matrix)), strict=True):
        row[part] = 1 / len(part)
    return torch.from_numpy(matrix)


class ClipStatistics(nn.Module):
    """Logits of a whole clip from statistics of its log-mel; nothing until it is fitted.

    Args:
        mels: bands of the log-mel.
        labels: number of classes.
    """

    correlated: Tensor
    fluctuating: Tensor
    step: Tensor
    average: Tensor
    frames: Tensor
    pairs: Tensor

    def __init__(self, mels: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("correlated", _groups(mels, CORRELATED), persistent=False)
        self.register_buffer("fluctuating", _groups(mels, FLUCTUATING), persistent=False)
        self.register_buffer("step", torch.tensor([[[1.0, -1.0]]]), persistent=False)
        self.register_buffer("average", torch.tensor([[[0.5, 0.5]]]), persistent=False)
        self.register_buffer("frames", 2.0 ** torch.arange(OCTAVES)[:, None, None], persistent=False)
        groups = len(self.correlated)
        rows, columns = np.triu_indices(groups, 1)
        self.register_buffer("pairs", torch.from_numpy(rows * groups + columns), persistent=False)
        self.size = 3 * mels + OCTAVES * len(self.fluctuating) + len(rows)
        self.mean = self._fixed(torch.zeros(self.size))
        self.scale = self._fixed(torch.ones(self.size))
        self.weight = self._fixed(torch.zeros(self.size, labels))
        self.bias = self._fixed(torch.zeros(labels))
        #: What the sum of both branches' logits is multiplied by.
        self.share = self._fixed(torch.ones(()))

    @staticmethod
    def _fixed(value: Tensor) -> nn.Parameter:
        return nn.Parameter(value, requires_grad=False)

    @torch.no_grad()
    def statistics(self, logmel: Tensor) -> Tensor:
        """Map log-mels ``(batch, mel, frame)``, natural logarithms of power, to statistics ``(batch, size)``."""
        x = logmel.float()
        loudness = torch.logsumexp(x, dim=1, keepdim=True)
        # A soft border: two ways to compute a log-mel must not disagree about which frames there are.
        sounds = torch.sigmoid(loudness - (loudness.amax(2, keepdim=True) - SILENT))
        count = sounds.sum(2)
        faint = x.amax((1, 2), keepdim=True) - FAINT
        x = torch.maximum(x, faint) + torch.log1p(torch.exp(-(x - faint).abs()))  # logaddexp, which does not export
        mean = (x * sounds).sum(2) / count
        moved = (x - mean[..., None]) * sounds
        deviation = (moved.square().sum(2) / count + _LEAST).sqrt()
        both = sounds[..., 1:] * sounds[..., :-1]
        steps = ((x[..., 1:] - x[..., :-1]) * both).square().sum(2) / both.sum(2).clamp_min(1)
        groups = self.correlated @ moved
        covariance = groups @ groups.transpose(1, 2) / count[..., None]
        spread = (groups.square().sum(2) / count + _LEAST).sqrt()
        correlation = covariance / (spread[:, :, None] * spread[:, None])
        parts = [
            mean - mean.mean(1, keepdim=True),
            deviation,
            (steps + _LEAST).sqrt(),
            self._fluctuations(moved, count),
            correlation.flatten(1)[:, self.pairs],
        ]
        return torch.cat(parts, dim=1)

    def _fluctuations(self, moved: Tensor, count: Tensor) -> Tensor:
        """Return the power of steps between averages of 1, 2, 4, ... frames: Haar's wavelets of each band."""
        # Zeros behind the end, so that halving again and again leaves out none of the clip.
        x = nn.functional.pad(moved, (0, 2**OCTAVES - 1)).flatten(0, 1)[:, None]
        powers = []
        for _ in range(OCTAVES):
            powers.append(nn.functional.conv1d(x, self.step, stride=2).square().sum((1, 2)))
            x = nn.functional.conv1d(x, self.average, stride=2)
        power = torch.stack(powers).view(OCTAVES, *moved.shape[:2]) * self.frames / count
        octaves = torch.log(power + _LEAST) @ self.fluctuating.T
        return octaves.transpose(0, 1).flatten(1)

    def logits(self, logmel: Tensor) -> Tensor:
        """Map log-mels ``(batch, mel, frame)`` to this branch's own logits, ``(batch, label)``."""
        z = (self.statistics(logmel) - self.mean) / self.scale
        return torch.as_tensor(z.clamp(-FARTHEST, FARTHEST) @ self.weight + self.bias)

    def forward(self, logmel: Tensor, clip_logits: Tensor) -> Tensor:
        """Return the logits of both branches in one, as they are used: ``clip_logits`` are the network's."""
        return torch.as_tensor((clip_logits + self.logits(logmel)) * self.share)
