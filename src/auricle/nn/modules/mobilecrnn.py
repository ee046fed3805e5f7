# SPDX-License-Identifier: Apache-2.0
"""A CRNN with a teacher's first layers: MobileNetV3 up to a sixteenth of the time, then a GRU and a head.

Early layers of a tagger that was trained on millions of recordings are small and general; the late ones hold most of
its weights. A student that begins as a copy of its teacher's first layers and learns the rest is an old way to
distil ("DistilBERT", Sanh et al. 2019); what is copied here are the stem and the first thirteen residuals of
EfficientAT, under the same names, so that a published checkpoint fits by key. The last of their strides goes over
frequency alone: the filter gives the teacher's frames, and between them those that it leaves out.

    waveform (batch, sample) -> Kaldi log-mel (batch, mel, frame) -> stem / 2 -> 13 inverted residuals, / 8
      -> mean of each two neighbours in frequency -> GRU over all channels and frequencies -> head

A frame of the output stands for 16 of the front end, 160 ms by default.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from auricle.nn.cpu.gru import run_gru
from auricle.nn.frontends.kaldi_mel import SCALE, GraphKaldiMel, KaldiMel, KaldiMelSpec
from auricle.nn.heads import HEADS
from auricle.nn.modules.crnn import TimeDropout
from auricle.nn.modules.efficientat import mobile_layers
from auricle.nn.network import Network, NetworkOutput
from auricle.nn.tracing import tracing
from auricle.timeline import frame_grid, output_length

#: Residuals of EfficientAT that are the trunk; the last one strides.
RESIDUALS = 13
#: Log-mel frames that a frame of the output stands for.
TIME_STRIDE = 16
HIDDEN = 48


class MobileCrnn(Network):
    """The first layers of a MobileNetV3 tagger under a GRU; see the module's docstring for its shape.

    Args:
        frontend: the log-mel specification.
        labels: number of classes.
        head: a name in ``HEADS``, of those with frames.
        width: multiplies the channels of the trunk; 0.4 is that of the published mn04.
        dropout: before the GRU and before the head.
    """

    def __init__(
        self,
        frontend: KaldiMelSpec,
        labels: int,
        *,
        head: str = "statistics",
        width: float = 0.4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.spec, self.width, self.labels = frontend, width, labels
        self.frontend = KaldiMel(frontend)
        layers, channels, strided = mobile_layers(width, RESIDUALS)
        mels = frontend.n_mels
        for layer in strided:
            mels = output_length(mels, layer)
        self.feature_map = nn.Sequential(*layers)
        last = next(m for m in layers[-1].modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2))
        last.stride = (2, 1)
        time = [*strided[:-1], replace(strided[-1], stride=1)]
        self.narrow = nn.AvgPool2d((2, 1)) if mels % 2 == 0 else nn.Identity()
        self.dropout = TimeDropout(dropout)
        inputs = channels * (mels // 2 if mels % 2 == 0 else mels)
        self.gru = nn.GRU(inputs, HIDDEN, batch_first=True, bidirectional=True)
        self.embedding_size = 2 * HIDDEN
        self.grid = frame_grid([frontend.layer(), *time])
        self.head = HEADS.get(head)(self.embedding_size, labels, 0)
        self.has_frames = True
        self.log_scale = 1 / SCALE

    def frames(self, samples: int) -> int:
        """Return the number of output frames for ``samples`` samples: one that is not full counts."""
        return -(-samples // self.grid.hop_samples)

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of a log-mel, which training may have masked."""
        x = features[:, None]
        if not tracing():
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.narrow(self.feature_map(x)).permute(0, 3, 2, 1).flatten(2)
        with torch.autocast(x.device.type, enabled=False):
            states, _ = run_gru(self.gru, self.dropout(x.float()))
            clip_logits, frame_logits = self.head(self.dropout(states))
        return NetworkOutput(clip_logits, frame_logits, states.mean(1))

    def for_export(self) -> MobileCrnn:
        """Swap the front end for the form that exports; returns self, in evaluation mode."""
        self.frontend = GraphKaldiMel(self.spec)
        return self.eval()
