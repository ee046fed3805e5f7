# SPDX-License-Identifier: Apache-2.0
"""A causal CRNN that continues where it stopped: samples and a state in, frame scores and the next state out.

The state is one row of numbers for each recording, zeros before its first sample. It holds all that the network
remembers, so a recording may be cut anywhere between two frames and any number of recordings can share a batch:

    samples   the last ones that the next log-mel frames reach back to
    context   for each convolution, the inputs that its next outputs reach back to
    hidden    the GRU's
    weighted, weights    for each label, sums over all frames so far; their ratio is the clip score

The sums are kept as pairs of float32, a number and what rounding took from it: 48 bits, enough for years of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.nn.frontends.logmel import GraphLogMel
from auricle.nn.heads import SCORE_MARGIN, WeighingHead, log_odds
from auricle.nn.modules.crnn import ConvBlock, Crnn
from auricle.nn.network import StreamingNetwork
from auricle.timeline import output_length


class RunningCrnn(StreamingNetwork):
    """The running form of a causal CRNN; it shares the weights.

    Args:
        network: in evaluation mode.

    Attributes:
        parts: size of each part of a state, in its order.
        state_size: numbers in a state.
        frame_samples: samples of one frame; every input is a whole number of frames.

    Raises:
        UsageError: the network looks ahead, or its clip score needs the whole clip at once.
    """

    def __init__(self, network: Crnn) -> None:
        super().__init__()
        head, spec = network.head, network.spec
        if network.gru.bidirectional or not isinstance(head, WeighingHead):
            raise UsageError(
                "this network cannot run on a stream: it needs model.causal=true and a head with frame scores "
                "(attention, linear_softmax)"
            )
        self.frontend = GraphLogMel(spec, causal=True)
        self.norm, self.gru, self.head = network.norm, network.gru, network.head
        self._weigh: Callable[[Tensor], tuple[Tensor, Tensor]] = head.weigh
        blocks = [block for block in network.blocks if isinstance(block, ConvBlock)]
        self.blocks = nn.ModuleList(blocks)
        self.frame_samples = network.grid.hop_samples
        self.contexts = _contexts(blocks, spec.n_mels)
        sizes = [channels * mels * frames for channels, mels, frames in self.contexts]
        overlap = spec.padding(causal=True)[0]
        self.parts: list[int] = [overlap, *sizes, network.embedding_size, *[network.labels] * 4]
        self.state_size = sum(self.parts)

    def forward(self, waveform: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Continue by some frames.

        Args:
            waveform: ``(batch, frame * frame_samples)``, one frame at least.
            state: ``(batch, state_size)``, what an earlier call gave, or zeros.

        Returns:
            Clip logits of all since the zeros ``(batch, label)``, frame logits ``(batch, frame, label)``, next state.
        """
        samples, *contexts, hidden, high, low, weight_high, weight_low = torch.split(state, self.parts, dim=1)
        joined = torch.cat([samples, waveform], dim=1)
        kept = [_last(joined, self.parts[0])]
        x = self.norm(self.frontend.whole_frames(joined))[:, None]
        for block, context, shape in zip(
            cast("Sequence[ConvBlock]", self.blocks), contexts, self.contexts, strict=True
        ):
            x = torch.cat([context.reshape(-1, *shape), x], dim=3)
            kept.append(_last(x, shape[2]).flatten(1))
            x = block.whole_frames(x)
        x = x.permute(0, 3, 2, 1).flatten(2)
        states, last = self.gru(x, hidden[None])
        frame_logits, weights = self._weigh(states)
        total, total_high, total_low = _add(high, low, (weights * torch.sigmoid(frame_logits)).sum(1))
        of, of_high, of_low = _add(weight_high, weight_low, weights.sum(1))
        clip_logits = log_odds((total / of.clamp_min(SCORE_MARGIN)).to(torch.float32))
        return clip_logits, frame_logits, torch.cat([*kept, last[0], total_high, total_low, of_high, of_low], dim=1)


def _contexts(blocks: Sequence[ConvBlock], mels: int) -> list[tuple[int, int, int]]:
    """Return ``(channel, mel, frame)`` of what each convolution looks back on."""
    contexts = []
    for block in blocks:
        contexts.append((block.conv.in_channels, mels, block.time.padding[0]))
        mels = output_length(mels, block.mel_layer)
    return contexts


def _last(x: Tensor, count: int) -> Tensor:
    """Return the last ``count`` entries of the last axis, which has as many; 0 is none."""
    return x[..., x.shape[-1] - count :]


def _add(high: Tensor, low: Tensor, more: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add to a pair of float32; returns the sum in float64, and as a pair."""
    total = high.to(torch.float64) + low.to(torch.float64) + more.to(torch.float64)
    rounded = total.to(torch.float32)
    return total, rounded, (total - rounded.to(torch.float64)).to(torch.float32)
